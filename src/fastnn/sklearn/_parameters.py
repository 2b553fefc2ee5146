"""What the parameters of an estimator may be, and what is said where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn import get_config

from fastnn import _custom
from fastnn._arguments import OUTPUT_ONLY
from fastnn._backend import core as _core
from fastnn._custom import CustomActivation
from fastnn.losses import CustomLoss, Loss
from fastnn.optimizers import OPTIMIZERS, Optimizer

# scikit-learn's names where they are not fastnn's.
ACTIVATIONS: Mapping[str, str] = {"logistic": "sigmoid"} | {
    name: name for name in _core.ACTIVATIONS if name not in OUTPUT_ONLY
}
LOSSES: Mapping[str, str] = {"squared_error": "mse", "absolute_error": "mae"} | {
    name: name for name in ("poisson", "huber", "quantile")
}
SOLVERS = ("lbfgs", "sgd", "adam", *(name for name in OPTIMIZERS if name not in ("sgd", "adam")))


class InvalidParameterError(ValueError, TypeError):
    """A parameter of an estimator has a wrong type or value."""


@dataclass(frozen=True)
class Rule:
    """What a parameter may be: in words, and as a test."""

    expected: str
    holds: Callable[[Any], bool]


def check(estimator: Any, rules: Mapping[str, Rule]) -> None:
    """Raise InvalidParameterError for the first parameter that breaks its rule, unless scikit-learn is told not to look."""
    if get_config()["skip_parameter_validation"]:
        return
    for name, rule in rules.items():
        value = getattr(estimator, name)
        if not rule.holds(value):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {rule.expected}. Got {value!r} instead."
            )


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and value == value


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _names(names: Any) -> str:
    return "one of " + ", ".join(repr(name) for name in names)


def _between(low: float, high: float = np.inf, *, with_low: bool = True, with_high: bool = False) -> Rule:
    def holds(value: Any) -> bool:
        return _is_real(value) and low <= value <= high and (with_low or value != low) and (with_high or value != high)

    return Rule(f"a float in {'[' if with_low else '('}{low:g}, {high:g}{']' if with_high else ')'}", holds)


def _or_none(rule: Rule) -> Rule:
    return Rule(f"{rule.expected}, or None", lambda value: value is None or rule.holds(value))


def _each_or_one(rule: Rule, value: Any) -> bool:
    several = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return all(rule.holds(one) for one in value) if several else rule.holds(value)


_FLAG = Rule("True or False", _is_flag)
_COUNT = Rule("an int in [1, inf)", lambda value: _is_integer(value) and value >= 1)
_ACTIVATION = Rule(
    f"{_names(ACTIVATIONS)}, an activation of fastnn.jit or its name, or a list with one for each hidden layer",
    lambda value: (
        value in ACTIVATIONS or value in _custom.ACTIVATIONS
        if isinstance(value, str)
        else isinstance(value, CustomActivation)
    ),
)
_DROPOUT = _between(0, 1)

RULES: Mapping[str, Rule] = {
    "hidden_layer_sizes": Rule(
        "an int or an array-like of ints", lambda value: _is_integer(value) or hasattr(value, "__len__")
    ),
    "activation": Rule(_ACTIVATION.expected, lambda value: _each_or_one(_ACTIVATION, value)),
    "solver": Rule(
        f"{_names(SOLVERS)}, or an optimizer of fastnn.optimizers",
        lambda value: value in SOLVERS if isinstance(value, str) else isinstance(value, Optimizer),
    ),
    "alpha": _between(0),
    "batch_size": Rule("'auto' or an int in [1, inf)", lambda value: value == "auto" or _COUNT.holds(value)),
    "learning_rate": Rule(
        "one of 'constant', 'invscaling', 'adaptive', or a schedule of fastnn.schedules",
        lambda value: callable(value) or (isinstance(value, str) and value in ("constant", "invscaling", "adaptive")),
    ),
    "learning_rate_init": _between(0, with_low=False),
    "power_t": _between(0),
    "max_iter": _COUNT,
    "shuffle": _FLAG,
    "tol": _between(0),
    "verbose": Rule("an int or a bool", lambda value: _is_flag(value) or (_is_integer(value) and value >= 0)),
    "warm_start": _FLAG,
    "momentum": _between(0, 1, with_high=True),
    "nesterovs_momentum": _FLAG,
    "early_stopping": _FLAG,
    "validation_fraction": _between(0, 1),
    "beta_1": _between(0, 1),
    "beta_2": _between(0, 1),
    "epsilon": _between(0, with_low=False),
    "n_iter_no_change": Rule("an int in [1, inf), or inf", lambda value: _COUNT.holds(value) or value == np.inf),
    "max_fun": _COUNT,
    "dropout": Rule(f"{_DROPOUT.expected}, or a list of them", lambda value: _each_or_one(_DROPOUT, value)),
    "clip_norm": _or_none(_between(0, with_low=False)),
    "clip_value": _or_none(_between(0, with_low=False)),
    "scoring": Rule(
        "the name of a score, a callable, or None", lambda value: value is None or isinstance(value, str) or callable(value)
    ),
    "progress": Rule("a bool or a ProgressBar", lambda value: _is_flag(value) or hasattr(value, "on_epoch_end")),
    "resume": _FLAG,
    "lazy_updates": _FLAG,
    "n_jobs": _or_none(Rule("an int other than 0", lambda value: _is_integer(value) and value != 0)),
}
"""By the names of the parameters that both estimators have."""

LOSS_RULE = Rule(
    f"{_names(LOSSES)}, one of these as an object of fastnn.losses, or a loss of fastnn.jit or its name",
    lambda value: (
        value in LOSSES or value in _custom.LOSSES
        if isinstance(value, str)
        else isinstance(value, CustomLoss) or (isinstance(value, Loss) and value.name in LOSSES.values())
    ),
)


def layer_sizes(estimator: Any) -> list[int]:
    """Return the hidden layers' sizes."""
    given = estimator.hidden_layer_sizes
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if any(not isinstance(size, Integral) or size <= 0 for size in sizes):
        raise InvalidParameterError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]
