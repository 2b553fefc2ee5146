"""Warnings of the estimators: for filters they are scikit-learn's; they name the user's line, and are shown as often."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn.sklearn

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = X[:, 0]
LABELS = (y > 0).astype(int)


def interrupted(estimator, X, y):
    raise KeyboardInterrupt


# By name: scikit-learn's class, its options, the method to call, its arguments, the category, and a part of the text.
CASES = {
    "epochs": ("MLPRegressor", {"max_iter": 1}, "fit", (X, y), ConvergenceWarning, "Maximum iterations"),
    "classifier": ("MLPClassifier", {"max_iter": 1}, "fit", (X, LABELS), ConvergenceWarning, "Maximum iterations"),
    "early": (
        *("MLPClassifier", {"max_iter": 1, "early_stopping": True}, "fit", (X, LABELS)),
        *(ConvergenceWarning, "Maximum iterations"),
    ),
    "lbfgs": ("MLPRegressor", {"max_iter": 1, "solver": "lbfgs"}, "fit", (X, y), ConvergenceWarning, "lbfgs failed"),
    "batch": ("MLPRegressor", {"max_iter": 99, "tol": 1e9, "batch_size": 61}, "fit", (X, y), UserWarning, "clipped"),
    "batch of a part": ("MLPRegressor", {"batch_size": 61}, "partial_fit", (X, y), UserWarning, "clipped"),
    "column": ("MLPRegressor", {"max_iter": 99, "tol": 1e9}, "fit", (X, y[:, None]), DataConversionWarning, "column-vector"),
    "column of labels": (
        *("MLPClassifier", {"max_iter": 99, "tol": 1e9}, "fit", (X, LABELS[:, None])),
        *(DataConversionWarning, "column-vector"),
    ),
    "column of a part": ("MLPRegressor", {}, "partial_fit", (X, y[:, None]), DataConversionWarning, "column-vector"),
}


def case(name, library=fastnn.sklearn):
    """Return a function without arguments that warns, defined here so that its line is known."""
    kind, options, method, arguments, _, _ = CASES[name]
    call = getattr(getattr(library, kind)(hidden_layer_sizes=(3,), random_state=0, **options), method)
    return lambda: call(*arguments)


def interrupted_fit():
    estimator = fastnn.sklearn.MLPRegressor(hidden_layer_sizes=(3,), early_stopping=True, scoring=interrupted)
    return estimator.fit(X, y)


def impossible():
    fitted = fastnn.sklearn.MLPClassifier((3,), tol=1e9, random_state=0).fit(X, LABELS)
    return fitted.predict_log_proba(1e6 * X)


FUNCTIONS = {name: case(name) for name in CASES} | {"interrupted": interrupted_fit, "log of 0": impossible}
CATEGORIES = {name: values[4] for name, values in CASES.items()} | {"interrupted": UserWarning, "log of 0": RuntimeWarning}


def recorded(call, *filters):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for options in filters:
            warnings.filterwarnings(**options)
        call()
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_warning_names_the_line_of_the_user(name):
    (warning,) = recorded(FUNCTIONS[name])
    assert warning.category is CATEGORIES[name]
    assert warning.filename == __file__
    lines, first = inspect.getsourcelines(FUNCTIONS[name])
    assert first <= warning.lineno < first + len(lines)


@pytest.mark.parametrize("name", CASES)
def test_categories_and_texts_are_those_of_scikit_learn(name):
    theirs, ours = (recorded(case(name, library)) for library in (neural_network, fastnn.sklearn))
    assert [w.category for w in ours] == [w.category for w in theirs]
    assert CASES[name][5] in str(ours[0].message)
    assert CASES[name][5] in str(theirs[0].message)


@pytest.mark.parametrize("module", ["sklearn", r"sklearn\.neural_network", "sklearn.neural_network._multilayer_perceptron$"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_filters_on_the_module_work(name, module):
    assert not recorded(FUNCTIONS[name], {"action": "ignore", "module": module})
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=module)
        with pytest.raises(CATEGORIES[name]):
            FUNCTIONS[name]()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_filters_on_the_category_work(name):
    assert not recorded(FUNCTIONS[name], {"action": "ignore", "category": CATEGORIES[name]})


SHORT = {"hidden_layer_sizes": (3,), "max_iter": 1, "random_state": 0}


def test_a_warning_is_shown_once_per_line():
    """Inputs are plain arrays: for others, scikit-learn's checks change the filters, so that Python repeats warnings."""
    globals().pop("__warningregistry__", None)

    def calls():
        for _ in range(3):
            fastnn.sklearn.MLPClassifier(**SHORT).fit(X, LABELS)
            fastnn.sklearn.MLPClassifier(**SHORT).fit(X, LABELS)

    first, second = recorded(calls, {"action": "default"})
    assert second.lineno == first.lineno + 1


