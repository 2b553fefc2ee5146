"""Parametric activations: derivatives, training, the fallback, files, exports, estimators and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import run_script
from _parts import (
    PARAMETRIC,
    PARAMETRIC_IDS,
    STEP,
    data_for,
    difference,
    in_order,
    parameters_of,
    parametric_model,
    reference_of,
)

import fastnn
from fastnn import MLP, SGD, Adam, AdamW, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.portable import _compile
from fastnn._views import by_kind, by_layer
from fastnn.losses import MSE

compiled = pytest.mark.skipif(_core is _portable, reason="needs the compiled extension")
networks = pytest.mark.parametrize("network", PARAMETRIC, ids=PARAMETRIC_IDS)
HIDDEN = [name for name in _core.ACTIVATIONS if name not in ("identity", "exp", "softmax")]

# ---- Derivatives ----


@networks
def test_gradients_are_central_differences(network):
    model = parametric_model(*network)
    X, y, weight = data_for(model, 6)
    X += 0.1
    _, gradients = model.gradient(X, y, "mse", weight)
    assert len(gradients) == len(model.parameters)
    for array, gradient in zip([*model.parameters, X], [*gradients, model.input_gradient(X, y, "mse", weight)], strict=True):
        for index in np.random.default_rng(3).permutation(list(np.ndindex(array.shape)))[:25]:
            at = tuple(index)
            expected = difference(lambda: model.loss(X, y, "mse", weight), array, at)
            np.testing.assert_allclose(gradient[at], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_has_the_values_of_the_formula(activation):
    model = parametric_model((1, 40, 1), [activation], None, "before", True)
    model.alphas[0][...] = np.linspace(-1, 2, 40)
    x = np.linspace(-3, 3, 31)[:, None]
    z = x @ model.weights[0] + model.biases[0]
    expected = z + model.alphas[0] * (reference.ACTIVATIONS[activation].value(z) - z)
    np.testing.assert_allclose(model.hidden_activations(x)[0], expected, rtol=1e-9, atol=1e-12)
    moved = [model.predict(x + step) for step in (STEP, -STEP)]
    np.testing.assert_allclose(model.jacobian(x)[:, 0], (moved[0] - moved[1]) / (2 * STEP), rtol=1e-6, atol=1e-7)


@networks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype):
    model = parametric_model(*network, dtype)
    X, y, weight = data_for(model, 600)
    X += 0.1
    lists, options = reference_of(model)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-10}
    np.testing.assert_allclose(model.predict(X), reference.forward(*lists, X, **options)[-1][1], **tolerance)
    value, *kinds = reference.loss_and_gradient(*lists, X, y, "mse", weight, **options)
    loss, gradients = model.gradient(X, y, "mse", weight)
    assert loss == pytest.approx(value, rel=tolerance["rtol"])
    for gradient, wanted in zip(gradients, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **tolerance)
    np.testing.assert_allclose(model.input_gradient(X, y), reference.input_gradient(*lists, X, y, **options), **tolerance)
    by_parameters, by_inputs = model.vjp(X, y, inputs=True)
    inputs, *kinds = reference.vjp(*lists, X, y, **options)
    wide = {name: 100 * value for name, value in tolerance.items()}  # sums over many rows
    np.testing.assert_allclose(by_inputs, inputs, **wide)
    for gradient, wanted in zip(by_parameters, in_order(*kinds), strict=True):
        np.testing.assert_allclose(gradient, wanted, **wide)
    np.testing.assert_allclose(model.jacobian(X[:45]), reference.jacobian(*lists, X[:45], **options), **wide)


# ---- Training ----


@pytest.mark.parametrize("optimizer", [SGD(0.02), SGD(0.02, 0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)], ids=repr)
@pytest.mark.parametrize(
    "settings", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.5, "clip_value": 0.2}], ids=["plain", "all"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    ("network", "batch_size"), [(PARAMETRIC[1], 8), (PARAMETRIC[3], 1000)], ids=["normalized", "chunks"]
)
def test_training_gives_the_parameters_of_the_reference(network, batch_size, optimizer, settings, dropout):
    model = parametric_model(*network, dropout=dropout)
    X, y, weight = data_for(model, 1200 if batch_size > 512 else 40)
    lists, options = reference_of(model)
    settings = {"batch_size": batch_size, "shuffle": False, **settings}
    history = Trainer(model, "mse", optimizer, random_state=5, **settings).run(X, y, 3, sample_weight=weight)
    own = {"optimizer": optimizer, "epochs": 3, "rng": np.random.default_rng(5), "sample_weight": weight}
    losses = reference.train(*lists, X, y, dropout=dropout, **own, **options, **settings)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-7)
    for got, wanted in zip(model.parameters, parameters_of(lists, options), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


def test_scales_and_alphas_train_together():
    model = parametric_model(*PARAMETRIC[1], input_scale=True, input_dropout=0.1)
    X, y, _ = data_for(model, 40)
    lists, options = reference_of(model)
    Trainer(model, "mse", Adam(0.01), random_state=5, batch_size=8).run(X, y, 3)
    own = {"optimizer": Adam(0.01), "epochs": 3, "batch_size": 8, "rng": np.random.default_rng(5)}
    reference.train(*lists, X, y, input_dropout=0.1, **own, **options)
    for got, wanted in zip(model.parameters, parameters_of(lists, options), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


def test_penalties_and_decay_do_not_change_alphas():
    model = MLP((2, 40, 3), "relu", parametric_activation=True, random_state=0)
    model.weights[1][...] = 0.0  # so that nothing before it has a gradient
    model.biases[1][...] = 1.0
    Trainer(model, "mse", AdamW(1e-9, weight_decay=0.5), l1=0.01, l2=0.1).run(np.ones((8, 2)), np.ones((8, 3)), 1)
    np.testing.assert_array_equal(model.alphas[0], 1.0)


def test_lbfgs_and_shards_train_alphas():
    pytest.importorskip("scipy")
    X = np.random.default_rng(0).normal(size=(64, 5))
    model = MLP((5, 17, 9, 1), "tanh", parametric_activation=True, dtype="float64", random_state=0)
    sharded = [model.copy() for _ in range(2)]
    assert model.fit(X, X[:, :1] ** 2, optimizer="lbfgs", epochs=100)["loss"][-1] < 0.02
    assert (model.alphas[1] != 1.0).all()
    for n_threads, other in enumerate(sharded, 1):
        Trainer(other, n_shards=4, batch_size=4, random_state=0, n_threads=n_threads).run(X, X[:, :1] ** 2, 2)
        assert (other.alphas[0] != 1.0).all()
    np.testing.assert_array_equal(sharded[0].to_vector(), sharded[1].to_vector())


@pytest.mark.parametrize(("network", "how"), [*((network, "plain") for network in PARAMETRIC), (PARAMETRIC[0], "compiled")])
def test_the_fallback_trains_to_the_same_parameters(network, how, monkeypatch):
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    model = parametric_model(*network, dropout=0.2)
    X, y, _ = data_for(model)
    X += 0.1
    mine = model._network
    options = {"normalizations": mine.normalizations, "parametric": mine.parametric}
    fallback = _portable.Network(mine.layer_sizes, mine.activations, mine.dropout, np.float64, **options)
    for array, view in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        array[...] = view
    np.testing.assert_allclose(fallback.predict(X), model.predict(X), rtol=1e-9, atol=1e-12)
    gradient, jacobian = np.zeros_like(fallback.storage), np.zeros((len(X), mine.layer_sizes[-1], mine.layer_sizes[0]))
    value = fallback.gradient(native_loss(MSE(), "identity"), X, y, False, gradient=gradient)
    loss, gradients = model.gradient(X, y)
    assert value == pytest.approx(loss)
    for got, wanted in zip(by_layer(fallback.views(gradient)), gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-10)
    fallback.jacobian(X, jacobian)
    np.testing.assert_allclose(jacobian, model.jacobian(X), rtol=1e-8, atol=1e-10)
    trainer = Trainer(model, "mse", AdamW(0.001), batch_size=8, random_state=5, l2=0.1)
    settings = trainer._wanted.settings
    moments = np.zeros((len(settings.moments), fallback.storage.size))
    settings = settings._replace(moments=moments, bit_generator=np.random.default_rng(5).bit_generator, shuffle=True)
    run = _portable.Run(fallback, (X, y, False, None), settings, 3, 0)
    run.set_rates(np.full(1, 0.001))
    assert run.advance(1e9, 3) == "finished"
    history = trainer.run(X, y, 3)
    np.testing.assert_allclose(run.epoch_loss, history["loss"], rtol=1e-7)
    for got, wanted in zip(by_kind(fallback.parameters), by_kind(mine.parameters), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


# ---- Bits ----


@compiled
@networks
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = parametric_model(*network, dtype)
    X, y, _ = data_for(model, 700)
    X, y = X.astype(dtype), y.astype(dtype)
    expected = model.predict(X)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(model.predict(X, n_threads=n_threads), expected)
        np.testing.assert_array_equal(model.predict(X[:5], n_threads=n_threads), expected[:5])
    for i in (0, 17, 699):
        np.testing.assert_array_equal(model.predict(X[i]), expected[i])
        np.testing.assert_array_equal(model.predict(X[i].tolist()), expected[i])
    np.testing.assert_array_equal(fastnn.predict_many([model, model], X), [expected, expected])
    for got, wanted in zip(model.gradient(X[0], y[0])[1], model.gradient(X[:1], y[:1])[1], strict=True):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(model.jacobian(X[3]), model.jacobian(X[:9])[3])


@compiled
def test_compiled_code_has_the_bits_of_python():
    numba = pytest.importorskip("numba")

    @numba.njit
    def derivatives(model, X, y):
        return model.predict(X), model.jacobian(X), model.vjp(X, y), model.gradient(X, y)

    @numba.njit
    def train(trainer, X, y, n):
        for _ in range(n):
            trainer.step(X, y)

    model = parametric_model(*PARAMETRIC[1], dropout=0.2)
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


PROGRAM = """
import hashlib
import numpy as np
import scipy.sparse
from fastnn import MLP, SGD, AdamW, Trainer
digest = hashlib.sha256()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes in ((3, 5, 2), (6, 40, 300, 3), (90, 256, 192, 30)):
        for activation in ("mish", "sin", "relu"):
            for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1})):
                runs = ((70, 32, False), (700, 600, False), (70, 32, True))
                for n, batch_size, sparse in runs[:1] if sizes[0] == 90 else runs:  # there, threads split outputs
                    X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                    if sparse:
                        X = scipy.sparse.csr_matrix(X * (X > 0.5))
                    states = set()
                    for n_threads in (1, 2, 3):
                        model = MLP(sizes, activation, parametric_activation=True, dtype=dtype, dropout=0.2, random_state=1)
                        settings = {"batch_size": batch_size, "random_state": 2, "n_threads": n_threads} | options
                        history = Trainer(model, "mse", optimizer, **settings).run(X, y, 2)
                        states.add(model.to_vector().tobytes() + history["loss"].tobytes() + model.predict(X).tobytes())
                    assert len(states) == 1 and np.isfinite(model.to_vector()).all()
                    digest.update(states.pop())
                    digest.update(model.jacobian(X[:40]).tobytes())
