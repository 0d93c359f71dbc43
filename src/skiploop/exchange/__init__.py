"""Files of other projects, read and written: one format a file, found by name in `formats`."""
