"""Modules of PyTorch as layers of a network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.layers import OUTPUT_ONLY
from fastnn._exports.layers import Layer, Normalization
from fastnn.reference.arguments import WITHOUT_ALPHAS
from fastnn.reference.normalization import EPSILON

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Activation:
    """A class of torch.nn that computes an activation of fastnn with these options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    # Other values of options that give the same results, as a text and as a test.
    also: Mapping[str, tuple[str, Callable[[Any], bool]]] = field(default_factory=dict)

    def accepts(self, option: str, value: Any) -> bool:
        return bool(value == self.options[option] or (option in self.also and self.also[option][1](value)))

    def __str__(self) -> str:
        texts = [self.also[name][0] if name in self.also else f"{name}={value!r}" for name, value in self.options.items()]
        return f"{self.name}({', '.join(texts)})" if texts else self.name


# PyTorch replaces softplus(z) by z above its threshold. At 40, the two are the same number; at 20, they differ by 2e-9.
_SOFTPLUS = _Activation("Softplus", {"beta": 1.0, "threshold": 40.0}, {"threshold": ("threshold>=20", lambda t: t >= 20)})
_SOFTMAX = _Activation("Softmax", {"dim": -1}, {"dim": ("dim=-1 or 1", lambda dim: dim == 1)})
ACTIVATIONS: Mapping[str, _Activation] = {
    "relu": _Activation("ReLU"),
    "leaky_relu": _Activation("LeakyReLU", {"negative_slope": 0.01}),
    "elu": _Activation("ELU", {"alpha": 1.0}),
    "gelu": _Activation("GELU", {"approximate": "none"}),
    "silu": _Activation("SiLU"),
    "sigmoid": _Activation("Sigmoid"),
    "tanh": _Activation("Tanh"),
    "softplus": _SOFTPLUS,
    "selu": _Activation("SELU"),
    "mish": _Activation("Mish"),
    "prelu": _Activation("PReLU"),
    "softmax": _SOFTMAX,
}
NORMALIZATIONS = {"layer_norm": "LayerNorm", "rms_norm": "RMSNorm"}  # RMSNorm: from PyTorch 2.4 on
_NORMALIZATIONS_BY_CLASS = {kind: name for name, kind in NORMALIZATIONS.items()}
_BY_CLASS = {activation.name: name for name, activation in ACTIVATIONS.items()}
_WITHOUT_EFFECT = ("Identity", "Flatten")
_WITH_EPSILON = tuple(f"{kind}(eps={EPSILON!r})" for kind in _NORMALIZATIONS_BY_CLASS)
KNOWN = ", ".join(
    ["Linear", *map(str, ACTIVATIONS.values()), *_WITH_EPSILON, "Dropout", "Identity", "Flatten() and Sequential of these"]
)
# Activations f with f(c z) = c f(z) for c >= 0: dropout before and after them is the same.
_HOMOGENEOUS = ("identity", "relu", "leaky_relu", "prelu")


