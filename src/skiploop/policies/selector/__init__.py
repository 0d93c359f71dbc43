"""A kernel regression on states of the prompt chooses from a menu."""
