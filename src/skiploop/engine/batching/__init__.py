"""From texts to batches that share work."""
