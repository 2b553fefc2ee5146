"""The counterpart of ../siren.py in PyTorch, with the same networks, initial weights, data and settings."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from siren import BATCH_SIZE, PLR_RATE, SIREN_RATE, TARGET, W0, decibels, periodic, picture, siren


class Siren(torch.nn.Module):
    """A SIREN, in the form of its authors: the factor W0 stands before weights and biases."""

    def __init__(self, model):
        super().__init__()
        sizes = model.layer_sizes
        self.layers = torch.nn.ModuleList(map(torch.nn.Linear, sizes[:-1], sizes[1:]))
        with torch.no_grad():
            for layer, weights, biases in zip(self.layers, model.weights, model.biases, strict=True):
                factor = 1.0 if layer is self.layers[-1] else W0
                layer.weight.copy_(torch.from_numpy(weights.T / factor))
                layer.bias.copy_(torch.from_numpy(biases / factor))

    def forward(self, x):
        """Return the colors of positions."""
        for layer in self.layers[:-1]:
            x = torch.sin(W0 * layer(x))
        return self.layers[-1](x)


class Periodic(torch.nn.Module):
    """A network with periodic features of its inputs."""

    def __init__(self, model):
        super().__init__()
        (embedding,) = model.embeddings
        parts = embedding.parts(model.embedding_parameters[0])
        self.frequencies, self.weights, self.biases = (
            torch.nn.Parameter(torch.from_numpy(np.array(parts[name]))) for name in ("frequencies", "weights", "biases")
        )
        sizes = (len(model.weights[0]), *model.layer_sizes[1:])
        self.layers = torch.nn.ModuleList(map(torch.nn.Linear, sizes[:-1], sizes[1:]))
        with torch.no_grad():
            for layer, weights, biases in zip(self.layers, model.weights, model.biases, strict=True):
                layer.weight.copy_(torch.from_numpy(weights.T.copy()))
                layer.bias.copy_(torch.from_numpy(biases.copy()))

    def forward(self, x):
        """Return the colors of positions."""
        waves = 2 * torch.pi * self.frequencies * x[:, :, None]
        features = torch.cat([torch.cos(waves), torch.sin(waves)], dim=2)
        x = torch.relu(torch.einsum("nci,cio->nco", features, self.weights) + self.biases).flatten(1)
        for layer in self.layers[:-1]:
            x = torch.nn.functional.silu(layer(x))
        return self.layers[-1](x)


def fit(module, rate, positions, colors, target=TARGET, most_epochs=500):
    """Train up to the target, and return the seconds, the epochs and the decibels."""
    torch.manual_seed(0)
    x, y = torch.from_numpy(positions), torch.from_numpy(colors)
    optimizer, start = torch.optim.Adam(module.parameters(), lr=rate, fused=True), time.perf_counter()
    epochs, reached = 0, 0.0
    while epochs < most_epochs and reached < target:
        for rows in torch.randperm(len(x)).split(BATCH_SIZE):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            epochs, reached = epochs + 1, decibels(colors, module(x).numpy())
    return time.perf_counter() - start, epochs, reached


def main():
    """Fit the picture with both networks."""
    positions, colors = picture()
    for name, module, rate in (("SIREN", Siren(siren()), SIREN_RATE), ("PLR", Periodic(periodic()), PLR_RATE)):
        seconds, epochs, reached = fit(module, rate, positions, colors)
        print(f"{name}: {reached:.1f} dB after {epochs} epochs and {seconds:.2f} s")


if __name__ == "__main__":
    main()
