"""Other ways to choose programs, each a `Policy`; one method a file."""
