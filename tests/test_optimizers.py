"""The compiled updates against the reference: every row of the registry, every length."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import reference
from fastnn._engine import core as _core
from fastnn._engine.optimizers import native_optimizer
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


def test_registry_has_the_optimizers_of_the_reference():
    assert {native_optimizer(case)["name"] for case in CASES} == set(_core.OPTIMIZERS)


def update(native, weights, gradient, moments, rate, updates):
    """Update a single parameter; return whether its arrays were suitable, and so updated."""
    return _core.update(native, [weights], [gradient], [[moment] for moment in moments], rate, updates)


def guarded(values, n):
    buffer = np.full(n + 40, GUARD, values.dtype)
    buffer[3 : 3 + n] = values
    return buffer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", [case for case in CASES if case.name in reference.UPDATES], ids=repr)
def test_updates_are_those_of_the_reference_for_every_length(optimizer, dtype):
    native, rng = native_optimizer(optimizer), np.random.default_rng(0)
    for n in range(34):
        start = rng.standard_normal(n).astype(dtype)
        buffers = [guarded(start, n), *(guarded(np.zeros(n, dtype), n) for _ in range(native["moments"]))]
        weights, *moments = (buffer[3 : 3 + n] for buffer in buffers)
        expected, state = start.astype(np.float64), {}
        for updates in range(4):
            gradient = rng.standard_normal(n).astype(dtype)
            kept = gradient.copy()
            assert update(native, weights, gradient, moments, optimizer.learning_rate, updates)
            np.testing.assert_array_equal(gradient, kept)
            update_by_reference = reference.UPDATES[optimizer.name]
            update_by_reference(optimizer, [expected], [gradient.astype(np.float64)], state, optimizer.learning_rate)
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(weights, expected, rtol=40 * eps, atol=40 * eps)
        for buffer in buffers:
            np.testing.assert_array_equal(np.delete(buffer, np.s_[3 : 3 + n]), GUARD)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_zero_gradient_keeps_zeros(optimizer, dtype):
    """The padding of parameters is zero and has gradient zero; it must stay zero."""
    native = native_optimizer(optimizer)
    weights, gradient, *moments = (np.zeros(33, dtype) for _ in range(2 + native["moments"]))
    for updates in range(3):
        assert update(native, weights, gradient, moments, 0.1, updates)
    for array in (weights, gradient, *moments):
        np.testing.assert_array_equal(array, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("updates", [0, 1, 1000, 10**6, 10**12])
def test_adams_first_steps_are_as_long_as_the_learning_rate(updates, dtype):
    """From the first step on, a step is as long as the learning rate, however large the gradient is."""
    native, m, v = native_optimizer(Adam()), np.zeros(1, dtype), np.zeros(1, dtype)
    weights, gradient = np.zeros(1, dtype), np.full(1, 7, dtype)
    m[0] = gradient[0] * (1 - 0.9**updates)
    v[0] = gradient[0] ** 2 * (1 - 0.999**updates)
    assert update(native, weights, gradient, [m, v], 0.5, updates)
    np.testing.assert_allclose(weights, -0.5, rtol=1e-5)


class Subclass(np.ndarray):
    pass


def attempt(**changed):
    """Update two parameters by Adam, with some lists replaced; return whether they were updated."""
    lists = {name: [np.ones(4, np.float32) for _ in range(2)] for name in ("params", "grads", "m", "v")} | changed
    return _core.update(native_optimizer(Adam()), lists["params"], lists["grads"], [lists["m"], lists["v"]], 0.1, 0)


def test_unsuitable_lists_are_not_updated():
    read_only, shared = np.ones(4, np.float32), np.ones(4, np.float32)
    read_only.flags.writeable = False
    unaligned = np.ones(17, np.uint8)[1:].view(np.float32)
    wrong = [np.ones(3, np.float32), np.ones((2, 2), np.float32), np.ones(4), np.ones(8, np.float32)[::2], unaligned]
    wrong += [shared.astype(">f4"), shared.astype(np.int32), shared.view(Subclass), np.float32(1), None]
    lists = [None, "text", (shared,), (shared, shared, shared)]
    assert attempt()
    assert attempt(grads=[shared, read_only])
    for name in ("params", "grads", "m", "v"):
        for array in wrong:
            assert not attempt(**{name: [shared, array]})
        for array in lists:
            assert not attempt(**{name: array})
        if name != "grads":
            assert not attempt(**{name: [shared, read_only]})
            assert not attempt(**{name: [shared.copy(), shared], "grads": [shared, shared.copy()]})
    for moments in ([], [[shared]], [[shared]] * 3):
        with pytest.raises(ValueError, match="adam has 2 moments for each parameter"):
            _core.update(native_optimizer(Adam()), [shared.copy()], [shared], moments, 0.1, 0)
    np.testing.assert_array_equal(shared, 1)


def test_gradients_may_overlap_parameters():
    for first in range(9):
        buffer = np.ones(12, np.float32)
        param, gradient = buffer[4:8], buffer[first : first + 4]
        apart = first in (0, 8)
        assert attempt(params=[np.ones(4, np.float32), param], grads=[np.ones(4, np.float32), gradient]) is apart
        assert attempt(params=[np.ones(4, np.float32), param], grads=[gradient, np.ones(4, np.float32)]) is apart


# ---- Definitions that differ between libraries ----


def steps(native, gradients, rate_of):
    """Return the weights after each step, from zeros."""
    w, *moments = (np.zeros(5) for _ in range(1 + native["moments"]))
    seen = []
    for t, gradient in enumerate(gradients):
        update(native, w, gradient, moments, rate_of(t), t)
        seen.append(w.copy())
    return seen


GRADIENTS = np.random.default_rng(0).normal(size=(6, 5))


def test_epsilon_is_added_before_the_correction_if_asked():
    """This is the form at the end of section 2 of Kingma and Ba; a large epsilon makes it visible."""
    native = native_optimizer(Adam(0.1, epsilon=0.1)) | {"epsilon_hat": True}
    w, m, v = (np.zeros(5) for _ in range(3))
    for t, (gradient, got) in enumerate(zip(GRADIENTS, steps(native, GRADIENTS, lambda t: 0.1), strict=True), start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 0.1)
        np.testing.assert_allclose(got, w, rtol=1e-12)
    plain = steps(native_optimizer(Adam(0.1, epsilon=0.1)), GRADIENTS, lambda t: 0.1)
    assert np.abs(plain[-1] - w).max() > 1e-3


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_velocity_includes_the_learning_rate_if_asked(nesterov):
    """For a constant rate the results are those of PyTorch's definition; for one that changes they differ."""
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
