"""Parameters and attributes that programs set on estimators, before and after a fit: as with scikit-learn's estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from sklearn import neural_network

import fastnn.sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
TARGETS = {"MLPClassifier": (X[:, 0] > 0).astype(int), "MLPRegressor": X[:, 0]}
BOTH = pytest.mark.parametrize("name", TARGETS)


def ours(name, **parameters):
    parameters = {"hidden_layer_sizes": (5, 4), "random_state": 0, "max_iter": 4} | parameters
    return getattr(fastnn.sklearn, name)(**parameters)


def pair(name, **parameters):
    estimator = ours(name, **parameters)
    return estimator, getattr(neural_network, name)(**estimator.to_sklearn().get_params())


def outputs(estimator):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def assert_alike(mine, theirs):
    np.testing.assert_allclose(outputs(mine), outputs(theirs), rtol=1e-10)
    for a, b in zip([*mine.coefs_, *mine.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)


# ---- Parameters after a fit ----


@BOTH
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("activation", ["tanh", "logistic", "identity"])
def test_a_changed_activation_takes_effect_after_a_fit(name, solver, activation):
    both = pair(name, solver=solver)
    for estimator in both:
        estimator.fit(X, TARGETS[name]).set_params(activation=activation)
    assert_alike(*both)
    for estimator in both:  # training continues with the same moments
        estimator.partial_fit(X, TARGETS[name])
    assert_alike(*both)
    assert both[0].network_.activations[:-1] == (both[0].network_.activations[0],) * 2
    assert_alike(pickle.loads(pickle.dumps(both[0])), both[1])


@BOTH
def test_arrays_keep_following_training_after_a_changed_activation(name):
    both = pair(name)
    for estimator in both:
        estimator.fit(X, TARGETS[name])
        held = estimator.coefs_, estimator.intercepts_
        estimator.set_params(activation="tanh").predict(X)
        estimator.partial_fit(X, TARGETS[name])
        assert all(a is b for a, b in zip(held[0], estimator.coefs_, strict=True))
        held[0][0][1] *= 2
        held[1][1][:] -= 1
    assert_alike(*both)


@BOTH
def test_a_list_of_activations_may_be_changed_in_place(name):
    activations = ["relu", "tanh"]
    estimator = ours(name, activation=activations).fit(X, TARGETS[name])
    before = outputs(estimator)
    activations[0] = "logistic"
    assert (outputs(estimator) != before).any()
    assert estimator.network_.activations[:2] == ("sigmoid", "tanh")


@BOTH
def test_a_wrong_activation_set_after_a_fit_raises(name):
    estimator = ours(name).fit(X, TARGETS[name])
    before = [w.copy() for w in estimator.coefs_]
    estimator.set_params(activation="relus")
    with pytest.raises(ValueError, match="activation"):
        estimator.predict(X)
    estimator.set_params(activation="relu")
    np.testing.assert_array_equal(estimator.coefs_[0], before[0])


@BOTH
@pytest.mark.parametrize(
    "parameters", [{"clip_norm": 1e-3}, {"clip_value": 1e-3}, {"dropout": 0.5}, {"alpha": 10.0}, {"shuffle": False}], ids=str
)
def test_changed_parameters_take_effect_in_partial_fit(name, parameters):
    options = {"batch_size": 8, "solver": "sgd", "learning_rate_init": 0.1}
    changed, unchanged = (ours(name, **options).fit(X, TARGETS[name]) for _ in range(2))
    changed.set_params(**parameters)
    for estimator in (changed, unchanged):
        estimator.partial_fit(X, TARGETS[name])
    assert (changed.coefs_[0] != unchanged.coefs_[0]).any()


def test_a_changed_number_of_threads_takes_effect_in_partial_fit():
    estimator = ours("MLPRegressor", n_jobs=1).fit(X, TARGETS["MLPRegressor"])
    assert estimator._trainer.n_threads == 1
    estimator.set_params(n_jobs=2).partial_fit(X, TARGETS["MLPRegressor"])
    assert estimator._trainer.n_threads == 2


def test_a_changed_loss_takes_effect_in_partial_fit():
    y = TARGETS["MLPRegressor"]
    changed, unchanged = (ours("MLPRegressor").fit(X, y) for _ in range(2))
    for estimator in (changed.set_params(loss="huber"), unchanged):
        estimator.partial_fit(X, y)
    assert changed.loss_ != unchanged.loss_
    assert (changed.coefs_[0] != unchanged.coefs_[0]).any()
    with pytest.raises(ValueError, match="^out_activation_: expected 'exp', that of the loss.*got 'identity'"):
        changed.set_params(loss="poisson").partial_fit(X, abs(y))


# ---- Attributes ----


@BOTH
@pytest.mark.parametrize("activation", ["identity", "logistic", "softmax"])
def test_a_changed_output_activation_takes_effect(name, activation):
    both = pair(name)
    for estimator in both:
        estimator.fit(X, TARGETS[name])
        own, estimator.out_activation_ = estimator.out_activation_, activation
    np.testing.assert_allclose(both[0].predict(X), both[1].predict(X), rtol=1e-10)
    np.testing.assert_allclose(outputs(both[0]), outputs(both[1]), rtol=1e-10)
    if activation != own:
        before = [w.copy() for w in both[0].coefs_]
        with pytest.raises(ValueError, match=f"^out_activation_: expected '{own}'.*got '{activation}'"):
            both[0].partial_fit(X, TARGETS[name])
        np.testing.assert_array_equal(both[0].coefs_[1], before[1])
    both[0].out_activation_ = "sine"
    with pytest.raises(ValueError, match="^out_activation_: expected one of identity, exp.*got 'sine'"):
        both[0].predict(X)


def made_by_hand(estimator, name, **attributes):
    """Set the attributes that scikit-learn's fit looks at, on an estimator of either library."""
    draw = np.random.default_rng(1)
    estimator.coefs_ = [draw.normal(size=shape) for shape in ((3, 5), (5, 4), (4, 1))]
    estimator.intercepts_ = [draw.normal(size=size) for size in (5, 4, 1)]
    account = {
        "n_iter_": 0,
        "t_": 0,
        "loss_curve_": [],
        "_no_improvement_count": 0,
        "best_loss_": np.inf,
        "best_validation_score_": None,
        "validation_scores_": None,
        "n_outputs_": 1,
        "n_layers_": 4,
        "n_features_in_": 3,
        "out_activation_": "logistic" if name == "MLPClassifier" else "identity",
    }
    if name == "MLPClassifier":
        binarizer = neural_network.MLPClassifier(max_iter=1).fit(X, TARGETS[name])._label_binarizer
        account |= {"classes_": np.array([0, 1]), "_label_binarizer": binarizer}
    for attribute, value in (account | attributes).items():
        setattr(estimator, attribute, value)
    return estimator


