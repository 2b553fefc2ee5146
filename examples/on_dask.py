"""Train a classifier on a Dask cluster, or on the cores of this machine if DASK_SCHEDULER_ADDRESS is not set."""

from __future__ import annotations

import os

import dask.array as da
import numpy as np
from distributed import Client

from fastnn.dask import MLPClassifier

N_FEATURES = 20


def make_rows(block_info=None):
    """Return a partition: in a real program, the contents of a file."""
    (first, last), _ = block_info[None]["array-location"]
    return np.random.default_rng(first).standard_normal((last - first, N_FEATURES), dtype=np.float32)


def classes_of(X):
    """Return the classes of rows, which no linear model tells apart."""
    return (np.sin(1.5 * X[:, 0]) * X[:, 1] + X[:, 2] * X[:, 3] + 0.5 * X[:, 4] > 0).astype(np.int8)


def make_data(n_partitions, rows_per_partition):
    """Return lazy rows and classes."""
    chunks = ((rows_per_partition,) * n_partitions, (N_FEATURES,))
    X = da.map_blocks(make_rows, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0), np.float32))
    return X, X.map_blocks(classes_of, drop_axis=1, dtype=np.int8, meta=np.empty(0, np.int8))


def main(n_partitions=20, rows_per_partition=50_000, epochs=5):
    """Train, and return the accuracy on other partitions."""
    X, y = make_data(n_partitions + 1, rows_per_partition)
    n_rows = n_partitions * rows_per_partition
    classifier = MLPClassifier((64, 32), learning_rate_init=0.002, max_iter=epochs, random_state=0)
    classifier.fit(X[:n_rows], y[:n_rows], X_val=X[n_rows:], y_val=y[n_rows:])
    print(*(f"{loss:.4f}" for loss in classifier.validation_loss_curve_))
    return classifier.score(X[n_rows:], y[n_rows:])


if __name__ == "__main__":
    with Client(os.environ.get("DASK_SCHEDULER_ADDRESS")):
        print(f"accuracy {main():.3f}")
