"""Searches and cross-validation that train networks together: the results are those of scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn")

from scipy.stats import loguniform
from sklearn import model_selection as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.feature_selection import SelectKBest
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fastnn import sklearn as ours
from fastnn.sklearn import MLPClassifier, MLPRegressor, _plans, _together

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) * [1, 10, 0.1, 1]
VALUES = np.sin(X[:, 0]) + X[:, 3]
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 3] > 0)]


@pytest.fixture(autouse=True)
def _no_convergence() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of fits that are trained together, as they come."""
    sizes: list[int] = []

    def train(fits: Any, *arguments: Any) -> None:
        sizes.append(len(fits))
        _together.train_together(fits, *arguments)

    monkeypatch.setattr(_plans, "train_together", train)
    return sizes


TREE = DecisionTreeClassifier(random_state=0)


def classifier(**parameters: Any) -> Any:
    return MLPClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 12, "random_state": 0} | parameters)


def regressor(**parameters: Any) -> Any:
    return MLPRegressor(**{"hidden_layer_sizes": (5,), "max_iter": 12, "random_state": 0} | parameters)


def assert_same_results(one: Any, other: Any) -> None:
    assert list(one) == list(other)
    for name in other:
        if name == "params":
            assert [repr(each) for each in one[name]] == [repr(each) for each in other[name]]
        elif "time" in name:
            assert one[name].shape == other[name].shape
            assert (one[name] >= 0).all()
        elif "param_" in name:
            assert repr(one[name]) == repr(other[name])
        else:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def assert_same_search(estimator: Any, grid: Any, y: Any, rows: Any = X, fit: Any = None, **options: Any) -> Any:
    """Search by both libraries, compare all results, and return ours."""
    given = {"cv": 3} | options
    search = ours.GridSearchCV(clone(estimator), grid, **given).fit(rows, y, **(fit or {}))
    other = theirs.GridSearchCV(clone(estimator), grid, **given | {"n_jobs": None}).fit(rows, y, **(fit or {}))
    assert_same_results(search.cv_results_, other.cv_results_)
    assert {name for name in vars(search) if name.endswith("_")} == {name for name in vars(other) if name.endswith("_")}
    assert search.n_splits_ == other.n_splits_
    assert search.multimetric_ == other.multimetric_
    if given.get("refit", True):
        assert repr(search.best_params_) == repr(other.best_params_)
        assert (search.best_index_, type(search.best_estimator_)) == (other.best_index_, type(other.best_estimator_))
        np.testing.assert_array_equal(search.predict(rows), other.predict(rows))
        assert search.score(rows, y) == other.score(rows, y)
    assert repr(search.scorer_) == repr(other.scorer_)
    assert "Candidate" not in repr(vars(search))
    return search


# ---- Estimators alone ----