@BOTH
@pytest.mark.parametrize(
    "attributes",
    [{"t_": 500}, {"loss_curve_": [3.0, 2.0]}, {"best_loss_": 1e-6}, {"_no_improvement_count": 2}],
    ids=str,
)
def test_fits_continue_from_loss_curves_and_counts_that_were_set(name, attributes):
    options = {"warm_start": True, "solver": "sgd", "n_iter_no_change": 3, "max_iter": 20, "learning_rate": "invscaling"}
    fitted = []
    for estimator in pair(name, **options):
        fresh = {key: list(value) if isinstance(value, list) else value for key, value in attributes.items()}
        made_by_hand(estimator, name, **fresh)
        estimator.predict(X[:1])
        fitted.append(estimator.fit(X, TARGETS[name]))
    assert_alike(*fitted)
    for attribute in ("t_", "n_iter_", "loss_curve_", "best_loss_", "_no_improvement_count"):
        np.testing.assert_allclose(getattr(fitted[0], attribute), getattr(fitted[1], attribute), rtol=1e-9)


@BOTH
@pytest.mark.parametrize(("attribute", "value"), [("n_features_in_", 4), ("n_outputs_", 2), ("n_layers_", 3)])
def test_attributes_that_contradict_the_arrays_raise(name, attribute, value):
    with pytest.raises(ValueError, match=f"^{attribute}: expected ., as in coefs_, got {value}"):
        made_by_hand(ours(name), name, **{attribute: value}).predict(X)


@BOTH
def test_an_output_activation_set_before_a_fit_takes_effect(name):
    mine, theirs = (made_by_hand(estimator, name, out_activation_="identity") for estimator in pair(name))
    np.testing.assert_allclose(outputs(mine), outputs(theirs), rtol=1e-10)
    assert mine.network_.activations[-1] == "identity"


@BOTH
@pytest.mark.parametrize("method", ["_forward_pass_fast", "_backprop", "_update_no_improvement_count"])
def test_methods_assigned_to_a_fitted_estimator_are_called(name, method):
    estimator = ours(name).fit(X, TARGETS[name])
    setattr(estimator, method, lambda *args, **kwargs: None)
    for call in (estimator.predict, outputs, lambda _: estimator.fit(X, TARGETS[name])):
        with pytest.raises(NotImplementedError, match=f"^{name}: .*got {method} of the program"):
            call(X if call == estimator.predict else estimator)
    delattr(estimator, method)
    estimator.predict(X)
