"""The optimizers of the reference: against hand calculations and PyTorch, and in place."""

from __future__ import annotations

import copy
import inspect
import math

import numpy as np
import pytest

from fastnn.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Lion, NAdam, RMSProp
from fastnn.reference import UPDATES, adagrad, adam, adamw, lion, momentum, nadam, rmsprop, sgd

CASES = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, nesterov=True),
    AdaGrad(0.1),
    AdaGrad(0.1, epsilon=0.1),
    RMSProp(0.01),
    RMSProp(0.01, decay=0.5, epsilon=0.1),
    Adam(0.01),
    Adam(0.01, beta_1=0.5, beta_2=0.7, epsilon=0.1),
    AdamW(0.01),
    AdamW(0.01, weight_decay=0.5),
    NAdam(0.01),
    NAdam(0.01, beta_1=0.5, momentum_decay=0.1),
    Lion(0.01),
    Lion(0.01, beta_1=0.5, beta_2=0.7, weight_decay=0.5),
]


def torch_optimizer(torch, optimizer, params):
    optim, rate = torch.optim, optimizer.learning_rate
    if isinstance(optimizer, SGD):
        return optim.SGD(params, rate, momentum=optimizer.momentum, nesterov=optimizer.nesterov)
    if isinstance(optimizer, AdaGrad):
        return optim.Adagrad(params, rate, eps=optimizer.epsilon)
    if isinstance(optimizer, RMSProp):
        return optim.RMSprop(params, rate, alpha=optimizer.decay, eps=optimizer.epsilon)
    betas = optimizer.beta_1, optimizer.beta_2
    if isinstance(optimizer, AdamW):
        decay = optimizer.weight_decay
        return optim.AdamW(params, rate, betas=betas, eps=optimizer.epsilon, weight_decay=decay)
    if isinstance(optimizer, NAdam):
        return optim.NAdam(params, rate, betas=betas, eps=optimizer.epsilon, momentum_decay=optimizer.momentum_decay)
    return optim.Adam(params, rate, betas=betas, eps=optimizer.epsilon)


def test_every_optimizer_is_tested():
    assert set(UPDATES) == {*OPTIMIZERS} - {"muon"} == {optimizer.name for optimizer in CASES}


