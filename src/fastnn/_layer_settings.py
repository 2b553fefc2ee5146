"""Settings of the training of single layers, and their form for updates: one entry for each kind of parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import flag, real, shown
from fastnn._optimizer import Optimizer

_Value = TypeVar("_Value")

KINDS = ("weights", "biases", "slopes", "gains", "shifts", "alphas", "scales", "output_scales", "projections")
"""The kinds of parameters of layers, in the order of kernels/registry.h."""

EMBEDDED = "embedding_parameters"
"""The kind of parameters of embeddings, which stand before all layers. Their settings are those of the first layer."""

_NAMES = (*KINDS, EMBEDDED)

WITH_DECAY = ("weights", "biases", "projections")
"""The kinds to which weight decay applies by default."""


PENALIZED = ("weights", "projections")
"""The kinds on which penalties act."""


class ByKind(Mapping[str, _Value], Generic[_Value]):
    """An immutable mapping from kinds of parameters to numbers or flags. Embeddings may have a tuple of them."""

    def __init__(self, values: Mapping[str, _Value]) -> None:
        self._values: dict[str, _Value] = {kind: values[kind] for kind in _NAMES if kind in values}

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
    attributes of `MLP`.
    Kinds that a mapping lacks have their defaults. The settings of the first layer are also those of the embeddings before
    it. For "embedding_parameters", a mapping may have a list with one value per embedding, or None for its default, in
    place of one for all.

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
            if _of_kind(self.frozen, "weights", False):
                raise ValueError(f"{name}: expected None for frozen weights, on which no penalties act, got {shown(value)}")

    def _check_by_kind(self, name: str, check: Callable[[str, Any], Any]) -> None:
        given = getattr(self, name)
        if not isinstance(given, Mapping):
            object.__setattr__(self, name, check(name, given))
            return
        checked: dict[str, Any] = {}
        for kind, value in given.items():
            if kind not in _NAMES:
                raise ValueError(f"{name}: expected kinds of parameters, {', '.join(map(repr, _NAMES))}, got {shown(kind)}")
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


class BlockSettings(NamedTuple):
    """The settings for the updates of one block: the parameters of one kind in one layer."""

    learning_rate_factor: float = 1.0
    epsilon_factor: float = 1.0
    decay_factor: float = 1.0  # of the optimizer's weight decay
    l1: float | None = None  # of its own; None stands for those of the trainer. They are those of weights alone
    l2: float | None = None
    is_frozen: bool = False

    @classmethod
    def default(cls, kind: str) -> BlockSettings:
        """Return the settings of a kind of parameters without settings for its layer."""
        return cls(decay_factor=1.0 if kind in WITH_DECAY else 0.0)

    @classmethod
    def of(cls, settings: LayerSettings | None, kind: str, embedding: int = 0) -> BlockSettings:
        """Return the settings of a kind of parameters in a layer with these settings, or of one of the embeddings."""
        default = cls.default(kind)
        if settings is None:
            return default
        decay = settings.weight_decay_factor
        penalties = (settings.l1, settings.l2) if kind in PENALIZED else (None, None)
        return cls(
            _of_kind(settings.learning_rate_factor, kind, 1.0, embedding),
            _of_kind(settings.epsilon_factor, kind, 1.0, embedding),
            _of_kind(decay, kind, default.decay_factor, embedding)
            if isinstance(decay, Mapping)
            else decay * default.decay_factor,
            *penalties,
            _of_kind(settings.frozen, kind, False, embedding),
        )

    def coefficients(self, optimizer: Optimizer, step: int) -> dict[str, Any]:
        """Return the numbers of an optimizer's update at a step, with the epsilon and the weight decay of the block."""
        factors = {"epsilon": self.epsilon_factor, "weight_decay": self.decay_factor}
        numbers = optimizer.coefficients_at(step)
        own = {c: factors[name] * numbers[c] for name, c in optimizer.coefficient_names().items() if name in factors}
        return numbers | own

    def penalties(self, l1: float, l2: float) -> tuple[float, float]:
        """Return the penalties on the weights of the block, whose trainer has the given ones."""
        if self.is_frozen:
            return 0.0, 0.0
        return l1 if self.l1 is None else self.l1, l2 if self.l2 is None else self.l2


class Blocks(NamedTuple):
    """The settings of all blocks of a network."""

    layers: tuple[Mapping[str, BlockSettings], ...]  # of each layer, by the kind of the block
    embeddings: tuple[BlockSettings, ...] = ()  # of each embedding, also of those without parameters


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


