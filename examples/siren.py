"""Fit a picture by networks from positions to colors: a SIREN, and one with periodic features of the coordinates.

A SIREN has sines as activations: layers compute sin(30 (x @ W + b)), and their first weights are drawn so that the units of
all layers vary at first as those of the first layer do (V. Sitzmann et al., "Implicit neural representations with periodic
activation functions", NeurIPS 2020). The factor of 30 is part of W and b here. A step of Adam has about the same length
whatever the size of the gradient, so that the learning rate of these is 30 times that of the output layer.

The other network maps each coordinate to sines and cosines of trained frequencies first, with a linear layer and a ReLU
(Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022),
and has the smooth activation SiLU.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import fastnn
from fastnn.embeddings import PLR

SIZE, BATCH_SIZE, TARGET = 96, 256, 35.0  # pixels of a side, pixels of a batch, decibels
W0, SIREN_RATE, PLR_RATE = 30.0, 2e-4, 5e-3
SIREN_WIDTHS, PLR_WIDTHS = (64, 64, 64), (64, 64)
FREQUENCIES: dict[str, Any] = {"n_frequencies": 32, "width": 32, "sigma": 6.0}


def picture(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of pixels, (n, 2) from -1 to 1, and their colors, (n, 3) from 0 to 1."""
    side = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    position = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    x, y = position.T
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    waves = [np.sin(16 * r + 3 * angle), np.cos(14 * r**2), np.sin(11 * x * y + 2 * x)]
    inside = 0.5 - 0.5 * np.tanh(30 * (np.abs(np.hypot(x - 0.35, y + 0.3) - 0.3) - 0.04))  # a ring with edges
    color = 0.5 + 0.4 * np.stack(waves, axis=1)
    return position, (color * (1 - inside[:, None]) + inside[:, None] * np.array([0.9, 0.2, 0.1])).astype(np.float32)


def siren(widths: tuple[int, ...] = SIREN_WIDTHS, seed: int = 0) -> fastnn.MLP:
    """Return a SIREN with its initial weights."""
    rng = np.random.default_rng(seed)
    model = fastnn.MLP((2, *widths, 3), "sin", random_state=seed)
    for layer, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
        n_in = len(weights)
        own = 1.0 if layer == len(widths) else W0
        limit = own / n_in if layer == 0 else own * np.sqrt(6 / n_in) / W0
        weights[...] = rng.uniform(-limit, limit, weights.shape)
        biases[...] = own * rng.uniform(-1, 1, biases.shape) / np.sqrt(n_in)
    return model


def periodic(seed: int = 0) -> fastnn.MLP:
    """Return a network with periodic features of the coordinates."""
    return fastnn.MLP((2, *PLR_WIDTHS, 3), "silu", embeddings=PLR([0, 1], **FREQUENCIES), random_state=seed)


def decibels(colors: np.ndarray, predicted: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of a picture whose colors lie between 0 and 1."""
    return float(-10 * np.log10(np.mean((predicted - colors) ** 2)))


class Until:
    """A callback that ends the training at a number of decibels."""

    def __init__(self, positions: np.ndarray, colors: np.ndarray, target: float) -> None:
        self.positions, self.colors, self.target, self.reached = positions, colors, target, 0.0

    def on_epoch_end(self, trainer: Any, history: Any) -> bool:
        """Stop if the picture is good enough."""
        self.reached = decibels(self.colors, trainer.model.predict(self.positions))
        return self.reached >= self.target


def fit(
    model: fastnn.MLP, positions: np.ndarray, colors: np.ndarray, target: float = TARGET, most_epochs: int = 500
) -> tuple[float, int, float]:
    """Train up to the target, and return the seconds, the epochs and the decibels."""
    is_siren = not model.embeddings
    rate, settings = PLR_RATE, None
    if is_siren:
        rate = W0 * SIREN_RATE
        settings = [None] * (len(model.weights) - 1) + [fastnn.LayerSettings(learning_rate_factor=1 / W0)]
    until, start = Until(positions, colors, target), time.perf_counter()
    options: dict[str, Any] = {"epochs": most_epochs, "batch_size": BATCH_SIZE, "layer_settings": settings}
    history = model.fit(positions, colors, optimizer=fastnn.Adam(rate), callbacks=[until], random_state=0, **options)
    return time.perf_counter() - start, history.epochs, until.reached


def main() -> None:
    """Fit the picture with both networks."""
    positions, colors = picture()
    for name, model in (("SIREN", siren()), ("PLR", periodic())):
        seconds, epochs, reached = fit(model, positions, colors)
        print(f"{name}: {reached:.1f} dB after {epochs} epochs and {seconds:.2f} s, {model.n_parameters} parameters")


if __name__ == "__main__":
    main()
