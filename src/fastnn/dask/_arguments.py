"""The parameters of distributed training, and those of the estimators that it can't honour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from fastnn.sklearn._contradictions import is_lbfgs
from fastnn.sklearn._originals import is_default

# Parameters whose other values distributed training can't honour: the only value, and the reason.
_FIXED = {
    "warm_start": (False, "each fit begins with new weights"),
    "resume": (False, "each fit begins with new weights"),
    "n_members": (1, "the partitions train one network"),
    "bootstrap": (False, "the partitions train one network"),
    "progress": (False, "verbose=True prints the loss of each epoch"),
    "scoring": (None, "early stopping watches the accuracy or R², which are sums over partitions"),
    "validation_fraction": (0.1, "X_val and y_val, or eval_set, are the rows for validation"),
    "averaging": (None, "the parameters are averaged over the partitions instead"),
    "drop_last": (False, "partitions have different numbers of batches"),
    "categorical_features": (None, "partitions have different categories; embeddings of columns of codes work"),
    "max_fun": (15000, "it belongs to lbfgs, which does not train by local steps"),
}
_INTERVAL = re.compile(r"(?:(\d+) )?(epochs?|batch(?:es)?)")


@dataclass(frozen=True)
class Interval:
    """The steps between two averages: a number of batches, or, if that is None, of whole epochs."""

    epochs: int
    batches: int | None


def interval(sync_every: Any) -> Interval:
    """Return what `sync_every` means.

    Raises
    ------
    TypeError, ValueError
        If it means nothing.
    """
    expected = "expected 'epoch', a text such as '3 epochs' or '50 batches', or a number of batches >= 1"
    if isinstance(sync_every, str):
        found = _INTERVAL.fullmatch(sync_every)
        number = 1 if found is None or found[1] is None else int(found[1])
        if found is None or number < 1:
            raise ValueError(f"sync_every: {expected}, got {sync_every!r}")
        return Interval(number, None) if found[2].startswith("epoch") else Interval(1, number)
    if isinstance(sync_every, bool) or not isinstance(sync_every, Integral):
        raise TypeError(f"sync_every: {expected}, got {sync_every!r}")
    if sync_every < 1:
        raise ValueError(f"sync_every: {expected}, got {sync_every!r}")
    return Interval(1, int(sync_every))


def shard_count(n_shards: Any, n_partitions: int) -> int:
    """Return the number of shards: at most one per partition that has rows."""
    if isinstance(n_shards, bool) or not isinstance(n_shards, Integral):
        raise TypeError(f"n_shards: expected an int >= 1, got {n_shards!r}")
    if n_shards < 1:
        raise ValueError(f"n_shards: expected an int >= 1, got {n_shards!r}")
    return min(int(n_shards), n_partitions)


def check_supported(local: Any) -> None:
    """Raise ValueError for the first parameter that distributed training can't honour."""
    if is_lbfgs(local):
        raise ValueError(
            f"solver: expected a solver that trains by epochs, got {local.solver!r}, which needs all rows at once"
        )
    for name, (only, reason) in _FIXED.items():
        value = getattr(local, name)
        if not is_default(value, only):
            raise ValueError(f"{name}: expected {only!r} for training on Dask collections, got {value!r}: {reason}")
