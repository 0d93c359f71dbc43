"""The published network that predicts a program (arXiv 2606.06574)."""
