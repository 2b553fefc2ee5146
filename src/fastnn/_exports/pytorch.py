"""The parts of networks in PyTorch: its modules for them, and layers of these."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.layers import Layer, Normalization, Residual
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
NORMALIZATIONS_BY_CLASS = {kind: name for name, kind in NORMALIZATIONS.items()}
ACTIVATIONS_BY_CLASS = {activation.name: name for name, activation in ACTIVATIONS.items()}
_WITHOUT_EFFECT = ("Identity", "Flatten")
_WITH_EPSILON = tuple(f"{kind}(eps={EPSILON!r})" for kind in NORMALIZATIONS_BY_CLASS)
KNOWN = ", ".join(
    ["Linear", *map(str, ACTIVATIONS.values()), *_WITH_EPSILON, "Dropout", "Identity", "Flatten() and Sequential of these"]
)
TRANSPOSED = ("weights", "projections")
"""The kinds of parameters that are matrices, which PyTorch has transposed."""
# Activations f with f(c z) = c f(z) for c >= 0: dropout before and after them is the same.
HOMOGENEOUS = ("identity", "relu", "leaky_relu", "prelu")


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
    add : Add, optional
        The module where a residual connection ends, and its name in `add_name`.
    add_place : str
        Whether it is "before" or "after" the activation; "" if both are the same.
    keeps : bool
        Whether a module keeps the outputs for residual connections.
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
    add: Any = None
    add_name: str = ""
    add_place: str = ""
    keeps: bool = False

    def take_activation(self, name: str, part: Any, activation: str) -> None:
        """Record a module as the activation of the layer, with its slopes if it has some."""
        self.activation = activation
        if activation == "prelu":
            self.prelu, self.prelu_name = part, name
            units = self.linear.out_features
            if part.num_parameters not in (1, units):
                raise ValueError(f"module: expected one slope or {units}, one per unit, got {shown(name, part)}")

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
        if self.add is not None and self.add.weight is not None:
            yield "projections", f"{self.add_name}.weight", self.add.weight


@dataclass(eq=False)
class Inputs:
    """The parts of a module before its first Linear: their changes of the inputs."""

    scale: Any = None
    scale_name: str = ""
    dropout: float = 0.0
    keeps: bool = False  # for residual connections
    is_residual: bool = False  # the whole is a Residual


def layer_of(dense: Dense) -> Layer:
    """Return a layer with the values of a layer of PyTorch. A missing bias becomes zeros."""
    values = {kind: array_of(name, kind, tensor) for kind, name, tensor in dense.parameters()}
    weights, slopes = values["weights"], values.get("slopes")
    if slopes is not None:
        slopes = np.broadcast_to(slopes, weights.shape[1:])
    bias = values.get("biases", np.zeros(weights.shape[1], weights.dtype))
    normalization = _normalization_of(dense, values, bias)
    others = values.get("scales"), values.get("alphas")
    residual = None
    if dense.add is not None:
        residual = Residual(dense.add.layer, dense.add_place or "after", values.get("projections"))
    return Layer(weights, bias, dense.activation, slopes, normalization, *others, residual)


def _normalization_of(dense: Dense, values: Mapping[str, NDArray[Any]], bias: NDArray[Any]) -> Normalization | None:
    """Return the normalization of a layer. Missing gains become ones, and missing shifts zeros."""
    if dense.norm is None:
        return None
    name = NORMALIZATIONS_BY_CLASS[class_of(sys.modules["torch"].nn, dense.norm)]
    shifts = values.get("shifts", np.zeros_like(bias)) if name == "layer_norm" else None
    return Normalization(name, dense.norm_place, values.get("gains", np.ones_like(bias)), shifts)


def array_of(name: str, kind: str, tensor: Any) -> NDArray[Any]:
    """Return a tensor of a kind of parameters as an array in fastnn's layout."""
    if str(tensor.dtype) not in ("torch.float32", "torch.float64") or tensor.is_meta:
        got = "a tensor without values" if tensor.is_meta else tensor.dtype
        raise ValueError(f"module: expected values of float32 or float64 in {name!r}, got {got}; module.float() converts")
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array.T if kind in TRANSPOSED else array


def class_of(nn: Any, part: Any) -> str:
    """Return the name of a class of torch.nn that computes what the module computes, or "" if it is unknown."""
    if type(part).__module__ == "fastnn._exports.pytorch_parts":
        return type(part).__name__
    names = ("Sequential", "Linear", "Dropout", *_WITHOUT_EFFECT, *ACTIVATIONS_BY_CLASS, *NORMALIZATIONS_BY_CLASS)
    kinds = ((name, getattr(nn, name)) for name in names if hasattr(nn, name))
    found = (name for name, kind in kinds if isinstance(part, kind) and type(part).forward is kind.forward)
    return next(found, "") if "forward" not in vars(part) else ""


def shown(name: str, part: Any) -> str:
    """Return a module and its name for messages."""
    text = f"{type(part).__name__}({part.extra_repr()})"
    return f"{text} as submodule {name!r}" if name else text
