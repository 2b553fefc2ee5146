"""The fits of estimators with `n_members`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from fastnn._watchers import progress_bar
from fastnn.sklearn._checked import Checked
from fastnn.sklearn._data import thread_count
from fastnn.sklearn._together import train_together

# Parameters of the ensemble that its members do not follow.
_OF_ENSEMBLE: Mapping[str, Any] = {"n_members": 1, "bootstrap": False, "progress": False}
# Seeds of members are smaller, as those of scikit-learn's ensembles.
_SEEDS = np.iinfo(np.int32).max
# Attributes of an estimator with a single network, and of its fits.
_OF_ONE = (
    "network_",
    "_network_made_of",
    "_random_state",
    "_learning_rate",
    "_no_improvement_count",
    "_best_parameters",
    "_last_parameters",
    "_split_state",
    "_trainer",
    "loss_curve_",
    "validation_loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
)


def begin_members(estimator: Any, data: Checked) -> list[Any]:
    """Return the fits of all members, which are new if the fit is the first."""
    if data.first:
        seeds = check_random_state(estimator.random_state).randint(_SEEDS, size=estimator.n_members)
        estimator._forget_assigned()
        for name in _OF_ONE:
            vars(estimator).pop(name, None)
        estimator.members_ = [_new_member(estimator, int(seed)) for seed in seeds]
    else:
        for member in estimator.members_:
            _follow(member, estimator)
            member._take_assigned()
    fits = []
    for member in estimator.members_:
        member._take_data_of(estimator)
        fits.append(member._begin_fit(data, bootstrap=bool(estimator.bootstrap)))
    return fits


def train_members(estimator: Any, fits: Sequence[Any]) -> None:
    """Train all members at once."""
    train_together(fits, thread_count(estimator.n_jobs), progress_bar(estimator.progress))


def _new_member(estimator: Any, seed: int) -> Any:
    own = isinstance(estimator.random_state, Integral)
    # Like the estimator itself, a member starts anew from an integer with each fit, and otherwise continues.
    return clone(estimator).set_params(**_OF_ENSEMBLE, random_state=seed if own else np.random.RandomState(seed))


def _follow(member: Any, estimator: Any) -> None:
    """Set the parameters of a member to those of its ensemble, which may have changed since the last fit."""
    parameters = estimator.get_params(deep=False)
    parameters.pop("random_state")
    member.set_params(**parameters | _OF_ENSEMBLE)


def summarize(estimator: Any) -> None:
    """Set the attributes of an ensemble after a fit of its members."""
    members = estimator.members_
    for name in ("out_activation_", "n_outputs_", "n_layers_", "t_"):
        setattr(estimator, name, getattr(members[0], name))
    estimator.n_iter_ = max(member.n_iter_ for member in members)
    estimator.loss_ = float(np.mean([member.loss_ for member in members]))
