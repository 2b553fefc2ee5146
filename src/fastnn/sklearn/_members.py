"""Estimators with `n_members`: several networks, whose predictions are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn.sklearn._data import thread_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

NETWORK_OPTIONS = (
    "dropout",
    "normalization",
    "normalization_place",
    "parametric_activation",
    "input_scale",
    "input_dropout",
    "residual",
    "residual_place",
    "shared",
)
"""The parameters of `MLP` that estimators have under the same names."""
FOLLOWED = ("activation", *NETWORK_OPTIONS, "out_activation_")
"""The attributes that describe a network besides its sizes."""


def is_ensemble(estimator: Any) -> bool:
    """Return whether the parameters of an estimator describe an ensemble."""
    return bool(estimator.n_members > 1 or estimator.bootstrap)


def is_fitted(estimator: Any) -> bool:
    """Return whether an estimator has a network, or several."""
    return not vars(estimator).keys().isdisjoint(("network_", "members_"))


def check_members(estimator: Any) -> None:
    """Raise ValueError unless a fitted estimator has as many networks as its parameters describe."""
    members, wanted = vars(estimator).get("members_"), estimator.n_members
    if (members is not None) != is_ensemble(estimator) or (members is not None and len(members) != wanted):
        fitted = 1 if members is None else len(members)
        raise ValueError(
            f"n_members: expected {fitted}, as fitted, to continue the training, got {wanted} with "
            f"bootstrap={estimator.bootstrap!r}; a fit without warm_start begins with new networks"
        )


def refuse(estimator: Any, feature: str, way: str) -> None:
    """Raise ValueError if an estimator has several networks, for which a feature has no meaning."""
    if "members_" in vars(estimator):
        raise ValueError(
            f"{feature}: expected an estimator with one network, got n_members={len(estimator.members_)}; {way}"
        )


def explain_missing(estimator: Any, name: str) -> Never:
    """Raise AttributeError for an attribute that only the members have."""
    raise AttributeError(
        f"{type(estimator).__name__!r} object with n_members={len(estimator.members_)} has no attribute {name!r}: each "
        f"network has its own, members_[k].{name}"
    )


def outputs_of_members(estimator: Any, X: Any) -> NDArray[Any]:
    """Return the outputs of all members for checked inputs: (n_members, n, n_outputs)."""
    outputs = []
    for member in estimator.members_:
        for name in FOLLOWED:  # a network follows those that are set after the fit
            setattr(member, name, getattr(estimator, name))
        member._take_assigned()
        outputs.append(member.network_.predict(X, n_threads=thread_count(estimator.n_jobs)))
    stacked = np.stack(outputs)
    return stacked.astype(np.result_type(X.dtype, stacked.dtype), copy=False)


def mean_of_members(values: NDArray[Any]) -> NDArray[Any]:
    """Return the mean over the first axis, whose sum is in float64."""
    return np.asarray(values.mean(axis=0, dtype=np.float64).astype(values.dtype, copy=False))


def spread_of_members(values: NDArray[Any]) -> NDArray[Any]:
    """Return the standard deviation over the first axis, which is divided by the number of members (``ddof=0``)."""
    return np.asarray(values.std(axis=0, dtype=np.float64).astype(values.dtype, copy=False))


def check_spread(estimator: Any) -> None:
    """Raise ValueError if an estimator has only one network, whose predictions have no spread."""
    if len(vars(estimator).get("members_", ())) < 2:
        raise ValueError(
            "return_std: expected an estimator fitted with n_members >= 2, got n_members=1; those of shared= have no spread"
        )
