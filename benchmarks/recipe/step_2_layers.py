"""Step 2: whole layers forward, and matrix products backward, by ops.linear; biases have one dimension."""

from __future__ import annotations

from recipe.step_1_elementwise import WithElementwise

from fastnn import ops


class WithLayers(WithElementwise):
    def __init__(self, input_size, hidden_size, output_size, learning_rate):
        super().__init__(input_size, hidden_size, output_size, learning_rate)
        self.b1, self.b2 = self.b1[0], self.b2[0]

    def forward(self, X):
        self.h1 = ops.linear(X, self.W1, self.b1, "tanh")
        self.y_pred = ops.linear(self.h1, self.W2, self.b2)
        return self.y_pred

    def backward(self, X, y_true, y_pred):
        delta_2 = 2 / y_pred.size * (y_pred - y_true)
        delta_1 = ops.linear(delta_2, self.W2.T) * ops.tanh_grad(self.h1)
        self.dW2, self.db2 = ops.linear(self.h1.T, delta_2), delta_2.sum(axis=0)
        self.dW1, self.db1 = ops.linear(X.T, delta_1), delta_1.sum(axis=0)