print(digest.hexdigest())
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    pytest.importorskip("scipy")
    fused = [name for name in _core.usable_instruction_sets() if name != "baseline"]
    digests = {name: run_script(PROGRAM, FASTNN_ISA=name).stdout for name in _core.usable_instruction_sets()}
    assert len({digests[name] for name in fused}) <= 1


def test_many_networks_have_the_bits_of_one():
    X, y = np.random.default_rng(0).normal(size=(64, 8)), np.ones((64, 1))
    models = [MLP((8, 16, 1), "tanh", parametric_activation=True, random_state=seed) for seed in range(5)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(5)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    mixed = [models[0], MLP((8, 16, 1), "tanh", random_state=9)]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])


# ---- Parameters, copies and files ----


def test_lists_have_alphas_after_gains_and_shifts():
    model = parametric_model(*PARAMETRIC[1], input_scale=True)
    shapes = [(4, 17), (17,), (17,), (17,), (17,), (4,), (17, 33), (33,), (33,), (33,), (33, 3), (3,)]
    assert [p.shape for p in model.parameters] == [p.shape for p in model.gradient(*data_for(model)[:2])[1]] == shapes
    assert np.shares_memory(model.parameters[4], model.alphas[0])
    assert model.parametric_activation == (True, True)
    assert model.n_parameters == sum(p.size for p in model.parameters) == model.summary().n_parameters
    assert "parametric selu" in str(model.summary())
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))


