"""Which layer runs when, for which tokens; the same in tensors."""
