"""Optimizer objects: defaults, checks, names."""

from __future__ import annotations

import dataclasses
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from fastnn import optimizers
from fastnn.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Lion, Muon, NAdam, Optimizer, RMSProp, resolve
from fastnn.schedules import InverseTime

DEFAULTS = {
    SGD: {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    AdaGrad: {"learning_rate": 0.01, "epsilon": 1e-10},
    RMSProp: {"learning_rate": 0.01, "decay": 0.99, "epsilon": 1e-8},
    Adam: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    AdamW: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01},
    NAdam: {"learning_rate": 0.002, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "momentum_decay": 0.004},
    Lion: {"learning_rate": 0.0001, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.0},
    Muon: {"learning_rate": 0.001, "momentum": 0.95, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01},
}
# The intervals of arguments: 0 <= x < 1; x > 0; x >= 0.
BELOW_ONE = [
    (SGD, "momentum"),
    (Muon, "momentum"),
    (RMSProp, "decay"),
    *((o, b) for o in (Adam, AdamW, Lion, Muon) for b in ("beta_1", "beta_2")),
]
POSITIVE = [(optimizer, "epsilon") for optimizer in (AdaGrad, RMSProp, Adam, AdamW, Muon)]
NOT_NEGATIVE = [
    *((optimizer, "learning_rate") for optimizer in DEFAULTS),
    (AdamW, "weight_decay"),
    (NAdam, "momentum_decay"),
    (Lion, "weight_decay"),
    (Muon, "weight_decay"),
]


def test_names_are_those_of_the_registry():
    assert dict(OPTIMIZERS) == {
        "sgd": SGD,
        "adagrad": AdaGrad,
        "rmsprop": RMSProp,
        "adam": Adam,
        "adamw": AdamW,
        "nadam": NAdam,
        "lion": Lion,
        "muon": Muon,
    }
    assert all(name == optimizer.name for name, optimizer in OPTIMIZERS.items())
    assert set(DEFAULTS) == set(OPTIMIZERS.values())
    for name in optimizers.__all__:
        assert hasattr(optimizers, name)


@pytest.mark.parametrize("optimizer", DEFAULTS)
def test_defaults_are_those_documented(optimizer):
    assert dataclasses.asdict(optimizer()) == DEFAULTS[optimizer]
    assert isinstance(optimizer(), Optimizer)


@pytest.mark.parametrize("optimizer", DEFAULTS)
def test_optimizers_compare_and_hash_by_value(optimizer):
    one = optimizer(0.125)
    assert one == optimizer(learning_rate=0.125) != optimizer(0.25)
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(optimizer(0.125))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.learning_rate = 1.0


@pytest.mark.parametrize("optimizer", DEFAULTS)
@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
def test_any_real_number_becomes_a_float(optimizer, number):
    assert type(optimizer(number).learning_rate) is float
    assert optimizer(number).learning_rate == 0.5
    assert type(optimizer(1).learning_rate) is float


@pytest.mark.parametrize("optimizer", DEFAULTS)
def test_a_schedule_is_kept_unchanged(optimizer):
    for schedule in (InverseTime(0.1, 0.01), lambda steps: steps):
        assert optimizer(schedule).learning_rate is schedule


@pytest.mark.parametrize("wrong", [-1e-9, math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize(("optimizer", "field"), BELOW_ONE + POSITIVE + NOT_NEGATIVE)
def test_wrong_values_raise(optimizer, field, wrong):
    with pytest.raises(ValueError, match=rf"^{field}: expected a finite number >=? 0.*got {str(wrong)[:100]}.*"):
        optimizer(**{field: wrong})


@pytest.mark.parametrize("wrong", ["0.5", None, True, 0.5j, [0.5], np.array([0.5])])
@pytest.mark.parametrize(("optimizer", "field"), BELOW_ONE + POSITIVE + NOT_NEGATIVE)
def test_wrong_types_raise(optimizer, field, wrong):
    with pytest.raises(TypeError, match=rf"^{field}: expected a finite number.*got .* of type {type(wrong).__name__}"):
        optimizer(**{field: wrong})


@pytest.mark.parametrize(("optimizer", "field"), BELOW_ONE)
def test_decay_rates_must_be_below_one(optimizer, field):
    assert getattr(optimizer(**{field: 0}), field) == 0.0
    with pytest.raises(ValueError, match=f"{field}: expected a finite number >= 0 and < 1.*got 1.0"):
        optimizer(**{field: 1.0})


@pytest.mark.parametrize(("optimizer", "field"), POSITIVE)
def test_some_arguments_must_be_positive(optimizer, field):
    with pytest.raises(ValueError, match=f"{field}: expected a finite number > 0.*got 0.0"):
        optimizer(**{field: 0.0})


@pytest.mark.parametrize(("optimizer", "field"), NOT_NEGATIVE)
def test_zero_is_allowed_elsewhere(optimizer, field):
    assert getattr(optimizer(**{field: 0}), field) == 0.0


def test_learning_rates_of_other_types_raise():
    with pytest.raises(TypeError, match=r"learning_rate: expected .* or a schedule .*, got 'fast' of type str"):
        SGD("fast")
    with pytest.raises(TypeError, match=r"learning_rate: expected an object, InverseTime\(...\), got the class InverseTime"):
        SGD(InverseTime)


def test_nesterov_needs_momentum():
    assert SGD(0.1, 0.9, np.True_).nesterov is True
    with pytest.raises(ValueError, match=r"nesterov: expected momentum > 0.*got True with momentum 0\.0"):
        SGD(nesterov=True)
    with pytest.raises(TypeError, match="nesterov: expected True or False, got 1"):
        SGD(momentum=0.9, nesterov=1)


def test_the_base_class_is_not_an_optimizer():
    with pytest.raises(TypeError, match="Optimizer is a base class, expected one of .*fastnn.optimizers.OPTIMIZERS$"):
        Optimizer(0.1)


def test_names_and_objects_resolve_to_optimizers():
    one = Adam(0.5)
    assert resolve(one) is one
    for name, optimizer in OPTIMIZERS.items():
        assert resolve(name) == optimizer()
    with pytest.raises(ValueError, match="optimizer: expected one of 'sgd', 'adagrad', 'rmsprop', 'adam'.*got 'sdg'"):
        resolve("sdg")
    with pytest.raises(TypeError, match=r"optimizer: expected an object, Adam\(...\), got the class Adam"):
        resolve(Adam)
    with pytest.raises(TypeError, match=r"optimizer: expected an object of Optimizer.*got 0\.1 of type float"):
        resolve(0.1)
