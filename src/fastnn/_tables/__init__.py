"""Tables of numbers in files, read and written in blocks of rows, so that a table may be larger than the memory."""
