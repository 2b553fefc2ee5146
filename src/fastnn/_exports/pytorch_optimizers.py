"""Optimizers of `torch.optim` with their state, as fastnn's optimizers and moments, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._block_settings import Blocks, BlockSettings
from fastnn._exports.pytorch import TRANSPOSED, Dense, array_of
from fastnn._layer_settings import PENALIZED, WITH_DECAY
from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, NAdam, Optimizer, RMSProp
from fastnn.reference.updates import momentum_product

# For each kind of parameters: one array per layer, or None for a layer without such parameters.
Moments = Mapping[str, Sequence[NDArray[Any] | None]]


@dataclass(frozen=True)
class _Known:
    """An optimizer that both libraries have.

    Attributes
    ----------
    kind : type
        fastnn's class.
    name : str
        The name of PyTorch's class.
    options : mapping
        PyTorch's names of fastnn's parameters, besides the learning rate and the betas.
    moments : tuple of str
        PyTorch's names of fastnn's moments, in their order.
    off : tuple of str
        PyTorch's options that must be off, because fastnn lacks them.
    """

    kind: type[Optimizer]
    name: str
    options: Mapping[str, str]
    moments: tuple[str, ...]
    off: tuple[str, ...] = ()


_MEANS = ("exp_avg", "exp_avg_sq")
_ADAMW = _Known(AdamW, "AdamW", {"epsilon": "eps", "weight_decay": "weight_decay"}, _MEANS, ("amsgrad",))
_KNOWN = (
    _Known(SGD, "SGD", {"momentum": "momentum", "nesterov": "nesterov"}, ("momentum_buffer",), ("dampening",)),
    _Known(AdaGrad, "Adagrad", {"epsilon": "eps"}, ("sum",), ("lr_decay",)),
    _Known(RMSProp, "RMSprop", {"decay": "alpha", "epsilon": "eps"}, ("square_avg",), ("momentum", "centered")),
    _Known(Adam, "Adam", {"epsilon": "eps"}, _MEANS, ("amsgrad", "decoupled_weight_decay")),
    _ADAMW,
    _Known(NAdam, "NAdam", {"epsilon": "eps", "momentum_decay": "momentum_decay"}, _MEANS, ("decoupled_weight_decay",)),
)


@dataclass(frozen=True, eq=False)
class _Place:
    """A parameter of a module: its kind and layer in fastnn, and its name and tensor in PyTorch."""

    kind: str
    layer: int
    name: str
    tensor: Any


def _places(dense: Sequence[Dense]) -> Iterator[_Place]:
    for layer, each in enumerate(dense):
        for kind, name, tensor in each.parameters():
            yield _Place(kind, layer, name, tensor)


# ---- From PyTorch ----


class FromTorch:
    """An optimizer of PyTorch for the parameters of a module, in fastnn's terms.

    Parameters
    ----------
    given : torch.optim.Optimizer
        The optimizer.
    dense : sequence of Dense
        The layers of the module.

    Attributes
    ----------
    optimizer : Optimizer
        fastnn's optimizer with the present learning rate.
    l2 : float
        The strength of the penalty on weights that corresponds to PyTorch's weight decay.
    updates : int
        The number of updates so far; 0 for SGD, which does not count.

    Raises
    ------
    TypeError
        If PyTorch's class has no counterpart.
    ValueError
        If an option or the state has none.
    """

    def __init__(self, given: Any, dense: Sequence[Dense]) -> None:
        self._known = _known_of(given)
        self._places = list(_places(dense))
        _check_trainable(dense, self._places)
        self._groups = _groups_of(given, self._places)
        self._states = [given.state.get(place.tensor, {}) for place in self._places]
        for option in (*self._known.off, "maximize"):
            value = self._option(option, off=False)
            if value:
                raise ValueError(f"optimizer: expected {option}={type(value)()}, got {value!r}")
        self.l2, decay = self._decay()
        parameters = {ours: self._option(theirs) for ours, theirs in self._known.options.items() if ours != "weight_decay"}
        if "betas" in self._groups[0]:
            parameters["beta_1"], parameters["beta_2"] = map(float, self._option("betas"))
        if self._known.kind is AdamW:
            parameters["weight_decay"] = decay
        self.optimizer = self._known.kind(float(self._option("lr")), **parameters)
        self.updates = self._common_step()
        self._check_momenta()

    def fill(self, moments: Sequence[Moments]) -> None:
        """Copy the state into views of the moments of a trainer. Moments without a state in PyTorch stay zero."""
        for name, views in zip(self._known.moments, moments, strict=False):  # SGD without momentum has none
            for place, state in zip(self._places, self._states, strict=True):
                view = views[place.kind][place.layer]
                if state.get(name) is not None and view is not None:
                    view[...] = array_of(f"{name} of {place.name}", place.kind, state[name])

    def _option(self, name: str, off: Any = None) -> Any:
        """Return the value of an option, after checking that it is the same for all parameters."""
        values = [group.get(name, off) for group in self._groups]
        for value, place in zip(values, self._places, strict=True):
            if value != values[0]:
                raise ValueError(
                    f"optimizer: expected the same {name} for all parameters, got {values[0]!r} for "
                    f"{self._places[0].name!r} and {value!r} for {place.name!r}"
                )
        return values[0]

    def _decay(self) -> tuple[float, float]:
        """Return the penalty on weights, and the decay of AdamW, which includes biases."""
        decays = {
            (place.kind, float(group["weight_decay"])) for place, group in zip(self._places, self._groups, strict=True)
        }
        of = {kind: sorted({decay for other, decay in decays if other == kind}) for kind, _ in decays}
        weights, with_biases = of["weights"][0], self._known.kind is AdamW
        allowed = dict.fromkeys(WITH_DECAY if with_biases else PENALIZED, weights)  # and of no other kind
        for kind, found in of.items():
            if found != [allowed.get(kind, 0.0)]:
                rule = "weights and biases alone" if with_biases else "weights alone, as the option l2 of Trainer"
                raise ValueError(
                    f"optimizer: expected a weight_decay of {rule}, got {found} for {kind} and {of['weights']} for weights; "
                    "parameter groups can have different ones"
                )
        return (0.0, weights) if with_biases else (weights, 0.0)

    def _common_step(self) -> int:
        steps = [int(state.get("step", 0)) for state in self._states]
        for step, place in zip(steps, self._places, strict=True):
            if step != steps[0]:
                raise ValueError(
                    f"optimizer: expected the same number of steps for all parameters, got {steps[0]} for "
                    f"{self._places[0].name!r} and {step} for {place.name!r}"
                )
        return steps[0]

    def _check_momenta(self) -> None:
        """Raise ValueError if the momenta of NAdam have changed on the way, so that their product is not that of fastnn."""
        if not isinstance(self.optimizer, NAdam) or not self.updates:
            return
        expected = momentum_product(self.optimizer.beta_1, self.optimizer.momentum_decay, self.updates)
        for state in self._states:
            if abs(float(state["mu_product"]) - expected) > 1e-4:
                raise ValueError(
                    f"optimizer: expected mu_product={expected:.6f} of NAdam with constant betas and momentum_decay, got "
                    f"{float(state['mu_product']):.6f}"
                )


def _known_of(given: Any) -> _Known:
    kind = type(given)
    for known in _KNOWN:
        if kind.__name__ == known.name and kind.__module__.startswith("torch.optim."):
            decoupled = known.kind is Adam and given.param_groups[0].get("decoupled_weight_decay")
            return _ADAMW if decoupled else known
    names = ", ".join(known.name for known in _KNOWN)
    raise TypeError(f"optimizer: expected one of {names} of torch.optim, got {kind.__name__}")


def _check_trainable(dense: Sequence[Dense], places: Sequence[_Place]) -> None:
    """Raise ValueError if PyTorch does not train a parameter that fastnn would train."""
    for each in dense:
        if each.linear.bias is None:
            raise ValueError(f"module: expected bias=True, got {each.name!r} without a bias, which a Trainer would train")
        if each.prelu is not None and each.prelu.num_parameters != each.linear.out_features:
            raise ValueError(
                f"module: expected PReLU({each.linear.out_features}), got {each.prelu_name!r} with a slope that units "
                "share, while a Trainer trains one per unit"
            )
        missing = [] if each.norm is None else [name for name in ("weight", "bias") if getattr(each.norm, name, 0) is None]
        if missing:
            raise ValueError(
                f"module: expected a {missing[0]} of {each.norm_name!r}, got a normalization without one, which a Trainer "
                "would train"
            )
    for place in places:
        if not place.tensor.requires_grad:
            raise ValueError(f"module: expected parameters that require a gradient, got {place.name!r} that does not")


def _groups_of(given: Any, places: Sequence[_Place]) -> list[Mapping[str, Any]]:
    """Return the group of each parameter."""
    groups = {id(tensor): group for group in given.param_groups for tensor in group["params"]}
    missing = [place.name for place in places if id(place.tensor) not in groups]
    if missing or len(groups) > len(places):
        got = f"one without {', '.join(missing)}" if missing else f"{len(groups)}, of which the module has {len(places)}"
        raise ValueError(f"optimizer: expected the parameters of the module, got {got}")
    return [groups[id(place.tensor)] for place in places]


# ---- To PyTorch ----


def counterpart_of(optimizer: Optimizer) -> _Known:
    """Return PyTorch's counterpart of an optimizer, or raise ValueError."""
    for known in _KNOWN:
        if known.kind is type(optimizer):
            return known
    names = ", ".join(known.kind.__name__ for known in _KNOWN)
    raise ValueError(f"to_torch: expected an optimizer with one counterpart in PyTorch, one of {names}, got {optimizer!r}")


