"""Models with normalizations: parameters, copies, files, penalties and errors."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from _model_checks import assert_files_keep
from _normalized import IDS, NETWORKS, data_for, model_with

from fastnn import MLP, Adam, AdamW, Trainer, reference

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
    assert_files_keep(model, X, y, Adam(0.01), tmp_path)


def test_a_target_network_follows_only_a_model_with_the_same_normalization():
    model, target = (MLP((2, 5, 1), normalization="layer_norm", random_state=seed) for seed in (0, 1))
    model.gains[0][...] = 3.0
    target.blend(model, 0.5)
    np.testing.assert_array_equal(target.gains[0], 2.0)
    after = MLP((2, 5, 1), normalization="layer_norm", normalization_place="after")
    for other, name in ((MLP((2, 5, 1)), "normalization"), (after, "normalization_place")):
        with pytest.raises(ValueError, match=rf"other: expected a model with {name} \("):
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


def test_lbfgs_and_shards_train_gains_and_shifts():
    pytest.importorskip("scipy")
    X = np.random.default_rng(0).normal(size=(64, 5))
    model = MLP((5, 17, 9, 1), "tanh", normalization="layer_norm", dtype="float64", random_state=0)
    sharded = [model.copy() for _ in range(2)]
    assert model.fit(X, X[:, :1] ** 2, optimizer="lbfgs", epochs=100)["loss"][-1] < 0.02
    assert (model.gains[1] != 1.0).all()
    for n_threads, other in enumerate(sharded, 1):
        Trainer(other, n_shards=4, batch_size=4, random_state=0, n_threads=n_threads).run(X, X[:, :1] ** 2, 2)
        assert (other.shifts[0] != 0.0).all()
    np.testing.assert_array_equal(sharded[0].to_vector(), sharded[1].to_vector())
