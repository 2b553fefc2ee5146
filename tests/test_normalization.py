"""LayerNorm and RMSNorm before and after activations: derivatives, training, bits, files and errors."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from _helpers import run_script

import fastnn
from fastnn import MLP, SGD, Adam, AdamW, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.portable import _compile
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE

# Sizes, activations, normalizations and their places: narrow and wide rows, rows of whole KiB, one unit, layers without one.
NETWORKS = [
    ((3, 5, 2), ["tanh"], "layer_norm", "before"),
    ((3, 5, 2), ["relu"], "rms_norm", "before"),
    ((3, 5, 2), ["sigmoid"], "layer_norm", "after"),
    ((3, 5, 2), ["gelu"], "rms_norm", "after"),
    ((4, 17, 33, 3), ["prelu", "prelu"], ["layer_norm", "rms_norm"], ["before", "after"]),
    ((4, 17, 33, 20), ["prelu", "silu"], ["rms_norm", "layer_norm"], ["after", "before"]),
    ((4, 9, 8, 6, 1), ["identity", "relu", "identity"], ["layer_norm", None, "layer_norm"], ["before", None, "after"]),
    ((2, 256, 128, 9), ["elu", "softplus"], "layer_norm", ["after", "before"]),
    ((2, 1, 3), ["tanh"], "rms_norm", "after"),
    ((9, 2, 2), ["sin"], "layer_norm", "before"),
]
IDS = [f"{n[0]} {n[2]} {n[3]}" for n in NETWORKS]
STEP = 1e-6


def model_with(sizes, activations, normalization, place, dtype=np.float64, **options):
    """Return a model whose parameters are all different."""
    model = MLP(
        sizes, activations, normalization=normalization, normalization_place=place, dtype=dtype, random_state=0, **options
    )
    rng = np.random.default_rng(1)
    for parameter in by_kind({name: views for name, views in model._views().items() if name != "weights"}):
        parameter[...] = rng.uniform(0.3, 1.2, parameter.shape) * rng.choice([-1, 1], parameter.shape)
    return model


def data_for(model, n=37):
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, model.layer_sizes[0])), rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n)


def reference_of(model):
    """Return copies of the lists that the reference takes, and the options."""
    copies = {name: [None if v is None else v.copy() for v in views] for name, views in model._views().items()}
    normalizations = [
        None if each is None else reference.Normalization(each[0], gains, shifts, each[1])
        for each, gains, shifts in zip(model._network.normalizations, copies["gains"], copies["shifts"], strict=True)
    ]
    lists = copies["weights"], copies["biases"], model.activations
    return lists, {"slopes": copies["slopes"], "normalizations": normalizations}


def in_order(weights, biases, slopes, normalizations):
    """Return gradients of the reference in the order of a model's parameters."""
    result = []
    for w, b, s, n in zip(weights, biases, slopes, normalizations, strict=True):
        result += [w, b, *([] if s is None else [s]), *(n or ())]
    return result


def difference(function, array, at):
    kept, values = array[at], []
    for moved in (kept + STEP, kept - STEP):
        array[at] = moved
        values.append(function())
    array[at] = kept
    return (values[0] - values[1]) / (2 * STEP)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 6)
    _, gradients = model.gradient(X, y, "mse", weight)
    assert len(gradients) == len(model.parameters)
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        for index in np.random.default_rng(3).permutation(list(np.ndindex(array.shape)))[:25]:
            at = tuple(index)
            expected = difference(lambda: model.loss(X, y, "mse", weight), array, at)
            np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = model_with(*network, dtype)
    X, y, weight = data_for(model, 600)
    lists, options = reference_of(model)
    expected = reference.forward(*lists, X, **options)
    tolerance = {"rtol": 3e-4, "atol": 3e-5} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-11}
    for got, (_, wanted) in zip(model.hidden_activations(X), expected, strict=False):
        np.testing.assert_allclose(got, wanted, **tolerance)
    np.testing.assert_allclose(model.predict(X), expected[-1][1], **tolerance)
    value, *kinds = reference.loss_and_gradient(*lists, X, y, "mse", weight, **options)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == pytest.approx(value, rel=tolerance["rtol"])
    for gradient, wanted in zip(gradients, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **tolerance)
    np.testing.assert_allclose(model.input_gradient(X, y), reference.input_gradient(*lists, X, y, **options), **tolerance)
    by_parameters, by_inputs = model.vjp(X, y, inputs=True)
    inputs, *kinds = reference.vjp(*lists, X, y, **options)
    wide = {name: 20 * value for name, value in tolerance.items()}  # sums over many rows
    np.testing.assert_allclose(by_inputs, inputs, **wide)
    for gradient, wanted in zip(by_parameters, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **wide)
    np.testing.assert_allclose(model.jacobian(X[:45]), reference.jacobian(*lists, X[:45], **options), **wide)


