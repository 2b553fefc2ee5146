"""The layers of a network: the formulas of their sums and activations, in the form for the fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._engine.portable._compile import formula, pointer, runnable
from fastnn._engine.portable._rows import Array
from fastnn.reference.activations import Activation, named
from fastnn.reference.normalization import Normalization
from fastnn.reference.parametric import alphas_grad, parametric, parametric_grad, prelu, prelu_grad, slopes_grad

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class Parameters(NamedTuple):
    """The parameters of one layer, or arrays of the same shapes. They are views of a vector."""

    weights: Array  # (n_in, n_out)
    biases: Array  # (n_out,), or (n_members, n_out) beside scales of outputs
    slopes: Array | None  # (n_out,), like the next three
    gains: Array | None
    shifts: Array | None
    alphas: Array | None
    scales: Array | None  # (n_in,), or (n_members, n_in) of a shared ensemble
    output_scales: Array | None  # (n_members, n_out)
    projections: Array | None  # (n_from, n_out)

    @classmethod
    def of_layers(cls, kinds: Mapping[str, Sequence[Any]]) -> list[Parameters]:
        """Return each layer's parameters, given those of all layers by kind."""
        return [cls(*arrays) for arrays in zip(*(kinds[kind] for kind in cls._fields), strict=True)]


class Layer:
    """One layer: its parameters, and the formulas of its activation in the form for the fallback."""

    def __init__(
        self,
        activation: Any,
        dropout: float,
        normalization: tuple[str, str] | None,
        parameters: Parameters,
        input_dropout: float = 0.0,
    ) -> None:
        self.weights, self.biases, self.slopes = parameters[:3]
        self.alphas = parameters.alphas
        self.scales, self.output_scales = parameters.scales, parameters.output_scales  # of all layers but the last, or none
        self.input_dropout = input_dropout  # of the first layer alone
        self.dropout, self.is_linear = dropout, activation == "identity" and normalization is None
        # Whether weights and biases are all its parameters.
        self.has_only_sums = all(array is None for array in parameters[2:])
        self.activate: Callable[[Array, Array], None]  # sets the second array to the outputs for the sums in the first
        self._set_activation(activation)
        if self.alphas is not None:
            self._activate_fully, self.activate = self.activate, self._activate_in_part
        self._normalization = None
        if normalization is not None:
            assert parameters.gains is not None
            name, place = normalization
            self._normalization = Normalization(name, parameters.gains, parameters.shifts, place)
            self._activate, self.activate = self.activate, self._activate_normalized

    def _set_activation(self, activation: Any) -> None:
        if self.slopes is not None:
            self._by_slopes, self._slopes_grad = runnable(backward_by_slopes), runnable(slopes_grad)
            by_slopes, slopes = runnable(activate_by_slopes), self.slopes
            self.activate = lambda z, a: by_slopes(z, slopes, a)
            return
        formulas = named(activation)
        self._derivative_takes_output = formulas.uses == "output"
        self.activate = runnable(activate, value=formulas.value)
        if formulas.product is None:
            self._backward = runnable(backward_by_element, derivative=formulas.derivative)
        else:
            self._backward = runnable(backward_by_row, product=formulas.product)

    def _activate_in_part(self, z: Array, a: Array) -> None:
        assert self.alphas is not None
        self._activate_fully(z, a)
        a[...] = parametric(z, a, self.alphas)

    def _activate_normalized(self, z: Array, a: Array) -> None:
        assert self._normalization is not None
        if self._normalization.place == "before":
            self._activate(self._normalization.value(z), a)
            return
        self._activate(z, a)
        a[...] = self._normalization.value(a)

    def backward(self, z: Array, a: Array, grad_a: Array, delta: Array, gradients: Parameters | None) -> None:
        """Set delta to the gradient with respect to z, given that with respect to a, and set those of the parameters."""
        if self._normalization is None:
            self._activation_backward(z, a, grad_a, delta, gradients)
        elif self._normalization.place == "before":
            self._activation_backward(self._normalization.value(z), a, grad_a, delta, gradients)
            delta[...] = self._normalization_backward(z, delta, gradients)
        else:
            activated = np.empty_like(a)
            self._activate(z, activated)
            grad_activated = self._normalization_backward(activated, grad_a, gradients)
            self._activation_backward(z, activated, grad_activated, delta, gradients)

    def _normalization_backward(self, x: Array, grad: Array, gradients: Parameters | None) -> Array:
        assert self._normalization is not None
        result, *of_parameters = self._normalization.backward(x, grad)
        if gradients is not None:
            for gradient, values in zip((gradients.gains, gradients.shifts), of_parameters, strict=False):
                assert gradient is not None
                gradient[:] = values
        return result

    def _activation_backward(self, z: Array, a: Array, grad_a: Array, delta: Array, gradients: Parameters | None) -> None:
        if self.alphas is not None:
            self._backward_in_part(z, grad_a, delta, gradients)
            return
        if self.slopes is None:
            self._backward(a if self._derivative_takes_output else z, grad_a, delta)
            return
        if gradients is not None and gradients.slopes is not None:
            gradients.slopes[:] = self._slopes_grad(z, grad_a)
        self._by_slopes(z, self.slopes, grad_a, delta)

    def _backward_in_part(self, z: Array, grad_a: Array, delta: Array, gradients: Parameters | None) -> None:
        assert self.alphas is not None
        full, slope = np.empty_like(z), np.empty_like(z)
        self._activate_fully(z, full)
        self._backward(full if self._derivative_takes_output else z, np.ones_like(z), slope)
        if gradients is not None and gradients.alphas is not None:
            gradients.alphas[:] = alphas_grad(z, full, grad_a)
        delta[...] = grad_a * parametric_grad(slope, self.alphas)


