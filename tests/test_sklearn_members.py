"""Estimators with several networks: `n_members` and `bootstrap`."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn.callbacks import ProgressBar
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._members import explain_missing

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
VALUES = np.sin(X[:, 0]) + X[:, 1]
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
TARGETS = {
    "values": (MLPRegressor, VALUES),
    "several values": (MLPRegressor, X[:, :2] ** 2),
    "classes": (MLPClassifier, LABELS),
    "two classes": (MLPClassifier, LABELS == "a"),
    "labels": (MLPClassifier, (X > 0).astype(int)),
}
SOLVERS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive"},
    "lbfgs": {"solver": "lbfgs"},
    "dropout": {"dropout": 0.2, "clip_norm": 1.0},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3},
}


@pytest.fixture(autouse=True)
def _no_convergence() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def made(kind: Any, **parameters: Any) -> Any:
    return kind(**{"hidden_layer_sizes": (5,), "max_iter": 15, "random_state": 0, "n_members": 3} | parameters)


def outputs(estimator: Any, rows: Any) -> Any:
    return estimator.predict_proba(rows) if isinstance(estimator, MLPClassifier) else estimator.predict(rows)


def one_of(estimator: Any, seed: int) -> Any:
    """Return the estimator with one network and this seed."""
    return clone(estimator).set_params(n_members=1, random_state=seed)


@pytest.mark.parametrize("options", SOLVERS.values(), ids=list(SOLVERS))
@pytest.mark.parametrize(("kind", "y"), TARGETS.values(), ids=list(TARGETS))
def test_members_are_fits_with_seeds_of_their_own(kind: Any, y: Any, options: Any) -> None:
    """Each member has the bits of a fit alone, and predictions are means over the members."""
    ensemble = made(kind, **options).fit(X, y)
    seeds = np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=3)
    alone = [one_of(ensemble, int(seed)).fit(X, y) for seed in seeds]
    for member, single in zip(ensemble.members_, alone, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(member.coefs_, single.coefs_, strict=True))
        assert (member.n_iter_, member.loss_) == (single.n_iter_, single.loss_)
        assert np.array_equal(member.predict(X), single.predict(X))
    each = np.array([outputs(single, X) for single in alone])
    np.testing.assert_allclose(outputs(ensemble, X), each.mean(axis=0), rtol=1e-12, atol=1e-15)
    assert ensemble.n_iter_ == max(single.n_iter_ for single in alone)
    assert ensemble.loss_ == pytest.approx(np.mean([single.loss_ for single in alone]))
    if kind is MLPClassifier:
        probabilities, spread = ensemble.predict_proba(X, return_std=True)
        assert np.array_equal(probabilities, outputs(ensemble, X))
        labels, of_labels = ensemble.predict(X, return_std=True)
        assert np.array_equal(labels, ensemble.predict(X))
        if y.ndim == 1:
            chosen = np.searchsorted(ensemble.classes_, labels)
            np.testing.assert_allclose(of_labels, spread[np.arange(len(X)), chosen], rtol=1e-9, atol=1e-12)
        else:
            assert np.array_equal(of_labels, spread)
    else:
        values, spread = ensemble.predict(X, return_std=True)
        assert np.array_equal(values, ensemble.predict(X))
    np.testing.assert_allclose(spread, each.std(axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("kind", "y"), TARGETS.values(), ids=list(TARGETS))
def test_bootstrap(kind: Any, y: Any, solver: str) -> None:
    """With `bootstrap`, each member is trained on rows drawn with replacement, the same for the same seed."""
    given = {"solver": solver, "max_iter": 8, "alpha": 0.0, "batch_size": 60}
    bagged = made(kind, bootstrap=True, **given).fit(X, y)
    again, whole = made(kind, bootstrap=True, **given).fit(X, y), made(kind, **given).fit(X, y)
    assert np.array_equal(outputs(bagged, X), outputs(again, X))
    assert not np.allclose(outputs(bagged, X), outputs(whole, X), rtol=1e-6)
    assert outputs(bagged, X).shape == outputs(whole, X).shape


def test_bootstrap_draws_rows_that_count() -> None:
    """A network that is trained on rows drawn with replacement is one that has these rows as its weights."""
    bagged = made(MLPRegressor, solver="lbfgs", bootstrap=True, n_members=1, max_iter=50).fit(X, VALUES)
    state = np.random.RandomState(int(np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=1)[0]))
    for n_in, n_out in ((3, 5), (5, 1)):  # the draws of the weights and biases
        state.uniform(size=(n_in, n_out))
        state.uniform(size=n_out)
    counts = np.bincount(state.randint(0, 60, 60, np.int64), minlength=60)
    (member,) = bagged.members_
    weighted = one_of(member, member.random_state).fit(X, VALUES, sample_weight=counts)
    assert weighted.loss_ == pytest.approx(member.loss_, rel=0.05)


def test_the_default_is_one_network() -> None:
    """One network without bootstrap is no ensemble."""
    single = made(MLPRegressor, n_members=1).fit(X, VALUES)
    assert not hasattr(single, "members_")
    for call in (single.predict, made(MLPClassifier, n_members=1).fit(X, LABELS).predict_proba):
        with pytest.raises(ValueError, match=r"return_std: .*n_members"):
            call(X, return_std=True)
    with pytest.raises(NotFittedError):
        made(MLPRegressor).predict(X, return_std=True)


@pytest.mark.parametrize(
    "given", [{"n_members": 0}, {"n_members": 2.0}, {"n_members": True}, {"n_members": 10**6}, {"bootstrap": 1}], ids=repr
)
def test_wrong_parameters(given: Any) -> None:
    """The error names the parameter."""
    with pytest.raises(ValueError, match=next(iter(given))):
        made(MLPRegressor, **given).fit(X, VALUES)


@pytest.mark.parametrize("random_state", [3, None, np.random.RandomState(3)], ids=["seed", "None", "RandomState"])
def test_partial_fit(random_state: Any) -> None:
    """`partial_fit` trains each member for an epoch."""
    ensemble = made(MLPClassifier, random_state=random_state)
    for _ in range(3):
        ensemble.partial_fit(X, LABELS, classes=np.unique(LABELS))
    assert [len(member.loss_curve_) for member in ensemble.members_] == [3, 3, 3]
    assert ensemble.t_ == 180
    if random_state == 3:
        seed = int(np.random.RandomState(3).randint(np.iinfo(np.int32).max, size=3)[0])
        alone = one_of(ensemble, seed)
        for _ in range(3):
            alone.partial_fit(X, LABELS, classes=np.unique(LABELS))
        assert np.array_equal(alone.coefs_[0], ensemble.members_[0].coefs_[0])


def test_warm_start_and_resume() -> None:
    """Each member continues, and follows parameters that have changed."""
    ensemble = made(MLPRegressor, warm_start=True, resume=True, tol=0.0, n_iter_no_change=100).fit(X, VALUES)
    ensemble.set_params(alpha=0.01).fit(X, VALUES)
    assert [len(member.loss_curve_) for member in ensemble.members_] == [30, 30, 30]
    assert {member.alpha for member in ensemble.members_} == {0.01}
    longer = made(MLPRegressor, warm_start=True, resume=True, tol=0.0, n_iter_no_change=100, max_iter=30).fit(X, VALUES)
    assert ensemble.members_[1].loss_curve_[:15] == longer.members_[1].loss_curve_[:15]


@pytest.mark.parametrize(("before", "then"), [(3, 2), (3, 1), (1, 3)])
def test_training_continues_with_the_same_number(before: int, then: int) -> None:
    """A fit that continues keeps the number of networks; another begins anew."""
    fitted = made(MLPRegressor, n_members=before).fit(X, VALUES).set_params(n_members=then)
    predictions = fitted.predict(X)
    with pytest.raises(ValueError, match="n_members"):
        fitted.partial_fit(X, VALUES)
    with pytest.raises(ValueError, match="n_members"):
        copy.deepcopy(fitted).set_params(warm_start=True).fit(X, VALUES)
    assert np.array_equal(fitted.predict(X), predictions)
    fitted.fit(X, VALUES)
    assert len(vars(fitted).get("members_", [0])) == then
    assert hasattr(fitted, "network_") is (then == 1)


def test_copies_and_pickles() -> None:
    """Copies predict and continue with the same bits."""
    ensemble = made(MLPClassifier).fit(X, LABELS)
    for other in (pickle.loads(pickle.dumps(ensemble)), copy.deepcopy(ensemble)):
        assert np.array_equal(other.predict_proba(X), ensemble.predict_proba(X))
        other.partial_fit(X, LABELS)
        again = copy.deepcopy(ensemble).partial_fit(X, LABELS)
        assert np.array_equal(other.predict_proba(X), again.predict_proba(X))


REFUSED = {
    "save": lambda one: one.save("never.safetensors"),
    "to_onnx": lambda one: one.to_onnx("never.onnx"),
    "to_sklearn": lambda one: one.to_sklearn(),
    "hidden_activations": lambda one: one.hidden_activations(X),
    "coefs_": lambda one: setattr(one, "coefs_", []),
    "intercepts_": lambda one: setattr(one, "intercepts_", []),
}


@pytest.mark.parametrize("name", REFUSED)
def test_features_of_one_network_are_refused(name: str) -> None:
    """The error names the feature and n_members."""
    with pytest.raises(ValueError, match=rf"{name}: .*n_members=3"):
        REFUSED[name](made(MLPRegressor).fit(X, VALUES))


@pytest.mark.parametrize("name", ["coefs_", "intercepts_", "network_", "loss_curve_", "best_loss_"])
def test_attributes_of_one_network_are_explained(name: str) -> None:
    """An attribute that each member has of its own is missing, and the error says where it is."""
    ensemble = made(MLPRegressor).fit(X, VALUES)
    with pytest.raises(AttributeError, match=rf"n_members=3 has no attribute '{name}'.*members_\[k\]"):
        getattr(ensemble, name)
    with pytest.raises(AttributeError, match="members_"):
        explain_missing(ensemble, name)
    with pytest.raises(AttributeError, match="'other_'"):
        ensemble.other_  # noqa: B018


def test_weights_set_by_hand_need_one_network() -> None:
    """An unfitted estimator with weights of the program can't have several networks."""
    by_hand = made(MLPRegressor)
    by_hand.coefs_, by_hand.intercepts_ = [np.ones((3, 1))], [np.zeros(1)]
    with pytest.raises(ValueError, match="n_members=3"):
        by_hand.predict(X)


