"""Programs as values: which layers run, and how often. No torch."""
