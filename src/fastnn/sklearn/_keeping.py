"""The state of a fitted estimator for copies, pickles and skops files: plain values, which all of these accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._checks import seeds as _seeds
from fastnn._model import MLP
from fastnn.sklearn._definitions import EstimatorTrainer

# A dict with one of these as its only key replaces a value.
_NETWORK, _SHARED, _OWN = "the network", "a generator of the random state", "a generator of its own"


def packed(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an estimator, with network and trainer as plain values.

    Generators that share the bits of the estimator's random state are marked: tools without shared objects would separate
    them, and skops refuses generators without a seed sequence.
    """
    network, random_state = state["network_"], state["_random_state"]
    without_views = {name: value for name, value in state.items() if name != "_shared_arrays"}
    kept = {name: without_views[name].__getstate__() for name in ("network_", "_trainer") if name in state}
    return without_views | {name: _replaced(value, _packer(network, random_state)) for name, value in kept.items()}


def unpacked(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state that `packed` was given, without the views of the network: the inverse of `packed`."""
    unpack = _unpacker(None, state["_random_state"])
    network = MLP.__new__(MLP)
    network.__setstate__(_replaced(state["network_"], unpack))
    result = state | {"network_": network}
    if "_trainer" in state:
        trainer = EstimatorTrainer.__new__(EstimatorTrainer)
        trainer.__setstate__(_replaced(state["_trainer"], _unpacker(network, state["_random_state"])))
        result["_trainer"] = trainer
    return result


def _packer(network: MLP, random_state: np.random.RandomState) -> Callable[[Any], Any]:
    def pack(value: Any) -> Any:
        if value is network:
            return {_NETWORK: True}
        if not isinstance(value, np.random.Generator):
            return value
        if value.bit_generator is _seeds.bits_of(random_state):
            return {_SHARED: True}
        return {_OWN: _seeds.state_of(value)}

    return pack


def _unpacker(network: MLP | None, random_state: np.random.RandomState) -> Callable[[Any], Any]:
    def unpack(value: Any) -> Any:
        if not isinstance(value, dict) or len(value) != 1:
            return value
        if _NETWORK in value:
            return network
        if _SHARED in value:
            return _seeds.generator(random_state)
        return _seeds.from_state(value[_OWN]) if _OWN in value else value

    return unpack


def _replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    """Return a value with `replace` applied to it and, if it is a dict, to all values in it."""
    replaced = replace(value)
    if replaced is value and isinstance(value, dict):
        return {name: _replaced(one, replace) for name, one in value.items()}
    return replaced
