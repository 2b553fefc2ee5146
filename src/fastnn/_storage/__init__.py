"""Files: their format, and how they are written in the place of older ones."""
