"""`as_numba`, and the objects that it returns."""

from __future__ import annotations

from typing import Any, overload

from numpy.typing import ArrayLike, NDArray

from fastnn._model import MLP
from fastnn._native import handle_of
from fastnn._trainer import Trainer


class NumbaModel:
    """A model in the form for code that Numba compiles; see `as_numba`."""

    def __init__(self, model: MLP) -> None:
        self._model = model
        self._native_handle, self.dtype = handle_of(model), model.dtype

    def predict(self, X: ArrayLike, out: NDArray[Any] | None = None, n_threads: int | None = None) -> NDArray[Any]:
        """Return the outputs of the model, like `MLP.predict`. It works in Python and in compiled code."""
        return self._model.predict(X, out=out, n_threads=n_threads)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the parts for copies and pickles, which contain a copy of the model."""
        return as_numba, (self._model,)

    def __repr__(self) -> str:
        """Return a text with the model."""
        return f"as_numba({self._model!r})"


class NumbaTrainer:
    """A trainer in the form for code that Numba compiles; see `as_numba`."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        handle_of(self)  # refuses a schedule now

    @property
    def _native_handle(self) -> tuple[tuple[int, ...], object]:
        return handle_of(self._trainer)

    def step(self, X: ArrayLike, y: ArrayLike) -> float:
        """Make one update on one batch, like `Trainer.step`. It works in Python and in compiled code."""
        return self._trainer.step(X, y)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the parts for copies and pickles, which contain a copy of the trainer."""
        return as_numba, (self._trainer,)

    def __repr__(self) -> str:
        """Return a text with the trainer."""
        return f"as_numba({self._trainer!r})"


@overload
def as_numba(model: MLP) -> NumbaModel: ...
@overload
def as_numba(model: Trainer) -> NumbaTrainer: ...
def as_numba(model: MLP | Trainer) -> NumbaModel | NumbaTrainer:
    """Return an object that passes a model or a trainer to functions under ``@numba.njit``.

    Such functions also accept models and trainers themselves, as arguments or as global variables. Passing the object that
    this function returns is slightly faster.

    Parameters
    ----------
    model : MLP or Trainer
        The model or trainer, which is not copied. Changes in compiled code and in Python are visible in the other.

    Returns
    -------
    object
        An object with the method ``predict(X, out=None, n_threads=None)`` or ``step(X, y)``, in Python and in compiled code.

    Raises
    ------
    TypeError
        If `model` is neither a model nor a trainer, or if it is a trainer whose learning rate is a schedule.

    Notes
    -----
    In compiled code, X is an array of numbers, (n, n_in) or (n_in,), in any layout; it is not checked for NaN. Compiled code
    keeps the models and trainers that it refers to alive, also in generators and lists. A function that refers to a
    global model or trainer can't be cached on disk. Pass it as an argument instead.

    Examples
    --------
    >>> import numba
    >>> import numpy as np
    >>> import fastnn
    >>> @numba.njit
    ... def simulate(policy, position, steps):
    ...     state = np.array([position], np.float32)
    ...     for _ in range(steps):
    ...         state += policy.predict(state)
    ...     return state[0]
    >>> policy = fastnn.MLP((1, 1), output_activation="tanh")
    >>> policy.weights[0][...] = -0.5
    >>> round(simulate(fastnn.jit.as_numba(policy), 1.0, 3), 4)
    0.1385
    """
    if isinstance(model, MLP):
        return NumbaModel(model)
    if isinstance(model, Trainer):
        return NumbaTrainer(model)
    raise TypeError(f"model: expected MLP or Trainer, got {type(model).__name__}")
