"""GGUF files, read and converted to safetensors."""
