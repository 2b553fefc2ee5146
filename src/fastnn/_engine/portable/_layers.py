"""The layers of a network, and the pass of a batch through them: forward to the outputs, and back to the gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import reference
from fastnn._engine.portable._compile import formula, pointer, runnable
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._rows import Array
from fastnn._layer_settings import EMBEDDED
from fastnn.reference.activations import Activation, named
from fastnn.reference.dropout import factors
from fastnn.reference.embeddings import FORMULAS as EMBEDDING_FORMULAS
from fastnn.reference.embeddings import Embedded, embed, embed_grad
from fastnn.reference.inputs import scale_inputs, scale_inputs_grad
from fastnn.reference.members import mean_of_members, repeat_rows, separate_outputs, separate_outputs_grad
from fastnn.reference.normalization import NORMALIZATIONS as _NORMALIZATIONS
from fastnn.reference.normalization import Normalization
from fastnn.reference.parametric import PARAMETRIC, alphas_grad, parametric, parametric_grad, prelu, prelu_grad, slopes_grad

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

LAYER_ACTIVATIONS = (*reference.ACTIVATIONS, *PARAMETRIC)  # the activations of networks
NORMALIZATIONS = tuple(_NORMALIZATIONS)


class Parameters(NamedTuple):
    """The parameters of one layer, or arrays of the same shapes. They are views of a vector."""

    weights: Array  # (n_in, n_out)
    biases: Array  # (n_out,)
    slopes: Array | None  # (n_out,), like the next three
    gains: Array | None
    shifts: Array | None
    alphas: Array | None
    scales: Array | None  # (n_in,), or (n_members, n_in) of a shared ensemble
    projections: Array | None  # (n_from, n_out)

    @classmethod
    def of_layers(cls, kinds: Mapping[str, Sequence[Any]]) -> list[Parameters]:
        """Return each layer's parameters, given those of all layers by kind."""
        return [cls(*arrays) for arrays in zip(*(kinds[kind] for kind in cls._fields), strict=True)]


BLOCK_KINDS = (*Parameters._fields, EMBEDDED)
EMBEDDINGS = ("columns", *EMBEDDING_FORMULAS)  # the first passes columns as they are


class Gradients(NamedTuple):
    """The gradients of a network's parameters, which are views of a vector."""

    layers: list[Parameters]
    embeddings: tuple[Any, ...]

    @classmethod
    def of_kinds(cls, kinds: Mapping[str, Sequence[Any]]) -> Gradients:
        """Return the gradients in their place in arrays by kind."""
        return cls(Parameters.of_layers(kinds), tuple(kinds[EMBEDDED]))