def test_initial_alphas_are_the_activation_itself():
    model, plain = (
        MLP((3, 20, 1), "gelu", parametric_activation=[True], random_state=0),
        MLP((3, 20, 1), "gelu", random_state=0),
    )
    X = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-5, atol=1e-6)
    assert (plain.parametric_activation, plain.alphas) == ((False,), [None, None])
    assert "output_activation='identity', parametric_activation=True, dtype=float32)" in repr(model)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_parameters_of_their_own(copied):
    model = parametric_model(*PARAMETRIC[3])
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert other.parametric_activation == (False, True, False)
    other.alphas[1][:] = 9
    assert (model.alphas[1] != 9).all()


@networks
def test_files_of_models_and_trainers_keep_alphas(network, tmp_path):
    model = parametric_model(*network)
    X, y, _ = data_for(model)
    X += 0.1
    trainer = Trainer(model, "mse", Adam(0.001), batch_size=8, random_state=3)
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


def test_a_target_network_follows_only_a_model_with_alphas():
    model, target = (MLP((2, 5, 1), parametric_activation=True, random_state=seed) for seed in (0, 1))
    model.alphas[0][...] = 3.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.alphas[0], 2.0)
    with pytest.raises(ValueError, match="other: expected a model with parametric"):
        target.blend(MLP((2, 5, 1)), 0.5)


