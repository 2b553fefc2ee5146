"""An optimizer in the terms of the native loop: the row of its registry, and coefficients."""

from __future__ import annotations

from typing import Any

from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, NAdam, Optimizer, RMSProp


def native_optimizer(
    optimizer: Optimizer,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
) -> dict[str, Any]:
    """Return the arguments of the native update; `moments` is the number of arrays that it keeps."""
    native = _row(optimizer) | {"l1": l1, "l2": l2}
    if clip_norm is not None:
        native["clip_norm"] = clip_norm
    if clip_value is not None:
        native["clip_value"] = clip_value
    return native


def _row(optimizer: Optimizer) -> dict[str, Any]:
    match optimizer:
        case SGD(momentum=0.0):
            return {"name": "sgd", "moments": 0}
        case SGD(momentum=momentum, nesterov=nesterov):
            return {"name": "nesterov" if nesterov else "momentum", "moments": 1, "beta_1": momentum}
        case AdaGrad(epsilon=epsilon):
            return {"name": "adagrad", "moments": 1, "epsilon": epsilon}
        case RMSProp(decay=decay, epsilon=epsilon):
            return {"name": "rmsprop", "moments": 1, "beta_1": decay, "epsilon": epsilon}
        case Adam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
            return {"name": "adam", "moments": 2, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        case AdamW(weight_decay=decay):
            adam = _row(Adam(optimizer.learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon))
            return adam | {"name": "adamw", "decay": decay}
        case NAdam(momentum_decay=decay):
            adam = _row(Adam(optimizer.learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon))
            return adam | {"name": "nadam", "decay": decay}
    raise TypeError(f"optimizer: got {optimizer!r}, expected one of fastnn.optimizers")