def optimizer_of(
    optimizer: Optimizer,
    l2: float,
    updates: int,
    moments: Sequence[Moments],
    dense: Sequence[Dense],
    blocks: Blocks | None = None,
) -> Any:
    """Return PyTorch's optimizer for the parameters of a module, with the state of fastnn's.

    Parameters
    ----------
    optimizer : Optimizer
        fastnn's optimizer. Its learning rate is a number.
    l2 : float
        The penalty on weights; 0 for AdamW.
    updates : int
        The number of updates so far.
    moments : sequence
        The moments.
    dense : sequence of Dense
        The layers of the module.
    blocks : Blocks, optional
        The settings of the parameters of each layer by kind. Frozen ones get no optimizer, and require no gradient.
    """
    import torch

    known = counterpart_of(optimizer)
    places = list(_places(dense))
    options = {theirs: getattr(optimizer, ours) for ours, theirs in known.options.items() if ours != "weight_decay"}
    if isinstance(optimizer, Adam | AdamW | NAdam):
        options["betas"] = (optimizer.beta_1, optimizer.beta_2)
    groups: dict[tuple[tuple[str, Any], ...], list[Any]] = {}
    for place in places:
        own = BlockSettings.default(place.kind) if blocks is None else blocks.layers[place.layer][place.kind]
        place.tensor.requires_grad_(not own.is_frozen)
        if not own.is_frozen:
            groups.setdefault(tuple(_options_of(optimizer, known, place.kind, own, l2).items()), []).append(place.tensor)
    made = getattr(torch.optim, known.name)(
        [{"params": tensors, **dict(of_group)} for of_group, tensors in groups.items()],
        lr=optimizer.learning_rate,
        **options,
    )
    for place in places:
        if not place.tensor.requires_grad:
            continue
        state = made.state[place.tensor]
        for name, views in zip(known.moments, moments, strict=False):
            array = views[place.kind][place.layer]
            assert array is not None
            state[name] = torch.from_numpy(np.array(array.T if place.kind in TRANSPOSED else array, order="C"))
        if not isinstance(optimizer, SGD):
            state["step"] = torch.tensor(float(updates))
        if isinstance(optimizer, NAdam):
            product = momentum_product(optimizer.beta_1, optimizer.momentum_decay, updates)
            state["mu_product"] = torch.tensor(product, dtype=torch.get_default_dtype())
    return made


def _options_of(optimizer: Any, known: _Known, kind: str, own: BlockSettings, l2: float) -> dict[str, Any]:
    """Return PyTorch's options for the parameters of a kind with settings of their own. PyTorch adds penalties as decay."""
    of_block = own.coefficients(optimizer, 0)
    options = {"weight_decay": own.penalties(0.0, l2)[1] if kind in PENALIZED else 0.0}
    if isinstance(optimizer, AdamW):
        options["weight_decay"] = of_block["decay"]
    if own.learning_rate_factor != 1.0:
        options["lr"] = own.learning_rate_factor * optimizer.learning_rate
    if own.epsilon_factor != 1.0:
        options[known.options["epsilon"]] = of_block["epsilon"]
    return options
