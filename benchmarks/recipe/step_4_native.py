"""Step 4: the whole loop native; of the program only the import changes."""

from __future__ import annotations

from fastnn import NeuralNetwork

__all__ = ["NeuralNetwork"]
