"""Helpers of the tests against scikit-learn: small data, an estimator of each library, and comparisons of the two."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, make_multilabel_classification

import fastnn.sklearn

ATTRIBUTES = (
    *("coefs_", "intercepts_", "loss_", "loss_curve_", "best_loss_", "n_iter_", "t_", "n_layers_", "n_outputs_"),
    *("out_activation_", "classes_", "validation_scores_", "best_validation_score_", "n_features_in_", "feature_names_in_"),
)
LIBRARIES = (sklearn.neural_network, fastnn.sklearn)


def _scaled(X: Any, y: Any) -> tuple[Any, Any]:
    return (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9), y


def _small_data() -> dict[str, tuple[Any, Any]]:
    iris = _scaled(*load_iris(return_X_y=True))
    digits = load_digits(return_X_y=True)
    cancer = _scaled(*(part[:150] for part in load_breast_cancer(return_X_y=True)))
    X, y = _scaled(*(part[:200] for part in load_diabetes(return_X_y=True)))
    y = (y - y.mean()) / y.std()
    few = digits[1] < 3
    return {
        "iris": iris,
        "digits": (digits[0][:250] / 16, digits[1][:250]),
        "3 digits": (digits[0][few][:120] / 16, digits[1][few][:120]),
        "cancer": cancer,
        "strings": (cancer[0], np.array(["no", "yes"])[cancer[1]]),
        "one class": (iris[0][:50], iris[1][:50]),
        "multilabel": _scaled(*make_multilabel_classification(100, 6, n_classes=4, random_state=0)),
        "diabetes": (X, y),
        "two outputs": (X, np.column_stack([y, y**2])),
        "counts": (X, np.floor(3 * np.abs(y))),
    }


DATA = _small_data()
CLASSES = ("iris", "digits", "3 digits", "cancer", "strings", "one class", "multilabel")


def estimator(library: Any, data: str, **options: Any) -> Any:
    """Return an estimator of one library for the data with that name."""
    kind = library.MLPClassifier if data in CLASSES else library.MLPRegressor
    return kind(**{"hidden_layer_sizes": (7,), "max_iter": 15, "random_state": 0} | options)


def snapshot(fitted: Any, X: Any) -> dict[str, Any]:
    """Return copies of all fitted attributes of an estimator, and its answers for X."""
    shown = {name: copy.deepcopy(getattr(fitted, name, "absent")) for name in ATTRIBUTES}
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(fitted, method):
            with np.errstate(divide="ignore"):
                shown[method] = getattr(fitted, method)(X)
    return shown


def outcomes(action: Any) -> list[tuple[Any, list[tuple[type, str]]]]:
    """Return the results of an action with either library, and its warnings: their categories and first lines."""
    answers = []
    for library in LIBRARIES:
        np.random.seed(3)  # noqa: NPY002 - random_state=None draws from this generator
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = action(library)
        said = [(w.category, str(w.message).split("\n")[0]) for w in caught if w.category is not RuntimeWarning]
        answers.append((value, said))
    return answers


def assert_same(action: Any, rtol: float = 1e-7) -> Any:
    """Assert that an action has the same results with either library; return them."""
    (expected, warned), (got, warned_too) = outcomes(action)
    assert_equal(got, expected, rtol)
    assert warned_too == warned
    return got


def assert_equal(got: Any, expected: Any, rtol: float, where: str = "") -> None:
    """Compare numbers to a tolerance relative to the largest, everything else exactly, and also the dtypes of arrays."""
    if isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for name in expected:
            assert_equal(got[name], expected[name], rtol, f"{where} {name}")
    elif isinstance(expected, list | tuple):
        assert len(got) == len(expected), where
        for i, (one, other) in enumerate(zip(got, expected, strict=True)):
            assert_equal(one, other, rtol, f"{where}[{i}]")
    elif expected is None or isinstance(expected, str):
        assert got == expected, where
    else:
        one, other = np.asarray(got), np.asarray(expected)
        # With SciPy 1.18, scikit-learn's losses are float32 scalars; fastnn's are Python floats.
        number = other.ndim == 0 and other.dtype == np.float32
        assert one.dtype == (np.float64 if number else other.dtype), where
        if other.dtype.kind == "f" and other.size:
            scale = np.abs(other[np.isfinite(other)]).max(initial=0.0)
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale, err_msg=where)
        else:
            np.testing.assert_array_equal(one, other, err_msg=where)


def assert_same_fit(data: str, rtol: float = 1e-7, sample_weight: Any = None, **options: Any) -> dict[str, Any]:
    """Assert that one fit by each library gives the same; return the snapshot of fastnn's estimator."""
    X, y = DATA[data]
    return assert_same(lambda library: snapshot(estimator(library, data, **options).fit(X, y, sample_weight), X), rtol)
