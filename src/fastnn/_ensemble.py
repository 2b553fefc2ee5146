"""Ensembles: several models that predict together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Never, overload

import numpy as np

from fastnn._checks.options import explained, refusal, without_unknown
from fastnn._checks.outputs import result_array
from fastnn._checks.scalars import flag, integer, thread_count
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._model import MLP
from fastnn._predict_many import inputs_of, networks_of, parameters_of_each, vectors_for
from fastnn._stored_ensemble import StoredEnsemble

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Rows are predicted in blocks with at most this number of outputs of all models, so that memory does not grow with the rows.
_OUTPUTS_AT_ONCE = 1 << 20


class Ensemble(StoredEnsemble):
    """Several models that predict together: their mean, their spread, their quantiles.

    The models are not copied. Training a model, or writing into its parameters, changes the predictions of the ensemble at
    once.

    Parameters
    ----------
    models : sequence of MLP
        Models with the same numbers of inputs and outputs, and the same dtype. Their hidden layers and activations may
        differ.

    Attributes
    ----------
    models : tuple of MLP
        The models. ``len(ensemble)``, ``ensemble[i]`` and iteration give the same models; a slice is an ensemble of some
        of them.

    Raises
    ------
    TypeError, ValueError
        If there is no model, or if a model does not fit the others. The message has its index.

    Notes
    -----
    Mean, standard deviation and quantiles are those of the outputs after the output activation: for softmax, the mean of
    the probabilities. Sums over the models are computed in float64, in the order of the models, so that results do not
    depend on threads, nor on the other rows. Copies and pickles have copies of the models.

    References
    ----------
    B. Lakshminarayanan, A. Pritzel, C. Blundell: "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> models = [fastnn.MLP((1, 16, 1), "tanh", random_state=seed) for seed in range(5)]
    >>> for model in models:
    ...     history = model.fit(X, X**2, optimizer=fastnn.Adam(0.01), epochs=200)
    >>> ensemble = fastnn.Ensemble(models)
    >>> ensemble.predict([[0.6]]).round(1)
    array([[0.4]], dtype=float32)
    >>> bool(ensemble.std([[3.0]]) > ensemble.std([[0.5]]))  # the models disagree outside of the data
    True
    """

    @explained
    def __init__(self, models: Iterable[MLP]) -> None:
        super().__init__(models)

    def __len__(self) -> int:
        """Return the number of models."""
        return len(self._models)

    def __iter__(self) -> Iterator[MLP]:
        """Yield the models."""
        return iter(self._models)

    @overload
    def __getitem__(self, index: int) -> MLP: ...

    @overload
    def __getitem__(self, index: slice) -> Ensemble: ...

    def __getitem__(self, index: int | slice) -> MLP | Ensemble:
        """Return a model, or an ensemble of some of the models."""
        return Ensemble(self._models[index]) if isinstance(index, slice) else self._models[index]

    def __repr__(self) -> str:
        """Return the number of models, and the first one, as text."""
        n = len(self._models)
        return f"<Ensemble of {n} model{'s' * (n > 1)}, {'the first ' * (n > 1)}{self._models[0]!r}>"

    @overload
    def predict(
        self,
        X: ArrayLike,
        *,
        return_std: Literal[False] = False,
        out: NDArray[Any] | None = None,
        n_threads: int | None = None,
    ) -> NDArray[Any]: ...

    @overload
    def predict(
        self,
        X: ArrayLike,
        *,
        return_std: Literal[True],
        out: NDArray[Any] | None = None,
        n_threads: int | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...

    @without_unknown
    def predict(
        self,
        X: ArrayLike,
        *,
        return_std: bool = False,
        out: NDArray[Any] | None = None,
        n_threads: int | None = None,
        **unknown: Never,
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Return the mean of the models' outputs for rows of inputs, or for a single row.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Inputs of any real dtype, strides and byte order.
        return_std : bool, default False
            Return the standard deviation as well: the same as that of `std`, without another pass through the models.
        out : ndarray, shape of the mean, optional
            The array that receives the mean, of the models' dtype.
        n_threads : int, optional
            The number of threads. By default, fastnn uses as many as the work justifies. The number does not change the
            result.

        Returns
        -------
        ndarray, shape (n, n_out) or (n_out,)
            The mean: `out`, if given. With `return_std`, a tuple of the mean and the standard deviation.

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong shape or dtype.
        """
        if unknown:
            raise refusal(Ensemble.predict, (self,), unknown)
        with_std = flag("return_std", return_std)
        prepared = _Prepared(self._models, X, n_threads)
        if out is not None:
            result_array("out", out, prepared.shape, prepared.dtype)
        mean = np.empty(prepared.shape, prepared.dtype)
        deviation = np.empty(prepared.shape, prepared.dtype) if with_std else None
        prepared.spread(len(self._models), mean, deviation)
        if out is not None:
            out[...] = mean
            mean = out
        return mean if deviation is None else (mean, deviation)

    __call__ = predict

    @explained
    def std(self, X: ArrayLike, *, ddof: int = 0, n_threads: int | None = None) -> NDArray[Any]:
        """Return the standard deviation of the models' outputs.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Inputs, as in `predict`.
        ddof : int, default 0
            The divisor of the sum of squares is ``len(self) - ddof``, as in `numpy.std`: 0 gives the standard deviation
            of these models, 1 the estimate for all models that might have been trained.
        n_threads : int, optional
            The number of threads, as in `predict`.

        Returns
        -------
        ndarray, shape (n, n_out) or (n_out,)
            The standard deviations, in the models' dtype.
        """
        divisor = len(self._models) - integer("ddof", ddof, low=0)
        if divisor < 1:
            raise ValueError(f"ddof: expected less than {len(self._models)}, the number of models, got {ddof}")
        prepared = _Prepared(self._models, X, n_threads)
        deviation = np.empty(prepared.shape, prepared.dtype)
        prepared.spread(divisor, None, deviation)
        return deviation

    @explained
    def quantiles(self, X: ArrayLike, q: ArrayLike, *, n_threads: int | None = None) -> NDArray[Any]:
        """Return quantiles of the models' outputs.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Inputs, as in `predict`.
        q : float or array-like of float
            Probabilities from 0 to 1.
        n_threads : int, optional
            The number of threads, as in `predict`.

        Returns
        -------
        ndarray, shape of q followed by (n, n_out) or (n_out,)
            The quantiles over the models, by linear interpolation: those of `numpy.quantile`.

        Examples
        --------
        >>> import fastnn
        >>> ensemble = fastnn.Ensemble([fastnn.MLP((2, 3, 1), random_state=seed) for seed in range(9)])
        >>> ensemble.quantiles([[1, 2], [3, 4]], [0.1, 0.5, 0.9]).shape
        (3, 2, 1)
        """
        levels = _arrays.real_array("q", q)
        if not np.logical_and(levels >= 0, levels <= 1).all():
            raise ValueError(f"q: expected probabilities from 0 to 1, got {q!r}")
        # A float of Python leaves the outputs' dtype as it is.
        probabilities = q if isinstance(q, float) else levels if levels.dtype.kind == "f" else levels.astype(np.float64)
        prepared = _Prepared(self._models, X, n_threads)
        with np.errstate(invalid="ignore"):  # of infinite outputs
            found = [np.quantile(outputs, probabilities, axis=0) for _, outputs in prepared.blocks()]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=levels.ndim)

    def to_vectors(self) -> NDArray[Any]:
        """Return the parameters of all models in a new array of shape (n_models, n_parameters).

        A row has the order of `MLP.to_vector`.

        Raises
        ------
        ValueError
            If the models have different numbers of parameters.
        """
        networks = networks_of(self._models)
        parameters_of_each(self._models)
        return _core.get_vectors(networks)

    def set_vectors(self, V: ArrayLike) -> None:
        """Set the parameters of all models from an array of shape (n_models, n_parameters), as `to_vectors` returns it.

        It is the same as ``model.set_vector(v)`` for each model and each row of V, in less time.

        Raises
        ------
        TypeError, ValueError
            If `V` has another shape or does not consist of real numbers, or if the models have different numbers of
            parameters. Nothing has changed then.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> population = fastnn.Ensemble([fastnn.MLP((4, 8, 2)) for _ in range(100)])
        >>> center = population[0].to_vector()
        >>> rng = np.random.default_rng(0)
        >>> population.set_vectors(center + 0.1 * rng.normal(size=(100, center.size)))
        """
        networks = networks_of(self._models)
        _core.set_vectors(networks, vectors_for(self._models, networks, V))


