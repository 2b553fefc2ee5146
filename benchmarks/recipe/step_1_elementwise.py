"""Step 1: the activation and its derivative from fastnn.ops."""

from __future__ import annotations

import numpy as np
from recipe.step_0_numpy import NeuralNetwork

from fastnn import ops


class WithElementwise(NeuralNetwork):
    def forward(self, X):
        self.h1 = np.dot(X, self.W1) + self.b1
        ops.tanh(self.h1, out=self.h1)
        self.y_pred = np.dot(self.h1, self.W2) + self.b2
        return self.y_pred

    def backward(self, X, y_true, y_pred):
        delta_2 = 2 / y_pred.size * (y_pred - y_true)
        delta_1 = np.dot(delta_2, self.W2.T) * ops.tanh_grad(self.h1)
        self.dW2 = np.dot(self.h1.T, delta_2)
        self.db2 = np.sum(delta_2, axis=0, keepdims=True)
        self.dW1 = np.dot(X.T, delta_1)
        self.db1 = np.sum(delta_1, axis=0, keepdims=True)
