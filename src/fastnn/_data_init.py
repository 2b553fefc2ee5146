"""Initial parameters from data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn._checks import seeds as _seeds
from fastnn._checks.options import refusal, without_unknown
from fastnn._checks.scalars import flag
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._engine.finite import check_inputs
from fastnn._engine.networks import network_like
from fastnn._evaluated import Evaluated
from fastnn._layer_settings import EMBEDDED

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# The elements of all layers' outputs that are computed at once; of more rows, a random part is used.
_MAX_ELEMENTS = 1 << 26
# The rows whose mean sets a bias.
_ROWS_PER_BIAS = 5


class InitializedFromData(Evaluated):
    """The initialization of a model by its inputs; a base of `MLP`."""

    @without_unknown
    def init_from_data(self, X: ArrayLike, *, biases: bool = True, random_state: Any = None, **unknown: Never) -> None:
        """Scale the weights so that the inputs of all activations have unit variance on given data, and set the biases.

        Layer by layer, from the first to the output layer: the weights of each unit are divided by the standard deviation of
        ``x @ W`` over the rows, where x are the layer's inputs: those of the first layer are the outputs of embeddings,
        and are scaled, if the model does so. Its bias then becomes minus a random mean of five values of ``x @ W``, with
        weights that are uniformly distributed among those that sum to 1. The units therefore change their sign at different
        places within the data. This is the initialization of RealMLP.

        Call it before training, with inputs that are scaled like those of the training. A unit whose ``x @ W`` is the same
        for all rows, such as all units of ``init="zeros"``, keeps its weights.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in)
            Inputs: at least two rows. Of many rows (2**26 outputs of units in total), a random part is used.
        biases : bool, default True
            Whether to set the biases too.
        random_state : int, numpy.random.Generator or other seed, optional
            The source of random numbers for the biases and the rows. The default is the model's own generator.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value, or if the model is a shared ensemble. Nothing has changed
            then.
        OverflowError
            If ``x @ W``, or the new weights, are too large for the dtype of the model. The parameters have not changed then.

        References
        ----------
        D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
        data", NeurIPS 2024.
        P. Krähenbühl, C. Doersch, J. Donahue and T. Darrell, "Data-dependent initializations of convolutional neural
        networks", ICLR 2016.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import MLP
        >>> X = np.random.default_rng(0).normal(3, 100, (500, 4))
        >>> model = MLP((4, 32, 32, 1), "relu", random_state=0)
        >>> model.init_from_data(X)
        >>> model.predict(X).std(axis=0).round(3)
        array([1.], dtype=float32)
        """
        if unknown:
            raise refusal(InitializedFromData.init_from_data, (self,), unknown)
        self._refuse_shared("init_from_data")
        with_biases = flag("biases", biases)
        rng = self._rng if random_state is None else _seeds.generator(random_state)
        self._check_columns("X", X)
        matrix, one = _arrays.as_matrix("X", X, self.layer_sizes[0])
        rows = _arrays.rows("X", matrix, self.layer_sizes[0], self.dtype)
        if one or len(rows) < 2:
            raise ValueError(f"X: expected at least two rows, whose variance is used, got {len(rows)}")
        if self.embeddings and isinstance(rows, _core.SparseRows):
            raise TypeError("X: expected a dense array for a model with embeddings, got a sparse matrix")
        check_inputs("X", rows, self.dtype, codes=self._codes)
        own = self._network
        n_embedded = len(own.parameters["weights"][0]) if own.embeddings else 0
        most = max(2, _MAX_ELEMENTS // (n_embedded + sum(self.layer_sizes)))
        if len(rows) > most:
            rows = _arrays.chosen_rows(rows, np.sort(rng.choice(len(rows), most, replace=False)))
        network = network_like(own)
        network.storage[...] = own.storage
        for layer in range(len(self.layer_sizes) - 1):
            inputs = rows if layer == 0 else network.outputs(rows)[layer - 1]
            _initialize_layer(network, layer, inputs, rng if with_biases else None)
        own.storage[...] = network.storage


def _initialize_layer(network: _core.Network, layer: int, inputs: Any, rng: np.random.Generator | None) -> None:
    """Set the weights of a layer, and with `rng` its biases, by its inputs.

    Raises
    ------
    OverflowError
        If their products with the weights, or the new weights, are not finite.
    """
    weights, biases = network.parameters["weights"][layer], network.parameters["biases"][layer]
    sums = _products(network, layer, inputs)
    if not np.isfinite(sums).all():
        raise OverflowError(f"X: the products with the weights of layer {layer + 1} are not finite in {network.dtype}")
    deviations = sums.std(axis=0, dtype=np.float64)
    rounding = 8 * np.finfo(network.dtype).eps * np.abs(sums).max(axis=0)
    scales = np.where(deviations > rounding, deviations, 1.0)
    with np.errstate(over="ignore"):
        weights /= scales
    if not np.isfinite(weights).all():
        raise OverflowError(f"X: the inputs of layer {layer + 1} vary too little for weights in {network.dtype}")
    if rng is not None:
        chosen = rng.integers(0, len(sums), (_ROWS_PER_BIAS, sums.shape[1]))
        shares = rng.exponential(size=chosen.shape)  # which, divided by their sum, are uniformly distributed on the simplex
        values = np.take_along_axis(sums, chosen, axis=0) / scales
        biases[...] = -(shares * values).sum(axis=0) / shares.sum(axis=0)


def _products(network: _core.Network, layer: int, inputs: Any) -> NDArray[Any]:
    """Return the sums of a layer without biases, given its inputs, or the rows of X for the first layer."""
    weights, scales = network.parameters["weights"][layer], network.parameters["scales"][layer]
    embeddings = network.embeddings if layer == 0 else ()
    sizes = inputs.shape[1], weights.shape[1]
    linear = _core.Network(sizes, ("identity",), (0.0,), network.dtype, embeddings=embeddings)
    factors: Any = 1.0 if scales is None else scales[:, np.newaxis]
    linear.parameters["weights"][0][...] = factors * weights  # (x s) W = x (s W)
    for own, given in zip(linear.parameters[EMBEDDED], network.parameters[EMBEDDED] if layer == 0 else (), strict=True):
        if own is not None:
            own[...] = given
    return linear.predict(inputs)
