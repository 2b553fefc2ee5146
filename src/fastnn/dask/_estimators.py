"""The classifier and the regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

import fastnn.sklearn as _local
from fastnn.dask._base import DaskMLP, constructor
from fastnn.dask._survey import Facts
from fastnn.sklearn._sums import Sums

if TYPE_CHECKING:
    import dask.array as da

_PARAMETERS = """
    All parameters of `fastnn.sklearn.{name}` have the same meaning, except that those below are refused. There are three
    more.

    Parameters
    ----------
    sync_every : str or int, default="epoch"
        The local steps between two averages: "epoch", "3 epochs", "50 batches", or a number of batches.
    n_shards : int, default=8
        The number of shards that train side by side, and so the largest number of workers that are busy at a time.
        Partition p belongs to shard ``p % n_shards``. More shards need more epochs.
    client : dask.distributed.Client, default=None
        The client; None is Dask's current one. Copies share it, and pickles do not contain it.

    Notes
    -----
    Each shard makes local steps on its partitions, one after the other, from the same parameters. Then the parameters and
    the moments of the optimizer are averaged, weighted by rows, in the order of the shards (local SGD: Stich, 2019). All
    random numbers follow from `random_state`, the epoch and the partition. The result therefore depends on the partitions
    and on `n_shards`, but not on the number of workers or on which of them computed what. If a worker is lost, Dask
    repeats its tasks, and the result has the same bits.

    A task loads a partition, trains on it and drops it. Data that you persist are not loaded again. Data in the client's
    memory, and partitions that are computed from each other's data, are held by the cluster during the fit.

    "auto" batches have at most 200 rows, and at most those of a partition. With ``class_weight="balanced"``, the classes
    of all partitions count. `early_stopping` needs validation data. A schedule maps the steps of a shard to rates.

    Refused are ``solver="lbfgs"``, `warm_start`, `resume`, `progress`, `scoring`, `n_members`, `bootstrap`, `averaging`,
    `drop_last`, `categorical_features`, and other values of `validation_fraction` and `max_fun` than the defaults.
"""


class MLPClassifier(ClassifierMixin, DaskMLP):  # type: ignore[misc]
    __doc__ = f"""Multi-layer perceptron classifier that trains on the partitions of Dask arrays and dataframes.
{_PARAMETERS.format(name="MLPClassifier")}
    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastnn.dask import MLPClassifier
    >>> X = da.random.default_rng(0).normal(size=(4000, 2), chunks=(1000, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     classifier = MLPClassifier((16,), learning_rate_init=0.01, tol=0.01, n_shards=2, random_state=0)
    ...     score = classifier.fit(X, y).score(X, y)
    >>> score > 0.9
    True
    >>> classifier.to_local().predict([[1.0, 1.0], [1.0, -1.0]])
    array([1, 0])
    """

    _local_class = _local.MLPClassifier
    __init__ = constructor(_local.MLPClassifier)
    score = DaskMLP.score  # scikit-learn's mixin, which must come first, has another

    def _adopt(self, local: Any, found: Facts) -> None:
        classes = found.classes
        assert classes is not None
        assert found.counts is not None
        if len(classes.names) < 2:
            raise ValueError(f"y: expected at least two classes in all partitions together, got {classes.names}")
        local._set_classes(classes)
        if isinstance(local.class_weight, str):  # "balanced", as sklearn.utils.compute_class_weight defines it
            if classes.several:
                local.class_weight = [
                    {0: found.n_rows / 2 / max(found.n_rows - n, 1), 1: found.n_rows / 2 / max(n, 1)}
                    for n in found.counts.tolist()
                ]
            else:
                shares = found.n_rows / (len(classes.names) * found.counts)
                local.class_weight = dict(zip(classes.names.tolist(), shares.tolist(), strict=True))

    def _score_of(self, total: Sums) -> float:
        return total.accuracy

    def predict(self, X: Any) -> da.Array:
        """Return the predicted classes, which are computed block by block when they are needed.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : dask array of shape (n_samples,) or (n_samples, n_labels)
            The classes, with a block per partition of X.
        """
        local = self._fitted()
        if local._classes.several:
            return self._blocks("predict", X, (len(local.classes_),), np.dtype(int))
        return self._blocks("predict", X, (), local.classes_.dtype)

    def predict_proba(self, X: Any) -> da.Array:
        """Return the probabilities of the classes, which are computed block by block when they are needed.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : dask array of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_`.
        """
        return self._blocks("predict_proba", X, (len(self._fitted().classes_),), self._dtype(X))

    def predict_log_proba(self, X: Any) -> da.Array:
        """Return the logarithms of the probabilities of the classes, as `predict_proba` returns these."""
        return self._blocks("predict_log_proba", X, (len(self._fitted().classes_),), self._dtype(X))

    def __sklearn_tags__(self) -> Any:
        """Declare that multilabel targets are accepted."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, DaskMLP):  # type: ignore[misc]
    __doc__ = f"""Multi-layer perceptron regressor that trains on the partitions of Dask arrays and dataframes.
{_PARAMETERS.format(name="MLPRegressor")}
    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastnn.dask import MLPRegressor
    >>> X = da.random.default_rng(0).uniform(-1, 1, size=(4000, 1), chunks=(1000, 1))
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     regressor = MLPRegressor(
    ...         hidden_layer_sizes=(16,), learning_rate_init=0.01, tol=1e-3, n_iter_no_change=3, n_shards=2, random_state=0
    ...     )
    ...     score = regressor.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2)
    >>> score > 0.9
    True
    """

    _local_class = _local.MLPRegressor
    __init__ = constructor(_local.MLPRegressor)
    score = DaskMLP.score

    def _adopt(self, local: Any, found: Facts) -> None:
        pass

    def _score_of(self, total: Sums) -> float:
        return total.determination

    def predict(self, X: Any) -> da.Array:
        """Return the predicted values, which are computed block by block when they are needed.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : dask array of shape (n_samples,) or (n_samples, n_outputs)
            The values, with a block per partition of X.
        """
        n_outputs = self._fitted().n_outputs_
        return self._blocks("predict", X, () if n_outputs == 1 else (n_outputs,), self._dtype(X))
