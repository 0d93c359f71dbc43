"""Many rows in one batch, each under its own program."""
