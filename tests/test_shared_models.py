"""Shared ensembles: parameters, copies, files, the same bits, many networks, and errors."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from _model_checks import (
    assert_compiled_code_has_the_bits_of_python,
    assert_files_keep,
    assert_instruction_sets_print_the_same,
    assert_one_row_is_a_batch_of_one,
    assert_rows_have_the_bits_of_a_batch,
    compiled,
)
from _shared import IDS, NETWORKS, data_for, model_with

import fastnn
from fastnn import MLP, Adam, Ensemble, SharedEnsemble, Trainer

# ---- Parameters, copies and files ----


def test_lists_have_the_arrays_of_all_members():
    model = model_with((4, 17, 3), "tanh", 5)
    shapes = [(4, 17), (17,), (5, 4), (17, 15), (15,)]
    assert [p.shape for p in model.parameters] == [p.shape for p in model.gradient(*data_for(model)[:2])[1]] == shapes
    assert model.n_parameters == sum(p.size for p in model.parameters) == model.summary().n_parameters
    assert model.summary().multiply_adds == 5 * (4 * 17 + 17 * 3)
    assert (model.layer_sizes, model.shared) == ((4, 17, 3), SharedEnsemble(5))
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))
    assert MLP((4, 17, 3)).shared is None
    assert "shared=SharedEnsemble(n_members=5, scale_init='auto')" in repr(model)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_have_parameters_of_their_own(copied):
    model = model_with(*NETWORKS[1])
    other = copied(model)
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    assert other.shared == model.shared
    other.scales[0][...] = 9
    assert (model.scales[0] != 9).all()


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_files_of_models_and_trainers_keep_members(network, tmp_path):
    model = model_with(*network)
    X, y, _ = data_for(model)
    assert_files_keep(model, X, y, Adam(0.01), tmp_path)
    assert MLP.load(tmp_path / "model").shared == model.shared


@pytest.mark.parametrize("kind", ["mini", "full"])
def test_files_of_another_kind_are_refused(kind):
    model = model_with((3, 5, 2), "tanh", 4, {"kind": kind})
    config, other = model._config(), "full" if kind == "mini" else "mini"
    with pytest.raises((KeyError, ValueError)):
        MLP._from(config | {"shared": config["shared"] | {"kind": other}}, model._arrays())


def test_the_kind_full_has_parameters_for_each_member():
    model = model_with((4, 17, 8, 3), "tanh", 5, {"kind": "full"})
    first, second = [(4, 17), (5, 17), (5, 4), (5, 17)], [(17, 8), (5, 8), (5, 17), (5, 8)]
    shapes = [*first, *second, (8, 15), (15,)]
    assert [p.shape for p in model.parameters] == [p.shape for p in model.gradient(*data_for(model)[:2])[1]] == shapes
    assert model.n_parameters == sum(p.size for p in model.parameters) == model.summary().n_parameters
    assert "shared=SharedEnsemble(n_members=5, scale_init='auto', kind='full')" in repr(model)
    model.set_vector(np.arange(model.n_parameters))
    np.testing.assert_array_equal(model.to_vector(), np.arange(model.n_parameters))
    assert MLP((4, 17, 8, 3)).output_scales == [None, None, None]


def test_damaged_files_are_refused(tmp_path):
    model = model_with((3, 5, 2))
    config = model._config()
    for shared in ({"n_members": 3}, {"n_members": 1}):
        with pytest.raises(ValueError, match="arrays are not those of layers|n_members: expected"):
            MLP._from(config | {"shared": shared}, model._arrays())


def test_inspection_shows_members(tmp_path):
    from fastnn._cli._contents import contents_of

    model = model_with((3, 5, 2))
    model.save(tmp_path / "model")
    assert contents_of(tmp_path / "model")["architecture"].n_parameters == model.n_parameters


def test_a_target_network_follows_only_a_model_with_as_many_members():
    model, target = (MLP((2, 5, 1), shared=SharedEnsemble(4), random_state=seed) for seed in (0, 1))
    model.scales[0][...], target.scales[0][...] = 3.0, 1.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.scales[0], 2.0)
    full = MLP((2, 5, 1), shared=SharedEnsemble(4, kind="full"))
    of_others = [(MLP((2, 5, 1), input_scale=True), "input_scale"), (MLP((2, 5, 1), shared=SharedEnsemble(3)), "shared")]
    for other, name in [*of_others, (full, "shared")]:
        with pytest.raises(ValueError, match=f"other: expected a model with {name} "):
            target.blend(other, 0.5)


# ---- Training ----


def test_lbfgs_trains_members():
    pytest.importorskip("scipy")
    X = np.random.default_rng(0).normal(size=(64, 5))
    model = MLP((5, 9, 1), "tanh", shared=SharedEnsemble(3), dtype="float64", random_state=0)
    assert model.fit(X, X[:, :1] ** 2, optimizer="lbfgs", epochs=200)["loss"][-1] < 0.1


def test_steps_from_gradients_are_those_of_a_loss():
    models = [model_with((5, 9, 2)) for _ in range(3)]
    X, y, _ = data_for(models[0])
    gradient = 2 * (models[0].predict(X) - y) / y.size  # of the squared error of the mean
    trainers = [Trainer(model, "mse", fastnn.SGD(0.1)) for model in models]
    trainers[0].step_gradient(X, gradient)
    for rows in (slice(0, 20), slice(20, None)):
        trainers[1].accumulate(X[rows], G=gradient[rows])
    trainers[1].apply()
    by_parameters = models[2].vjp(X, gradient)
    for parameter, of_loss in zip(models[2].parameters, by_parameters, strict=True):
        parameter -= 0.1 * of_loss
    for model in models[:2]:
        np.testing.assert_allclose(model.to_vector(), models[2].to_vector(), rtol=1e-9)


# ---- The same bits ----


@compiled
@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_bits_alone_and_among_others(network, dtype):
    model = model_with(*network, dtype)
    X = data_for(model, 700)[0].astype(dtype)
    assert_rows_have_the_bits_of_a_batch(model, X)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_one_row_has_the_derivatives_of_a_batch_of_one(network):
    model = model_with(*network)
    X, y, _ = data_for(model, 1)
    assert_one_row_is_a_batch_of_one(model, X, y)


@compiled
@pytest.mark.parametrize("kind", ["mini", "full"])
def test_compiled_code_has_the_bits_of_python(kind):
    model = model_with((4, 17, 33, 3), "gelu", 5, input_dropout=0.2, kind=kind)
    assert_compiled_code_has_the_bits_of_python([(model, *data_for(model)[:2])])


PROGRAM = """
import numpy as np
from _digests import Digest
from fastnn import MLP, SGD, AdamW, SharedEnsemble
digest = Digest()
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for sizes, k, kind in (
        ((3, 5, 2), 4, "mini"),
        ((6, 40, 128, 3), 7, "mini"),
        ((90, 256, 30), 3, "mini"),
        ((20, 3), 32, "mini"),
        ((6, 40, 128, 3), 7, "full"),
        ((90, 256, 64, 30), 3, "full"),
    ):
        shared = SharedEnsemble(k, kind=kind)
        make = lambda: MLP(sizes, "gelu", shared=shared, input_dropout=0.2, dropout=0.1, dtype=dtype, random_state=1)
        epochs = 10 if sizes[0] > 50 and kind == "mini" else 2
        for optimizer, options in ((SGD(0.01), {}), (AdamW(0.01), {"l2": 1e-2, "clip_norm": 0.1})):
            for n, batch_size in ((70, 32), (300, 200)):
                X, y = rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1]))
                digest.add(make, X, y, optimizer, epochs=epochs, batch_size=batch_size, **options)
