"""
Early stopping
==============

A large network learns few, noisy points by heart: its training loss keeps falling while the loss on new data rises again.
``EarlyStopping`` ends the run, and restores the parameters of the best epoch.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import callbacks

rng = np.random.default_rng(1)


def measure(n):
    """Return n noisy measurements of a curve."""
    x = rng.uniform(-3, 3, (n, 1))
    return x, np.sin(x) + rng.normal(0, 0.4, (n, 1))


training, validation = measure(25), measure(200)

# %%
# One model runs on regardless. The other stops after 200 epochs without an improvement on the validation data.

curves = {}
for name, callback in {"to the end": [], "stopped": [callbacks.EarlyStopping(patience=200)]}.items():
    model = fastnn.MLP((1, 128, 128, 1), "tanh", random_state=0)
    history = model.fit(
        *training, optimizer=fastnn.Adam(0.001), epochs=2000, batch_size=25, validation_data=validation, callbacks=callback
    )
    curves[name] = model, history
    print(f"{name}: {history.epochs} epochs, validation loss {model.loss(*validation):.4f}")

# %%
# The curve of the stopped model is smoother, and closer to the truth.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
history = curves["to the end"][1]
left.semilogy(history["loss"], label="training")
left.semilogy(history["val_loss"], label="validation")
left.axvline(np.argmin(curves["stopped"][1]["val_loss"]), color="gray", linestyle=":", label="best epoch")
left.set(xlabel="epoch", ylabel="mean squared error")
left.legend()
grid = np.linspace(-3, 3, 300)[:, None]
right.plot(grid, np.sin(grid), "k:", label="truth")
for name, (model, _) in curves.items():
    right.plot(grid, model.predict(grid), label=name)
right.scatter(*training, s=12, color="gray")
right.set(xlabel="x", ylim=(-2, 2))
right.legend()
