"""The rules for the parameters of estimators, and the errors for values that break them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import InvalidParameterError

from fastnn import _custom, losses
from fastnn._averaging import AVERAGES
from fastnn._checks.layers import OUTPUT_ONLY, PLACES
from fastnn._checks.limits import MAX_UNITS
from fastnn._custom import CustomActivation
from fastnn._engine import core as _core
from fastnn._layer_settings import LayerSettings
from fastnn._shared_ensemble import SharedEnsemble
from fastnn.embeddings import EMBEDDINGS
from fastnn.losses import CustomLoss, Loss
from fastnn.losses._registry import CUSTOM_LOSSES
from fastnn.optimizers import LBFGS, OPTIMIZERS, Optimizer
from fastnn.sklearn._categories import is_choice
from fastnn.sklearn._contradictions import check_together

ACTIVATIONS: Mapping[str, str] = {"logistic": "sigmoid"} | {
    name: name for name in _core.LAYER_ACTIVATIONS if name not in OUTPUT_ONLY
}
"""By the name that an estimator takes: fastnn's name. scikit-learn's differs for some."""

_ERRORS = {"mse": "squared_error", "mae": "absolute_error"}
LOSSES: Mapping[str, str] = {
    _ERRORS.get(name, name): name
    for name, loss in losses.LOSSES.items()
    if loss.domain[1] == np.inf and loss.one_output_per_target
}
"""The same for the losses of regressors: those whose targets are not probabilities, and are as many as the outputs."""

ORIGINAL_SOLVERS = ("lbfgs", "sgd", "adam")
SOLVERS = (*ORIGINAL_SOLVERS, *(name for name in OPTIMIZERS if name not in ORIGINAL_SOLVERS))
LEARNING_RATES = ("constant", "invscaling", "adaptive")


@dataclass(frozen=True, eq=False)
class Rule:
    """The values that a parameter may have, as a text and as a test."""

    expected: str
    holds: Callable[[Any], bool]


# By rule, the last value that passed: most parameters of an estimator are defaults, which are the same objects everywhere.
# Rules are made once, when this module is imported, and their verdict on a constant does not change.
_PASSED: dict[Rule, Any] = {}
_CONSTANT = (bool, float, int, str)


def check(estimator: Any, rules: Mapping[str, Rule]) -> list[int]:
    """Return the sizes of the hidden layers; raise InvalidParameterError for the first parameter that breaks its rule.

    Nothing is checked if scikit-learn is configured to skip checks. Immutable values are checked only once.
    """
    values = [getattr(estimator, name) for name in rules]
    cache = cache_of(estimator)
    checked, sizes = cache.get("checked", ((), []))
    if len(checked) == len(values) and all(map(operator.is_, values, checked)):
        return list(sizes)
    skips = get_config()["skip_parameter_validation"]
    if not skips:
        for (name, rule), value in zip(rules.items(), values, strict=True):
            if value is None or value is not _PASSED.get(rule):
                if not rule.holds(value):
                    raise _invalid(estimator, name, rule.expected)
                if type(value) in _CONSTANT:
                    _PASSED[rule] = value
    sizes = layer_sizes(estimator)
    check_together(estimator, sizes)
    if not skips and not any(map(_may_change, values)):
        cache["checked"] = values, sizes
    return list(sizes)


def cache_of(estimator: Any) -> dict[str, Any]:
    """Return the values that an estimator stores for speed, and that copies drop."""
    cache: dict[str, Any] = estimator.__dict__.setdefault("_cache", {})
    return cache


def _may_change(value: Any) -> bool:
    """Return whether the contents of an object can change."""
    return hasattr(value, "__len__") and not isinstance(value, str | tuple)


def _invalid(estimator: Any, name: str, expected: str) -> InvalidParameterError:
    kind, value = type(estimator).__name__, getattr(estimator, name)
    return InvalidParameterError(f"The {name!r} parameter of {kind} must be {expected}. Got {value!r} instead.")


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


def _no_flag(rule: Rule) -> Rule:
    """Return the rule for numbers that excludes True and False, which scikit-learn's own parameters accept."""
    return Rule(rule.expected, lambda value: not _is_flag(value) and rule.holds(value))


