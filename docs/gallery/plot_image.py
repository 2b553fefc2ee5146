"""
A picture as a network: sine activations
========================================

A coordinate network maps the position of a pixel to its color. With sines as activations, as in V. Sitzmann et al.,
"Implicit neural representations with periodic activation functions" (NeurIPS 2020), a small network holds fine detail that
the same network with ReLUs blurs.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

size = 64
side = np.linspace(-1, 1, size)
position = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
r, angle = np.hypot(*position.T), np.arctan2(*position.T)
picture = np.stack([np.sin(12 * r + 3 * angle), np.cos(10 * r**2), np.sin(9 * position[:, 0] * position[:, 1])], axis=1)
picture = 0.5 + 0.5 * picture

# %%
# The first layer of the sine network sees the positions scaled up, so that its units begin with several periods each.

networks = {}
for activation, scale in (("sin", 15), ("relu", 1)):
    model = fastnn.MLP((2, 64, 64, 3), activation, random_state=0)
    steps = 80 * size * size // 64
    optimizer = fastnn.Adam(fastnn.schedules.Cosine(0.002, steps))
    model.fit(scale * position, picture, optimizer=optimizer, epochs=80, batch_size=64)
    networks[activation] = model.predict(scale * position)

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
images = {"original": picture, "sin": networks["sin"], "relu": networks["relu"]}
for ax, (name, image) in zip(axes, images.items(), strict=True):
    error = np.mean((image - picture) ** 2)
    ax.imshow(np.clip(image, 0, 1).reshape(size, size, 3))
    ax.set(xticks=[], yticks=[], title=name if error == 0 else f"{name}: {10 * np.log10(1 / error):.0f} dB")
