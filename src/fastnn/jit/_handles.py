"""`as_numba`, and the objects that it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastnn._model import MLP
from fastnn._native import handle_of, handle_with_loss
from fastnn._trainer import Trainer
from fastnn.losses import Loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class NumbaModel:
    """A model in the form for code that Numba compiles, with the loss that its methods compute by default; see `as_numba`.

    Gradients with respect to the parameters are one vector in the order of `MLP.to_vector`, in Python and in compiled code.
    """

    def __init__(self, model: MLP, loss: str | Loss | None = None) -> None:
        self._model, self._loss = model, loss
        self._native_handle = handle_of(model) if loss is None else handle_with_loss(model, loss)
        self.dtype = model.dtype

    def predict(self, X: ArrayLike, out: NDArray[Any] | None = None, n_threads: int | None = None) -> NDArray[Any]:
        """Return the outputs of the model, like `MLP.predict`. It works in Python and in compiled code."""
        return self._model.predict(X, out=out, n_threads=n_threads)

    def jacobian(self, X: ArrayLike, out: NDArray[Any] | None = None, n_threads: int | None = None) -> NDArray[Any]:
        """Return the derivatives of the outputs with respect to the inputs, as `MLP.jacobian` does."""
        return self._model.jacobian(X, out=out, n_threads=n_threads)

    def vjp(self, X: ArrayLike, G: ArrayLike, inputs: bool = False, out: Any = None, n_threads: int | None = None) -> Any:
        """Return G times the derivatives of the outputs with respect to the parameters, and with `inputs` to X."""
        products = self._model.vjp(X, G, inputs=inputs, n_threads=n_threads)
        if not inputs:
            return _delivered(_vector(products), out)
        to, to_input = (None, None) if out is None else out
        return _delivered(_vector(products[0]), to), _delivered(products[1], to_input)

    def loss(self, X: ArrayLike, y: ArrayLike, loss: str | Loss | None = None) -> float:
        """Return a loss, as `MLP.loss` does."""
        return self._model.loss(X, y, self._chosen(loss))

    def gradient(
        self, X: ArrayLike, y: ArrayLike, loss: str | Loss | None = None, *, out: NDArray[Any] | None = None
    ) -> tuple[float, NDArray[Any]]:
        """Return a loss and its gradient with respect to the parameters."""
        value, gradients = self._model.gradient(X, y, self._chosen(loss))
        return value, _delivered(_vector(gradients), out)

    def input_gradient(
        self, X: ArrayLike, y: ArrayLike, loss: str | Loss | None = None, *, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the gradient of a loss with respect to the inputs, as `MLP.input_gradient` does."""
        return self._model.input_gradient(X, y, self._chosen(loss), out=out)

    def to_vector(self) -> NDArray[Any]:
        """Return all parameters in one new vector, as `MLP.to_vector` does."""
        return self._model.to_vector()

    def set_vector(self, v: ArrayLike) -> None:
        """Take all parameters from a vector, as `MLP.set_vector` does."""
        self._model.set_vector(v)

    def _chosen(self, loss: str | Loss | None) -> str | Loss:
        if loss is not None:
            return loss
        return "mse" if self._loss is None else self._loss

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the parts for copies and pickles, which contain a copy of the model."""
        return as_numba, (self._model, self._loss)

    def __repr__(self) -> str:
        """Return a text with the model, and with the loss if there is one."""
        return f"as_numba({self._model!r}{'' if self._loss is None else f', {self._loss!r}'})"


def _vector(gradients: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([gradient.ravel() for gradient in gradients])


def _delivered(result: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """Return the result, in `out` if it is given."""
    if out is None:
        return result
    if not isinstance(out, np.ndarray) or out.dtype != result.dtype or out.shape != result.shape:
        got = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out: expected {result.dtype} of shape {result.shape}, got {got}")
    out[...] = result
    return out


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

    def step_gradient(self, X: ArrayLike, G: ArrayLike) -> None:
        """Make one update by a gradient of the outputs, as `Trainer.step_gradient` does, in compiled code or not."""
        self._trainer.step_gradient(X, G)

    def accumulate(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *, G: ArrayLike | None = None
    ) -> float | None:
        """Add the gradient of a batch to those of earlier batches, as `Trainer.accumulate` does, in compiled code or not."""
        return self._trainer.accumulate(X, y, sample_weight, G=G)

    def apply(self) -> None:
        """Make one update with the accumulated gradients, as `Trainer.apply` does, in compiled code or not."""
        self._trainer.apply()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the parts for copies and pickles, which contain a copy of the trainer."""
        return as_numba, (self._trainer,)

    def __repr__(self) -> str:
        """Return a text with the trainer."""
        return f"as_numba({self._trainer!r})"


@overload
def as_numba(model: MLP, loss: str | Loss | None = None) -> NumbaModel: ...
@overload
def as_numba(model: Trainer) -> NumbaTrainer: ...
def as_numba(model: MLP | Trainer, loss: str | Loss | None = None) -> NumbaModel | NumbaTrainer:
    """Return an object that passes a model or a trainer to functions under ``@numba.njit``.

    Such functions also accept models and trainers themselves, as arguments or as global variables. Passing the object that
    this function returns is slightly faster.

    Parameters
    ----------
    model : MLP or Trainer
        The model or trainer, which is not copied. Changes in compiled code and in Python are visible in the other.
    loss : str or Loss, optional
        The loss that the model's `loss`, `gradient` and `input_gradient` compute if they are called without one. The default
        is ``"mse"``. In compiled code, a call can name other losses, without options.

    Returns
    -------
    object
        An object with the model's ``predict``, ``jacobian``, ``vjp``, ``loss``, ``gradient``, ``input_gradient``,
        ``to_vector`` and ``set_vector``, or with the trainer's ``step``, ``step_gradient``, ``accumulate`` and ``apply``, in
        Python and in compiled code. Gradients with respect to the parameters are one vector in the order of ``to_vector``.

    Raises
    ------
    TypeError
        If `model` is neither a model nor a trainer, if it is a trainer whose learning rate is a schedule, or if a loss is
        given for a trainer.
    ValueError
        If the loss does not suit the model.

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
        return NumbaModel(model, loss)
    if isinstance(model, Trainer):
        if loss is not None:
            raise TypeError("loss: expected none with a trainer, which has its own, got one")
        return NumbaTrainer(model)
    raise TypeError(f"model: expected MLP or Trainer, got {type(model).__name__}")
