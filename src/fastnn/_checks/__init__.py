"""Checks of arguments, and the wording of their errors. These modules depend neither on the engine nor on models."""
