"""Residual connections in modules of PyTorch: where they may begin and end for a network to have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn._exports.pytorch import Dense, Inputs, shown


def keep(layers: Sequence[Dense], name: str, part: Any, inputs: Inputs) -> None:
    """Record that connections begin behind the last layer, or at the inputs.

    Raises
    ------
    ValueError
        If a network has no connections that begin there.
    """
    _check_inside(name, part, inputs)
    where: Any = layers[-1] if layers else inputs
    if part.layer != len(layers):
        raise ValueError(f"module: expected Keep({len(layers)}) behind {len(layers)} layers, got {shown(name, part)}")
    if where.keeps:
        raise ValueError(f"module: expected one Keep per Linear, got {shown(name, part)} after another one")
    if layers and where.norm is not None and where.norm_place == "after":
        expected = f"expected Keep before the normalization {where.norm_name!r} of outputs"
        raise ValueError(f"module: {expected}, got {shown(name, part)} after it")
    where.keeps = True


def add(layers: Sequence[Dense], name: str, part: Any, inputs: Inputs) -> None:
    """Record that a connection ends in the last layer.

    Raises
    ------
    ValueError
        If a network has no connection that ends there.
    """
    _check_inside(name, part, inputs)
    if not layers:
        raise ValueError(f"module: expected a Linear first, got {shown(name, part)} before it")
    dense = layers[-1]
    check_open(dense, name, part)
    if dense.add is not None or (dense.norm is not None and dense.norm_place == "after"):
        before = f"the normalization {dense.norm_name!r} of outputs" if dense.add is None else repr(dense.add_name)
        raise ValueError(f"module: expected one Add per Linear, got {shown(name, part)} after {before}")
    width, units = _width_of(layers, name, part, inputs), dense.linear.out_features
    got = None if part.weight is None else tuple(part.weight.shape)
    if got != (None if width == units else (units, width)):
        expected = f"Add({part.layer})" if width == units else f"Add({part.layer}, {width}, {units})"
        raise ValueError(f"module: expected {expected} for {width} and {units} units, got {shown(name, part)}")
    dense.add, dense.add_name = part, name
    if dense.activation != "identity" or dense.parametric is not None or dense.dropout:
        dense.add_place = "after"


def check_open(dense: Dense, name: str, part: Any) -> None:
    """Raise ValueError if a module comes too late in its layer, behind a Keep or an Add of outputs."""
    if dense.keeps or dense.add_place == "after":
        behind = "its Keep" if dense.keeps else f"the Add {dense.add_name!r}"
        raise ValueError(
            f"module: expected Linear, activation, Dropout, Add and Keep in this order, or Add before the activation, got "
            f"{shown(name, part)} after {behind}"
        )


def check_places(layers: Sequence[Dense]) -> None:
    """Raise ValueError if sums are in different places of their layers, and set the place of those that fit both."""
    last = layers[-1]
    if last.add_place == "after":
        raise ValueError(f"module: expected Add before the last activation, got {last.add_name!r} after it")
    ends = [dense for dense in layers[:-1] if dense.add is not None]
    places = {dense.add_place: dense.add_name for dense in ends if dense.add_place}
    if len(places) > 1:
        raise ValueError(
            f"module: expected all Add before activations or all after them, got {places['before']!r} before one, and "
            f"{places['after']!r} after one"
        )
    for dense in ends:
        dense.add_place = next(iter(places), "after")
    last.add_place = "before"


def _check_inside(name: str, part: Any, inputs: Inputs) -> None:
    if not inputs.is_residual or "." in name:
        raise ValueError(f"module: expected Keep and Add as parts of the whole Residual itself, got {shown(name, part)}")


def _width_of(layers: Sequence[Dense], name: str, part: Any, inputs: Inputs) -> int:
    """Return the number of units where a connection begins."""
    begin = part.layer
    begins = [inputs.keeps, *(dense.keeps for dense in layers[:-1])]
    if not 0 <= begin < len(begins) or not begins[begin]:
        raise ValueError(f"module: expected a Keep({begin}) before an earlier Linear, got none for {shown(name, part)}")
    width: int = layers[0].linear.in_features if begin == 0 else layers[begin - 1].linear.out_features
    return width
