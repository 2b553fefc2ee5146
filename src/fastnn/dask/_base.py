"""The common base of both estimators: fits, blockwise predictions, and the client."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, default_client, get_client, worker_client
from distributed.worker import thread_state
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from fastnn._checks import seeds as _seeds
from fastnn.dask import _arguments, _rounds
from fastnn.dask._partitions import Partition, Recipe, aligned, check_collection, is_frame, partitions_of
from fastnn.dask._survey import Facts, agreed, facts
from fastnn.sklearn import _parameters, _shares
from fastnn.sklearn._data import thread_count
from fastnn.sklearn._definitions import EstimatorTrainer
from fastnn.sklearn._shares import Blueprint
from fastnn.sklearn._sums import Sums

_OWN = ("sync_every", "n_shards", "client")


def constructor(local: type) -> Callable[..., None]:
    """Return a constructor with the parameters of a local estimator and those of distributed training.

    scikit-learn reads the names of the parameters from its signature.
    """
    given = inspect.signature(local.__init__)  # type: ignore[misc]
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(name, keyword, default=default) for name, default in zip(_OWN, ("epoch", 8, None), strict=True)]
    signature = given.replace(parameters=[*given.parameters.values(), *own])

    def __init__(self: DaskMLP, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        for name, value in list(bound.arguments.items())[1:]:
            setattr(self, name, value)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _survey(kind: type, parameters: Mapping[str, Any], place: str, recipe: Recipe, *data: Any) -> Facts:
    return facts(kind(**parameters), place, *recipe.load(data))


class DaskMLP(BaseEstimator):  # type: ignore[misc]
    """The base of the two estimators, which is not for users."""

    _local_class: type  # the estimator of fastnn.sklearn
    _local: Any  # that estimator, after a fit
    _client: Client | None = None
    sync_every: Any
    n_shards: Any

    # ---- The client ----

    @property
    def client(self) -> Client:
        """The client whose cluster computes: the one that was assigned, otherwise Dask's current client."""
        return default_client() if self._client is None else self._client

    @client.setter
    def client(self, value: Client | None) -> None:
        if value is not None and not isinstance(value, Client):
            raise TypeError(f"client: expected a dask.distributed.Client or None, got {type(value).__name__}")
        self._client = value

    @contextmanager
    def _running_client(self) -> Iterator[Client]:
        """Yield a client that can wait for results, also within a task, whose place is then free for others."""
        if self._client is None and hasattr(thread_state, "execution_state"):
            with worker_client() as client:
                yield client
            return
        try:
            client = get_client() if self._client is None else self._client
        except ValueError:
            raise ValueError("client: expected a client, or a running dask.distributed.Client, got None") from None
        if client.asynchronous:
            raise ValueError("client: expected a client that waits for results, got an asynchronous one")
        if client.status != "running":
            raise ValueError(f"client: expected a running client, got one whose status is {client.status!r}")
        yield client

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; `client` as it was given."""
        names = [name for name in self._get_param_names() if name != "client"]
        return {name: getattr(self, name) for name in names} | {"client": self._client}

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted estimator with the same client, which can't be copied."""
        parameters = self.get_params()
        client = parameters.pop("client")
        return type(self)(**{name: clone(value, safe=False) for name, value in parameters.items()}, client=client)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without the client, which can't be pickled."""
        return {name: value for name, value in super().__getstate__().items() if name != "_client"}

    # ---- The fitted network ----

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether a fit has ended."""
        return "_local" in vars(self)

    def __getattr__(self, name: str) -> Any:
        """Return fitted attributes, which are those of the local estimator."""
        if name.endswith("_") and not name.startswith("_") and "_local" in vars(self):
            return getattr(self._local, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _fitted(self) -> Any:
        if "_local" not in vars(self):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet. Call 'fit' first.")
        return self._local

    def to_local(self) -> Any:
        """Return the estimator of `fastnn.sklearn` with the same parameters and fitted attributes, for data in memory.

        Returns
        -------
        estimator : fastnn.sklearn.MLPClassifier or MLPRegressor
            A copy, which is unfitted if this estimator is.
        """
        return copy.deepcopy(self._local) if "_local" in vars(self) else self._new_local()

    def _new_local(self) -> Any:
        return self._local_class(**{name: value for name, value in self.get_params().items() if name not in _OWN})

    # ---- Fitting ----

    def _adopt(self, local: Any, found: Facts) -> None:
        """Set what the survey found about the targets."""
        raise NotImplementedError

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        *,
        eval_set: Sequence[tuple[Any, ...]] | None = None,
    ) -> Any:
        """Fit the network to the rows of all partitions.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features)
            The input data, in partitions of rows. Their lengths need not be known.
        y : dask array, series or dataframe of shape (n_samples,) or (n_samples, n_outputs)
            The targets, in the same partitions.
        sample_weight : dask array or series of shape (n_samples,), default=None
            Sample weights, as for the estimators of `fastnn.sklearn`.
        X_val, y_val, sample_weight_val : dask collections, default=None
            Rows for validation, which `early_stopping` needs.
        eval_set : list with one tuple (X_val, y_val) or (X_val, y_val, sample_weight_val), default=None
            The same rows for validation, in the form in which LightGBM and XGBoost take them.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data of a partition are unsuitable, or partitions disagree. Nothing has changed then.
        """
        local = self._new_local()
        hidden = _parameters.check(local, local._rules)
        _arguments.check_supported(local)
        interval = _arguments.interval(self.sync_every)
        _arguments.shard_count(self.n_shards, 1)
        held_out = _held_out((X_val, y_val, sample_weight_val), eval_set)
        if local.early_stopping and held_out is None:
            raise ValueError("early_stopping: expected X_val and y_val, or eval_set, for early_stopping=True, got neither")
        names = ("X", "y", "sample_weight")
        data = _checked(names, (X, y, sample_weight))
        data_val = None if held_out is None else _checked(("X_val", "y_val", "sample_weight_val"), held_out)
        with self._running_client() as client:
            cluster = _rounds.Cluster(client)
            partitions = partitions_of(client, data)
            found = self._look_at(cluster, local, "", partitions)
            facts = agreed("X, y", found)
            validation = [] if data_val is None else self._validation(cluster, client, local, data_val, facts)
            self._adopt(local, facts)
            trainer, seed = _begin(local, hidden, facts)
            lengths = [one.n_rows for one in found]
            n_shards = _arguments.shard_count(self.n_shards, sum(n > 0 for n in lengths))
            schedule = _rounds.Schedule(lengths, n_shards, interval, local.batch_size, seed, bool(local.shuffle))
            _rounds.train(cluster, local, trainer, schedule, interval, partitions, facts.n_rows, validation)
        self._local = self._cleaned(local)
        return self

    def _cleaned(self, local: Any) -> Any:
        """Return the local estimator with the parameters that the user gave."""
        return local.set_params(**{name: value for name, value in self.get_params().items() if name not in _OWN})

    def _look_at(self, cluster: _rounds.Cluster, local: Any, suffix: str, partitions: Sequence[Partition]) -> list[Facts]:
        parameters = local.get_params(deep=False) | {"random_state": None}
        places = [f"X{suffix}, y{suffix}, partition {p}" for p in range(len(partitions))]
        found: list[Facts] = cluster.each(_survey, partitions, [(type(local), parameters, place) for place in places])
        return found

    def _validation(
        self, cluster: _rounds.Cluster, client: Client, local: Any, data: Sequence[Any], facts: Facts
    ) -> list[Partition]:
        """Return the partitions of validation data that have rows, after a comparison with the training data."""
        partitions = partitions_of(client, data)
        found = self._look_at(cluster, local, "_val", partitions)
        seen = agreed("X_val, y_val", found)
        assert seen.features is not None
        assert facts.features is not None
        if seen.features[:2] != facts.features[:2] or seen.targets != facts.targets:
            raise ValueError(
                f"X_val, y_val: expected columns and targets as in X and y, {facts.features[:2]} and {facts.targets}, got "
                f"{seen.features[:2]} and {seen.targets}"
            )
        if facts.classes is not None and seen.classes is not None:
            if seen.classes.several != facts.classes.several:
                raise ValueError("y_val: expected one class per row, or several, as in y, got the other")
            facts.classes.compare(seen.classes.names, all_of_them=False)
        return [partition for partition, one in zip(partitions, found, strict=True) if one.n_rows]

    # ---- Predictions ----

    def _blocks(self, method: str, X: Any, tail: tuple[int, ...], dtype: Any) -> Any:
        """Return the lazy results of a method of the local estimator: a Dask array with a block per partition of X."""
        local = self._fitted()
        check_collection("X", X, columns=True)
        if X.shape[1] != local.n_features_in_:
            raise ValueError(f"X: expected {local.n_features_in_} columns, as in fit, got {X.shape[1]}")
        model = dask.delayed(local, pure=True, traverse=False)
        meta = np.empty((0,) * (1 + len(tail)), dtype)
        if is_frame(X):
            rows = [dask.delayed(_block)(part, model, method, tail, dtype) for part in X.to_delayed()]
            return da.concatenate([da.from_delayed(one, (np.nan, *tail), meta=meta) for one in rows], axis=0)
        X = X.rechunk({1: -1})
        shape = {"chunks": (X.chunks[0], *((n,) for n in tail))} if tail else {"drop_axis": 1}
        return X.map_blocks(_block, model, method, tail, dtype, dtype=dtype, meta=meta, **shape)

    def _dtype(self, X: Any) -> np.dtype[Any]:
        """Return the dtype of probabilities and predicted values."""
        inputs = np.result_type(*X.dtypes) if is_frame(X) else X.dtype
        return np.result_type(inputs if inputs.kind == "f" else np.float64, self._fitted().network_.dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of a classifier, or the coefficient of determination R² of a regressor.

        Parameters
        ----------
        X, y, sample_weight : dask collections
            The data, as for `fit`.

        Returns
        -------
        score : float
            The score, from sums over the partitions.
        """
        total = self._total(_checked(("X", "y", "sample_weight"), (X, y, sample_weight)))
        if not total.weight:
            raise ValueError("X, y: expected at least one row whose weight is not 0, got none")
        return self._score_of(total)

    def _score_of(self, total: Sums) -> float:
        raise NotImplementedError

    def _total(self, data: Sequence[Any]) -> Sums:
        local = self._fitted()
        blueprint = Blueprint.of(local)
        blueprint.parameters.update({name: None for name in ("class_weight",) if name in blueprint.parameters})
        with self._running_client() as client:
            cluster, partitions = _rounds.Cluster(client), partitions_of(client, data)
            return cluster.sums(blueprint, _shares.initial(local.network_), partitions)


