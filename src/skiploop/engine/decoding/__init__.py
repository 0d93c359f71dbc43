"""From a batch to finished answers."""
