"""Modules of PyTorch as layers of a network."""

from __future__ import annotations

import sys
from typing import Any

from fastnn._checks.layers import OUTPUT_ONLY
from fastnn._exports import pytorch_residual as residual
from fastnn._exports.pytorch import (
    ACTIVATIONS,
    ACTIVATIONS_BY_CLASS,
    HOMOGENEOUS,
    KNOWN,
    NORMALIZATIONS_BY_CLASS,
    Dense,
    Inputs,
    class_of,
    shown,
)
from fastnn.reference.arguments import WITHOUT_ALPHAS
from fastnn.reference.normalization import EPSILON


def dense_layers(module: Any) -> list[Dense]:
    """Return the layers of a torch.nn.Sequential or torch.nn.Linear.

    Raises
    ------
    TypeError
        If `module` is neither of these.
    ValueError
        If it contains something that a network of fastnn can't contain. The message names the submodule.
    """
    torch = sys.modules.get("torch")  # without which there are no modules
    if torch is None or not isinstance(module, torch.nn.Sequential | torch.nn.Linear):
        raise TypeError(f"module: expected torch.nn.Sequential, got {type(module).__name__}")
    layers: list[Dense] = []
    inputs = Inputs(is_residual=class_of(torch.nn, module) == "Residual")
    for name, part in module.named_modules(remove_duplicate=False):
        kind = class_of(torch.nn, part)
        _check_plain(name, part)
        if kind == "Linear":
            _begin(layers, name, part, inputs)
        elif kind in ACTIVATIONS_BY_CLASS:
            _activate(layers, name, part, ACTIVATIONS_BY_CLASS[kind])
        elif kind in NORMALIZATIONS_BY_CLASS:
            _normalize(layers, name, part)
        elif kind == "Dropout":
            if layers:
                _drop(layers, name, part)
            else:
                _drop_inputs(inputs, name, part)
        elif kind == "Parametric":
            _make_parametric(layers, name, part)
        elif kind == "Scale":
            _scale(layers, name, part, inputs)
        elif kind == "Keep":
            residual.keep(layers, name, part, inputs)
        elif kind == "Add":
            residual.add(layers, name, part, inputs)
        elif kind == "Flatten":
            _check_flatten(name, part)
        elif kind not in ("Sequential", "Identity") and not (kind == "Residual" and part is module):
            raise _refusal(name, part)
    _check_whole(layers, module)
    residual.check_places(layers)
    return layers


def _check_plain(name: str, part: Any) -> None:
    """Raise ValueError if a program has attached functions to a module, which fastnn would not call."""
    if part._forward_hooks or part._forward_pre_hooks:
        raise ValueError(f"module: expected modules without hooks, got {shown(name, part)} with hooks on forward")
    if hasattr(part, "parametrizations"):
        raise ValueError(
            f"module: expected plain parameters, got {shown(name, part)} with parametrizations; "
            "torch.nn.utils.parametrize.remove_parametrizations makes them plain"
        )


def _begin(layers: list[Dense], name: str, linear: Any, inputs: Inputs) -> None:
    if not layers:
        if inputs.scale is not None and len(inputs.scale.weight) != linear.in_features:
            raise ValueError(
                f"module: expected {linear.in_features} scales, one per input of {name!r}, got "
                f"{shown(inputs.scale_name, inputs.scale)}"
            )
        given = {"scale": inputs.scale, "scale_name": inputs.scale_name, "input_dropout": inputs.dropout}
        layers.append(Dense(name, linear, **given))
        return
    if layers[-1].linear.out_features != linear.in_features:
        raise ValueError(
            f"module: expected in_features={layers[-1].linear.out_features}, the outputs of {layers[-1].name!r}, got "
            f"{shown(name, linear)}"
        )
    layers.append(Dense(name, linear))


def _activate(layers: list[Dense], name: str, part: Any, activation: str) -> None:
    known = ACTIVATIONS[activation]
    if not all(known.accepts(option, getattr(part, option)) for option in known.options):
        raise ValueError(f"module: expected {known}, got {shown(name, part)}")
    dense = _last(layers, name, part)
    if dense.activation != "identity":
        raise ValueError(f"module: expected one activation per Linear, got {shown(name, part)} after {dense.activation}")
    if dense.dropout and activation not in HOMOGENEOUS:
        raise ValueError(f"module: expected Dropout after the activation, got {shown(name, part)} after a Dropout")
    _begin_activation(dense, name, part)
    if dense.norm is not None and activation == "softmax":
        raise ValueError(f"module: expected no normalization before Softmax, got {dense.norm_name!r}")
    dense.take_activation(name, part, activation)


def _begin_activation(dense: Dense, name: str, part: Any) -> None:
    """Find out where the residual connection of the layer ends, and raise ValueError if an activation comes too late."""
    residual.check_open(dense, name, part)
    if dense.norm is not None and dense.norm_place == "after":
        raise ValueError(f"module: expected Add after {dense.norm_name!r}, which an activation follows, got it before")
    if dense.add is not None:
        dense.add_place = "before"


