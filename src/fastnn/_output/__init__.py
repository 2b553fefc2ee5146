"""What commands print, draw and write to files."""
