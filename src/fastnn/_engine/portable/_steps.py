"""The steps of a run that are made in Python: the gradient of a batch, and the update by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.portable._average import Average
from fastnn._engine.portable._blocks import Gradients
from fastnn._engine.portable._elementwise import first_not_finite
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._optimizers import Optimizer
from fastnn._engine.portable._pass import Pass
from fastnn._engine.portable._pieces import Piece
from fastnn._engine.portable._rows import Array
from fastnn._engine.portable._state import (
    ROW,
    SNAPSHOT_UPDATES,
    UPDATES,
    Account,
    State,
    can_count,
    count,
    take_snapshot,
)
from fastnn.reference.embeddings import absent_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine.run_settings import RunSettings


class SingleSteps:
    """The vectors that the steps of a run change, and the steps themselves, one at a time.

    Attributes
    ----------
    state : State
        The vectors that a step changes, which the compiled loop shares.
    """

    def __init__(
        self,
        network: Network,
        loss: MeanLoss,
        optimizer: Optimizer,
        settings: RunSettings,
        account: Account,
        *,
        ends_epochs: bool,
    ) -> None:
        self._network, self._loss, self._optimizer, self._account = network, loss, optimizer, account
        self._parts = network.parts(optimizer.blocks, apart=optimizer.orthogonalizes)
        self._moments = [network.vector(settings.moments[i]) for i in range(optimizer.n_moments)]
        self._average = None if settings.averaging is None else Average(settings.averaging, network.storage)
        self._gradient = np.empty_like(network.storage)
        kept = (network.storage, *self._moments, *([] if self._average is None else self._average.arrays))
        snapshot = tuple(np.empty_like(array) for array in kept)
        m, v = optimizer.both(self._moments, network.storage)
        self.state = State(network.storage, self._gradient, m, v, kept, snapshot)
        self._gradients = Gradients.of_kinds(network.views(self._gradient))
        self._passes: dict[int, Pass] = {}  # passes by the number of rows
        self._ends_epochs = ends_epochs  # whether the end of an epoch is one for an average over epochs
        self._loss_by_rows = settings.loss_by_rows  # weighs batches in an epoch's loss by rows, not weights

    def take(self, piece: Piece, batch: int, divisor: Any, rate: Any) -> bool:
        """Make one step, and return whether its loss is finite. If it is not, nothing has changed."""
        begin, end = piece.ends[batch], piece.ends[batch + 1]
        features = None if piece.features is None else piece.features[batch]
        absent = self._absent(piece, batch, features)
        if piece.magnitudes[batch] > 0.0:
            factor = self._optimizer.factor("dropout_factor", rate)
            loss = self._find_gradient(piece, begin, end, piece.keys[batch], divisor, factor)
        else:
            loss, self._gradient[:] = 0.0, 0.0
        return self._finish_step(loss, divisor, end - begin, features, absent, rate)

    def _absent(self, piece: Piece, batch: int, features: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return which elements at the beginning of the storage have no update, because the batch lacks their inputs."""
        if features is not None:
            return np.repeat(~features, self._network.layer_sizes[1])
        embedded = [(e, p) for e, p in self._network.embedded if p is not None]
        if not self._optimizer.lazy or not any(e.has_table for e, _ in embedded):
            return None
        x = piece.x[piece.ends[batch] : piece.ends[batch + 1]] if piece.magnitudes[batch] > 0.0 else piece.x[:0]
        rows = zip(absent_rows(embedded, x), embedded, strict=True)
        return np.concatenate([np.repeat(np.zeros(len(p), np.bool_) if r is None else r, p.shape[1]) for r, (_, p) in rows])

    def apply(self, gradient: Array, rate: Any) -> bool:
        """Make one step with a gradient, a vector like the storage; return whether it is finite, change nothing if not."""
        self._gradient[:] = gradient
        done = self._finish_step(0.0, 1.0, 1, None, None, rate)
        if done and first_not_finite(self._network.storage) >= 0:
            self.restore_snapshot()
            return False
        return done

    def restore_snapshot(self) -> None:
        """Go back to the parameters, moments and updates when the epoch began, if one has begun."""
        counts = self._account.counts
        if counts[SNAPSHOT_UPDATES] >= 0:
            for array, kept in zip(self.state.kept, self.state.snapshot, strict=True):
                array[:] = kept
            counts[UPDATES] = counts[SNAPSHOT_UPDATES]

    def _finish_step(
        self,
        loss: float,
        divisor: Any,
        rows: int,
        features: NDArray[np.bool_] | None,
        absent: NDArray[np.bool_] | None,
        rate: Any,
    ) -> bool:
        """Update by the gradient of some rows, and return whether their loss is finite; if not, nothing has changed."""
        if self._optimizer.scheduled:
            rate = self._optimizer.follow_schedules(rate)
        if self._optimizer.has_penalty:
            loss = self._penalize(loss, divisor, features)
        weight = float(rows if self._loss_by_rows else divisor)
        if not can_count(self._account, loss, weight):
            return False
        if self._account.counts[ROW] == 0:
            take_snapshot(self.state, self._account)
        for part, own, _ in self._parts:
            if own.is_frozen:  # no part of the norm
                self._gradient[part] = 0.0
        self._optimizer.clip(self._gradient)
        if absent is None:
            self._update(rate)
        else:
            self._update_present(absent, rate)
        if self._average is not None:
            self._average.add(ends_epoch=self._ends_epochs and self._account.counts[ROW] + rows == self._account.n_rows)
        count(self._account, rows, loss, weight)
        return True

    def _find_gradient(
        self, piece: Piece, begin: int, end: int, keys: tuple[Array, Any] | None, divisor: float, dropout_factor: float
    ) -> float:
        count = end - begin
        if count not in self._passes:
            self._passes[count] = self._network.new_pass(count, logits=self._loss.from_logits)
        batch, rows = self._passes[count], slice(begin, end)
        p = batch.forward(piece.x[rows], keys, dropout_factor)
        loss = batch.loss(self._loss, (piece.y[rows], piece.weight[rows], piece.elements[rows]), p, divisor)
        batch.backward(self._gradients)
        return loss

    def _penalize(self, loss: float, divisor: float, features: NDArray[np.bool_] | None) -> float:
        for layer, (w, gradient) in enumerate(zip(self._network.parameters["weights"], self._gradients.layers, strict=True)):
            if layer == 0 and features is not None:
                w = w * features[:, np.newaxis]
            loss = self._optimizer.penalize(loss, divisor, layer, w, gradient.weights)
        for layer, (w, gradient) in enumerate(
            zip(self._network.parameters["projections"], self._gradients.layers, strict=True)
        ):
            if w is not None and gradient.projections is not None:
                loss = self._optimizer.penalize(loss, divisor, layer, w, gradient.projections, "projections")
        return loss

    def _update(self, rate: float) -> None:
        """Update all parameters that are not frozen, part by part."""
        w, g, t = self._network.storage, self._gradient, int(self._account.counts[UPDATES]) + 1
        for part, own, shape in self._parts:
            if shape is not None and not own.is_frozen:
                matrices = [array[part].reshape(shape) for array in (w, self._moments[0], g)]
                self._optimizer.update_matrix(matrices, rate, own)
            elif not own.is_frozen:
                self._optimizer.update(w[part], g[part], [moment[part] for moment in self._moments], rate, t, own)

    def _update_present(self, absent: NDArray[np.bool_], rate: float) -> None:
        """Update all parameters except for these elements at the beginning of the storage."""
        changed = self.state.kept[: 1 + len(self._moments)]
        kept = [array[: absent.size][absent] for array in changed]
        self._update(rate)
        for array, values in zip(changed, kept, strict=True):
            array[: absent.size][absent] = values