def shapes(
    n_in: int,
    n_out: int,
    activation: Any,
    normalization: tuple[str, str] | None,
    *,
    is_parametric: bool,
    scales_inputs: bool,
    n_from: int | None,
    n_members: int = 1,
    is_separate: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a layer's parameters, by kind and in the order of the storage.

    A residual connection leads to it from n_from units, or none if it is None. `is_separate` tells whether each member of a
    shared ensemble has weights and biases of its own.
    """
    n_columns = n_members * n_out if is_separate else n_out
    of_layer: dict[str, tuple[int, ...]] = {"weights": (n_in, n_columns), "biases": (n_columns,)}
    if isinstance(activation, str) and activation in PARAMETRIC:
        of_layer[PARAMETRIC[activation][0]] = (n_out,)
    if normalization is not None:
        of_layer |= dict.fromkeys(_NORMALIZATIONS[normalization[0]], (n_out,))
    if is_parametric:
        of_layer["alphas"] = (n_out,)
    if scales_inputs:
        of_layer["scales"] = (n_in,) if n_members == 1 else (n_members, n_in)
    if n_from is not None and n_from != n_out:
        of_layer["projections"] = (n_from, n_out)
    return of_layer


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
        self.scales, self.input_dropout = parameters.scales, input_dropout  # of the inputs; of the first layer alone
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


class Pass:
    """The pass of batches with a certain number of rows through the layers. All arrays except x are (rows, units).

    Of a shared ensemble, the arrays have n_members rows for each row of x.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        n_rows: int,
        dtype: DTypeLike,
        *,
        logits: bool = False,
        embeddings: Embedded = (),
        n_members: int = 1,
    ) -> None:
        """Make the arrays. With `logits`, the last layer has no activation."""
        self._layers, self._embeddings, self._n_members = layers, embeddings, n_members
        self._sums, self._factors = runnable(sums), runnable(factors)
        self._dense_gradients, self._input_gradients = runnable(dense_gradients), runnable(input_gradients)
        shapes = [(n_rows * n_members, layer.biases.size) for layer in layers]
        shapes[-1] = n_rows * n_members, layers[-1].biases.size // n_members
        self._z = [np.empty(shape, dtype) for shape in shapes]
        linear = [layer.is_linear for layer in layers[:-1]] + [layers[-1].is_linear or logits]
        self.outputs = [z if same else np.empty_like(z) for z, same in zip(self._z, linear, strict=True)]
        self._grads = [np.empty(shape, dtype) for shape in shapes]  # gradients with respect to outputs
        self._deltas = [grad if same else np.empty_like(grad) for grad, same in zip(self._grads, linear, strict=True)]
        self._inputs: list[Array] = [self._z[0]] * len(layers)
        self._masks: list[Array | None] = [None] * len(layers)  # factors of outputs before the next layer
        self._x: Array  # inputs before dropout and scales
        self._input_mask: Array | None
        self.grad_outputs = self._grads[-1]  # the gradient with respect to the last layer's outputs, for `backward`

    def forward(self, x: Array, keys: tuple[Array, Any] | None = None, dropout_factor: float = 1.0) -> Array:
        """Compute the `outputs` of all layers for rows x (rows, n_in), and return those of the last layer for all members.

        With the keys of a step, units are dropped, with probabilities that are multiplied by a factor. The keys are the low
        bits, one number per layer, and the high bits.
        """
        self._rows = x
        x = embed(self._embeddings, x) if self._embeddings else x
        x = self.change_inputs(repeat_rows(x, self._n_members) if self._n_members > 1 else x, keys, dropout_factor)
        for i, (layer, z, a) in enumerate(zip(self._layers, self._z, self.outputs, strict=True)):
            self._inputs[i] = x
            if self._is_separate(i):
                z[...] = separate_outputs(x, layer.weights, layer.biases, self._n_members)
            else:
                self._sums(x, layer.weights, layer.biases, z)
            if a is not z:
                layer.activate(z, a)
            x = a
            if keys is not None and layer.dropout > 0.0:
                rate = layer.dropout * dropout_factor
                mask = self._factors(rate, a.size, keys[0][i], keys[1]).reshape(a.shape).astype(a.dtype)
                self._masks[i], x = mask, a * mask
        return x

    def mean(self, p: Array) -> Array:
        """Return predictions (rows, n_out), given the outputs of all members."""
        return p if self._n_members == 1 else mean_of_members(p, self._n_members)

    def loss(self, mean: MeanLoss, targets: tuple[Array, Any, Any], p: Array, divisor: float) -> float:
        """Return the loss of outputs p, the mean over members, and set `grad_outputs`.

        `targets` are y, the weights of the rows, and those of their elements.
        """
        y, weight, elements = targets
        if self._n_members == 1:
            return mean.compute(y, p, weight, elements, divisor, self.grad_outputs)
        weight = np.repeat(weight / self._n_members, self._n_members)
        elements = np.repeat(elements, self._n_members, axis=0)
        value = mean.compute(repeat_rows(y, self._n_members), p, weight, elements, divisor, self.grad_outputs)
        if mean.is_given:
            self.grad_outputs /= self._n_members
        return value

    def _is_separate(self, i: int) -> bool:
        return self._n_members > 1 and i == len(self._layers) - 1

    def change_inputs(self, x: Array, keys: tuple[Array, Any] | None, dropout_factor: float) -> Array:
        """Return the inputs after dropout and scales. Their key is the last one."""
        rate, self._x, self._input_mask = self._layers[0].input_dropout * dropout_factor, x, None
        if keys is not None and rate > 0.0:
            self._input_mask = self._factors(rate, x.size, keys[0][-1], keys[1]).reshape(x.shape).astype(x.dtype)
        return scale_inputs(x, self._layers[0].scales, self._input_mask)

    def backward(self, gradients: Gradients | None) -> Array:
        """Set the gradients of all parameters, and return the gradient with respect to the z of the first layer."""
        for i in range(len(self._layers) - 1, -1, -1):
            layer, mask, grad, delta = self._layers[i], self._masks[i], self._grads[i], self._deltas[i]
            if mask is not None:
                grad *= mask
            if delta is not grad:
                layer.backward(self._z[i], self.outputs[i], grad, delta, None if gradients is None else gradients.layers[i])
            if gradients is not None:
                own = gradients.layers[i]
                if self._is_separate(i):
                    _, own.weights[...], own.biases[...] = self._separate_gradients(delta)
                else:
                    self._dense_gradients(self._inputs[i], delta, own.weights, own.biases)
            if i > 0:
                self._grad_layer_inputs(i, self._grads[i - 1])
        if gradients is not None and gradients.layers[0].scales is not None:
            gradients.layers[0].scales[:] = self._through_inputs()[1]
        if gradients is not None and self._embeddings:
            self._through_embeddings(gradients.embeddings)
        return delta

    def grad_inputs(self) -> Array:
        """Return the gradient with respect to the input rows. Call `backward` first."""
        return self._through_embeddings(()) if self._embeddings else self._sum_of_members(self._through_inputs()[0])

    def _through_embeddings(self, gradients: Sequence[Array | None]) -> Array:
        """Return the gradient with respect to the input rows, and set those of the embeddings' parameters."""
        result, found = embed_grad(self._embeddings, self._rows, self._sum_of_members(self._through_inputs()[0]))
        for gradient, values in zip(gradients, found, strict=False):
            if gradient is not None:
                gradient[...] = values
        return result

    def _sum_of_members(self, grad: Array) -> Array:
        if self._n_members == 1:
            return grad
        total: Array = grad.reshape(-1, self._n_members, grad.shape[1]).sum(axis=1)
        return total

    def _grad_layer_inputs(self, i: int, grad: Array) -> None:
        """Set the gradient with respect to a layer's inputs."""
        if self._is_separate(i):
            grad[...] = self._separate_gradients(self._deltas[i])[0]
        else:
            self._input_gradients(self._deltas[i], self._layers[i].weights, grad)

    def _separate_gradients(self, delta: Array) -> tuple[Array, Array, Array]:
        return separate_outputs_grad(self._inputs[-1], self._layers[-1].weights, delta, self._n_members)

    def _through_inputs(self) -> tuple[Array, Array | None]:
        """Return the gradients with respect to the first layer's inputs before their scales, and to these."""
        return scale_inputs_grad(self._x, self._layers[0].scales, self._input_mask, self._first_gradient())

    def _first_gradient(self) -> Array:
        """Return the gradient with respect to the first layer's inputs."""
        delta, weights = self._deltas[0], self._layers[0].weights
        grad = np.empty((len(delta), len(weights)), delta.dtype)
        self._grad_layer_inputs(0, grad)
        return grad


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
