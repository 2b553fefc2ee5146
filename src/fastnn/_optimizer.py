"""The base class of the optimizers: a learning rate, checked parameters, and the engine's names for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import real
from fastnn._rates import LearningRate, Setting, check_learning_rate, check_scheduled


def number(
    default: float, coefficient: str, *, high: float = math.inf, exclude_low: bool = False, scheduled: bool = False
) -> Any:
    """Return a field of an optimizer for a number in [0, high), or in (0, high) with `exclude_low`.

    `coefficient` is the engine's name for the number. With `scheduled`, it may follow a schedule.
    """
    limits = {"high": high, "exclude_low": exclude_low}
    return field(default=default, metadata={"coefficient": coefficient, "limits": limits, "scheduled": scheduled})


@option_class
class Optimizer(Options):
    """The base class of the optimizers, which holds the learning rate.

    Parameters
    ----------
    learning_rate : float or callable
        A number >= 0, or a schedule (see `fastnn.schedules`).

    Examples
    --------
    >>> from fastnn import optimizers
    >>> [isinstance(each(), optimizers.Optimizer) for each in (optimizers.SGD, optimizers.Adam)]
    [True, True]
    >>> isinstance(optimizers.LBFGS(), optimizers.Optimizer)        # which has no learning rate
    False
    """

    name: ClassVar[str] = ""
    learning_rate: LearningRate

    def __post_init__(self) -> None:
        """Check every parameter."""
        if type(self) is Optimizer:
            raise TypeError("Optimizer is a base class, expected one of the classes in fastnn.optimizers.OPTIMIZERS")
        object.__setattr__(self, "learning_rate", check_learning_rate("learning_rate", self.learning_rate))
        for name, limits, scheduled in self._limits():
            value = getattr(self, name)
            if scheduled:
                value = check_scheduled(name, value, limits["high"])
            else:
                value = real(name, value, low=0.0, exclude_high=True, **limits)
            object.__setattr__(self, name, value)

    @classmethod
    @cache
    def _limits(cls) -> tuple[tuple[str, dict[str, Any], bool], ...]:
        numbers = [each for each in fields(cls) if "limits" in each.metadata]
        return tuple((each.name, each.metadata["limits"], each.metadata["scheduled"]) for each in numbers)

    @property
    def scheduled(self) -> tuple[Setting, ...]:
        """The parameters that follow schedules, besides the learning rate."""
        return tuple(
            [
                Setting(name, coefficient, getattr(self, name), high)
                for name, coefficient, high in self._schedulable()
                if callable(getattr(self, name))
            ]
        )

    @classmethod
    @cache
    def _schedulable(cls) -> tuple[tuple[str, str, float], ...]:
        """Return the names, the engine's names and the limits of the parameters that may follow schedules."""
        names = cls.coefficient_names()
        return tuple((name, names[name], limits["high"]) for name, limits, scheduled in cls._limits() if scheduled)

    @property
    def rule(self) -> str:
        """The engine's name for the update: `name`, unless a parameter selects another update."""
        return self.name

    @classmethod
    def is_orthogonal(cls, layer: int, kind: str, n_layers: int) -> bool:
        """Return whether the updates of a kind of parameters in a layer, counted from 0, are orthogonal."""
        return False

    @property
    def coefficients(self) -> dict[str, Any]:
        """The numbers of the update, without the learning rate, under the engine's names.

        Raises
        ------
        TypeError
            If one of them follows a schedule, which has values for the steps of a trainer alone.
        """
        given = {coefficient: getattr(self, name) for name, coefficient in self.coefficient_names().items()}
        for setting in self.scheduled:
            got = f"a schedule, {setting.schedule!r}, which needs a Trainer"
            raise TypeError(f"{setting.name}: expected a number, got {got}")
        return given

    @property
    def placeholders(self) -> dict[str, Any]:
        """The same numbers, with 0 in place of each that follows a schedule."""
        given = {coefficient: getattr(self, name) for name, coefficient in self.coefficient_names().items()}
        return {coefficient: 0.0 if callable(value) else value for coefficient, value in given.items()}

    def coefficients_at(self, step: int) -> dict[str, Any]:
        """Return the same numbers, with the values at a step in place of schedules."""
        return self.placeholders | {s.coefficient: float(s.values(step, 1)[0]) for s in self.scheduled}

    @classmethod
    @cache
    def coefficient_names(cls) -> Mapping[str, str]:
        """Return a mapping from the parameters' names to the engine's names."""
        names = {each.name: each.metadata["coefficient"] for each in fields(cls) if "coefficient" in each.metadata}
        return MappingProxyType(names)
