"""XOR with Numba: the same sums as loops over numbers, for networks with one output; prints the loss."""

from __future__ import annotations

import math

import numba
import numpy as np
import xor


@numba.njit
def forward(W1, b1, W2, b2, x, h):
    """Fill h with the hidden outputs of a row, and return the output of the network."""
    y = b2[0]
    for j in range(len(h)):
        z = b1[j]
        for i in range(len(x)):
            z += x[i] * W1[i, j]
        h[j] = math.tanh(z)
        y += h[j] * W2[j, 0]
    return y


@numba.njit
def epoch(W1, b1, W2, b2, gradients, X, Y, h):
    """Update once on all rows; gradients, stored like the parameters, are 0 before and after."""
    dW1, db1, dW2, db2 = gradients
    for row in range(len(X)):
        delta_2 = 2 / len(X) * (forward(W1, b1, W2, b2, X[row], h) - Y[row, 0])
        db2[0] += delta_2
        for j in range(len(h)):
            delta_1 = delta_2 * W2[j, 0] * (1 - h[j] * h[j])
            dW2[j, 0] += delta_2 * h[j]
            db1[j] += delta_1
            for i in range(X.shape[1]):
                dW1[i, j] += X[row, i] * delta_1
    for j in range(len(h)):
        W2[j, 0] -= xor.RATE * dW2[j, 0]
        b1[j] -= xor.RATE * db1[j]
        dW2[j, 0] = db1[j] = 0.0
        for i in range(X.shape[1]):
            W1[i, j] -= xor.RATE * dW1[i, j]
            dW1[i, j] = 0.0
    b2[0] -= xor.RATE * db2[0]
    db2[0] = 0.0


@numba.njit
def trained(W1, b1, W2, b2, X, Y):
    gradients = np.zeros_like(W1), np.zeros_like(b1), np.zeros_like(W2), np.zeros_like(b2)
    h = np.empty(len(b1))
    for _ in range(xor.EPOCHS):
        epoch(W1, b1, W2, b2, gradients, X, Y, h)
    return np.array([forward(W1, b1, W2, b2, x, h) for x in X])


def train() -> np.ndarray:
    """Return the outputs of a network trained from the start."""
    return trained(*xor.start(), xor.X, xor.Y)[:, None]


if __name__ == "__main__":
    print(xor.loss(train()))
