"""Where weights come from, and what a frozen model is."""
