"""`coefs_` and `intercepts_`: contiguous, assignable arrays, in step with a network whose rows are padded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._model import MLP
from fastnn._native import copied_parameters, network_of
from fastnn.sklearn._fitted import network_with
from fastnn.sklearn._members import refuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("coefs_", "intercepts_")


class SharedArrays:
    """The two lists that users see, and the last common contents of the lists and the network.

    Padded rows make the network's own views of weights non-contiguous, so that ``coefs_[0].ravel()`` would be a copy. Users
    then get contiguous arrays of their own. Changes on either side are copied to the other; the users' changes come first.
    """

    def __init__(self, model: MLP) -> None:
        parameters = network_of(model).parameters
        self.coefs: Any = [w if w.flags.c_contiguous else np.ascontiguousarray(w) for w in parameters["weights"]]
        self.intercepts: Any = list(parameters["biases"])
        self.remember(model)

    @property
    def assigned(self) -> bool:
        """Return whether a program has put other arrays into the lists."""
        given = [*self.coefs, *self.intercepts]
        return len(given) != len(self._arrays) or any(a is not b for a, b in zip(given, self._arrays, strict=True))

    def in_step(self, model: MLP) -> MLP:
        """Make the lists and the network agree. Return the network, which is new if the numbers of units have changed.

        Raises
        ------
        ValueError
            If assigned arrays do not fit together.
        """
        if self.assigned:
            own = [
                [_own(array, at, model) for at, array in enumerate(arrays, first)]
                for first, arrays in ((0, self.coefs), (len(model.weights), self.intercepts))
            ]
            model = network_with(model, *own)
            self.coefs, self.intercepts = _filled(self.coefs, own[0]), _filled(self.intercepts, own[1])
            self.remember(model)
            return model
        changed = {i for i, seen in self._beside.items() if seen != _memory(self._arrays[i])}
        if changed or self._network_seen != network_of(model).storage:
            self._copy(model, changed)
            self.remember(model)
        return model

    def _copy(self, model: MLP, changed: set[int]) -> None:
        """Copy arrays that users changed to the network, and other changes of the network to the arrays."""
        seen = _views(model, np.frombuffer(self._network_seen, model.dtype))
        filled: list[Any] = []
        for i in self._beside:
            array, view = self._arrays[i], _views(model)[i]
            if i in changed:
                view[...] = array
            elif view.tobytes() != seen[i].tobytes():
                fits = array.flags.writeable and np.can_cast(view.dtype, array.dtype, "same_kind")
                if fits and not any(np.may_share_memory(array, other) for other in filled):
                    array[...] = view
                    filled.append(array)
                else:  # one array can't hold the weights of two layers
                    self._replace(i, view)

    def remember(self, model: MLP) -> None:
        """Record the current contents as the common ones, also for another network with the same parameters."""
        self._arrays = [*self.coefs, *self.intercepts]
        # Comparing bytes is fast, and distinguishes NaN and the sign of zero. The views of the network are in its storage.
        self._network_seen = bytearray(network_of(model).storage)
        views = enumerate(zip(self._arrays, _views(model), strict=True))
        self._beside = {i: bytearray(_memory(array)) for i, (array, view) in views if array is not view}

    def _replace(self, i: int, view: NDArray[Any]) -> None:
        """Replace an array that can't be written to."""
        arrays, at = (self.coefs, i) if i < len(self.coefs) else (self.intercepts, i - len(self.coefs))
        arrays[at] = np.ascontiguousarray(view)


def _memory(array: NDArray[Any]) -> Any:
    """Return an object with the bytes of an array, row by row: the array itself if it is contiguous."""
    return array if array.flags.c_contiguous else array.tobytes()


def _filled(given: Any, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the list that a user assigned, filled with the arrays: the user may hold on to it."""
    if not isinstance(given, list):
        return arrays
    given[:] = arrays
    return given


def _views(model: MLP, storage: Any = None) -> list[NDArray[Any]]:
    """Return weights and biases: those of the network, or those in an array with the layout of its storage."""
    network = network_of(model)
    kinds = network.parameters if storage is None else network.views(storage)
    return [*kinds["weights"], *kinds["biases"]]


def _own(array: Any, at: int, model: MLP) -> NDArray[Any]:
    """Return an assigned array itself, or a copy if it is a list or shares memory with another part of the network."""
    result = np.asarray(array)
    views = _views(model)
    if at < len(views) and result is views[at]:
        return result
    return result.copy() if np.may_share_memory(result, network_of(model).storage) else result


def _attribute(name: str) -> Any:
    """Return the property for one of the two lists."""

    def get(self: WithCoefs) -> Any:
        if "network_" in vars(self):
            shared = self._shared()
            if not shared.assigned:  # otherwise the user may be about to assign the arrays that fit these
                self._take_assigned()
            return getattr(shared, name.rstrip("_"))
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def set_(self: WithCoefs, value: Any) -> None:
        refuse(self, name, "assign the arrays of each of the members_")
        if "network_" in vars(self):
            setattr(self._shared(), name.rstrip("_"), value)
        else:
            vars(self)[name] = value

    return property(get, set_, doc="One array per layer. The network computes with arrays that are assigned.")


class WithCoefs:
    """A base of the estimators, with the attributes `coefs_` and `intercepts_` before and after a fit."""

    network_: MLP
    _shared_arrays: SharedArrays

    coefs_, intercepts_ = (_attribute(name) for name in NAMES)

    def _network_of_assigned(self) -> None:
        """Return the network of an estimator whose attributes a program set, which scikit-learn allows."""
        raise NotImplementedError

    def _follow_parameters(self) -> None:
        """Make the network follow the parameters that describe it, if they have changed since it was made."""
        raise NotImplementedError

    def _replace_network(self, network: MLP) -> None:
        """Continue with a network with other numbers of units, and without the state of the old one, which would not fit."""
        attributes = vars(self)
        self.network_ = network
        for name in ("_trainer", "_last_parameters"):
            attributes.pop(name, None)
        if attributes.get("_best_parameters") is not None:
            attributes |= {"_best_parameters": copied_parameters(network), "best_validation_score_": -np.inf}

    def _shared(self) -> SharedArrays:
        shared: SharedArrays | None = vars(self).get("_shared_arrays")
        if shared is None:
            vars(self)["_shared_arrays"] = shared = SharedArrays(self.network_)
        return shared

    def _forget_assigned(self) -> None:
        """Drop the arrays of the previous network."""
        for name in ("_shared_arrays", *NAMES):
            vars(self).pop(name, None)

    def _take_assigned(self) -> None:
        """Copy changes of `coefs_` and `intercepts_` to the network, and changes by training to these."""
        attributes = vars(self)
        if "_shared_arrays" in attributes:
            network = attributes["_shared_arrays"].in_step(self.network_)
            if network is not self.network_:
                self._replace_network(network)
        elif "network_" not in attributes and all(name in attributes for name in NAMES):
            self._network_of_assigned()
        if "network_" in attributes:
            self._follow_parameters()