class _Prepared:
    """Checked inputs of an ensemble, and the outputs of its models for them.

    Attributes
    ----------
    shape : tuple
        The shape of the mean.
    dtype : dtype
        The models' dtype.
    """

    def __init__(self, models: tuple[MLP, ...], X: Any, n_threads: Any) -> None:
        self._threads = thread_count(n_threads)
        self._networks = networks_of(models)
        sizes, self.dtype = self._networks[0].layer_sizes, self._networks[0].dtype
        self._table = X.tocsr() if _arrays.is_sparse(X) else None
        self._inputs = X
        if type(X) is not np.ndarray or not _core.readable(X):
            self._inputs = inputs_of(models, self._networks, X if self._table is None else self._table)
        shape = self._inputs.shape
        if len(shape) not in (1, 2) or shape[-1] != sizes[0]:
            raise ValueError(f"X: expected shape ({sizes[0]},) or (n, {sizes[0]}), got {shape}")
        self.shape = (*shape[:-1], sizes[-1])

    def blocks(self) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield rows, as an index, and the outputs of all models for them: all rows, or some at a time."""
        networks, threads, n_rows = self._networks, self._threads, self.shape[0]
        at_once = max(1, _OUTPUTS_AT_ONCE // (len(networks) * self.shape[-1]))
        if len(self.shape) == 1 or n_rows <= at_once:
            yield ..., _core.predict_many(networks, self._inputs, None, threads)
            return
        for start in range(0, n_rows, at_once):
            rows = slice(start, start + at_once)
            yield rows, _core.predict_many(networks, self._some(rows), None, threads)

    def _some(self, rows: slice) -> _arrays.Rows:
        if self._table is None:
            some: _arrays.Rows = self._inputs[rows]
            return some
        return _arrays.rows("X", self._table[rows], self._table.shape[1], self.dtype)

    def spread(self, divisor: float, mean: NDArray[Any] | None, deviation: NDArray[Any] | None) -> None:
        """Set the mean and the standard deviation over the models, where an array is given."""
        for rows, outputs in self.blocks():
            _core.spread(
                outputs, divisor, None if mean is None else mean[rows], None if deviation is None else deviation[rows]
            )