digest.print()
"""


@compiled
def test_any_number_of_threads_and_instruction_set_gives_the_same_bits():
    assert_instruction_sets_print_the_same(PROGRAM)


# ---- Many networks, and shards ----


def test_many_networks_have_the_bits_of_one():
    X, y = np.random.default_rng(0).normal(size=(64, 8)), np.ones((64, 1))
    models = [MLP((8, 16, 1), "tanh", shared=SharedEnsemble(3), random_state=seed) for seed in range(5)]
    models += [MLP((8, 16, 1), "tanh", random_state=seed) for seed in range(5)]
    full = SharedEnsemble(3, kind="full")
    models += [MLP((8, 16, 1), "tanh", shared=full, random_state=seed) for seed in range(3)]
    alone = [model.copy() for model in models]
    fastnn.fit_many(models, X, y, epochs=3, random_state=list(range(13)))
    for seed, (model, other) in enumerate(zip(models, alone, strict=True)):
        other.fit(X, y, epochs=3, random_state=seed)
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    mixed = [models[0], models[9], models[11], models[1]]
    np.testing.assert_array_equal(fastnn.predict_many(mixed, X), [m.predict(X) for m in mixed])
    np.testing.assert_array_equal(fastnn.predict_many(models[:5], X), [m.predict(X) for m in models[:5]])
    np.testing.assert_allclose(Ensemble(models[:2]).predict(X), (models[0].predict(X) + models[1].predict(X)) / 2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["mini", "full"])
def test_shards_train_members(kind):
    X = np.random.default_rng(0).normal(size=(64, 5))
    options = {"input_dropout": 0.2, "random_state": 0}
    models = [MLP((5, 17, 1), "tanh", shared=SharedEnsemble(6, kind=kind), **options) for _ in range(2)]
    before = models[0].to_vector()
    for n_threads, model in enumerate(models, 1):
        Trainer(model, n_shards=4, batch_size=4, random_state=0, n_threads=n_threads).run(X, X[:, :1] ** 2, 2)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
    assert (models[0].to_vector() != before).any()


# ---- Exports ----


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("opset", [13, None])
def test_onnx_files_compute_the_means_of_members(network, opset, tmp_path):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    options = {"output_activation": "softmax"} if network[0][-1] > 2 else {}
    model = model_with(*network, np.float32, **options)
    X = data_for(model)[0].astype(np.float32)
    model.to_onnx(tmp_path / "model.onnx", opset=opset)
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (outputs,) = session.run(None, {"X": X})
    np.testing.assert_allclose(outputs, model.predict(X), rtol=2e-3, atol=1e-4)
    assert session.get_outputs()[0].shape == ["batch", model.layer_sizes[-1]]
    described = json.loads(onnx.load(tmp_path / "model.onnx").metadata_props[0].value)
    assert described["layer_sizes"] == list(model.layer_sizes)
    with pytest.raises(ValueError, match="onnx"):
        MLP.from_onnx(tmp_path / "model.onnx")


# ---- Errors ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shared": 8}, TypeError, "shared: expected a SharedEnsemble, or None, got 8"),
        ({"shared": SharedEnsemble}, TypeError, "shared: expected a SharedEnsemble"),
        ({"shared": SharedEnsemble(2), "input_scale": True}, ValueError, "input_scale: expected False"),
        ({"shared": SharedEnsemble(2), "residual": [(0, 1)]}, ValueError, r"residual: expected no .* got \[\(0, 1\)\]"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        MLP((2, 3, 1), **options)


def test_wrong_settings_of_members_are_named():
    for options, error, message in (
        ({"n_members": 1}, ValueError, "n_members: expected"),
        ({"n_members": 513}, ValueError, "n_members: expected"),
        ({"n_members": 2.5}, TypeError, "n_members: expected"),
        ({"scale_init": "uniform"}, ValueError, "scale_init: expected one of 'auto'.*got 'uniform'"),
        ({"scale_init": None}, TypeError, "scale_init: expected one of 'auto'"),
        ({"kind": "packed"}, ValueError, "kind: expected one of 'mini', 'full', got 'packed'"),
        ({"kind": 1}, TypeError, "kind: expected one of 'mini', 'full', got 1"),
        ({"k": 3}, TypeError, r"SharedEnsemble\(\) got an unexpected keyword argument 'k'"),
    ):
        with pytest.raises(error, match=message):
            SharedEnsemble(**options)


def test_a_model_keeps_its_members():
    with pytest.raises(AttributeError, match="shared: a model keeps what it was made with"):
        MLP((2, 3, 1), shared=SharedEnsemble(2)).shared = None


def test_sparse_rows_are_refused_before_anything_changes():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    model = model_with((6, 5, 2))
    X, y, _ = data_for(model)
    rows, before = scipy_sparse.csr_array(X), model.to_vector()
    for call in (
        lambda: model.predict(rows),
        lambda: model.gradient(rows, y),
        lambda: model.fit(rows, y),
        lambda: Trainer(model).step(rows, y),
        lambda: model.jacobian(rows),
        lambda: model.hidden_activations(rows),
        lambda: fastnn.predict_many([model, model], rows),
        lambda: fastnn.fit_many([model], rows, y),
        lambda: Ensemble([model, model]).predict(rows),
    ):
        with pytest.raises(
            TypeError, match="X: expected a dense array for (a shared ensemble|shared ensembles), got a sparse"
        ):
            call()
    np.testing.assert_array_equal(model.to_vector(), before)


def test_doors_of_single_networks_refuse_members():
    model = model_with((3, 5, 2))
    for method, call in (
        ("to_torch", lambda: Trainer(model).to_torch()),
        ("init_from_data", lambda: model.init_from_data(np.ones((5, 3)))),
    ):
        with pytest.raises(
            ValueError, match=rf"{method}: expected a single network, got a model with shared=SharedEnsemble\("
        ):
            call()
