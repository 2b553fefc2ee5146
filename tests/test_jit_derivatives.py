"""Derivatives, losses and steps by a gradient in code that Numba compiles: they have the bits of Python."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from fastnn import MLP, SGD, DivergedError, Trainer, losses

pytest.importorskip("numba")

import numba

from fastnn import jit

TypingError = numba.core.errors.TypingError
DTYPES = [np.float32, np.float64]
LABELS = np.arange(9) % 3


@numba.njit
def jacobian(model, X):
    return model.jacobian(X)


@numba.njit
def jacobian_into(model, X, out):
    return model.jacobian(X, out=out)


@numba.njit
def vjp(model, X, G):
    return model.vjp(X, G)


@numba.njit
def both_products(model, X, G):
    return model.vjp(X, G, inputs=True, n_threads=1)


@numba.njit
def vjp_into(model, X, G, out):
    return model.vjp(X, G, out=out)


@numba.njit
def both_into(model, X, G, out):
    return model.vjp(X, G, inputs=True, out=out)


@numba.njit
def step_gradient(trainer, X, G):
    trainer.step_gradient(X, G)


@numba.njit
def own_loss(model, X, y):
    return model.loss(X, y), model.gradient(X, y), model.input_gradient(X, y)


@numba.njit
def gradients_into(model, X, y, out, by_input):
    value, gradient = model.gradient(X, y, "mae", out=out)
    return value, gradient, model.input_gradient(X, y, "mae", out=by_input)


def vector(gradients):
    return np.concatenate([gradient.ravel() for gradient in gradients])


def data(dtype=np.float64, n_out=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(9, 5)).astype(dtype), rng.normal(size=(9, n_out)).astype(dtype)


def same(actual, wanted):
    np.testing.assert_array_equal(actual, wanted, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_have_the_bits_of_the_model(dtype):
    X, G = data()
    rows = [(X, G), (X[0], G[0]), (X[::2, ::-1], G[::2]), (X.astype(dtype), G.astype(int)), (X[:0], G[:0])]
    for sizes in ((5, 16, 3), (5, 3)):
        model = MLP(sizes, "prelu", "softmax", dropout=0.5, dtype=dtype, random_state=0)
        handle = jit.as_numba(model)
        for x, g in rows:
            wanted, (gradients, by_input) = model.jacobian(x), model.vjp(x, g, inputs=True)
            for given in (model, handle):
                same(jacobian(given, x), wanted)
                same(vjp(given, x, g), vector(gradients))
                same(both_products(given, x, g)[0], vector(gradients))
                same(both_products(given, x, g)[1], by_input)
            same(handle.jacobian(x), wanted)
            same(handle.vjp(x, g), vector(gradients))
            same(handle.vjp(x, g, inputs=True)[1], by_input)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_go_to_given_arrays_of_any_layout(dtype):
    model = MLP((5, 4, 3), "tanh", dtype=dtype, random_state=0)
    X, G = data(dtype)
    wanted, (gradients, by_input) = model.jacobian(X), model.vjp(X, G, inputs=True)
    n = model.n_parameters
    for J in (np.empty((9, 3, 5), dtype), np.empty((5, 3, 9), dtype).T):
        assert jacobian_into(model, X, J) is J
        same(J, wanted)
    for gradient, rows in (
        (np.empty(n, dtype), np.empty((9, 5), dtype)),
        (np.empty(2 * n, dtype)[::-2], np.empty((5, 9), dtype).T),
    ):
        assert vjp_into(model, X, G, gradient) is gradient
        same(gradient, vector(gradients))
        gradient[:] = 0
        assert both_into(model, X, G, (gradient, rows))[0] is gradient
        same(gradient, vector(gradients))
        same(rows, by_input)
        rows[:] = gradient[:] = 0
        value, *_ = gradients_into(model, X, G, gradient, rows)
        assert value == model.loss(X, G, "mae")
        same(gradient, vector(model.gradient(X, G, "mae")[1]))
        same(rows, model.input_gradient(X, G, "mae"))
    handle = jit.as_numba(model)
    out = np.empty(n, dtype), np.empty((9, 5), dtype)
    assert handle.vjp(X, G, inputs=True, out=out)[0] is out[0]
    same(out[0], vector(gradients))
    with pytest.raises(ValueError, match=r"^out: expected .* of shape \(39,\), got list"):
        handle.vjp(X, G, out=[1])


def test_results_may_overlap_the_arguments():
    model = MLP((3, 4, 3), "tanh", dtype=np.float64, random_state=0)
    X, G = np.ascontiguousarray(data()[0][:, :3]), data()[1]
    gradients, by_input = model.vjp(X, G, inputs=True)
    for given in (lambda x, g: x, lambda x, g: g):
        x, g = X.copy(), G.copy()
        gradient = np.empty(model.n_parameters)
        out = given(x, g)
        both_into(model, x, g, (gradient, out))
        same(out, by_input)
        same(gradient, vector(gradients))


def test_results_overlap_neither_the_model_nor_each_other():
    model = MLP((1, 8, 1), "tanh", dtype=np.float64, random_state=0)
    X, G = np.ones((1, 1)), np.ones((1, 1))
    before, memory = model.to_vector(), np.empty(model.n_parameters)
    with pytest.raises(ValueError, match="^out: expected memory of its own, got memory of the model"):
        jacobian_into(model, X, model.weights[0][:, :1].reshape(1, 1, 1))
    with pytest.raises(ValueError, match="^out: expected two arrays that share no memory"):
        both_into(model, X, G, (memory, memory[3:4].reshape(1, 1)))
    same(model.to_vector(), before)


def test_wrong_arguments_raise():
    model = MLP((5, 4, 3), dtype=np.float64, random_state=0)
    bounded = MLP((5, 3), "relu", "tanh", dtype=np.float64, random_state=0)
    trainer = Trainer(model)
    X, G = data()
    before = model.to_vector()
    n = model.n_parameters
    for call, message in (
        (lambda: jacobian(model, X[:, :4]), "^X: expected rows of n_in"),
        (lambda: jacobian(model, X[0, :4]), "^X: expected rows of n_in"),
        (lambda: vjp(model, X[:, :4], G), "^X: expected rows of n_in"),
        (lambda: vjp(model, X, G[:, :2]), "^G: expected the shape"),
        (lambda: vjp(model, X, G[:8]), "^G: expected the shape"),
        (lambda: jacobian_into(model, X, np.empty((9, 5, 3))), "^out: expected the shape"),
        (lambda: vjp_into(model, X, G, np.empty(n - 1)), "^out: expected the shape"),
        (lambda: both_into(model, X, G, (np.empty(n), np.empty((8, 5)))), "^out: expected the shape"),
        (lambda: step_gradient(trainer, X, G[:8]), "^G: expected the shape"),
        (lambda: step_gradient(trainer, X, G[:, :2]), "^G: expected the shape"),
        (lambda: step_gradient(trainer, X[:, :4], G), "^X: expected shape"),
        (lambda: step_gradient(trainer, X[:0], G[:0]), "^X: expected shape"),
        (lambda: own_loss(model, X[:0], G[:0]), "^X: expected shape"),
        (lambda: own_loss(model, X, G[:, :2]), "^y: expected rows of as many numbers"),
        (lambda: own_loss(model, X, LABELS), "^y: expected a row of targets for each row"),
        (lambda: own_loss(model, X[0], 1.0), "^y: expected a target for each output"),
        (lambda: own_loss(MLP((5, 3), "relu", "softmax"), X, LABELS + 1), "y: expected a row of targets"),
        (lambda: own_loss(jit.as_numba(classifier(), "cross_entropy"), X, LABELS + 1), "^y: expected labels from 0"),
        (lambda: own_loss(jit.as_numba(classifier(), "cross_entropy"), X[0], -1), "^y: expected a label from 0"),
        (lambda: numba.njit(lambda m: m.set_vector(np.ones(3)))(model), "^v: expected one number per parameter"),
        (lambda: numba.njit(lambda m, X, y: m.loss(X, y, "poisson"))(bounded, X, G), "^loss: expected one that suits"),
        (lambda: jit.as_numba(bounded, "poisson"), "^loss: expected 'exp'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for code, message in (
        (lambda m, X, y: m.loss(X, y, "mses"), "loss: expected one of"),
        (lambda m, X, y: m.loss(X, y, "mse", y[:, 0]), "loss"),
        (lambda m, X, y: m.jacobian(X, np.empty((2, 2))), "jacobian"),
        (lambda m, X, y: m.vjp(X, y, X[0, 0] > 0), "inputs: expected a bool that is written in the call"),
    ):
        with pytest.raises(TypingError, match=message):
            numba.njit(code)(model, X, G)
    with pytest.raises(TypeError, match="^loss: expected none with a trainer"):
        jit.as_numba(trainer, "mse")
    same(model.to_vector(), before)
    assert trainer.updates == 0


def classifier(dtype=np.float64):
    return MLP((5, 8, 3), "relu", "softmax", dtype=dtype, random_state=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_have_the_bits_of_the_model(dtype):
    X, y = data(dtype)
    model, half = MLP((5, 8, 3), "gelu", dtype=dtype, random_state=0), MLP((5, 8, 2), dtype=dtype, random_state=0)
    single = MLP((5, 8, 1), dtype=dtype, random_state=0)
    ignoring = losses.MSE(missing="ignore", output_weights=(1, 2, 3))
    heads = losses.Heads([(slice(0, 1), "mse"), (slice(1, 3), "cross_entropy")])
    for owner, loss, x, targets in (
        (model, None, X, y),
        (model, losses.Huber(0.5), X[0], y[0]),
        (model, ignoring, X, y),
        (model, heads, X, np.column_stack([y[:, 0], LABELS % 2])),
        (half, losses.GaussianNLL(), X, y[:, :1]),
        (half, "gaussian_nll", X[0], 0.5),
        (half, "gaussian_nll", X[0], 1),
        (single, "mae", X, y[:, 0]),
        (classifier(dtype), "cross_entropy", X, LABELS),
        (classifier(dtype), losses.CrossEntropy(gamma=2.0), X[0], 2),
        (classifier(dtype), "cross_entropy", X, np.eye(3, dtype=dtype)[LABELS]),
    ):
        handle = jit.as_numba(owner, loss)
        name = loss or "mse"
        value, gradients = owner.gradient(x, targets, name)
        by_input = owner.input_gradient(x, targets, name)
        for found in (own_loss(handle, x, targets), own_loss.py_func(handle, x, targets)):
            assert found[0] == found[1][0] == value
            same(found[1][1], vector(gradients))
            same(found[2], by_input)
        assert repr(handle) == f"as_numba({owner!r}{'' if loss is None else f', {loss!r}'})"
        assert own_loss(copy.copy(handle), x, targets)[0] == value
    assert own_loss(model, X, y)[0] == model.loss(X, y)


def test_handles_keep_their_loss_alive():
    def handle():
        return jit.as_numba(MLP((5, 3), dtype=np.float64, random_state=0), losses.MSE(output_weights=(1.0, 2.0, 3.0)))

    @numba.njit
    def later(handle, X, y):
        yield handle.loss(X, y)

    X, y = data()
    waiting = [later(handle(), X, y) for _ in range(20)]
    wanted = MLP((5, 3), dtype=np.float64, random_state=0).loss(X, y, losses.MSE(output_weights=(1.0, 2.0, 3.0)))
    assert [next(each) for each in waiting] == [wanted] * 20


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_by_a_gradient_have_the_bits_of_python(dtype):
    X, G = data()
    for x, g in ((X, G), (X[0], G[0]), (X[::2].astype(dtype), G[::2].astype(dtype))):
        for wrap in (lambda trainer: trainer, jit.as_numba):
            one, other = (
                Trainer(MLP((5, 8, 3), "tanh", dropout=0.2, dtype=dtype, random_state=0), l2=0.1, clip_norm=0.1)
                for _ in range(2)
            )
            for _ in range(3):
                step_gradient(wrap(one), x, g)
                other.step_gradient(x, g)
            assert one.updates == 3
            same(one.model.to_vector(), other.model.to_vector())
    jit.as_numba(one).step_gradient(X, G)
    other.step_gradient(X, G)
    same(one.model.to_vector(), other.model.to_vector())


@numba.njit
def accumulated_step(trainer, X, y, G):
    losses = trainer.accumulate(X, y), trainer.accumulate(X[0], y[0])
    trainer.accumulate(X, G=G)
    trainer.apply()
    return losses


@pytest.mark.parametrize("dtype", DTYPES)
def test_accumulated_steps_have_the_bits_of_python(dtype):
    X, y = data()
    for x, output, loss, targets in (
        (X, "identity", "huber", y),
        (X[::2, ::-1].astype(dtype), "softmax", "cross_entropy", LABELS[::2]),
    ):
        for wrap in (lambda trainer: trainer, jit.as_numba):
            one, other = (
                Trainer(
                    MLP((5, 8, 3), "prelu", output, dropout=0.2, dtype=dtype, random_state=0), loss, l2=0.1, clip_norm=0.1
                )
                for _ in range(2)
            )
            G = y[: len(x)]
            for _ in range(3):
                assert accumulated_step(wrap(one), x, targets, G) == accumulated_step.py_func(wrap(other), x, targets, G)
            assert one.updates == other.updates == 3
            same(one.model.to_vector(), other.model.to_vector())


def test_compiled_code_and_python_accumulate_together():
    X, y = data()
    one, other = (Trainer(MLP((5, 8, 3), random_state=0)) for _ in range(2))
    numba.njit(lambda trainer, X, y: trainer.accumulate(X, y))(one, X[:4], y[:4])
    numba.njit(lambda X, y: one.accumulate(X, G=y))(X, y)  # a global trainer
    one = copy.deepcopy(one)
    one.accumulate(X[4:], y[4:])
    numba.njit(lambda trainer: trainer.apply())(one)
    other.accumulate(X[:4], y[:4])
    other.accumulate(X, G=y)
    other.accumulate(X[4:], y[4:])
    other.apply()
    same(one.model.to_vector(), other.model.to_vector())


def test_wrong_accumulations_raise():
    X, y = data()
    trainer = Trainer(MLP((5, 4, 3), dtype=np.float32, random_state=0), optimizer=SGD(1e38))
    before = trainer.model.to_vector()
    accumulate, apply = numba.njit(lambda t, X, y: t.accumulate(X, y)), numba.njit(lambda t: t.apply())
    with pytest.raises(RuntimeError, match="^apply: nothing was accumulated"):
        apply(trainer)
    with pytest.raises(DivergedError, match="nothing was added"):
        accumulate(trainer, X, y * 1e30)
    with pytest.raises(RuntimeError, match="^apply: nothing was accumulated"):
        apply(trainer)
    with pytest.raises(ValueError, match="^y: expected as many rows"):
        accumulate(trainer, X, y[:8])
    with pytest.raises(ValueError, match="^G: expected the shape"):
        numba.njit(lambda t, X, y: t.accumulate(X, G=y))(trainer, X, y[:8])
    accumulate(trainer, X, y * 1e5)
    with pytest.raises(DivergedError, match="^the accumulated update is not finite"):
        apply(trainer)
    with pytest.raises(RuntimeError, match="^apply: nothing was accumulated"):
        apply(trainer)
    for code in (
        lambda t, X, y: t.accumulate(X),
        lambda t, X, y: t.accumulate(X, y, G=y),
        lambda t, X, y: t.accumulate(X, y, y[:, 0]),
    ):
        with pytest.raises(TypingError, match="accumulate"):
            numba.njit(code)(trainer, X, y)
    same(trainer.model.to_vector(), before)
    assert trainer.updates == 0


def test_steps_of_one_row_have_the_bits_of_python():
    @numba.njit
    def step(trainer, x, y):
        return trainer.step(x, y)

    X, G = data()
    for n_out, output, loss, target in (
        (1, "identity", "mse", 0.5),
        (3, "softmax", "cross_entropy", 2),
        (3, "identity", "mse", G[0]),
    ):
        one, other = (Trainer(MLP((5, 4, n_out), "tanh", output, random_state=0), loss) for _ in range(2))
        assert [step(one, X[0], target) for _ in range(2)] == [other.step(X[0], target) for _ in range(2)]
        same(one.model.to_vector(), other.model.to_vector())


def test_global_trainers_make_steps_by_a_gradient():
    trainer, other = (Trainer(MLP((5, 4, 3), random_state=0)) for _ in range(2))
    X, G = data()
    numba.njit(lambda X, G: trainer.step_gradient(X, G))(X, G)
    other.step_gradient(X, G)
    same(trainer.model.to_vector(), other.model.to_vector())


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_can_be_read_and_written(dtype):
    @numba.njit
    def double(model):
        vector = model.to_vector()
        model.set_vector(2.0 * vector)
        return vector

    for sizes in ((3, 70, 2), (1, 1), (4, 9, 9, 1)):
        model = MLP(sizes, "prelu", dtype=dtype, random_state=0)
        before = model.to_vector()
        same(double(model), before)
        same(model.to_vector(), 2 * before)
        handle = jit.as_numba(model)
        handle.set_vector(before)
        same(handle.to_vector(), before)


def test_hamiltonian_dynamics_with_a_jacobian_conserve_energy():
    """The use of a Jacobian in linear algebra needs a contiguous array of the model's type."""
    surrogate = MLP((2, 8, 3), "tanh", dtype=np.float64, random_state=0)

    @numba.njit
    def drift(surrogate, position, momentum, steps, size):
        for _ in range(steps):
            momentum -= 0.5 * size * (surrogate.predict(position) @ surrogate.jacobian(position))
            position += size * momentum
            momentum -= 0.5 * size * (surrogate.predict(position) @ surrogate.jacobian(position))

    def energy(position, momentum):
        return 0.5 * np.sum(surrogate.predict(position) ** 2) + 0.5 * np.sum(momentum**2)

    position, momentum = np.array([1.0, -0.5]), np.array([0.3, 0.8])
    before = energy(position, momentum)
    drift(surrogate, position, momentum, 1000, 0.01)
    assert abs(energy(position, momentum) - before) < 1e-4 * before
