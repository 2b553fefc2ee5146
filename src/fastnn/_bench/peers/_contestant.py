"""The interface of all contestants, by which the same code checks and times them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from fastnn._bench.peers import _modules, _threads
from fastnn._bench.shapes import Case
from fastnn._bench.works import Array, PredictionWork, TrainingWork

# 10 milliseconds of a loop whose steps take 10 microseconds.
_PYTHON_EPOCHS = 1000


class Contestant:
    """A way to do a work.

    Attributes
    ----------
    name : str
        As tables show it.
    modules : tuple of str
        What it imports beside NumPy.
    multiplies_by_blas : bool
        Whether the threads of BLAS have to be limited.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()
    multiplies_by_blas: ClassVar[bool] = False

    @classmethod
    def missing(cls) -> str | None:
        """Return None if all that it imports is installed, else the word to say."""
        return _modules.missing(*cls.modules) or (_threads.missing() if cls.multiplies_by_blas else None)


class Trainer(Contestant, ABC):
    """Trains a network from `works.initial_parameters`.

    Parameters
    ----------
    work : TrainingWork
        What to do; `work.case.rows` says how many rows will come.
    n_threads : int
        How many threads it may use; fastnn's own are set by `fastnn.set_num_threads`.

    Attributes
    ----------
    loops_in_python : bool
        Whether a step takes so long that fewer epochs are enough to time it.
    """

    loops_in_python: ClassVar[bool] = False

    @classmethod
    def why_not(cls, work: TrainingWork) -> str | None:
        """Return None if it can do this work here, else why it can't."""
        return cls.missing() or cls.refusal(work)

    @classmethod
    def refusal(cls, work: TrainingWork) -> str | None:
        """Return why it can't do this work wherever it is installed, if so."""
        return None

    @classmethod
    def epochs(cls, case: Case) -> int:
        """Return how many epochs a call has to train, so that what it does once counts for nothing."""
        return min(case.epochs, _PYTHON_EPOCHS) if cls.loops_in_python else case.epochs

    @classmethod
    def tolerance(cls, work: TrainingWork) -> float:
        """Return by how much, relatively, its definitions make it differ from the reference, beside roundings."""
        return 0.0

    @abstractmethod
    def __init__(self, work: TrainingWork, n_threads: int) -> None: ...

    @abstractmethod
    def prepare(self, X: Array, y: Array) -> None:
        """Take the data (rows, n_in) and (rows, n_out), converted outside of the clock."""

    @abstractmethod
    def train(self, epochs: int) -> None:
        """Train for whole epochs, and return when they are done."""

    @abstractmethod
    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``, weights of shape (n_in, n_out)."""


class Predictor(Contestant, ABC):
    """Predicts with the parameters of `works.initial_parameters`: NumPy in, NumPy out.

    Parameters
    ----------
    work : PredictionWork
        What to do; `work.rows` says how many rows a call will have.
    n_threads : int
        How many threads it may use; fastnn's own are set by `fastnn.set_num_threads`.
    """

    @classmethod
    def why_not(cls, work: PredictionWork) -> str | None:
        """Return None if it can do this work here, else why it can't."""
        return cls.missing() or cls.refusal(work)

    @classmethod
    def refusal(cls, work: PredictionWork) -> str | None:
        """Return why it can't do this work wherever it is installed, if so."""
        return None

    @abstractmethod
    def __init__(self, work: PredictionWork, n_threads: int) -> None: ...

    @abstractmethod
    def predict(self, X: Array) -> Array:
        """Return the outputs for rows (rows, n_in), or for one of shape (n_in,)."""
