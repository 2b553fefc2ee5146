"""Checks of models with any kinds of parameters: against the reference, the fallback, and the same bits in other ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from _helpers import run_script

import fastnn
from fastnn import MLP, Adam, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE

STEP = 1e-6
compiled = pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")


def with_values(model):
    """Give all parameters but the weights different values, and return the model."""
    rng = np.random.default_rng(1)
    for parameter in by_kind(
        {name: views for name, views in model._views().items() if name not in ("weights", "projections")}
    ):
        parameter[...] = rng.uniform(0.3, 1.2, parameter.shape) * rng.choice([-1, 1], parameter.shape)
    return model


# ---- The reference ----


def reference_of(model):
    """Return copies of the lists that the reference takes, and its options for the other kinds of parameters."""
    copies = {name: [None if v is None else v.copy() for v in views] for name, views in model._views().items()}
    normalizations = [
        None if each is None else reference.Normalization(each[0], gains, shifts, each[1])
        for each, gains, shifts in zip(model._network.normalizations, copies["gains"], copies["shifts"], strict=True)
    ]
    options = {"slopes": copies["slopes"], "normalizations": normalizations, "alphas": copies["alphas"]}
    if model.input_scale or model.shared is not None:
        options["scales"] = copies["scales"][0]
    if any(each is not None for each in copies["output_scales"]):
        pairs = zip(copies["output_scales"], [None, *copies["scales"][1:]], strict=True)
        options["members"] = [None if s is None else reference.MemberScales(s, r) for s, r in pairs]
    if model.embeddings:
        options["embeddings"] = list(zip(model.embeddings, copies["embedding_parameters"], strict=True))
    if model.residual:
        projections = copies["projections"]
        options["residual"] = [
            reference.Connection(begin, end, model.residual_place, projections[end - 1]) for begin, end in model.residual
        ]
    return (copies["weights"], copies["biases"], model.activations), options


def in_order(kinds, options):
    """Return the reference's gradients in the order of a model's parameters, given its options."""
    weights, biases, slopes, normalizations, *others = kinds
    members = others.pop() if "members" in options else [None] * len(weights)
    projections = others.pop() if "residual" in options else [None] * len(weights)
    scales = [others.pop(0)] if "scales" in options else []
    alphas, *of_embeddings = others
    result = [array for arrays in of_embeddings for array in arrays if array is not None]
    each = zip(weights, biases, slopes, normalizations, alphas, projections, members, strict=True)
    for layer, (w, b, s, n, a, p, m) in enumerate(each):
        result += [w, b, *([] if s is None else [s]), *(n or ()), *([] if a is None else [a]), *([] if layer else scales)]
        result += [] if m is None else [*([] if m.inputs is None else [m.inputs]), m.outputs]
        result += [] if p is None else [p]
    return result


def parameters_of(lists, options):
    """Return the reference's parameters in the order of a model's."""
    normalizations = [n and [v for v in (n.gains, n.shifts) if v is not None] for n in options["normalizations"]]
    others = [options[name] for name in ("scales", "alphas") if name in options]
    if "embeddings" in options:
        others.append([array for _, array in options["embeddings"]])
    if "residual" in options:
        projections = {each.end - 1: each.projection for each in options["residual"]}
        others.append([projections.get(layer) for layer in range(len(lists[0]))])
    if "members" in options:
        others.append(options["members"])
    return in_order([*lists[:2], options["slopes"], normalizations, *others], options)


def in_order_of_averages(model):
    """Return a model's parameters in the order of the averages that the reference takes."""
    of_units = (v for pair in zip(model.gains, model.shifts, strict=True) for v in pair)
    found = [*model.weights, *model.biases, *model.slopes, *of_units, *model.scales, *model.alphas]
    return [v for v in (*found, *model.embedding_parameters, *model.projections) if v is not None]


def difference(function, array, at):
    """Return the central difference of a function by an element of an array."""
    kept, values = array[at], []
    for moved in (kept + STEP, kept - STEP):
        array[at] = moved
        values.append(function())
    array[at] = kept
    return (values[0] - values[1]) / (2 * STEP)


def assert_central_differences(model, X, y, weight, atol, places_of_x=None):
    """Compare gradients by parameters and inputs, the latter at all places or at those that are given."""
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == model.loss(X, y, "mse", weight)
    assert len(gradients) == len(model.parameters)
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        places = list(np.ndindex(array.shape)) if array is not X or places_of_x is None else places_of_x
        for index in np.random.default_rng(3).permutation(places)[:25]:
            at = tuple(index)
            expected = difference(lambda: model.loss(X, y, "mse", weight), array, at)
            np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=atol)


