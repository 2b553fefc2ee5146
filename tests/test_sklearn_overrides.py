"""Programs that override private methods: under the patch scikit-learn's code runs them, and the report names them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from sklearn import neural_network
from sklearn.base import clone

import fastnn.sklearn
from fastnn.sklearn._overrides import _KNOWN

ORIGINALS = {"MLPClassifier": neural_network.MLPClassifier, "MLPRegressor": neural_network.MLPRegressor}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
TARGETS = {"MLPClassifier": (X[:, 0] > 0).astype(int), "MLPRegressor": X[:, 0]}


@pytest.fixture(autouse=True)
def patched():
    with fastnn.sklearn.patched():
        yield


def constant(self, fan_in, fan_out, dtype):
    return np.full((fan_in, fan_out), 0.01, dtype), np.zeros(fan_out, dtype)


class Constant:
    """A classifier whose initial weights are all equal."""

    _init_coef = constant


def fallbacks():
    return fastnn.sklearn.report().fallbacks


def estimator_of(cls):
    return cls(hidden_layer_sizes=(5,), solver="sgd", learning_rate_init=1e-9, max_iter=1, random_state=0)


def subclasses(name):
    """Return classes with the method, each made in a different way."""
    base = getattr(neural_network, name)
    direct = type("Direct", (base,), {"_init_coef": constant, "__module__": __name__})
    mixed_in = type("MixedIn", (Constant, base), {"__module__": __name__})
    below = type("Below", (direct,), {"__module__": __name__})
    return [direct, mixed_in, below]


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("way", range(3))
def test_methods_of_subclasses_are_called(name, way):
    cls = subclasses(name)[way]
    reason = "_init_coef of the program, which fastnn would not call"
    before = fallbacks().get((name, reason), 0)
    fitted = clone(estimator_of(cls)).fit(X, TARGETS[name])
    np.testing.assert_allclose(fitted.coefs_[0], 0.01, atol=1e-4)
    assert isinstance(fitted, ORIGINALS[name])
    assert isinstance(fitted, getattr(neural_network, name))
    assert fallbacks()[name, reason] == before + 1
    assert reason in str(fastnn.sklearn.report())


@pytest.mark.parametrize("name", ORIGINALS)
def test_every_private_method_is_known(name):
    for method in _KNOWN[name]:
        cls = type("Own", (getattr(neural_network, name),), {method: getattr(ORIGINALS[name], method)})
        assert issubclass(cls, ORIGINALS[name]), method
        assert not issubclass(cls, fastnn.sklearn.MLPClassifier | fastnn.sklearn.MLPRegressor), method


@pytest.mark.parametrize("name", ORIGINALS)
def test_methods_assigned_to_an_object_are_called(name):
    estimator = estimator_of(getattr(neural_network, name))
    estimator._init_coef = constant.__get__(estimator)
    estimator.fit(X, TARGETS[name])
    np.testing.assert_allclose(estimator.coefs_[0], 0.01, atol=1e-4)
    assert type(estimator) is ORIGINALS[name]


@pytest.mark.parametrize("name", ORIGINALS)
def test_methods_assigned_after_a_fit_are_called(name):
    estimator = estimator_of(getattr(neural_network, name)).fit(X, TARGETS[name])
    estimator._init_coef = constant.__get__(estimator)
    estimator.fit(X, TARGETS[name])
    np.testing.assert_allclose(estimator.coefs_[0], 0.01, atol=1e-4)


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("original", [True, False])
def test_methods_assigned_to_the_classes_are_called(name, original, monkeypatch):
    where = ORIGINALS[name] if original else getattr(neural_network, name)
    monkeypatch.setattr(where, "_init_coef", constant, raising=False)
    estimator = estimator_of(getattr(neural_network, name))
    estimator.fit(X, TARGETS[name])
    np.testing.assert_allclose(estimator.coefs_[0], 0.01, atol=1e-4)


def test_a_private_method_added_below_a_plain_subclass_is_refused():
    middle = type("Middle", (neural_network.MLPRegressor,), {})
    below = type("Below", (middle,), {"_init_coef": constant})
    with pytest.raises(NotImplementedError, match=r"Below.fit: expected a class .*got one with _init_coef of the program"):
        estimator_of(below).fit(X, X[:, 0])
    assert isinstance(estimator_of(middle).fit(X, X[:, 0]), fastnn.sklearn.MLPRegressor)


def test_subclasses_with_public_methods_use_fastnn():
    class Doubled(neural_network.MLPRegressor):
        def predict(self, X):
            return 2 * super().predict(X)

    fitted = Doubled(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, X[:, 0])
    assert isinstance(fitted, fastnn.sklearn.MLPRegressor)
    np.testing.assert_array_equal(fitted.predict(X), 2 * fastnn.sklearn.MLPRegressor.predict(fitted, X))


def test_subclasses_may_call_super_and_be_pickled():
    fitted = estimator_of(Super).fit(X, X[:, 0])
    assert fitted.calls == 2
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


with fastnn.sklearn.patched():

    class Super(neural_network.MLPRegressor):
        """A subclass whose method calls the one it overrides."""

        calls = 0

        def _init_coef(self, fan_in, fan_out, dtype):
            self.calls += 1
            return super()._init_coef(fan_in, fan_out, dtype)


def test_subclasses_of_fastnns_classes_that_override_private_methods_are_refused():
    class Own(fastnn.sklearn.MLPRegressor):
        _init_coef = constant

    with pytest.raises(NotImplementedError, match="Own: expected methods that fastnn calls, got _init_coef of the program"):
        Own().fit(X, X[:, 0])


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_partial_fit_exists_where_scikit_learn_has_it(name, solver):
    cls, y = subclasses(name)[0], TARGETS[name]
    estimator = cls(hidden_layer_sizes=(5,), solver=solver, random_state=0)
    assert hasattr(estimator, "partial_fit") == hasattr(ORIGINALS[name](solver=solver), "partial_fit")
    if solver == "sgd":
        classes = {"classes": [0, 1]} if name == "MLPClassifier" else {}
        before = sum(fallbacks().values())
        estimator.partial_fit(X, y, **classes)
        assert sum(fallbacks().values()) == before + 1
