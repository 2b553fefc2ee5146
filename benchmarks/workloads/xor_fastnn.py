"""XOR with fastnn's version of the tutorial's class; prints the loss."""

from __future__ import annotations

import numpy as np
import xor

from fastnn import NeuralNetwork


def train() -> np.ndarray:
    """Return the outputs of a network trained from the start."""
    network = NeuralNetwork(2, 2, 1, xor.RATE)
    network.W1, _, network.W2, _ = xor.start()
    network.train(xor.X, xor.Y, epochs=xor.EPOCHS, batch_size=4, learning_rate=xor.RATE)
    return network.forward(xor.X)


if __name__ == "__main__":
    print(xor.loss(train()))
