"""The best epoch of a run: of all epochs, by any column, the first or the last of ties."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data, model_of

from fastnn import Trainer
from fastnn.callbacks import EarlyStopping


def run_with_values(values, stopping):
    """Run epochs whose metric has these values, and return the vectors after each of them and the model at the end."""
    X, y = data(20, 3, 1)
    remaining, vectors = iter(values), []

    def measure(y_true, y_pred):
        return next(remaining)

    class Keep:
        def on_epoch_end(self, trainer, history):
            vectors.append(trainer.model.to_vector())

    model = model_of((3, 4, 1))
    Trainer(model).run(X, y, len(values), metrics=[measure], callbacks=[Keep(), stopping])
    return vectors, model.to_vector()


@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_without_patience_all_epochs_are_made(ties, mode, sign):
    values = [sign * value for value in (1, 3, 2, 3, float("nan"), 3, 1)]
    stopping = EarlyStopping("measure", patience=None, mode=mode, ties=ties)
    vectors, end = run_with_values(values, stopping)
    assert len(vectors) == 7
    assert (stopping.best, stopping.best_epoch) == (sign * 3, 2 if ties == "first" else 6)
    np.testing.assert_array_equal(end, vectors[stopping.best_epoch - 1])


def test_ties_do_not_prolong_a_run():
    for ties, best in (("first", 1), ("last", 4)):
        stopping = EarlyStopping("measure", patience=3, mode="max", ties=ties)
        vectors, end = run_with_values([1] * 9, stopping)
        assert (len(vectors), stopping.best_epoch) == (4, best)
        np.testing.assert_array_equal(end, vectors[best - 1])


def test_a_value_within_min_delta_is_no_tie():
    stopping = EarlyStopping("measure", patience=None, mode="max", min_delta=0.5, ties="last")
    vectors, _ = run_with_values([1.0, 1.2, 1.0, 0.9], stopping)
    assert (len(vectors), stopping.best, stopping.best_epoch) == (4, 1.0, 3)


def test_epochs_without_a_number_are_never_the_best():
    stopping = EarlyStopping("measure", patience=None, mode="max", ties="last")
    vectors, end = run_with_values([float("nan")] * 3, stopping)
    assert stopping.best_epoch == 0
    np.testing.assert_array_equal(end, vectors[-1])


def test_wrong_ties_are_refused():
    with pytest.raises(ValueError, match="ties: expected 'first' or 'last', got 'best'"):
        EarlyStopping(ties="best")
    with pytest.raises(ValueError, match="patience: expected"):
        EarlyStopping(patience=0)
    stopping = EarlyStopping(patience=None)
    assert (
        repr(stopping)
        == "EarlyStopping(monitor=None, patience=None, min_delta=0.0, restore_best=True, mode=None, ties='first')"
    )
