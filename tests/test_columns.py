"""Names of columns: a model refuses a frame whose columns are not those it was trained on."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from _helpers import config_of

from fastnn import MLP, NeuralNetwork, Trainer

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.random.default_rng(1).normal(size=(12, 1))
NAMES = ("age", "height", "weight")


class Table:
    """A table that behaves like PyArrow's: `columns` are the data, `column_names` the names."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.column_names, self.columns = list(columns), list(columns.values())

    def __getitem__(self, name: str) -> Any:
        return dict(zip(self.column_names, self.columns, strict=True))[name]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.columns, dtype).T


def _pandas(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def _polars(columns: dict[str, Any]) -> Any:
    return pytest.importorskip("polars").DataFrame(columns)


LIBRARIES = {"pandas": _pandas, "polars": _polars, "table": Table}


@pytest.fixture(params=LIBRARIES)
def frame(request):
    """Return a function that makes a frame from columns by name."""
    return LIBRARIES[request.param]


def columns(*names: str) -> dict[str, Any]:
    """Return columns with these names: those of X, and others."""
    known = dict(zip(NAMES, X.T, strict=True))
    return {name: known.get(name, X[:, 0] + 1) for name in names}


def fitted(frame: Any) -> MLP:
    """Return a model that was trained on a frame."""
    model = MLP((3, 5, 1), random_state=0)
    model.fit(frame(columns(*NAMES)), Y)
    return model


# All functions that take inputs.
CALLS = {
    "predict": lambda m, x: m.predict(x),
    "predict with threads": lambda m, x: m.predict(x, n_threads=1),
    "call": lambda m, x: m(x),
    "hidden_activations": lambda m, x: m.hidden_activations(x),
    "loss": lambda m, x: m.loss(x, Y),
    "gradient": lambda m, x: m.gradient(x, Y),
    "input_gradient": lambda m, x: m.input_gradient(x, Y),
    "fit": lambda m, x: m.fit(x, Y),
    "run": lambda m, x: Trainer(m).run(x, Y),
    "step": lambda m, x: Trainer(m).step(x, Y),
    "validation": lambda m, x: m.fit(X, Y, validation_data=(x, Y)),
}
WRONG = {
    "order": (("weight", "height", "age"), "another order, with 'weight' instead of 'age' as column 0"),
    "last two": (("age", "weight", "height"), "another order, with 'weight' instead of 'height' as column 1"),
    "renamed": (("age", "size", "weight"), "unexpected 'size' and no 'height'"),
    "fewer": (("age", "height"), "no 'weight'"),
    "more": ((*NAMES, "name"), "unexpected 'name'"),
    "case": (("Age", "height", "weight"), "unexpected 'Age' and no 'age'"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", WRONG)
def test_other_columns_are_refused(frame, call, wrong):
    model = fitted(frame)
    before, random = model.to_vector(), repr(model._rng.bit_generator.state)
    names, message = WRONG[wrong]
    with pytest.raises(
        ValueError, match=f"^(validation_data )?X: expected the columns .*, 'age', .* in this order, got {message}; "
    ):
        CALLS[call](model, frame(columns(*names)))
    np.testing.assert_array_equal(model.to_vector(), before)
    assert repr(model._rng.bit_generator.state) == random


@pytest.mark.parametrize("call", CALLS)
def test_the_same_columns_and_plain_arrays_are_accepted(frame, call):
    given = frame(columns(*NAMES))
    for value in (given, X, X.tolist(), np.asfortranarray(X)):
        CALLS[call](fitted(frame), value)
    assert fitted(frame).feature_names == NAMES


@pytest.mark.parametrize("call", ["fit", "run", "step"])
def test_training_records_the_names_of_columns(frame, call):
    model = MLP((3, 5, 1), random_state=0)
    CALLS[call](model, X)
    assert model.feature_names is None
    CALLS[call](model, frame(columns(*NAMES)))
    assert model.feature_names == NAMES
    CALLS[call](model, X)
    assert model.feature_names == NAMES


@pytest.mark.parametrize("call", [call for call in CALLS if call not in ("fit", "run", "step")])
def test_only_training_records_names(frame, call):
    model = MLP((3, 5, 1), random_state=0)
    CALLS[call](model, frame(columns(*NAMES)))
    assert model.feature_names is None


def test_a_refused_training_records_no_names(frame):
    model = MLP((3, 5, 1), random_state=0)
    given = frame(columns(*NAMES))
    calls = [
        lambda: model.fit(given, Y[:5]),
        lambda: model.fit(given, Y, callbacks=[None]),
        lambda: model.fit(given, Y, validation_data=(X[:, :2], Y)),
        lambda: model.fit(given, Y, validation_data=(frame(columns("a", "b", "c")), Y)),
        lambda: Trainer(model).step(given, Y[:5]),
        lambda: Trainer(model).step(given, Y * 1e38),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError, ArithmeticError)):
            call()
        assert model.feature_names is None


def test_validation_data_of_the_first_run_must_have_its_columns(frame):
    model = MLP((3, 5, 1), random_state=0)
    with pytest.raises(ValueError, match="^validation_data X: expected the columns .*another order"):
        model.fit(frame(columns(*NAMES)), Y, validation_data=(frame(columns(*NAMES[::-1])), Y))
    model.fit(frame(columns(*NAMES)), Y, validation_data=(frame(columns(*NAMES)), Y))
    model.fit(frame(columns(*NAMES)), Y, validation_data=(X, Y))


def test_files_and_copies_keep_the_names(frame, tmp_path):
    model = fitted(frame)
    trainer = Trainer(model)
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "trainer")
    kept = [
        MLP.load(tmp_path / "model"),
        MLP.load(tmp_path / "trainer"),
        Trainer.load(tmp_path / "trainer").model,
        pickle.loads(pickle.dumps(model)),
        pickle.loads(pickle.dumps(trainer)).model,
        copy.copy(model),
        copy.deepcopy(model),
    ]
    for other in kept:
        assert other.feature_names == NAMES
        with pytest.raises(ValueError, match="another order"):
            other.predict(frame(columns(*NAMES[::-1])))


def test_files_without_names_load(tmp_path, monkeypatch):
    model = MLP((3, 5, 1))
    config = model._config()
    del config["feature_names"]
    monkeypatch.setattr(MLP, "_config", lambda self: config)
    model.save(tmp_path / "old")
    assert "feature_names" not in config_of(tmp_path / "old")["model"]
    assert MLP.load(tmp_path / "old").feature_names is None


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", 3], "abc", 5, [None] * 3])
def test_damaged_names_in_a_file_are_refused(tmp_path, monkeypatch, names):
    model = MLP((3, 5, 1))
    config = model._config() | {"feature_names": names}
    monkeypatch.setattr(MLP, "_config", lambda self: config)
    model.save(tmp_path / "damaged")
    with pytest.raises(ValueError, match=r"damaged: damaged, or of another version \(feature_names: .*got"):
        MLP.load(tmp_path / "damaged")


def test_names_can_be_assigned(frame):
    model = fitted(frame)
    model.feature_names = None
    model.fit(frame(columns("a", "b", "c")), Y)
    assert model.feature_names == ("a", "b", "c")
    model.feature_names = list(NAMES)
    model.predict(frame(columns(*NAMES)))
    for wrong, error in ((["a"], ValueError), ("abc", TypeError), ([1, 2, 3], TypeError), (3, TypeError)):
        with pytest.raises(error, match="^feature_names: expected 3 names of columns, or None, got "):
            model.feature_names = wrong
    assert model.feature_names == NAMES


def test_names_that_are_not_text_are_ignored_unless_mixed_with_text():
    pandas = pytest.importorskip("pandas")
    model = MLP((3, 5, 1))
    model.fit(pandas.DataFrame(X), Y)
    assert model.feature_names is None
    model.fit(pandas.DataFrame(X, columns=[["a", "a", "b"], ["x", "y", "z"]]), Y)
    assert model.feature_names is None
    mixed = pandas.DataFrame(X, columns=["a", 1, 2.0])
    for call in CALLS.values():
        with pytest.raises(
            TypeError, match=r"^(validation_data )?X: expected column names that are all text, got types float, int, str"
        ):
            call(model, mixed)


def test_the_names_in_one_row_of_a_frame_are_compared():
    pandas = pytest.importorskip("pandas")
    model, given = fitted(pandas.DataFrame), pandas.DataFrame(columns(*NAMES))
    np.testing.assert_array_equal(model.predict(given.iloc[0]), model.predict(X[0]))
    np.testing.assert_array_equal(model.predict(pandas.Series(X[0])), model.predict(X[0]))  # this index has no names
    with pytest.raises(ValueError, match="^X: .*got another order, with 'weight' instead of 'age' as column 0"):
        model.predict(given.iloc[0][list(NAMES[::-1])])


def test_a_name_may_occur_twice():
    pandas = pytest.importorskip("pandas")
    model = MLP((3, 5, 1))
    model.fit(pandas.DataFrame(X, columns=["a", "b", "a"]), Y)
    model.predict(pandas.DataFrame(X, columns=["a", "b", "a"]))
    for names, message in (
        (["a", "a", "b"], "'a' instead of 'b' as column 1"),
        (["a", "b"], "none instead of 'a' as column 2"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(pandas.DataFrame(X[:, : len(names)], columns=names))


def test_messages_list_only_some_of_many_names():
    pandas = pytest.importorskip("pandas")
    names = [f"c{i}" for i in range(50)]
    model = MLP((50, 1))
    model.fit(pandas.DataFrame(np.zeros((3, 50)), columns=names), np.zeros(3))
    other = pandas.DataFrame(np.zeros((3, 50)), columns=[f"d{i}" for i in range(50)])
    with pytest.raises(ValueError, match="unexpected 'd0', 'd1', 'd2', 'd3', 'd4' and 45 more and no 'c0'") as error:
        model.predict(other)
    assert len(str(error.value)) < 400


def test_rows_of_targets_are_taken_by_position():
    """The index is ignored, as in scikit-learn."""
    pandas = pytest.importorskip("pandas")
    given, y = pandas.DataFrame(columns(*NAMES)), pandas.Series(Y[:, 0], index=range(12)[::-1])
    one, other = (MLP((3, 5, 1), random_state=0) for _ in range(2))
    one.fit(given, y)
    other.fit(X, Y)
    np.testing.assert_array_equal(one.to_vector(), other.to_vector())


def test_the_seed_class_checks_columns(frame):
    network = NeuralNetwork(3, 4, 1, 0.1)
    network.train(frame(columns(*NAMES)), Y, 1, 4, 0.1)
    network.forward(frame(columns(*NAMES)))
    with pytest.raises(ValueError, match="another order"):
        network.forward(frame(columns(*NAMES[::-1])))
