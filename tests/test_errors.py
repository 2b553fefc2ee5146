"""Any array that could be meant is understood, any other is refused with its name, and a refusal changes nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest
from _helpers import KINDS, LOSSES_AND_LINKS, data, links_of, model_of, run_script, state_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import MLP, SGD, Adam, NeuralNetwork, Trainer, _core, losses, reference
from fastnn.callbacks import EarlyStopping, TimeLimit

# Everything that takes X, y and sample weights.
ENTRIES = {
    "loss": lambda t, X, y, w=None: t.model.loss(X, y, t.loss, w),
    "gradient": lambda t, X, y, w=None: t.model.gradient(X, y, t.loss, w)[1][0],
    "input_gradient": lambda t, X, y, w=None: t.model.input_gradient(X, y, t.loss, w),
    "step": lambda t, X, y, w=None: t.step(X, y, w),
    "run": lambda t, X, y, w=None: t.run(X, y, 2, sample_weight=w)["loss"],
    "fit": lambda t, X, y, w=None: t.model.fit(X, y, loss=t.loss, epochs=2, sample_weight=w, random_state=0)["loss"],
    "validation": lambda t, X, y, w=None: t.run(*GOOD, validation_data=(X, y) if w is None else (X, y, w))["val_loss"],
}
SIZES = (3, 8, 2)
GOOD = data(10, 3, 2)


def trainer_of(loss="mse", sizes=SIZES, dtype=np.float64, dropout=0.1):
    model = model_of(sizes, "tanh", links_of(loss)[0], dtype=dtype, dropout=dropout)
    trainer = Trainer(model, loss, Adam(), batch_size=4, random_state=1)
    trainer.step(*data(10, sizes[0], sizes[-1], loss))  # so that there are moments
    return trainer


def assert_refused(trainer, call, error, message):
    """Expect an error with that beginning, and that everything is as before."""
    before, model_rng = state_of(trainer), trainer.model._rng.bit_generator.state
    with pytest.raises(error, match=f"^(validation_data )?{message}"):
        call()
    assert state_of(trainer) == before
    assert trainer.model._rng.bit_generator.state == model_rng


# ---- Right in any form ----


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_array(entry, kind):
    rng = np.random.default_rng(0)
    for dtype, sizes in ((np.float32, (5, 8, 2)), (np.float64, (5, 20, 9))):
        X, y, w = (rng.integers(0, 6, shape).astype(float) for shape in ((21, 5), (21, sizes[-1]), 21))
        w[0] = 5
        X, y, w = KINDS[kind](X), KINDS[kind](y), KINDS[kind](w)
        plain = [np.asarray(a).astype(bool if "bool" in kind else float).astype(float) for a in (X, y, w)]
        one, other = trainer_of(sizes=sizes, dtype=dtype), trainer_of(sizes=sizes, dtype=dtype)
        if entry == "validation":
            one, other = trainer_of(dtype=dtype), trainer_of(dtype=dtype)
            X, y, w = X[:, :3] if hasattr(X, "shape") else X, y, w
            if np.shape(X) != (21, 3) or sizes[-1] != 2:
                continue
            plain[0] = plain[0][:, :3]
        np.testing.assert_array_equal(ENTRIES[entry](one, X, y, w), ENTRIES[entry](other, *plain))
        assert state_of(one) == state_of(other)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", [k for k in KINDS if not re.search(r"f[248]|g|float|bool", k.replace("big", ""))])
@pytest.mark.parametrize("column", [False, True])
def test_any_kind_of_labels(entry, kind, column):
    labels = np.random.default_rng(0).integers(0, 2, 10)
    given = KINDS[kind](labels.astype(float) if kind in ("i1", "u1") else labels)
    if not np.asarray(given).dtype.kind in "iu":
        pytest.skip("no integers")
    if column and hasattr(given, "shape"):
        given = given[:, np.newaxis]
    one, other = trainer_of("cross_entropy"), trainer_of("cross_entropy")
    np.testing.assert_array_equal(ENTRIES[entry](one, GOOD[0], given), ENTRIES[entry](other, GOOD[0], np.eye(2)[labels]))
