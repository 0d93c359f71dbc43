"""Words and pictures about the numbers of an evaluation. No torch."""