@dataclass(eq=False)
class Dense:
    """A dense layer of a module.

    Attributes
    ----------
    name : str
        The name of the Linear within the module.
    linear : torch.nn.Linear
        The module with weights and bias.
    activation : str
        fastnn's name of the activation.
    prelu : torch.nn.PReLU, optional
        The module with the slopes, and its name in `prelu_name`.
    norm : torch.nn.LayerNorm or torch.nn.RMSNorm, optional
        The normalization, and its name in `norm_name`.
    norm_place : str
        "before" or "after" the activation.
    dropout : float
        The dropout probability of the units.
    parametric : Parametric, optional
        The module with the alphas of the activation, and its name in `parametric_name`.
    scale : Scale, optional
        The module with the scales of the inputs, and its name in `scale_name`; of the first layer alone.
    input_dropout : float
        The dropout probability of the inputs; of the first layer alone.
    """

    name: str
    linear: Any
    activation: str = "identity"
    prelu: Any = None
    prelu_name: str = ""
    norm: Any = None
    norm_name: str = ""
    norm_place: str = "before"
    dropout: float = 0.0
    parametric: Any = None
    parametric_name: str = ""
    scale: Any = None
    scale_name: str = ""
    input_dropout: float = 0.0

    def parameters(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the kind in fastnn, the name in PyTorch and the tensor of each parameter."""
        prefix = f"{self.name}." if self.name else ""
        yield "weights", f"{prefix}weight", self.linear.weight
        if self.linear.bias is not None:
            yield "biases", f"{prefix}bias", self.linear.bias
        if self.prelu is not None:
            yield "slopes", f"{self.prelu_name}.weight", self.prelu.weight
        for kind, name in (("gains", "weight"), ("shifts", "bias")):
            if getattr(self.norm, name, None) is not None:
                yield kind, f"{self.norm_name}.{name}", getattr(self.norm, name)
        if self.parametric is not None:
            yield "alphas", f"{self.parametric_name}.weight", self.parametric.weight
        if self.scale is not None:
            yield "scales", f"{self.scale_name}.weight", self.scale.weight


@dataclass(eq=False)
class Inputs:
    """The parts of a module before its first Linear: their changes of the inputs."""

    scale: Any = None
    scale_name: str = ""
    dropout: float = 0.0


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
    inputs = Inputs()
    for name, part in module.named_modules(remove_duplicate=False):
        kind = _class_of(torch.nn, part)
        _check_plain(name, part)
        if kind == "Linear":
            _begin(layers, name, part, inputs)
        elif kind in _BY_CLASS:
            _activate(layers, name, part, _BY_CLASS[kind])
        elif kind in _NORMALIZATIONS_BY_CLASS:
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
        elif kind == "Flatten":
            _check_flatten(name, part)
        elif kind not in ("Sequential", "Identity"):
            raise _refusal(name, part)
    _check_whole(layers, module)
    return layers


def layer_of(dense: Dense) -> Layer:
    """Return a layer with the values of a layer of PyTorch. A missing bias becomes zeros."""
    values = {kind: array_of(name, kind, tensor) for kind, name, tensor in dense.parameters()}
    weights, slopes = values["weights"], values.get("slopes")
    if slopes is not None:
        slopes = np.broadcast_to(slopes, weights.shape[1:])
    bias = values.get("biases", np.zeros(weights.shape[1], weights.dtype))
    normalization = _normalization_of(dense, values, bias)
    others = values.get("scales"), values.get("alphas")
    return Layer(weights, bias, dense.activation, slopes, normalization, *others)


def _normalization_of(dense: Dense, values: Mapping[str, NDArray[Any]], bias: NDArray[Any]) -> Normalization | None:
    """Return the normalization of a layer. Missing gains become ones, and missing shifts zeros."""
    if dense.norm is None:
        return None
    name = _NORMALIZATIONS_BY_CLASS[_class_of(sys.modules["torch"].nn, dense.norm)]
    shifts = values.get("shifts", np.zeros_like(bias)) if name == "layer_norm" else None
    return Normalization(name, dense.norm_place, values.get("gains", np.ones_like(bias)), shifts)


def array_of(name: str, kind: str, tensor: Any) -> NDArray[Any]:
    """Return a tensor of a kind of parameters as an array in fastnn's layout."""
    if str(tensor.dtype) not in ("torch.float32", "torch.float64") or tensor.is_meta:
        got = "a tensor without values" if tensor.is_meta else tensor.dtype
        raise ValueError(f"module: expected values of float32 or float64 in {name!r}, got {got}; module.float() converts")
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array.T if kind == "weights" else array


def _class_of(nn: Any, part: Any) -> str:
    """Return the name of a class of torch.nn that computes what the module computes, or "" if it is unknown."""
    if type(part).__module__ == "fastnn._exports.pytorch_parts":
        return type(part).__name__
    names = ("Sequential", "Linear", "Dropout", *_WITHOUT_EFFECT, *_BY_CLASS, *_NORMALIZATIONS_BY_CLASS)
    kinds = ((name, getattr(nn, name)) for name in names if hasattr(nn, name))
    found = (name for name, kind in kinds if isinstance(part, kind) and type(part).forward is kind.forward)
    return next(found, "") if "forward" not in vars(part) else ""


def _check_plain(name: str, part: Any) -> None:
    """Raise ValueError if a program has attached functions to a module, which fastnn would not call."""
    if part._forward_hooks or part._forward_pre_hooks:
        raise ValueError(f"module: expected modules without hooks, got {_shown(name, part)} with hooks on forward")
    if hasattr(part, "parametrizations"):
        raise ValueError(
            f"module: expected plain parameters, got {_shown(name, part)} with parametrizations; "
            "torch.nn.utils.parametrize.remove_parametrizations makes them plain"
        )


def _begin(layers: list[Dense], name: str, linear: Any, inputs: Inputs) -> None:
    if not layers:
        if inputs.scale is not None and len(inputs.scale.weight) != linear.in_features:
            raise ValueError(
                f"module: expected {linear.in_features} scales, one per input of {name!r}, got "
                f"{_shown(inputs.scale_name, inputs.scale)}"
            )
        given = {"scale": inputs.scale, "scale_name": inputs.scale_name, "input_dropout": inputs.dropout}
        layers.append(Dense(name, linear, **given))
        return
    if layers[-1].linear.out_features != linear.in_features:
        raise ValueError(
            f"module: expected in_features={layers[-1].linear.out_features}, the outputs of {layers[-1].name!r}, got "
            f"{_shown(name, linear)}"
        )
    layers.append(Dense(name, linear))


def _activate(layers: list[Dense], name: str, part: Any, activation: str) -> None:
    known = ACTIVATIONS[activation]
    if not all(known.accepts(option, getattr(part, option)) for option in known.options):
        raise ValueError(f"module: expected {known}, got {_shown(name, part)}")
    dense = _last(layers, name, part)
    if dense.activation != "identity":
        raise ValueError(f"module: expected one activation per Linear, got {_shown(name, part)} after {dense.activation}")
    if dense.dropout and activation not in _HOMOGENEOUS:
        raise ValueError(f"module: expected Dropout after the activation, got {_shown(name, part)} after a Dropout")
    if dense.norm is not None and activation == "softmax":
        raise ValueError(f"module: expected no normalization before Softmax, got {dense.norm_name!r}")
    dense.activation = activation
    if activation == "prelu":
        dense.prelu, dense.prelu_name = part, name
        if part.num_parameters not in (1, dense.linear.out_features):
            units = dense.linear.out_features
            raise ValueError(f"module: expected one slope or {units}, one per unit, got {_shown(name, part)}")


def _make_parametric(layers: list[Dense], name: str, part: Any) -> None:
    """Make the activation of the last layer parametric, which is the next submodule."""
    dense = _last(layers, name, part)
    if dense.activation != "identity" or dense.parametric is not None or dense.dropout:
        before = "a Dropout" if dense.dropout else dense.parametric_name or dense.activation
        raise ValueError(f"module: expected one activation per Linear, got {_shown(name, part)} after {before}")
    known = [ACTIVATIONS[each].name for each in ACTIVATIONS if each not in (*WITHOUT_ALPHAS, *OUTPUT_ONLY)]
    if _class_of(sys.modules["torch"].nn, part.activation) not in known:
        raise ValueError(f"module: expected one of {', '.join(known)} in {_shown(name, part)}, got {part.activation}")
    units = dense.linear.out_features
    if len(part.weight) != units:
        raise ValueError(f"module: expected {units} alphas, one per unit, got {_shown(name, part)}")
    dense.parametric, dense.parametric_name = part, name


def _normalize(layers: list[Dense], name: str, part: Any) -> None:
    dense = _last(layers, name, part)
    if dense.norm is not None or dense.dropout:
        before = "a Dropout" if dense.dropout else f"the normalization {dense.norm_name!r}"
        raise ValueError(
            f"module: expected one normalization per Linear, before its Dropout, got {_shown(name, part)} after {before}"
        )
    units = dense.linear.out_features
    if tuple(part.normalized_shape) != (units,) or part.eps != EPSILON:
        raise ValueError(f"module: expected {type(part).__name__}({units}, eps={EPSILON!r}), got {_shown(name, part)}")
    dense.norm, dense.norm_name = part, name
    dense.norm_place = "before" if dense.activation == "identity" else "after"


def _scale(layers: list[Dense], name: str, part: Any, inputs: Inputs) -> None:
    if layers or inputs.scale is not None:
        before = layers[-1].name if layers else inputs.scale_name
        raise ValueError(f"module: expected one Scale, of the inputs, got {_shown(name, part)} after {before!r}")
    inputs.scale, inputs.scale_name = part, name


def _drop_inputs(inputs: Inputs, name: str, part: Any) -> None:
    if part.p == 0.0:
        return
    if inputs.dropout or part.p >= 1.0:
        expected = "one Dropout of inputs" if inputs.dropout else "a probability below 1"
        raise ValueError(f"module: expected {expected}, got {_shown(name, part)}")
    inputs.dropout = float(part.p)


def _drop(layers: list[Dense], name: str, part: Any) -> None:
    if part.p == 0.0:
        return
    dense = _last(layers, name, part)
    if dense.dropout or part.p >= 1.0:
        expected = "one Dropout per Linear" if dense.dropout else "a probability below 1"
        raise ValueError(f"module: expected {expected}, got {_shown(name, part)}")
    dense.dropout = float(part.p)


def _check_flatten(name: str, part: Any) -> None:
    """Raise ValueError unless a Flatten leaves rows (n, n_in) unchanged."""
    if part.start_dim not in (1, -1) or part.end_dim not in (1, -1):
        raise ValueError(f"module: expected Flatten(start_dim=1, end_dim=-1), got {_shown(name, part)}")


def _last(layers: list[Dense], name: str, part: Any) -> Dense:
    if not layers:
        raise ValueError(f"module: expected a Linear first, got {_shown(name, part)} before it")
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
    return ValueError(f"module: expected {KNOWN}, got {_shown(name, part)}")


def _shown(name: str, part: Any) -> str:
    text = f"{type(part).__name__}({part.extra_repr()})"
    return f"{text} as submodule {name!r}" if name else text