def assert_like_the_reference(model, X, y, weight, *, rtol, atol, many_rows=20):
    """Compare predictions and all derivatives. The tolerances of sums over many rows are `many_rows` times as large."""
    lists, options = reference_of(model)
    tolerance = {"rtol": rtol, "atol": atol}
    wide = {"rtol": many_rows * rtol, "atol": many_rows * atol}
    expected = reference.forward(*lists, X, **options)
    for got, (_, wanted) in zip(model.hidden_activations(X), expected, strict=False):
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, **tolerance)
    predicted = (
        expected[-1][1] if model.shared is None else reference.mean_of_members(expected[-1][1], model.shared.n_members)
    )
    np.testing.assert_allclose(model.predict(X), predicted, **tolerance)
    value, *kinds = reference.loss_and_gradient(*lists, X, y, "mse", weight, **options)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == pytest.approx(value, rel=rtol)
    for gradient, wanted in zip(gradients, in_order(kinds, options), strict=True):
        np.testing.assert_allclose(gradient, wanted, **tolerance)
    np.testing.assert_allclose(model.input_gradient(X, y), reference.input_gradient(*lists, X, y, **options), **tolerance)
    by_parameters, by_inputs = model.vjp(X, y, inputs=True)
    inputs, *kinds = reference.vjp(*lists, X, y, **options)
    np.testing.assert_allclose(by_inputs, inputs, **wide)
    for gradient, wanted in zip(by_parameters, in_order(kinds, options), strict=True):
        np.testing.assert_allclose(gradient, wanted, **wide)
    np.testing.assert_allclose(model.jacobian(X[:45]), reference.jacobian(*lists, X[:45], **options), **wide)


def assert_trains_like_the_reference(
    model, X, y, weight, optimizer, settings, *, rtol, atol, rtol_of_loss, rows=None, **drops
):
    """Compare losses and parameters after three epochs.

    `rows` stand in place of X for the model, and `drops` are the probabilities of dropout, for the reference.
    """
    lists, options = reference_of(model)
    settings = {"shuffle": False, **settings}
    history = Trainer(model, "mse", optimizer, random_state=5, **settings).run(
        X if rows is None else rows, y, 3, sample_weight=weight
    )
    own = {"optimizer": optimizer, "epochs": 3, "rng": np.random.default_rng(5), "sample_weight": weight}
    losses = reference.train(*lists, X, y, **drops, **own, **options, **settings)
    np.testing.assert_allclose(history["loss"], losses, rtol=rtol_of_loss)
    for got, wanted in zip(model.parameters, parameters_of(lists, options), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)


# ---- The fallback ----


def assert_the_fallback_trains_alike(
    model, X, y, optimizer, *, gradient_atol=1e-11, rtol_of_loss=1e-8, rtol=1e-7, atol=1e-10, lazy_updates=False
):
    """Compare predictions and derivatives of the fallback, and then losses and parameters after three epochs."""
    mine = model._network
    fallback = _portable.Network(
        *(mine.layer_sizes, mine.activations, mine.dropout, np.float64, mine.normalizations),
        *(mine.input_scale, mine.input_dropout, mine.parametric, mine.embeddings, mine.residual, mine.residual_place),
        *(mine.n_members, mine.scales_members),
    )
    for array, view in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        array[...] = view
    np.testing.assert_allclose(fallback.predict(X), model.predict(X), rtol=1e-9, atol=1e-12)
    gradient, jacobian = np.zeros_like(fallback.storage), np.zeros((len(X), mine.layer_sizes[-1], mine.layer_sizes[0]))
    value = fallback.gradient(native_loss(MSE(), "identity"), X, y, False, gradient=gradient)
    loss, gradients = model.gradient(X, y)
    assert value == pytest.approx(loss)
    for got, wanted in zip(by_layer(fallback.views(gradient)), gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=gradient_atol)
    fallback.jacobian(X, jacobian)
    np.testing.assert_allclose(jacobian, model.jacobian(X), rtol=1e-8, atol=gradient_atol)
    trainer = Trainer(model, "mse", optimizer, batch_size=8, random_state=5, l2=0.1, lazy_updates=lazy_updates)
    settings = trainer._wanted.settings
    moments = np.zeros((len(settings.moments), fallback.storage.size))
    settings = settings._replace(moments=moments, bit_generator=np.random.default_rng(5).bit_generator, shuffle=True)
    run = _portable.Run(fallback, (X, y, False, None), settings, 3, 0)
    run.set_rates(np.full(1, optimizer.learning_rate))
    assert run.advance(1e9, 3) == "finished"
    history = trainer.run(X, y, 3)
    np.testing.assert_allclose(run.epoch_loss, history["loss"], rtol=rtol_of_loss)
    for got, wanted in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)


# ---- The same bits ----


