"""Masked arrays: no function computes with the numbers beneath a mask."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, NeuralNetwork, embeddings, losses, reference

MASKED = np.ma.array([[1.0, 2.0, 9e9], [3.0, 4.0, 5.0]], mask=[[0, 0, 1], [0, 0, 0]])
PLAIN = np.ones((2, 3))
CALLS = {
    "tanh": lambda x: reference.tanh(x),
    "softmax": lambda x: reference.softmax(x),
    "log_softmax": lambda x: reference.log_softmax(x),
    "mse_loss": lambda x: reference.mse_loss(x, PLAIN),
    "mse_loss, y_pred": lambda x: reference.mse_loss(PLAIN, x),
    "linear": lambda x: reference.linear(x, PLAIN.T),
    "linear, w": lambda w: reference.linear(PLAIN.T, w),
    "linear_grad": lambda x: reference.linear_grad(x, PLAIN.T, np.ones((2, 2)), np.ones((2, 2)), "tanh"),
    "sgd": lambda grad: reference.sgd([np.ones((2, 3))], [grad], 0.1),
    "NeuralNetwork": lambda x: NeuralNetwork(3, 2, 1, 0.1).forward(x),
    "MLP": lambda x: MLP((3, 2, 1)).predict(x),
    "quantile_bins": lambda x: embeddings.quantile_bins(x, [2], n_bins=1),
    "mean_and_std": lambda x: losses.GaussianNLL().mean_and_std(x[:, 1:]),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_elements_are_refused(name):
    with pytest.raises(ValueError, match=r"^\w+(\[0\])?: expected no masked elements, got an array with some"):
        CALLS[name](MASKED)


@pytest.mark.parametrize("name", CALLS)
def test_arrays_without_masked_elements_are_taken(name):
    CALLS[name](np.ma.array(PLAIN))


def test_gradients_of_the_reference_are_not_masked():
    network = NeuralNetwork(3, 2, 1, 0.1)
    outputs = network.forward(PLAIN)
    with pytest.raises(ValueError, match="^X: expected no masked elements"):
        network.backward(MASKED, np.ones((2, 1)), outputs)
