"""The validation loss and the metrics over the shards of all ranks, whose sums are added in the order of the shards."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._evaluation import Evaluation
from fastnn._measures import Measures, Values
from fastnn._metrics import VALIDATION, Metric, Metrics, checked_metrics, columns_of, of_sets
from fastnn._native import evaluated_network, loss_of
from fastnn._sharded.ranks import Phase, Ranks
from fastnn._sharded.shards import Shards

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._configured import Configured


class ShardedMeasures(Measures):
    """The values that a run in shards computes after each epoch, like `fastnn._measures.Measures`.

    Parameters
    ----------
    trainer : Trainer
        The trainer, whose model is measured.
    ranks : Ranks
        The ranks. Each meeting passes on two values per shard.
    metrics : dict
        The names, as `check_metrics` returns them.
    data, validation : Shards
        The rows. `validation` is None if there are no validation data.

    Raises
    ------
    TypeError, ValueError
        If a metric does not fit the loss, the targets or the weights.
    """

    def __init__(
        self, trainer: Configured, ranks: Ranks, metrics: Mapping[str, None], data: Shards, validation: Shards | None
    ) -> None:
        self.trainer, self._ranks, self._held_out = trainer, ranks, validation
        self._found = None if validation is None else np.zeros((len(validation.numbers), 2))
        self._sets: list[tuple[str, Values]] = []
        of_training, of_validation = of_sets(metrics, validates=validation is not None)
        if validation is not None:
            self._sets.append((VALIDATION, self._validation_loss))
        if of_training:
            self._sets.append(("", ShardedMetrics(trainer, ranks, of_training, data, "").values))
        if validation is not None and of_validation:
            self._sets.append(
                (VALIDATION, ShardedMetrics(trainer, ranks, of_validation, validation, "validation_data ").values)
            )
        self.names = columns_of(metrics, validates=validation is not None)

    def _validation_loss(self) -> dict[str, float]:
        shards = self._held_out
        assert shards is not None
        assert self._found is not None
        network, loss, n_threads = evaluated_network(self.trainer), loss_of(self.trainer), self.trainer.n_threads
        for shard, (begin, end) in enumerate(shards.ranges):
            self._found[shard] = network.batch_gradient(loss, shards.data, None, begin, end - begin, n_threads=n_threads)
        values = self._ranks.meet(Phase.VALUES, self._found.reshape(-1)).reshape(-1, 2)
        weight = sum(own for _, own in values.tolist())
        return {"loss": float(sum(value * own for value, own in values.tolist()) / weight)}


class ShardedMetrics:
    """The built-in metrics on one set of rows."""

    def __init__(
        self, trainer: Configured, ranks: Ranks, metrics: Mapping[str, Metric | None], shards: Shards, prefix: str
    ) -> None:
        self._ranks = ranks
        with ranks.agreed(Phase.VALUES):
            self._of_shards = [
                Metrics(metrics, Evaluation(trainer, shards.data.rows(begin, end)), prefix, is_part=True)
                for begin, end in shards.ranges
            ]
        totals = self._add([each.totals() for each in self._of_shards])
        with ranks.agreed(Phase.VALUES):
            for each in self._of_shards:
                each.use_totals(totals)
        if "r2" in metrics:
            self._of_shards[0].use_spread(self._add([each.spread() for each in self._of_shards]))

    def values(self) -> dict[str, float]:
        """Return the values with the current parameters, by name."""
        with self._ranks.agreed(Phase.VALUES):
            own = [each.sums() for each in self._of_shards]
        return self._of_shards[0].values_of(self._add(own))

    def _add(self, own: list[list[NDArray[np.float64]]]) -> list[NDArray[np.float64]]:
        """Return the sums over the shards of all ranks, in their order, of what each shard of this rank has found."""
        of_shards = [found for of_rank in self._ranks.gather(own) for found in of_rank]
        return [functools.reduce(np.add, arrays) for arrays in zip(*of_shards, strict=True)]


def check_metrics(metrics: Any) -> dict[str, None]:
    """Return the names of built-in metrics.

    Raises
    ------
    TypeError, ValueError
        If they are something else.
    """
    checked = checked_metrics(metrics)
    for name, function in checked.items():
        if function is not None:
            raise TypeError(
                f"metrics: expected names of built-in metrics with comm or n_shards, which add sums over shards, got the "
                f"function {name!r}, which needs all rows"
            )
    return dict.fromkeys(checked)
