"""Step 5: a model and a trainer, for features that the tutorials' class lacks, such as float32."""

from __future__ import annotations

import numpy as np

import fastnn


class InFloat32:
    def __init__(self, input_size, hidden_size, output_size, learning_rate):
        self.model = fastnn.MLP((input_size, hidden_size, output_size), "tanh", dtype=np.float32)
        for weights in self.model.weights:
            weights[...] = np.random.randn(*weights.shape)

    def forward(self, X):
        return self.model.predict(X)

    def train(self, X, y_true, epochs, batch_size, learning_rate):
        optimizer = fastnn.SGD(learning_rate)
        trainer = fastnn.Trainer(self.model, "mse", optimizer, batch_size=batch_size, shuffle=False)
        return trainer.run(X, y_true, epochs)