def _or_none(rule: Rule) -> Rule:
    return Rule(f"{rule.expected}, or None", lambda value: value is None or rule.holds(value))


def _each_or_one(rule: Rule, value: Any) -> bool:
    several = _is_list(value) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return all(rule.holds(one) for one in value) if several else rule.holds(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


_FLAG = Rule("True or False", _is_flag)
_COUNT = Rule("an int in [1, inf)", lambda value: _is_integer(value) and value >= 1)
_ACTIVATION = Rule(
    f"{_names(ACTIVATIONS)}, an activation of fastnn.jit or its name, or a list with one per hidden layer",
    lambda value: (
        value in ACTIVATIONS or value in _custom.ACTIVATIONS
        if isinstance(value, str)
        else isinstance(value, CustomActivation)
    ),
)
_UP_TO_1 = _no_flag(_between(0, 1, with_high=True))
FACTOR = Rule(
    f"{_UP_TO_1.expected}, or a schedule of fastnn.schedules", lambda value: callable(value) or _UP_TO_1.holds(value)
)
"""The rule of factors that may follow schedules."""
LABEL_SMOOTHING = _UP_TO_1
"""The rule of the parameter `label_smoothing`."""
_DROPOUT = _no_flag(_between(0, 1))
_NORMALIZATION = _or_none(
    Rule(_names(_core.NORMALIZATIONS), lambda value: isinstance(value, str) and value in _core.NORMALIZATIONS)
)
_PLACE = Rule(_names(PLACES), lambda value: isinstance(value, str) and value in PLACES)

_MOST_MEMBERS = 10_000  # of an ensemble
_SIZES = "an int in [1, inf) or an array-like of such ints, one per hidden layer"


def _sizes_in(value: Any) -> list[Any] | None:
    """Return the integers in a parameter, or None if it is neither an integer nor an array-like of integers."""
    if isinstance(value, str | bytes):
        return None
    try:
        sizes = [value] if _is_integer(value) else list(value)
    except TypeError:
        return None
    return sizes if all(_is_integer(size) and not _is_flag(size) for size in sizes) else None


RULES: Mapping[str, Rule] = {
    "hidden_layer_sizes": Rule(
        _SIZES, lambda value: value >= 1 and not _is_flag(value) if _is_integer(value) else _sizes_in(value) is not None
    ),
    "activation": Rule(_ACTIVATION.expected, lambda value: _each_or_one(_ACTIVATION, value)),
    "solver": Rule(
        f"{_names(SOLVERS)}, or an optimizer of fastnn.optimizers",
        lambda value: value in SOLVERS if isinstance(value, str) else isinstance(value, Optimizer | LBFGS),
    ),
    "alpha": _between(0),
    "batch_size": Rule("'auto' or an int in [1, inf)", lambda value: value == "auto" or _COUNT.holds(value)),
    "learning_rate": Rule(
        f"{_names(LEARNING_RATES)}, or a schedule of fastnn.schedules",
        lambda value: callable(value) or (isinstance(value, str) and value in LEARNING_RATES),
    ),
    "learning_rate_init": _between(0, with_low=False),
    "power_t": _between(0),
    "max_iter": _COUNT,
    "shuffle": _FLAG,
    "random_state": Rule(
        "an int in [0, 4294967295], a numpy.random.RandomState (RandomState(generator.bit_generator) makes one of a "
        "Generator), or None",
        lambda value: (
            value is None or isinstance(value, np.random.RandomState) or (_is_integer(value) and 0 <= value < 2**32)
        ),
    ),
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
    "normalization": Rule(
        f"{_NORMALIZATION.expected}, or a list with one per hidden layer", lambda value: _each_or_one(_NORMALIZATION, value)
    ),
    "normalization_place": Rule(
        f"{_PLACE.expected}, or a list with one per hidden layer", lambda value: _each_or_one(_PLACE, value)
    ),
    "parametric_activation": Rule(
        f"{_FLAG.expected}, or a list with one per hidden layer", lambda value: _each_or_one(_FLAG, value)
    ),
    "dropout_factor": FACTOR,
    "embeddings": Rule(
        "an embedding of fastnn.embeddings, a list of them, or None",
        lambda value: (
            value is None
            or all(type(e) in EMBEDDINGS.values() for e in (value if type(value) in (list, tuple) else [value]))
        ),
    ),
    "categorical_features": Rule("'from_dtype', an array-like of bool, int or str, or None", is_choice),
    "one_hot_max_size": _no_flag(Rule("an int in [0, inf)", lambda value: _is_integer(value) and value >= 0)),
    "embedding_width": _no_flag(
        Rule(f"an int in [1, {MAX_UNITS}]", lambda value: _is_integer(value) and 1 <= value <= MAX_UNITS)
    ),
    "input_scale": _FLAG,
    "input_dropout": _DROPOUT,
    "residual": Rule(
        "a bool, an int in [1, inf), or a list of pairs of layers",
        lambda value: (
            value is None or _is_flag(value) or _COUNT.holds(value) or isinstance(value, list | tuple | np.ndarray)
        ),
    ),
    "residual_place": _PLACE,
    "shared": Rule("a fastnn.SharedEnsemble, or None", lambda value: value is None or isinstance(value, SharedEnsemble)),
    "clip_norm": _or_none(_no_flag(_between(0, with_low=False))),
    "clip_value": _or_none(_no_flag(_between(0, with_low=False))),
    "layer_settings": Rule(
        "a fastnn.LayerSettings, a list of them or None with one per layer, or None",
        lambda value: (
            value is None
            or isinstance(value, LayerSettings)
            or (isinstance(value, list | tuple) and all(each is None or isinstance(each, LayerSettings) for each in value))
        ),
    ),
    "scoring": Rule(
        "the name of a score, of sklearn.metrics.get_scorer_names(), a callable, or None",
        lambda value: value in get_scorer_names() if isinstance(value, str) else value is None or callable(value),
    ),
    "progress": Rule("a bool or a ProgressBar", lambda value: _is_flag(value) or hasattr(value, "on_epoch_end")),
    "resume": _FLAG,
    "lazy_updates": _FLAG,
    "averaging": Rule(
        f"{_names(AVERAGES)}, an object of fastnn.EMA or fastnn.SWA, or None",
        lambda value: value in AVERAGES if isinstance(value, str) else value is None or type(value) in AVERAGES.values(),
    ),
    "drop_last": _FLAG,
    "ties": Rule("one of 'first', 'last'", lambda value: isinstance(value, str) and value in ("first", "last")),
    "n_members": Rule(
        f"an int in [1, {_MOST_MEMBERS}]",
        lambda value: _is_integer(value) and not _is_flag(value) and 1 <= value <= _MOST_MEMBERS,
    ),
    "bootstrap": _FLAG,
    "n_jobs": _or_none(Rule("an int other than 0", lambda value: _is_integer(value) and value != 0)),
}
"""The rules for the parameters that both estimators have, by name."""


def _is_like_targets(loss: Any) -> bool:
    """Return whether predictions by a loss have the columns of its targets."""
    if isinstance(loss, str):
        return loss in LOSSES
    known = isinstance(loss, CustomLoss) or (isinstance(loss, Loss) and loss.name in LOSSES.values())
    return known and loss.one_output_per_target


LOSS_RULE = Rule(
    f"{_names(LOSSES)}, one of these as an object of fastnn.losses, or a loss of fastnn.jit or its name; each with one "
    "output per target (fastnn.MLP takes the others)",
    lambda value: _is_like_targets(CUSTOM_LOSSES.get(value, value) if isinstance(value, str) else value),
)


def layer_sizes(estimator: Any) -> list[int]:
    """Return the sizes of the hidden layers."""
    sizes = _sizes_in(estimator.hidden_layer_sizes)
    if sizes is None:
        raise _invalid(estimator, "hidden_layer_sizes", _SIZES)
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]
