"""Checks whether networks and data fit together, and conversions to the types and shapes of the computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.floats import Array, as_float
from fastnn._checks.masks import unmasked
from fastnn._checks.predictions import one_hot
from fastnn._custom import CustomActivation
from fastnn.embeddings import resolve, stage_width
from fastnn.losses import Loss
from fastnn.reference.activations import Activation, named
from fastnn.reference.embeddings import Embedded
from fastnn.reference.members import MemberScales
from fastnn.reference.normalization import NORMALIZATIONS, Normalization, normalized
from fastnn.reference.parametric import PARAMETRIC, with_alphas
from fastnn.reference.residual import Connections

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    *("Activations", "Arrays", "Members", "Normalizations", "UnitParameters"),
    *("checked_data", "checked_inputs", "checked_network", "checked_residual", "checked_scales", "takes_as_labels"),
]
__dir__ = __all__.copy

Arrays: TypeAlias = Sequence[Array]
Activations: TypeAlias = Sequence[str | Activation | CustomActivation]
UnitParameters: TypeAlias = Sequence[Array | None] | None
Normalizations: TypeAlias = Sequence[Normalization | None] | None
Members: TypeAlias = Sequence[MemberScales | None] | None

_OUTPUT_ONLY = ("softmax", "exp")
WITHOUT_ALPHAS = ("identity", *PARAMETRIC)  # an alpha would change nothing, or what another parameter changes


def checked_network(
    weights: Arrays,
    biases: Arrays,
    activations: Activations,
    normalizations: Normalizations = None,
    alphas: UnitParameters = None,
    n_members: int = 1,
    members: Members = None,
    **kinds: UnitParameters,
) -> list[Activation]:
    """Return the activation of each layer, with its normalization, or raise an error if the lists do not fit together.

    `alphas` are those of parametric activations, and `kinds` the parameters of other activations. `n_members` are those of a
    shared ensemble, and `members` their scales in hidden layers.
    """
    if not len(weights) == len(biases) == len(activations) or len(weights) == 0:
        lengths = f"{len(weights)}, {len(biases)} and {len(activations)}"
        raise ValueError(f"weights, biases, activations: expected one entry per layer, got lists of lengths {lengths}")
    for layer, w in enumerate(weights):
        n_in = weights[layer - 1].shape[-1] if layer else "n_in"
        if w.ndim != 2 or (layer and w.shape[0] != n_in):
            raise ValueError(f"weights[{layer}]: expected shape ({n_in}, n_out), got {w.shape}")
    own_biases = _check_members(members, weights, n_members)
    for layer, (w, b, own) in enumerate(zip(weights, biases, own_biases, strict=True)):
        expected = (n_members, w.shape[1]) if own else w.shape[1:]
        if b.shape != expected:
            raise ValueError(f"biases[{layer}]: expected shape {expected}, got {b.shape}")
    units = [w.shape[1] for w in weights]
    units[-1] //= n_members
    functions = [
        _with_parameters(activation, layer, kinds, (n_units,))
        if isinstance(activation, str) and activation in PARAMETRIC
        else named(activation, f"activations[{layer}]")
        for layer, (activation, n_units) in enumerate(zip(activations, units, strict=True))
    ]
    for layer, function in enumerate(functions[:-1]):
        if function.name in _OUTPUT_ONLY:
            raise ValueError(f"activations[{layer}]: expected one for hidden layers, got {function.name!r}")
    if alphas is not None:
        functions = _with_alphas(functions, alphas, weights)
    return functions if normalizations is None else _with_normalizations(functions, normalizations, weights)


def _check_members(members: Members, weights: Arrays, n_members: int) -> list[bool]:
    """Return in which layers members have scales, or raise an error if these do not fit."""
    if members is None:
        return [False] * len(weights)
    if n_members == 1 or len(members) != len(weights) or members[-1] is not None:
        got = f"{len(members)} entries"
        raise ValueError(f"members: expected {len(weights)} entries for a shared ensemble, the last one None, got {got}")
    for layer, (each, w) in enumerate(zip(members, weights, strict=True)):
        if each is None:
            continue
        shapes = (n_members, w.shape[0]) if layer else None, (n_members, w.shape[1])
        given = None if each.inputs is None else each.inputs.shape, each.outputs.shape
        if given != shapes:
            raise ValueError(f"members[{layer}]: expected scales of inputs and outputs of shapes {shapes}, got {given}")
    return [each is not None for each in members]


def _with_alphas(functions: list[Activation], alphas: Sequence[Array | None], weights: Arrays) -> list[Activation]:
    if len(alphas) != len(functions) or alphas[-1] is not None:
        got = f"{len(alphas)} entries"
        raise ValueError(f"alphas: expected {len(functions)} entries, one per layer, the last one None, got {got}")
    result = list(functions)
    for layer, (values, function, w) in enumerate(zip(alphas, functions, weights, strict=True)):
        if values is None:
            continue
        if values.shape != w.shape[1:]:
            raise ValueError(f"alphas[{layer}]: expected shape {w.shape[1:]}, got {values.shape}")
        if function.name in WITHOUT_ALPHAS:
            raise ValueError(f"alphas[{layer}]: expected None for the activation {function.name!r}, got an array")
        result[layer] = with_alphas(function, values)
    return result


def _with_normalizations(
    functions: list[Activation], normalizations: Sequence[Normalization | None], weights: Arrays
) -> list[Activation]:
    if len(normalizations) != len(functions) or normalizations[-1] is not None:
        got = f"{len(normalizations)} entries"
        raise ValueError(f"normalizations: expected {len(functions)} entries, one per layer, the last one None, got {got}")
    result = list(functions)
    for layer, (normalization, w) in enumerate(zip(normalizations, weights, strict=True)):
        if normalization is None:
            continue
        shape, arrays = w.shape[1:], {"gains": normalization.gains, "shifts": normalization.shifts}
        kinds = NORMALIZATIONS.get(normalization.name, ())
        if normalization.place not in ("before", "after") or any(
            (kind in kinds) != (array is not None) or (array is not None and array.shape != shape)
            for kind, array in arrays.items()
        ):
            expected = " or ".join(f"{name!r} with {' and '.join(kinds)}" for name, kinds in NORMALIZATIONS.items())
            got = ", ".join(f"{kind} {None if array is None else array.shape}" for kind, array in arrays.items())
            raise ValueError(
                f"normalizations[{layer}]: expected {expected} of shape {shape}, before or after the activation, got "
                f"{normalization.name!r} {normalization.place} it, with {got}"
            )
        result[layer] = normalized(functions[layer], normalization)
    return result


def _with_parameters(activation: str, layer: int, kinds: Mapping[str, UnitParameters], shape: tuple[int, ...]) -> Activation:
    kind, activation_of = PARAMETRIC[activation]
    of_layers = kinds.get(kind)
    given = None if of_layers is None else of_layers[layer]
    if given is None or given.shape != shape:
        got = None if given is None else f"shape {given.shape}"
        raise ValueError(f"{kind}[{layer}]: expected shape {shape} for the activation {activation!r}, got {got}")
    return activation_of(given)


def _check_link(loss: Loss, output: Activation) -> None:
    """Raise ValueError if the loss does not go with the output activation."""
    if loss.links and output.name not in loss.links:
        links = " or ".join(repr(link) for link in loss.links)
        raise ValueError(f"loss: expected the output activation {links} for {loss.name!r}, got {output.name!r}")
    if loss.from_logits and output.name in PARAMETRIC:
        raise ValueError(
            f"loss: expected an output activation without parameters for {loss.name!r}, which takes its inputs, got "
            f"{output.name!r}"
        )


def checked_inputs(weights: Arrays, X: ArrayLike, embeddings: Embedded | None = None) -> Array:
    """Return rows of inputs in the type of the weights, or raise an error if they do not fit the first layer."""
    inputs, n_first = as_float("X", X), weights[0].shape[0]
    if embeddings is not None:
        _check_embeddings(embeddings, inputs, n_first)
    elif inputs.ndim != 2 or inputs.shape[1] != n_first:
        raise ValueError(f"X: expected shape (n, {n_first}), got {inputs.shape}")
    with np.errstate(over="ignore"):
        return inputs.astype(weights[0].dtype, copy=False)


def checked_scales(weights: Arrays, scales: Array | None) -> Array | None:
    """Return the scales of the inputs, or raise an error if they do not fit the first and the last layer."""
    if scales is None:
        return scales
    if scales.ndim not in (1, 2) or scales.shape[-1:] != weights[0].shape[:1]:
        raise ValueError(f"scales: expected shape {weights[0].shape[:1]}, one per input, got {scales.shape}")
    if scales.ndim == 2 and (len(scales) < 2 or weights[-1].shape[1] % len(scales)):
        expected = f"at least two members, which share {weights[-1].shape[1]} outputs"
        raise ValueError(f"scales: expected {expected}, got shape {scales.shape}")
    return scales


def checked_residual(weights: Arrays, residual: Connections, n_members: int) -> Connections:
    """Return the residual connections, or raise an error if they do not fit the layers."""
    if residual and n_members > 1:
        raise ValueError(f"residual: expected no connections in a shared ensemble, got {len(residual)}")
    widths = [weights[0].shape[0], *(w.shape[1] for w in weights)]
    for i, each in enumerate(residual or ()):
        if not 0 <= each.begin < each.end < len(widths) or each.place not in ("before", "after"):
            got = f"{each.begin} and {each.end}, {each.place} it"
            raise ValueError(f"residual[{i}]: expected a layer and a later one, before or after its activation, got {got}")
        shape = (widths[each.begin], widths[each.end])
        given = None if each.projection is None else each.projection.shape
        if given != (None if shape[0] == shape[1] else shape):
            raise ValueError(
                f"residual[{i}]: expected a projection of shape {shape}, or None if both are equal, got {given}"
            )
    if len({each.end for each in residual or ()}) != len(residual or ()):
        raise ValueError("residual: expected at most one connection to each layer, got several to one")
    return residual


def _check_embeddings(embeddings: Embedded, inputs: Array, n_first: int) -> None:
    """Raise ValueError if the embeddings do not fit the inputs and the first layer."""
    given = [e for e, _ in embeddings]
    resolved = resolve(given, inputs.shape[-1]) if inputs.ndim == 2 else ()
    width = stage_width(resolved, inputs.shape[-1]) if inputs.ndim == 2 else 0
    if width != n_first or tuple(given) != resolved:
        raise ValueError(f"X: expected rows whose embeddings have {n_first} outputs, got shape {inputs.shape}")
    for i, (e, parameters) in enumerate(embeddings):
        got = None if parameters is None else parameters.shape
        if got != e.shape:
            raise ValueError(f"embeddings[{i}]: expected parameters of shape {e.shape}, got {got}")


def takes_as_labels(loss: Loss, y: NDArray[Any]) -> bool:
    """Return whether the loss takes the targets y, as given, for integer labels."""
    return loss.takes_labels and y.ndim == 1 and y.dtype.kind in "biu"


def _targets(loss: Loss, y: ArrayLike, row_weights: NDArray[np.float64], n_out: int, dtype: DTypeLike) -> Array:
    n_rows = len(row_weights)
    n_targets = loss.n_targets(n_out)
    given = unmasked("y", y)
    if takes_as_labels(loss, given) and loss.missing == "ignore":
        row_weights = np.where(given == -1, 0.0, row_weights)  # such a row may have any label
    targets = as_float("y", one_hot("y", given, n_out, row_weights) if loss.takes_labels else given)
    if targets.ndim == 1 and n_targets == 1:
        targets = targets[:, np.newaxis]
    if targets.shape != (n_rows, n_targets):
        outputs = "" if n_targets == n_out else f" for outputs of shape ({n_rows}, {n_out})"
        raise ValueError(f"y: expected shape ({n_rows}, {n_targets}){outputs}, got {given.shape}")
    if n_rows == 0:
        raise ValueError("X: expected at least one, got no rows")
    with np.errstate(over="ignore"):
        return targets.astype(dtype, copy=False)


def _row_weights(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    if sample_weight is None:
        return np.ones(n_rows)
    row_weights = as_float("sample_weight", sample_weight).astype(np.float64)
    if row_weights.shape != (n_rows,):
        raise ValueError(f"sample_weight: expected shape ({n_rows},), got {row_weights.shape}")
    if not np.isfinite(row_weights).all():
        raise ValueError("sample_weight: expected finite ones, got weights that are not finite")
    return row_weights


def checked_data(
    weights: Arrays,
    output: Activation,
    X: ArrayLike,
    y: ArrayLike,
    loss: Loss,
    sample_weight: ArrayLike | None,
    embeddings: Embedded | None = None,
    n_members: int = 1,
) -> tuple[Array, Array, Array]:
    """Return inputs, targets and row weights in the types and shapes of the computation, if they fit together."""
    _check_link(loss, output)
    inputs = checked_inputs(weights, X, embeddings)
    row_weights = _row_weights(sample_weight, len(inputs))
    n_out = weights[-1].shape[1] // n_members
    return inputs, _targets(loss, y, row_weights, n_out, weights[-1].dtype), row_weights
