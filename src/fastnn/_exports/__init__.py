"""Models in the formats of other libraries and languages: written to them, and read from them.

The functions take and return `Layer`s, not models, so that models may import them.
"""
