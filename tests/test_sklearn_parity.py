"""The estimators against scikit-learn's: fits with the same parameters give the same results."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from _sklearn_pairs import CLASSES, DATA, LIBRARIES, assert_same, assert_same_fit, estimator, snapshot
from sklearn.exceptions import ConvergenceWarning

SOLVERS = ("adam", "sgd", "lbfgs")
# The quasi-Newton method amplifies differences in the last bit from iteration to iteration.
RTOL = {"adam": 1e-9, "sgd": 1e-9, "lbfgs": 1e-4}


# ---- Data, activations, solvers ----


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("data", DATA)
def test_fits_of_every_activation_and_solver_are_the_same(data, activation, solver):
    assert_same_fit(data, RTOL[solver], activation=activation, solver=solver, max_iter=6 if solver == "lbfgs" else 15)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("sizes", [(), 3, (5, 4, 3), [6, 2], np.array([4, 4])], ids=str)
@pytest.mark.parametrize("data", ["iris", "two outputs"])
def test_fits_of_any_hidden_layer_sizes_are_the_same(data, sizes, solver):
    assert_same_fit(data, RTOL[solver], hidden_layer_sizes=sizes, solver=solver, max_iter=10)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", ["diabetes", "two outputs"])
def test_repeated_fits_are_the_same(data, solver):
    """A second fit starts from new weights."""
    X, y = DATA[data]
    assert_same(
        lambda library: snapshot(estimator(library, data, solver=solver, max_iter=5).fit(X, y).fit(X, y), X), RTOL[solver]
    )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
def test_fits_with_the_poisson_loss_are_the_same(outputs, early_stopping, solver):
    X, y = DATA["counts"]
    y = y if outputs == 1 else np.column_stack([y, y[::-1]])
    options = {"loss": "poisson", "early_stopping": early_stopping, "solver": solver, "max_iter": 10}
    assert_same(lambda library: snapshot(estimator(library, "counts", **options).fit(X, y), X), RTOL[solver])


# ---- Options of the solvers ----


@pytest.mark.parametrize("data", ["iris", "diabetes"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0},
        {"momentum": 1.0},
        {"momentum": 1.0, "nesterovs_momentum": False},
        {"nesterovs_momentum": False},
        {"shuffle": False},
        {"batch_size": 13},
        {"learning_rate_init": 0.2},
        {"power_t": 0.0},
        {"power_t": 2.0},
        {"early_stopping": True},
    ],
    ids=repr,
)
def test_fits_with_options_of_sgd_are_the_same(options, learning_rate, data):
    assert_same_fit(data, solver="sgd", learning_rate=learning_rate, **options)


@pytest.mark.parametrize("data", ["iris", "diabetes", "multilabel"])
@pytest.mark.parametrize(
    "options",
    [
        {"beta_1": 0.0, "beta_2": 0.0},
        {"beta_1": 0.5, "epsilon": 1e-3},
        {"epsilon": 10.0},
        {"learning_rate_init": 0.1},
        {"shuffle": False},
        {"batch_size": 13},
        {"batch_size": 1, "max_iter": 2},
        {"batch_size": 1000},
        {"alpha": 0},
        {"alpha": 0.01},
        {"alpha": 10.0},
        {"early_stopping": True},
        {"early_stopping": True, "validation_fraction": 0.4},
        {"early_stopping": True, "batch_size": 13, "shuffle": False},
        {"learning_rate": "adaptive"},
    ],
    ids=repr,
)
def test_fits_with_options_of_adam_are_the_same(options, data):
    assert_same_fit(data, **options)


@pytest.mark.parametrize("data", ["iris", "diabetes", "counts"])
@pytest.mark.parametrize(
    "options",
    [
        *({"max_fun": 5}, {"max_iter": 3}, {"tol": 0.1, "max_iter": 100}, {"tol": 10.0}, {"alpha": 0}, {"alpha": 1.0}),
        {"early_stopping": True},  # options without effect
    ],
    ids=repr,
)
def test_fits_with_options_of_lbfgs_are_the_same(options, data):
    assert_same_fit(data, 1e-4, **{"solver": "lbfgs", "max_iter": 10} | options)


# ---- Stopping, and warnings ----

STOPPING = [
    {"max_iter": 4},
    {"tol": 0.05, "n_iter_no_change": 2},
    {"tol": 0.0, "n_iter_no_change": 1, "learning_rate_init": 0.3},
    {"tol": 0.05, "n_iter_no_change": 2, "max_iter": 5},
    {"tol": 10.0, "n_iter_no_change": 1, "max_iter": 3},  # in the last epoch
    {"tol": 10.0, "n_iter_no_change": np.inf, "max_iter": 20},
    {"early_stopping": True, "n_iter_no_change": 3},
    {"early_stopping": True, "tol": 1.0, "n_iter_no_change": 2},
    {"early_stopping": True, "max_iter": 3},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1, "max_iter": 60},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1, "early_stopping": True},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1e-6, "tol": 1.0, "n_iter_no_change": 1},
    {"solver": "sgd", "learning_rate": "invscaling", "tol": 1e-2, "n_iter_no_change": 2},
]


@pytest.mark.parametrize("data", ["iris", "diabetes"])
@pytest.mark.parametrize("options", STOPPING, ids=repr)
def test_fits_stop_in_the_same_epoch_with_the_same_messages(data, options, capsys):
    """The cases reach the stopping rules in various ways."""
    X, y = DATA[data]
    printed = []

    def fit(library):
        fitted = estimator(library, data, **{"verbose": True, "max_iter": 80} | options).fit(X, y)
        printed.append(capsys.readouterr().out)
        return snapshot(fitted, X)

    fitted = assert_same(fit)
    assert printed[0] == printed[1]
    assert printed[0].count("Iteration") == fitted["n_iter_"]


def test_every_stopping_rule_ends_some_case():
    """Not all cases above end by max_iter."""
    X, y = DATA["iris"]
    epochs = [estimator(LIBRARIES[1], "iris", **{"max_iter": 80} | o) for o in STOPPING[1:3] + STOPPING[6:8]]
    assert all(2 < fitted.fit(X, y).n_iter_ < 80 for fitted in epochs)


@pytest.mark.parametrize("data", ["cancer", "diabetes"])
def test_fits_without_convergence_give_the_same_warning(data):
    X, y = DATA[data]
    for library in LIBRARIES:
        with pytest.warns(ConvergenceWarning) as caught:
            estimator(library, data, max_iter=2).fit(X, y)
        message = "Stochastic Optimizer: Maximum iterations (2) reached and the optimization hasn't converged yet."
        assert [str(w.message) for w in caught] == [message]


def test_batch_sizes_beyond_the_data_give_the_same_warning():
    X, y = DATA["iris"]
    for library in LIBRARIES:
        with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size. It is"):
            estimator(library, "iris", batch_size=151, tol=1.0, n_iter_no_change=1).fit(X, y)


# ---- Weights of samples ----

WEIGHTS = {
    "uniform": lambda w: w,
    "zeros": lambda w: w * (w > 0.5),
    "negative": lambda w: w - 0.5,
    "one": lambda w: np.ones(len(w)),
    "integers": lambda w: (3 * w).astype(int),
    "float32": lambda w: w.astype(np.float32),
    "list": list,
    "number": lambda w: 2.0,
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("data", ["iris", "multilabel", "two outputs"])
def test_weighted_fits_are_the_same(data, kind, solver):
    weight = WEIGHTS[kind](np.random.default_rng(0).uniform(0, 2, len(DATA[data][0])))
    rtol = 1e-6 if kind == "float32" else RTOL[solver]  # scikit-learn sums these without normalizing them
    assert_same_fit(data, rtol, weight, solver=solver, max_iter=5, batch_size=50)


@pytest.mark.parametrize("kind", ["uniform", "zeros"])
@pytest.mark.parametrize("data", ["strings", "multilabel", "diabetes", "two outputs", "counts"])
def test_weighted_fits_with_early_stopping_are_the_same(data, kind):
    weight = WEIGHTS[kind](np.random.default_rng(0).uniform(0, 2, len(DATA[data][0])))
    options = {"loss": "poisson"} if data == "counts" else {}
    assert_same_fit(data, 1e-9, weight, early_stopping=True, n_iter_no_change=2, **options)


@pytest.mark.parametrize("data", ["iris", "cancer", "multilabel", "diabetes", "two outputs"])
def test_scores_are_the_same(data):
    X, y = DATA[data]
    weight = np.random.default_rng(0).uniform(0, 2, len(X))

    def score(library):
        fitted = estimator(library, data, max_iter=5).fit(X, y)
        return fitted.score(X, y), fitted.score(X, y, sample_weight=weight)

    assert_same(score)


def test_the_data_include_every_kind_of_target():
    """The tests above run over these data."""
    outputs = {name: estimator(LIBRARIES[0], name, solver="lbfgs", tol=100.0).fit(*DATA[name]) for name in CLASSES}
    assert {fitted.out_activation_ for fitted in outputs.values()} == {"softmax", "logistic"}
    assert {len(fitted.classes_) for fitted in outputs.values()} == {1, 2, 3, 4, 10}