@compiled
def test_custom_activations_may_be_parametric():
    pytest.importorskip("numba")
    from fastnn import jit

    @jit.activation(derivative=lambda z: 1.0 / (1.0 + abs(z)) ** 2, uses="input", name="softsign in part")
    def softsign(z):
        return z / (1.0 + abs(z))

    model = parametric_model((3, 270, 2), [softsign], "layer_norm", "before", True)
    X, y, _ = data_for(model, 6)
    _, gradients = model.gradient(X, y)
    for array, gradient in zip(model.parameters, gradients, strict=True):
        for at in list(np.ndindex(array.shape))[:5]:
            np.testing.assert_allclose(gradient[at], difference(lambda: model.loss(X, y), array, at), rtol=1e-6, atol=1e-8)


# ---- Exports ----


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("normalization", [None, "layer_norm"])
@pytest.mark.parametrize("opset", [18, 20])
def test_onnx_files_keep_alphas(activation, normalization, opset, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    for place in ("before", "after") if normalization else ("before",):
        model = parametric_model((4, 17, 6, 3), [activation] * 2, normalization, place, [True, False], np.float32)
        X = data_for(model)[0].astype(np.float32) + np.float32(0.1)
        model.to_onnx(tmp_path / "model.onnx", opset=opset)
        (outputs,) = runtime.InferenceSession(tmp_path / "model.onnx").run(None, {"X": X})
        np.testing.assert_allclose(outputs, model.predict(X), rtol=1e-3, atol=1e-4)
        read = MLP.from_onnx(tmp_path / "model.onnx")
        if activation in ("relu", "leaky_relu"):  # in part, they are leaky rectifiers
            assert read.activations[0] == "prelu"
            np.testing.assert_allclose(read.predict(X), model.predict(X), rtol=1e-3, atol=1e-4)
        else:
            assert read.parametric_activation == (True, False)
            np.testing.assert_array_equal(read.to_vector(), model.to_vector())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_modules_of_pytorch_keep_alphas(dtype, place):
    torch = pytest.importorskip("torch")
    model = parametric_model((5, 24, 9, 3), ["selu", "mish"], "layer_norm", place, True, np.dtype(dtype), dropout=0.5)
    X, y, _ = data_for(model)
    X += 0.1
    module = model.to_torch()
    outputs = module(torch.from_numpy(X.astype(dtype)))
    tolerance = {"rtol": 2e-3, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-8, "atol": 1e-12}
    np.testing.assert_allclose(model.predict(X), outputs.detach().numpy(), **tolerance)
    torch.nn.functional.mse_loss(outputs, torch.from_numpy(y.astype(dtype))).backward()
    by_alphas = next(part.weight.grad for part in module if type(part).__name__ == "Parametric")
    np.testing.assert_allclose(model.gradient(X, y)[1][4], by_alphas.numpy(), **tolerance)
    again = fastnn.from_torch(pickle.loads(pickle.dumps(module)))
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.to_vector(), model.to_vector())
    trainer = Trainer(model, "mse", Adam(0.01), batch_size=len(X), shuffle=False)
    trainer.run(X, y, 2)
    back = Trainer.from_torch(
        *trainer.to_torch(), "mse", batch_size=len(X), shuffle=False, random_state=trainer.random_state
    )
    np.testing.assert_array_equal(back.model.alphas[0], model.alphas[0])


