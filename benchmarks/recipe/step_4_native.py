"""Step 4: the whole loop in native code; only the import of the program changes."""

from __future__ import annotations

from fastnn import NeuralNetwork

__all__ = ["NeuralNetwork"]