SETTINGS = {
    "numbers": (classifier(), {"alpha": [1e-4, 1.0], "learning_rate_init": [1e-3, 1e-1]}, LABELS),
    "layers": (regressor(), {"hidden_layer_sizes": [3, (4, 3), []], "activation": ["tanh", "gelu"]}, VALUES),
    "solvers": (regressor(), {"solver": ["adam", "sgd", "adamw", "lbfgs"]}, VALUES),
    "rates": (
        regressor(solver="sgd"),
        {"learning_rate": ["adaptive", "invscaling"], "tol": [0.1, 1e-4]},
        VALUES,
    ),
    "stopping": (classifier(max_iter=40), {"early_stopping": [True, False], "n_iter_no_change": [1, 3, np.inf]}, LABELS),
    "several grids": (classifier(), [{"alpha": [1.0]}, {"batch_size": [5, 30], "class_weight": ["balanced", None]}], LABELS),
    "losses": (regressor(), {"loss": ["squared_error", "huber"], "dropout": [0.0, 0.3], "shuffle": [False]}, VALUES),
    "seeds": (classifier(), {"random_state": [0, 1, np.random.RandomState(3)]}, LABELS),
    "own state": (classifier(random_state=np.random.RandomState(3)), {"alpha": [0.0, 1.0]}, LABELS),
    "members": (regressor(), {"n_members": [1, 3], "bootstrap": [True, False]}, VALUES),
    "labels": (classifier(), {"alpha": [0.0, 1.0]}, (X > 0).astype(int)),
    "several values": (regressor(), {"alpha": [0.0, 1.0]}, X[:, :2] / 10),
    "two classes": (classifier(), {"alpha": [0.0, 1.0]}, LABELS == "a"),
    "warm": (regressor(warm_start=True, resume=True), {"alpha": [0.0, 1.0]}, VALUES),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
def test_settings(settings: Any, groups: list[int]) -> None:
    """All parameters of the estimators may be searched."""
    estimator, grid, y = settings
    assert_same_search(estimator, grid, y)
    assert groups
    assert max(groups) >= 3


OPTIONS: dict[str, dict[str, Any]] = {
    "folds": {"cv": theirs.ShuffleSplit(4, random_state=2)},
    "an iterable": {"cv": [(np.arange(40), np.arange(40, 60)), (np.arange(20, 60), np.arange(20))]},
    "masks": {"cv": [(np.arange(60) < 40, np.arange(60) >= 40)]},
    "a scorer": {"scoring": "neg_log_loss"},
    "a function": {"scoring": lambda estimator, rows, y: float(estimator.n_iter_ + len(estimator.coefs_))},
    "several": {"scoring": ["accuracy", "f1_macro"], "refit": "f1_macro"},
    "a dict": {"scoring": {"own": make_scorer(lambda a, b: float((a == b).mean()))}, "refit": "own"},
    "a function of several": {"scoring": lambda estimator, rows, y: {"a": 1.0, "b": estimator.loss_}, "refit": "b"},
    "train scores": {"return_train_score": True},
    "no refit": {"refit": False},
    "own refit": {"refit": lambda results: 1},
    "jobs": {"n_jobs": 2},
    "all jobs": {"n_jobs": -1},
    "few at once": {"pre_dispatch": 1},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_options(options: Any, groups: list[int]) -> None:
    """All options of the search have the same effect."""
    assert_same_search(classifier(), {"alpha": [0.0, 0.1], "activation": ["relu", "tanh"]}, LABELS, **options)
    assert groups


def test_groups_and_weights(groups: list[int]) -> None:
    """Groups for the splitter, and weights of rows."""
    weight = RNG.uniform(0.1, 1, size=60)
    fit = {"groups": np.arange(60) % 6, "sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert_same_search(classifier(), {"alpha": [0.0, 0.1]}, LABELS, cv=theirs.GroupKFold(3), fit=fit)
        assert_same_search(regressor(), {"alpha": [0.0, 0.1]}, VALUES, fit={"sample_weight": list(weight)})
    assert groups == [6, 6]


@pytest.mark.parametrize("kind", ["csr", "float32", "lists", "pandas"])
def test_inputs(kind: str, groups: list[int]) -> None:
    """All inputs of the estimators."""
    rows: Any = {"csr": scipy.sparse.csr_array(X), "float32": X.astype(np.float32), "lists": X.tolist()}.get(kind)
    if kind == "pandas":
        rows = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    search = assert_same_search(classifier(), {"alpha": [0.0, 0.1]}, LABELS, rows)
    assert groups == [6]
    assert (kind == "pandas") is hasattr(search, "feature_names_in_")


def test_small_groups(groups: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The results do not depend on the groups."""
    monkeypatch.setattr(_plans, "_MOST_FITS", 4)
    assert_same_search(regressor(), {"alpha": [0.0, 0.1, 0.2]}, VALUES)
    assert groups == [4, 4, 1]


# ---- Pipelines ----


class Counted(StandardScaler):
    """A transformer that counts its fits."""

    fits = 0

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        type(self).fits += 1
        return super().fit(X, y, sample_weight)


def test_transformers_are_fitted_once_per_fold(groups: list[int]) -> None:
    """Settings of the network share the transformers; settings of these do not."""
    pipeline = Pipeline([("scale", Counted()), ("net", classifier())])
    Counted.fits = 0
    grid = {"net__alpha": [0.0, 0.1, 0.2], "scale__with_mean": [True, False]}
    search = ours.GridSearchCV(pipeline, grid, cv=3).fit(X, LABELS)
    assert Counted.fits == 3 * 2 + 1  # the last is the refit
    assert groups == [18]
    assert_same_results(search.cv_results_, theirs.GridSearchCV(pipeline, grid, cv=3).fit(X, LABELS).cv_results_)
    assert not hasattr(pipeline.steps[0][1], "mean_")


PIPELINES = {
    "a scaler": (make_pipeline(StandardScaler(), classifier()), {"mlpclassifier__alpha": [0.0, 0.1]}),
    "one that uses y": (
        Pipeline([("scale", StandardScaler()), ("select", SelectKBest()), ("net", classifier())]),
        {"select__k": [1, 2, "all"], "net__alpha": [0.0, 1.0]},
    ),
    "other steps": (
        Pipeline([("scale", StandardScaler()), ("net", classifier())]),
        {
            "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
            "net": [classifier(alpha=1.0), TREE],
        },
    ),
    "none": (Pipeline([("net", classifier())]), {"net__alpha": [0.0, 0.1]}),
}


@pytest.mark.parametrize(("pipeline", "grid"), PIPELINES.values(), ids=list(PIPELINES))
def test_pipelines(pipeline: Any, grid: Any, groups: list[int]) -> None:
    """Pipelines give the same results."""
    assert_same_search(pipeline, grid, LABELS)
    assert_same_search(pipeline, grid, LABELS, scoring=["accuracy", "neg_log_loss"], refit="accuracy")
    assert len(groups) == 2


def test_weights_of_a_pipeline(groups: list[int]) -> None:
    """Weights are for the network."""
    weight = RNG.uniform(0.1, 1, size=60)
    pipeline = Pipeline([("scale", StandardScaler()), ("net", regressor())])
    assert_same_search(pipeline, {"net__alpha": [0.0, 0.1]}, VALUES, fit={"net__sample_weight": weight})
    assert groups


# ---- Other estimators ----


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (TREE, {"max_depth": [1, 2]}),
        (classifier(solver="lbfgs"), {"alpha": [0.1, 1.0]}),
        (
            make_pipeline(StandardScaler(), TREE),
            {"decisiontreeclassifier__max_depth": [1, 2]},
        ),
    ],
    ids=["another", "lbfgs", "pipeline"],
)
def test_other_estimators_are_left_to_scikit_learn(estimator: Any, grid: Any, groups: list[int]) -> None:
    """No plan is made for other estimators."""
    assert_same_search(estimator, grid, LABELS)
    assert not groups


def test_subclasses(groups: list[int]) -> None:
    """A subclass of the user may override anything; scikit-learn calls it."""

    class Own(MLPClassifier):
        def fit(self, X: Any, y: Any) -> Any:
            return super().fit(X, y[::-1])

    assert_same_search(Own((5,), max_iter=5, random_state=0), {"alpha": [0.0, 0.1]}, LABELS)
    assert not groups


def test_own_searches(groups: list[int]) -> None:
    """A search that decides for itself which settings to evaluate is scikit-learn's."""

    class Twice(ours.GridSearchCV):
        def _run_search(self, evaluate_candidates: Any, **_: Any) -> None:
            evaluate_candidates([{"alpha": 0.0}])
            evaluate_candidates([{"alpha": 0.1}])

    search = Twice(classifier(), {}, cv=3).fit(X, LABELS)
    assert [each["alpha"] for each in search.cv_results_["params"]] == [0.0, 0.1]
    assert not groups


# ---- Random search and cross-validation ----


def test_random_search(groups: list[int]) -> None:
    """Random settings are the same."""
    distributions = {"alpha": loguniform(1e-5, 1.0), "hidden_layer_sizes": [(3,), (5,)]}
    given: Any = {"n_iter": 5, "cv": 3, "random_state": 1}
    search = ours.RandomizedSearchCV(regressor(), distributions, **given).fit(X, VALUES)
    other = theirs.RandomizedSearchCV(regressor(), distributions, **given).fit(X, VALUES)
    assert_same_results(search.cv_results_, other.cv_results_)
    assert search.best_params_ == other.best_params_
    assert groups == [15]


CROSS: dict[str, dict[str, Any]] = {
    "plain": {},
    "many options": {"return_train_score": True, "return_estimator": True, "return_indices": True, "cv": 4},
    "scores": {"scoring": ["r2", "neg_max_error"], "n_jobs": 2},
    "a scorer": {"scoring": make_scorer(mean_absolute_error, greater_is_better=False)},
    "weights": {"params": {"sample_weight": np.arange(1, 61)}},
    "groups": {"cv": theirs.LeaveOneGroupOut(), "groups": np.arange(60) % 4},
}


@pytest.mark.parametrize("options", CROSS.values(), ids=list(CROSS))
def test_cross_validation(options: Any, groups: list[int]) -> None:
    """Cross-validation gives the same scores and estimators."""
    scores = ours.cross_validate(regressor(), X, VALUES, **options)
    other = theirs.cross_validate(regressor(), X, VALUES, **options | {"n_jobs": None})
    assert list(scores) == list(other)
    for name in other:
        if name == "estimator":
            for one, expected in zip(scores[name], other[name], strict=True):
                assert type(one) is MLPRegressor
                assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, expected.coefs_, strict=True))
        elif name == "indices":
            assert repr(scores[name]) == repr(other[name])
        elif "time" not in name:
            np.testing.assert_array_equal(scores[name], other[name])
    assert len(groups) == 1


# ---- Errors, warnings and interruptions ----


def test_fits_that_fail(groups: list[int]) -> None:
    """A fit that fails or diverges gets the error score, and the others their own."""
    grid = {"learning_rate_init": [0.01, 1e200, -1.0]}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", (UserWarning, RuntimeWarning))
        assert_same_search(regressor(solver="sgd"), grid, VALUES, error_score=-7.0)
        with pytest.warns(FitFailedWarning, match="6 fits failed out of a total of 9"):
            ours.GridSearchCV(regressor(solver="sgd"), grid, cv=3, error_score=0.0).fit(X, VALUES)
        with pytest.raises(ValueError, match="learning_rate_init"):
            ours.GridSearchCV(regressor(), {"learning_rate_init": [0.01, -1.0]}, cv=3, error_score="raise").fit(X, VALUES)
        with pytest.raises(ValueError, match="All the 3 fits failed"):
            ours.GridSearchCV(regressor(), {"tol": [-1.0]}, cv=3).fit(X, VALUES)
    assert groups


def failing(estimator: Any, rows: Any, y: Any) -> float:
    raise ValueError("no score")


def test_scores_that_fail() -> None:
    """A score of the estimator or of the search that fails has the same effect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (UserWarning, RuntimeWarning))
        assert_same_search(regressor(), {"alpha": [0.0]}, VALUES, scoring=failing, error_score=3.0, refit=False)
        grid = {"scoring": [failing, "r2"], "early_stopping": [True]}
        assert_same_search(regressor(), grid, VALUES, error_score=3.0, refit=False)


def test_unknown_parameters() -> None:
    """Both raise the same error for a parameter that the estimator does not have."""
    texts = []
    for library in (ours, theirs):
        with pytest.raises(ValueError, match="Invalid parameter 'alfa'") as caught:
            library.GridSearchCV(classifier(), {"alfa": [1.0]}, cv=3).fit(X, LABELS)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_warnings() -> None:
    """Each fit warns about its convergence or its batch size."""
    counts = []
    for library in (ours, theirs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            library.GridSearchCV(classifier(), {"batch_size": [10, 500]}, cv=3).fit(X, LABELS)
        counts.append(sorted(str(one.message) for one in caught))
    assert counts[0] == counts[1]
    assert len(counts[0]) == 10


def test_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the training with a warning, and the search continues with the networks as they are."""
    from fastnn._many import runs

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_train_slice", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user"):
        search = ours.GridSearchCV(classifier(), {"alpha": [0.0, 0.1]}, cv=3, refit=False).fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_without_a_seed(groups: list[int]) -> None:
    """Each fit has a seed of its own, which comes from NumPy's global generator."""
    results = []
    for seed in (1, 1, 2):
        np.random.seed(seed)  # noqa: NPY002
        search = ours.GridSearchCV(classifier(random_state=None), {"alpha": [0.0, 0.0]}, cv=3).fit(X, LABELS)
        results.append(search.cv_results_["mean_test_score"].tolist() + search.best_estimator_.coefs_[0].tolist())
        assert search.best_estimator_.random_state is None
    assert results[0] == results[1]
    assert results[0] != results[2]
    assert groups == [6, 6, 6]


def test_the_search_is_an_estimator() -> None:
    """Clones, nested searches and representations are those of scikit-learn."""
    search = ours.GridSearchCV(classifier(), {"alpha": [0.0, 0.1]}, cv=2)
    assert isinstance(search, theirs.GridSearchCV)
    assert repr(search) == repr(theirs.GridSearchCV(classifier(), {"alpha": [0.0, 0.1]}, cv=2))
    nested = theirs.cross_val_score(clone(search), X, LABELS, cv=2)
    assert nested.shape == (2,)
    np.testing.assert_array_equal(nested, ours.cross_validate(search, X, LABELS, cv=2)["test_score"])
