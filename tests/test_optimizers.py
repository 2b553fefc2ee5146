"""The compiled updates against the oracle: every row of the registry, every length."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import reference
from fastnn._backend import core as _core
from fastnn._native import native_optimizer
from fastnn.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, RMSProp

CASES = [
    *(optimizer() for optimizer in OPTIMIZERS.values()),
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, nesterov=True),
    AdaGrad(0.1, epsilon=0.1),
    RMSProp(0.1, decay=0.5, epsilon=0.1),
    Adam(0.1, beta_1=0.5, beta_2=0.75, epsilon=0.1),
    Adam(0.1, beta_1=0.0, beta_2=0.0),
    AdamW(0.1, weight_decay=0.5),
]
GUARD = -123.0


def test_registry():
    assert {native_optimizer(case)["name"] for case in CASES} == set(_core.OPTIMIZERS)


def guarded(values, n):
    buffer = np.full(n + 40, GUARD, values.dtype)
    buffer[3 : 3 + n] = values
    return buffer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_update(optimizer, dtype):
    native, rng = native_optimizer(optimizer), np.random.default_rng(0)
    for n in range(34):
        start = rng.standard_normal(n).astype(dtype)
        buffers = [guarded(start, n), *(guarded(np.zeros(n, dtype), n) for _ in range(native["moments"]))]
        weights, *moments = (buffer[3 : 3 + n] for buffer in buffers)
        m, v = [*moments, None, None][:2]
        expected, state = start.astype(np.float64), {}
        for updates in range(4):
            gradient = rng.standard_normal(n).astype(dtype)
            kept = gradient.copy()
            _core.update(native, weights, gradient, m, v, optimizer.learning_rate, updates)
            np.testing.assert_array_equal(gradient, kept)
            update = reference.UPDATES[optimizer.name]
            update(optimizer, [expected], [gradient.astype(np.float64)], state, optimizer.learning_rate)
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(weights, expected, rtol=40 * eps, atol=40 * eps)
        for buffer in buffers:
            np.testing.assert_array_equal(np.delete(buffer, np.s_[3 : 3 + n]), GUARD)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_zero_gradient_keeps_zeros(optimizer, dtype):
    """The padding of parameters is zero with gradient zero, and stays so."""
    native = native_optimizer(optimizer)
    arrays = [np.zeros(33, dtype) for _ in range(4)]
    for updates in range(3):
        _core.update(native, *arrays, 0.1, updates)
    for array in arrays:
        np.testing.assert_array_equal(array, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("updates", [0, 1, 1000, 10**6, 10**12])
def test_adam_counts_updates(updates, dtype):
    """From the first step on, a step is as long as the learning rate, whatever the gradient's size."""
    native, m, v = native_optimizer(Adam()), np.zeros(1, dtype), np.zeros(1, dtype)
    weights, gradient = np.zeros(1, dtype), np.full(1, 7, dtype)
    m[0] = gradient[0] * (1 - 0.9**updates)
    v[0] = gradient[0] ** 2 * (1 - 0.999**updates)
    _core.update(native, weights, gradient, m, v, 0.5, updates)
    np.testing.assert_allclose(weights, -0.5, rtol=1e-5)


def test_wrong_arrays():
    native, w = native_optimizer(Adam()), np.ones(4, np.float32)
    for wrong in (np.ones(3, np.float32), np.ones(4)):
        for arrays in ([wrong, w, w], [w, wrong, w], [w, w, wrong]):
            with pytest.raises(ValueError, match="the arrays must have one size and dtype"):
                _core.update(native, w, *arrays, 0.1, 0)
    with pytest.raises(TypeError, match="a writable contiguous float32 or float64 array"):
        _core.update(native, w[::2], w[::2], w[::2], w[::2], 0.1, 0)
    for moments in ([None, None], [w, None]):
        with pytest.raises(ValueError, match="moments are missing"):
            _core.update(native, w, w, *moments, 0.1, 0)
    np.testing.assert_array_equal(w, 1)


# ---- Where other libraries define otherwise than PyTorch ----


def steps(native, gradients, rate_of):
    """Return the weights after each step, from zeros."""
    w, m, v = (np.zeros(5) for _ in range(3))
    moments = [m, v][: native["moments"]] + [None] * (2 - native["moments"])
    seen = []
    for t, gradient in enumerate(gradients):
        _core.update(native, w, gradient, *moments, rate_of(t), t)
        seen.append(w.copy())
    return seen


GRADIENTS = np.random.default_rng(0).normal(size=(6, 5))


def test_epsilon_hat():
    """Kingma and Ba, end of section 2: epsilon is added before v is corrected. It must be large to be seen."""
    native = native_optimizer(Adam(0.1, epsilon=0.1)) | {"epsilon_hat": True}
    w, m, v = (np.zeros(5) for _ in range(3))
    for t, (gradient, got) in enumerate(zip(GRADIENTS, steps(native, GRADIENTS, lambda t: 0.1), strict=True), start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 0.1)
        np.testing.assert_allclose(got, w, rtol=1e-12)
    plain = steps(native_optimizer(Adam(0.1, epsilon=0.1)), GRADIENTS, lambda t: 0.1)
    assert np.abs(plain[-1] - w).max() > 1e-3


@pytest.mark.parametrize("nesterov", [False, True])
def test_rate_in_velocity(nesterov):
    """The velocity adds up steps: the same for a constant rate, another one for a rate that changes."""
    native = native_optimizer(SGD(0.1, 0.9, nesterov))
    ours = native | {"rate_in_velocity": True}
    constant = [steps(one, GRADIENTS, lambda t: 0.1) for one in (native, ours)]
    np.testing.assert_allclose(constant[0], constant[1], rtol=1e-12)
    w, velocity = np.zeros(5), np.zeros(5)
    for t, (gradient, got) in enumerate(zip(GRADIENTS, steps(ours, GRADIENTS, lambda t: 0.1 / (1 + t)), strict=True)):
        step = -0.1 / (1 + t) * gradient
        velocity = 0.9 * velocity + step
        w = w + (0.9 * velocity + step if nesterov else velocity)
        np.testing.assert_allclose(got, w, rtol=1e-12, atol=1e-15)
    assert np.abs(w - steps(native, GRADIENTS, lambda t: 0.1 / (1 + t))[-1]).max() > 1e-3
