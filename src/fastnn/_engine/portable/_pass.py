"""The pass of a batch through the layers of a network: forward to the outputs, and back to the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.portable._blocks import Gradients
from fastnn._engine.portable._compile import runnable
from fastnn._engine.portable._layers import Layer, dense_gradients, input_gradients, sums
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._rows import Array
from fastnn.reference.dropout import factors
from fastnn.reference.embeddings import Embedded, embed, embed_grad
from fastnn.reference.inputs import scale_inputs, scale_inputs_grad
from fastnn.reference.members import (
    mean_of_members,
    repeat_rows,
    scaled_sums,
    scaled_sums_grad,
    separate_outputs,
    separate_outputs_grad,
)

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


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
        shapes = [(n_rows * n_members, layer.weights.shape[1]) for layer in layers]
        shapes[-1] = n_rows * n_members, layers[-1].weights.shape[1] // n_members
        self._z = [np.empty(shape, dtype) for shape in shapes]
        linear = [layer.is_linear for layer in layers[:-1]] + [layers[-1].is_linear or logits]
        self.outputs = [z if same else np.empty_like(z) for z, same in zip(self._z, linear, strict=True)]
        self._grads = [np.empty(shape, dtype) for shape in shapes]  # gradients with respect to outputs
        self._deltas = [grad if same else np.empty_like(grad) for grad, same in zip(self._grads, linear, strict=True)]
        self._inputs: list[Array] = [self._z[0]] * len(layers)
        self._unscaled: list[Array] = [self._z[0]] * len(layers)  # before the scales of members in a layer behind the first
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
            if i > 0 and layer.scales is not None:
                self._unscaled[i], x = x, scale_inputs(x, layer.scales)
            self._inputs[i] = x
            if layer.output_scales is not None:
                z[...] = scaled_sums(x, layer.weights, layer.biases, layer.output_scales)
            elif self._is_separate(i):
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
                if own.output_scales is not None:
                    _, own.weights[...], own.biases[...], own.output_scales[...] = self._scaled_gradients(i)
                elif self._is_separate(i):
                    _, own.weights[...], own.biases[...] = self._separate_gradients(delta)
                else:
                    self._dense_gradients(self._inputs[i], delta, own.weights, own.biases)
            if i > 0:
                grad = self._grads[i - 1]
                self._grad_layer_inputs(i, grad)
                if layer.scales is not None:
                    grad[...], by_scales = scale_inputs_grad(self._unscaled[i], layer.scales, None, grad)
                    if gradients is not None:
                        gradients.layers[i].scales[...] = by_scales  # type: ignore[index]
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
        if self._layers[i].output_scales is not None:
            grad[...] = self._scaled_gradients(i)[0]
        elif self._is_separate(i):
            grad[...] = self._separate_gradients(self._deltas[i])[0]
        else:
            self._input_gradients(self._deltas[i], self._layers[i].weights, grad)

    def _scaled_gradients(self, i: int) -> tuple[Array, Array, Array, Array]:
        layer = self._layers[i]
        assert layer.output_scales is not None
        return scaled_sums_grad(self._inputs[i], layer.weights, layer.output_scales, self._deltas[i])

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
