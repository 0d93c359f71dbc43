"""An OpenAI-compatible server: a program, or what chooses one, is a variant of the model."""
