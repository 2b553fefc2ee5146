"""Settings of the training of single layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import flag, real, shown

_Value = TypeVar("_Value")

KINDS = ("weights", "biases", "slopes", "gains", "shifts", "alphas", "scales", "output_scales", "projections")
"""The kinds of parameters of layers, in the order of kernels/registry.h."""

EMBEDDED = "embedding_parameters"
"""The kind of parameters of embeddings, which stand before all layers. Their settings are those of the first layer."""

NAMES = (*KINDS, EMBEDDED)
"""All kinds of parameters."""

WITH_DECAY = ("weights", "biases", "projections")
"""The kinds to which weight decay applies by default."""

PENALIZED = ("weights", "projections")
"""The kinds on which penalties act."""


class ByKind(Mapping[str, _Value], Generic[_Value]):
    """An immutable mapping from kinds of parameters to numbers or flags. Embeddings may have a tuple of them."""

    def __init__(self, values: Mapping[str, _Value]) -> None:
        self._values: dict[str, _Value] = {kind: values[kind] for kind in NAMES if kind in values}

    def __getitem__(self, kind: str) -> _Value:
        return self._values[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


@option_class
class LayerSettings(Options):
    """Settings of the training of one layer, which `Trainer` takes as `layer_settings`.

    A factor is a number, or a mapping from kinds of parameters to numbers: "weights", "biases", "slopes", "gains",
    "shifts", "alphas", "scales", "output_scales", "projections" and "embedding_parameters", which are the names of the
    attributes of `MLP`. Kinds that a mapping lacks have their defaults. A trainer refuses factors that change no update,
    such as those of frozen parameters, of a weight decay of 0, and of the epsilon of weights that `Muon` updates. The
    settings of the first layer are also those of the embeddings before it. For "embedding_parameters", a mapping may have a
    list with one value per embedding, or None for its default, in place of one for all.

    Parameters
    ----------
    learning_rate_factor : float or mapping, default 1.0
        The factor of the optimizer's learning rate, >= 0.
    epsilon_factor : float or mapping, default 1.0
        The factor of the optimizer's epsilon, > 0. The optimizer must have one.
    weight_decay_factor : float or mapping, default 1.0
        The factor of the optimizer's weight decay, >= 0. The optimizer must have one. A number is for weights, biases and
        projections; a mapping can also let the other kinds decay, which they do not by default.
    l1, l2 : float, optional
        The strengths of the penalties on the weights and the projection of the layer, in place of the trainer's `l1` and
        `l2`.
    frozen : bool or mapping, default False
        Whether training leaves the parameters as they are, with their moments. Neither penalties nor weight decay act on
        them, and their gradient is no part of the norm that `clip_norm` limits.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range, or if penalties of its own act on frozen weights.

    Examples
    --------
    >>> LayerSettings(learning_rate_factor={"biases": 0.1})
    LayerSettings(learning_rate_factor={'biases': 0.1})
    """

    learning_rate_factor: float | Mapping[str, float] = 1.0
    epsilon_factor: float | Mapping[str, float] = 1.0
    weight_decay_factor: float | Mapping[str, float] = 1.0
    l1: float | None = None
    l2: float | None = None
    frozen: bool | Mapping[str, bool] = False

    def __post_init__(self) -> None:
        """Check every parameter."""
        for name in ("learning_rate_factor", "epsilon_factor", "weight_decay_factor"):
            self._check_by_kind(name, lambda name, value: real(name, value, low=0.0, exclude_low=name.startswith("epsilon")))
        self._check_by_kind("frozen", flag)
        for name in ("l1", "l2"):
            value = getattr(self, name)
            if value is None:
                continue
            object.__setattr__(self, name, real(name, value, low=0.0))
            if of_kind(self.frozen, "weights", False):
                raise ValueError(f"{name}: expected None for frozen weights, on which no penalties act, got {shown(value)}")

    def _check_by_kind(self, name: str, check: Callable[[str, Any], Any]) -> None:
        given = getattr(self, name)
        if not isinstance(given, Mapping):
            object.__setattr__(self, name, check(name, given))
            return
        checked: dict[str, Any] = {}
        for kind, value in given.items():
            if kind not in NAMES:
                raise ValueError(f"{name}: expected kinds of parameters, {', '.join(map(repr, NAMES))}, got {shown(kind)}")
            if kind == EMBEDDED and isinstance(value, list | tuple):
                named = [(f"{name}[{kind!r}][{i}]", each) for i, each in enumerate(value)]
                checked[kind] = tuple(None if each is None else check(place, each) for place, each in named)
            else:
                checked[kind] = check(f"{name}[{kind!r}]", value)
        object.__setattr__(self, name, ByKind(checked))

    def __repr__(self) -> str:
        """Return the parameters that differ from their defaults."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        changed = {field.name for field in dataclasses.fields(self) if given[field.name] != field.default}
        return f"LayerSettings({', '.join(f'{name}={value!r}' for name, value in given.items() if name in changed)})"


def check_layer_settings(argument: str, given: Any) -> LayerSettings | tuple[LayerSettings | None, ...] | None:
    """Return settings for all layers, or a tuple with those of each layer, or None.

    Raises
    ------
    TypeError
        If they are neither.
    """
    if given is None or isinstance(given, LayerSettings):
        return given
    if isinstance(given, list | tuple) and all(each is None or isinstance(each, LayerSettings) for each in given):
        return tuple(given)
    expected = "expected LayerSettings for all layers, or a list with LayerSettings or None for each layer"
    raise TypeError(f"{argument}: {expected}, got {shown(given)} of type {type(given).__name__}")


def of_kind(given: Any, kind: str, default: _Value, embedding: int = 0) -> _Value:
    """Return what a number or a mapping says of a kind of parameters, or of one of the embeddings."""
    value = given.get(kind, default) if isinstance(given, Mapping) else given
    if isinstance(value, tuple):  # one per embedding
        value = default if value[embedding] is None else value[embedding]
    result: _Value = value
    return result
