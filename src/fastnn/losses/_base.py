"""The base classes of the losses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn._checks.option_classes import Options, option_class
from fastnn.losses._options import TargetOptions, checked_missing, weights_of_outputs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


@option_class
class Loss(Options):
    """The base class of the losses, with the options that all of them have.

    Parameters
    ----------
    output_weights : sequence of numbers, optional
        The weights in the mean, one per column of targets: 0, or from 1e-15 to 1e15. `CrossEntropy` and `KLDivergence`
        have one weight per class. Other losses of whole rows have none.
    missing : {"raise", "ignore"}, default "raise"
        The treatment of targets that are NaN. They raise an error, or count as not observed: they then add nothing to the
        loss, to its gradient or to the divisor of the mean.

    Attributes
    ----------
    name : str
        The name of the loss in `fit` and `Trainer`.
    links : tuple of str
        The output activations with which the loss can be combined. The loss is then computed from z, in one stable
        expression together with the first of them. The other is "identity", for a model that predicts z itself. If the
        tuple is empty, the loss is computed from p, and works with every output activation.
    per_row : bool
        Whether the loss is a mean over rows rather than over elements.
    takes_labels : bool
        Whether targets may be integer labels.
    weighs_classes : bool
        Whether a loss of whole rows has weights, which are then those of classes.
    domain : tuple (low, high)
        The interval that contains all valid targets.
    only_ends_of_domain : bool
        Whether the two ends of that interval are the only valid targets.
    one_output_per_target : bool
        Whether targets have one column per output of the model.

    Examples
    --------
    >>> from fastnn import losses
    >>> isinstance(losses.Huber(missing="ignore"), losses.Loss)
    True
    >>> losses.CrossEntropy().links
    ('softmax', 'identity')
    """

    name: ClassVar[str] = ""
    links: ClassVar[tuple[str, ...]] = ()
    per_row: ClassVar[bool] = False
    takes_labels: ClassVar[bool] = False
    weighs_classes: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    only_ends_of_domain: ClassVar[bool] = False
    one_output_per_target: ClassVar[bool] = True

    output_weights: tuple[float, ...] | None = field(default=None, kw_only=True)
    missing: str = field(default="raise", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse the base class itself, and check the options."""
        if type(self) is Loss:
            raise TypeError("Loss is a base class, expected one of the classes in fastnn.losses.LOSSES")
        self.set_options(self.output_weights, self.missing)

    def set_options(self, output_weights: object, missing: object) -> None:
        """Check and set the options during construction."""
        object.__setattr__(self, "output_weights", weights_of_outputs("output_weights", output_weights))
        object.__setattr__(self, "missing", checked_missing(missing))
        if self.output_weights is not None and self.per_row and not self.weighs_classes:
            raise ValueError(
                f"output_weights: expected None for {self.name}, which takes a row as a whole, got {output_weights}"
            )

    @property
    def parameter(self) -> float:
        """The number in the formula of the loss, or 0.0 if there is none."""
        return 0.0

    @property
    def target_options(self) -> TargetOptions:
        """The options that change targets and their weights, in the form for the engine."""
        return TargetOptions(self.output_weights, self.missing == "ignore", self.per_row)

    @property
    def parameters(self) -> tuple[float, ...]:
        """The other numbers in the formula of the loss."""
        return ()

    @property
    def from_logits(self) -> bool:
        """Whether the loss is computed from z, the inputs of the output activation, rather than from p."""
        return bool(self.links)

    def n_targets(self, n_out: int) -> int:
        """Return the number of columns of targets for a model with `n_out` outputs.

        Raises
        ------
        ValueError
            If the loss does not support that number of outputs.
        """
        return n_out


class CustomLoss(Loss, ABC):
    """The base class of the losses that `fastnn.jit.loss` makes, which are means over elements or rows.

    Such a loss is equal only to itself.

    Attributes
    ----------
    name : str
        The name of the loss in files, which differs from the names of the built-in losses.

    Examples
    --------
    >>> from fastnn import jit, losses
    >>> @jit.loss(gradient=lambda y, p: 4 * (p - y) ** 3)
    ... def fourth_power(y, p):
    ...     return (p - y) ** 4
    >>> isinstance(fourth_power, losses.CustomLoss)
    True
    """

    name: str  # type: ignore[misc]  # of the object
    _from_logits = False

    @property
    def from_logits(self) -> bool:
        """Whether the loss is computed from the inputs of the output activation."""
        return self._from_logits

    @abstractmethod
    def address(self, dtype: DTypeLike, *sizes: int) -> int:
        """Return the address of a C function of n elements or rows, where T is `dtype`.

        For a mean over elements, ``void (const T *y, const T *p, T *value, T *gradient, int64_t n)`` sets ``value[i]`` and
        its derivative with respect to ``p[i]``. For a mean over rows, the function is ``void (const T *y, const T *p,
        T *value, T *gradient, int64_t rows, int64_t y_row, int64_t p_row)``, and the sizes are the number of columns of the
        targets and that of outputs; see ``kernels/api.h``. Threads without the GIL call it as long as the object lives.
        """

    @abstractmethod
    def value(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the losses of all elements, or of all rows (n,), computed in float64."""

    @abstractmethod
    def gradient(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the derivatives of these losses with respect to the predictions, computed in float64."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Return the name as text."""
        return f"<loss {self.name!r}>"