def assert_rows_have_the_bits_of_a_batch(model, X):
    """Compare predictions and derivatives of 700 rows with those of some rows alone, in other layouts, and by threads."""
    expected = model.predict(X)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(model.predict(X, n_threads=n_threads), expected)
        np.testing.assert_array_equal(model.predict(X[:5], n_threads=n_threads), expected[:5])
    for i in (0, 17, 699):
        np.testing.assert_array_equal(model.predict(X[i]), expected[i])
        np.testing.assert_array_equal(model.predict(X[i].tolist()), expected[i])
    np.testing.assert_array_equal(model.predict(np.asfortranarray(X)), expected)
    np.testing.assert_array_equal(model.predict(X[::-1]), expected[::-1])
    for got, wanted in zip(model.hidden_activations(X[3:4]), model.hidden_activations(X), strict=True):
        np.testing.assert_array_equal(got, wanted[3:4])
    np.testing.assert_array_equal(fastnn.predict_many([model, model], X), [expected, expected])
    both = np.stack([X, X[::-1]])
    np.testing.assert_array_equal(fastnn.predict_many([model, model], both), [expected, expected[::-1]])
    np.testing.assert_array_equal(model.jacobian(X[3]), model.jacobian(X[:9])[3])


def assert_one_row_is_a_batch_of_one(model, X, y):
    """Compare the derivatives of a row with those of a batch (1, n_in) of it."""
    for _ in range(2):  # the first call with a shape takes the general path
        assert model.loss(X[0], y[0]) == model.loss(X, y)
        for got, wanted in zip(model.gradient(X[0], y[0])[1], model.gradient(X, y)[1], strict=True):
            assert got.shape == wanted.shape
            np.testing.assert_array_equal(got, wanted)
        for got, wanted in zip(model.vjp(X[0], y[0]), model.vjp(X, y), strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(model.input_gradient(X[0], y[0]), model.input_gradient(X, y)[0])
        np.testing.assert_array_equal(model.jacobian(X[0]), model.jacobian(X)[0])


def assert_compiled_code_has_the_bits_of_python(models_and_data):
    """Compare derivatives and steps in code that Numba compiles, for each model with inputs and targets."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def derivatives(model, X, y):
        return model.predict(X), model.jacobian(X), model.vjp(X, y), model.gradient(X, y), model.input_gradient(X, y)

    @numba.njit
    def train(trainer, X, y, n):
        for _ in range(n):
            trainer.step(X, y)

    for model, X, y in models_and_data:
        predicted, jacobian, by_parameters, (_, gradient), by_inputs = derivatives(model, X, y)
        np.testing.assert_array_equal(predicted, model.predict(X))
        np.testing.assert_array_equal(jacobian, model.jacobian(X))
        np.testing.assert_array_equal(by_parameters, np.concatenate([g.ravel() for g in model.vjp(X, y)]))
        np.testing.assert_array_equal(gradient, np.concatenate([g.ravel() for g in model.gradient(X, y)[1]]))
        np.testing.assert_array_equal(by_inputs, model.input_gradient(X, y))
        trainers = [Trainer(each, "mse", Adam(0.01), random_state=1) for each in (model, model.copy())]
        train(trainers[0], X, y, 5)
        for _ in range(5):
            trainers[1].step(X, y)
        np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


def assert_instruction_sets_print_the_same(program):
    """Run a program, which prints a digest of its results, on each instruction set; all that fuse must print the same.

    It may import the modules beside the tests.
    """
    program = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{program}"
    fused = [name for name in _core.usable_instruction_sets() if name != "baseline"]
    digests = {name: run_script(program, FASTNN_ISA=name).stdout for name in _core.usable_instruction_sets()}
    assert len({digests[name] for name in fused}) <= 1


def assert_rows_of_weight_zero_do_not_count(models, X, y, **tolerance):
    """Compare two equal models, of which one is also trained on a batch of weight 0, and gradients without a row."""
    for model, n in zip(models, (20, 10), strict=True):  # the second batch has no row that counts
        trainer = Trainer(model, optimizer=fastnn.SGD(0.1), batch_size=10, shuffle=False, random_state=0)
        trainer.run(X[:n], y[:n], 1, sample_weight=(np.arange(20) < 10)[:n])
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
    X[3] = np.nan
    half = models[0].gradient(X, y, "mse", np.arange(20) != 3)[1]
    rest = models[0].gradient(np.delete(X, 3, 0), np.delete(y, 3, 0))[1]
    for got, wanted in zip(half, rest, strict=True):
        np.testing.assert_allclose(got, wanted, **tolerance)


# ---- Files ----


def assert_files_keep(model, X, y, optimizer, tmp_path):
    """Compare a model and a trainer with those that files give back, also after more training."""
    trainer = Trainer(model, "mse", optimizer, batch_size=8, random_state=3)
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
