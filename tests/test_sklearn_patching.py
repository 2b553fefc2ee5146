"""The patch that puts fastnn's estimators in place of scikit-learn's: what it replaces, and when it falls back."""

from __future__ import annotations

import pickle
import sys
import threading
import types

import numpy as np
import pytest
from _helpers import run_script

pytest.importorskip("sklearn")

import joblib
import sklearn.neural_network
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn.sklearn
from fastnn.sklearn import _patching, patch, patched, report, unpatch
from fastnn.sklearn._fallback import is_default, unsupported
from fastnn.sklearn._originals import ORIGINALS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ("MLPClassifier", "MLPRegressor")
DEEP = (2,) * 64
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = {"MLPClassifier": np.where(X[:, 0] > 0, "yes", "no"), "MLPRegressor": X[:, 0] - X[:, 1]}


@pytest.fixture(autouse=True)
def _unpatched():
    yield
    unpatch()
    assert not report().active
    assert public("MLPClassifier") is ORIGINALS["MLPClassifier"]


def public(name):
    return getattr(sklearn.neural_network, name)


def made(name, sizes=(4,), **parameters):
    return public(name)(hidden_layer_sizes=sizes, **{"max_iter": 2, "random_state": 0} | parameters)


@pytest.fixture
def user_module(monkeypatch):
    """Return a module that imported the names before the patch."""
    module = types.ModuleType("a_program")
    module.MLPClassifier = module.Net = ORIGINALS["MLPClassifier"]
    module.kept = module.unhashable = [ORIGINALS["MLPClassifier"]]
    monkeypatch.setitem(sys.modules, "a_program", module)
    return module


# ---- Replacing names ----


@pytest.mark.parametrize("name", NAMES)
def test_patching_replaces_the_names_and_unpatching_restores_them(name):
    original = ORIGINALS[name]
    assert public(name) is original
    unpatch()
    patch()
    patch()
    ours = public(name)
    assert ours is getattr(_patching, name)
    assert issubclass(ours, getattr(fastnn.sklearn, name))
    assert ours.__name__ == name
    assert report().active
    unpatch()
    assert public(name) is original
    unpatch()


def test_names_that_other_modules_have_imported_are_replaced(user_module):
    with patched():
        assert user_module.MLPClassifier is user_module.Net is public("MLPClassifier")
        assert user_module.kept == [ORIGINALS["MLPClassifier"]]
        assert {"a_program", "sklearn.neural_network"} <= set(report().replaced["MLPClassifier"])
        user_module.Net = mine = object()
        user_module.later = public("MLPRegressor")
    assert user_module.MLPClassifier is ORIGINALS["MLPClassifier"]
    assert user_module.Net is mine
    assert user_module.later is ORIGINALS["MLPRegressor"]


def test_a_second_patch_replaces_names_in_new_modules(user_module):
    patch()
    user_module.Net = ORIGINALS["MLPClassifier"]
    patch()
    assert user_module.Net is public("MLPClassifier")
    assert report().replaced["MLPClassifier"].count("a_program") == 1


def test_nothing_else_in_scikit_learn_and_fastnn_is_changed():
    from fastnn._bench.peers import sklearn_
    from fastnn._bench.works import PredictionWork

    def classes():
        return {
            (name, key): value
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in ("sklearn", "fastnn") and name != "sklearn.neural_network"
            for key, value in list(vars(module).items())
            if isinstance(value, type)
        }

    before = classes()
    with patched():
        assert {key: value for key, value in classes().items() if key in before} == before
        measured = sklearn_._regressor(PredictionWork((3, 4, 2), 1, np.dtype(np.float64)), (3, 4, 2))
        assert type(measured) is ORIGINALS["MLPRegressor"]


def test_unusual_modules_are_left_unchanged(monkeypatch):
    class Loads(types.ModuleType):
        def __getattribute__(self, name):
            raise AssertionError(f"{name} was asked for")

    monkeypatch.setitem(sys.modules, "loads_when_used", Loads("loads_when_used"))
    monkeypatch.setitem(sys.modules, "no_module", object())
    monkeypatch.setitem(sys.modules, "missing", None)
    with patched():
        assert public("MLPRegressor") is _patching.MLPRegressor


# ---- Blocks ----


