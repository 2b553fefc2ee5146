"""Scores that decide when to stop early: fastnn computes some itself, and they equal those of scikit-learn's scorers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn
from sklearn import metrics
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, make_scorer

from fastnn.sklearn import MLPClassifier, MLPRegressor, _stochastic
from fastnn.sklearn._scorers import score_of_outputs

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
WEIGHT = RNG.uniform(0.0, 3.0, 90)
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
VALUES = np.column_stack([X[:, 0] ** 2, 100 * X[:, 1], np.full(90, 2.0)])  # the last target is constant

CLASSES = {
    "binary": LABELS > 0,
    "integers": 5 - 2 * LABELS,
    "texts": np.array(["low", "mid", "high"])[LABELS],
    "two texts": np.array(["no", "yes"], dtype=object)[(LABELS > 0).astype(int)],
    "several": (X > 0).astype(int),
    "sparse": scipy.sparse.csr_matrix((X > 0).astype(int)),
}
ONE_LABEL = [classes for classes in CLASSES if classes not in ("several", "sparse")]
TARGETS = {"one": VALUES[:, 0], "several": VALUES, "integers": LABELS, "constant": np.ones(90)}
REGRESSION = ["r2", "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_mean_absolute_error"]


def scores(estimator: Any, y: Any, rows: Any, weight: Any) -> Any:
    """Return the scores of each epoch on given validation rows."""
    held_out = {"X_val": rows[60:], "y_val": y[60:], "sample_weight_val": None if weight is None else weight[60:]}
    estimator.fit(rows[:60], y[:60], **held_out)
    return np.array(estimator.validation_scores_)


def both(kind: Any, scoring: Any, y: Any, monkeypatch: pytest.MonkeyPatch, rows: Any = X, weight: Any = None) -> Any:
    """Return the scores that fastnn computes, and those of scikit-learn's scorer."""
    made: Callable[[], Any] = lambda: kind(  # noqa: E731
        hidden_layer_sizes=(6,), max_iter=6, early_stopping=True, scoring=scoring, random_state=0, learning_rate_init=0.05
    )
    found = scores(made(), y, rows, weight)
    with monkeypatch.context() as patch:
        patch.setattr(_stochastic, "score_of_outputs", lambda *arguments: None)
        return found, scores(made(), y, rows, weight)


def knows(estimator: Any, scoring: Any) -> bool:
    return score_of_outputs(estimator, get_scorer(scoring), 30) is not None


WEIGHTS = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
@WEIGHTS
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scoring", REGRESSION)
def test_scores_of_regressors_are_those_of_scikit_learn(
    scoring: str, target: str, weight: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, expected = both(MLPRegressor, scoring, TARGETS[target], monkeypatch, X.astype(dtype), weight)
    assert len(set(expected)) > 1 or (scoring, target) == ("r2", "constant")
    rounding = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding * np.abs(expected).max())


