"""
Predictions of few rows: the time beside NumPy and scikit-learn
===============================================================

Where a service or a control loop predicts one row at a time, the overhead of a call is most of the cost. This program
measures it on the machine that built this page. :doc:`/benchmarks` has the full comparison, with more libraries and a
careful method.
"""

from __future__ import annotations

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import fastnn
from fastnn.sklearn import from_sklearn

rng = np.random.default_rng(0)
X = rng.normal(size=(1000, 32))
warnings.simplefilter("ignore", ConvergenceWarning)
theirs = MLPRegressor(hidden_layer_sizes=(64, 64), activation="tanh", max_iter=2, random_state=0).fit(X, X[:, :2])
model = from_sklearn(theirs).network_

# %%
# The three compute the same numbers:


def by_hand(x):
    for w, b in zip(theirs.coefs_[:-1], theirs.intercepts_[:-1], strict=True):
        x = np.tanh(x @ w + b)
    return x @ theirs.coefs_[-1] + theirs.intercepts_[-1]


assert np.allclose(model.predict(X), by_hand(X))
assert np.allclose(theirs.predict(X), by_hand(X))

# %%
# The best of some turns counts, with one thread in fastnn.


def microseconds(function, rows):
    """Return the shortest time of a call."""
    best, repeats = np.inf, max(1, 100 // len(rows))
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(repeats):
            function(rows)
        best = min(best, (time.perf_counter() - start) / repeats)
    return 1e6 * best


fastnn.set_num_threads(1)
sizes = [1, 4, 16, 64, 256, 1000]
contestants = {"scikit-learn": theirs.predict, "NumPy by hand": by_hand, "fastnn": model.predict}
times = {name: [microseconds(function, X[:n]) for n in sizes] for name, function in contestants.items()}

figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for name, values in times.items():
    ax.loglog(sizes, values, ".-", label=name)
ax.set(xlabel="rows per call", ylabel="µs per call", title="32-64-64-2, float64")
ax.grid(which="both", alpha=0.3)
ax.legend()
