"""Optimizers in PyTorch's definitions, on vectors of all parameters; and what is done to gradients before."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastnn._engine.portable._compile import put, shared

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADAMW = range(len(OPTIMIZERS))
MOMENTS = (0, 1, 1, 1, 1, 2, 2)  # arrays of state, each like the parameters
OPTIMIZER_MOMENTS = dict(zip(OPTIMIZERS, MOMENTS, strict=True))

_CLIP_EPSILON = 1e-6  # PyTorch's, against division by a norm of zero


class Optimizer(NamedTuple):
    """An optimizer in the terms of the step."""

    kind: int
    decay_1: float
    decay_2: float
    epsilon: float
    weight_decay: float
    l1: float
    l2: float
    clip_value: float  # infinity: none
    clip_norm: float
    lazy: bool  # sparse inputs: weights of features that are not in the batch are left alone
    # Where scikit-learn's and Keras's definitions are not PyTorch's:
    epsilon_hat: bool  # Adam adds epsilon before v is corrected for its start at zero
    rate_in_velocity: bool  # momentum adds up steps, not gradients
    penalty_per_weight: bool  # penalties are divided by the sum of the batch's sample weights


class Coefficients(NamedTuple):
    """The numbers of one update, of the parameters' type."""

    rate: Any
    decay_1: Any
    rest_1: Any
    decay_2: Any
    rest_2: Any
    root_scale: Any
    epsilon: Any
    shrink: Any


def optimizer_of(optimizer: dict[str, Any]) -> Optimizer:
    """Return the optimizer that a dictionary describes; what it doesn't name is none."""
    kind = OPTIMIZERS.index(optimizer["name"])
    if optimizer["moments"] != MOMENTS[kind]:
        raise ValueError(f"optimizer: got {optimizer['moments']} moments, expected {MOMENTS[kind]} for {optimizer['name']}")
    absent = {"clip_value": math.inf, "clip_norm": math.inf}
    flags = ("lazy", "epsilon_hat", "rate_in_velocity", "penalty_per_weight")
    numbers = [name for name in Optimizer._fields[1:] if name not in flags]
    values: dict[str, Any] = {name: float(optimizer.get(name, absent.get(name, 0.0))) for name in numbers}
    return Optimizer(kind, **values, **{name: bool(optimizer.get(name, False)) for name in flags})


@shared
def coefficients(o: Optimizer, rate: float, updates: int, like: Any) -> Coefficients:
    """Return the numbers of the update that so many came before."""
    rest_1, root_scale = 1.0 - o.decay_1, 1.0
    if o.kind == MOMENTUM or o.kind == NESTEROV:
        rest_1, rate = (rate, 1.0) if o.rate_in_velocity else (1.0, rate)
    shrink = 1.0 - rate * o.weight_decay
    if o.kind == ADAM or o.kind == ADAMW:  # the moments started at zero: Kingma & Ba 2014, section 3, and its end
        root = math.sqrt(1.0 - o.decay_2 ** (updates + 1))
        rate = rate * (root if o.epsilon_hat else 1.0) / (1.0 - o.decay_1 ** (updates + 1))
        root_scale = 1.0 if o.epsilon_hat else 1.0 / root
    number = like.dtype.type
    return Coefficients(
        number(rate),
        number(o.decay_1),
        number(rest_1),
        number(o.decay_2),
        number(1.0 - o.decay_2),
        number(root_scale),
        number(o.epsilon),
        number(shrink),
    )


@shared
def update(kind: int, w: Any, g: Any, m: Any, v: Any, c: Coefficients) -> None:
    """Make one step with the gradient g: w, and as many of the moments m and v as the optimizer keeps, change in place."""
    if kind == SGD:
        put(w, w - c.rate * g)
    elif kind == MOMENTUM:
        put(m, c.decay_1 * m + c.rest_1 * g)
        put(w, w - c.rate * m)
    elif kind == NESTEROV:
        put(m, c.decay_1 * m + c.rest_1 * g)
        put(w, w - c.rate * (c.decay_1 * m + c.rest_1 * g))
    elif kind == ADAGRAD:
        put(m, m + g * g)
        put(w, w - c.rate * g / (np.sqrt(m) + c.epsilon))
    elif kind == RMSPROP:
        put(m, c.decay_1 * m + c.rest_1 * g * g)
        put(w, w - c.rate * g / (np.sqrt(m) + c.epsilon))
    else:
        put(m, c.decay_1 * m + c.rest_1 * g)
        put(v, c.decay_2 * v + c.rest_2 * g * g)
        shrink = c.shrink if kind == ADAMW else w.dtype.type(1.0)
        put(w, shrink * w - c.rate * m / (c.root_scale * np.sqrt(v) + c.epsilon))


@shared
def add_penalty(o: Optimizer, batch_weight: float, w: Any, g: Any) -> float:
    """Add the slope of l1 * sum |w| + l2 / 2 * sum w² to g, and return the value."""
    share = 1.0 / batch_weight if o.penalty_per_weight else 1.0
    l1, l2, half = w.dtype.type(o.l1 * share), w.dtype.type(o.l2 * share), w.dtype.type(0.5)
    put(g, g + l1 * np.sign(w) + l2 * w)
    return np.sum((l1 * np.abs(w) + half * l2 * w * w).astype(np.float64))  # type: ignore[no-any-return]


@shared
def clip(o: Optimizer, g: Any) -> None:
    """Cut the elements of g, then its norm."""
    if o.clip_value < math.inf:
        limit = g.dtype.type(o.clip_value)
        put(g, np.minimum(np.maximum(g, -limit), limit))
    if o.clip_norm < math.inf:
        factor = o.clip_norm / (math.sqrt(np.sum((g * g).astype(np.float64))) + _CLIP_EPSILON)
        if factor < 1.0:
            put(g, g.dtype.type(factor) * g)
