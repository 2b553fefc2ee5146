"""The two-layer network of the backpropagation tutorials: the same class and names, but computed by the kernels."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _state
from fastnn._checks import columns as _columns
from fastnn._checks.floats import check_shape
from fastnn._checks.limits import MAX_UNITS
from fastnn._checks.masks import unmasked
from fastnn._checks.scalars import integer, real
from fastnn._errors import DivergedError
from fastnn._model import MLP
from fastnn._trainer import Trainer
from fastnn._views import values_for
from fastnn.optimizers import SGD

_Array = NDArray[np.float64]
_NAMES = ("W1", "b1", "W2", "b2")


def _parameter(number: int) -> Any:
    """Return a property for one of the model's parameters. Biases have the shape (1, n)."""

    def get(self: NeuralNetwork) -> _Array:
        view = self._model.parameters[number]
        return view if view.ndim == 2 else view[None, :]

    def set_(self: NeuralNetwork, value: ArrayLike) -> None:
        view = get(self)
        if np.ndim(value) == 1 and number in (1, 3):
            view = view[0]
        view[...] = value if np.ndim(value) == 0 else values_for(_NAMES[number], view, value)

    return property(get, set_)


class NeuralNetwork:
    """A network with one hidden layer of tanh units and linear outputs, in float64.

    It is trained by plain gradient descent on the mean squared error. ``np.random.randn`` draws the initial weights, first
    W1 and then W2, so that ``np.random.seed`` makes a run repeatable. Biases start at zero.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        The numbers of units.
    learning_rate : float
        The value of the attribute of the same name, which has no other effect: `train` has its own argument.

    Attributes
    ----------
    W1, W2 : ndarray, shapes (input_size, hidden_size) and (hidden_size, output_size)
    b1, b2 : ndarray, shapes (1, hidden_size) and (1, output_size)
        The parameters. Writing into an array, or assigning another one, changes the network at once.
    h1, y_pred : ndarray
        The outputs of the hidden layer and of the network in the last call of `forward`.
    dW1, db1, dW2, db2 : ndarray
        The gradients that the last call of `backward` computed.

    Notes
    -----
    `train` runs in native code, unless a subclass or an object has a `forward` or `backward` of its own. In that case it
    runs in Python. For every batch, it calls both methods, and then subtracts ``learning_rate`` times dW1, db1, dW2 and db2.

    Examples
    --------
    >>> import numpy as np
    >>> np.random.seed(0)
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y_true = np.array([[0], [1], [1], [0]])
    >>> nn = NeuralNetwork(2, 2, 1, 0.1)
    >>> W1, b1, W2, b2 = nn.train(X, y_true, epochs=10000, batch_size=4, learning_rate=0.1)
    >>> nn.forward(X).round(2).ravel() + 0
    array([0., 1., 1., 0.])
    """

    W1, b1, W2, b2 = (_parameter(number) for number in range(4))

    def __init__(self, input_size: int, hidden_size: int, output_size: int, learning_rate: float) -> None:
        self.input_size = integer("input_size", input_size, low=1, high=MAX_UNITS)
        self.hidden_size = integer("hidden_size", hidden_size, low=1, high=MAX_UNITS)
        self.output_size = integer("output_size", output_size, low=1, high=MAX_UNITS)
        self.learning_rate = real("learning_rate", learning_rate, low=0.0)
        sizes = (self.input_size, self.hidden_size, self.output_size)
        self._model = MLP(sizes, "tanh", init="zeros", dtype=np.float64)
        # NumPy's legacy global generator is deliberate: programs that use this class set its seed.
        self.W1 = np.random.randn(input_size, hidden_size)  # noqa: NPY002
        self.W2 = np.random.randn(hidden_size, output_size)  # noqa: NPY002

    def forward(self, X: ArrayLike) -> _Array:
        """Return the outputs (n, output_size) for inputs (n, input_size)."""
        _columns.check_same("X", _columns.names_of("X", X), self._model.feature_names)
        rows = np.atleast_2d(unmasked("X", X))
        (self.h1,) = self._model.hidden_activations(rows)
        self.y_pred = self._model.predict(rows)
        return self.y_pred

    def backward(self, X: ArrayLike, y_true: ArrayLike, y_pred: ArrayLike) -> None:
        """Set dW1, db1, dW2 and db2 to the gradients of the mean squared error, with the h1 of the last `forward`.

        Raises
        ------
        ValueError
            If the rows are not as many as those of the last `forward`, or the shapes of outputs and targets do not fit.
        """
        rows, predicted = (np.atleast_2d(unmasked(name, given)) for name, given in (("X", X), ("y_pred", y_pred)))
        rows, truth = rows.astype(np.float64, copy=False), unmasked("y_true", y_true)
        n_forward = len(self.h1) if hasattr(self, "h1") else 0
        if len(rows) != n_forward:
            raise ValueError(f"X: expected the rows of the last call of forward, which had {n_forward}, got {len(rows)}")
        check_shape("y_pred", predicted, (len(rows), self.W2.shape[1]))
        if truth.size != predicted.size:
            raise ValueError(f"y_true: expected shape {predicted.shape}, got {truth.shape}")
        delta_2 = 2.0 / predicted.size * (predicted - truth.reshape(predicted.shape))
        delta_1 = (delta_2 @ self.W2.T) * (1.0 - self.h1**2)
        self.dW2, self.db2 = self.h1.T @ delta_2, delta_2.sum(axis=0, keepdims=True)
        self.dW1, self.db1 = rows.T @ delta_1, delta_1.sum(axis=0, keepdims=True)

    def train(
        self, X: ArrayLike, y_true: ArrayLike, epochs: int, batch_size: int, learning_rate: float
    ) -> tuple[_Array, _Array, _Array, _Array]:
        """Train on consecutive batches in the given order, and return W1, b1, W2 and b2.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        DivergedError
            If the loss becomes NaN or infinite.
        """
        trainer = Trainer(self._model, "mse", SGD(learning_rate), batch_size=batch_size, shuffle=False)
        if self._has_own_methods():
            trainer.run(X, y_true, 0)  # checks all arguments
            self._train_by_own_methods(np.asarray(X), np.asarray(y_true), epochs, batch_size, learning_rate)
        else:
            trainer.run(X, y_true, epochs)
        return self.W1, self.b1, self.W2, self.b2

    def _has_own_methods(self) -> bool:
        known = (NeuralNetwork.forward, NeuralNetwork.backward)
        return any(getattr(own, "__func__", None) not in known for own in (self.forward, self.backward))

    def _train_by_own_methods(
        self, X: NDArray[Any], y_true: NDArray[Any], epochs: int, batch_size: int, learning_rate: float
    ) -> None:
        for epoch in range(1, integer("epochs", epochs, low=0) + 1):
            before = self._model.to_vector()
            for start in range(0, len(X), batch_size):
                rows = slice(start, start + batch_size)
                y_pred = self.forward(X[rows])
                self.backward(X[rows], y_true[rows], y_pred)
                for name in _NAMES:
                    setattr(self, name, getattr(self, name) - learning_rate * np.asarray(getattr(self, f"d{name}")))
                if not (np.isfinite(y_pred).all() and np.isfinite(self._model.to_vector()).all()):
                    self._model.set_vector(before)
                    raise DivergedError(
                        f"outputs or parameters are not finite in epoch {epoch}; the parameters were restored to the last "
                        "epoch with finite ones. A smaller learning rate or scaled inputs may help.",
                        epoch,
                    )

    def __copy__(self) -> NeuralNetwork:
        """Return a network with parameters of its own, which shares all other attributes with this one."""
        other: NeuralNetwork = _state.new(type(self))
        _state.set_attributes(other, _state.attributes_of(self, frozenset()))
        other._model = copy.copy(self._model)
        return other
