"""Files: their format, and the safe replacement of existing files."""
