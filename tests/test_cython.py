"""A user's own extension that says `cimport fastnn`, built against the installed package and run."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import MLP, SGD, Trainer, _core, ops
from fastnn._engine.optimizers import native_optimizer
from fastnn.optimizers import OPTIMIZERS

SOURCE = Path(__file__).parent / "cython_example" / "simulation.pyx"
DTYPES = [np.float32, np.float64]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Transpile and compile the example, as a user's build would."""
    pytest.importorskip("Cython")
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC").split()[0]
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"there is no compiler {compiler}")
    directory = tmp_path_factory.mktemp("cython_example")
    source = shutil.copy(SOURCE, directory)
    subprocess.run([sys.executable, "-m", "cython", "-3", source], cwd=directory, check=True)
    library = directory / f"simulation{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_paths()["include"]
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    command = [*compiler.split(), "-O1", "-shared", "-fPIC", *undefined, f"-I{include}", "simulation.c", "-o", str(library)]
    subprocess.run(command, cwd=directory, check=True)
    loader = importlib.machinery.ExtensionFileLoader("simulation", str(library))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("simulation", loader))
    loader.exec_module(module)
    return module


def data(dtype, n_out=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 3)).astype(dtype)
    return X, np.ascontiguousarray(np.sin(X[:, :n_out]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_in_cython_gives_the_bits_of_python(example, dtype):
    X, y = data(dtype)
    trainers = [Trainer(MLP((3, 8, 2), "tanh", dropout=0.1, dtype=dtype, random_state=0), "huber", l2=0.1) for _ in range(2)]
    first, last = example.train(trainers[0], X, y, 30)
    losses = [trainers[1].step(X, y) for _ in range(30)]
    assert (first, last) == (losses[0], losses[-1])
    assert trainers[0].updates == 30
    np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


def test_training_on_labels_in_cython_gives_the_bits_of_python(example):
    X, _ = data(np.float64)
    labels = np.arange(24) % 3
    trainers = [Trainer(MLP((3, 8, 3), "relu", "softmax", random_state=0), "cross_entropy") for _ in range(2)]
    loss = example.train_on_labels(trainers[0], X, labels, 10)
    assert loss == [trainers[1].step(X, labels) for _ in range(10)][-1]
    with pytest.raises(ValueError, match="^labels: expected 0 to 2.*got 3 at row 4"):
        example.train_on_labels(trainers[0], X, np.where(np.arange(24) == 4, 3, labels), 1)
    with pytest.raises(ValueError, match="^labels: .*got them for another loss"):
        example.train_on_labels(Trainer(MLP((3, 3))), X, labels, 1)


def test_divergence_and_schedules_raise_in_cython(example):
    X, y = data(np.float64)
    trainer = Trainer(MLP((3, 2), dtype=np.float64), optimizer=SGD(1e200))
    with pytest.raises(fastnn.DivergedError, match="nothing was changed"):
        example.train(trainer, X, y, 100)
    assert np.isfinite(trainer.model.to_vector()).all()
    with pytest.raises(TypeError, match="^trainer: expected a learning rate that is a number, got the schedule"):
        example.train(Trainer(MLP((3, 2)), optimizer=SGD(lambda step: 0.1 / (1 + step))), X, y, 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_in_cython_are_those_of_python(example, dtype):
    policy = MLP((3, 5, 3), "tanh", dtype=dtype, random_state=0)
    state, wanted = np.ones(3, dtype), np.ones(3, dtype)
    example.simulate(policy, state, 20)
    for _ in range(20):
        wanted += policy.predict(wanted)
    np.testing.assert_array_equal(state, wanted)
    other = np.ones(3, np.float32 if dtype == np.float64 else np.float64)
    with pytest.raises(TypeError, match="^x, out: .*got "):
        example.simulate(policy, other, 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_arrays_in_cython_are_those_of_ops(example, dtype):
    x = np.random.default_rng(0).normal(size=50).astype(dtype)
    for name in _core.FUNCTIONS:
        y = x.copy()
        example.apply(name, y)
        np.testing.assert_array_equal(y, getattr(ops, name)(x))
    z = x.reshape(10, 5).copy()
    example.softmax(z)
    np.testing.assert_array_equal(z, ops.softmax(x.reshape(10, 5)))
    w, b, out = np.cos(x[:30]).reshape(5, 6), x[:6], np.empty((10, 6), dtype)
    for activation in _core.ACTIVATIONS:
        example.layer(x.reshape(10, 5), w, b, out, activation)
        np.testing.assert_array_equal(out, ops.linear(x.reshape(10, 5), w, b, activation))
    with pytest.raises(ValueError, match="^name: expected one of tanh, .*got 'tan'"):
        example.apply("tan", x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in _core.OPTIMIZERS if name != "muon"])  # which is for networks alone
def test_optimizers_in_cython_are_those_of_ops(example, name, dtype):
    nesterov = SGD(0.1, 0.9, nesterov=True)
    optimizer = {"momentum": SGD(0.1, 0.9), "nesterov": nesterov}.get(name) or OPTIMIZERS[name](learning_rate=0.1)
    arrays, wanted = ([np.linspace(1, 2, 9, dtype=dtype), *np.zeros((2, 9), dtype)] for _ in range(2))
    for updates in range(5):
        g = np.sin(arrays[0] + updates)
        example.optimize(name, arrays[0], g, *arrays[1:], updates)
        rule = native_optimizer(optimizer)
        moments = [[moment] for moment in wanted[1 : 1 + rule["moments"]]]
        assert _core.update(rule, wanted[:1], [g], moments, 0.1, updates)
    for actual, expected in zip(arrays, wanted, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_in_cython_are_those_of_python(example, dtype):
    model = MLP((3, 5, 2), "tanh", "softmax", dtype=dtype, random_state=0)
    X, G = data(dtype)
    jacobian, gradient, by_input = np.empty((24, 2, 3), dtype), np.empty(model.n_parameters, dtype), np.empty((24, 3), dtype)
    example.derivatives(model, X, G, jacobian, gradient, by_input)
    gradients, wanted = model.vjp(X, G, inputs=True)
    np.testing.assert_array_equal(jacobian, model.jacobian(X))
    np.testing.assert_array_equal(gradient, np.concatenate([g.ravel() for g in gradients]))
    np.testing.assert_array_equal(by_input, wanted)
    other = np.float32 if dtype == np.float64 else np.float64
    with pytest.raises(TypeError, match="^x, out: .*got "):
        example.derivatives(model, *(a.astype(other) for a in (X, G, jacobian, gradient, by_input)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", _core.LOSSES)
def test_losses_in_cython_are_those_of_python(example, name, dtype):
    if name == "multi_quantile":
        with pytest.raises(ValueError, match="^name: expected a loss that suits the model"):
            example.descend(MLP((3, 2), dtype=dtype), name, *data(dtype), np.empty(8, dtype))
        return
    output = {"poisson": "exp", "binary_cross_entropy": "sigmoid", "cross_entropy": "softmax", "kl_divergence": "softmax"}
    model = MLP((3, 5, 2), "tanh", output.get(name, "identity"), dtype=dtype, random_state=0)
    X, y = data(dtype)
    y = np.ascontiguousarray(np.sign(y) if "hinge" in name else np.abs(y) / np.abs(y).sum(1, keepdims=True))
    y = y[:, :1].copy() if name == "gaussian_nll" else y
    gradient = np.empty(model.n_parameters, dtype)
    value, gradients = model.gradient(X, y, name)
    assert example.descend(model, name, X, y, gradient) == (value, value)
    np.testing.assert_array_equal(gradient, np.concatenate([g.ravel() for g in gradients]))


def test_losses_of_labels_in_cython_are_those_of_python(example):
    model = MLP((3, 5, 3), "relu", "softmax", random_state=0)
    X, labels, by_input = data(np.float32)[0], np.arange(24) % 3, np.empty((24, 3), np.float32)
    value = model.loss(X, labels, "cross_entropy")
    assert example.descend_on_labels(model, "cross_entropy", X, labels, by_input) == (value, value)
    np.testing.assert_array_equal(by_input, model.input_gradient(X, labels, "cross_entropy"))
    with pytest.raises(ValueError, match="^labels: expected 0 to 2, got 3 at row 2"):
        example.descend_on_labels(model, "cross_entropy", X, labels + 1, by_input)
    with pytest.raises(ValueError, match="^labels: got them for another loss"):
        example.descend_on_labels(MLP((3, 3)), "mse", X, labels, by_input)
    with pytest.raises(ValueError, match="^name: expected a loss that suits"):
        example.descend_on_labels(MLP((3, 3), "relu", "tanh"), "cross_entropy", X, labels, by_input)
    with pytest.raises(ValueError, match="^name: expected one of mse, "):
        example.descend_on_labels(model, "mses", X, labels, by_input)


@pytest.mark.parametrize("dtype", DTYPES)
def test_accumulated_steps_in_cython_give_the_bits_of_python(example, dtype):
    X, y = data(dtype)
    one, other = (Trainer(MLP((3, 8, 2), "tanh", dropout=0.1, dtype=dtype, random_state=0), l2=0.1) for _ in range(2))
    for size in (10, 24):
        example.accumulate_gradient(one, X, y)
        loss = example.train_in_parts(one, X, y, size)
        other.accumulate(X, G=y)
        losses = [other.accumulate(X[i : i + size], y[i : i + size]) * len(X[i : i + size]) for i in range(0, 24, size)]
        other.apply()
        assert loss == sum(losses) / 24
    assert one.updates == 2
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())


def test_accumulation_in_cython_raises_the_errors_of_python(example):
    X, y = data(np.float32)
    one, other = (Trainer(MLP((3, 3), "relu", "softmax", random_state=0), "cross_entropy") for _ in range(2))
    assert example.accumulate_on_labels(one, X, np.arange(24) % 3) == other.accumulate(X, np.arange(24) % 3)
    with pytest.raises(ValueError, match="^labels: expected 0 to 2, got 3 at row 0"):
        example.accumulate_on_labels(one, X, np.full(24, 3))
    for each, apply in ((one, example.apply_accumulated), (other, Trainer.apply)):
        apply(each)
        with pytest.raises(RuntimeError, match="^apply.*nothing was accumulated"):
            apply(each)
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())
    trainer = Trainer(MLP((3, 2), random_state=0), optimizer=SGD(1e38))
    with pytest.raises(fastnn.DivergedError, match="nothing was added"):
        example.train_in_parts(trainer, X, y * np.float32(1e30), 24)
    with pytest.raises(fastnn.DivergedError, match="^the accumulated update is not finite"):
        example.train_in_parts(trainer, X, y * np.float32(1e5), 24)
    with pytest.raises(ValueError, match="^labels: got them for another loss"):
        example.accumulate_on_labels(trainer, X, np.arange(24) % 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_by_a_gradient_in_cython_give_the_bits_of_python(example, dtype):
    X, G = data(dtype, 2)
    losses = ("mse", "gaussian_nll")  # the second one takes half as many targets as there are outputs
    for loss in losses:
        one, other = (Trainer(MLP((3, 8, 2), "tanh", dropout=0.1, dtype=dtype, random_state=0), loss) for _ in range(2))
        example.step_by_gradient(one, X, G, 5)
        for _ in range(5):
            other.step_gradient(X, G)
        assert one.updates == 5
        np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())
