"""Functions of a fitted network other than its predictions."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine import core as _core
from fastnn._model import MLP
from fastnn._native import generator_of, network_of
from fastnn._views import carry_over
from fastnn.sklearn._data import check_dense, native_rows
from fastnn.sklearn._members import NETWORK_OPTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def input_gradients(model: MLP, X: Any) -> NDArray[Any]:
    """Return the derivatives of outputs with respect to inputs: (n, n_in) for one output, and otherwise (n, n_out, n_in)."""
    network, rows = network_of(model), native_rows(X, model.dtype)
    check_dense(bool(model.embeddings), X)
    gradients = np.empty((rows.shape[0], model.layer_sizes[-1], rows.shape[1]), model.dtype)
    network.jacobian(rows, gradients)
    return gradients[:, 0] if model.layer_sizes[-1] == 1 else gradients


def refuse_embeddings(estimator: Any, method: str) -> None:
    """Raise ValueError if a fitted estimator has embeddings, for a method without them."""
    network = vars(estimator).get("network_")
    if network is not None and network.embeddings:
        raise ValueError(f"{method}: expected an estimator without embeddings, got {list(network.embeddings)}")


def sizes_of(coefs: Any, intercepts: Any, n_layers: int | None = None, n_inputs: int | None = None) -> tuple[int, ...]:
    """Return the numbers of units of a network with these weights and biases.

    Raises
    ------
    ValueError
        If they do not fit together, or do not match these numbers of layers and inputs.
    """
    shapes, bias_shapes = [np.shape(w) for w in coefs], [np.shape(b) for b in intercepts]
    fits = bool(shapes) and len(shapes) == len(bias_shapes) and all(len(s) == 2 for s in shapes)
    fits = fits and bias_shapes == [s[1:] for s in shapes] and all(a[1] == b[0] for a, b in pairwise(shapes))
    if not fits or len(shapes) != (n_layers or len(shapes)) or shapes[0][0] != (n_inputs or shapes[0][0]):
        layers = "layers" if n_layers is None else f"{n_layers} layers"
        inputs = "" if n_inputs is None else f", and {n_inputs} inputs"
        raise ValueError(
            f"coefs_, intercepts_: expected the shapes of {layers} that fit together{inputs}, got {shapes} and {bias_shapes}"
        )
    return (shapes[0][0], *(s[1] for s in shapes))


def network_with(model: MLP, coefs: Any, intercepts: Any) -> MLP:
    """Return the model with other weights and biases. It is a new model if the numbers of units differ.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    weights, biases = [np.asarray(w) for w in coefs], [np.asarray(b) for b in intercepts]
    if model.shared is not None:
        return _with_same_shapes(model, weights, biases)
    width = len(model.weights[0])
    sizes = (model.layer_sizes[0], *sizes_of(weights, biases, len(model.weights), width)[1:])
    if sizes != model.layer_sizes:
        *hidden, output = model.activations
        before = network_of(model).parameters
        options = {name: getattr(model, name) for name in NETWORK_OPTIONS}
        generator = generator_of(model)
        state = generator.bit_generator.state
        model = MLP(
            sizes,
            hidden,
            output,
            **options,
            embeddings=model.embeddings,
            init="zeros",
            dtype=model.dtype,
            random_state=generator,
        )
        generator.bit_generator.state = state  # from which embeddings have drawn
        carry_over(before, network_of(model).parameters)
    return _with_same_shapes(model, weights, biases)


def _with_same_shapes(model: MLP, weights: list[NDArray[Any]], biases: list[NDArray[Any]]) -> MLP:
    """Return the model, after setting its weights and biases; raise ValueError for other shapes, which change nothing."""
    views, given = [*model.weights, *model.biases], [*weights, *biases]
    shapes, expected = [values.shape for values in given], [view.shape for view in views]
    if shapes != expected:
        raise ValueError(f"coefs_, intercepts_: expected the shapes of the network, {expected}, got {shapes}")
    for view, values in zip(views, given, strict=True):
        view[...] = values
    return model


def check_finite(model: MLP) -> None:
    """Raise ValueError, like scikit-learn, if a parameter is not finite."""
    if _core.first_not_finite(network_of(model).storage) >= 0:
        raise ValueError(NOT_FINITE)
