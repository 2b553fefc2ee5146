"""Networks as modules of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.layers import Layer, Stage, begins_at
from fastnn._exports.pytorch import ACTIVATIONS, NORMALIZATIONS
from fastnn.reference.normalization import EPSILON

if TYPE_CHECKING:
    from numpy.typing import NDArray


def module_of(layers: Sequence[Layer], dropout: Sequence[float], input_dropout: float, stage: Stage | None = None) -> Any:
    """Return a torch.nn.Sequential in evaluation mode that computes what the layers compute.

    With residual connections, it is a `fastnn._exports.pytorch_parts.Residual`. A shared ensemble ends in a
    `fastnn._exports.pytorch_members.MeanOfMembers`.

    Raises
    ------
    ValueError
        If an activation is unknown to PyTorch.
    ImportError
        If PyTorch is not installed.
    """
    for i, layer in enumerate(layers):
        if not (isinstance(layer.activation, str) and layer.activation in ("identity", *ACTIVATIONS)):
            known = ", ".join(["identity", *ACTIVATIONS])
            raise ValueError(
                f"to_torch: expected activations of torch.nn ({known}), got {layer.activation!r} in layer {i + 1}"
            )
    try:
        import torch
    except ImportError as error:
        raise ImportError('to_torch needs PyTorch: pip install "fastnn-cpu[torch]"') from error
    for i, layer in enumerate(layers):
        if layer.normalization is not None and not hasattr(torch.nn, NORMALIZATIONS[layer.normalization.name]):
            raise ValueError(
                f"to_torch: expected PyTorch 2.4 or newer for {layer.normalization.name!r} in layer {i + 1}, got "
                f"{torch.__version__}"
            )
    parts: list[Any] = []
    if stage is not None:
        from fastnn._exports.pytorch_embeddings import embed_module

        parts.append(embed_module(stage, getattr(torch, layers[0].weights.dtype.name)))
    n_members = layers[0].n_members
    if n_members > 1:  # before the dropout, since each member drops inputs of its own
        parts.append(_scaled_members(torch, layers[0]))
    if input_dropout:
        parts.append(torch.nn.Dropout(input_dropout))
    if n_members == 1 and layers[0].scales is not None:
        parts.append(_scale_module(torch, layers[0].scales))
    if all(layer.residual is None for layer in layers):
        container = torch.nn.Sequential
    else:
        from fastnn._exports.pytorch_parts import Keep
        from fastnn._exports.pytorch_parts import Residual as container

        parts += [Keep(0)] if begins_at(layers, 0) else []
    for i, (layer, rate) in enumerate(zip(layers, (*dropout, 0.0), strict=True)):
        kept = [Keep(i + 1)] if begins_at(layers, i + 1) else []
        if i and n_members > 1 and layer.scales is not None:
            parts.append(_scaled_members(torch, layer))
        parts += _modules_of(torch, layers, i, rate, kept)
    if n_members > 1:
        from fastnn._exports.pytorch_members import MeanOfMembers

        parts.append(MeanOfMembers())
    return container(*parts).eval()


def _modules_of(torch: Any, layers: Sequence[Layer], index: int, dropout: float, kept: list[Any]) -> Iterator[Any]:
    """Yield the modules of a layer. `kept` is the Keep of its outputs, if connections begin there."""
    layer, n_members = layers[index], layers[0].n_members
    yield _linear_module(torch, layer, n_members if index == len(layers) - 1 else 1)
    if layer.normalizes("before"):
        yield _normalization_module(torch, layer)
    if layer.adds("before"):
        yield _add_module(torch, layer)
    if layer.activation != "identity":
        yield _activation_module(torch, layer, n_members)
    drops_last = layer.normalizes("after") and not layer.adds("after")
    if dropout and not drops_last:
        yield torch.nn.Dropout(dropout)
    if layer.adds("after"):
        yield _add_module(torch, layer)
    yield from kept
    if layer.normalizes("after"):
        yield _normalization_module(torch, layer)
    if dropout and drops_last:
        yield torch.nn.Dropout(dropout)


def _linear_module(torch: Any, layer: Layer, separate: int) -> Any:
    """Return the module of a layer's sums, in which that number of members have weights of their own."""
    n_in, n_out = layer.weights.shape
    if separate > 1:
        from fastnn._exports.pytorch_members import LinearOfMembers

        weights = layer.weights.T.reshape(separate, -1, n_in)
        return LinearOfMembers(weight=_tensor(torch, weights), bias=_tensor(torch, layer.bias.reshape(separate, -1)))
    if layer.output_scales is not None:
        from fastnn._exports.pytorch_members import ScaledLinear

        scales, biases = _tensor(torch, layer.output_scales), _tensor(torch, layer.bias)
        return ScaledLinear(weight=_tensor(torch, layer.weights.T), scale=scales, bias=biases)
    # Without initial values: drawing them would change PyTorch's random numbers.
    linear = torch.nn.utils.skip_init(torch.nn.Linear, n_in, n_out, dtype=getattr(torch, layer.weights.dtype.name))
    _copy(torch, layer.weights.T, linear.weight)
    _copy(torch, layer.bias, linear.bias)
    return linear


