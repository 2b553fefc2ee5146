"""The base class of the optimizers: a learning rate, checked parameters, and the engine's names for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from fastnn._checks.options import Options
from fastnn._checks.scalars import real
from fastnn._rates import LearningRate, check_learning_rate


def number(default: float, coefficient: str, *, high: float = math.inf, exclude_low: bool = False) -> Any:
    """Return a field of an optimizer for a number in [0, high), or in (0, high) with `exclude_low`.

    `coefficient` is the engine's name for the number.
    """
    limits = {"high": high, "exclude_low": exclude_low}
    return field(default=default, metadata={"coefficient": coefficient, "limits": limits})


@dataclass(frozen=True, eq=False, repr=False)
class Optimizer(Options):
    """The base class of the optimizers, which holds the learning rate.

    Parameters
    ----------
    learning_rate : float or callable
        A number >= 0, or a schedule (see `fastnn.schedules`).
    """

    name: ClassVar[str] = ""
    learning_rate: LearningRate

    def __post_init__(self) -> None:
        """Check every parameter."""
        if type(self) is Optimizer:
            raise TypeError("Optimizer is a base class, expected one of the classes in fastnn.optimizers.OPTIMIZERS")
        object.__setattr__(self, "learning_rate", check_learning_rate("learning_rate", self.learning_rate))
        for name, limits in self._limits():
            object.__setattr__(self, name, real(name, getattr(self, name), low=0.0, exclude_high=True, **limits))

    @classmethod
    @cache
    def _limits(cls) -> tuple[tuple[str, dict[str, Any]], ...]:
        return tuple((each.name, each.metadata["limits"]) for each in fields(cls) if "limits" in each.metadata)

    @property
    def rule(self) -> str:
        """The engine's name for the update: `name`, unless a parameter selects another update."""
        return self.name

    @property
    def coefficients(self) -> dict[str, Any]:
        """The numbers of the update, without the learning rate, under the engine's names."""
        return {coefficient: getattr(self, name) for name, coefficient in self.coefficient_names().items()}

    @classmethod
    @cache
    def coefficient_names(cls) -> Mapping[str, str]:
        """Return a mapping from the parameters' names to the engine's names."""
        names = {each.name: each.metadata["coefficient"] for each in fields(cls) if "coefficient" in each.metadata}
        return MappingProxyType(names)
