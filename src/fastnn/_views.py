"""Live views of a model's parameters: the attribute for each kind, and lists of the arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np

from fastnn._checks.scalars import has_elements
from fastnn._engine import arrays as _arrays
from fastnn._layer_settings import EMBEDDED

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_View = TypeVar("_View")

# For each kind of parameters: one array per layer, or None for a layer without such parameters. Those of embeddings have one
# array per embedding, or None for an embedding without parameters.
Kinds: TypeAlias = "Mapping[str, Sequence[NDArray[Any] | None]]"


class Kind(property, Generic[_View]):
    """The attribute of a model for one kind of parameters: a list of live views, one per layer.

    A layer without such parameters has None in the list.

    Parameters
    ----------
    initial : float, optional
        The value before training. By default, the values are drawn at random: see `fastnn._initializers`.
    doc : str
        The documentation of the attribute.

    Attributes
    ----------
    name : str
        The name of the attribute, and of the arrays in files.
    """

    name: str

    def __init__(self, initial: float | None, doc: str) -> None:
        def get(model: Any) -> Any:
            return Views(self.name, model._views()[self.name])

        def set_(model: Any, values: Any) -> None:
            get(model)[:] = values

        super().__init__(get, set_)
        self.initial, self.__doc__ = initial, doc

    def __set_name__(self, owner: Any, name: str) -> None:
        """Record the name of the attribute."""
        self.name = name

    if TYPE_CHECKING:

        @overload
        def __get__(self, model: None, owner: type | None = None) -> Kind[_View]: ...

        @overload
        def __get__(self, model: object, owner: type | None = None) -> list[_View]: ...

        def __get__(self, model: object, owner: type | None = None) -> Any: ...

        def __set__(self, model: object, values: Iterable[ArrayLike | None]) -> None: ...


def by_layer(kinds: Kinds) -> list[NDArray[Any]]:
    """Return all arrays: those of embeddings, and then layer by layer, one per kind of parameters that a layer has."""
    return [array for arrays in (kinds[EMBEDDED], *layers_of(kinds)) for array in arrays if array is not None]


def layers_of(kinds: Kinds) -> list[tuple[NDArray[Any] | None, ...]]:
    """Return the arrays of each layer: one per kind of parameters, or None for a kind that the layer lacks."""
    return list(zip(*(arrays for kind, arrays in kinds.items() if kind != EMBEDDED), strict=True))


def by_kind(kinds: Kinds) -> list[NDArray[Any]]:
    """Return all arrays, kind by kind: within a kind, one array per layer that has such parameters."""
    return [array for arrays in kinds.values() for array in arrays if array is not None]


def carry_over(source: Kinds, target: Kinds) -> None:
    """Copy parameters from one network to another with as many layers and embeddings: all in the same shape."""
    for kind, arrays in source.items():
        for array, other in zip(arrays, target[kind], strict=True):
            if array is not None and other is not None and array.shape == other.shape:
                other[...] = array


class Views(list[Any]):
    """A list of live views of a model's parameters, whose length and order are fixed.

    Assigning to an element, or to a slice, copies the values into the model. Methods that would change the length or the
    order raise TypeError. Copies, slices and sums of such lists are plain lists of the same views.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str, views: Iterable[NDArray[Any] | None]) -> None:
        super().__init__(views)
        self._name = name

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy arrays of the same shapes into the model: all of them, or none if one does not fit."""
        view = self[index]
        if not isinstance(index, slice):
            values = values_for(f"{self._name}[{index}]", view, value)
            if view is not None:
                view[...] = values
            return
        places = range(len(self))[index]
        if not has_elements(value) or len(values := list(value)) != len(places):
            got = f"{len(values)} arrays" if has_elements(value) else repr(value)
            raise ValueError(f"{self._name}: expected {len(places)} arrays, got {got}")
        named = ((f"{self._name}[{i}]", self[i], array) for i, array in zip(places, values, strict=True))
        checked = [values_for(*each) for each in named]
        copies = [None if array is None else array.copy() for array in checked]  # one may be a view of another's target
        for i, array in zip(places, copies, strict=True):
            if array is not None:
                self[i][...] = array

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            f"{self._name}: a model keeps its layers; {self._name}[i] = array sets the values of one, and "
            f"list(model.{self._name}) is a list of your own"
        )

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        """Return a plain list for copies and pickles: copies of the arrays are not parameters of any model."""
        return list, (list(self),)


def values_for(argument: str, view: NDArray[Any] | None, value: ArrayLike | None) -> Any:
    """Return values as an array of the view's shape and dtype, or None for a layer without such parameters.

    Raises
    ------
    TypeError, ValueError
        If the values are not real numbers, or have another shape.
    """
    if view is None:
        if value is None:
            return None
        raise TypeError(f"{argument}: expected None, got {type(value).__name__}; this layer has no such parameters")
    array = _arrays.real_array(argument, value)
    if array.shape != view.shape:
        raise ValueError(f"{argument}: expected shape {view.shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        return array.astype(view.dtype, copy=False)
