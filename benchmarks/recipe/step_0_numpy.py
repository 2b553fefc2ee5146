"""Step 0: the two-layer network of the tutorials in plain NumPy, with its gradient corrected."""

from __future__ import annotations

import numpy as np


def sgd(params, grads, learning_rate):
    for param, grad in zip(params, grads, strict=True):
        param -= learning_rate * grad


class NeuralNetwork:
    def __init__(self, input_size, hidden_size, output_size, learning_rate):
        self.learning_rate = learning_rate
        self.W1 = np.random.randn(input_size, hidden_size)
        self.b1 = np.zeros((1, hidden_size))
        self.W2 = np.random.randn(hidden_size, output_size)
        self.b2 = np.zeros((1, output_size))

    def forward(self, X):
        self.h1 = np.tanh(np.dot(X, self.W1) + self.b1)
        self.y_pred = np.dot(self.h1, self.W2) + self.b2
        return self.y_pred

    def backward(self, X, y_true, y_pred):
        delta_2 = 2 / y_pred.size * (y_pred - y_true)
        delta_1 = np.dot(delta_2, self.W2.T) * (1 - self.h1**2)
        self.dW2 = np.dot(self.h1.T, delta_2)
        self.db2 = np.sum(delta_2, axis=0, keepdims=True)
        self.dW1 = np.dot(X.T, delta_1)
        self.db1 = np.sum(delta_1, axis=0, keepdims=True)

    def update(self, learning_rate):
        sgd([self.W1, self.b1, self.W2, self.b2], [self.dW1, self.db1, self.dW2, self.db2], learning_rate)

    def train(self, X, y_true, epochs, batch_size, learning_rate):
        for _ in range(epochs):
            for i in range(0, len(X), batch_size):
                batch_X, batch_y = X[i : i + batch_size], y_true[i : i + batch_size]
                y_pred = self.forward(batch_X)
                self.backward(batch_X, batch_y, y_pred)
                self.update(learning_rate)
        return self.W1, self.b1, self.W2, self.b2