def test_blocks_can_be_nested():
    with patched():
        with patched():
            assert report().active
        assert public("MLPClassifier") is _patching.MLPClassifier
    assert public("MLPClassifier") is ORIGINALS["MLPClassifier"]
    patch()
    with patched():
        pass
    assert public("MLPClassifier") is _patching.MLPClassifier
    with patched():
        unpatch()
        assert public("MLPClassifier") is _patching.MLPClassifier
    assert public("MLPClassifier") is ORIGINALS["MLPClassifier"]


def test_an_error_ends_a_block():
    with pytest.raises(RuntimeError), patched():
        raise RuntimeError
    assert public("MLPClassifier") is ORIGINALS["MLPClassifier"]


def test_functions_can_be_decorated():
    @patched()
    def function():
        return public("MLPClassifier")

    assert function() is function() is _patching.MLPClassifier
    assert public("MLPClassifier") is ORIGINALS["MLPClassifier"]


def test_blocks_and_fits_may_run_in_many_threads():
    before = report().fits.get("MLPRegressor", 0)
    found = []

    def work():
        for _ in range(10):
            with patched():
                found.append(public("MLPRegressor"))
                made("MLPRegressor", (2,), max_iter=1).fit(X, Y["MLPRegressor"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {_patching.MLPRegressor}
    assert report().fits["MLPRegressor"] - before == 40


# ---- Classes that cannot be replaced ----


def check_left_alone(monkeypatch, original, reason):
    monkeypatch.setattr(_patching, "ORIGINALS", {**ORIGINALS, "MLPRegressor": original})
    monkeypatch.setattr(sklearn.neural_network, "MLPRegressor", original)
    with patched():
        assert public("MLPRegressor") is original
        assert public("MLPClassifier") is _patching.MLPClassifier
        assert reason in report().not_replaced["MLPRegressor"]
        assert list(report().replaced) == ["MLPClassifier"]
        assert f"MLPRegressor: not replaced: {report().not_replaced['MLPRegressor']}" in str(report())
    assert public("MLPRegressor") is original


def test_a_release_with_another_parameter_is_left_unchanged(monkeypatch):
    class MLPRegressor(ORIGINALS["MLPRegressor"]):
        def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), activation="relu", *, gadget=None):
            pass

    check_left_alone(monkeypatch, MLPRegressor, "has the parameter 'gadget', which fastnn does not know")


def test_a_release_with_another_default_is_left_unchanged(monkeypatch):
    class MLPRegressor(ORIGINALS["MLPRegressor"]):
        def __init__(self, loss="squared_error", hidden_layer_sizes=(64,), activation="relu"):
            pass

    check_left_alone(monkeypatch, MLPRegressor, "'hidden_layer_sizes' is (64,) by default")


def test_a_release_with_another_order_is_left_unchanged(monkeypatch):
    class MLPRegressor(ORIGINALS["MLPRegressor"]):
        def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, loss="squared_error"):
            pass

    check_left_alone(monkeypatch, MLPRegressor, "takes other parameters by position: hidden_layer_sizes, activation")


def test_a_class_of_another_program_is_left_unchanged(monkeypatch):
    class Other(ORIGINALS["MLPClassifier"]):
        pass

    monkeypatch.setattr(sklearn.neural_network, "MLPClassifier", Other)
    with patched():
        assert public("MLPClassifier") is Other
        assert "Other in its place" in report().not_replaced["MLPClassifier"]
    assert public("MLPClassifier") is Other
    monkeypatch.undo()


# ---- Estimators under the patch ----


@pytest.mark.parametrize("name", NAMES)
def test_patched_estimators_give_the_same_numbers(name):
    theirs = made(name, (4,)).fit(X, Y[name])
    with patched():
        ours = made(name, (4,)).fit(X, Y[name])
        assert isinstance(ours, public(name))
        assert isinstance(theirs, public(name))
    assert type(ours) is getattr(_patching, name)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)
    assert repr(ours) == repr(theirs)
    assert is_classifier(ours) == is_classifier(theirs)
    assert is_regressor(ours) == is_regressor(theirs)
    assert theirs.get_params().items() <= ours.get_params().items()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copied", [clone, lambda e: pickle.loads(pickle.dumps(e))], ids=["clone", "pickle"])
def test_copies_of_patched_estimators_work(name, copied):
    with patched():
        estimator = made(name, (4,), alpha=0.5)
        for one in (estimator, copied(estimator).fit(X, Y[name]), copied(copied(estimator).fit(X, Y[name]))):
            assert type(copied(one)) is public(name)
            assert copied(one).get_params() == estimator.get_params()
    unpickled = pickle.loads(pickle.dumps(estimator.fit(X, Y[name])))
    np.testing.assert_array_equal(unpickled.predict(X), estimator.predict(X))


