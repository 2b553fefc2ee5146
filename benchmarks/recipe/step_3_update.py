"""Step 3: the update in place by ops.sgd."""

from __future__ import annotations

from recipe.step_2_layers import WithLayers

from fastnn import ops


class WithUpdate(WithLayers):
    def update(self, learning_rate):
        ops.sgd([self.W1, self.b1, self.W2, self.b2], [self.dW1, self.db1, self.dW2, self.db2], learning_rate)
