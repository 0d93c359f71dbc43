"""The run folder and its stages."""
