"""Residual connections: the outputs of a layer, or the inputs, are added to those of a later layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastnn._checks.floats import Array
from fastnn.reference.activations import Activation
from fastnn.reference.normalization import Normalized

__all__ = ["Connection"]
__dir__ = __all__.copy


@dataclass(frozen=True, eq=False)
class Connection:
    """A residual connection.

    K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016, add before the activation;
    the same authors, "Identity mappings in deep residual networks", ECCV 2016, add what no activation follows.

    Attributes
    ----------
    begin, end : int
        The layers, counted from 1, whose outputs are added, and to whose outputs they are added. Layer 0 is the inputs.
    place : {"before", "after"}
        Whether the sum is that of the inputs of the activation, or of its outputs. In the last layer, it is that of the
        inputs.
    projection : ndarray, shape (n_begin, n_end), optional
        The matrix in between, where the widths differ.

    Examples
    --------
    >>> Connection(1, 3).place
    'after'
    """

    begin: int
    end: int
    place: str = "after"
    projection: Any = None

    def value(self, stream: Array) -> Array:
        """Return what is added to the end, given the units where the connection begins."""
        return stream if self.projection is None else stream @ self.projection

    def backward(self, stream: Array, grad: Array) -> tuple[Array, Array | None]:
        """Return the gradients with respect to the units where the connection begins, and to the projection."""
        if self.projection is None:
            return grad, None
        return grad @ self.projection.T, stream.T @ grad


Connections: TypeAlias = Sequence[Connection] | None


@dataclass
class Step:
    """The values of one layer in a pass, in the order in which they are computed."""

    inputs: Array
    z: Array  # the sums, before the connection
    first: Array  # the inputs of the activation
    activated: Array  # its outputs
    stream: Array  # after dropout, unless that comes last, and after the connection: from here, connections begin
    outputs: Array  # after a normalization of outputs
    mask: Array | None  # of dropout
    drops_last: bool  # after the normalization

    @property
    def passed_on(self) -> Array:
        """The inputs of the next layer."""
        return self.outputs if self.mask is None or not self.drops_last else self.outputs * self.mask


@dataclass
class ResidualPass:
    """A pass through a network with residual connections, forward and back.

    The order within a layer is: sums, a normalization before the activation, a connection that ends before the activation,
    the activation, dropout, a connection that ends after the activation, the beginning of connections, a normalization of
    outputs. Dropout follows that normalization instead if no connection ends after the activation.
    """

    weights: Sequence[Array]
    biases: Sequence[Array]
    functions: Sequence[Activation]
    connections: Sequence[Connection]
    masks: Sequence[Array | None] | None = None
    steps: list[Step] = field(default_factory=list)
    # Set by `backward`: the gradients of activations' parameters, of gains and shifts, of projections, and by the inputs.
    activation_gradients: list[Any] = field(default_factory=list)
    normalization_gradients: list[Any] = field(default_factory=list)
    projection_gradients: list[Any] = field(default_factory=list)
    by_inputs: Any = None

    def forward(self, inputs: Array) -> list[tuple[Array, Array]]:
        """Return z and the outputs of each layer. Where a connection ends before an activation, z is the sum with it."""
        streams = [inputs]
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            self.steps.append(self._step(layer, inputs, inputs @ w + b, streams))
            streams.append(self.steps[-1].stream)
            inputs = self.steps[-1].passed_on
        return [(s.first if self._sums_inputs(i) else s.z, s.outputs) for i, s in enumerate(self.steps)]

    def _step(self, layer: int, inputs: Array, z: Array, streams: list[Array]) -> Step:
        activation, before, after = _parts(self.functions[layer])
        end = self._end(layer)
        first = z if before is None else before.value(z)
        if end is not None and self._sums_inputs(layer):
            first = first + end.value(streams[end.begin])
        activated = stream = activation.value(first)
        mask = None if self.masks is None or layer >= len(self.masks) else self.masks[layer]
        sums_outputs = end is not None and not self._sums_inputs(layer)
        drops_last = after is not None and not sums_outputs
        if mask is not None and not drops_last:
            stream = stream * mask
        if end is not None and sums_outputs:
            stream = stream + end.value(streams[end.begin])
        outputs = stream if after is None else after.value(stream)
        return Step(inputs, z, first, activated, stream, outputs, mask, drops_last)

    def backward(self, delta: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the inputs of every layer and the gradient with respect to its sums, from the last layer to the first.

        `delta` is the gradient with respect to the inputs of the last activation.
        """
        n = len(self.steps)
        self.activation_gradients, self.normalization_gradients = [None] * n, [None] * n
        self.projection_gradients, by_streams = [None] * n, [None] * (n + 1)
        self._through_connection(n - 1, delta, by_streams)
        for layer in range(n - 1, 0, -1):
            yield self.steps[layer].inputs, delta
            delta = self._through_layer(layer - 1, delta @ self.weights[layer].T, by_streams)
        yield self.steps[0].inputs, delta
        self.by_inputs = by_streams[0]

    def _through_layer(self, layer: int, grad: Array, by_streams: list[Any]) -> Array:
        step, (activation, before, after) = self.steps[layer], _parts(self.functions[layer])
        if step.mask is not None and step.drops_last:
            grad = grad * step.mask
        if after is not None:
            grad, *self.normalization_gradients[layer] = after.backward(step.stream, grad)
        if by_streams[layer + 1] is not None:
            grad = grad + by_streams[layer + 1]
        if not self._sums_inputs(layer):
            self._through_connection(layer, grad, by_streams)
        if step.mask is not None and not step.drops_last:
            grad = grad * step.mask
        if hasattr(activation, "gradient"):
            self.activation_gradients[layer] = activation.gradient(step.first, grad)
        grad = activation.backward(step.first, step.activated, grad)
        if self._sums_inputs(layer):
            self._through_connection(layer, grad, by_streams)
        if before is not None:
            grad, *self.normalization_gradients[layer] = before.backward(step.z, grad)
        return grad

    def _through_connection(self, layer: int, grad: Array, by_streams: list[Any]) -> None:
        end = self._end(layer)
        if end is None:
            return
        stream = self.steps[end.begin - 1].stream if end.begin else self.steps[0].inputs
        by_stream, self.projection_gradients[layer] = end.backward(stream, grad)
        before = by_streams[end.begin]
        by_streams[end.begin] = by_stream if before is None else before + by_stream

    def _end(self, layer: int) -> Connection | None:
        return next((each for each in self.connections if each.end == layer + 1), None)

    def _sums_inputs(self, layer: int) -> bool:
        end = self._end(layer)
        return end is not None and (end.place == "before" or layer == len(self.weights) - 1)


def _parts(function: Activation) -> tuple[Any, Any, Any]:
    """Return an activation, and the normalizations before and after it, or None."""
    if not isinstance(function, Normalized):
        return function, None, None
    if function.normalization.place == "before":
        return function.activation, function.normalization, None
    return function.activation, None, function.normalization