def test_methods_keep_their_signatures():
    with patched():
        estimator = made("MLPClassifier", (4,))
        assert not hasattr(estimator.set_params(solver="lbfgs"), "partial_fit")
        estimator.set_params(solver="adam").partial_fit(X, Y["MLPClassifier"], classes=["no", "yes"])
        assert estimator.n_iter_ == 1
        with sklearn.config_context(enable_metadata_routing=True):
            estimator.set_fit_request(sample_weight=True)
            estimator.set_partial_fit_request(sample_weight=True, classes=False)


def test_fits_are_counted():
    before = report().fits
    with patched():
        estimator = made("MLPRegressor", (4,)).fit(X, Y["MLPRegressor"])
        estimator.partial_fit(X, Y["MLPRegressor"])
        with pytest.raises(ValueError, match="inconsistent"):
            estimator.fit(X, Y["MLPRegressor"][1:])
        fits = report().fits["MLPRegressor"] - before.get("MLPRegressor", 0)
        assert fits == 2
        assert f"MLPRegressor: {report().fits['MLPRegressor']} fits; replaced in " in str(report())
        assert "not at present" not in str(report())
    assert report().fits.get("MLPClassifier", 0) == before.get("MLPClassifier", 0)
    assert "not at present" in str(report())
    assert sklearn.__version__ in str(report())
    assert fastnn.__version__ in str(report())


# ---- Falling back to scikit-learn ----


def test_reasons_for_falling_back_are_reported():
    def reason(sizes):
        return unsupported(fastnn.sklearn.MLPClassifier(sizes))

    assert reason((2,) * 63) is None
    assert reason((2,) * 64) == "65 layers, where fastnn allows at most 64"
    assert reason(2**31 - 1) is None
    assert reason(()) is None
    assert reason(np.array([3, 2**31])) == "a layer of 2147483648 units, where fastnn allows at most 2147483647"
    assert reason((-1,) * 64) is reason("text") is reason(None) is reason(np.array(3.0)) is None


def test_63_hidden_layers_use_fastnn():
    with patched():
        estimator = made("MLPRegressor", (2,) * 63).fit(X, Y["MLPRegressor"])
    assert type(estimator) is _patching.MLPRegressor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_estimators_that_fall_back_give_the_results_of_scikit_learn(name, method):
    arguments = {"classes": ["no", "yes"]} if (name, method) == ("MLPClassifier", "partial_fit") else {}
    expected = made(name, DEEP, alpha=0.1)
    getattr(expected, method)(X, Y[name], **arguments)
    key = (name, "65 layers, where fastnn allows at most 64")
    count, fits = report().fallbacks.get(key, 0), report().fits.get(name, 0)
    with patched():
        estimator = made(name, DEEP, alpha=0.1)
        estimator.remark = "kept"
        assert getattr(estimator, method)(X, Y[name], **arguments) is estimator
        assert type(estimator) is ORIGINALS[name]
        assert isinstance(estimator, public(name))
        assert issubclass(ORIGINALS[name], public(name))
        assert report().fallbacks[key] == count + 1
        assert report().fits.get(name, 0) == fits
        assert f"{name}: {count + 1} fit" in str(report())
        assert estimator.get_params() == expected.get_params() == clone(estimator).get_params()
        copy = pickle.loads(pickle.dumps(estimator))
        clone(estimator).fit(X, Y[name])
    assert estimator.remark == "kept"
    assert vars(estimator).keys() == {*vars(expected), "remark"}
    np.testing.assert_array_equal(estimator.predict(X), expected.predict(X))
    np.testing.assert_array_equal(copy.predict(X), expected.predict(X))


@pytest.mark.parametrize("name", NAMES)
def test_fitted_estimators_can_fall_back(name):
    with patched():
        estimator = made(name, (3,), early_stopping=True, resume=True).fit(X, Y[name])
        estimator.set_params(hidden_layer_sizes=DEEP, resume=False).fit(X, Y[name])
    expected = made(name, DEEP, early_stopping=True).fit(X, Y[name])
    assert type(estimator) is ORIGINALS[name]
    assert vars(estimator).keys() == vars(expected).keys()
    np.testing.assert_array_equal(estimator.predict(X), expected.predict(X))


