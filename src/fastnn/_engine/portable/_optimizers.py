"""Optimizers, which the front doors pass as dictionaries: penalties, clipping and updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._block_settings import Blocks, BlockSettings
from fastnn._engine.portable._compile import formula, pointer, runnable
from fastnn._engine.portable._rows import Array
from fastnn._layer_settings import PENALIZED
from fastnn.reference.gradients import add_penalty, norm_factors, penalty_gradient, sum_of_squares
from fastnn.reference.updates import RULES, Coefficients, Constants, orthogonal_update

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

OPTIMIZERS = tuple(RULES)
OPTIMIZER_MOMENTS = {name: len(rule.moments) for name, rule in RULES.items()}  # numbers of arrays like the parameters


_DEFAULT = BlockSettings()  # of weights and biases


class Optimizer:
    """The update of an optimizer, and the changes to the gradient before it."""

    def __init__(self, native: dict[str, Any]) -> None:
        self._rule, self.orthogonalizes = RULES[native["name"]], native["name"] == "muon"
        self.n_moments = OPTIMIZER_MOMENTS[native["name"]]
        if native["moments"] != self.n_moments:
            raise ValueError(f"optimizer: expected {self.n_moments} moments for {native['name']}, got {native['moments']}")
        self._constants = Constants(**{name: native[name] for name in Constants._fields if name in native})
        self._update = runnable(update, change=self._rule.formula)
        self._add_penalty, self._penalty_gradient = runnable(add_penalty), runnable(penalty_gradient)
        self._sum_of_squares = runnable(sum_of_squares)
        self._l1, self._l2 = float(native.get("l1", 0.0)), float(native.get("l2", 0.0))
        self.blocks: Blocks | None = native.get("blocks")  # the settings of all blocks, or None for the defaults
        of_layers = [{"weights": BlockSettings()}] if self.blocks is None else self.blocks.layers
        penalized = [own for of_layer in of_layers for kind, own in of_layer.items() if kind in PENALIZED]
        self.scheduled: tuple[str, ...] = native.get("scheduled", ())  # the settings that each step gives
        l2 = 1.0 if "l2" in self.scheduled else self._l2
        self.has_penalty = any(penalty > 0.0 for own in penalized for penalty in own.penalties(self._l1, l2))
        self._clip_value, self._clip_norm = native.get("clip_value", math.inf), native.get("clip_norm", math.inf)
        self.clips = self._clip_value < math.inf or self._clip_norm < math.inf
        self._penalty_per_weight = bool(native.get("penalty_per_weight", False))  # divides it by a batch's weight
        self.lazy = bool(native.get("lazy", False))  # for sparse inputs: skip features that a batch lacks

    def factor(self, name: str, rates: Any) -> float:
        """Return a factor that may follow a schedule, in a step with these rates."""
        return float(rates[1 + self.scheduled.index(name)]) if name in self.scheduled else 1.0

    def follow_schedules(self, rates: Sequence[float]) -> float:
        """Take the values of the scheduled settings of a step, which follow its learning rate, and return that."""
        rate, *values = rates
        given: dict[str, Any] = dict(zip(self.scheduled, values, strict=True))
        self._l2 = given.pop("l2", self._l2)
        given = {name: value for name, value in given.items() if not name.endswith("_factor")}  # no settings of updates
        self._constants = self._constants._replace(**given)
        return rate

    def penalize(self, loss: float, batch_weight: float, layer: int, w: Array, g: Array, kind: str = "weights") -> float:
        """Add the gradient of the penalties on weights w of a layer to g, and return the loss with their value.

        They are those of the layer, or, with another kind, of its projection.
        """
        share = 1.0 / batch_weight if self._penalty_per_weight else 1.0
        own = BlockSettings() if self.blocks is None else self.blocks.layers[layer][kind]
        l1, l2 = (penalty * share for penalty in own.penalties(self._l1, self._l2))
        number = w.dtype.type
        g += self._penalty_gradient(w, number(l1), number(l2))
        return float(self._add_penalty(loss, w, l1, l2))

    def clip(self, g: Array) -> None:
        """Clip the elements of g, and then its norm."""
        if self._clip_value < math.inf:
            np.clip(g, -self._clip_value, self._clip_value, out=g)
        if self._clip_norm < math.inf:
            factors = norm_factors(lambda by: float(self._sum_of_squares(g, by)), self._clip_norm, g.dtype)
            for factor in factors:
                if factor != 1.0:
                    g *= g.dtype.type(factor)

    def update(
        self, w: Array, g: Array, moments: Sequence[Array], rate: float, t: int, own: BlockSettings = _DEFAULT
    ) -> None:
        """Make update t = 1, 2, … of parameters w with settings of their own, and of their moments, by the gradient g."""
        m, v = self.both(moments, w)
        self._update(w, g, m, v, self.coefficients([rate], t, w.dtype, own)[0])

    def update_matrix(self, matrices: Sequence[Array], rate: float, own: BlockSettings) -> None:
        """Make an update of a hidden matrix and its mean of gradients, given with its gradient."""
        w, m, g = matrices
        decay = own.decay_factor * self._constants.decay
        orthogonal_update(w, g, m, self._constants, own.learning_rate_factor * rate, decay)

    def pointer(self, dtype: DTypeLike) -> int | None:
        """Return the address of `update`, or None without Numba."""
        return pointer(update, "void", [np.empty(1, dtype)] * 5, change=self._rule.formula)

    @staticmethod
    def both(moments: Sequence[Array], w: Array) -> Sequence[Array]:
        """Return the first and the second moment, or w for a moment that there is not: a formula does not change that."""
        return [*moments, w, w][:2]

    def coefficients(self, rates: Sequence[float], t: int, dtype: DTypeLike, own: BlockSettings = _DEFAULT) -> Array:
        """Return the coefficients of updates t, t + 1, … with these learning rates, one row per update."""
        constants = self._constants._replace(epsilon=own.epsilon_factor * self._constants.epsilon)
        factor = own.learning_rate_factor
        rows = [self._rule.coefficients(constants, factor * rate, t + i) for i, rate in enumerate(rates)]
        if own.decay_factor != 1.0:
            rows = [row._replace(decay_factor=1.0 - own.decay_factor * (1.0 - row.decay_factor)) for row in rows]
        return np.array(rows, dtype)


# ---- A function of arrays, which Numba compiles ----

change = formula  # formula of the optimizer


def update(w: Array, g: Array, m: Array, v: Array, c: Array) -> None:
    """Change parameters w and their moments in place by the gradient g. c has the coefficients, in the type of w."""
    change(w, g, m, v, Coefficients(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]))