def pointers(activation: Activation, dtype: DTypeLike) -> tuple[int | None, int | None]:
    """Return the addresses of the functions for an activation and for its gradient, or None, as `pointer` does."""
    rows = np.empty((1, 1), dtype)
    if activation.product is None:
        backward = pointer(backward_by_element, "void", [rows] * 3, derivative=activation.derivative)
    else:
        backward = pointer(backward_by_row, "void", [rows] * 3, product=activation.product)
    return pointer(activate, "void", [rows] * 2, value=activation.value), backward


# ---- Functions of arrays, which Numba compiles ----
#
# They write through the output arguments of ufuncs, because Numba takes twice as long to compile assignments to elements.

value = derivative = product = formula  # formulas of the activation


def sums(x: Array, weights: Array, biases: Array, z: Array) -> None:
    """Set z to x @ weights + biases."""
    np.dot(x, weights, z)
    z += biases


def activate(z: Array, a: Array) -> None:
    """Set a to the activation of z."""
    np.positive(value(z), a)


def activate_by_slopes(z: Array, slopes: Array, a: Array) -> None:
    """Set a to the activation of z with one slope per unit."""
    np.positive(prelu(z, slopes), a)


def backward_by_element(at: Array, grad_a: Array, delta: Array) -> None:
    """Replace the gradient delta with respect to a by that with respect to z. at is the argument of the derivative."""
    np.multiply(grad_a, derivative(at), delta)


def backward_by_row(a: Array, grad_a: Array, delta: Array) -> None:
    """Do the same for an activation whose outputs in a row depend on each other."""
    np.positive(product(a, grad_a), delta)


def backward_by_slopes(z: Array, slopes: Array, grad_a: Array, delta: Array) -> None:
    """Do the same for the activation with one slope per unit."""
    np.multiply(grad_a, prelu_grad(z, slopes), delta)


def dense_gradients(x: Array, delta: Array, grad_weights: Array, grad_biases: Array) -> None:
    """Set the gradients of weights and biases, from the inputs and the gradient with respect to the sums."""
    np.dot(x.T, delta, grad_weights)
    np.dot(np.ones(len(delta), delta.dtype), delta, grad_biases)  # the sum over rows, which takes Numba longer to compile


def input_gradients(delta: Array, weights: Array, grad_x: Array) -> None:
    """Set the gradient with respect to the inputs, from that with respect to the sums."""
    np.dot(delta, weights.T, grad_x)
