"""The functions behind `fastnn.ops`: those of the reference, which are correct to within about one bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import reference
from fastnn._engine.portable._rows import Array
from fastnn.reference import elementary, gated, rectifiers, sigmoids

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUNCTIONS = (*elementary.__all__, *gated.__all__, *rectifiers.__all__, *sigmoids.__all__)
PREDICTION_LOSSES = ("mse_loss", "binary_cross_entropy", "cross_entropy")


def make_ufunc(name: str, documentation: str) -> Any:
    """Return the function of that name, which has the keywords of a ufunc."""
    return getattr(reference, name)


def linear(x: Any, w: Any, b: Any, activation: Any, out: Any, n_threads: Any) -> Array | None:
    """Return None, because the fallback has no fast path."""
    return None


def linear_into(out: Array, x: Array, w: Array, b: Array | None, activation: str, n_threads: int) -> None:
    """Set out to activation(x @ w + b), computed in the type of out."""
    inputs, weights = x.astype(out.dtype, copy=False), w.astype(out.dtype, copy=False)
    bias = None if b is None else b.astype(out.dtype, copy=False)
    with np.errstate(all="ignore"):
        out.reshape(-1)[:] = np.ravel(reference.linear(inputs, weights, bias, activation))


def linear_grad(x: Any, w: Any, a: Any, grad_a: Any, activation: Any) -> tuple[Array, Array, Array] | None:
    """Return None, because the fallback has no fast path."""
    return None


def layer_gradients(x: Array, w: Array, a: Array, grad_a: Array, activation: str) -> tuple[Array, Array, Array]:
    """Return the gradients of a layer with respect to x, w and the bias, computed in the type of a."""
    inputs, weights = x.astype(a.dtype, copy=False), w.astype(a.dtype, copy=False)
    with np.errstate(all="ignore"):
        return reference.linear_grad(inputs, weights, a, grad_a, activation)


def softmax(x: Any, axis: Any, out: Any, logarithm: bool) -> Array | None:
    """Return None, because the fallback has no fast path."""
    return None


def quick_prediction_loss(name: str, y: Any, p: Any, probabilities: bool) -> float | None:
    """Return None, because the fallback has no fast path."""
    return None


def no_quick_way(*arguments: Any) -> None:
    """Return None: the fallback has no quick way."""


quick_predict = quick_loss = quick_gradient = quick_input_gradient = no_quick_way
quick_vjp = quick_jacobian = quick_data = unchecked_data = quick_step = no_quick_way


def log_softmax(z: Array) -> None:
    """Replace z by the logarithm of its softmax, in place, over rows of its last axis."""
    if z.size:
        with np.errstate(all="ignore"):
            z[...] = reference.log_softmax(z)


def prediction_loss(name: str, p: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the sum of the terms of a loss over predictions and targets."""
    mean = {
        "mse_loss": reference.mse_loss,
        "binary_cross_entropy": reference.binary_cross_entropy,
        "cross_entropy": reference.cross_entropy,
    }[name](y, p)
    return mean * p.size if name == "mse_loss" else -mean * (p.size if name == "binary_cross_entropy" else len(p))


def dispatching(
    implementation: Callable[..., Any], dispatch: Callable[[tuple[Any, ...], dict[str, Any]], Any], lists: bool
) -> Callable[..., Any]:
    """Return a function that calls dispatch(arguments, keywords), which in turn calls the implementation."""
    return lambda *args, **kwargs: dispatch(args, kwargs)


def c_functions() -> dict[str, int]:
    """Return an empty mapping, because the fallback has no functions in C."""
    return {}
