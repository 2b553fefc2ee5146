"""The state of an estimator before a fit, to which a fit that fails returns."""

from __future__ import annotations

from typing import Any

from fastnn._native import copied_parameters, restore_parameters
from fastnn.sklearn._contradictions import is_lbfgs


class Before:
    """The attributes of an estimator and its members before a fit.

    A fit makes a new network, or goes on with the one of before. Once it has trained either, an error leaves it so.

    Parameters
    ----------
    estimator : estimator
        The estimator, which need not be fitted.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._kept = [_One(each) for each in _with_members(estimator)]

    def restore(self) -> None:
        """Restore all attributes, unless the fit has trained a network."""
        trained = {id(each): _updates(each) for each in _with_members(self._estimator)}
        for one in self._kept:
            trained[id(one.estimator)] = one.updates_since()
        if any(trained.values()):
            return
        for one in self._kept:
            one.restore()


def _with_members(estimator: Any) -> tuple[Any, ...]:
    return estimator, *vars(estimator).get("members_", ())


def _updates(estimator: Any) -> int:
    trainer = vars(estimator).get("_trainer")
    return 0 if trainer is None else int(trainer.updates)


class _One:
    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self._attributes = attributes = dict(vars(estimator))
        # Fits only append to these lists.
        self._lengths = [(each, len(each)) for each in attributes.values() if type(each) is list]
        self._updates = _updates(estimator)
        searches = "network_" in attributes and is_lbfgs(estimator)
        self._parameters = copied_parameters(attributes["network_"]) if searches else None

    def updates_since(self) -> int:
        """Return the updates of the estimator's network since then, or all of a new network."""
        same = vars(self.estimator).get("_trainer") is self._attributes.get("_trainer")
        return _updates(self.estimator) - (self._updates if same else 0)

    def restore(self) -> None:
        """Restore all attributes. L-BFGS counts no updates, so that its parameters are restored, too."""
        for value, length in self._lengths:
            del value[length:]
        if self._parameters is not None:
            restore_parameters(self._attributes["network_"], self._parameters)
        vars(self.estimator).clear()
        vars(self.estimator).update(self._attributes)