@pytest.mark.parametrize("normalization", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("sizes", [(2, 18, 5, 7), (40, 18, 20, 3)])
def test_jacobians_in_both_modes_are_central_differences(normalization, place, sizes):
    model = model_with(sizes, ["tanh", "prelu"], normalization, place)
    X = data_for(model, 3)[0]
    jacobian = model.jacobian(X)
    for k in range(sizes[0]):
        moved = [model.predict(X + step * (np.arange(sizes[0]) == k)) for step in (STEP, -STEP)]
        np.testing.assert_allclose(jacobian[:, :, k], (moved[0] - moved[1]) / (2 * STEP), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.02, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "options", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [8, 1000])
@pytest.mark.parametrize("network", NETWORKS[4:7], ids=IDS[4:7])
def test_training_gives_the_parameters_of_the_reference(network, optimizer, options, dropout, batch_size):
    model = model_with(*network, dropout=dropout)
    X, y, weight = data_for(model, 1200 if batch_size > 512 else 40)
    lists, parameters = reference_of(model)
    settings = {"batch_size": batch_size, "shuffle": False, **options}
    history = Trainer(model, "mse", optimizer, random_state=5, **settings).run(X, y, 3, sample_weight=weight)
    losses = reference.train(
        *lists,
        X,
        y,
        optimizer=optimizer,
        epochs=3,
        rng=np.random.default_rng(5),
        sample_weight=weight,
        dropout=dropout,
        **parameters,
        **settings,
    )
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-8)
    normalizations = [n and ([n.gains] if n.shifts is None else [n.gains, n.shifts]) for n in parameters["normalizations"]]
    for got, wanted in zip(model.parameters, in_order(*lists[:2], parameters["slopes"], normalizations), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("network", "how"), [*((network, "plain") for network in NETWORKS[4:7]), (NETWORKS[6], "compiled")])