def test_misplaced_modules_are_named():
    nn = pytest.importorskip("torch").nn
    from fastnn._exports.pytorch_parts import Parametric

    for parts, message in (
        ([Parametric(nn.Tanh(), 2), nn.Linear(2, 3)], "expected a Linear first"),
        ([nn.Linear(2, 3), Parametric(nn.Tanh(), 3)], "expected parametric activations of hidden layers"),
        ([nn.Linear(2, 3), Parametric(nn.Tanh(), 2), nn.Linear(3, 1)], "expected 3 alphas, one per unit"),
        ([nn.Linear(2, 3), Parametric(nn.PReLU(), 3), nn.Linear(3, 1)], "expected one of ReLU"),
        ([nn.Linear(2, 3), Parametric(nn.Identity(), 3), nn.Linear(3, 1)], "expected one of ReLU"),
        ([nn.Linear(2, 3), nn.Tanh(), Parametric(nn.Tanh(), 3), nn.Linear(3, 1)], "expected one activation per Linear"),
        ([nn.Linear(2, 3), Parametric(nn.Tanh(), 3), nn.Tanh(), nn.Linear(3, 1)], "expected one activation per Linear"),
        ([nn.Linear(2, 3), Parametric(nn.ELU(2.0), 3), nn.Linear(3, 1)], "expected ELU"),
    ):
        with pytest.raises(ValueError, match=f"module: {message}"):
            fastnn.from_torch(nn.Sequential(*parts))


# ---- Estimators ----


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
def test_estimators_have_alphas(tmp_path):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    options = {"hidden_layer_sizes": (8, 6), "activation": "tanh", "max_iter": 5, "random_state": 0}
    for kind, targets in ((MLPRegressor, y), (MLPClassifier, y > 0)):
        for given in (True, [False, True], np.array([True, True])):
            fitted = kind(**options, parametric_activation=given).fit(X, targets)
            assert (fitted.network_.alphas[1] != 1.0).all()
            fitted.save(tmp_path / "model")
            np.testing.assert_array_equal(kind.load(tmp_path / "model").predict(X), fitted.predict(X))
        with pytest.raises(ValueError, match="parametric_activation: expected False: scikit-learn has no such parameter"):
            fitted.set_params(parametric_activation=True).to_sklearn()
    lbfgs = MLPRegressor(**options, solver="lbfgs", parametric_activation=True).fit(X, y)
    assert (lbfgs.network_.alphas[0] != 1.0).all()
    for given, message in (
        ({"parametric_activation": [True]}, "parametric_activation: expected 2: one per hidden layer"),
        ({"parametric_activation": "yes"}, "'parametric_activation' parameter of MLPRegressor must be True or False"),
        ({"parametric_activation": True, "activation": "identity"}, "parametric_activation: expected False for the act"),
    ):
        with pytest.raises(ValueError, match=message):
            MLPRegressor(**options | given).fit(X, y)


# ---- Errors ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"parametric_activation": 1}, TypeError, "parametric_activation: expected"),
        ({"parametric_activation": [True, 0.5]}, TypeError, r"parametric_activation\[1\]: expected"),
        ({"parametric_activation": [True]}, ValueError, "parametric_activation: expected 2, one per hidden layer, got 1"),
        ({"parametric_activation": True, "activation": ["relu", "prelu"]}, ValueError, "for the activation 'prelu' of .*1"),
        ({"parametric_activation": True, "activation": "identity"}, ValueError, "for the activation 'identity' of .*0"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        MLP((2, 3, 3, 1), **options)


def test_a_model_keeps_what_it_was_made_with():
    model = MLP((2, 3, 1), parametric_activation=True)
    with pytest.raises(AttributeError, match="parametric_activation: a model keeps what it was made with"):
        model.parametric_activation = False


def test_wrong_alphas_of_the_reference_are_named():
    W, b = [np.ones((2, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    for alphas, activation in (
        ([np.ones(2), None], "relu"),
        ([np.ones(3)], "relu"),
        ([None, np.ones(1)], "relu"),
        ([np.ones(3), None], "identity"),
    ):
        with pytest.raises(ValueError, match="alphas"):
            reference.forward(W, b, [activation, "identity"], np.ones((1, 2)), alphas=alphas)