def test_requests_for_metadata_are_kept_when_falling_back():
    with patched(), sklearn.config_context(enable_metadata_routing=True):
        estimator = made("MLPRegressor", DEEP).set_fit_request(sample_weight=True)
        estimator.fit(X, Y["MLPRegressor"])
        assert estimator.get_metadata_routing().fit.requests["sample_weight"] is True


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_that_has_begun_does_not_fall_back(method):
    with patched():
        estimator = made("MLPRegressor", (3,), warm_start=method == "fit").fit(X, Y["MLPRegressor"])
        estimator.set_params(hidden_layer_sizes=DEEP)
        with pytest.raises(ValueError, match="hidden_layer_sizes: expected"):
            getattr(estimator, method)(X, Y["MLPRegressor"])
    assert type(estimator) is _patching.MLPRegressor


@pytest.mark.parametrize(
    "parameters", [{"dropout": 0.1}, {"clip_norm": 1.0}, {"n_jobs": 1}, {"dropout": [0.1] * 64}], ids=str
)
def test_parameters_unknown_to_scikit_learn_prevent_falling_back(parameters):
    with patched():
        estimator = made("MLPRegressor", DEEP, **parameters)
        with pytest.raises(ValueError, match="^hidden_layer_sizes: expected at most 63 .*got 64 layers"):
            estimator.fit(X, Y["MLPRegressor"])
    assert type(estimator) is _patching.MLPRegressor


def test_arguments_unknown_to_scikit_learn_prevent_falling_back():
    y = Y["MLPRegressor"]
    with patched():
        for args, kwargs in (((X, y), {"X_val": X, "y_val": y}), ((X, y, None, X, y), {})):
            with pytest.raises(ValueError, match="^hidden_layer_sizes: expected at most 63 .*got 64 layers"):
                made("MLPRegressor", DEEP).fit(*args, **kwargs)
        assert type(made("MLPRegressor", DEEP).fit(X, y, None)) is ORIGINALS["MLPRegressor"]


def test_subclasses_do_not_fall_back():
    with patched():

        class Mine(public("MLPRegressor")):
            pass

        assert type(Mine(hidden_layer_sizes=(2,), max_iter=1).fit(X, Y["MLPRegressor"])) is Mine
        with pytest.raises(ValueError, match="^hidden_layer_sizes: expected at most 63 .*got 64 layers"):
            Mine(hidden_layer_sizes=DEEP).fit(X, Y["MLPRegressor"])


def test_values_equal_to_a_default_are_recognized():
    assert is_default(None, None)
    assert is_default(np.float64(0), 0.0)
    assert is_default([0, 0.0], 0.0)
    assert is_default(np.zeros(3), 0.0)
    assert is_default(np.array(0.0), 0.0)
    assert not is_default(np.array([0.0, 0.5]), 0.0)
    assert not is_default({"yes": 2}, None)
    assert not is_default("balanced", None)


# ---- With joblib and searches ----


def test_searches_in_processes_use_fastnn():
    y = Y["MLPClassifier"]
    with patched():
        pipeline = make_pipeline(StandardScaler(), made("MLPClassifier"))
        grid = {"mlpclassifier__hidden_layer_sizes": [(3,), DEEP]}
        found = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
        assert np.isfinite(found.cv_results_["mean_test_score"]).all()
        fitted = joblib.Parallel(n_jobs=2)(joblib.delayed(e.fit)(X, y) for e in (pipeline, clone(found.estimator)))
    assert [type(pipe[-1]) for pipe in fitted] == [_patching.MLPClassifier] * 2


def test_pickles_load_where_nothing_is_patched(tmp_path):
    with patched():
        for name in NAMES:
            for kind, sizes in (("ours", (3,)), ("theirs", DEEP)):
                joblib.dump(made(name, sizes).fit(X, Y[name]), tmp_path / f"{name}-{kind}.joblib")
    script = """
import sys, warnings, joblib, numpy as np, sklearn.neural_network
warnings.simplefilter("ignore")
X = np.arange(30.0).reshape(10, 3)
for name in ("MLPClassifier", "MLPRegressor"):
    for kind, module in (("ours", "fastnn.sklearn._patching"), ("theirs", "sklearn.neural_network._multilayer_perceptron")):
        estimator = joblib.load(f"{sys.argv[1]}/{name}-{kind}.joblib")
        assert type(estimator).__module__ == module, type(estimator)
        estimator.fit(X, estimator.predict(X))
    assert getattr(sklearn.neural_network, name).__module__.startswith("sklearn.")
"""
    run_script(script, str(tmp_path))
