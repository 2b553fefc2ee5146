"""The lists of a model's parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._engine import arrays as _arrays


class Views(list[NDArray[Any]]):
    """A list of live views of a model's parameters, as many as it has.

    Assigning to an element, or to a slice, copies the values into the model. What would make the list longer, shorter or
    another one raises TypeError. Copies, slices and sums of such lists are plain lists of the same views.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str, views: Iterable[NDArray[Any]]) -> None:
        super().__init__(views)
        self._name = name

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy arrays of the same shapes into the model, all or none."""
        view = self[index]
        if not isinstance(index, slice):
            view[...] = values_for(f"{self._name}[{index}]", view, value)
            return
        places = range(len(self))[index]
        if not isinstance(value, Iterable) or len(values := list(value)) != len(places):
            got = f"{len(values)} arrays" if isinstance(value, Iterable) else repr(value)
            raise ValueError(f"{self._name}: got {got}, expected {len(places)} arrays")
        named = ((f"{self._name}[{i}]", self[i], array) for i, array in zip(places, values, strict=True))
        checked = [values_for(*each).copy() for each in named]  # copies: one may be a view of another's place
        for i, array in zip(places, checked, strict=True):
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


def values_for(argument: str, view: NDArray[Any], value: ArrayLike) -> NDArray[Any]:
    """Return values as an array of the view's shape and dtype.

    Raises
    ------
    TypeError, ValueError
        If they are no real numbers, or have another shape.
    """
    array = _arrays.real_array(argument, value)
    if array.shape != view.shape:
        raise ValueError(f"{argument}: got shape {array.shape}, expected {view.shape}")
    with np.errstate(over="ignore"):
        return array.astype(view.dtype, copy=False)
