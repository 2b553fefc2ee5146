"""An optimizer in the engine's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._engine import core as _core
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from fastnn._block_settings import Blocks

ARGUMENTS = ("beta_1", "beta_2", "epsilon", "decay")
"""The coefficients, in the order of the arguments of the kernels' function of arrays (kernels/c_api.h)."""


def native_optimizer(
    optimizer: Optimizer,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    blocks: Blocks | None = None,
    scheduled: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the name of an optimizer's update, its number of moments, and its coefficients.

    `scheduled` has the engine's names of the settings that each step gives, in that order.
    """
    moments = _core.OPTIMIZER_MOMENTS[optimizer.rule]
    coefficients = optimizer.placeholders if scheduled else optimizer.coefficients
    native = {"name": optimizer.rule, "moments": moments, **coefficients, "l1": l1, "l2": l2}
    if clip_norm is not None:
        native["clip_norm"] = clip_norm
    if clip_value is not None:
        native["clip_value"] = clip_value
    if blocks is not None:
        native["blocks"] = blocks
    if scheduled:
        native["scheduled"] = scheduled
    return native
