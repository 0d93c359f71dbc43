"""Learning to choose a program from the prompt alone."""
