"""The estimators in scikit-learn's tools: copies, parameters set from outside, searches, metadata, frames."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

import joblib
import sklearn
from _sklearn_pairs import DATA, LIBRARIES, assert_equal, assert_same, estimator, snapshot
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, learning_curve
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fastnn.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = DATA["iris"]
X_numbers, y_numbers = DATA["diabetes"]
BOTH = pytest.mark.parametrize("data", ["iris", "diabetes"])


# ---- Copies ----

COPIES = {
    "pickle": lambda one, _: pickle.loads(pickle.dumps(one)),
    "oldest pickle": lambda one, _: pickle.loads(pickle.dumps(one, 0)),
    "deepcopy": lambda one, _: copy.deepcopy(one),
    "joblib": lambda one, path: joblib.load(joblib.dump(one, path / "one")[0]),
    "joblib, mapped": lambda one, path: joblib.load(joblib.dump(one, path / "one")[0], mmap_mode="r"),
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("data", ["iris", "cancer", "multilabel", "diabetes"])
def test_copies_train_to_the_same_bits(data, kind, tmp_path):
    """The copies have a random state of their own."""
    inputs, targets = DATA[data]
    one = estimator(LIBRARIES[1], data, random_state=np.random.RandomState(0), max_iter=3).fit(inputs, targets)
    one.partial_fit(inputs, targets)
    other = COPIES[kind](one, tmp_path)
    assert_equal(snapshot(other, inputs), snapshot(one, inputs), 0)
    for _ in range(2):
        assert_equal(
            snapshot(other.partial_fit(inputs, targets), inputs), snapshot(one.partial_fit(inputs, targets), inputs), 0
        )
    other.coefs_[0][...] = 0.0
    assert one.coefs_[0].any()


@pytest.mark.parametrize("kind", ["pickle", "deepcopy"])
def test_copies_of_unfitted_estimators_work(kind, tmp_path):
    one = COPIES[kind](MLPClassifier(alpha=2.0), tmp_path)
    assert one.get_params() == MLPClassifier(alpha=2.0).get_params()
    with pytest.raises(NotFittedError):
        one.predict(X)


def test_clones_of_fitted_estimators_are_not_fitted():
    fitted = estimator(LIBRARIES[1], "iris").fit(X, y)
    again = clone(fitted)
    assert not hasattr(again, "coefs_")
    assert_equal(snapshot(again.fit(X, y), X), snapshot(fitted, X), 0)


# ---- Parameters of the network, set from outside ----


def _write(one):
    one.coefs_[0][...] *= 2.0
    one.intercepts_[1][0] += 1.0


def _assign(one):
    one.coefs_[0] = one.coefs_[0] * 2.0
    one.intercepts_[1] = one.intercepts_[1] + 1.0


def _assign_lists(one):
    one.coefs_ = [weights * 2.0 for weights in one.coefs_]
    one.intercepts_ = [bias + 1.0 for bias in one.intercepts_]


@pytest.mark.parametrize("change", [_write, _assign, _assign_lists])
@BOTH
def test_coefficients_can_be_set(data, change):
    inputs, targets = DATA[data]

    def act(library):
        one = estimator(library, data, max_iter=3).fit(inputs, targets)
        before = one.predict(inputs)
        change(one)
        shown = snapshot(one, inputs)
        assert (shown["predict"] != before).any()
        return shown, snapshot(one.partial_fit(inputs, targets), inputs), one.score(inputs, targets)

    assert_same(act)


def test_training_continues_from_averages_of_networks():
    """As in federated learning, three estimators continue from the mean of their weights."""

    def act(library):
        members = [estimator(library, "iris", random_state=i) for i in range(3)]
        for i, one in enumerate(members):
            one.partial_fit(X[i::3], y[i::3], classes=[0, 1, 2])
        for _ in range(2):
            for name in ("coefs_", "intercepts_"):
                mean = [np.mean(arrays, axis=0) for arrays in zip(*(getattr(one, name) for one in members), strict=True)]
                for one in members:
                    setattr(one, name, copy.deepcopy(mean))
            for i, one in enumerate(members):
                one.partial_fit(X[i::3], y[i::3])
        return [snapshot(one, X) for one in members]

    assert_same(act)


# ---- Tools ----


def few(library, data="iris", **options):
    return estimator(library, data, **{"max_iter": 5} | options)


TOOLS = {
    "pipeline": lambda lib: make_pipeline(StandardScaler(), few(lib, early_stopping=True)).fit(X, y).predict_proba(X),
    "cross_val_score": lambda lib: cross_val_score(few(lib), X, y, scoring="neg_log_loss"),
    "cross_val_predict": lambda lib: cross_val_predict(few(lib), X, y, method="predict_log_proba"),
    "learning_curve": lambda lib: learning_curve(few(lib), X, y, exploit_incremental_learning=True, cv=3, shuffle=True)[1:3],
    "calibration": lambda lib: CalibratedClassifierCV(few(lib), cv=3).fit(X, y, sample_weight=np.ones(150)).predict_proba(X),
    "stacking": lambda lib: StackingClassifier([("a", few(lib))], final_estimator=few(lib), cv=3).fit(X, y).predict_proba(X),
    "voting": lambda lib: VotingRegressor([("a", few(lib, "diabetes"))]).fit(X_numbers, y_numbers).predict(X_numbers),
    "outputs": lambda lib: MultiOutputRegressor(few(lib, "diabetes")).fit(*DATA["two outputs"]).predict(X_numbers),
    "one against the rest": lambda lib: OneVsRestClassifier(few(lib)).partial_fit(X, y, [0, 1, 2]).predict_proba(X),
    "bagging": lambda lib: BaggingClassifier(few(lib), 3, random_state=0).fit(X, y).predict_proba(X),
    "permutations": lambda lib: permutation_importance(few(lib).fit(X, y), X, y, random_state=0)["importances"],
    "threads": lambda lib: joblib.Parallel(2, "threading")(
        joblib.delayed(lambda seed: few(lib, random_state=seed).fit(X, y).predict_proba(X))(seed) for seed in range(6)
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_give_the_same_as_with_scikit_learns_estimators(tool):
    answers = []
    for library in LIBRARIES:
        np.random.seed(0)  # noqa: NPY002
        answers.append(TOOLS[tool](library))
    assert_equal(answers[1], answers[0], 1e-6)


def test_grid_searches_in_processes_give_the_same():
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(3,), (4, 4)], "activation": ["tanh", "relu"]}
    theirs, ours = (
        GridSearchCV(make_pipeline(few(lib)), {f"{lib_name(lib)}__{k}": v for k, v in grid.items()}, n_jobs=2).fit(X, y)
        for lib in LIBRARIES
    )
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def lib_name(library):
    return type(few(library)).__name__.lower()


def test_subclasses_give_the_same():
    """The subclass has its own constructor, fit and score."""

    def act(library):
        class Wide(library.MLPClassifier):
            def __init__(self, width=5, random_state=None):
                super().__init__((width,), max_iter=4, random_state=random_state, early_stopping=True)
                self.width = width

            def fit(self, inputs, targets):
                return super().fit(2 * inputs, targets)

            def score(self, inputs, targets, sample_weight=None):
                return 42.0

        one = clone(Wide(6, 3)).fit(X, y)
        return snapshot(one, X), sorted(one.get_params()), one.score(X, y), one.hidden_layer_sizes

    assert_same(act)


# ---- Metadata ----


def test_metadata_are_routed_to_the_estimator():
    """Weights reach the estimator in a pipeline if it has requested them."""
    weight = {"sample_weight": np.random.default_rng(0).uniform(0, 1, 150)}

    def act(library):
        with sklearn.config_context(enable_metadata_routing=True):
            one = few(library).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            piped = make_pipeline(MinMaxScaler(), one)
            scores = cross_val_score(piped, X, y, params=weight)
            shown = snapshot(piped.fit(X, y, **weight)[-1], X)
            one.set_fit_request(sample_weight=None)
            with pytest.raises(
                ValueError, match="sample_weight.* are passed but are not explicitly set as requested or not"
            ):
                piped.fit(X, y, **weight)
        return scores, shown

    shown = assert_same(act)[1]
    weighted = few(LIBRARIES[1]).fit(MinMaxScaler().fit_transform(X), y, **weight)
    assert_equal(shown["coefs_"], weighted.coefs_, 0)


# ---- Frames ----

FRAMES = ("pandas", "polars")


def frame(kind, columns="abcd", values=X):
    module = pytest.importorskip(kind)
    return module.DataFrame({name: values[:, i] for i, name in enumerate(columns)})


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("early_stopping", [False, True])
@BOTH
def test_frames_give_the_same(data, early_stopping, kind):
    table = frame(kind)

    def act(library):
        one = few(library, data, early_stopping=early_stopping).fit(table, y)
        return snapshot(one, table), one.score(table, y), list(one.feature_names_in_)

    assert assert_same(act)[2] == list("abcd")


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_set_output_is_supported(kind, output):
    table = frame(kind)
    scaler = StandardScaler().set_output(transform=output)
    piped = make_pipeline(scaler, few(LIBRARIES[1])).fit(table, y)
    assert hasattr(piped[-1], "feature_names_in_") == (output != "default")
    np.testing.assert_array_equal(
        piped.predict(table), few(LIBRARIES[1]).fit(StandardScaler().fit_transform(X), y).predict(X)
    )


@pytest.mark.parametrize("kind", FRAMES)
def test_messages_about_names_of_features_are_the_same(kind):
    """Names may be missing, wrong or in another order."""

    def act(library):
        named, nameless = few(library).fit(frame(kind), y), few(library).fit(X, y)
        answers = [named.predict(X), nameless.predict(frame(kind))]
        for columns in ("dcba", "abcx"):
            for call in (named.predict, lambda table: named.partial_fit(table, y)):
                with pytest.raises(
                    ValueError, match="The feature names should match those that were passed during fit"
                ) as e:
                    call(frame(kind, columns))
                answers.append(str(e.value))
        return answers

    assert_same(act)


def test_targets_may_be_frames():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    names = np.array(["ab", "c", "d"])[y]
    labels = [pandas.Series(y), pandas.Series(names), pandas.Series(names, dtype="category"), polars.Series(names)]
    labels += [pandas.Series(y, dtype="Int64"), pandas.Series(y > 0, dtype="boolean"), pandas.Categorical(names)]
    for targets in labels:
        assert_same(lambda library, targets=targets: snapshot(few(library).fit(frame("pandas"), targets), frame("pandas")))
    for targets in (pandas.Series(y_numbers), polars.Series(y_numbers), pandas.Series(y_numbers, dtype="Float64")):
        assert_same(lambda lib, targets=targets: snapshot(few(lib, "diabetes").fit(X_numbers, targets), X_numbers))
