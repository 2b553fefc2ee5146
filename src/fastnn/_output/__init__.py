"""Printing, drawing and writing for commands."""