def test_weights_of_members_set_by_hand() -> None:
    """Predictions follow the weights of the members, and the activation of the ensemble."""
    ensemble = made(MLPRegressor, activation="tanh").fit(X, VALUES)
    before = ensemble.predict(X)
    ensemble.members_[0].coefs_[0][...] = 0.0
    after = ensemble.predict(X)
    assert not np.array_equal(before, after)
    ensemble.activation = "relu"
    assert not np.array_equal(ensemble.predict(X), after)


def test_input_gradients_are_those_of_the_mean() -> None:
    """The derivative of the mean is the mean of the derivatives."""
    ensemble = made(MLPRegressor, activation="tanh").fit(X, VALUES)
    each = [member.input_gradients(X) for member in ensemble.members_]
    np.testing.assert_allclose(ensemble.input_gradients(X), np.mean(each, axis=0))


def test_weights_sparse_inputs_and_validation_data() -> None:
    """Sample weights, class weights, sparse rows and held-out rows are those of each member."""
    weight = RNG.uniform(size=60)
    given = {"class_weight": "balanced", "early_stopping": True}
    rows = scipy.sparse.csr_array(X)
    ensemble = made(MLPClassifier, **given).fit(rows, LABELS, weight, rows[:9], LABELS[:9])
    alone = clone(ensemble.members_[1]).fit(rows, LABELS, weight, rows[:9], LABELS[:9])
    assert np.array_equal(alone.predict_proba(rows), ensemble.members_[1].predict_proba(rows))
    assert ensemble.members_[0].validation_scores_
    single = made(MLPClassifier).fit(X.astype(np.float32), LABELS)
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_progress_and_divergence(capsys: pytest.CaptureFixture[str]) -> None:
    """One progress bar is for all members, and a divergence is an error."""
    made(MLPRegressor, progress=ProgressBar()).fit(X, VALUES)
    assert "45/45" in capsys.readouterr().err
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        made(MLPRegressor, solver="sgd", learning_rate_init=1e200).fit(X, VALUES)


def test_cross_validation_by_scikit_learn() -> None:
    """Ensembles are estimators as others."""
    scores = cross_val_score(made(MLPClassifier, max_iter=60, learning_rate_init=0.02), X, LABELS, cv=3)
    assert scores.mean() > 0.6


@parametrize_with_checks(
    [
        MLPClassifier(n_members=2),
        MLPRegressor(n_members=2),
    ]
)
def test_estimator_checks(estimator: Any, check: Any) -> None:
    """Ensembles pass scikit-learn's checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)
