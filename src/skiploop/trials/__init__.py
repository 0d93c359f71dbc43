"""Evaluated pairs of a question and a program."""
