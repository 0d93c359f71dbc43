"""What chooses programs for prompts; one method a file or folder."""