def blocks_of(
    settings: LayerSettings | Sequence[LayerSettings | None] | None,
    optimizer: Optimizer,
    kinds: Sequence[Sequence[str]],
    embedded: Sequence[bool] = (),
) -> Blocks | None:
    """Return the settings of all blocks of a network, or None if they are the defaults.

    Parameters
    ----------
    settings : LayerSettings, sequence of them or None
        As `check_layer_settings` returns them.
    optimizer : Optimizer
        The optimizer.
    kinds : sequence of sequences of str
        The kinds of parameters of each layer.
    embedded : sequence of bool, default ()
        Whether each of the embeddings has parameters.

    Raises
    ------
    ValueError
        If they do not suit the layers or the optimizer, or if all parameters are frozen.
    """
    if settings is None:
        return None
    for_all = isinstance(settings, LayerSettings)
    each = [settings] * len(kinds) if isinstance(settings, LayerSettings) else list(settings)
    if len(each) != len(kinds):
        raise ValueError(f"layer_settings: expected {len(kinds)}, one per layer, the output layer's last, got {len(each)}")
    before = [EMBEDDED] if any(embedded) else []
    for layer, own in enumerate(each):
        if own is not None:
            there = {kind for of_layer in kinds for kind in of_layer} if for_all else set(kinds[layer])
            argument = "layer_settings" if for_all else f"layer_settings[{layer}]"
            _check(argument, own, optimizer, there.union(before if layer == 0 or for_all else ()))
            _check_embedded(argument, own, embedded)
    layers = tuple({kind: BlockSettings.of(own, kind) for kind in there} for own, there in zip(each, kinds, strict=True))
    embeddings = tuple(BlockSettings.of(each[0] if has else None, EMBEDDED, i) for i, has in enumerate(embedded))
    named = [(kind, block) for of_layer in layers for kind, block in of_layer.items()]
    named += [(EMBEDDED, block) for block, has in zip(embeddings, embedded, strict=True) if has]
    if all(block.is_frozen for _, block in named):
        raise ValueError("layer_settings: expected parameters that are not frozen, got none")
    is_default = all(block == BlockSettings.default(kind) for kind, block in named)
    return None if is_default else Blocks(layers, embeddings)


def _check(argument: str, settings: LayerSettings, optimizer: Optimizer, kinds: Any) -> None:
    """Raise ValueError if the settings of a layer say something that has no effect there."""
    for name in ("epsilon_factor", "weight_decay_factor"):
        value, coefficient = getattr(settings, name), name.removesuffix("_factor")
        if value != 1.0 and coefficient not in optimizer.coefficient_names():
            kind = type(optimizer).__name__
            raise ValueError(f"{argument}.{name}: expected 1.0 for {kind}, which has no {coefficient}, got {value!r}")
    for name in ("learning_rate_factor", "epsilon_factor", "weight_decay_factor", "frozen"):
        value = getattr(settings, name)
        for kind in value if isinstance(value, Mapping) else ():
            if kind not in kinds:
                there = ", ".join(each for each in _NAMES if each in kinds)
                raise ValueError(
                    f"{argument}.{name}: expected the kinds of parameters that are there, {there}, got {kind!r}"
                )


def _check_embedded(argument: str, settings: LayerSettings, embedded: Sequence[bool]) -> None:
    """Raise ValueError unless a list of values for embeddings has one for each, None for those without parameters."""
    for name in ("learning_rate_factor", "epsilon_factor", "weight_decay_factor", "frozen"):
        value = getattr(settings, name)
        each = value.get(EMBEDDED) if isinstance(value, Mapping) else None
        if not isinstance(each, tuple):
            continue
        where = f"{argument}.{name}[{EMBEDDED!r}]"
        if len(each) != len(embedded):
            raise ValueError(f"{where}: expected {len(embedded)} values, one per embedding, got {len(each)}")
        for i, (own, has) in enumerate(zip(each, embedded, strict=True)):
            if own is not None and not has:
                raise ValueError(f"{where}[{i}]: expected None for an embedding without parameters, got {own!r}")


def _of_kind(given: Any, kind: str, default: _Value, embedding: int = 0) -> _Value:
    value = given.get(kind, default) if isinstance(given, Mapping) else given
    if isinstance(value, tuple):  # one per embedding
        value = default if value[embedding] is None else value[embedding]
    result: _Value = value
    return result
