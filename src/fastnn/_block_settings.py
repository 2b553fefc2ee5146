"""The settings of layers in their form for updates: one entry for each kind of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastnn._layer_settings import EMBEDDED, NAMES, PENALIZED, WITH_DECAY, LayerSettings, of_kind
from fastnn._optimizer import Optimizer


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
            of_kind(settings.learning_rate_factor, kind, 1.0, embedding),
            of_kind(settings.epsilon_factor, kind, 1.0, embedding),
            of_kind(decay, kind, default.decay_factor, embedding)
            if isinstance(decay, Mapping)
            else decay * default.decay_factor,
            *penalties,
            of_kind(settings.frozen, kind, False, embedding),
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
                there = ", ".join(each for each in NAMES if each in kinds)
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