def _make_parametric(layers: list[Dense], name: str, part: Any) -> None:
    """Make the activation of the last layer parametric, which is the next submodule."""
    dense = _last(layers, name, part)
    if dense.activation != "identity" or dense.parametric is not None or dense.dropout:
        before = "a Dropout" if dense.dropout else dense.parametric_name or dense.activation
        raise ValueError(f"module: expected one activation per Linear, got {shown(name, part)} after {before}")
    _begin_activation(dense, name, part)
    known = [ACTIVATIONS[each].name for each in ACTIVATIONS if each not in (*WITHOUT_ALPHAS, *OUTPUT_ONLY)]
    if class_of(sys.modules["torch"].nn, part.activation) not in known:
        raise ValueError(f"module: expected one of {', '.join(known)} in {shown(name, part)}, got {part.activation}")
    units = dense.linear.out_features
    if len(part.weight) != units:
        raise ValueError(f"module: expected {units} alphas, one per unit, got {shown(name, part)}")
    dense.parametric, dense.parametric_name = part, name


def _normalize(layers: list[Dense], name: str, part: Any) -> None:
    dense = _last(layers, name, part)
    if dense.norm is not None or (dense.dropout and dense.add_place != "after"):
        before = "a Dropout" if dense.dropout else f"the normalization {dense.norm_name!r}"
        raise ValueError(
            f"module: expected one normalization per Linear, before its Dropout, got {shown(name, part)} after {before}"
        )
    units = dense.linear.out_features
    if tuple(part.normalized_shape) != (units,) or part.eps != EPSILON:
        raise ValueError(f"module: expected {type(part).__name__}({units}, eps={EPSILON!r}), got {shown(name, part)}")
    dense.norm, dense.norm_name = part, name
    of_outputs = dense.activation != "identity" or dense.parametric is not None or dense.keeps or dense.add is not None
    dense.norm_place = "after" if of_outputs else "before"


def _scale(layers: list[Dense], name: str, part: Any, inputs: Inputs) -> None:
    if layers or inputs.scale is not None:
        before = layers[-1].name if layers else inputs.scale_name
        raise ValueError(f"module: expected one Scale, of the inputs, got {shown(name, part)} after {before!r}")
    _check_not_kept(inputs, name, part)
    inputs.scale, inputs.scale_name = part, name


def _drop_inputs(inputs: Inputs, name: str, part: Any) -> None:
    if part.p == 0.0:
        return
    if inputs.dropout or part.p >= 1.0:
        expected = "one Dropout of inputs" if inputs.dropout else "a probability below 1"
        raise ValueError(f"module: expected {expected}, got {shown(name, part)}")
    _check_not_kept(inputs, name, part)
    inputs.dropout = float(part.p)


def _check_not_kept(inputs: Inputs, name: str, part: Any) -> None:
    if inputs.keeps:
        raise ValueError(f"module: expected Keep(0) directly before the first Linear, got {shown(name, part)} after it")


def _drop(layers: list[Dense], name: str, part: Any) -> None:
    if part.p == 0.0:
        return
    dense = _last(layers, name, part)
    if dense.dropout or part.p >= 1.0:
        expected = "one Dropout per Linear" if dense.dropout else "a probability below 1"
        raise ValueError(f"module: expected {expected}, got {shown(name, part)}")
    if dense.norm is None or dense.norm_place == "before" or dense.add_place == "after":
        residual.check_open(dense, name, part)
    dense.dropout = float(part.p)
    if dense.add is not None:
        dense.add_place = "before"


def _check_flatten(name: str, part: Any) -> None:
    """Raise ValueError unless a Flatten leaves rows (n, n_in) unchanged."""
    if part.start_dim not in (1, -1) or part.end_dim not in (1, -1):
        raise ValueError(f"module: expected Flatten(start_dim=1, end_dim=-1), got {shown(name, part)}")


def _last(layers: list[Dense], name: str, part: Any) -> Dense:
    if not layers:
        raise ValueError(f"module: expected a Linear first, got {shown(name, part)} before it")
    return layers[-1]


def _check_whole(layers: list[Dense], module: Any) -> None:
    if not layers:
        raise ValueError(f"module: expected at least one Linear, got {type(module).__name__} without any")
    for dense in layers[:-1]:
        if dense.activation == "softmax":
            raise ValueError(f"module: expected Softmax after the last Linear alone, got one after {dense.name!r}")
    if layers[-1].norm is not None:
        raise ValueError(
            f"module: expected normalizations of hidden layers, got {layers[-1].norm_name!r} after the last Linear"
        )
    if layers[-1].parametric is not None:
        raise ValueError(
            "module: expected parametric activations of hidden layers, got "
            f"{layers[-1].parametric_name!r} after the last Linear"
        )
    if layers[-1].dropout:
        raise ValueError(f"module: expected Dropout between layers, got one after the last Linear, {layers[-1].name!r}")
    seen: dict[int, str] = {}
    dtypes = {}
    for _, name, tensor in (parameter for dense in layers for parameter in dense.parameters()):
        if id(tensor) in seen:
            raise ValueError(
                f"module: expected parameters of its own for each layer, got {name!r} as {seen[id(tensor)]!r} too"
            )
        seen[id(tensor)], dtypes[tensor.dtype] = name, name
    if len(dtypes) > 1:
        got = " and ".join(f"{dtype} in {name!r}" for dtype, name in dtypes.items())
        raise ValueError(f"module: expected one dtype, got {got}; module.float() converts")


def _refusal(name: str, part: Any) -> ValueError:
    return ValueError(f"module: expected {KNOWN}, got {shown(name, part)}")
