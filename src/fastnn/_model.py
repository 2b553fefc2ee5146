"""The multi-layer perceptron: its constructor, and training in one call."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn._checks import layers as _layers
from fastnn._checks import seeds as _seeds
from fastnn._checks.layers import Activation
from fastnn._checks.options import explained, names_of_options, way_to
from fastnn._derivatives import Differentiated
from fastnn._engine import core as _core
from fastnn._engine.losses import builtin_losses
from fastnn._history import History
from fastnn._initializers import check_init, initialize
from fastnn._metrics import Metric
from fastnn._progress import ProgressBar
from fastnn._stored import Stored
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, Optimizer


class MLP(Differentiated, Stored):
    """A network of dense layers, each a matrix product, a bias and an activation.

    Parameters
    ----------
    layer_sizes : sequence of int
        ``(n_in, hidden…, n_out)``: two to 65 numbers of units.
    activation : str, custom activation or sequence of them, default "relu"
        Of all hidden layers, or of each: identity, tanh, sigmoid, relu, leaky_relu, prelu, elu, gelu, silu, selu, mish,
        softplus, sin, or an activation that `fastnn.jit.activation` made, or its name.
    output_activation : str or custom activation, default "identity"
        Of the output layer: one of these, softmax or exp.
    dropout : float or sequence of float, default 0.0
        Probability, below 1, that a hidden unit is left out of a training step; the others are scaled up.
    init : str, default "auto"
        Initial weights: glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal, zeros.
        "auto" is he_normal for layers of the ReLU family, lecun_normal for SELU, and glorot_uniform for the rest.
        Biases start at zero.
    dtype : float32 or float64, default float32
        Of parameters, results, and all arithmetic.
    random_state : int, numpy.random.Generator or other seed, optional
        Draws the initial weights, and the random numbers of training unless a trainer is given its own.

    Attributes
    ----------
    weights, biases : list of ndarray, shapes (n_in, n_out) and (n_out,)
        Live views, with gaps between rows: writing into them changes the model at once. So does assigning to elements of
        the lists, or to the whole attribute: ``model.weights[0] = W`` copies W, whose shape must be the same.
    slopes : list of ndarray, shape (n_out,), or None
        Live views of the trained slopes of layers with activation "prelu", which are 0.25 at first; None for other layers.
        Penalties and weight decay leave them alone.
    parameters : list of ndarray
        All of them, layer by layer: weights, biases, and slopes if the layer has some, ``[W1, b1, W2, b2, …]``.
    feature_names : tuple of str or None
        Names of the columns of the first frame that the model was trained on.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.
    MemoryError
        If the parameters do not fit into memory.

    Notes
    -----
    Copies and pickles have parameters of their own, and keep the attributes of a subclass. A shallow ``copy.copy`` shares
    these and the random generator. Files have the network alone.

    Training computes in native code, and calls no method that a subclass has replaced. It raises TypeError where that is
    ``loss`` or ``gradient``, or if the model has a ``forward`` or ``backward``.

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

    @explained
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
        sizes = _layers.sizes_of_layers(layer_sizes)
        n_hidden = len(sizes) - 2
        activations = _layers.layer_activations(activation, output_activation, n_hidden, _core.LAYER_ACTIVATIONS)
        rates = _layers.dropout_rates(dropout, n_hidden)
        check_init(init)
        float_type = _layers.float_dtype(dtype)
        self._rng = _seeds.generator(random_state)
        try:
            self._network = _core.Network(sizes, activations, (*rates, 0.0), float_type)
            self._initialize(initialize(sizes, activations, init, self._rng))
        except MemoryError:
            count = sum(n_in * n_out + n_out for n_in, n_out in itertools.pairwise(sizes))
            raise MemoryError(f"layer_sizes: there is no memory for {count} parameters in {float_type}") from None

    def _begin(self, sizes: tuple[int, ...], hidden: Sequence[Activation], output: Activation, **options: Any) -> None:
        MLP.__init__(self, sizes, hidden, output, init="zeros", random_state=0, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        """Raise AttributeError for a setting that would change nothing, unless a subclass has an attribute of that name."""
        own = getattr(MLP, name, None)
        parameter = _FIXED.get(name)
        if parameter and (type(self) is MLP or (own is not None and getattr(type(self), name, None) is own)):
            raise AttributeError(f"{name}: a model keeps what it was made with; MLP(…, {parameter}=…) makes another")
        if type(self) is MLP and name in _OF_TRAINING and not callable(value):
            raise AttributeError(f"{name}: a model has no such setting; {way_to(name)}")
        super().__setattr__(name, value)

    @property
    def _native_model(self) -> tuple[int, int, int]:
        """Return the form in which compiled code holds a model: its address, and its numbers of inputs and outputs."""
        return self._native_handle[0]

    @property
    def _native_handle(self) -> tuple[tuple[int, int, int], _core.Network]:
        """Return the same and the object that the address is in, which keeps it valid."""
        network = self._network
        network.bind(builtin_losses)
        return (network.address, network.layer_sizes[0], network.layer_sizes[-1]), network

    @explained
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer | LBFGS | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        l1: float = 0.0,
        l2: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lazy_updates: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        metrics: Sequence[str | Metric] = (),
        callbacks: Sequence[Any] = (),
        progress: bool | ProgressBar | None = None,
    ) -> History:
        """Train the model from its present weights: ``Trainer(self, …).run(X, y, …)``.

        This trainer is new each time. To keep the optimizer's state from one run to the next, make a `Trainer`.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, shape (n, n_in)
            Inputs of any real dtype. The names of a frame's columns are kept, see `feature_names`.
        y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
            Targets, row by row; the index of a Series or frame is not looked at.
        loss : str or Loss, default "mse"
            mse, mae, huber, quantile, cosine, hinge, squared_hinge, gaussian_nll and multi_quantile go with every output
            activation, poisson with "exp", binary_cross_entropy with "sigmoid", cross_entropy (for labels, too) and
            kl_divergence with "softmax"; these four also with "identity". See `fastnn.losses`.
        optimizer : str or Optimizer, default Adam()
            See `fastnn.optimizers`; it has the learning rate: ``Adam(learning_rate=0.01)``.
        epochs : int, default 1
            Passes over all rows.
        batch_size : int, default 32
            Rows of a step; the last batch of an epoch may be shorter.
        shuffle : bool, default True
            Take the rows in a new order in every epoch.
        l1, l2 : float, default 0.0
            Penalties ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)`` over all weights, no biases.
        clip_norm, clip_value : float, optional
            The gradient of all parameters is scaled down to this norm; before, each element is cut to ±clip_value.
        lazy_updates : bool, default False
            Leave the weights of features alone that are zero in all rows of a batch of sparse inputs; see `Trainer`.
        random_state : int, numpy.random.Generator or other seed, optional
            For shuffling and dropout; the model's own generator goes on if not given.
        n_threads : int, optional
            As many as pay, if not given. Results are the same to the last bit.
        sample_weight : array-like, shape (n,), optional
            Weights of the rows in a batch's mean.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Its loss after each epoch, without penalties and dropout, is the history's "val_loss".
        metrics : sequence of str and callables, default ()
            accuracy, r2, mae, mse, rmse, or functions of (y_true, y_pred): columns of the history, see `Trainer.run`.
        callbacks : sequence, default ()
            Objects with ``on_epoch_end(trainer, history)``; see `fastnn.callbacks`.
        progress : bool or ProgressBar, optional
            True shows a bar on the standard error stream.

        Returns
        -------
        History
            Losses, metrics, learning rates and seconds, one value per epoch. If Ctrl-C ends the training, it is the
            attribute ``history`` of the KeyboardInterrupt.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed. NaN and infinity are
            named by row and column.
        DivergedError
            If the loss is no longer finite. Parameters are restored to the last finite epoch.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> MLP((1, 16, 1), "tanh", random_state=0).fit(X, X**2, epochs=3).epochs
        3
        """
        from fastnn._trainer import Trainer

        trainer = Trainer(
            self,
            loss,
            optimizer,
            batch_size=batch_size,
            shuffle=shuffle,
            l1=l1,
            l2=l2,
            clip_norm=clip_norm,
            clip_value=clip_value,
            lazy_updates=lazy_updates,
            random_state=random_state,
            n_threads=n_threads,
        )
        return trainer.run(
            X,
            y,
            epochs,
            sample_weight=sample_weight,
            validation_data=validation_data,
            metrics=metrics,
            callbacks=callbacks,
            progress=progress,
        )

    def __repr__(self) -> str:
        """Return sizes, activations and dtype as text."""
        *hidden, output = self.activations
        shown: Any = hidden[0] if len(set(hidden)) == 1 else list(hidden)
        parts = [repr(self.layer_sizes)] + ([f"activation={shown!r}"] if hidden else [])
        return f"MLP({', '.join(parts)}, output_activation={output!r}, dtype={self.dtype.name})"


# By attribute that can't be assigned: the parameter of `MLP` that decides it.
_FIXED = {name: name for name in names_of_options(MLP.__init__)} | {"activations": "activation"}
# Attributes that would do nothing: they are options of training.
_OF_TRAINING = names_of_options(MLP.fit) - {"X", "y"} | {"learning_rate"}