def test_the_fallback_trains_to_the_same_parameters(network, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    model = model_with(*network, dropout=0.2)
    X, y, _ = data_for(model)
    mine = model._network
    fallback = _portable.Network(mine.layer_sizes, mine.activations, mine.dropout, np.float64, mine.normalizations)
    for array, view in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        array[...] = view
    np.testing.assert_allclose(fallback.predict(X), model.predict(X), rtol=1e-9, atol=1e-12)
    gradient, jacobian = np.zeros_like(fallback.storage), np.zeros((len(X), mine.layer_sizes[-1], mine.layer_sizes[0]))
    value = fallback.gradient(native_loss(MSE(), "identity"), X, y, False, gradient=gradient)
    loss, gradients = model.gradient(X, y)
    assert value == pytest.approx(loss)
    for got, wanted in zip(by_layer(fallback.views(gradient)), gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-11)
    fallback.jacobian(X, jacobian)
    np.testing.assert_allclose(jacobian, model.jacobian(X), rtol=1e-8, atol=1e-11)
    optimizer = AdamW(0.01, weight_decay=0.1)
    trainer = Trainer(model, "mse", optimizer, batch_size=8, random_state=5, l2=0.1)
    settings = trainer._wanted.settings
    moments = np.zeros((len(settings.moments), fallback.storage.size))
    settings = settings._replace(moments=moments, bit_generator=np.random.default_rng(5).bit_generator, shuffle=True)
    run = _portable.Run(fallback, (X, y, False, None), settings, 3, 0)
    run.set_rates(np.full(1, optimizer.learning_rate))
    assert run.advance(1e9, 3) == "finished"
    history = trainer.run(X, y, 3)
    np.testing.assert_allclose(run.epoch_loss, history["loss"], rtol=1e-8)
    for got, wanted in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("normalization", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch_computes_the_same(normalization, place, dtype):
    torch = pytest.importorskip("torch")
    model = model_with((5, 24, 33, 3), ["silu", "relu"], normalization, place, np.dtype(dtype))
    X, y, _ = data_for(model)
    kinds = {"layer_norm": torch.nn.LayerNorm, "rms_norm": lambda n: torch.nn.RMSNorm(n, eps=1e-5)}
    parts, arrays = [], []
    for layer, activation in enumerate((torch.nn.SiLU(), torch.nn.ReLU(), None)):
        linear = torch.nn.Linear(*model.layer_sizes[layer : layer + 2])
        parts.append(linear)
        arrays += [(linear.weight, model.weights[layer].T), (linear.bias, model.biases[layer])]
        if activation is not None:
            normalized = kinds[normalization](model.layer_sizes[layer + 1])
            parts += [normalized, activation] if place == "before" else [activation, normalized]
            arrays.append((normalized.weight, model.gains[layer]))
            if normalization == "layer_norm":
                arrays.append((normalized.bias, model.shifts[layer]))
    module = torch.nn.Sequential(*parts).to(getattr(torch, dtype))
    with torch.no_grad():
        for tensor, array in arrays:
            tensor.copy_(torch.from_numpy(array.copy()))
    outputs = module(torch.from_numpy(X.astype(dtype)))
    torch.nn.functional.mse_loss(outputs, torch.from_numpy(y.astype(dtype))).backward()
    tolerance = {"rtol": 2e-4, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-13}
    np.testing.assert_allclose(model.predict(X), outputs.detach().numpy(), **tolerance)
    _, gradients = model.gradient(X, y)
    for (tensor, _), gradient in zip(arrays, gradients, strict=True):
        expected = tensor.grad.numpy()
        np.testing.assert_allclose(gradient, expected.T if expected.ndim == 2 else expected, **tolerance)


# ---- Bits ----


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = model_with(*network, dtype)
    X = data_for(model, 700)[0].astype(dtype)
    expected = model.predict(X)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(model.predict(X, n_threads=n_threads), expected)
        np.testing.assert_array_equal(model.predict(X[:5], n_threads=n_threads), expected[:5])
    for i in (0, 17, 699):
        np.testing.assert_array_equal(model.predict(X[i]), expected[i])
        np.testing.assert_array_equal(model.predict(X[i].tolist()), expected[i])
    np.testing.assert_array_equal(model.hidden_activations(X)[0][3:4], model.hidden_activations(X[3:4])[0])
    np.testing.assert_array_equal(fastnn.predict_many([model, model], X), [expected, expected])


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_row_has_the_derivatives_of_a_batch_of_one(network, dtype):
    model = model_with(*network, dtype)
    X, y, _ = data_for(model, 1)
    X, y = X.astype(dtype), y.astype(dtype)
    for _ in range(2):  # the first call with a shape takes the general path
        assert model.loss(X[0], y[0]) == model.loss(X, y)
        for got, wanted in zip(model.gradient(X[0], y[0])[1], model.gradient(X, y)[1], strict=True):
            np.testing.assert_array_equal(got, wanted)
        for got, wanted in zip(model.vjp(X[0], y[0]), model.vjp(X, y), strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(model.input_gradient(X[0], y[0]), model.input_gradient(X, y)[0])
        np.testing.assert_array_equal(model.jacobian(X[0]), model.jacobian(X)[0])


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
@pytest.mark.parametrize("place", ["before", "after"])
def test_compiled_code_has_the_bits_of_python(place):
    numba = pytest.importorskip("numba")

    @numba.njit
    def derivatives(model, X, y):
        return model.predict(X), model.jacobian(X), model.vjp(X, y), model.gradient(X, y)

    @numba.njit
    def train(trainer, X, y, n):
        for _ in range(n):
            trainer.step(X, y)

    model = model_with((4, 17, 33, 3), ["prelu", "gelu"], ["layer_norm", "rms_norm"], place, dropout=0.2)
    X, y, _ = data_for(model)
    predicted, jacobian, by_parameters, (_, gradient) = derivatives(model, X, y)
    np.testing.assert_array_equal(predicted, model.predict(X))
    np.testing.assert_array_equal(jacobian, model.jacobian(X))
    np.testing.assert_array_equal(by_parameters, np.concatenate([g.ravel() for g in model.vjp(X, y)]))
    np.testing.assert_array_equal(gradient, np.concatenate([g.ravel() for g in model.gradient(X, y)[1]]))
    trainers = [Trainer(each, "mse", Adam(0.01), random_state=1) for each in (model, model.copy())]
    train(trainers[0], X, y, 5)
    for _ in range(5):
        trainers[1].step(X, y)
    np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


@pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
@pytest.mark.parametrize("place", ["before", "after"])
def test_custom_activations_and_losses_are_normalized(place):
    pytest.importorskip("numba")
    from fastnn import jit, losses

    @jit.activation(derivative=lambda z: 1.0 / (1.0 + abs(z)) ** 2, uses="input", name=f"softsign_{place}")
    def softsign(z):
        return z / (1.0 + abs(z))

    @jit.loss(gradient=lambda y_true, y_pred: y_pred - y_true, name=f"half error {place}")
    def half_error(y_true, y_pred):
        return 0.5 * (y_pred - y_true) ** 2

    model = model_with((3, 17, 6, 2), [softsign, "tanh"], "layer_norm", place, dropout=[0.3, 0.0])
    X, y, weight = data_for(model, 6)
    for loss in (losses.Huber(0.3), losses.Heads([(0, "mse", 0.5), (1, "huber", 2.0)]), half_error):
        _, gradients = model.gradient(X, y, loss, weight)
        for array, gradient in zip(model.parameters, gradients, strict=True):
            for at in list(np.ndindex(array.shape))[:5]:
                expected = difference(lambda: model.loss(X, y, loss, weight), array, at)  # noqa: B023
                np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=1e-8)
    assert np.isfinite(model.fit(X, y, epochs=3)["loss"]).all()


PROGRAM = """
import hashlib
import itertools
import numpy as np
import scipy.sparse
from fastnn import MLP, SGD, AdamW, Trainer
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes in ((3, 5, 2), (6, 40, 128, 3), (9, 70, 256, 30)):
        for name, place in itertools.product(("layer_norm", "rms_norm"), ("before", "after")):
            for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1})):
                for n, batch_size, sparse in ((70, 32, False), (700, 600, False), (70, 32, True)):
                    X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                    if sparse:
                        X = scipy.sparse.csr_matrix(X * (X > 0.5))
                    states = set()
                    for n_threads in (1, 2, 3):
                        normalization = {"normalization": name, "normalization_place": place}
                        model = MLP(sizes, "gelu", **normalization, dtype=dtype, dropout=0.2, random_state=1)
                        settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                        history = Trainer(model, "mse", optimizer, **settings).run(X, y, 2)
                        states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
                    assert len(states) == 1 and np.isfinite(model.to_vector()).all()
                    digest.update(states.pop())
                    digest.update(model.jacobian(X[:40]).tobytes())
print(digest.hexdigest())
"""


def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    pytest.importorskip("scipy")
    fused = [name for name in _core.usable_instruction_sets() if name != "baseline"]
    digests = {name: run_script(PROGRAM, FASTNN_ISA=name).stdout for name in _core.usable_instruction_sets()}
    assert len({digests[name] for name in fused}) <= 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_sparse_rows_train_like_dense_ones(place):
    sparse = pytest.importorskip("scipy.sparse")
    results = []
    for make in (np.asarray, sparse.csr_matrix):
        model = model_with((30, 17, 2), ["relu"], "layer_norm", place)
        X, y, _ = data_for(model, 60)
        X = make(np.where(np.abs(X) > 1, X, 0.0))
        model.fit(X, y, epochs=3, optimizer=Adam(0.01), random_state=1)
        results += [model.to_vector(), model.predict(X).ravel()]
    np.testing.assert_allclose(results[2], results[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[3], results[1], rtol=1e-9, atol=1e-12)


def test_many_networks_have_the_bits_of_one():
    X, y = np.random.default_rng(0).normal(size=(64, 8)), np.ones((64, 1))
    models = [MLP((8, 16, 1), "tanh", normalization="rms_norm", random_state=seed) for seed in range(5)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    ensemble = fastnn.Ensemble(models)
    np.testing.assert_allclose(ensemble.predict(X), np.mean([m.predict(X) for m in models], axis=0), rtol=1e-5, atol=1e-6)
    # Without and with a normalization, models have different layers, even with the same sizes.
    mixed = [models[0], MLP((8, 16, 1), "tanh", random_state=9)]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])


def test_rows_of_infinite_or_equal_units():
    model = MLP((3, 40, 5, 1), "relu", normalization="layer_norm", random_state=0)
    with np.errstate(all="ignore"):
        assert np.isnan(model.predict(np.array([[np.inf, 0, 0], [1, 2, 3]]))).tolist() == [[True], [False]]
    for w in model.weights[:2]:
        w[...] = 0.0
    np.testing.assert_array_equal(model.hidden_activations(np.ones((2, 3)))[0], 0.0)
    assert all(np.isfinite(g).all() for g in model.gradient(np.ones((2, 3)), np.ones((2, 1)))[1])


@pytest.mark.parametrize("place", ["before", "after"])
def test_rows_of_weight_zero_do_not_count(place):
    models = [model_with((3, 5, 2), ["prelu"], "layer_norm", place, dropout=0.2) for _ in range(2)]
    X, y, _ = data_for(models[0], 20)
    for model, n in zip(models, (20, 10), strict=True):  # the second batch has no row that counts
        trainer = Trainer(model, optimizer=SGD(0.1), batch_size=10, shuffle=False, random_state=0)
        trainer.run(X[:n], y[:n], 1, sample_weight=(np.arange(20) < 10)[:n])
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
    model = models[0]
    X[3] = np.nan
    half = model.gradient(X, y, "mse", np.arange(20) != 3)[1]
    rest = model.gradient(np.delete(X, 3, 0), np.delete(y, 3, 0))[1]
    for got, wanted in zip(half, rest, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9)


# ---- Penalties and decay ----


def test_penalties_and_decay_do_not_change_gains_and_shifts():
    model = MLP((2, 40, 3), "relu", normalization="layer_norm", random_state=0)
    model.weights[1][...] = 0.0  # so that nothing before it has a gradient
    model.biases[1][...] = 1.0
    Trainer(model, "mse", AdamW(0.0 + 1e-9, weight_decay=0.5), l1=0.01, l2=0.1).run(np.ones((8, 2)), np.ones((8, 3)), 1)
    np.testing.assert_array_equal(model.gains[0], 1.0)
    np.testing.assert_array_equal(model.shifts[0], 0.0)


# ---- Parameters, copies and files ----


def test_lists_have_gains_and_shifts_after_slopes():
    model = model_with(*NETWORKS[4])
    shapes = [(4, 17), (17,), (17,), (17,), (17,), (17, 33), (33,), (33,), (33,), (33, 3), (3,)]
    assert [p.shape for p in model.parameters] == shapes
    assert model.normalization == ("layer_norm", "rms_norm")
    assert model.normalization_place == ("before", "after")
    assert np.shares_memory(model.parameters[3], model.gains[0])
    assert np.shares_memory(model.parameters[4], model.shifts[0])
    assert model.shifts[1:] == [None, None]
    assert model.n_parameters == sum(p.size for p in model.parameters)
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))


