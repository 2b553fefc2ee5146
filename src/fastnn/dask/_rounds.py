"""Training in rounds: local steps on the shards, whose results are averaged after each round.

See Stich, "Local SGD converges fast and communicates little" (ICLR 2019).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn._native import restore_parameters
from fastnn.dask._arguments import Interval
from fastnn.dask._partitions import Partition, Recipe
from fastnn.sklearn import _data, _shares
from fastnn.sklearn._definitions import EstimatorTrainer
from fastnn.sklearn._epochs import EpochWatcher, Validation
from fastnn.sklearn._shares import Blueprint, Part, State
from fastnn.sklearn._sums import Sums, added, sums
from fastnn.sklearn._warnings import warn

if TYPE_CHECKING:
    from distributed import Client, Future

# ---- Tasks: pure functions, so that Dask may run them again elsewhere ----


def _given(value: Any) -> Any:
    """Return a value: as a task, its data can be computed again when a worker is lost, unlike scattered data."""
    return value


def _train(blueprint: Blueprint, state: State, part: Part, recipe: Recipe, *data: Any) -> State:
    X, y, sample_weight = recipe.load(data)
    return _shares.train(blueprint, state, part, X, y, sample_weight)


def _average(*states: State) -> State:
    return _shares.average(states)


def _sums(common: tuple[Blueprint, State], recipe: Recipe, *data: Any) -> Sums:
    X, y, sample_weight = recipe.load(data)
    return sums(*common, X, y, sample_weight)


# ---- The driver ----


class Cluster:
    """Submits tasks, each under a key of its own: Dask would otherwise keep or share results by their arguments."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """Return the future of a task."""
        return self._client.submit(function, *arguments, pure=False)

    def each(self, function: Callable[..., Any], partitions: Sequence[Partition], arguments: Sequence[Any]) -> list[Any]:
        """Return the results of tasks, one per partition, with the arguments for it before its recipe and data."""
        pairs = zip(partitions, arguments, strict=True)
        futures = [self.submit(function, *own, partition.recipe, *partition.futures) for partition, own in pairs]
        return [future.result() for future in futures]

    def sums(self, blueprint: Blueprint, state: State, partitions: Sequence[Partition]) -> Sums:
        """Return the sums over the rows of all partitions, added in their order."""
        common = self.submit(_given, (blueprint, state))
        parts = self.each(_sums, partitions, [(common,)] * len(partitions))
        return added(parts)


class Schedule:
    """The order of all steps: it follows from the partitions, and not from the workers.

    Partition p belongs to shard p mod n_shards. In each epoch, a shard takes its partitions in an order of its own.

    Parameters
    ----------
    n_rows : sequence of int
        The number of rows of each partition.
    n_shards : int
        The number of shards.
    interval : Interval
        The steps between two averages.
    batch_size : int or "auto"
        The number of rows per batch.
    seed : int
        The seed of all orders, or None to keep the partitions in their own order.
    shuffle : bool
        Whether the order of the partitions of a shard is drawn for each epoch.
    """

    def __init__(
        self, n_rows: Sequence[int], n_shards: int, interval: Interval, batch_size: Any, seed: int, shuffle: bool
    ) -> None:
        filled = [p for p, n in enumerate(n_rows) if n]
        self._shards = [filled[i::n_shards] for i in range(n_shards)]
        self._batches = {p: -(-n_rows[p] // _data.batch_size(batch_size, n_rows[p])) for p in filled}
        self._interval, self._seed, self._shuffle = interval, seed, shuffle

    def rounds(self, first_epoch: int, epochs: int, rate_of: Callable[[int], float]) -> Iterator[list[list[Part]]]:
        """Yield, for each round of some epochs, the parts of each shard that has steps in it."""
        each = range(first_epoch, first_epoch + epochs)
        if self._interval.batches is None:
            yield [
                [part for e in each for part in self._whole(shard, s, e, rate_of(e))] for s, shard in enumerate(self._shards)
            ]
            return
        step = self._interval.batches
        for epoch in each:
            parts = [self._whole(shard, s, epoch, rate_of(epoch)) for s, shard in enumerate(self._shards)]
            longest = max(sum(part.last for part in shard) for shard in parts)
            for start in range(0, longest, step):
                cut = [list(_cut(shard, start, start + step)) for shard in parts]
                yield [shard for shard in cut if shard]

    def _whole(self, shard: Sequence[int], number: int, epoch: int, rate: float) -> list[Part]:
        """Return the parts of an epoch of a shard: all of its partitions, in the order of this epoch."""
        order = np.arange(len(shard))
        if self._shuffle:
            order = np.random.default_rng((self._seed, epoch, number, 1)).permutation(len(shard))
        places = [shard[i] for i in order.tolist()]
        return [Part(epoch, p, 0, self._batches[p], self._batches[p], rate, self._seed) for p in places]


def _cut(parts: Sequence[Part], start: int, end: int) -> Iterator[Part]:
    """Yield the parts with the batches from start to end, counted over all parts."""
    before = 0
    for part in parts:
        first, last = max(start - before, 0), min(end - before, part.last)
        if first < last:
            yield Part(part.epoch, part.partition, first, last, part.n_batches, part.rate, part.seed)
        before += part.last


def train(
    cluster: Cluster,
    local: Any,
    trainer: EstimatorTrainer,
    schedule: Schedule,
    interval: Interval,
    partitions: Sequence[Partition],
    n_rows: int,
    validation: Sequence[Partition],
) -> None:
    """Train the network of a local estimator until its rules stop it, and keep its attributes up to date.

    Parameters
    ----------
    cluster : Cluster
    local : estimator
        The estimator, whose network has its initial weights.
    trainer : EstimatorTrainer
        Its trainer, which has the rule of the learning rate.
    schedule, interval : Schedule, Interval
    partitions, validation : sequence of Partition
        The data.
    n_rows : int
        The number of rows per epoch.
    """
    blueprint = Blueprint.of(local)
    state, model = _shares.initial(local.network_), local.network_
    watcher = EpochWatcher(local, n_rows, _validation(cluster, blueprint, local, validation))
    local.n_iter_ = 0
    while local.n_iter_ < local.max_iter and not watcher.stopped:
        first, epochs = local.n_iter_, min(interval.epochs, int(local.max_iter) - local.n_iter_)
        rate_of = functools.partial(_rate, local, trainer, n_rows, first)
        losses: list[tuple[int, float, int]] = []
        for parts in schedule.rounds(first, epochs, rate_of):
            state = _round(cluster, blueprint, _shares.go_on(state), parts, partitions)
            losses += state.losses
        _shares.restore(model, state.parameters)
        for epoch in range(first, first + epochs):
            if not watcher.stopped:
                watcher.end_epochs(trainer, [_loss_of(epoch, losses)])
    if local.n_iter_ == local.max_iter and not watcher.stopped:
        warn(f"Maximum iterations ({local.max_iter}) reached and the optimization hasn't converged yet.", ConvergenceWarning)
    if local.early_stopping:
        restore_parameters(model, local._best_parameters)


def _round(
    cluster: Cluster, blueprint: Blueprint, state: State, shards: Sequence[Sequence[Part]], partitions: Sequence[Partition]
) -> State:
    """Return the average of the states after the steps of all shards, each of which starts from the same state."""
    start, ends = cluster.submit(_given, state), []
    for parts in shards:
        future = start
        for part in parts:
            source = partitions[part.partition]
            future = cluster.submit(_train, blueprint, future, part, source.recipe, *source.futures)
        ends.append(future)
    result: State = cluster.submit(_average, *ends).result()
    return result


def _rate(local: Any, trainer: EstimatorTrainer, n_rows: int, first: int, epoch: int) -> float:
    """Return the learning rate of an epoch."""
    if trainer.rate_rule.inverse_scaling and epoch > first:
        return float(trainer.rate_rule.after(local.t_ + (epoch - first) * n_rows))
    return float(local._learning_rate)


def _loss_of(epoch: int, losses: Sequence[tuple[int, float, int]]) -> float:
    """Return the mean loss of the rows of an epoch, summed in the order of the shards."""
    own = [(loss, n) for at, loss, n in losses if at == epoch]
    return sum(loss * n for loss, n in own) / sum(n for _, n in own)


def _validation(cluster: Cluster, blueprint: Blueprint, local: Any, partitions: Sequence[Partition]) -> Validation | None:
    """Return the function that computes the loss and score of validation rows with the parameters of the local network."""
    if not partitions:
        return None
    is_regressor = blueprint.fitted.get("classes_") is None

    def validate() -> tuple[float, float | None]:
        sums = cluster.sums(blueprint, _shares.initial(local.network_), partitions)
        score = None if not local.early_stopping else sums.determination if is_regressor else sums.accuracy
        return sums.loss / sums.weight, score

    return validate
