"""The optimizer L-BFGS: its parameters. It trains on all rows at once, and makes no steps by batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NoReturn

from fastnn._checks.options import explained_fields
from fastnn._checks.scalars import integer, real


@explained_fields
@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS: a quasi-Newton method on all rows at once, for small data and smooth losses.

    An epoch is an iteration: a direction from the last gradients, and a search along it, with one or several passes over all
    rows. SciPy's L-BFGS-B does it. The run ends early when a tolerance is reached, or when the search finds nothing better;
    the next run starts without a memory of gradients.

    Parameters
    ----------
    history_size : int, default 10
        The number of gradients from which the curvature is estimated, >= 1.
    tolerance_grad : float, default 1e-5
        Stop when no element of the gradient is larger, >= 0.
    tolerance_change : float, default 2.2e-9
        Stop when an iteration lowers the loss by a smaller share of it, >= 0.
    max_evaluations : int, optional
        Stop after this number of passes over the rows, >= 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained optimization", SIAM Journal
    on Scientific Computing 16, 1995.

    Examples
    --------
    >>> LBFGS(history_size=20)
    LBFGS(history_size=20, tolerance_grad=1e-05, tolerance_change=2.2e-09, max_evaluations=None)
    """

    name: ClassVar[str] = "lbfgs"
    history_size: int = 10
    tolerance_grad: float = 1e-5
    tolerance_change: float = 2.2e-9
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        object.__setattr__(self, "history_size", integer("history_size", self.history_size, low=1, high=10_000))
        for name in ("tolerance_grad", "tolerance_change"):
            object.__setattr__(self, name, real(name, getattr(self, name), low=0.0))
        if self.max_evaluations is not None:
            object.__setattr__(self, "max_evaluations", integer("max_evaluations", self.max_evaluations, low=1))

    @property
    def learning_rate(self) -> NoReturn:
        """Raise TypeError: the search along a line finds the length of each step."""
        raise TypeError(
            "optimizer: expected one that makes single steps and has a learning rate, got LBFGS; Trainer.run(X, y, epochs) "
            "trains by it, and fit(X, y, optimizer='lbfgs', epochs=…)"
        )