def test_initial_values_leave_the_weights_of_a_seed_as_they_are():
    model, plain = MLP((3, 20, 1), normalization="layer_norm", random_state=0), MLP((3, 20, 1), random_state=0)
    np.testing.assert_array_equal(model.weights[0], plain.weights[0])
    np.testing.assert_array_equal(model.gains[0], 1.0)
    np.testing.assert_array_equal(model.shifts[0], 0.0)
    assert plain.gains == plain.shifts == [None, None]
    assert plain.normalization == (None,)


def test_reprs_and_summaries_name_the_normalization():
    model = MLP((2, 8, 8, 1), normalization=["layer_norm", None])
    assert repr(model) == (
        "MLP((2, 8, 8, 1), activation='relu', output_activation='identity', normalization=['layer_norm', None], "
        "normalization_place=['before', None], dtype=float32)"
    )
    assert eval(repr(model), {"MLP": MLP, "float32": "float32"}).normalization == model.normalization
    lines = str(model.summary()).splitlines()
    assert "normalization" in lines[0]
    assert "layer_norm" in lines[2]
    assert model.summary().n_parameters == model.n_parameters
    assert "normalization" not in str(MLP((2, 8, 1)).summary())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_parameters_of_their_own(copied):
    model = model_with(*NETWORKS[4])
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert other._network.normalizations == model._network.normalizations
    other.gains[0][:] = 9
    assert (model.gains[0] != 9).all()


