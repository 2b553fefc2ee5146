"""A classifier for the handwritten digits with scikit-learn's defaults: 100 ReLU units, Adam, batches of 200, small L2.

A job trains from random weights, and returns the share of held-out images that are classified correctly.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

import fastnn
from fastnn._bench.shapes import DIGITS
from fastnn._data import load_digits

BATCH_SIZE, RATE = DIGITS.batch_size, 1e-3
# scikit-learn divides the penalty by the number of rows in the batch.
L2 = 1e-4 / BATCH_SIZE
DEFAULT_EPOCHS = 200

Job = Callable[[], float]


@dataclass(frozen=True)
class Digits:
    """Images and labels to learn from, and every fourth image for testing."""

    X: np.ndarray
    labels: np.ndarray
    X_test: np.ndarray
    labels_test: np.ndarray

    def accuracy(self, predicted: np.ndarray) -> float:
        return float(np.mean(predicted == self.labels_test))


@cache
def digits(dtype: Any) -> Digits:
    images, labels = load_digits()
    X, test = (images / 16).astype(dtype), np.arange(len(images)) % 4 == 0
    return Digits(X[~test], labels[~test], X[test], labels[test])


@cache
def epochs_of_sklearn(dtype: Any, most: int) -> int:
    """Return after how many epochs scikit-learn stops by itself, or the maximum if it is not installed."""
    return sklearn_classifier(dtype, most).n_iter_ if find_spec("sklearn") else most


def sklearn_classifier(dtype: Any, epochs: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    data = digits(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop there
        return MLPClassifier(max_iter=epochs, random_state=0).fit(data.X, data.labels)


def sklearn_job(dtype: Any, epochs: int, n_threads: int) -> Job:
    data = digits(dtype)
    return lambda: data.accuracy(sklearn_classifier(dtype, epochs).predict(data.X_test))


def fastnn_job(dtype: Any, epochs: int, n_threads: int) -> Job:
    data = digits(dtype)

    def job() -> float:
        model = fastnn.MLP(DIGITS.layer_sizes, "relu", "softmax", dtype=dtype, random_state=0)
        options = {"loss": "cross_entropy", "optimizer": fastnn.Adam(RATE), "batch_size": BATCH_SIZE, "l2": L2}
        model.fit(data.X, data.labels, epochs=epochs, **options)
        return data.accuracy(model.predict(data.X_test).argmax(axis=1))

    return job


def torch_job(dtype: Any, epochs: int, n_threads: int) -> Job:
    """Penalize the weights in the optimizer's gradients, as the others do, and not the biases."""
    import torch

    torch.set_num_threads(n_threads)
    data, type_ = digits(dtype), {np.float32: torch.float32, np.float64: torch.float64}[dtype]
    X, labels, X_test = (torch.from_numpy(a) for a in (data.X, data.labels, data.X_test))

    def job() -> float:
        hidden, output = (torch.nn.Linear(*sizes, dtype=type_) for sizes in pairwise(DIGITS.layer_sizes))
        model = torch.nn.Sequential(hidden, torch.nn.ReLU(), output)
        groups = [
            {"params": [hidden.weight, output.weight], "weight_decay": L2},
            {"params": [hidden.bias, output.bias]},
        ]
        optimizer = torch.optim.Adam(groups, RATE, fused=True)
        for _ in range(epochs):
            for rows in torch.randperm(len(X)).split(BATCH_SIZE):
                torch.nn.functional.cross_entropy(model(X[rows]), labels[rows]).backward()
                optimizer.step()
                optimizer.zero_grad()
        with torch.inference_mode():
            return data.accuracy(model(X_test).argmax(dim=1).numpy())

    return job


JOBS = {"fastnn": fastnn_job, "scikit-learn": sklearn_job, "PyTorch": torch_job}
IMPORTS = {"fastnn": "fastnn", "scikit-learn": "sklearn", "PyTorch": "torch"}
