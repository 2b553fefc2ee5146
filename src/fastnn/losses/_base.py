"""The base classes of the losses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import ArrayLike, DTypeLike


@dataclass(frozen=True)
class Loss:
    """Base class of the losses.

    Attributes
    ----------
    name : str
        The name by which `fit` and `Trainer` know the loss.
    links : tuple of str
        The output activations that the loss can be combined with. The loss is then computed from z, in one stable
        expression together with the first of them; the other is "identity", for a model that predicts z itself. If the
        tuple is empty, the loss is computed from p, and goes with every output activation.
    per_row : bool
        Whether the loss is a mean over rows rather than over elements.
    takes_labels : bool
        Whether targets may be integer labels.
    domain : tuple (low, high)
        The interval that contains all valid targets.
    one_output_per_target : bool
        Whether targets have as many columns as the model has outputs.
    """

    name: ClassVar[str] = ""
    links: ClassVar[tuple[str, ...]] = ()
    per_row: ClassVar[bool] = False
    takes_labels: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    one_output_per_target: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse the base class itself."""
        if type(self) is Loss:
            names = ", ".join(kind.name for kind in Loss.__subclasses__() if kind.name)
            raise TypeError(f"Loss is a base class, expected one of {names}")

    @property
    def parameter(self) -> float:
        """The number that shapes the loss; 0.0 for a loss without one."""
        return 0.0

    @property
    def parameters(self) -> tuple[float, ...]:
        """The other numbers that shape the loss, if it has any number of them."""
        return ()

    @property
    def from_logits(self) -> bool:
        """Whether the loss is computed from z, the inputs of the output activation, rather than from p."""
        return bool(self.links)

    def n_targets(self, n_out: int) -> int:
        """Return the number of columns of targets for a model with that many outputs.

        Raises
        ------
        ValueError
            If the loss does not go with that number of outputs.
        """
        return n_out


class CustomLoss(Loss, ABC):
    """Base class of the losses that `fastnn.jit.loss` makes: means over elements or rows. Each is equal to itself alone.

    Attributes
    ----------
    name : str
        The name of the loss in files. It differs from the names of the built-in losses.
    """

    name: str  # type: ignore[misc]  # of the object
    _from_logits = False

    @property
    def from_logits(self) -> bool:
        """Whether the loss is computed from the inputs of the output activation, which may be any but "prelu"."""
        return self._from_logits

    @abstractmethod
    def address(self, dtype: DTypeLike) -> int:
        """Return the address of a C function of n elements or rows, where T is `dtype`.

        Of a mean over elements, ``void (const T *y, const T *p, T *value, T *gradient, int64_t n)`` sets ``value[i]`` and
        its derivative by ``p[i]``. Of a mean over rows, it is ``void (const T *y, const T *p, T *value, T *gradient,
        int64_t rows, int64_t n_targets, int64_t n_out, int64_t y_row, int64_t p_row)``, see ``kernels/api.h``.
        Threads without the GIL call it for as long as the object lives.
        """

    @abstractmethod
    def value(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the loss of every element, or of every row (n,), computed in float64."""

    @abstractmethod
    def gradient(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the derivative of every element's or row's loss by its predictions, computed in float64."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Return the name as text."""
        return f"<loss {self.name!r}>"
