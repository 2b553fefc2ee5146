"""Initial weights: random, and scaled so that signals neither fade nor grow from layer to layer.

Uniform weights are drawn from [-limit, limit], and normal weights with mean zero. For a layer with n_in inputs and n_out
outputs, the variance is

- glorot: 2 / (n_in + n_out). X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
  networks", AISTATS 2010.
- he: 2 / n_in. K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015.
- lecun: 1 / n_in. Y. LeCun, L. Bottou, G. B. Orr and K.-R. Mueller, "Efficient BackProp", 1998.

The limit of a uniform distribution is the square root of three times its variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastnn._checks import spellings as _spellings
from fastnn._checks.residual import Connections, projected

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Weights: TypeAlias = "NDArray[np.float64]"
_Draw: TypeAlias = "Callable[[int, int, np.random.Generator], _Weights]"

# The outputs of these activations have about half the variance of their inputs. He's factor of 2 compensates for this.
_RELU_FAMILY = ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "mish", "softplus")
_BY_ACTIVATION = {
    **dict.fromkeys(_RELU_FAMILY, "he_normal"),
    "selu": "lecun_normal",  # preserves mean 0 and variance 1: G. Klambauer et al., "Self-normalizing neural networks", 2017
}


def initialize(
    layer_sizes: Sequence[int],
    activations: Sequence[object],
    init: str | Sequence[str],
    rng: np.random.Generator,
    n_members: int = 1,
) -> list[_Weights]:
    """Draw the initial weights of a network, layer by layer.

    Parameters
    ----------
    layer_sizes : sequence of int
        The numbers of units: inputs, hidden layers, outputs.
    activations : sequence of str
        One per layer; the last one is that of the output layer. Activations outside the ReLU family other than SELU are
        treated like tanh.
    init : str or sequence of str
        A name in `INITIALIZERS`, or "auto", for all layers or for each. "auto" chooses by the activation of each layer:
        "he_normal" for the ReLU family, "lecun_normal" for SELU, and "glorot_uniform" for all others.
    rng : numpy.random.Generator
        The source of the random numbers.
    n_members : int, default 1
        The number of members that have a last layer of their own. Their weights stand side by side.

    Returns
    -------
    list of float64 ndarrays, shapes (n_in, n_out)

    Raises
    ------
    TypeError, ValueError
        If `init` is not the name of an initializer.
    """
    each = check_init(init, len(activations))
    layers = zip(layer_sizes[:-1], layer_sizes[1:], activations, each, strict=True)
    draws = [(INITIALIZERS[_by_activation(own, activation)], n_in, n_out) for n_in, n_out, activation, own in layers]
    drawn = [draw(n_in, n_out, rng) for draw, n_in, n_out in draws]
    if n_members > 1:
        draw, n_in, n_out = draws[-1]
        drawn[-1] = np.hstack([drawn[-1], *(draw(n_in, n_out, rng) for _ in range(n_members - 1))])
    return drawn


def initialize_projections(
    connections: Connections,
    widths: Sequence[int],
    activations: Sequence[object],
    init: str | Sequence[str],
    rng: np.random.Generator,
) -> list[_Weights | None]:
    """Draw the projections of residual connections like the weights of the layers to which they lead, or None."""
    each = check_init(init, len(activations))
    result: list[_Weights | None] = [None] * len(activations)
    for layer, n_from, n_to in projected(connections, widths):
        result[layer] = INITIALIZERS[_by_activation(each[layer], activations[layer])](n_from, n_to, rng)
    return result


def check_init(init: object, n_layers: int) -> tuple[str, ...]:
    """Return the name of an initializer for each layer, or raise TypeError or ValueError."""
    if not isinstance(init, list | tuple):
        return (_check_name("init", init),) * n_layers
    if len(init) != n_layers:
        raise ValueError(f"init: expected one name, or {n_layers}, one per layer, the output layer's last, got {len(init)}")
    return tuple(_check_name(f"init[{layer}]", name) for layer, name in enumerate(init))


def _check_name(argument: str, init: object) -> str:
    if isinstance(init, str) and (init == "auto" or init in INITIALIZERS):
        return init
    names = ", ".join(repr(name) for name in ("auto", *INITIALIZERS))
    if not isinstance(init, str):
        raise TypeError(f"{argument}: expected one of {names}, got {init!r} of type {type(init).__name__}")
    meant = _spellings.named_here(init, ("auto", *INITIALIZERS), _spellings.INITIALIZERS)
    raise ValueError(f"{argument}: expected one of {names}, got {init!r}{meant}")


def _by_activation(init: str, activation: object) -> str:
    if init != "auto":
        return init
    return _BY_ACTIVATION.get(activation, "glorot_uniform") if isinstance(activation, str) else "glorot_uniform"


def _uniform(numerator: int, fan: Callable[[int, int], int]) -> _Draw:
    def draw(n_in: int, n_out: int, rng: np.random.Generator) -> _Weights:
        limit = math.sqrt(3 * numerator / fan(n_in, n_out))
        return rng.uniform(-limit, limit, (n_in, n_out))

    return draw


def _normal(numerator: int, fan: Callable[[int, int], int]) -> _Draw:
    def draw(n_in: int, n_out: int, rng: np.random.Generator) -> _Weights:
        return rng.normal(0.0, math.sqrt(numerator / fan(n_in, n_out)), (n_in, n_out))

    return draw


def _zeros(n_in: int, n_out: int, rng: np.random.Generator) -> _Weights:
    return np.zeros((n_in, n_out))


def _both(n_in: int, n_out: int) -> int:
    return n_in + n_out


def _inputs(n_in: int, n_out: int) -> int:
    return n_in


INITIALIZERS: Mapping[str, _Draw] = MappingProxyType(
    {
        "glorot_uniform": _uniform(2, _both),
        "glorot_normal": _normal(2, _both),
        "he_uniform": _uniform(2, _inputs),
        "he_normal": _normal(2, _inputs),
        "lecun_uniform": _uniform(1, _inputs),
        "lecun_normal": _normal(1, _inputs),
        "zeros": _zeros,
    }
)
"""The initializers by name: functions that map n_in, n_out and a generator to weights of shape (n_in, n_out)."""
