"""A router before each layer: skip it, run it, or run it twice (arXiv 2510.12773)."""
