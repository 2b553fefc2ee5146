"""Parameters of estimators that contradict each other, or that would have no effect beside others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn._checks.limits import MAX_LAYERS, MAX_UNITS
from fastnn._checks.residual import check_place, pairs_of_layers
from fastnn._setting_checks import FACTORS
from fastnn._shared_ensemble import check_shared, refuse_residual
from fastnn.optimizers import LBFGS, SGD, Optimizer

# Parameters that lbfgs can't use, because it does not train in batches. scikit-learn has none of them.
_OF_BATCHES = (
    *("dropout", "input_dropout", "clip_norm", "clip_value", "layer_settings", "lazy_updates", "averaging", "drop_last"),
    *FACTORS,
)
# Parameters of columns of categories, and their defaults.
_OF_CATEGORIES = (("one_hot_max_size", 8), ("embedding_width", 8))
# Parameters that solvers with these parameters use by name, and their defaults.
_OF_SOLVERS: Mapping[str, tuple[str, Any]] = {
    "learning_rate_init": ("learning_rate", 0.001),
    "momentum": ("momentum", 0.9),
    "nesterovs_momentum": ("nesterov", True),
    "beta_1": ("beta_1", 0.9),
    "beta_2": ("beta_2", 0.999),
    "epsilon": ("epsilon", 1e-8),
}
# Parameters of "lbfgs" that an object has under names of its own, and their defaults.
_OF_LBFGS = (("tol", 1e-4, "tolerance_grad"), ("max_fun", 15000, "max_evaluations"))


def is_lbfgs(estimator: Any) -> bool:
    """Return whether the solver is L-BFGS, by name or as an object."""
    return isinstance(estimator.solver, LBFGS) or (isinstance(estimator.solver, str) and estimator.solver == "lbfgs")


def check_together(estimator: Any, sizes: list[int]) -> None:
    """Raise ValueError if parameters contradict each other."""
    if len(sizes) >= MAX_LAYERS or max(sizes, default=0) > MAX_UNITS:
        raise ValueError(
            f"hidden_layer_sizes: expected at most {MAX_LAYERS - 1} layers of at most {MAX_UNITS} units, got {len(sizes)} "
            f"layers of at most {max(sizes)}"
        )
    for name in ("activation", "dropout", "normalization", "normalization_place", "parametric_activation"):
        value = getattr(estimator, name)
        if isinstance(value, list | tuple | np.ndarray) and len(value) != len(sizes):
            raise ValueError(f"{name}: expected {len(sizes)}: one per hidden layer, got a list of {len(value)}")
    residual = estimator.residual
    pairs = pairs_of_layers(residual.tolist() if isinstance(residual, np.ndarray) else residual, len(sizes) + 1)
    refuse_residual(check_shared(estimator.shared, bool(estimator.input_scale)), pairs)
    check_place(estimator.residual_place, pairs)
    _check_normalization(estimator)
    if callable(estimator.learning_rate):
        _check_default(estimator, "learning_rate_init", 0.001, "a schedule as learning_rate")
    if not estimator.early_stopping:
        _check_default(estimator, "scoring", None, "early_stopping=False")
        _check_default(estimator, "ties", "first", "early_stopping=False")
    settings = estimator.layer_settings
    if isinstance(settings, list | tuple) and len(settings) != len(sizes) + 1:
        raise ValueError(f"layer_settings: expected {len(sizes) + 1}: one per layer, got a list of {len(settings)}")
    if is_lbfgs(estimator):
        _check_lbfgs(estimator)
    elif isinstance(estimator.solver, Optimizer):
        _check_object(estimator)
    _check_tables(estimator)
    if estimator.early_stopping and estimator.validation_fraction == 0:
        raise ValueError(
            f"validation_fraction: expected a float in (0, 1) for early_stopping=True, got {estimator.validation_fraction!r}"
        )


def _check_tables(estimator: Any) -> None:
    """Raise ValueError if a parameter of categories, or a factor, has nothing to act on."""
    if estimator.categorical_features is None:
        for name, default in _OF_CATEGORIES:
            value = getattr(estimator, name)
            if value != default:
                raise ValueError(f"{name}: expected {default} without categorical_features, got {value!r}")
    if estimator.dropout_factor != 1.0 and not (np.any(estimator.dropout) or estimator.input_dropout):
        raise ValueError(f"dropout_factor: expected 1.0 without dropout, got {estimator.dropout_factor!r}")
    factor = getattr(estimator, "label_smoothing_factor", 1.0)
    if factor != 1.0 and not estimator.label_smoothing:
        raise ValueError(f"label_smoothing_factor: expected 1.0 without label_smoothing, got {factor!r}")


def _check_lbfgs(estimator: Any) -> None:
    """Raise ValueError if a parameter does not apply to L-BFGS, or if an object contains it under another name."""
    for name in _OF_BATCHES:
        value = getattr(estimator, name, None)
        if value is not None and (value != 1.0 if name in FACTORS else np.any(value)):
            raise ValueError(
                f"{name}: expected another solver, got {value!r} for solver={estimator.solver!r}, which can't use it"
            )
    if callable(estimator.learning_rate):
        _check_default(estimator, "learning_rate", "constant", f"solver={estimator.solver!r}")
    if isinstance(estimator.solver, str):
        return
    for name, default, own in _OF_LBFGS:
        value = getattr(estimator, name)
        if value != default:
            raise ValueError(
                f"{name}: expected the default {default!r} for solver={estimator.solver!r}, whose {own} takes its place, "
                f"got {value!r}; use LBFGS({own}={value!r})"
            )


def _check_object(estimator: Any) -> None:
    """Raise ValueError if a parameter is for the name of a solver, in place of which the estimator has an object."""
    solver = estimator.solver
    given = [(name, default) for name, (own, default) in _OF_SOLVERS.items() if hasattr(solver, own)]
    if callable(estimator.learning_rate) or isinstance(solver, SGD):
        given.append(("learning_rate", "constant"))
    for name, default in given:
        _check_default(estimator, name, default, f"solver={solver!r}, which contains its own parameters")


def _check_default(estimator: Any, name: str, default: Any, beside: str) -> None:
    """Raise ValueError if a parameter that has no effect beside another one has another value than its default."""
    value = getattr(estimator, name)
    if isinstance(value, str) != isinstance(default, str) or value != default:
        raise ValueError(f"{name}: expected the default {default!r} for {beside}, got {value!r}")


def _check_normalization(estimator: Any) -> None:
    """Raise ValueError if there is no normalization that a place could be for."""
    given, place = estimator.normalization, estimator.normalization_place
    kinds = given if isinstance(given, list | tuple | np.ndarray) else [given]
    if all(kind is None for kind in kinds) and "after" in (
        place if isinstance(place, list | tuple | np.ndarray) else [place]
    ):
        raise ValueError(f"normalization_place: expected the default 'before' without normalization, got {place!r}")
