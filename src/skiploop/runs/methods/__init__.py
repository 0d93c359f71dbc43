"""The makers of methods, each from what a run folder holds."""
