"""Arrays of every kind: fastnn converts them if their meaning is clear, else refuses them by name, and never crashes."""

from __future__ import annotations

import numpy as np
import pytest
from _entries import ENTRIES, GOOD, assert_refused, trainer_of
from _helpers import KINDS, LOSSES_AND_LINKS, data, model_of, run_script, state_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import MLP, SGD, Trainer, losses, reference

X, Y = GOOD


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_array_gives_the_same_results(entry, kind):
    rng = np.random.default_rng(0)
    for dtype, sizes in ((np.float32, (5, 8, 2)), (np.float64, (5, 20, 9))):
        X, y, w = (rng.integers(0, 6, shape).astype(float) for shape in ((21, 5), (21, sizes[-1]), 21))
        w[0] = 5
        X, y, w = KINDS[kind](X), KINDS[kind](y), KINDS[kind](w)
        plain = [np.asarray(a).astype(bool if "bool" in kind else float).astype(float) for a in (X, y, w)]
        one, other = trainer_of(sizes=sizes, dtype=dtype), trainer_of(sizes=sizes, dtype=dtype)
        np.testing.assert_array_equal(ENTRIES[entry](one, X, y, w), ENTRIES[entry](other, *plain))
        assert state_of(one) == state_of(other)


LABELS = {
    **{name: lambda a, name=name: a.astype(name) for name in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", ">u8")},
    "list": lambda a: a.tolist(),
    "backwards": lambda a: a[::-1].copy()[::-1],
    "spread": lambda a: np.repeat(a, 3)[::3],
    "column": lambda a: a[:, np.newaxis],
    "column of more": lambda a: np.stack([a, a + 9], axis=1)[:, :1],
    "unaligned": lambda a: KINDS["unaligned"](a),
    "read-only": lambda a: KINDS["read-only"](a),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", LABELS)
def test_any_kind_of_labels_gives_the_same_results(entry, kind):
    labels = np.random.default_rng(0).integers(0, 5, 10)
    one, other = (trainer_of("cross_entropy", (3, 8, 5)) for _ in range(2))
    np.testing.assert_array_equal(ENTRIES[entry](one, X, LABELS[kind](labels)), ENTRIES[entry](other, X, np.eye(5)[labels]))


@pytest.mark.parametrize("entry", ENTRIES)
def test_flat_targets_are_taken_for_one_output(entry):
    X, y = data(10, 3, 1)
    one, other = (trainer_of(sizes=(3, 8, 1)) for _ in range(2))
    np.testing.assert_array_equal(ENTRIES[entry](one, X, y[:, 0]), ENTRIES[entry](other, X, y))


# ---- Values that are not finite ----


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("layout", ["f4", "f8", ">f8", "column-major", "spread", "unaligned", "object", "list"])
def test_values_that_are_not_finite_are_named(entry, value, layout):
    if layout == "f4" and value == 1e39:
        pytest.skip("infinite there")
    trainer = trainer_of(dtype=np.float32)
    for argument, row, column in (("X", 7, 2), ("y", 0, 1), ("y", 9, 0)):
        arrays = {"X": X.copy(), "y": Y.copy()}
        arrays[argument][row, column] = value
        arrays = {name: KINDS[layout](array) for name, array in arrays.items()}
        place = f"row {row}, column {column}"
        message = rf"{argument}: expected numbers that are finite in float32.*got -?(nan|inf|1e\+39) at {place}"
        assert_refused(trainer, lambda a=arrays: ENTRIES[entry](trainer, **a), ValueError, message)


def test_of_many_rows_the_first_bad_one_is_named():
    model = MLP((3, 1), dtype=np.float64)
    for dtype in (np.float32, np.float64):
        large = np.zeros((600_000, 3), dtype)
        large[590_000:, 1] = np.nan
        with pytest.raises(ValueError, match="X: .*got nan at row 590000, column 1"):
            model.loss(large, np.zeros(600_000))


# ---- Arbitrary objects ----


NO_CRASH = """
import numpy as np
from fastnn import MLP, Trainer
model = MLP((3, 4, 2), random_state=0)
model.one = MLP((1, 1))
X, y = np.ones((5, 3)), np.ones((5, 2))
numbers = np.array(1.0), 1.0, None, np.float32(3), True, [], [[]], memoryview(b"abc")
shapes = (0, 0), (3, 0), (0, 3, 0), (1,) * 32, (2**40, 2)
for wrong in (*numbers, *(np.broadcast_to(1.0, shape) for shape in shapes)):
    for function in (model.predict, model, model.hidden_activations, model.input_gradient, model.one.predict):
        for arguments in ((wrong,), (wrong, y), (X, wrong)):
            try:
                function(*arguments)
            except (TypeError, ValueError, MemoryError):
                pass
labels = np.zeros(5, int)
classifier = MLP((3, 4, 2), output_activation="softmax", random_state=0)

class Spoil:  # what was checked before is changed afterwards
    def on_epoch_end(self, trainer, history):
        labels[:] = [10**9, -5, 2, -(2**62), 7]
        X[:] = np.nan

try:
    Trainer(classifier, "cross_entropy", batch_size=2).run(X, labels, 3, callbacks=[Spoil()])
except ArithmeticError:
    pass
print("alive")
"""


def test_arbitrary_objects_raise_errors_and_do_not_crash():
    assert run_script(NO_CRASH).stdout == "alive\n"


def arrays_like(draw, shape, low, high, damaged):
    """Draw small integers in some kind of array, or, if it is to be damaged, an array that does not fit."""
    plain = np.random.default_rng(draw(st.integers(0, 2**20))).integers(low, high + 1, shape).astype(float)
    if not damaged:
        return plain, KINDS[draw(st.sampled_from([kind for kind in KINDS if "bool" not in kind]))](plain)
    damage = draw(st.sampled_from(["NaN", "rows", "columns", "text", "complex", "dimension"]))
    if damage == "NaN":
        plain.flat[draw(st.integers(0, plain.size - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        return plain, plain
    if damage in ("text", "complex"):
        return plain, plain.astype(str if damage == "text" else complex)
    if damage == "dimension":
        return plain, plain[..., np.newaxis, np.newaxis]
    return plain, np.repeat(plain, 2, axis=0 if damage == "rows" else -1)


# Pairs of a loss and an output activation. The hinge losses take two values only, and the gradient of the cosine of single
# numbers is mere rounding.
ANY_TARGETS = [pair for pair in LOSSES_AND_LINKS if pair[0] not in ("cosine", "hinge", "squared_hinge")]


@st.composite
def cases(draw):
    loss, output = draw(st.sampled_from(ANY_TARGETS))
    sizes = tuple(draw(st.lists(st.integers(1, 20), min_size=2, max_size=4)))
    rows = draw(st.integers(1, 40))
    model = model_of(sizes, "tanh", output, dtype=draw(st.sampled_from([np.float32, np.float64])))
    damaged = draw(st.sampled_from([None, None, None, "X", "y", "sample_weight"]))
    X = arrays_like(draw, (rows, sizes[0]), 0, 5, damaged == "X")
    y = arrays_like(draw, (rows, sizes[-1]), 0, 1 if losses.LOSSES[loss].links else 5, damaged == "y")
    weighted = damaged == "sample_weight" or draw(st.booleans())
    weight = arrays_like(draw, (rows,), 1, 5, damaged == "sample_weight") if weighted else (None, None)
    return model, loss, damaged, X, y, weight


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(cases())
def test_random_arrays_give_the_results_of_plain_arrays_or_raise(case):
    model, loss, damaged, (X, given_X), (y, given_y), (weight, given_weight) = case
    before = model.to_vector()
    trainer = Trainer(model, loss, SGD(1e-3), batch_size=7, random_state=0)
    calls = [
        lambda: model.loss(given_X, given_y, loss, given_weight),
        lambda: model.gradient(given_X, given_y, loss, given_weight),
        lambda: model.input_gradient(given_X, given_y, loss, given_weight),
        lambda: trainer.run(given_X, given_y, 2, sample_weight=given_weight),
    ]
    if damaged:
        for call in calls:
            with pytest.raises((TypeError, ValueError), match="^(X|y|sample_weight): "):
                call()
        np.testing.assert_array_equal(model.to_vector(), before)
        assert trainer.updates == 0
        return
    double = model_of(model.layer_sizes, "tanh", model.activations[-1])
    double.set_vector(before)
    network = double.weights, double.biases, double.activations
    near = {"rtol": 1e-9, "atol": 1e-12} if model.dtype == np.float64 else {"rtol": 2e-3, "atol": 2e-3}
    np.testing.assert_allclose(model.predict(given_X), reference.forward(*network, X)[-1][1], **near)
    value, of_weights, _ = reference.loss_and_gradient(*network, X, y, loss, weight)
    assert calls[0]() == pytest.approx(value, rel=near["rtol"], abs=near["atol"])
    scale = max(1e-3, *(np.abs(g).max() for g in of_weights))  # rounding errors remain where gradients cancel
    for got, wanted in zip(calls[1]()[1][::2], of_weights, strict=True):
        np.testing.assert_allclose(got / scale, wanted / scale, **near)
    assert calls[2]().shape == X.shape
    options = {"optimizer": SGD(1e-3), "epochs": 2, "batch_size": 7, "rng": np.random.default_rng(0)}
    expected = reference.train(*network, X, y, loss=loss, sample_weight=weight, **options)
    np.testing.assert_allclose(calls[3]()["loss"], expected, **near)
