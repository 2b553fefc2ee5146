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


def check_penalties(blocks: Blocks, l1: Any, l2: Any) -> None:
    """Raise ValueError if penalties of a trainer act on none of its weights."""
    penalized = [block for of_layer in blocks.layers for kind, block in of_layer.items() if kind in PENALIZED]
    for name, value in (("l1", l1), ("l2", l2)):
        if value != 0.0 and all(block.is_frozen or getattr(block, name) not in (None, value) for block in penalized):
            expected = f"expected 0.0, since by layer_settings, all weights are frozen or have an {name} of their own"
            raise ValueError(f"{name}: {expected}, got {value!r}")


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
    for layer, own in enumerate(each[:1] if for_all else each):
        if own is not None:
            argument = "layer_settings" if for_all else f"layer_settings[{layer}]"
            _check_embedded(argument, own, embedded)
            of_layers = range(len(kinds)) if for_all else [layer]
            _check(argument, own, optimizer, _places(own, optimizer, of_layers, kinds, embedded))
    layers = tuple({kind: BlockSettings.of(own, kind) for kind in there} for own, there in zip(each, kinds, strict=True))
    embeddings = tuple(BlockSettings.of(each[0] if has else None, EMBEDDED, i) for i, has in enumerate(embedded))
    named = [(kind, block) for of_layer in layers for kind, block in of_layer.items()]
    named += [(EMBEDDED, block) for block, has in zip(embeddings, embedded, strict=True) if has]
    if all(block.is_frozen for _, block in named):
        raise ValueError("layer_settings: expected parameters that are not frozen, got none")
    is_default = all(block == BlockSettings.default(kind) for kind, block in named)
    return None if is_default else Blocks(layers, embeddings)


class _Place(NamedTuple):
    """One kind of parameters in one layer, or those of one embedding, to which settings apply."""

    kind: str
    is_frozen: bool
    is_orthogonal: bool = False  # their updates are orthogonal
    embedding: int = 0


def _places(
    settings: LayerSettings,
    optimizer: Optimizer,
    layers: Sequence[int],
    kinds: Sequence[Sequence[str]],
    embedded: Sequence[bool],
) -> list[_Place]:
    """Return the places of all parameters that the settings of these layers are for."""
    places = [
        _Place(kind, of_kind(settings.frozen, kind, False), optimizer.is_orthogonal(layer, kind, len(kinds)))
        for layer in layers
        for kind in kinds[layer]
    ]
    if 0 in layers:
        each = [(i, of_kind(settings.frozen, EMBEDDED, False, i)) for i, has in enumerate(embedded) if has]
        places += [_Place(EMBEDDED, is_frozen, embedding=i) for i, is_frozen in each]
    return places


def _check(argument: str, settings: LayerSettings, optimizer: Optimizer, scope: Sequence[_Place]) -> None:
    """Raise ValueError if the settings of layers say something that has no effect on the parameters in `scope`."""
    kinds = {place.kind for place in scope}
    for name in ("learning_rate_factor", "epsilon_factor", "weight_decay_factor", "frozen"):
        value, coefficient = getattr(settings, name), name.removesuffix("_factor")
        is_of_optimizer = coefficient in ("epsilon", "weight_decay")
        if is_of_optimizer and value != 1.0 and coefficient not in optimizer.coefficient_names():
            kind = type(optimizer).__name__
            raise ValueError(f"{argument}.{name}: expected 1.0 for {kind}, which has no {coefficient}, got {value!r}")
        if not isinstance(value, Mapping):
            if name != "frozen" and value != 1.0:
                affected = [place for place in scope if name != "weight_decay_factor" or place.kind in WITH_DECAY]
                _check_factor(f"{argument}.{name}", name, value, optimizer, affected)
            continue
        for kind, given in value.items():
            if kind not in kinds:
                there = ", ".join(each for each in NAMES if each in kinds)
                raise ValueError(
                    f"{argument}.{name}: expected the kinds of parameters that are there, {there}, got {kind!r}"
                )
            neutral = 0.0 if name == "weight_decay_factor" and kind not in WITH_DECAY else 1.0
            for i, each in enumerate(given if isinstance(given, tuple) else [given]):
                if name == "frozen" or each is None or each == neutral:
                    continue
                one = f"[{i}]" if isinstance(given, tuple) else ""
                affected = [p for p in scope if p.kind == kind and (not one or p.embedding == i)]
                _check_factor(f"{argument}.{name}[{kind!r}]{one}", name, each, optimizer, affected)
    penalized = [place for place in scope if place.kind in PENALIZED]
    for name in ("l1", "l2"):
        if getattr(settings, name) is not None and all(place.is_frozen for place in penalized):
            expected = "expected None for frozen weights, on which no penalties act"
            raise ValueError(f"{argument}.{name}: {expected}, got {getattr(settings, name)!r}")


def _check_factor(argument: str, name: str, value: float, optimizer: Optimizer, affected: Sequence[_Place]) -> None:
    """Raise ValueError if a factor that is not the default has no effect on any of the parameters that it is for."""
    trained = [place for place in affected if not place.is_frozen]
    if affected and not trained:
        raise ValueError(f"{argument}: expected the default for frozen parameters, which no update changes, got {value!r}")
    if name == "epsilon_factor" and all(place.is_orthogonal for place in trained):
        expected = f"expected 1.0 for hidden weights, whose updates by {type(optimizer).__name__} have no epsilon"
        raise ValueError(f"{argument}: {expected}, got {value!r}")
    if name == "weight_decay_factor" and value > 0.0 and getattr(optimizer, "weight_decay", None) == 0.0:
        expected = f"expected the default for {type(optimizer).__name__} with weight_decay=0.0"
        raise ValueError(f"{argument}: {expected}, got {value!r}")


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
