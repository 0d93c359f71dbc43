"""Short lists of programs, chosen by racing."""
