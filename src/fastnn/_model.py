"""The multi-layer perceptron: parameters, and what can be asked of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _arguments, _arrays, _custom, _files, _random
from fastnn._arguments import Activation
from fastnn._backend import core as _core
from fastnn._custom import CustomActivation
from fastnn._history import History
from fastnn._initializers import check_init, initialize
from fastnn.losses import Loss
from fastnn.losses import resolve as resolve_loss
from fastnn.optimizers import Optimizer


class MLP:
    """A network of dense layers, each a matrix product, a bias and an activation.

    Parameters
    ----------
    layer_sizes : sequence of int
        ``(n_in, hidden…, n_out)``: two to 65 numbers of units.
    activation : str, custom activation or sequence of them, default "relu"
        Of all hidden layers, or of each: identity, tanh, sigmoid, relu, leaky_relu, elu, gelu, silu, softplus, sin,
        or what `fastnn.jit.activation` made, or its name.
    output_activation : str or custom activation, default "identity"
        Of the output layer: one of these, softmax or exp.
    dropout : float or sequence of float, default 0.0
        Probability, below 1, that a hidden unit is left out of a training step; the others are scaled up.
    init : str, default "auto"
        Initial weights: glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal, zeros.
        "auto" is he_normal for layers of the ReLU family and glorot_uniform for the rest. Biases start at zero.
    dtype : float32 or float64, default float32
        Of parameters, results, and all arithmetic.
    random_state : int, numpy.random.Generator or other seed, optional
        Draws the initial weights, and what training needs unless a trainer is given its own.

    Attributes
    ----------
    weights, biases : list of ndarray, shapes (n_in, n_out) and (n_out,)
        Live views, with gaps between rows: writing into them changes the model at once.
    parameters : list of ndarray
        Both interleaved, ``[W1, b1, W2, b2, …]``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([[0], [1], [1], [0]])
    >>> model = MLP((2, 8, 1), activation="tanh", random_state=0)
    >>> history = model.fit(X, y, epochs=2000)
    >>> model.predict(X).round(1).ravel() + 0
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Activation | Sequence[Activation] = "relu",
        output_activation: Activation = "identity",
        *,
        dropout: float | Sequence[float] = 0.0,
        init: str = "auto",
        dtype: DTypeLike = np.float32,
        random_state: Any = None,
    ) -> None:
        sizes = _arguments.sizes_of_layers(layer_sizes)
        n_hidden = len(sizes) - 2
        activations = _arguments.layer_activations(activation, output_activation, n_hidden)
        rates = _arguments.dropout_rates(dropout, n_hidden)
        check_init(init)
        self._rng = _random.generator(random_state)
        self._network = _core.Network(sizes, activations, (*rates, 0.0), _arguments.float_dtype(dtype))
        for view, drawn in zip(self._network.weights, initialize(sizes, activations, init, self._rng), strict=True):
            view[...] = drawn

    # ---- What the model is ----

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of units: inputs, hidden layers, outputs."""
        return self._network.layer_sizes

    @property
    def activations(self) -> tuple[Activation, ...]:
        """One a layer, the output layer's last."""
        return self._network.activations

    @property
    def dropout(self) -> tuple[float, ...]:
        """One a hidden layer."""
        return self._network.dropout[:-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the parameters: float32 or float64."""
        return self._network.dtype

    @property
    def weights(self) -> list[NDArray[Any]]:
        """Live views (n_in, n_out), one a layer."""
        return list(self._network.weights)

    @property
    def biases(self) -> list[NDArray[Any]]:
        """Live views (n_out,), one a layer."""
        return list(self._network.biases)

    @property
    def parameters(self) -> list[NDArray[Any]]:
        """Live views, weights and biases interleaved: ``[W1, b1, W2, b2, …]``."""
        return [p for pair in zip(self._network.weights, self._network.biases, strict=True) for p in pair]

    def to_vector(self) -> NDArray[Any]:
        """Return all parameters in one new vector: W1 row by row, b1, W2, …."""
        return np.concatenate([p.ravel() for p in self.parameters])

    def set_vector(self, v: ArrayLike) -> None:
        """Take all parameters from a vector in the order of `to_vector`."""
        vector = _arrays.real_array("v", v)
        size = sum(p.size for p in self.parameters)
        if vector.shape != (size,):
            raise ValueError(f"v: got shape {vector.shape}, expected ({size},): one number a parameter")
        with np.errstate(over="ignore"):
            vector = vector.astype(self.dtype, copy=False)
        start = 0
        for p in self.parameters:
            p[...] = vector[start : start + p.size].reshape(p.shape)
            start += p.size

    @property
    def _native_model(self) -> tuple[int, int, int]:
        """What compiled code holds of a model: where it is, and its numbers of inputs and outputs."""
        return self._network.address, self.layer_sizes[0], self.layer_sizes[-1]

    # ---- What it computes ----

    def predict(self, X: ArrayLike, *, out: NDArray[Any] | None = None, n_threads: int | None = None) -> NDArray[Any]:
        """Return the outputs for rows of inputs, or for one.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Any real dtype, strides and byte order.
        out : ndarray, shape of the result, optional
            Where to put it, of the model's dtype.
        n_threads : int, optional
            As many as pay, if not given. The result is the same to the last bit.

        Returns
        -------
        ndarray, shape (n, n_out) or (n_out,)

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong shape or dtype.

        Examples
        --------
        >>> MLP((3, 4, 2)).predict([[1, 2, 3]]).shape
        (1, 2)
        """
        if type(X) is np.ndarray and out is None and n_threads is None and _core.readable(X):
            return self._network.predict(X)
        threads = _arrays.thread_count(n_threads)
        inputs = (
            _arrays.rows("X", X, self.layer_sizes[0], self.dtype) if _arrays.is_sparse(X) else _arrays.real_array("X", X)
        )
        result = self._network.predict(inputs, None, threads)
        if out is None:
            return result
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype or out.shape != result.shape:
            raise ValueError(
                f"out: got {getattr(out, 'dtype', type(out).__name__)} of shape {np.shape(out)}, "
                f"expected {self.dtype} of shape {result.shape}"
            )
        out[...] = result
        return out

    __call__ = predict

    def hidden_activations(self, X: ArrayLike) -> list[NDArray[Any]]:
        """Return what every hidden layer passes on: arrays (n, units)."""
        return self._network.outputs(_arrays.rows("X", X, self.layer_sizes[0], self.dtype))[:-1]

    def loss(self, X: ArrayLike, y: ArrayLike, loss: str | Loss = "mse", sample_weight: ArrayLike | None = None) -> float:
        """Return the loss of the predictions, without dropout.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in)
            Inputs.
        y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
            Targets.
        loss : str or Loss, default "mse"
            See `fastnn.losses`.
        sample_weight : array-like, shape (n,), optional
            Weights of the rows in the mean, of either sign: it is sum(w * loss) / sum(abs(w)). A row of weight 0 does
            not count, and may hold anything, NaN and labels out of range included. At least one must not be 0.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value. NaN and infinity are named by row and column, in rows whose
            weight is not 0.
        """
        return self._network.gradient(*self._loss_arguments(X, y, loss, sample_weight))

    def gradient(
        self, X: ArrayLike, y: ArrayLike, loss: str | Loss = "mse", sample_weight: ArrayLike | None = None
    ) -> tuple[float, list[NDArray[Any]]]:
        """Return the loss and its derivatives by the parameters, ``[gW1, gb1, …]``; arguments as for `loss`."""
        arguments = self._loss_arguments(X, y, loss, sample_weight)
        storage = _core.aligned_zeros(self._network.storage.size, self.dtype)
        value = self._network.gradient(*arguments, gradient=storage)
        pairs = zip(*self._network.views(storage), strict=True)
        return value, [np.ascontiguousarray(g) for pair in pairs for g in pair]

    def input_gradient(
        self, X: ArrayLike, y: ArrayLike, loss: str | Loss = "mse", sample_weight: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Return the loss's derivatives by the inputs, shape (n, n_in); arguments as for `loss`."""
        arguments = self._loss_arguments(X, y, loss, sample_weight)
        result = np.empty(arguments[1].shape, self.dtype)
        self._network.gradient(*arguments, input_gradient=result)
        return result

    def _loss_arguments(
        self, X: Any, y: Any, loss: str | Loss, sample_weight: Any
    ) -> tuple[_arguments.NativeLoss, _arrays.Rows, NDArray[Any], bool, NDArray[np.float64] | None]:
        loss = resolve_loss(loss)
        native = _arguments.native_loss(loss, self.activations[-1])
        return native, *_arrays.training_data(X, y, sample_weight, self.layer_sizes, loss, self.dtype)

    # ---- Training and keeping ----

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        callbacks: Sequence[Any] = (),
        progress: Any = None,
        **trainer_options: Any,
    ) -> History:
        """Train the model: `Trainer(self, …).run(X, y, …)`.

        Every parameter of `Trainer` and of `Trainer.run` can be given by name. A trainer of one's own keeps the
        optimizer's state from one run to the next; this one is new each time.

        Returns
        -------
        History
            Losses, learning rates and seconds, one value an epoch.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> MLP((1, 16, 1), "tanh", random_state=0).fit(X, X**2, epochs=3).epochs
        3
        """
        from fastnn._trainer import Trainer

        trainer = Trainer(self, loss, optimizer, batch_size=batch_size, **trainer_options)
        return trainer.run(
            X,
            y,
            epochs,
            sample_weight=sample_weight,
            validation_data=validation_data,
            callbacks=callbacks,
            progress=progress,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file: parameters, and the architecture in its metadata."""
        _files.write(path, "model", {"model": self._config()}, self._arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, custom_activations: Sequence[CustomActivation] = ()) -> MLP:
        """Read a model that `save` wrote, or that of a trainer's file.

        Parameters
        ----------
        path : str or path
            The file.
        custom_activations : sequence, default ()
            What `fastnn.jit.activation` made: files have the names of such activations alone. Those that have been
            defined in this process are found by their names.

        Raises
        ------
        ValueError
            If the file is none of these, or needs an activation that is neither given nor defined.
        """
        custom = _custom.check_given("custom_activations", custom_activations, CustomActivation)
        with _files.read(path, ("model", "trainer")) as (config, arrays):
            return cls._from(config["model"], arrays, custom)

    def _config(self) -> dict[str, Any]:
        return {
            "layer_sizes": self.layer_sizes,
            "activations": [a.name if isinstance(a, CustomActivation) else a for a in self.activations],
            "dropout": self.dropout,
            "dtype": self.dtype.name,
            "rng": _random.state_of(self._rng),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return _files.named(self._network.weights, self._network.biases)

    @classmethod
    def _from(cls, config: dict[str, Any], arrays: dict[str, NDArray[Any]], custom: Sequence[CustomActivation] = ()) -> MLP:
        sizes = tuple(config["layer_sizes"])
        # Before memory for them is taken.
        if [arrays[f"weights.{i}"].shape for i in range(len(sizes) - 1)] != list(itertools.pairwise(sizes)):
            raise ValueError(f"the arrays are not those of layers {sizes}")
        *hidden, output = _custom.activations_named(config["activations"], _core.ACTIVATIONS, custom)
        options = {name: config[name] for name in ("dropout", "dtype")}
        model = cls(sizes, hidden, output, init="zeros", random_state=0, **options)
        model._rng = _random.from_state(config["rng"])
        _files.fill(arrays, model._network.weights, model._network.biases)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Return what makes an equal model."""
        config = self._config() | {"activations": self.activations}
        return {"config": config, "arrays": self._arrays(), "rng": self._rng}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become the model that `state` tells of."""
        self.__dict__.update(self._from(state["config"], state["arrays"]).__dict__)
        self._rng = state["rng"]  # the object itself: a trainer pickled with the model shares it

    def __repr__(self) -> str:
        """Say sizes, activations and dtype."""
        *hidden, output = self.activations
        shown: Any = hidden[0] if len(set(hidden)) == 1 else list(hidden)
        parts = [repr(self.layer_sizes)] + ([f"activation={shown!r}"] if hidden else [])
        return f"MLP({', '.join(parts)}, output_activation={output!r}, dtype={self.dtype.name})"
