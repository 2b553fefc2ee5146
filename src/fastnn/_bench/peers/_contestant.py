"""The interface of all contestants, through which the same code checks and times them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from fastnn._bench.peers import _modules, _threads
from fastnn._bench.shapes import Case
from fastnn._bench.works import Array, PredictionWork, TrainingWork

# This many steps of 10 microseconds take 10 milliseconds.
_PYTHON_EPOCHS = 1000


class Contestant:
    """A way to do a workload.

    Attributes
    ----------
    name : str
        The name shown in tables.
    modules : tuple of str
        The modules that it imports besides NumPy.
    multiplies_by_blas : bool
        Whether the threads of BLAS must be limited.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()
    multiplies_by_blas: ClassVar[bool] = False

    @classmethod
    def missing(cls) -> str | None:
        """Return None if all modules are installed, else a message about the first that is not."""
        return _modules.missing(*cls.modules) or (_threads.missing() if cls.multiplies_by_blas else None)


class Trainer(Contestant, ABC):
    """A contestant that trains a network from `works.initial_parameters`.

    Parameters
    ----------
    work : TrainingWork
        The workload; `work.case.rows` is the number of rows.
    n_threads : int
        The number of threads that it may use; those of fastnn are set by `fastnn.set_num_threads`.

    Attributes
    ----------
    loops_in_python : bool
        Whether steps take so long that fewer epochs are enough for timing.
    """

    loops_in_python: ClassVar[bool] = False

    @classmethod
    def why_not(cls, work: TrainingWork) -> str | None:
        """Return None if it can do this workload here, else the reason."""
        return cls.missing() or cls.refusal(work)

    @classmethod
    def refusal(cls, work: TrainingWork) -> str | None:
        """Return the reason why it cannot do this workload even if installed, or None."""
        return None

    @classmethod
    def epochs(cls, case: Case) -> int:
        """Return the number of epochs per call, which makes the cost per call negligible."""
        return min(case.epochs, _PYTHON_EPOCHS) if cls.loops_in_python else case.epochs

    @classmethod
    def tolerance(cls, work: TrainingWork) -> float:
        """Return the relative error, besides rounding, by which its definitions differ from the reference's."""
        return 0.0

    @abstractmethod
    def __init__(self, work: TrainingWork, n_threads: int) -> None: ...

    @abstractmethod
    def prepare(self, X: Array, y: Array) -> None:
        """Take data of shapes (rows, n_in) and (rows, n_out); conversions here are not timed."""

    @abstractmethod
    def train(self, epochs: int) -> None:
        """Train for whole epochs, and return after they are done."""

    @abstractmethod
    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``, weights of shape (n_in, n_out)."""


class Predictor(Contestant, ABC):
    """A contestant that predicts with `works.initial_parameters`: NumPy arrays in, NumPy arrays out.

    Parameters
    ----------
    work : PredictionWork
        The workload; `work.rows` is the number of rows per call.
    n_threads : int
        The number of threads that it may use; those of fastnn are set by `fastnn.set_num_threads`.
    """

    @classmethod
    def why_not(cls, work: PredictionWork) -> str | None:
        """Return None if it can do this workload here, else the reason."""
        return cls.missing() or cls.refusal(work)

    @classmethod
    def refusal(cls, work: PredictionWork) -> str | None:
        """Return the reason why it cannot do this workload even if installed, or None."""
        return None

    @abstractmethod
    def __init__(self, work: PredictionWork, n_threads: int) -> None: ...

    @abstractmethod
    def predict(self, X: Array) -> Array:
        """Return the outputs for rows of shape (rows, n_in), or for one of shape (n_in,)."""
