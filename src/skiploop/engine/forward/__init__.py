"""One pass of a batch on Hugging Face's own layers."""
