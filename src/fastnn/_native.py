"""The interface to the private parts of models and trainers, for estimators, compiled code and the benchmark.

These functions are all that files outside of the model's and the trainer's own may use beside the public attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.losses import native_loss
from fastnn.losses import resolve as resolve_loss

if TYPE_CHECKING:
    from fastnn._engine import core as _core
    from fastnn._engine.losses import NativeLoss
    from fastnn._model import MLP
    from fastnn._trainer import Trainer
    from fastnn.losses import Loss

HANDLE = "_native_handle"
"""The attribute that `handle_of` reads. Code that Numba compiled reads it by this name, and may come from older files."""


def network_of(model: MLP) -> _core.Network:
    """Return the engine's network, which holds a model's parameters and computes with data that has been prepared."""
    return model._network


def generator_of(model: MLP) -> np.random.Generator:
    """Return the generator that draws what the model's training needs."""
    return model._rng


def copied_parameters(model: MLP) -> NDArray[Any]:
    """Return a copy of all parameters in the layout of the network's storage, for `restore_parameters`."""
    return network_of(model).storage.copy()


def restore_parameters(model: MLP, parameters: NDArray[Any] | float) -> None:
    """Set all parameters to those that `copied_parameters` returned, or to one number."""
    network_of(model).storage[...] = parameters


def loss_of(trainer: Trainer) -> NativeLoss:
    """Return a trainer's loss as the engine computes it."""
    return trainer._loss


def apply_settings(trainer: Trainer) -> None:
    """Pass the settings that have been assigned during a run to the engine."""
    trainer._apply()


def count_update(trainer: Trainer) -> None:
    """Count an update that the engine has not made."""
    trainer._stepper.updates += 1


def handle_of(owner: Any) -> tuple[tuple[int, ...], object]:
    """Return an address and numbers, which compiled code works with, and the object that keeps the address valid.

    Of a model, the numbers are those of inputs and outputs; of a trainer, the same and whether targets may be labels.

    Raises
    ------
    TypeError
        If it is a trainer whose learning rate is a schedule.
    """
    handle: tuple[tuple[int, ...], object] = getattr(owner, HANDLE)
    return handle


def handle_with_loss(model: MLP, loss: str | Loss) -> tuple[tuple[int, ...], object]:
    """Return the same for a model whose methods compute a loss unless they are told another.

    Raises
    ------
    TypeError, ValueError
        If it is no loss, or one that does not suit the model.
    """
    (_, *sizes), _ = handle_of(model)
    native = native_loss(resolve_loss(loss), model.activations[-1], model.layer_sizes[-1])
    holder = network_of(model).with_loss(native)
    return (holder.address, *sizes), holder