def _block(X: Any, local: Any, method: str, tail: tuple[int, ...], dtype: Any) -> Any:
    if not X.shape[0]:
        return np.empty((0, *tail), dtype)
    return getattr(local, method)(X).astype(dtype, copy=False)


def _held_out(given: tuple[Any, Any, Any], eval_set: Any) -> tuple[Any, Any, Any] | None:
    """Return validation data from either form of the argument, or None."""
    if eval_set is None:
        if all(part is None for part in given):
            return None
        if given[0] is None or given[1] is None:
            raise ValueError("X_val, y_val: expected both or none, got one of them")
        return given
    if any(part is not None for part in given):
        raise ValueError("eval_set: expected X_val and y_val, or eval_set, got both")
    if not isinstance(eval_set, list | tuple) or len(eval_set) != 1 or not isinstance(eval_set[0], list | tuple):
        raise ValueError("eval_set: expected a list with one tuple (X_val, y_val), got something else")
    if len(eval_set[0]) not in (2, 3):
        raise ValueError(f"eval_set: expected a tuple of 2 or 3 collections, got {len(eval_set[0])}")
    X, y, weight = (*eval_set[0], None)[:3]
    return X, y, weight


def _checked(names: Sequence[str], data: Sequence[Any]) -> list[Any]:
    """Return aligned collections after a check of their types."""
    for i, (name, one) in enumerate(zip(names, data, strict=True)):
        if i < 2 or one is not None:
            check_collection(name, one, columns=i == 0)
    if data[2] is not None and data[2].ndim != 1:
        raise ValueError(f"{names[2]}: expected 1 dimension, got {data[2].ndim}")
    return aligned(names, data)


def _begin(local: Any, hidden: list[int], facts: Facts) -> tuple[EstimatorTrainer, int]:
    """Give a local estimator its network with initial weights; return a trainer for it, and the seed of all steps.

    The weights are those with which the local estimator would begin for the same `random_state`.
    """
    assert facts.features is not None
    n_features, names, dtype = facts.features
    local.n_features_in_ = n_features
    if names is not None:
        local.feature_names_in_ = np.array(names, object)
    random_state = check_random_state(local.random_state)
    local._begin_network(np.empty((1, n_features), dtype), np.empty((1, *facts.targets)), hidden, random_state)
    local._random_state = random_state
    seed = int(random_state.randint(2**31))
    local._learning_rate = float(local.learning_rate_init)
    rate = local.learning_rate if callable(local.learning_rate) else local._learning_rate
    generator, n_threads = _seeds.generator(random_state), thread_count(local.n_jobs)
    return EstimatorTrainer(local.network_, local._output()[1], local, rate, generator, n_threads), seed