@pytest.mark.parametrize("optimizer", [case for case in CASES if not isinstance(case, Lion)], ids=repr)
def test_updates_are_those_of_pytorch(torch, optimizer):
    rng = np.random.default_rng(0)
    params = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    theirs = [torch.tensor(param, requires_grad=True) for param in params]
    peer, state = torch_optimizer(torch, optimizer, theirs), {}
    for _ in range(200):
        grads = [rng.normal(size=param.shape) * rng.random() for param in params]
        for param, grad in zip(theirs, grads, strict=True):
            param.grad = torch.tensor(grad)
        peer.step()
        UPDATES[optimizer.name](optimizer, params, grads, state, optimizer.learning_rate)
        for param, their in zip(params, theirs, strict=True):
            np.testing.assert_allclose(param, their.detach().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        # The parameter after two steps that start from 1, with gradients 1 and 0.
        (SGD(0.5), 0.5),
        (SGD(0.5, momentum=0.5), 1 - 0.5 - 0.25),
        (SGD(0.5, momentum=0.5, nesterov=True), 1 - 0.5 * 1.5 - 0.5 * 0.25),
        (AdaGrad(0.5, epsilon=1.0), 1 - 0.5 / 2),
        (RMSProp(0.5, decay=0.75, epsilon=1.0), 1 - 0.5 / 1.5),
        (Adam(0.5, 0.5, 0.75, 1.0), 1 - 0.5 / 2 - 0.5 * (0.25 / 0.75) / (math.sqrt(0.1875 / 0.4375) + 1)),
        (AdamW(0.5, 0.5, 0.0, 1.0, 0.5), (1 * 0.75 - 0.25) * 0.75 - 0.5 * (0.25 / 0.75)),
    ],
    ids=repr,
)
def test_updates_are_those_calculated_by_hand(optimizer, expected):
    param, state = np.array([1.0]), {}
    for grad in (1.0, 0.0):
        UPDATES[optimizer.name](optimizer, [param], [np.array([grad])], state, optimizer.learning_rate)
    assert param[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("optimizer", CASES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_are_in_place_and_keep_the_type(optimizer, dtype):
    storage = np.ones((4, 8), dtype=dtype)
    param, grad, state = storage[:, :3], np.full((4, 3), 0.5, dtype=dtype), {}
    UPDATES[optimizer.name](optimizer, [param], [grad], state, 0.1)
    assert (storage[:, :3] < 1).all()
    assert (storage[:, 3:] == 1).all()
    assert (grad == 0.5).all()
    moments = [moment for kept in state.values() if isinstance(kept, list) for moment in kept]
    assert all(moment.dtype == dtype and moment.shape == param.shape for moment in moments)


@pytest.mark.parametrize("optimizer", [case for case in CASES if isinstance(case, Lion)], ids=repr)
def test_updates_of_lion_are_those_of_the_paper(optimizer):
    """Algorithm 2 of Chen et al. 2023, one number at a time."""
    rng = np.random.default_rng(0)
    param, state = rng.normal(size=(3, 4)), {}
    expected, means = param.ravel().tolist(), [0.0] * 12
    for t in range(50):
        grad = rng.normal(size=(3, 4))
        grad[0] *= t >= 3  # the sign of 0 is 0
        UPDATES["lion"](optimizer, [param], [grad], state, optimizer.learning_rate)
        for i, g in enumerate(grad.ravel().tolist()):
            mean = optimizer.beta_1 * means[i] + (1 - optimizer.beta_1) * g
            direction = (mean > 0) - (mean < 0)
            expected[i] -= optimizer.learning_rate * (direction + optimizer.weight_decay * expected[i])
            means[i] = optimizer.beta_2 * means[i] + (1 - optimizer.beta_2) * g
        np.testing.assert_allclose(param.ravel(), expected, rtol=1e-13)
    np.testing.assert_allclose(state["m"][0].ravel(), means, rtol=1e-12)


def test_sgd_subtracts_the_gradient():
    params = [np.array([[1.0, 2.0]]), np.array([3.0])]
    assert sgd(params, [[[1, -1]], np.array([2])], 0.5) is None
    np.testing.assert_array_equal(params[0], [[0.5, 2.5]])
    np.testing.assert_array_equal(params[1], [2.0])
    sgd([], [], 0.5)


@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_functions_have_the_bits_of_the_updates(optimizer):
    """The functions check arguments, and then compute the same as training."""
    functions = {"adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adamw, "nadam": nadam, "lion": lion}
    plain = optimizer.name == "sgd" and optimizer.momentum == 0
    function = functions.get(optimizer.name, sgd if plain else momentum)
    rng, coefficients = np.random.default_rng(2), vars(optimizer)
    params, state, other_state = [rng.normal(size=(2, 3)), rng.normal(size=3)], {}, {}
    others = copy.deepcopy(params)
    for _ in range(10):
        grads = [rng.normal(size=param.shape) for param in params]
        if plain:
            sgd(params, grads, optimizer.learning_rate)
        else:
            function(params, grads, state, **coefficients)
        UPDATES[optimizer.name](optimizer, others, grads, other_state, optimizer.learning_rate)
        np.testing.assert_equal((params, state), (others, other_state))


def test_the_state_of_adam_counts_steps_and_can_be_copied():
    rng = np.random.default_rng(1)
    params, state = [rng.normal(size=(2, 3)), rng.normal(size=3)], {}
    others, other_state = copy.deepcopy(params), {}
    for step in range(1, 6):
        grads = [rng.normal(size=param.shape) for param in params]
        assert adam(params, grads, state, 0.01, 0.8, 0.9, 1e-6) is None
        assert set(state) == {"step", "m", "v"}
        assert state["step"] == step
        UPDATES["adam"](Adam(0.01, 0.8, 0.9, 1e-6), others, grads, other_state, 0.01)
        for one, other in zip(params, others, strict=True):
            np.testing.assert_array_equal(one, other)
    # A copied state continues from the same place.
    again, again_state = copy.deepcopy(params), copy.deepcopy(state)
    adam(params, grads, state)
    adam(again, grads, again_state)
    np.testing.assert_array_equal(params[0], again[0])


def test_signatures_have_the_coefficients_of_the_optimizers():
    assert list(inspect.signature(sgd).parameters) == ["params", "grads", "learning_rate"]
    parameters = inspect.signature(adam).parameters
    assert list(parameters) == ["params", "grads", "state", "learning_rate", "beta_1", "beta_2", "epsilon"]
    assert [p.default for p in parameters.values()][3:] == [0.001, 0.9, 0.999, 1e-8]


@pytest.mark.parametrize(
    "update", [lambda params, grads: sgd(params, grads, 0.1), lambda params, grads: adam(params, grads, {})]
)
def test_errors_change_nothing(update):
    first, grad = np.ones(2), np.ones(2)
    frozen = np.ones(2)
    frozen.flags.writeable = False
    cases = [
        ([first], [grad, grad], ValueError, "grads: expected 1 arrays, .*got 2"),
        ([first, np.ones(3)], [grad, grad], ValueError, r"grads\[1\]: expected shape \(3,\), got \(2,\)"),
        ([first, np.ones((2, 1))], [grad, grad], ValueError, r"grads\[1\]: expected shape \(2, 1\), got \(2,\)"),
        ([first, np.ones(2, dtype=int)], [grad, grad], TypeError, r"params\[1\]: expected a floating-point.*got int64"),
        ([first, [1.0, 1.0]], [grad, grad], TypeError, r"params\[1\]: expected a floating-point.*got list"),
        ([first, frozen], [grad, grad], ValueError, r"params\[1\]: .*got a read-only one"),
        ([first, np.ones(2)], [grad, 1j * grad], TypeError, r"grads\[1\]: .*got dtype complex128"),
    ]
    for params, grads, error, message in cases:
        with pytest.raises(error, match=message):
            update(params, grads)
        np.testing.assert_array_equal(first, [1.0, 1.0])


def test_wrong_numbers_and_states_raise():
    param, grad, state = np.ones(2), np.ones(2), {}
    with pytest.raises(ValueError, match="learning_rate: expected a finite number >= 0.*got -0.1"):
        sgd([param], [grad], -0.1)
    with pytest.raises(TypeError, match="learning_rate: .*got '0.1' of type str"):
        adam([param], [grad], state, "0.1")
    with pytest.raises(ValueError, match=r"beta_2: .*got 1\.0"):
        adam([param], [grad], state, beta_2=1.0)
    with pytest.raises(TypeError, match="state: expected a dict.*got list"):
        adam([param], [grad], [])
    adam([param], [grad], state)
    with pytest.raises(ValueError, match=r"state\['m'\]\[0\]: expected shape \(3,\), got \(2,\)"):
        adam([np.ones(3)], [np.ones(3)], state)
