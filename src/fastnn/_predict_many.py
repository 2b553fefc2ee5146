"""Predictions of many models at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn._checks import columns as _columns
from fastnn._checks.options import refusal, without_unknown
from fastnn._checks.outputs import result_array
from fastnn._checks.scalars import has_elements, thread_count
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._model import MLP
from fastnn._native import network_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Members:
    """Models with the same inputs, outputs and dtype; a base of `Ensemble`."""

    def __init__(self, models: Iterable[MLP]) -> None:
        self._models = members_of(models)

    @property
    def models(self) -> tuple[MLP, ...]:
        """The models."""
        return self._models


Networks = tuple[_core.Network, ...]


@without_unknown
def predict_many(
    models: Iterable[MLP],
    X: ArrayLike,
    *,
    out: NDArray[Any] | None = None,
    n_threads: int | None = None,
    **unknown: Never,
) -> NDArray[Any]:
    """Return the outputs of many models, by one call that uses all cores if the work justifies it.

    Each model's outputs have the same bits as those of its own `MLP.predict`.

    Parameters
    ----------
    models : sequence of MLP, or Ensemble
        Models with the same numbers of inputs and outputs, and the same dtype. Their hidden layers and activations may
        differ.
    X : array-like, shape (n, n_in), (n_in,) or (n_models, n, n_in), or sparse matrix, shape (n, n_in)
        Rows for all models, one row for all models, or an array with different rows for each model. For one row per
        model, it is (n_models, 1, n_in).
    out : ndarray, shape of the result, optional
        The array that receives the result, of the models' dtype.
    n_threads : int, optional
        The number of threads. By default, fastnn uses as many as the work justifies. The number does not change the
        result.

    Returns
    -------
    ndarray, shape (n_models, n, n_out), or (n_models, n_out) for one row (n_in,)
        The outputs: `out`, if given.

    Raises
    ------
    TypeError, ValueError
        If an array has the wrong shape or dtype, if there is no model, or if a model does not fit the others.

    Examples
    --------
    >>> import fastnn
    >>> models = [fastnn.MLP((3, 4, 2), random_state=seed) for seed in range(5)]
    >>> fastnn.predict_many(models, [[1, 2, 3]]).shape
    (5, 1, 2)
    """
    if unknown:
        raise refusal(predict_many, (), unknown)
    members = models if type(models) in (list, tuple) else members_of(models)
    networks = networks_of(members)
    if type(X) is np.ndarray and out is None and n_threads is None and _core.readable(X):
        return _core.predict_many(networks, X)
    threads = thread_count(n_threads)
    inputs = inputs_of(members, networks, X)
    sizes, dtype = networks[0].layer_sizes, networks[0].dtype
    if out is not None and len(inputs.shape) in (1, 2, 3) and inputs.shape[-1] == sizes[0]:  # or the engine names the fault
        result_array("out", out, (len(networks), *inputs.shape[-2:-1], sizes[-1]), dtype)
    return _core.predict_many(networks, inputs, out, threads)


def networks_of(models: Any) -> Networks:
    """Return the engine's networks of models, as they are now; raise the errors of `members_of`."""
    networks = _core.networks_of(models, MLP)
    return tuple(map(network_of, members_of(models))) if networks is None else networks


def inputs_of(models: Iterable[MLP], networks: Networks, X: Any) -> _arrays.Rows:
    """Return rows in a form that the engine reads, after checking the columns of a frame. Shapes are not checked here."""
    names = _columns.names_of("X", X)
    if names is not None:
        for model in models:
            _columns.check_same("X", names, model.feature_names)
    if _arrays.is_sparse(X):
        return _arrays.rows("X", X, networks[0].layer_sizes[0], networks[0].dtype)
    return _arrays.real_array("X", X)


def members_of(models: Any) -> tuple[MLP, ...]:
    """Return models as a tuple, after checking that they can predict together.

    Raises
    ------
    TypeError
        If something is no model, or a model whose class has a `predict` of its own.
    ValueError
        If there is no model, or if a model's inputs, outputs or dtype are not those of the first one.
    """
    if isinstance(models, Members):
        return members_of(models.models)
    if isinstance(models, MLP | Mapping | Set) or not has_elements(models):
        way = "; list(models.values()) is one" if isinstance(models, Mapping) else ""
        raise TypeError(f"models: expected a list of MLP, got {type(models).__name__}{way}")
    members = tuple(models)
    if not members:
        raise ValueError("models: expected at least one model, got none")
    for i, model in enumerate(members):
        _check_member(f"models[{i}]", model, members[0])
    return members


def _check_member(argument: str, model: Any, first: Any) -> None:
    kind = type(model)
    if not isinstance(model, MLP):
        raise TypeError(f"{argument}: expected MLP, got {kind.__name__}")
    for name in ("predict", "__call__"):
        if getattr(kind, name) is not getattr(MLP, name):
            raise TypeError(
                f"{argument}: expected a model with the predictions of MLP, got {kind.__name__}, which has a method {name} "
                "of its own"
            )
    for name, got, expected in (
        ("inputs", model.layer_sizes[0], first.layer_sizes[0]),
        ("outputs", model.layer_sizes[-1], first.layer_sizes[-1]),
        ("dtype", model.dtype, first.dtype),
    ):
        if got != expected:
            numbers = f"{name} {expected}" if name == "dtype" else f"{expected} {name}"
            raise ValueError(f"{argument}: expected {numbers}, like models[0], got {got}")


def vectors_for(models: Sequence[MLP], networks: Networks, V: Any) -> NDArray[Any]:
    """Return one row of parameters per model as a contiguous array of their dtype."""
    vectors = _arrays.real_array("V", V)
    shape = (len(models), parameters_of_each(models))
    if vectors.shape != shape:
        raise ValueError(f"V: expected shape {shape}, one row per model, got {vectors.shape}")
    with np.errstate(over="ignore"):
        return np.require(vectors, networks[0].dtype, ["C", "A"])


def parameters_of_each(models: Sequence[MLP]) -> int:
    """Return the number of parameters of each model; raise ValueError if they differ."""
    expected = models[0].n_parameters
    # Models of one architecture need no count.
    names: tuple[str, ...] = ("layer_sizes", "activations", "normalization", "parametric_activation", "input_scale")
    names += ("embeddings", "residual", "shared")
    for i, model in enumerate(models):
        differs = any(getattr(model, name) != getattr(models[0], name) for name in names)
        if differs and model.n_parameters != expected:
            raise ValueError(f"models[{i}]: expected {expected} parameters, like models[0], got {model.n_parameters}")
    return expected