@pytest.mark.parametrize("network", NETWORKS[:7], ids=IDS[:7])
def test_files_of_models_and_trainers_keep_the_normalization(network, tmp_path):
    model = model_with(*network)
    X, y, _ = data_for(model)
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=8, random_state=3)
    trainer.run(X, y, 2)
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "trainer")
    loaded = MLP.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert repr(loaded) == repr(model)
    again = Trainer.load(tmp_path / "trainer")
    trainer.run(X, y, 2)
    again.run(X, y, 2)
    np.testing.assert_array_equal(again.model.to_vector(), model.to_vector())


def test_a_target_network_follows_only_a_model_with_the_same_normalization():
    model, target = (MLP((2, 5, 1), normalization="layer_norm", random_state=seed) for seed in (0, 1))
    model.gains[0][...] = 3.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.gains[0], 2.0)
    for other in (MLP((2, 5, 1)), MLP((2, 5, 1), normalization="layer_norm", normalization_place="after")):
        with pytest.raises(ValueError, match="other: expected a model with normalizations"):
            target.blend(other, 0.5)


# ---- Errors ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"normalization": "batch_norm"}, ValueError, r"normalization: expected one of 'layer_norm', 'rms_norm', None"),
        ({"normalization": 1}, TypeError, "normalization: expected one of .*got 1 of type int"),
        ({"normalization": ["layer_norm"]}, ValueError, "normalization: expected 2, one per hidden layer, got 1"),
        ({"normalization_place": "between"}, ValueError, "normalization_place: expected one of 'before', 'after'"),
        ({"normalization_place": None}, TypeError, "normalization_place: expected one of 'before', 'after'"),
        ({"normalization_place": ["after"]}, ValueError, "normalization_place: expected 2, one per hidden layer, got 1"),
        (
            {"normalization": "layer_norm", "normalization_place": ["after", None]},
            ValueError,
            r"normalization_place\[1\]: expected 'before' or 'after' for 'layer_norm', got None",
        ),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        MLP((2, 3, 3, 1), **options)


