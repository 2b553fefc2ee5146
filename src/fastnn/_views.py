"""Live views of a model's parameters: the attribute for each kind, and lists of the arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._engine import arrays as _arrays

_View = TypeVar("_View")

# For each kind of parameters, one array per layer, or None where the layer has no such parameters.
Kinds = Mapping[str, Sequence[NDArray[Any] | None]]


class Kind(property, Generic[_View]):
    """The attribute of a model for one kind of parameters, of which a layer has one block or none: a list of live views.

    Parameters
    ----------
    initial : float, optional
        The value before training. If not given, values are drawn at random, see `fastnn._initializers`.
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
        """Take the name of the attribute."""
        self.name = name

    if TYPE_CHECKING:

        @overload
        def __get__(self, model: None, owner: type | None = None) -> Kind[_View]: ...

        @overload
        def __get__(self, model: object, owner: type | None = None) -> list[_View]: ...

        def __get__(self, model: object, owner: type | None = None) -> Any: ...

        def __set__(self, model: object, values: Iterable[ArrayLike | None]) -> None: ...


def by_layer(kinds: Kinds) -> list[NDArray[Any]]:
    """Return the arrays of the first layer, one of each kind that it has, then those of the second, and so on."""
    return [array for arrays in zip(*kinds.values(), strict=True) for array in arrays if array is not None]


def by_kind(kinds: Kinds) -> list[NDArray[Any]]:
    """Return the arrays of the first kind, one of each layer that has them, then those of the second, and so on."""
    return [array for arrays in kinds.values() for array in arrays if array is not None]


def carry_over(source: Kinds, target: Kinds) -> None:
    """Copy parameters from one network to another of as many layers: all that both have in the same shape."""
    for kind, arrays in source.items():
        for array, other in zip(arrays, target[kind], strict=True):
            if array is not None and other is not None and array.shape == other.shape:
                other[...] = array


class Views(list[Any]):
    """A list of live views of a model's parameters, as many as it has.

    Assigning to an element, or to a slice, copies the values into the model. What would make the list longer, shorter or
    another one raises TypeError. Copies, slices and sums of such lists are plain lists of the same views.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str, views: Iterable[NDArray[Any] | None]) -> None:
        super().__init__(views)
        self._name = name

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy arrays of the same shapes into the model, all or none."""
        view = self[index]
        if not isinstance(index, slice):
            values = values_for(f"{self._name}[{index}]", view, value)
            if view is not None:
                view[...] = values
            return
        places = range(len(self))[index]
        if not isinstance(value, Iterable) or len(values := list(value)) != len(places):
            got = f"{len(values)} arrays" if isinstance(value, Iterable) else repr(value)
            raise ValueError(f"{self._name}: expected {len(places)} arrays, got {got}")
        named = ((f"{self._name}[{i}]", self[i], array) for i, array in zip(places, values, strict=True))
        checked = [values_for(*each) for each in named]
        copies = [None if array is None else array.copy() for array in checked]  # one may be a view of another's place
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
        """Be copied and pickled as a plain list: copies of the arrays are no model's parameters."""
        return list, (list(self),)


def values_for(argument: str, view: NDArray[Any] | None, value: ArrayLike | None) -> Any:
    """Return values as an array of the view's shape and dtype; None for a layer without such parameters.

    Raises
    ------
    TypeError, ValueError
        If they are no real numbers, or have another shape.
    """
    if view is None:
        if value is None:
            return None
        raise TypeError(
            f"{argument}: expected None, got {type(value).__name__}; this layer's activation has no such parameters"
        )
    array = _arrays.real_array(argument, value)
    if array.shape != view.shape:
        raise ValueError(f"{argument}: expected shape {view.shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        return array.astype(view.dtype, copy=False)
