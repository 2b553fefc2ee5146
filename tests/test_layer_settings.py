"""Settings per layer: factors, penalties and frozen parameters, against the reference and by every way to train."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from _helpers import data
from _model_checks import parameters_of, reference_of

from fastnn import (
    EMA,
    MLP,
    SGD,
    SWA,
    AdaGrad,
    Adam,
    AdamW,
    LayerSettings,
    Lion,
    NAdam,
    RMSProp,
    Trainer,
    fit_many,
    reference,
)
from fastnn._engine import core as _core
from fastnn._layer_settings import EMBEDDED, KINDS

OPTIMIZERS = [
    SGD(0.05),
    SGD(0.02, momentum=0.9),
    SGD(0.02, momentum=0.9, nesterov=True),
    AdaGrad(0.05),
    RMSProp(0.01),
    Adam(0.01),
    AdamW(0.01, weight_decay=0.3),
    NAdam(0.01),
    Lion(0.002, weight_decay=0.5),
]
IDS = [repr(optimizer) for optimizer in OPTIMIZERS]
# Networks of three layers: one for the path of tiny networks, and one with all kinds of parameters.
TINY = ((3, 5, 4, 2), "tanh", None)
NETWORKS = [TINY, ((6, 40, 33, 3), "prelu", "layer_norm")]
FROZEN = LayerSettings(frozen=True)


def settings_for(optimizer):
    """Return settings of three layers, which use everything that an optimizer has."""
    names = optimizer.coefficient_names()
    epsilon = {"epsilon_factor": 1e5} if "epsilon" in names else {}
    decay = {"weight_decay_factor": {"weights": 2.0, "biases": 0.0}} if "weight_decay" in names else {}
    return [
        LayerSettings({"biases": 0.1}, **epsilon, **decay),
        [FROZEN, None, LayerSettings(0.5, l1=0.01, l2=0.02, **epsilon)],
        [LayerSettings(2.0, **decay), LayerSettings(frozen={"biases": True}), LayerSettings(l2=0.1)],
        [LayerSettings(frozen={"weights": True}), FROZEN, LayerSettings({"weights": 0.0})],
    ]


def model_of(network, dtype=np.float64, seed=1):
    sizes, activation, normalization = network
    return MLP(sizes, activation, normalization=normalization, dtype=dtype, random_state=seed)


def vector_by_reference(model, X, y, **options):
    lists, own = reference_of(model)
    losses = reference.train(*lists, X, y, rng=np.random.default_rng(5), **own, **options)
    return losses, np.concatenate([array.ravel() for array in parameters_of(lists, own)])


@pytest.mark.parametrize("network", NETWORKS, ids=["tiny", "normalized"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_training_is_that_of_the_reference(optimizer, network):
    X, y = data(50, network[0][0], network[0][-1])
    of_all = ({}, {"l2": 0.01, "l1": 0.003}, {"clip_norm": 0.3, "l2": 0.01}, {"clip_value": 0.05})
    for settings in settings_for(optimizer):
        for options in of_all:
            options = options | {"optimizer": optimizer, "batch_size": 16, "layer_settings": settings}
            model = model_of(network)
            losses, expected = vector_by_reference(model, X, y, epochs=2, **options)
            history = Trainer(model, random_state=5, n_threads=2, **options).run(X, y, 2)
            # A step of Lion has the size of the learning rate, whatever rounds to a sign.
            np.testing.assert_allclose(
                model.to_vector(), expected, rtol=0, atol=0.05 if isinstance(optimizer, Lion) else 1e-10
            )
            np.testing.assert_allclose(history["loss"], losses, rtol=1e-3 if isinstance(optimizer, Lion) else 1e-9)


def test_factors_are_options_of_groups():
    """Two steps of AdamW, written out."""
    X, y = data(20, 3, 2)
    settings = LayerSettings(
        {"weights": 2.0, "biases": 0.1}, epsilon_factor={"weights": 1e6}, weight_decay_factor={"biases": 3.0}
    )
    model = MLP((3, 4, 2), "tanh", dtype=np.float64, random_state=0)
    trainer = Trainer(model, optimizer=AdamW(0.01, weight_decay=0.1), layer_settings=settings)
    expected, moments = [p.copy() for p in model.parameters], [(0.0, 0.0)] * 4
    for t in (1, 2):
        _, gradients = model.gradient(X, y)
        trainer.step(X, y)
        for i, (p, g) in enumerate(zip(expected, gradients, strict=True)):
            rate, epsilon, decay = (0.02, 1e-2, 0.1) if i % 2 == 0 else (0.001, 1e-8, 0.3)
            m, v = moments[i] = 0.9 * moments[i][0] + 0.1 * g, 0.999 * moments[i][1] + 0.001 * g**2
            p *= 1 - rate * decay
            p -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + epsilon)
        for got, wanted in zip(model.parameters, expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (40, 300, 200, 5), (2, 600, 600, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", [SGD(0.0005), Adam(0.001), Lion(0.001, weight_decay=0.1)], ids=repr)
def test_frozen_parameters_and_their_moments_stay(optimizer, dtype, sizes):
    X, y = data(100, sizes[0], sizes[-1])
    for settings in ([FROZEN, None, None], [FROZEN, FROZEN, None], [None, FROZEN, LayerSettings(frozen={"biases": True})]):
        vectors = []
        for n_threads in (1, 2, 4):
            model = MLP(sizes, "relu", dtype=dtype, random_state=0)
            before = model.copy()
            trainer = Trainer(
                model, optimizer=optimizer, batch_size=32, layer_settings=settings, n_threads=n_threads, random_state=1
            )
            trainer.run(X, y, 6)  # enough steps for panels
            vectors.append(model.to_vector())
            for layer, own in enumerate(settings):
                for kind in ("weights", "biases"):
                    frozen = own is not None and (own.frozen is True or (own.frozen is not False and kind in own.frozen))
                    same = getattr(model, kind)[layer].tobytes() == getattr(before, kind)[layer].tobytes()
                    assert same == frozen
                    for moment in trainer._moments:
                        assert model._views(moment)[kind][layer].any() != frozen
        assert all(np.array_equal(vectors[0], other) for other in vectors)


def test_neutral_settings_change_no_bits():
    X, y = data(60, 5, 2)
    vectors = []
    for settings in (None, LayerSettings(), [None, LayerSettings(1.0)], LayerSettings({"biases": 1.0}, l2=0.01)):
        model = MLP((5, 7, 2), "relu", random_state=0)
        model.fit(X, y, epochs=2, l2=0.01, random_state=1, layer_settings=settings)
        vectors.append(model.to_vector())
    assert all(np.array_equal(vectors[0], other) for other in vectors)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.2}, {"lazy_updates": True}, {"l1": 0.001}], ids=str)
@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.05, momentum=0.9), AdaGrad(0.05), Adam(0.01), AdamW(0.01)], ids=repr)
def test_sparse_rows_are_trained_like_dense_ones(optimizer, options):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = sparse.csr_array(np.where(rng.random((120, 30)) < 0.1, rng.normal(size=(120, 30)), 0.0))
    _, y = data(120, 3, 2)
    for settings in settings_for(optimizer):
        for sizes in ((30, 20, 7, 2), (30, 3, 3, 2)):
            models = [MLP(sizes, "tanh", dtype=np.float64, random_state=0) for _ in range(3)]
            for model, given, n_threads in zip(models, (X, X, X.toarray()), (1, 3, 1), strict=True):
                own = options if given is X else {name: value for name, value in options.items() if name != "lazy_updates"}
                model.fit(
                    *(given, y), optimizer=optimizer, epochs=2, batch_size=16, layer_settings=settings, n_threads=n_threads,
                    random_state=1, **own,
                )  # fmt: skip
            assert np.array_equal(models[0].to_vector(), models[1].to_vector())
            if "lazy_updates" not in options:
                np.testing.assert_allclose(models[0].to_vector(), models[2].to_vector(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=IDS)
def test_fit_many_gives_the_bits_of_each_alone(optimizer):
    for sizes, dtype in (((2, 4, 3, 1), np.float32), ((5, 12, 9, 3), np.float64)):
        X, y = data(40, sizes[0], sizes[-1])
        for settings in [tuple(each) if isinstance(each, list) else each for each in settings_for(optimizer)]:
            options = {"optimizer": optimizer, "epochs": 2, "batch_size": 7, "random_state": 3}
            models = [MLP(sizes, "tanh", dtype=dtype, random_state=k) for k in range(6)]
            alone = [model.copy() for model in models]
            fit_many(models, X, y, layer_settings=settings, **options)
            for model, other in zip(models, alone, strict=True):
                other.fit(X, y, layer_settings=settings, **options)
                assert np.array_equal(model.to_vector(), other.to_vector())


def test_fit_many_takes_settings_per_model():
    X, y = data(40, 2, 1)
    models = [MLP((2, 4, 1), random_state=0) for _ in range(3)]
    alone = [model.copy() for model in models]
    each = [None, LayerSettings(0.5), (FROZEN, None)]
    fit_many(models, X, y, layer_settings=each, random_state=1)
    for model, other, settings in zip(models, alone, each, strict=True):
        other.fit(X, y, layer_settings=settings, random_state=1)
        assert np.array_equal(model.to_vector(), other.to_vector())


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"l1": 0.01}], ids=str)
@pytest.mark.parametrize("optimizer", [SGD(0.05), SGD(0.05, momentum=0.9), AdamW(0.01)], ids=repr)
def test_single_steps_shards_and_runs_agree(optimizer, options):
    X, y = data(64, 4, 2)
    settings = [LayerSettings(frozen={"weights": True}), LayerSettings({"biases": 0.1}, l2=0.2)]
    given = {"optimizer": optimizer, "layer_settings": settings, "batch_size": 64, "shuffle": False, **options}

    def new(**more):
        return Trainer(MLP((4, 6, 2), "tanh", dtype=np.float64, random_state=1), **given, **more)

    by_run, by_steps, by_parts, by_gradients, by_shards = (new(**({"n_shards": 2} if i == 4 else {})) for i in range(5))
    by_run.run(X, y, 3)
    by_shards.run(X, y, 3)
    for _ in range(3):
        by_steps.step(X, y)
        for rows in (slice(20), slice(20, None)):
            by_parts.accumulate(X[rows], y[rows])
        by_parts.apply()
        by_gradients.step_gradient(X, 2 * (by_gradients.model.predict(X) - y) / y.size)
    assert np.array_equal(by_run.model.to_vector(), by_steps.model.to_vector())
    for trainer in (by_parts, by_gradients, by_shards):
        np.testing.assert_allclose(trainer.model.to_vector(), by_run.model.to_vector(), rtol=1e-9, atol=1e-12)


def test_training_resumes_from_files_copies_and_pickles(tmp_path):
    X, y = data(40, 4, 2)
    for settings in ([FROZEN, LayerSettings({"biases": 0.1}, l2=0.2)], LayerSettings(0.5, weight_decay_factor=2.0)):
        trainer = Trainer(MLP((4, 6, 2), random_state=1), optimizer=AdamW(0.01), layer_settings=settings)
        trainer.run(X, y, 2)
        trainer.save(tmp_path / "trainer")
        others = [Trainer.load(tmp_path / "trainer"), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
        trainer.run(X, y, 2)
        for other in others:
            assert other.layer_settings == trainer.layer_settings
            other.run(X, y, 2)
            assert np.array_equal(other.model.to_vector(), trainer.model.to_vector())


def test_assigned_settings_take_effect_from_the_next_step():
    X, y = data(40, 4, 2)
    trainer = Trainer(MLP((4, 6, 2), random_state=1))
    trainer.step(X, y)
    trainer.layer_settings = LayerSettings(frozen={"biases": True})
    moments = trainer._moments.copy()
    biases, weights = trainer.model.biases[0].copy(), trainer.model.weights[0].copy()
    trainer.step(X, y)
    assert np.array_equal(trainer.model.biases[0], biases)
    assert not np.array_equal(trainer.model.weights[0], weights)
    assert np.array_equal(
        trainer.model._views(trainer._moments[0])["biases"][0], trainer.model._views(moments[0])["biases"][0]
    )
    with pytest.raises(ValueError, match="layer_settings: expected 2, one per layer"):
        trainer.layer_settings = [None]
    assert trainer.layer_settings == LayerSettings(frozen={"biases": True})
    trainer.layer_settings = LayerSettings(epsilon_factor=2.0)
    with pytest.raises(ValueError, match="layer_settings.epsilon_factor: expected 1.0 for SGD"):
        trainer.optimizer = SGD()
    assert isinstance(trainer.optimizer, Adam)


def test_kinds_are_those_of_the_kernels():
    assert (*KINDS, EMBEDDED) == _core.BLOCK_KINDS


def test_settings_are_values():
    given = LayerSettings({"biases": 0.1}, frozen={"gains": True})
    assert repr(given) == "LayerSettings(learning_rate_factor={'biases': 0.1}, frozen={'gains': True})"
    assert repr(LayerSettings()) == "LayerSettings()"
    assert given == eval(repr(given))
    assert hash(given) == hash(eval(repr(given)))
    assert given == copy.deepcopy(given) == pickle.loads(pickle.dumps(given))
    assert given != LayerSettings({"biases": 0.2}, frozen={"gains": True})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"learning_rate_factor": -1}, ValueError, "learning_rate_factor: expected a finite number >= 0, got -1"),
        ({"epsilon_factor": 0.0}, ValueError, "epsilon_factor: expected a finite number > 0, got 0.0"),
        ({"weight_decay_factor": {"biases": "a"}}, TypeError, r"weight_decay_factor\['biases'\]: expected a finite number"),
        (
            {"learning_rate_factor": {"bias": 1.0}},
            ValueError,
            "expected kinds of parameters, 'weights'",
        ),
        ({"frozen": 1}, TypeError, "frozen: expected True or False, got 1"),
        ({"l2": 0.1, "frozen": True}, ValueError, "l2: expected None for frozen weights"),
        ({"l1": -0.1}, ValueError, "l1: expected a finite number >= 0"),
    ],
)
def test_wrong_settings_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        LayerSettings(**options)


@pytest.mark.parametrize(
    ("settings", "options", "error", "message"),
    [
        ([LayerSettings()], {}, ValueError, "layer_settings: expected 2, one per layer, the output layer's last, got 1"),
        ("frozen", {}, TypeError, "layer_settings: expected LayerSettings for all layers, or a list"),
        (LayerSettings(weight_decay_factor=2.0), {}, ValueError, "weight_decay_factor: expected 1.0 for Adam, which has no"),
        (
            [None, LayerSettings(epsilon_factor=2.0)],
            {"optimizer": Lion()},
            ValueError,
            r"\[1\].epsilon_factor: expected 1.0",
        ),
        (FROZEN, {}, ValueError, "layer_settings: expected parameters that are not frozen, got none"),
        (LayerSettings({"gains": 2.0}), {}, ValueError, "are there, weights, biases, got 'gains'"),
        (LayerSettings(0.5), {"optimizer": "lbfgs"}, ValueError, "layer_settings: expected none for optimizer 'lbfgs'"),
    ],
)
def test_settings_that_do_not_apply_are_refused(settings, options, error, message):
    with pytest.raises(error, match=message):
        Trainer(MLP((2, 3, 1)), layer_settings=settings, **options)


def test_estimators_take_settings(tmp_path):
    pytest.importorskip("sklearn")
    from sklearn.base import clone

    from fastnn.sklearn import MLPClassifier, MLPRegressor

    X, y = data(60, 3, 1)
    settings = [FROZEN, LayerSettings({"biases": 0.1}, l2=0.5)]
    fitted = MLPRegressor(hidden_layer_sizes=(5,), layer_settings=settings, max_iter=3, tol=0.0, random_state=0)
    first = clone(fitted).set_params(max_iter=1, learning_rate_init=1e-9, layer_settings=[FROZEN, None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that do not suffice
        fitted.fit(X, y.ravel())
        first.fit(X, y.ravel())
        assert np.array_equal(fitted.coefs_[0], first.coefs_[0])
        assert not np.array_equal(fitted.coefs_[1], first.coefs_[1])
        fitted.save(tmp_path / "estimator")
        loaded = MLPRegressor.load(tmp_path / "estimator")
        assert loaded.layer_settings == settings
        for estimator in (fitted, loaded):
            estimator.partial_fit(X, y.ravel())
        assert np.array_equal(fitted.coefs_[1], loaded.coefs_[1])
        before = fitted.coefs_[0].copy()
        fitted.set_params(layer_settings=LayerSettings(2.0)).partial_fit(X, y.ravel())
        assert not np.array_equal(fitted.coefs_[0], before)
        several = MLPClassifier(
            hidden_layer_sizes=(5,), layer_settings=(FROZEN, None), max_iter=2, n_members=2, random_state=0
        )
        several.fit(X, (y.ravel() > 0).astype(int))
    with pytest.raises(ValueError, match="layer_settings: expected 2: one per layer, got a list of 1"):
        MLPRegressor(hidden_layer_sizes=(5,), layer_settings=[None]).fit(X, y.ravel())
    with pytest.raises(ValueError, match="'layer_settings' parameter of MLPRegressor must be a fastnn.LayerSettings"):
        MLPRegressor(hidden_layer_sizes=(5,), layer_settings=1.0).fit(X, y.ravel())
    with pytest.raises(ValueError, match="layer_settings: expected another solver"):
        MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", layer_settings=LayerSettings(2.0)).fit(X, y.ravel())


def test_compiled_steps_use_the_settings():
    numba = pytest.importorskip("numba")
    if _core.__name__.startswith("fastnn._engine.portable"):
        pytest.skip("compiled code needs the extension")
    X, y = data(32, 3, 2)
    settings = [LayerSettings(frozen={"weights": True}), LayerSettings({"biases": 0.1}, l2=0.1)]
    trainers = [Trainer(MLP((3, 4, 2), random_state=0), layer_settings=settings) for _ in range(2)]

    @numba.njit
    def steps(trainer, X, y):
        for _ in range(3):
            trainer.step(X, y)

    steps(trainers[0], X, y)
    for _ in range(3):
        trainers[1].step(X, y)
    assert np.array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.01)])
@pytest.mark.parametrize("sizes", [(2, 4, 1), (40, 256, 256, 10)])
@pytest.mark.parametrize("averaging", [EMA(0.9), SWA(start=2)])
def test_averages_contain_frozen_parameters(averaging, sizes, optimizer, clip_norm):
    X, y = data(80, sizes[0], sizes[-1])
    settings = [FROZEN, *[None] * (len(sizes) - 2)]
    given = {"layer_settings": settings, "averaging": averaging, "batch_size": 32, "clip_norm": clip_norm}
    models = [MLP(sizes, "tanh", dtype=np.float64, random_state=0) for _ in range(3)]
    trainers = [Trainer(models[i], "mse", optimizer, random_state=0, n_threads=i + 1, **given) for i in range(2)]
    for trainer in trainers:
        trainer.run(X, y, epochs=4)
    parameters = [*models[2].weights, *models[2].biases]
    averages = [np.zeros(p.shape) for p in parameters]
    weights, biases = ([p.copy() for p in own] for own in (models[2].weights, models[2].biases))
    rng = np.random.default_rng(0)
    reference.train(
        weights, biases, models[2].activations, X, y, optimizer=optimizer, epochs=4, rng=rng, averages=averages, **given
    )
    averaged = trainers[0].averaged_model()
    for ours, theirs in zip([*averaged.weights, *averaged.biases], averages, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(averaged.to_vector(), trainers[1].averaged_model().to_vector())
