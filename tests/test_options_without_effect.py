"""Options that would have no effect beside others raise errors that name them, before anything changes."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import EMA, MLP, SGD, AdamW, LayerSettings, Lion, Muon, Trainer, losses, schedules
from fastnn.embeddings import PBLD, OneHot

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2))
FROZEN_WEIGHTS = LayerSettings(frozen={"weights": True})


def model_of(**options):
    return MLP((3, 6, 5, 4, 2), "tanh", dtype=np.float64, random_state=0, **options)


def settings_of(layer, **options):
    """Return settings of one of the four layers."""
    return [LayerSettings(**options) if i == layer else None for i in range(4)]


OF_BIASES = {"biases": 0.5}
FACTORS = [{"learning_rate_factor": 0.5}, {"learning_rate_factor": OF_BIASES}, {"weight_decay_factor": OF_BIASES}]

# Options of models, and what they raise.
OF_MODELS = [
    (
        {"residual_place": "before"},
        "residual_place: expected the default 'after' without residual conn.*, got 'before'",
    ),
    (
        {"normalization_place": "after"},
        "normalization_place: expected the default 'before' without normal.*, got 'after'",
    ),
    ({"normalization": [None] * 3, "normalization_place": ["after"] * 3}, "normalization_place: expected the default"),
    (
        {"residual": 3},
        "residual: expected 4, 7, 10, … hidden layers, which .* blocks of 3, got 3 hidden layers",
    ),
]

# Options of trainers, and what they raise.
OF_TRAINERS = [
    # Factors of numbers that an update does not have
    ({"layer_settings": LayerSettings(epsilon_factor=2.0), "optimizer": SGD()}, r"epsilon_factor: expected 1.0 for SGD"),
    ({"layer_settings": LayerSettings(weight_decay_factor=2.0)}, r"weight_decay_factor: expected 1.0 for Adam"),
    (
        {"layer_settings": settings_of(1, epsilon_factor={"weights": 2.0}), "optimizer": Muon()},
        r"layer_settings\[1\].epsilon_factor\['weights'\]: expected 1.0 for hidden weights, .* Muon .* got 2.0",
    ),
    (
        {"layer_settings": settings_of(2, epsilon_factor=2.0, frozen={"biases": True}), "optimizer": Muon()},
        r"layer_settings\[2\].epsilon_factor: expected 1.0 for hidden weights",
    ),
    # Factors of a weight decay that is 0
    *(
        (
            {"layer_settings": LayerSettings(weight_decay_factor=factor), "optimizer": optimizer},
            rf"weight_decay_factor.*: expected the default for {type(optimizer).__name__} with weight_decay=0.0",
        )
        for factor in (2.0, {"weights": 0.5}, {"biases": 2.0})
        for optimizer in (Lion(), AdamW(weight_decay=0.0), Muon(weight_decay=0.0))
    ),
    # Factors of frozen parameters
    *(
        (
            {"layer_settings": [LayerSettings(**options, frozen=frozen), *[None] * 3], "optimizer": AdamW()},
            r"layer_settings\[0\].*_factor.*: expected the default for frozen parameters, which no update changes, got 0.5",
        )
        for options in FACTORS
        for frozen in (True, {"weights": True, "biases": True})
    ),
    (
        {"layer_settings": LayerSettings({"weights": 0.5}, frozen={"weights": True})},
        r"layer_settings.learning_rate_factor\['weights'\]: expected the default for frozen parameters",
    ),
    # Kinds of parameters that do not exist
    ({"layer_settings": LayerSettings({"gains": 0.5})}, "expected the kinds of parameters that are there"),
    ({"layer_settings": settings_of(0, frozen={"projections": True})}, "expected the kinds of parameters that are there"),
    # Penalties of no weights
    ({"l1": 0.1, "layer_settings": FROZEN_WEIGHTS}, "l1: expected 0.0, since by layer_settings, all"),
    (
        {"l2": 0.1, "layer_settings": LayerSettings(l2=0.5)},
        "l2: expected 0.0, since by layer_settings, all",
    ),
    ({"l2": schedules.Cosine(0.1, 5), "layer_settings": FROZEN_WEIGHTS}, "l2: expected 0.0, since by layer_settings"),
    # Factors of nothing
    ({"dropout_factor": 0.5}, "dropout_factor: expected 1.0 for a model without dropout"),
    ({"label_smoothing_factor": 0.5}, "label_smoothing_factor: expected 1.0 for"),
    # What makes no steps
    ({"optimizer": "lbfgs", "averaging": EMA()}, "averaging: expected none for optimizer 'lbfgs'"),
    ({"optimizer": "lbfgs", "lazy_updates": True}, "lazy_updates: expected none for optimizer 'lbfgs'"),
]

# Settings that say what holds anyway, or that have an effect somewhere.
HARMLESS = [
    {"layer_settings": LayerSettings(1.0, 1.0, 1.0)},
    {"layer_settings": LayerSettings(weight_decay_factor={"biases": 0.0}), "optimizer": Lion()},
    {"layer_settings": LayerSettings(weight_decay_factor=2.0), "optimizer": Lion(weight_decay=schedules.Cosine(0.1, 5))},
    {"layer_settings": LayerSettings(epsilon_factor={"weights": 2.0}), "optimizer": Muon()},
    {"layer_settings": settings_of(1, epsilon_factor=2.0), "optimizer": Muon()},
    {"layer_settings": settings_of(0, epsilon_factor={"weights": 2.0}), "optimizer": Muon()},
    {"layer_settings": LayerSettings({"biases": 0.5}, frozen={"weights": True})},
    {"layer_settings": LayerSettings({"weights": 1.0}, frozen={"weights": True})},
    {"layer_settings": [LayerSettings(l2=0.5), None, None, None], "l2": 0.1},
    {"dropout_factor": 1.0, "label_smoothing_factor": 1.0},
]


@pytest.mark.parametrize(("options", "message"), OF_MODELS, ids=repr)
def test_models_refuse_options_without_effect(options, message):
    with pytest.raises(ValueError, match=message):
        model_of(**options)


@pytest.mark.parametrize(("options", "message"), OF_TRAINERS, ids=repr)
def test_trainers_refuse_settings_without_effect(options, message):
    model = model_of()
    with pytest.raises(ValueError, match=message):
        Trainer(model, **options)
    with pytest.raises(ValueError, match=message):
        model.copy().fit(X, Y, **options)
    with pytest.raises(ValueError, match=message):
        fastnn.fit_many([model.copy(), model.copy()], X, Y, **{k: [v, v] for k, v in options.items()})


@pytest.mark.parametrize("options", HARMLESS, ids=repr)
def test_neutral_settings_are_accepted(options):
    model_of().fit(X, Y, **options)


def test_what_is_for_all_hidden_layers_may_be_for_none():
    options = {"dropout": 0.5, "normalization": "layer_norm", "parametric_activation": True}
    MLP((3, 2), "tanh", **options).fit(X, Y)


def test_a_refused_assignment_changes_nothing():
    trainer = Trainer(model_of(), optimizer=AdamW(), layer_settings=LayerSettings(weight_decay_factor=2.0))
    with pytest.raises(ValueError, match="weight_decay_factor: expected the default for AdamW with weight_decay=0.0"):
        trainer.optimizer = AdamW(weight_decay=0.0)
    assert trainer.optimizer == AdamW()
    with pytest.raises(ValueError, match="l2: expected 0.0"):
        trainer.layer_settings, trainer.l2 = FROZEN_WEIGHTS, 0.5
    assert trainer.l2 == 0.0


def test_factors_of_embeddings_without_effect_are_refused():
    model = MLP((3, 4, 1), embeddings=[PBLD([0]), OneHot([1], n_categories=2)])
    kind = "embedding_parameters"
    for frozen in ({kind: True}, {kind: [True, None]}):
        settings = LayerSettings({kind: [0.5, None]}, frozen=frozen)
        with pytest.raises(ValueError, match=r"\['embedding_parameters'\]\[0\]: expected the default for frozen parameters"):
            Trainer(model, layer_settings=[settings, None])
    Trainer(model, layer_settings=[LayerSettings({kind: [0.5, None]}, frozen={"weights": True}), None])


def test_lazy_updates_of_dense_rows_are_refused():
    message = "lazy_updates: expected False for dense rows without tables of categories, in which no features are absent"
    trainer = Trainer(model_of(), lazy_updates=True)
    before = trainer.model.to_vector()
    for call in (
        lambda: trainer.run(X, Y),
        lambda: trainer.step(X, Y),
        lambda: trainer.step(X.tolist(), Y.tolist()),
        lambda: trainer.step_gradient(X, Y),
        lambda: model_of().fit(X, Y, lazy_updates=True),
        lambda: fastnn.fit_many([model_of(), model_of()], X, Y, lazy_updates=[False, True]),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="lazy_updates: expected False for accumulated gradients"):
        trainer.accumulate(X, Y)
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    assert trainer.updates == 0
    sparse = pytest.importorskip("scipy.sparse")
    trainer.run(sparse.csr_matrix(X), Y)


def test_compiled_steps_refuse_lazy_updates():
    pytest.importorskip("numba")
    from fastnn import jit

    with pytest.raises(TypeError, match="lazy_updates: expected False for steps in compiled code"):
        jit.as_numba(Trainer(model_of(), lazy_updates=True))


def test_losses_and_optimizers_refuse_options_without_effect():
    with pytest.raises(ValueError, match="nesterov: expected momentum > 0"):
        SGD(nesterov=True)
    assert losses.CrossEntropy(label_smoothing=0.0) == losses.CrossEntropy()


# Parameters of estimators, and what they raise in `fit`.
OF_ESTIMATORS = [
    ({"residual_place": "before"}, "residual_place: expected the default 'after' without residual connections"),
    ({"normalization_place": "after"}, "normalization_place: expected the default 'before' without normalization"),
    ({"lazy_updates": True}, "lazy_updates: expected False for dense rows"),
    ({"scoring": "r2"}, "scoring: expected the default None for early_stopping=False, got 'r2'"),
    ({"ties": "last"}, "ties: expected the default 'first' for early_stopping=False, got 'last'"),
    ({"learning_rate": schedules.Cosine(0.1, 5), "learning_rate_init": 0.1}, "learning_rate_init: expected the default"),
    ({"solver": "lbfgs", "learning_rate": schedules.Cosine(0.1, 5)}, "learning_rate: expected the default 'constant'"),
    ({"solver": AdamW(), "learning_rate_init": 0.1}, "learning_rate_init: expected the default 0.001 for solver=AdamW"),
    ({"solver": AdamW(), "beta_1": 0.5}, "beta_1: expected the default 0.9 for solver=AdamW"),
    ({"solver": AdamW(), "epsilon": 0.5}, "epsilon: expected the default 1e-08 for solver=AdamW"),
    ({"solver": AdamW(), "learning_rate": schedules.Cosine(0.1, 5)}, "learning_rate: expected the default 'constant'"),
    ({"solver": SGD(), "learning_rate": "adaptive"}, "learning_rate: expected the default 'constant' for solver=SGD"),
    ({"solver": SGD(), "momentum": 0.5}, "momentum: expected the default 0.9 for solver=SGD"),
    ({"solver": SGD(), "nesterovs_momentum": False}, "nesterovs_momentum: expected the default True for solver=SGD"),
    ({"solver": Muon(), "momentum": 0.5}, "momentum: expected the default 0.9 for solver=Muon"),
    ({"solver": "lbfgs", "clip_norm": 1.0}, "clip_norm: expected another solver"),
    ({"solver": "muon", "momentum": 1.0}, "momentum: expected a finite number >= 0 and < 1, got 1.0"),
    (
        {"residual": 2},
        "residual: expected 3, 5, 7, … hidden layers, which .* blocks of 2, got 2 hidden layers",
    ),
]


@pytest.mark.parametrize(("options", "message"), OF_ESTIMATORS, ids=repr)
def test_estimators_refuse_parameters_without_effect(options, message):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    estimator = MLPRegressor(hidden_layer_sizes=(5, 4), max_iter=2, random_state=0).set_params(**options)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_momentum_of_estimators_is_that_of_muon():
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    def fitted(**options):
        estimator = MLPRegressor(hidden_layer_sizes=(5, 4, 3), max_iter=3, random_state=0, **options).fit(X, Y)
        return estimator.network_.to_vector()

    given = fitted(solver="muon", momentum=0.5)
    np.testing.assert_array_equal(given, fitted(solver=Muon(momentum=0.5)))
    assert (given != fitted(solver="muon")).any()
    np.testing.assert_array_equal(fitted(solver="adam", momentum=0.5), fitted(solver="adam"))  # as in scikit-learn
