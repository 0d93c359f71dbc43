"""Keys, values and states that are kept."""