def _scaled_members(torch: Any, layer: Layer) -> Any:
    from fastnn._exports.pytorch_members import ScaledMembers

    assert layer.scales is not None
    return ScaledMembers(weight=_tensor(torch, layer.scales))


def _add_module(torch: Any, layer: Layer) -> Any:
    from fastnn._exports.pytorch_parts import Add

    assert layer.residual is not None
    projection = layer.residual.projection
    if projection is None:
        return Add(layer.residual.begin)
    n_from, n_to = projection.shape
    module = Add(layer.residual.begin, n_from, n_to, getattr(torch, projection.dtype.name))
    _copy(torch, projection.T, module.weight)
    return module


def _scale_module(torch: Any, scales: NDArray[Any]) -> Any:
    from fastnn._exports.pytorch_parts import Scale

    module = Scale(len(scales), getattr(torch, scales.dtype.name))
    _copy(torch, scales, module.weight)
    return module


def _activation_module(torch: Any, layer: Layer, n_members: int) -> Any:
    assert isinstance(layer.activation, str)
    known = ACTIVATIONS[layer.activation]
    if layer.slopes is None:
        module = getattr(torch.nn, known.name)(**known.options)
        return module if layer.alphas is None else _parametric_module(torch, module, layer.alphas)
    prelu = torch.nn.PReLU(len(layer.slopes), dtype=getattr(torch, layer.slopes.dtype.name))
    _copy(torch, layer.slopes, prelu.weight)
    if n_members == 1:
        return prelu
    from fastnn._exports.pytorch_members import ByMember

    return ByMember(prelu)  # whose channels are the second axis


def _parametric_module(torch: Any, activation: Any, alphas: NDArray[Any]) -> Any:
    from fastnn._exports.pytorch_parts import Parametric

    module = Parametric(activation, len(alphas), getattr(torch, alphas.dtype.name))
    _copy(torch, alphas, module.weight)
    return module


def _normalization_module(torch: Any, layer: Layer) -> Any:
    given = layer.normalization
    assert given is not None
    kind = getattr(torch.nn, NORMALIZATIONS[given.name])
    module = kind(len(given.gains), eps=EPSILON, dtype=getattr(torch, given.gains.dtype.name))
    _copy(torch, given.gains, module.weight)
    if given.shifts is not None:
        _copy(torch, given.shifts, module.bias)
    return module


def _tensor(torch: Any, array: NDArray[Any]) -> Any:
    """Return a tensor with a copy of an array."""
    return torch.from_numpy(np.array(array, order="C"))


def _copy(torch: Any, array: NDArray[Any], parameter: Any) -> None:
    with torch.no_grad():
        parameter.copy_(_tensor(torch, array))
