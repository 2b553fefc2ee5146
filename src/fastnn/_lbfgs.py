"""The parameters of the optimizer L-BFGS, which trains on all rows at once and makes no steps with batches."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import integer, real


@option_class
class LBFGS(Options):
    """Limited-memory BFGS: a quasi-Newton method on all rows at once, for small data and smooth losses.

    An epoch is an iteration of SciPy's L-BFGS-B. An iteration computes a direction from the last gradients, and searches
    along it, with one or several passes over all rows. The run ends early when a tolerance is reached, or when the search
    finds no improvement. The next run starts without the gradients of this one.

    Parameters
    ----------
    history_size : int, default 10
        The number of past gradients from which the curvature is estimated, >= 1.
    tolerance_grad : float, default 1e-5
        The largest magnitude of an element of the gradient at which the run stops, >= 0.
    tolerance_change : float, default 2.2e-9
        The relative decrease of the loss in one iteration below which the run stops, >= 0.
    max_evaluations : int, optional
        The number of passes over the rows after which the run stops, >= 1. By default, there is no limit.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

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
        """Raise TypeError, because the search along a line determines the length of each step."""
        raise TypeError(
            "optimizer: expected one that makes single steps and has a learning rate, got LBFGS; Trainer.run(X, y, epochs) "
            "trains by it, and fit(X, y, optimizer='lbfgs', epochs=…)"
        )