@DTYPES
@WEIGHTS
@pytest.mark.parametrize(
    ("scoring", "classes"),
    [("accuracy", classes) for classes in CLASSES] + [("neg_log_loss", classes) for classes in ONE_LABEL],
)
def test_scores_of_classifiers_are_those_of_scikit_learn(
    scoring: str, classes: str, weight: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, expected = both(MLPClassifier, scoring, CLASSES[classes], monkeypatch, X.astype(dtype), weight)
    assert len(set(expected)) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.filterwarnings("ignore:The y_prob values do not sum")
def test_probabilities_are_clipped_as_in_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit depends on the probabilities' type, for either type of rows."""
    for train, held_out in ((np.float64, np.float64), (np.float32, np.float32), (np.float32, np.float64)):
        made = lambda: MLPClassifier((), max_iter=1, early_stopping=True, scoring="neg_log_loss", random_state=0)  # noqa: E731
        for y in (LABELS, LABELS > 0):
            found = made().fit(X.astype(train), y, X_val=(1e3 * X).astype(held_out), y_val=y).validation_scores_
            with monkeypatch.context() as patch:
                patch.setattr(_stochastic, "score_of_outputs", lambda *arguments: None)
                expected = made().fit(X.astype(train), y, X_val=(1e3 * X).astype(held_out), y_val=y).validation_scores_
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_classes_may_be_missing_from_the_held_out_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log loss is that of all classes, while scikit-learn's scorer would end the fit."""
    rows, y = np.vstack([X[:60], X[60:][LABELS[60:] != 1]]), np.append(LABELS[:60], LABELS[60:][LABELS[60:] != 1])
    found, expected = both(MLPClassifier, "accuracy", y, monkeypatch, rows)
    np.testing.assert_allclose(found, expected)
    for targets in (y, np.where(np.arange(len(y)) < 60, y > 0, True)):
        model = MLPClassifier((6,), max_iter=3, early_stopping=True, scoring="neg_log_loss", random_state=0)
        found = scores(model, targets, rows, None)
        expected = -metrics.log_loss(targets[60:], model.predict_proba(rows[60:]), labels=model.classes_)
        assert found.max() == pytest.approx(expected)


def test_scorers_are_recognized_by_their_function_and_options() -> None:
    classifier, regressor = MLPClassifier((3,), max_iter=1).fit(X, LABELS), MLPRegressor(max_iter=1).fit(X, VALUES)
    for estimator, scorer in (
        (classifier, make_scorer(metrics.accuracy_score)),
        (classifier, make_scorer(metrics.log_loss, greater_is_better=False, response_method="predict_proba")),
        (regressor, make_scorer(metrics.r2_score)),
        (regressor, make_scorer(metrics.mean_absolute_error, greater_is_better=False)),
        *((classifier, get_scorer(name)) for name in ("accuracy", "neg_log_loss")),
        *((regressor, get_scorer(name)) for name in REGRESSION),
    ):
        assert knows(estimator, scorer), scorer


def test_other_scorers_are_left_to_scikit_learn() -> None:
    classifier, regressor = MLPClassifier((3,), max_iter=1).fit(X, LABELS), MLPRegressor(max_iter=1).fit(X, VALUES)
    for estimator, scorer in (
        (classifier, make_scorer(metrics.accuracy_score, normalize=False)),
        (classifier, make_scorer(metrics.accuracy_score, greater_is_better=False)),
        (
            classifier,
            make_scorer(metrics.log_loss, greater_is_better=False, response_method="predict_proba", labels=[0, 1, 2]),
        ),
        (classifier, make_scorer(metrics.log_loss, response_method="predict_proba")),
        (classifier, make_scorer(metrics.accuracy_score, response_method="predict_proba")),
        (classifier, metrics.accuracy_score),
        (classifier, lambda estimator, X, y: 0.5),
        (classifier, get_scorer("r2")),
        (regressor, make_scorer(metrics.r2_score, multioutput="variance_weighted")),
        (regressor, make_scorer(metrics.mean_squared_error)),
        (regressor, make_scorer(lambda y, predicted: 0.5)),
        (regressor, get_scorer("accuracy")),
    ):
        assert score_of_outputs(estimator, scorer, 30) is None, scorer
    # All other scorers with a name.
    for name in metrics.get_scorer_names():
        known = {"accuracy", "neg_log_loss"}, set(REGRESSION)
        for estimator, names in zip((classifier, regressor), known, strict=True):
            assert knows(estimator, name) == (name in names), name


def test_log_losses_of_labels_and_of_a_single_class_are_left_to_scikit_learn() -> None:
    for y in (CLASSES["several"], np.zeros(90, int)):
        assert not knows(MLPClassifier((3,), max_iter=1).fit(X, y), "neg_log_loss")
        assert knows(MLPClassifier((3,), max_iter=1).fit(X, y), "accuracy")


def test_scorers_call_overridden_methods() -> None:
    class Zeros(MLPRegressor):
        def predict(self, X: Any) -> Any:
            return np.zeros((len(X), 3))

    class Sure(MLPClassifier):
        def predict_proba(self, X: Any) -> Any:
            return np.tile([0.0, 0.0, 1.0], (len(X), 1))

    model = Zeros(max_iter=2, early_stopping=True, scoring="neg_mean_absolute_error").fit(X, VALUES, X_val=X, y_val=VALUES)
    assert model.validation_scores_ == pytest.approx([-np.abs(VALUES).mean()] * 2)
    model = Sure((3,), max_iter=2, early_stopping=True, scoring="neg_log_loss").fit(X, LABELS, X_val=X, y_val=LABELS)
    expected = -metrics.log_loss(LABELS, np.tile([0.0, 0.0, 1.0], (90, 1)))
    assert model.validation_scores_ == pytest.approx([expected] * 2)

    class Renamed(MLPRegressor):
        pass

    assert knows(Renamed(max_iter=1).fit(X, VALUES), "r2")
    instance = MLPRegressor(max_iter=1).fit(X, VALUES)
    instance.predict = lambda X: np.zeros(len(X))
    assert not knows(instance, "r2")


def test_scorers_work_with_metadata_routing() -> None:
    model = MLPRegressor(max_iter=1).fit(X, VALUES)
    with sklearn.config_context(enable_metadata_routing=True):
        assert not knows(model, "r2")


@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
def test_r2_of_a_single_row_gives_a_warning() -> None:
    model = MLPRegressor(max_iter=2, early_stopping=True, scoring="r2", random_state=0)
    with pytest.warns(ConvergenceWarning, match="No validation score is a number: the parameters are those"):
        model.fit(X, VALUES, X_val=X[:1], y_val=VALUES[:1])
    assert np.isnan(model.validation_scores_).all()
    model.set_params(early_stopping=False, scoring=None)
    np.testing.assert_array_equal(model.predict(X), model.fit(X, VALUES).predict(X))


def test_predictions_that_are_not_finite_have_no_score() -> None:
    """The fit stops by its rules, as without a scorer, with the best parameters so far."""
    for scoring in (None, *REGRESSION):
        model = MLPRegressor(hidden_layer_sizes=(3, 3), activation="identity", max_iter=3, early_stopping=True)
        model.set_params(scoring=scoring, random_state=0)
        with pytest.warns(ConvergenceWarning, match="No validation score"):
            model.fit(X, VALUES, X_val=np.full_like(X, 1e308), y_val=VALUES)
        assert np.isnan(model.validation_scores_).all()
        assert np.isfinite(model.predict(X)).all()


def test_custom_scorers_get_weights_and_classes() -> None:
    seen = []

    def scorer(estimator: Any, rows: Any, y: Any, sample_weight: Any = None) -> float:
        seen.append((rows.shape, set(y), None if sample_weight is None else sample_weight.shape))
        return 0.5

    texts = CLASSES["texts"]
    for weight in (None, WEIGHT):
        MLPClassifier((3,), max_iter=2, early_stopping=True, scoring=scorer).fit(X, texts, weight)
    assert seen[0] == seen[1] == ((9, 3), {"low", "mid", "high"} & seen[0][1], None)
    assert seen[2] == seen[3] == ((9, 3), seen[2][1], (9,))


@pytest.mark.parametrize(
    "make", [lambda: lambda estimator, rows, y: estimator.score(rows, y), lambda: make_scorer(unweighted)]
)
def test_scorers_need_not_take_weights(make: Callable[[], Any]) -> None:
    """Weights of classes are weights of rows, of which a function of estimator, X and y knows nothing."""
    for options, weight in (({"class_weight": "balanced"}, None), ({}, WEIGHT)):
        model = MLPClassifier((3,), max_iter=2, early_stopping=True, scoring=make(), random_state=0, **options)
        assert len(model.fit(X, LABELS, weight).validation_scores_) == 2


def unweighted(y_true: Any, y_pred: Any) -> float:
    return float(np.mean(y_true == y_pred))