@pytest.mark.parametrize("name", CASES)
def test_warnings_are_shown_no_more_often_than_by_scikit_learn(name):
    globals().pop("__warningregistry__", None)

    def count(library):
        call = case(name, library)
        return len(recorded(lambda: [call() for _ in range(3)], {"action": "default"}))

    assert count(fastnn.sklearn) <= count(neural_network)


THROUGH = {
    "pipeline": lambda: make_pipeline(StandardScaler(), fastnn.sklearn.MLPRegressor(**SHORT)).fit(X, y),
    "search": lambda: GridSearchCV(fastnn.sklearn.MLPRegressor(**SHORT), {"alpha": [0, 1]}, cv=2, n_jobs=None).fit(X, y),
    "scores": lambda: cross_val_score(fastnn.sklearn.MLPRegressor(**SHORT), X, y, cv=2),
}


@pytest.mark.parametrize("through", THROUGH)
def test_warnings_below_scikit_learns_code_name_its_line(through):
    found = recorded(THROUGH[through])
    assert len(found) == {"pipeline": 1, "search": 5, "scores": 2}[through]
    assert {w.filename for w in found} == {__file__}
    assert {w.lineno for w in found} == {inspect.getsourcelines(THROUGH[through])[1]}
    assert not recorded(THROUGH[through], {"action": "ignore", "module": "sklearn"})


@pytest.mark.parametrize("module", ["fastnn_app", "sklearnex", "joblibs"])
def test_libraries_with_similar_names_count_as_users(module):
    code = compile("# A comment.\nfit(X, y)", "there.py", "exec")
    names = {"__name__": module, "fit": fastnn.sklearn.MLPRegressor(**SHORT).fit, "X": X, "y": y}
    (warning,) = recorded(lambda: exec(code, names))
    assert (warning.filename, warning.lineno) == ("there.py", 2)


@pytest.mark.parametrize(("flag", "fails"), [("error", True), ("ignore", False), ("error::UserWarning:sklearn", False)])
def test_warnings_appear_on_the_command_line(flag, fails):
    program = """
        import numpy as np
        from fastnn.sklearn import MLPRegressor
        MLPRegressor(hidden_layer_sizes=3, max_iter=1).fit(np.eye(5), np.arange(5))
    """
    run = subprocess.run(
        [sys.executable, "-W", flag, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert (run.returncode != 0) == fails, run.stderr
    assert ("ConvergenceWarning" in run.stderr) == (flag != "ignore")


@pytest.mark.parametrize("divide", ["ignore", "raise", "warn"])
def test_numpys_error_settings_apply_to_zero_probabilities(divide):
    fitted = fastnn.sklearn.MLPClassifier((3,), tol=1e9, random_state=0).fit(X, LABELS)
    with np.errstate(divide=divide):
        if divide == "raise":
            with pytest.raises(FloatingPointError):
                fitted.predict_log_proba(1e6 * X)
        else:
            assert len(recorded(lambda: fitted.predict_log_proba(1e6 * X))) == (divide == "warn")
