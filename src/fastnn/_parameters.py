"""The parameters of a model, as its users see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn._architecture import Architecture
from fastnn._checks import columns as _columns
from fastnn._checks.options import refusal, without_unknown
from fastnn._checks.scalars import real
from fastnn._engine import arrays as _arrays
from fastnn._layer_settings import EMBEDDED
from fastnn._layer_settings import KINDS as LAYER_KINDS
from fastnn._views import Kind, Kinds, Views, by_layer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn._summary import Summary


class Parameters(Architecture):
    """The parameters of a model, and the names of its inputs; a base of `MLP`."""

    _feature_names: _columns.Names | None = None
    _rng: np.random.Generator

    # The kinds of parameters, with the names and the order of kernels/registry.h. A new kind needs one entry here:
    # initialization, files, copies and lists go through these entries.
    weights: Kind[NDArray[Any]] = Kind(None, "The weights: live views of shape (n_in, n_out), one per layer.")
    biases: Kind[NDArray[Any]] = Kind(0.0, "The biases: live views of shape (n_out,), one per layer.")
    slopes: Kind[NDArray[Any] | None] = Kind(
        0.25,
        """The trained slopes: live views of shape (n_out,), one per layer. A layer whose activation has no slopes has None.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 3, 1), "prelu", dtype="float64").slopes
        [array([0.25, 0.25, 0.25]), None]
        """,
    )

    gains: Kind[NDArray[Any] | None] = Kind(
        1.0,
        """The factors of normalized units: live views of shape (n_out,), one per layer, or None without a normalization.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 3, 1), normalization="layer_norm", dtype="float64").gains
        [array([1., 1., 1.]), None]
        """,
    )
    shifts: Kind[NDArray[Any] | None] = Kind(
        0.0,
        """The summands of normalized units: live views of shape (n_out,), one per layer, or None.

        Only "layer_norm" has them.
        """,
    )
    alphas: Kind[NDArray[Any] | None] = Kind(
        1.0,
        """The alphas of parametric activations: live views of shape (n_out,), one per layer, or None.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 3, 1), parametric_activation=True, dtype="float64").alphas
        [array([1., 1., 1.]), None]
        """,
    )
    scales: Kind[NDArray[Any] | None] = Kind(
        1.0,
        """The trained factors of the inputs: a live view of shape (n_in,) for the first layer, None for every other layer.

        Only models with `input_scale` have them, and those with `shared`, whose views are (n_members, n_in). If `shared` is
        of the kind "full", all layers but the last have them.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 3, 1), input_scale=True, dtype="float64").scales
        [array([1., 1.]), None]
        """,
    )
    output_scales: Kind[NDArray[Any] | None] = Kind(
        1.0,
        """The factors of the products of inputs and weights: live views of shape (n_members, n_out), one per layer, or None.

        Only models with `shared` of the kind "full" have them, in all layers but the last.

        Examples
        --------
        >>> from fastnn import MLP, SharedEnsemble
        >>> model = MLP((2, 3, 1), shared=SharedEnsemble(8, kind="full"))
        >>> [None if each is None else each.shape for each in model.output_scales]
        [(8, 3), None]
        """,
    )
    projections: Kind[NDArray[Any] | None] = Kind(
        None,
        """The matrices of residual connections between different widths: live views of shape (n_from, n_out), one per layer.

        A layer to which no such connection leads has None.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((2, 3, 4, 1), residual=[(1, 2)])
        >>> [None if each is None else each.shape for each in model.projections]
        [None, (3, 4), None]
        """,
    )
    embedding_parameters: Kind[NDArray[Any] | None] = Kind(
        None,
        """The parameters of embeddings: live views of matrices, one per embedding, or None for one without parameters.

        The embedding's method ``parts`` divides its matrix into parts by name.

        Examples
        --------
        >>> from fastnn import MLP
        >>> from fastnn.embeddings import PBLD
        >>> model = MLP((2, 3, 1), embeddings=PBLD(n_frequencies=4, width=2))
        >>> list(model.embeddings[0].parts(model.embedding_parameters[0]))
        ['frequencies', 'phases', 'weights', 'biases']
        """,
    )

    @property
    def parameters(self) -> list[NDArray[Any]]:
        """Live views of all parameters, layer by layer: ``[W1, b1, W2, b2, …]``.

        The slopes, gains, shifts and alphas of a layer follow its biases, then the scales of its inputs and of its outputs.
        The projection of a residual connection is the last of its layer. The parameters of embeddings precede all
        layers.
        """
        return Views("parameters", by_layer(self._network.parameters))

    @parameters.setter
    def parameters(self, values: Iterable[ArrayLike]) -> None:
        self.parameters[:] = values  # type: ignore[assignment]

    def _views(self, storage: NDArray[Any] | None = None) -> Kinds:
        """Return the arrays of each kind, one per layer: the model's own, or those in an array laid out like its storage."""
        return self._network.parameters if storage is None else self._network.views(storage)

    def _kinds(self) -> list[list[str]]:
        """Return the kinds of parameters of each layer."""
        views = self._views()
        return [[kind for kind in LAYER_KINDS if views[kind][layer] is not None] for layer in range(len(self.activations))]

    def _embedded(self) -> list[bool]:
        """Return whether each embedding has parameters."""
        return [parameters is not None for parameters in self._views()[EMBEDDED]]

    def _initialize(self, drawn: Mapping[str, Sequence[NDArray[Any] | None]]) -> None:
        """Set all parameters to their initial values. `drawn` has those of kinds that are drawn, one array per layer."""
        for name, views in self._views().items():
            initial = KINDS[name].initial
            for layer, view in enumerate(views):
                if view is not None and initial != 0.0:  # the storage is made of zeros
                    view[...] = drawn[name][layer] if initial is None or name in drawn else initial

    @property
    def n_parameters(self) -> int:
        """The number of parameters: those of all layers, such as weights, biases and slopes, and those of embeddings.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 64, 1)).n_parameters
        257
        """
        return sum(p.size for p in by_layer(self._network.parameters))

    def summary(self) -> Summary:
        """Return a table of the layers: shapes, activations, parameters, memory and multiply-adds per row, with totals.

        Returns
        -------
        Summary
            ``print(model.summary())`` shows the table. The same numbers are its attributes: `layers`, `n_parameters`,
            `n_bytes`, `storage_bytes`, `multiply_adds` and `dtype`.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((2, 64, 1)).summary()
        layer       input shape  output shape  activation  parameters  bytes  multiply-adds per row
        -------------------------------------------------------------------------------------------
        1           (n, 2)       (n, 64)       relu               192    768                    128
        2 (output)  (n, 64)      (n, 1)        identity            65    260                     64
        -------------------------------------------------------------------------------------------
        total                                                     257  1,028                    192
        float32, 1,088 bytes with padding
        """
        from fastnn._summary import summary_of

        return summary_of(self, self._network.parameters, self._network.storage.nbytes)

    @without_unknown
    def blend(self, other: Parameters, tau: float, **unknown: Never) -> None:
        """Move all parameters towards those of another model: own += tau * (other - own).

        A target network follows a trained network in this way (Polyak averaging). With tau = 1, it becomes a copy, and with
        tau = 0, it does not change. Only the parameters change.

        Parameters
        ----------
        other : MLP
            A model with the same layer sizes, activations, normalizations, alphas, scales, embeddings, residual connections,
            members and dtype. It does not change.
        tau : float
            The fraction of the difference by which to move, in [0, 1].

        Raises
        ------
        TypeError, ValueError
            If the models do not match, or if `tau` is out of range. Nothing is changed then.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model, target = MLP((2, 3, 1), init="zeros"), MLP((2, 3, 1), init="zeros")
        >>> model.biases[1][0] = 1.0
        >>> target.blend(model, 0.25)
        >>> target.biases[1]
        array([0.25], dtype=float32)
        """
        if unknown:
            raise refusal(Parameters.blend, (self,), unknown)
        if not isinstance(other, Parameters):
            raise TypeError(f"other: expected MLP, got {type(other).__name__}")
        share = real("tau", tau, low=0.0, high=1.0)
        mine, others = self._network, other._network
        if mine is others or share == 0.0:
            return
        if any(getattr(mine, name) != getattr(others, name) for name in _ALIKE):
            raise _not_alike(self, other)
        if share == 1.0:
            mine.storage[...] = others.storage
        else:
            mine.blend(others, share)

    def to_vector(self) -> NDArray[Any]:
        """Return all parameters in a new vector, in the order of `parameters`: W1 row by row, then b1, W2 and so on."""
        return np.concatenate([p.ravel() for p in self.parameters])

    def set_vector(self, v: ArrayLike) -> None:
        """Set all parameters from a vector in the order of `to_vector`."""
        vector = _arrays.real_array("v", v)
        size = sum(p.size for p in self.parameters)
        if vector.shape != (size,):
            raise ValueError(f"v: expected shape ({size},), one number per parameter, got {vector.shape}")
        with np.errstate(over="ignore"):
            vector = vector.astype(self.dtype, copy=False)
        start = 0
        for p in self.parameters:
            p[...] = vector[start : start + p.size].reshape(p.shape)
            start += p.size

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the inputs, or None if the model has none.

        The model takes them from the first data frame (of pandas, polars, PyArrow and others) on which it is trained,
        if all column names are strings. It then refuses frames with other columns, or with the same columns in another
        order. Arrays have no names, and are not checked. Files and copies keep the names. You can assign a list of
        names. Assign None before training on a frame with other columns.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((2, 3, 1))
        >>> model.feature_names = ["age", "height"]
        >>> model.feature_names
        ('age', 'height')
        """
        return self._feature_names

    @feature_names.setter
    def feature_names(self, names: Sequence[str] | None) -> None:
        self._feature_names = _columns.checked_names("feature_names", names, self.layer_sizes[0])

    def _check_columns(self, argument: str, X: Any) -> None:
        """Raise an error if X is a data frame with other columns than in training, or sparse where it must be dense."""
        network = self._network
        if (network.embeddings or network.n_members > 1) and _arrays.is_sparse(X):
            kind = "model with embeddings" if network.embeddings else "shared ensemble"
            raise TypeError(f"{argument}: expected a dense array for a {kind}, got a sparse matrix")
        if network.residual and any(begin == 0 for begin, _ in network.residual) and _arrays.is_sparse(X):
            raise TypeError(
                f"{argument}: expected a dense array for a residual connection from the inputs, got a sparse matrix"
            )
        _columns.check_same(argument, _columns.names_of(argument, X), self._feature_names)

    def _learn_columns(self, X: Any) -> None:
        """Record the column names of X, if it has any and the model has none yet."""
        if self._feature_names is None:
            self._feature_names = _columns.names_of("X", X)


_ALIKE: dict[str, tuple[str, ...]] = {
    "layer_sizes": ("layer_sizes",),
    "activations": ("activations",),
    "normalizations": ("normalization", "normalization_place"),
    "parametric": ("parametric_activation",),
    "input_scale": ("input_scale",),
    "embeddings": ("embeddings",),
    "residual": ("residual",),
    "residual_place": ("residual_place",),
    "n_members": ("shared",),
    "scales_members": ("shared",),
    "dtype": ("dtype",),
}
"""The attributes that networks must share for their parameters to correspond, and those of models that set them."""


def _not_alike(model: Parameters, other: Parameters) -> ValueError:
    """Return the error for two models whose networks do not match."""
    cause = next(name for name in _ALIKE if getattr(model._network, name) != getattr(other._network, name))
    expected, got = ({name: getattr(each, name) for name in _ALIKE[cause]} for each in (model, other))
    name = next(name for name in expected if expected[name] != got[name])
    return ValueError(f"other: expected a model with {name} {expected[name]!s}, got one with {got[name]!s}")


KINDS = {name: kind for name, kind in vars(Parameters).items() if isinstance(kind, Kind)}
"""The kinds of parameters by name."""
