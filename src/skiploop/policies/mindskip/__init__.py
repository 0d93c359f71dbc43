"""Skips the attention of some layers, once for all of a prompt (arXiv 2410.13184)."""
