"""skiploop under the names by which other tools look for a model."""
