"""Checks of arguments at the limits: the last value that is accepted, and the first that is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from _helpers import data, model_of

from fastnn import MLP, SGD, Trainer, _custom, schedules
from fastnn._checks.scalars import integer, real
from fastnn._custom import CustomActivation, MissingFunction
from fastnn._storage.describe import described


class Named(CustomActivation):
    """An activation that has only a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def address(self, dtype: Any) -> int:
        raise NotImplementedError

    def value(self, z: Any) -> Any:
        raise NotImplementedError

    def slope(self, z: Any) -> Any:
        raise NotImplementedError


def test_limits_of_intervals_are_exact():
    assert integer("n", 3, low=3, high=3) == 3
    for wrong, message in ((4, "n: expected at most 3.*got 4"), (2, "n: expected an integer >= 3, got 2")):
        with pytest.raises(ValueError, match=message):
            integer("n", wrong, low=3, high=3)
    assert real("x", 1.0, low=1.0, high=1.0) == real("x", 1, low=1.0, high=1.0) == 1.0
    for open_end in ({"exclude_low": True}, {"exclude_high": True}):
        with pytest.raises(ValueError, match="x: expected a finite number.*got 1.0"):
            real("x", 1.0, low=1.0, high=1.0, **open_end)


def test_models_too_large_for_any_memory_raise():
    with pytest.raises(ValueError, match="layer_sizes: expected at most 8796093022208 weights, got .* with 17592186044416"):
        MLP((2**22, 2**22))


@pytest.mark.parametrize("n_threads", [1025, 2**31, 2**40])
def test_any_positive_number_of_threads_is_accepted(n_threads):
    model = model_of((3, 5, 2))
    X, y = data(9, 3, 2)
    np.testing.assert_array_equal(model.predict(X, n_threads=n_threads), model.predict(X))
    Trainer(model, n_threads=n_threads).step(X, y)


@pytest.mark.parametrize("dtype", [">f8", np.longdouble, ">f4", "f2", ">i8", ">u2"])
def test_numbers_keep_all_their_digits(dtype):
    model = model_of((3, 5, 2))
    X = (data(9, 3, 2)[0] * 100).astype(dtype)
    np.testing.assert_array_equal(model.predict(X), model.predict(X.astype(np.float64)))


@pytest.mark.parametrize("dtype", [">f4", ">f8", "f2", np.longdouble, int, None, "text", object])
def test_dtypes_that_no_model_can_have_raise(dtype):
    if dtype == np.longdouble == np.float64:
        pytest.skip("the same here")
    with pytest.raises((TypeError, ValueError), match="^dtype: expected float32 or float64, got "):
        MLP((3, 2), dtype=dtype)


def test_a_schedule_may_write_to_its_argument():
    def schedule(steps):
        rate = steps
        rate *= 0
        return np.where(np.arange(len(rate)) == 1, -1.0, rate)

    X, y = data(9, 3, 2)
    trainer = Trainer(model_of((3, 5, 2)), optimizer=SGD(schedule), batch_size=3)
    with pytest.raises(ValueError, match="^learning_rate: expected .* from the schedule, got -1.0 at step 1"):
        trainer.run(X, y)


def test_two_activations_with_one_name_raise():
    one, other = Named("wave"), Named("wave")
    _custom.check_names([one, one, "tanh"])
    _custom.check_names([one, Named("saw"), "wave"])
    with pytest.raises(ValueError, match="activation: expected a different name for each, got wave, wave"):
        _custom.check_names([one, "tanh", other])


def test_activations_given_to_load_take_precedence(monkeypatch):
    defined, given = Named("wave"), Named("wave")
    monkeypatch.setitem(_custom.ACTIVATIONS, "wave", defined)
    assert _custom.activations_named(["tanh", "wave"], ["tanh"], []) == ["tanh", defined]
    assert _custom.activations_named(["wave", "tanh"], ["tanh"], [given]) == [given, "tanh"]
    with pytest.raises(MissingFunction, match="custom_activations: expected one named 'saw', got 'wave'"):
        _custom.activations_named(["saw"], ["tanh"], [given])
    with pytest.raises(MissingFunction, match="custom_activations: expected one named 'saw', got none"):
        _custom.activations_named(["saw"], ["tanh"], [])


@pytest.mark.parametrize("wrong", ["", "wave", None, 3, {}, Named("wave")])
def test_activations_given_to_load_must_be_a_list(wrong):
    with pytest.raises(TypeError, match="^custom_activations: expected a list of activations made by fastnn.jit.*got .*"):
        MLP.load("never", custom_activations=wrong)


def test_a_custom_schedule_with_a_built_in_name_is_not_saved_as_built_in():
    cosine = type("Cosine", (schedules.Cosine,), {"__call__": lambda self, steps: np.zeros(np.shape(steps))})
    with pytest.raises(TypeError, match="^learning_rate: expected .*which files can hold, got Cosine"):
        described(cosine(0.1, 5))
