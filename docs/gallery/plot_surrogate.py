"""
The derivatives of a surrogate
==============================

A network replaces a function that is expensive to compute, and gives its derivatives as well. ``model.jacobian`` returns the
derivatives of all outputs with respect to all inputs. Here, it leads Newton's method to a point that the function maps to
a given target.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn


def simulate(p):
    """Return where a projectile with drag lands, and how long it flies, for rows of angle and speed."""
    angle, speed = p.T
    x, y = np.zeros_like(angle), np.zeros_like(angle)
    u, v = speed * np.cos(angle), speed * np.sin(angle)
    t, flying = np.zeros_like(angle), np.ones(len(p), bool)
    for _ in range(600):
        drag = 0.02 * np.hypot(u, v)
        u, v = u - 0.01 * drag * u, v - 0.01 * (9.81 + drag * v)
        fraction = np.where(flying & (y + 0.01 * v < 0), y / np.where(v < 0, -0.01 * v, 1), 1.0)
        x, y, t = x + flying * fraction * 0.01 * u, y + flying * 0.01 * v, t + flying * fraction * 0.01
        flying &= y >= 0
    return np.stack([x, t], axis=1)


rng = np.random.default_rng(0)
low, high = np.array([0.3, 5.0]), np.array([1.3, 25.0])
scaled = rng.uniform(-1, 1, (2000, 2))
results = simulate(low + (scaled + 1) / 2 * (high - low))
model = fastnn.MLP((2, 32, 32, 2), "tanh", dtype=np.float64, random_state=0)
model.fit(scaled, results, optimizer=fastnn.Adam(fastnn.schedules.Cosine(0.01, 100 * 63)), epochs=100)

# %%
# The derivatives agree with differences of the simulation:

point, h = np.array([0.1, 0.2]), 1e-2
shifted = point + np.array([[h, 0], [-h, 0], [0, h], [0, -h]])
simulated = simulate(low + (shifted + 1) / 2 * (high - low))
print("simulation", ((simulated[::2] - simulated[1::2]) / (2 * h)).T.round(2).tolist())
print("network   ", model.jacobian(point).round(2).tolist())

# %%
# Which angle and speed land 12 m away after 1.8 s? Newton's method solves ``predict(p) = target``.

target, path = np.array([12.0, 1.8]), [np.zeros(2)]
for _ in range(6):
    p = path[-1]
    step = np.linalg.solve(model.jacobian(p), target - model.predict(p))
    path.append(np.clip(p + step, -1, 1))
path = np.array(path)
angle, speed = low + (path[-1] + 1) / 2 * (high - low)
print(f"angle {np.degrees(angle):.1f}°, speed {speed:.2f} m/s; the simulation gives", end=" ")
print(simulate(np.array([[angle, speed]])).round(2)[0])

side = np.linspace(-1, 1, 80)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
distance, duration = model.predict(grid).T.reshape(2, 80, 80)
degrees, speeds = np.degrees(low[0] + (side + 1) / 2), low[1] + (side + 1) * 10
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ax.clabel(ax.contour(degrees, speeds, distance, 12, cmap="Blues", vmin=-10), fmt="%.0f m")
ax.clabel(ax.contour(degrees, speeds, duration, 8, cmap="Oranges", vmin=-2), fmt="%.1f s")
newton = low + (path + 1) / 2 * (high - low)
ax.plot(np.degrees(newton[:, 0]), newton[:, 1], "k.-", label="Newton's method")
ax.set(xlabel="angle in degrees", ylabel="speed in m/s")
ax.legend()
