"""Mistakes that users of other libraries make first: the message tells the way out, or the input is understood."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from unittest.mock import patch

import numpy as np
import pytest
from _entries import ENTRIES, GOOD, assert_refused, trainer_of
from _helpers import state_of

import fastnn
from fastnn import MLP, SGD, Adam, Trainer, _custom, callbacks, losses
from fastnn.losses._registry import CUSTOM_LOSSES


@pytest.fixture(autouse=True)
def _no_custom_functions():
    """Hide the custom functions that other tests define."""
    with patch.dict(_custom.ACTIVATIONS, clear=True), patch.dict(CUSTOM_LOSSES, clear=True):
        yield


X, Y = GOOD
LABELS = (X[:, 0] > 0).astype(int)


# ---- Targets ----

# Per loss: wrong targets, and a part of the message.
TARGETS = [
    ("mse", LABELS, "got (10,)", "loss='cross_entropy'"),
    ("mse", LABELS[:, None], "got (10, 1)", "loss='cross_entropy'"),
    ("mse", LABELS.astype(bool), "got (10,)", "loss='cross_entropy'"),
    ("huber", LABELS.astype(float), "got (10,)", "loss='cross_entropy'"),
    ("binary_cross_entropy", LABELS, "got (10,)", "loss='cross_entropy'"),
    ("mse", X[:, 0], "got (10,)", "layer_sizes end in 2"),
    ("mse", Y.T, "got (2, 10)", "y.T has it"),
    ("mse", np.hstack([Y, Y]), "got (10, 4)", "layer_sizes ending in 4"),
    ("mse", np.eye(3)[LABELS], "got (10, 3)", "an output for each class and loss='cross_entropy'"),
    ("mse", LABELS.astype(str), "got dtype <U", "np.unique(y, return_inverse=True)[1]"),
    ("mse", LABELS.astype(str).astype(object), "got '", "fastnn.sklearn.MLPClassifier"),
    ("cross_entropy", LABELS.astype(str), "got dtype <U", "np.unique(y, return_inverse=True)[1]"),
    ("cross_entropy", LABELS.astype(float), "got dtype float64", "y.astype(int) makes them"),
    ("cross_entropy", X[:, 0], "got dtype float64", "loss='mse'"),
    ("cross_entropy", LABELS + 1, "got 2 at row", "np.unique(y, return_inverse=True)[1] numbers them so"),
    ("cross_entropy", np.arange(10), "got 2 at row 2", "the model has 2 outputs, one for each class"),
    ("binary_cross_entropy", 2 * Y.round().clip(0, 1) - 1, "got values from -1.0 to 1.0", "(y + 1) / 2"),
    ("binary_cross_entropy", Y.clip(0, 1).round() * 3, "got values from 0.0 to 3.0", "loss='cross_entropy'"),
    ("mse", None, "got None of type NoneType", ""),
]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(("loss", "y", "message", "way"), TARGETS, ids=[f"{t[0]} {t[2]} {t[3][:12]}" for t in TARGETS])
def test_wrong_targets_raise_with_a_way_out(entry, loss, y, message, way):
    trainer = trainer_of(loss)
    message = f"y: expected .*, {re.escape(message)}.*{re.escape(way)}"
    assert_refused(trainer, lambda: ENTRIES[entry](trainer, X, y), (TypeError, ValueError), message)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("labels", [LABELS.astype(bool), LABELS.astype(bool)[:, None], LABELS.astype(bool).tolist()])
def test_bool_labels_are_accepted(entry, labels):
    one, other = (trainer_of("cross_entropy") for _ in range(2))
    np.testing.assert_array_equal(ENTRIES[entry](one, X, labels), ENTRIES[entry](other, X, LABELS))
    assert state_of(one) == state_of(other)


@pytest.mark.parametrize("y", [LABELS, LABELS.astype(bool), np.arange(10)])
def test_labels_for_one_output_raise_with_a_way_out(y):
    trainer = trainer_of("cross_entropy", (3, 8, 1))
    for entry in ("loss", "step", "run"):
        message = "y: expected .*'binary_cross_entropy' with output_activation='sigmoid'.*got labels for one output"
        assert_refused(trainer, lambda e=entry: ENTRIES[e](trainer, X, y), ValueError, message)


def test_one_hot_rows_for_one_output_raise_with_a_way_out():
    for rows in (np.eye(2)[LABELS], np.eye(2, dtype=int)[LABELS]):
        with pytest.raises(
            ValueError, match=r"y: expected shape \(10, 1\) or \(10,\) .*, got \(10, 2\); one-hot rows.*cross_ent"
        ):
            MLP((3, 1), output_activation="sigmoid").fit(X, rows, loss="binary_cross_entropy")


PAIRS = [("sigmoid", "cross_entropy", "binary_cross_entropy"), ("softmax", "binary_cross_entropy", "cross_entropy")]
PAIRS += [("exp", "cross_entropy", "poisson"), ("tanh", "cross_entropy", "mse")]


@pytest.mark.parametrize(("output", "loss", "right"), PAIRS)
def test_messages_name_the_loss_that_suits_the_output(output, loss, right):
    with pytest.raises(
        ValueError, match=f"^loss: expected .*got '{loss}' for .*'{output}'; '{output}' goes with loss '{right}'"
    ):
        MLP((3, 2), output_activation=output).fit(X, LABELS, loss=loss)


# ---- Inputs ----


class Batches:
    """An iterable of batches, like a data loader."""

    def __iter__(self):
        yield X, Y

    def __len__(self):
        return 1


INPUTS = {
    "a row": (X[0], "expected shape (n, 3), one row per sample, got (3,); X[None] makes one row of it"),
    "columns": (X.T, "expected shape (n, 3), one row per sample, got (3, 10); X.T has it"),
    "images": (
        X[:, :, None],
        "expected shape (n, 3), one row per sample, got (10, 3, 1); X.reshape(len(X), -1) has it",
    ),
    "a generator": ((row for row in X), "got <generator"),
    "zip": (zip(X, Y, strict=True), "got <zip"),
    "a map": (map(float, X[0]), "got <map"),
    "an iterator": (iter([1.0]), "got <list_iterator"),
    "a loader": (Batches(), "got <"),
    "a set": ({1.0, 2.0}, "got {1.0, 2.0} of type set"),
    "a dict": ({"a": X}, "got {'a': array"),
    "None": (None, "expected an array of numbers, got None of type NoneType"),
    "a data set": ((X, Y), "got a tuple of unequal shapes"),
    "text": (np.full((10, 3), "a"), "expected real numbers, got dtype <U1; text must be encoded"),
}
WAYS = {
    **dict.fromkeys(("a generator", "zip", "a map", "an iterator", "a set"), "np.array(list(…))"),
    "a loader": "np.concatenate(list(…)) of batches",
    "a dict": "np.column_stack(list(….values()))",
    "a data set": "give X and y as two arguments",
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_wrong_inputs_raise_with_a_way_out(entry, kind):
    trainer, (value, message) = trainer_of(), INPUTS[kind]
    pattern = f"X: .*{re.escape(message)}.*{re.escape(WAYS.get(kind, ''))}"
    assert_refused(trainer, lambda: ENTRIES[entry](trainer, value, Y), (TypeError, ValueError), pattern)


def test_flat_inputs_of_one_feature_raise_with_a_way_out():
    with pytest.raises(
        ValueError, match=r"^X: expected (shape )?\(n, 1\), .*got \(10,\); X\[:, None\] makes a column of it"
    ):
        MLP((1, 2)).fit(X[:, 0], Y)


def test_one_row_of_targets_raises_with_a_way_out():
    with pytest.raises(ValueError, match=r"^y: expected (shape )?\(1, 2\) .*got \(2,\); y\[None\] makes one row of it"):
        MLP((3, 2)).input_gradient(X[:1], Y[0])


def test_messages_stay_short():
    for value in ({"a": np.zeros(5000)}, [Batches()] * 5000, {"b" * 5000: 1}):
        with pytest.raises(TypeError, match="^X: .*got ") as error:
            MLP((3, 2)).fit(value, Y)
        assert len(str(error.value)) < 400
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="^learning_rate: .*got .*that can't be shown, of type int"):
        Adam(10**5000)


# ---- Frames ----

COLUMNS = {
    "text": ["x", "y", "z"],
    "dates": np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "M8[ns]"),
    "durations": np.array([1, 2, 3], "m8[ns]"),
    "missing": [1.5, "nothing", 2.5],
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_that_are_not_numbers_are_named(kind, library):
    if (kind, library) == ("missing", "polars"):
        pytest.skip("polars refuses it itself")
    library = pytest.importorskip(library)
    given = library.DataFrame({"a": [1.0, 2.0, 3.0], "the one": COLUMNS[kind], "c": [1, 2, 3]})
    for call in (lambda: MLP((3, 1)).predict(given), lambda: MLP((3, 1)).fit(given, np.zeros(3))):
        with pytest.raises(TypeError, match="^X: column 'the one': .*got "):
            call()


def test_pandas_columns_are_accepted_if_they_hold_real_numbers():
    pandas = pytest.importorskip("pandas")
    for column in (pandas.Categorical(["x", "y", "x"]), pandas.array([1, None, 3], dtype="Int64")):
        with pytest.raises(TypeError, match="^X: column 'the one': .*got "):
            MLP((2, 1)).predict(pandas.DataFrame({"a": [1.0, 2.0, 3.0], "the one": column}))
    with pytest.raises(TypeError, match="^X: .*got dtype complex128"):
        MLP((2, 1)).predict(pandas.DataFrame({"a": [1.0, 2.0], "b": [1j, 2]}))
    good = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": pandas.array([1, 2, 3], dtype="Int64"), "c": [True, False, True]})
    assert MLP((3, 1)).predict(good).shape == (3, 1)
    with pytest.raises(TypeError, match=r"^y: expected a real number, got 'x' of type str; np.unique\(y"):
        MLP((3, 1)).fit(good, pandas.Series(["x", "y", "x"]))
    twice = pandas.DataFrame([["x", 1.0]], columns=["a", "a"])
    with pytest.raises(TypeError, match="^X: column 'a': .*got 'x' of type str"):
        MLP((2, 1)).predict(twice)


# ---- Names ----

LOSS_NAMES = {
    "mse": ["MSE", "mean_squared_error", "squared_error", "MSELoss", "mse_loss", "l2"],
    "mae": ["l1", "L1Loss", "mean_absolute_error", "absolute_error"],
    "huber": ["Huber", "smooth_l1", "SmoothL1Loss", "huber_loss"],
    "quantile": ["pinball", "pinball_loss"],
    "poisson": ["PoissonNLLLoss", "poisson_nll"],
    "binary_cross_entropy": ["bce", "BCELoss", "BCEWithLogitsLoss", "binary_crossentropy", "binary-cross-entropy"],
    "cross_entropy": ["categorical_crossentropy", "sparse_categorical_crossentropy", "nll", "log_loss", "CrossEntropyLoss"],
}
OTHER_NAMES = {
    "optimizer": {"adam": ["Adam", "ADAM"], "adamw": ["AdamW"], "rmsprop": ["RMSprop", "rms_prop"], "sgd": ["SGD", "gd"]},
    "activation": {
        "relu": ["ReLU", "rectifier"],
        "silu": ["swish", "SiLU"],
        "sigmoid": ["logistic", "expit"],
        "identity": ["linear", "none"],
        "leaky_relu": ["LeakyReLU", "lrelu"],
    },
    "output_activation": {"softmax": ["Softmax"], "exp": ["exponential"], "identity": ["linear"], "sigmoid": ["logistic"]},
    "init": {
        "glorot_uniform": ["xavier", "xavier_uniform", "GlorotUniform"],
        "he_normal": ["kaiming_normal", "he"],
        "he_uniform": ["kaiming", "kaiming_uniform", "HeUniform"],
        "zeros": ["zero"],
    },
}
NAMES = {"loss": LOSS_NAMES} | OTHER_NAMES
SPELLED = [(a, other, ours) for a, names in NAMES.items() for ours, others in names.items() for other in others]


def make(**options: object) -> object:
    """Make an object that has such an option."""
    model = {name: options.pop(name) for name in ("activation", "output_activation", "init") if name in options}
    return Trainer(MLP((3, 4, 2), **model), **options)


@pytest.mark.parametrize(("argument", "other", "ours"), SPELLED, ids=[f"{a} {o}" for a, o, _ in SPELLED])
def test_names_of_other_libraries_are_translated(argument, other, ours):
    with pytest.raises(ValueError, match=f"^{argument}: expected one of .*got '{other}'; fastnn calls it '{ours}'$"):
        make(**{argument: other})
    make(**{argument: ours})


MISSPELT = [
    ("loss", "msw", "mse"),
    ("optimizer", "adma", "adam"),
    ("activation", "rleu", "relu"),
    ("init", "he_norma", "he_normal"),
]


@pytest.mark.parametrize(("argument", "wrong", "right"), MISSPELT)
def test_misspelt_names_raise_with_the_closest_name(argument, wrong, right):
    with pytest.raises(ValueError, match=f"^{argument}: expected one of .*got '{wrong}'; did you mean '{right}'\\?$"):
        make(**{argument: wrong})
    with pytest.raises(ValueError, match=f"^{argument}: expected one of [^;]*, got 'zzzzz'$"):
        make(**{argument: "zzzzz"})


def test_activations_for_output_layers_only_are_refused_in_hidden_layers():
    with pytest.raises(ValueError, match="^activation: expected .*, got 'softmax'; softmax is for the output layer alone$"):
        MLP((3, 4, 2), "softmax")


# ---- Objects of other classes ----


class Own(losses.Loss):
    """A loss that is marked as one and has no mathematics."""


class Squared(losses.MSE):
    """A loss whose methods would never be called."""

    def value(self, y, p):
        return (y - p) ** 4


class MSELoss:
    """A loss of another library."""

    def __call__(self, y, p):
        return 0.0


class Slower(SGD):
    """An optimizer whose methods would never be called."""

    def update(self, p, g):
        return p


@pytest.mark.parametrize("loss", [Own(), Own, Squared(), Squared, lambda y, p: (y - p) ** 2, np.square, MSELoss(), len])
def test_losses_of_other_classes_are_refused(loss):
    for call in (
        lambda: MLP((3, 2)).fit(X, Y, loss=loss),
        lambda: MLP((3, 2)).loss(X, Y, loss),
        lambda: Trainer(MLP((3, 2)), loss),
    ):
        with pytest.raises(TypeError, match="^loss: .*got .*; fastnn.jit.loss makes one of a function and its gradient$"):
            call()


@pytest.mark.parametrize("optimizer", [Slower(), Slower, MSELoss(), 0.1, lambda p, g: None, len])
def test_optimizers_of_other_classes_are_refused(optimizer):
    with pytest.raises(TypeError, match="^optimizer: expected .*got "):
        MLP((3, 2)).fit(X, Y, optimizer=optimizer)


def test_objects_of_other_libraries_are_recognized():
    with pytest.raises(TypeError, match="fastnn calls it 'mse'; fastnn.jit.loss"):
        Trainer(MLP((3, 2)), MSELoss())
    with pytest.raises(TypeError, match="fastnn calls it 'mse'; fastnn.jit.loss"):
        Trainer(MLP((3, 2)), MSELoss)
    other = type("RMSprop", (), {})
    for given in (other, other()):
        with pytest.raises(TypeError, match="fastnn calls it 'rmsprop'"):
            Trainer(MLP((3, 2)), optimizer=given)


@pytest.mark.parametrize("activation", [np.tanh, len, None, 3, MSELoss(), np.zeros(3)])
def test_objects_that_are_not_activations_are_refused(activation):
    for call in (
        lambda: MLP((3, 4, 2), activation),
        lambda: MLP((3, 4, 2), "relu", activation),
        lambda: MLP((3, 4, 2), [activation]),
    ):
        with pytest.raises(
            TypeError,
            match="^(output_)?activation: expected .*, or an activation that fastnn.jit.activation makes of a function",
        ):
            call()
    with pytest.raises(TypeError, match="fastnn calls it 'tanh'"):
        MLP((3, 4, 2), np.tanh)


# ---- Other arguments ----

OTHERS = [
    ({"validation_data": 0.1}, "validation_data: expected .*, got float; fit\\(\\) sets no rows apart itself"),
    *[
        ({"batch_size": value}, "batch_size: .*got .*; len\\(X\\) makes one batch of all rows")
        for value in (None, 0, -1, "full", "auto")
    ],
    ({"epochs": 1.5}, "epochs: .*got 1.5 of type float"),
    ({"epochs": "10"}, "epochs: .*got '10' of type str"),
    ({"callbacks": callbacks.TimeLimit(1)}, r"callbacks: expected a list of callbacks, such as \[.*got TimeLimit\(1.0\)"),
    *[
        ({"progress": value}, "progress: expected True, False or a .*ProgressBar.*got .*")
        for value in ("yes", 1, 0, callbacks.ProgressBar, "")
    ],
    ({"random_state": "a"}, "random_state: expected a seed or a Generator.*got 'a'"),
    ({"n_threads": -1}, "n_threads: expected an integer >= 1.*got -1; None leaves the number to fastnn"),
]


@pytest.mark.parametrize(("options", "message"), OTHERS, ids=[str(options)[:40] for options, _ in OTHERS])
def test_other_wrong_arguments_raise_with_a_way_out(options, message):
    model = MLP((3, 4, 2), random_state=0)
    before = model.to_vector()
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        model.fit(X, Y, **options)
    np.testing.assert_array_equal(model.to_vector(), before)


@pytest.mark.parametrize("progress", [None, False, np.False_])
def test_progress_is_off_for_none_and_false(progress, capsys):
    MLP((3, 4, 2)).fit(X, Y, progress=progress)
    assert capsys.readouterr().err == ""


def test_progress_may_be_a_numpy_bool(capsys):
    MLP((3, 4, 2)).fit(X, Y, progress=np.True_)
    assert "epoch 1/1" in capsys.readouterr().err


# ---- Names that a module lists ----

PUBLIC = [m.name for m in pkgutil.walk_packages(fastnn.__path__, "fastnn.") if "._" not in m.name]


def test_public_modules_are_found():
    assert {"fastnn.losses", "fastnn.schedules", "fastnn.optimizers", "fastnn.callbacks", "fastnn.ops"} <= set(PUBLIC)


@pytest.mark.parametrize("name", ["fastnn", *PUBLIC])
def test_modules_list_only_public_names(name):
    needs = {"fastnn.dask": "dask", "fastnn.sklearn": "sklearn", "fastnn.jit": "numba"}
    if name in needs:
        pytest.importorskip(needs[name])
    module = importlib.import_module(name)
    expected = set(module.__all__) | ({"dask", "jit", "sklearn"} if name == "fastnn" else set())
    assert set(dir(module)) == expected
    lacking = {part for part, library in needs.items() if importlib.util.find_spec(library) is None}
    assert all(hasattr(module, listed) for listed in dir(module) if f"{name}.{listed}" not in lacking)
    assert not [listed for listed in dir(module) if listed.startswith("_") and listed != "__version__"]
    dir(module).append("not kept")
    assert set(dir(module)) == expected
