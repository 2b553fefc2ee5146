"""Checks of arguments, and the wording of their errors. They know neither engine nor models."""