def test_a_model_keeps_its_normalization():
    model = MLP((2, 3, 1), normalization="layer_norm")
    for name in ("normalization", "normalization_place"):
        with pytest.raises(AttributeError, match=f"{name}: a model keeps what it was made with"):
            setattr(model, name, "rms_norm")
    assert MLP((2, 1), normalization="layer_norm").normalization == ()


def test_wrong_normalizations_of_the_reference_are_named():
    W, b = [np.ones((2, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    for normalizations in (
        [reference.Normalization("layer_norm", np.ones(3)), None],
        [reference.Normalization("rms_norm", np.ones(2)), None],
        [reference.Normalization("rms_norm", np.ones(3), place="between"), None],
        [None],
        [None, reference.Normalization("rms_norm", np.ones(1))],
    ):
        with pytest.raises(ValueError, match="normalizations"):
            reference.forward(W, b, ["relu", "identity"], np.ones((1, 2)), normalizations=normalizations)


def test_all_combinations_learn():
    X = np.linspace(-1, 1, 64)[:, None]
    for normalization, place in itertools.product(("layer_norm", "rms_norm"), ("before", "after")):
        model = MLP((1, 32, 32, 1), "silu", normalization=normalization, normalization_place=place, random_state=0)
        assert model.fit(X, np.sin(4 * X), optimizer=Adam(0.01), epochs=200)["loss"][-1] < 0.01
