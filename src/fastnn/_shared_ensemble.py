"""Shared ensembles: what users pass, and the initial scales of the members."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.limits import MAX_MEMBERS
from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import integer, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.embeddings import Embedding

_INITS = ("auto", "signs", "normal", "ones")
_KINDS = ("mini", "full")


@option_class
class SharedEnsemble(Options):
    """An ensemble of networks within one model, which share nearly all parameters (TabM and TabM-mini).

    Each member multiplies the inputs of the first layer by scales of its own, and has an output layer of its own; all other
    parameters are those of all members. With ``kind="full"``, each member also has scales r and s, and biases b, of its own
    in every hidden layer, whose sums are ``((x * r) @ W) * s + b``. A row passes through the layers once for each member.
    The prediction is the mean of the members' outputs, after the output activation. The loss is the mean of the members'
    losses, so that each member learns the targets by itself.

    Parameters
    ----------
    n_members : int, default 32
        The number of members, 2 to 512.
    scale_init : str, default "auto"
        The initial scales: random "signs", "normal" random numbers, or "ones". A number is drawn for each member and each
        column of X: all outputs of an embedding for one column begin with the same scale. "auto" stands for "normal" with
        embeddings, and "signs" without. All other scales begin at 1.
    kind : str, default "mini"
        The parameters of each member besides its output layer: "mini" for scales of the inputs (TabM-mini), "full" for
        scales and biases in all hidden layers (TabM, a BatchEnsemble).

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    Y. Gorishniy, A. Kotelnikov and A. Babenko, "TabM: advancing tabular deep learning with parameter-efficient ensembling",
    ICLR 2025. Y. Wen, D. Tran and J. Ba, "BatchEnsemble: an alternative approach to efficient ensemble and lifelong
    learning", ICLR 2020.

    Examples
    --------
    >>> from fastnn import MLP
    >>> model = MLP((4, 64, 1), shared=SharedEnsemble(16))
    >>> model.scales[0].shape, model.weights[0].shape, model.weights[1].shape
    ((16, 4), (4, 64), (64, 16))
    """

    n_members: int = 32
    scale_init: str = "auto"
    kind: str = field(default="mini", kw_only=True)

    def __post_init__(self) -> None:
        """Check every parameter."""
        object.__setattr__(self, "n_members", integer("n_members", self.n_members, low=2, high=MAX_MEMBERS))
        for name, choices in (("scale_init", _INITS), ("kind", _KINDS)):
            value, names = getattr(self, name), ", ".join(map(repr, choices))
            if not isinstance(value, str):
                raise TypeError(f"{name}: expected one of {names}, got {shown(value)}")
            if value not in choices:
                raise ValueError(f"{name}: expected one of {names}, got {value!r}")

    def initial_scales(self, n_in: int, embeddings: Sequence[Embedding], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the initial scales (n_members, width) of inputs that are the outputs of embeddings and n_in columns of X."""
        widths = [width for each in embeddings for width in each.widths]
        widths += [1] * (n_in - sum(len(each.columns) for each in embeddings))
        shape = self.n_members, len(widths)
        init = self.scale_init if self.scale_init != "auto" else "normal" if embeddings else "signs"
        if init == "ones":
            drawn = np.ones(shape)
        else:
            drawn = rng.normal(size=shape) if init == "normal" else rng.choice([-1.0, 1.0], shape)
        return np.repeat(drawn, widths, axis=1)


def check_shared(shared: object, input_scale: bool) -> SharedEnsemble | None:
    """Return a shared ensemble, or None for a plain network, or raise TypeError or ValueError."""
    if shared is None or isinstance(shared, SharedEnsemble):
        if shared is not None and input_scale:
            raise ValueError(f"input_scale: expected False for {shared!r}, whose members have scales of their own, got True")
        return shared
    raise TypeError(f"shared: expected a SharedEnsemble, or None, got {shown(shared)}")


def refuse_residual(shared: SharedEnsemble | None, residual: Sequence[tuple[int, int]]) -> None:
    """Raise ValueError for a shared ensemble with residual connections."""
    if shared is not None and residual:
        raise ValueError(f"residual: expected no residual connections with shared={shared!r}, got {list(residual)}")
