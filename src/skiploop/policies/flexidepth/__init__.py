"""Every token skips layers of its own; a small adapter takes their place (arXiv 2503.23798)."""
