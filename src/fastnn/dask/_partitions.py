"""Partitions of Dask collections: the recipes by which tasks load them, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask
import dask.array as da
from dask.core import flatten
from dask.optimization import cull
from distributed import Client, Future

# A recipe of more bytes holds data themselves, which would travel from the client with each task.
_MAX_RECIPE = 1 << 20
# If the recipes together have so many times the steps of all collections, partitions are computed from each other's data.
_MAX_REPEATED = 2.0

Triple = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Recipe:
    """The steps that compute a partition of X, y and the weights from data that the cluster holds, if any.

    Attributes
    ----------
    graph : bytes
        A pickled Dask graph, in a form in which Dask does not look for keys.
    keys : tuple
        The keys of the partition of X, y and the weights in the graph. None stands for weights that do not exist.
    held : tuple
        The keys of the data that the cluster holds.
    """

    graph: bytes
    keys: tuple[Any, ...]
    held: tuple[Any, ...]

    def load(self, data: Sequence[Any]) -> Triple:
        """Return the partition, given the data of `held`."""
        graph = {**cloudpickle.loads(self.graph), **dict(zip(self.held, data, strict=True))}
        loaded = iter(dask.get(graph, [key for key in self.keys if key is not None]))
        X, y, weight = (None if key is None else next(loaded) for key in self.keys)
        return X, y, weight


@dataclass(frozen=True)
class Partition:
    """A recipe, and the futures of the data that it needs: data that the user has persisted, for example."""

    recipe: Recipe
    futures: list[Future]


def is_frame(collection: Any) -> bool:
    """Return whether a collection is a Dask dataframe or series."""
    return dask.is_dask_collection(collection) and hasattr(collection, "npartitions") and hasattr(collection, "divisions")


def check_collection(argument: str, given: Any, *, columns: bool) -> None:
    """Raise TypeError or ValueError if an argument is no Dask array or frame, or, with `columns`, if it is no table."""
    if not isinstance(given, da.Array) and not is_frame(given):
        raise TypeError(
            f"{argument}: expected a Dask array or dataframe, got {type(given).__name__}; fastnn.sklearn has the estimators "
            "for data in memory"
        )
    dimensions = (2,) if columns else (1, 2)
    if given.ndim not in dimensions:
        expected = " or ".join(f"{n}" for n in dimensions)
        raise ValueError(f"{argument}: expected {expected} dimensions, got {given.ndim}")


def aligned(names: Sequence[str], collections: Sequence[Any]) -> list[Any]:
    """Return collections with the partitions of the first one, and all columns in each partition. None stays None.

    Raises
    ------
    ValueError
        If they have other numbers of rows or partitions.
    """
    whole = [_with_whole_rows(one) for one in collections]
    first = whole[0]
    for i, one in enumerate(whole[1:], 1):
        if one is None:
            continue
        if isinstance(first, da.Array) and isinstance(one, da.Array) and _has_lengths(first) and _has_lengths(one):
            if one.shape[0] != first.shape[0]:
                raise ValueError(
                    f"{names[i]}: expected {first.shape[0]} rows, as many as {names[0]} has, got {one.shape[0]}"
                )
            if one.chunks[0] != first.chunks[0]:
                whole[i] = one.rechunk({0: first.chunks[0]})
        elif count(one) != count(first):
            raise ValueError(f"{names[i]}: expected {count(first)} partitions, as many as {names[0]} has, got {count(one)}")
    return whole


def _with_whole_rows(collection: Any) -> Any:
    several = isinstance(collection, da.Array) and collection.ndim == 2 and len(collection.chunks[1]) > 1
    return collection.rechunk({1: -1}) if several else collection


def _has_lengths(array: Any) -> bool:
    return all(length == length for length in array.chunks[0])


def count(collection: Any) -> int:
    """Return the number of partitions."""
    return int(collection.numblocks[0] if isinstance(collection, da.Array) else collection.npartitions)


def partitions_of(client: Client, collections: Sequence[Any]) -> list[Partition]:
    """Return the partitions of aligned collections, which tasks load, use and drop.

    The cluster first computes and holds all of them only if tasks could not load them one by one: if the data are in the
    client's memory, if each partition is computed from the data of others, as after a shuffle, or if only the scheduler
    knows where they are.
    """
    found = _recipes(collections)
    if found is None:
        found = _recipes(_held(client, collections), anyway=True)
    assert found is not None
    return found


def _held(client: Client, collections: Sequence[Any]) -> list[Any]:
    """Return the collections, held by the cluster: arrays together, and frames together, to share their steps."""
    held = list(collections)
    for frames in (False, True):
        places = [i for i, one in enumerate(collections) if one is not None and is_frame(one) is frames]
        for i, one in zip(places, client.persist([collections[i] for i in places]), strict=True):
            held[i] = one
    return held


def _recipes(collections: Sequence[Any], *, anyway: bool = False) -> list[Partition] | None:
    """Return the partitions; None if tasks should not load them from their recipes, unless `anyway`."""
    graph: dict[Any, Any] = {}
    keys: list[list[Any]] = []
    for one in collections:
        if one is None:
            keys.append([None] * len(keys[0]))
            continue
        optimized = one.optimize() if is_frame(one) else one
        graph |= dict(optimized.__dask_graph__())
        keys.append(list(flatten(optimized.__dask_keys__())))
    found, steps = [], 0
    for wanted in zip(*keys, strict=True):
        needed, _ = cull(graph, [key for key in wanted if key is not None])
        if not anyway and not all(needed.keys() >= getattr(step, "dependencies", frozenset()) for step in needed.values()):
            return None  # Dask has dropped a future, and remembers only its key
        held = {key: step for key, step in needed.items() if isinstance(step, Future)}
        recipe = cloudpickle.dumps({key: step for key, step in needed.items() if key not in held})
        steps += len(needed)
        if len(recipe) > _MAX_RECIPE and not anyway:
            return None
        found.append(Partition(Recipe(recipe, wanted, tuple(held)), list(held.values())))
    used, _ = cull(graph, [key for one in keys for key in one if key is not None])
    return None if steps > _MAX_REPEATED * len(used) and not anyway else found
