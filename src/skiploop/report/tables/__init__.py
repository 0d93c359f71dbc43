"""The report's numbers as tables of words, the same for Markdown, HTML and the terminal."""
