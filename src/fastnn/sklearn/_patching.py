"""The patch, which replaces scikit-learn's estimators by fastnn's in programs that do not mention fastnn."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import sklearn
import sklearn.neural_network
from sklearn.utils.metaestimators import available_if

from fastnn._version import __version__
from fastnn.sklearn import _classifier, _regressor
from fastnn.sklearn._base import solver_has_epochs
from fastnn.sklearn._fallback import become, may_become, unsupported
from fastnn.sklearn._originals import ORIGINALS, parameters_of
from fastnn.sklearn._overrides import SubclassesOfOriginals, described, own_methods
from fastnn.sklearn._report import Counts, Report

_counts = Counts()


# ---- The classes that are swapped in ----


def _with_fallback(name: str, method: Callable[..., Any]) -> Any:
    """Return a method of fastnn that counts calls, and passes those that fastnn can't handle to scikit-learn."""

    @functools.wraps(method)
    def fit_or_fall_back(self: Any, *args: Any, **kwargs: Any) -> Any:
        reason, original = unsupported(self), ORIGINALS[name]
        own = own_methods(self, name)
        if own:
            reason = described(own)
        # An instance of a subclass would lose the definitions of its class.
        if reason is not None and type(self) is _REPLACEMENTS[name] and may_become(self, original, method, args, kwargs):
            become(self, original)
            _counts.fallback(name, reason)
            return getattr(self, method.__name__)(*args, **kwargs)
        if own:
            raise NotImplementedError(
                f"{type(self).__name__}.{method.__name__}: expected a class that is derived from scikit-learn's {name} "
                f"outside of the patch, or directly from the one under it, got one with {reason}"
            )
        result = method(self, *args, **kwargs)
        _counts.fit(name)
        return result

    return fit_or_fall_back


# The classes have scikit-learn's names, for programs that display them. Estimators that fell back, or were made before the
# patch, are instances of them too: the metaclass registers scikit-learn's classes as their subclasses.


class MLPClassifier(_classifier.MLPClassifier, metaclass=SubclassesOfOriginals):
    """fastnn's classifier, which replaces scikit-learn's."""

    fit = _with_fallback("MLPClassifier", _classifier.MLPClassifier.fit)
    partial_fit = available_if(solver_has_epochs)(_with_fallback("MLPClassifier", _classifier.MLPClassifier.partial_fit))


class MLPRegressor(_regressor.MLPRegressor, metaclass=SubclassesOfOriginals):
    """fastnn's regressor, which replaces scikit-learn's."""

    fit = _with_fallback("MLPRegressor", _regressor.MLPRegressor.fit)
    partial_fit = available_if(solver_has_epochs)(_with_fallback("MLPRegressor", _regressor.MLPRegressor.partial_fit))


@functools.cache
def _counting(name: str, reason: str) -> Any:
    """Return scikit-learn's class, with fits that are counted as fallbacks for that reason."""
    original = ORIGINALS[name]

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        _counts.fallback(name, reason)
        return original.fit(self, *args, **kwargs)

    def original_partial_fit(self: Any) -> Any:
        """Return the bound method, or raise AttributeError if scikit-learn has none for the solver."""
        return inspect.getattr_static(original, "partial_fit").__get__(self, original)

    def partial_fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        _counts.fallback(name, reason)
        return original_partial_fit(self)(*args, **kwargs)

    methods = {
        "fit": functools.wraps(original.fit)(fit),
        "partial_fit": available_if(original_partial_fit)(partial_fit),
        "__module__": original.__module__,
        "__doc__": original.__doc__,
    }
    return type(original)(name, (original,), methods)


_REPLACEMENTS: Mapping[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
for _name, _replacement in _REPLACEMENTS.items():
    _replacement.register(ORIGINALS[_name])
    SubclassesOfOriginals.swapped[_replacement] = (_name, functools.partial(_counting, _name))


# ---- Replacing the classes ----


class _State:
    """The state of the patch: whether the classes are replaced, who asked for it, and the outcome."""

    lock = threading.RLock()
    wanted = False  # by patch()
    blocks = 0  # blocks of patched() that have not ended
    active = False
    replaced: Mapping[str, tuple[str, ...]] = {}
    not_replaced: Mapping[str, str] = {}


def patch() -> None:
    """Replace scikit-learn's MLPClassifier and MLPRegressor by fastnn's.

    They replace the two names in ``sklearn.neural_network``, and in modules that imported them from there. Existing
    subclasses and objects stay as they are, and so does the rest of scikit-learn. A class is not replaced if that of the
    installed scikit-learn has parameters that fastnn does not know.

    An estimator that fastnn can't fit, such as one with more than 64 layers, becomes an estimator of scikit-learn when it
    is fitted. The exceptions are instances of subclasses, and estimators that use features that only fastnn has.

    The patch applies to this process. Other processes, such as joblib's workers, can use fastnn's estimators from pickles.

    See Also
    --------
    report : Return the replaced classes, and the fits that fell back to scikit-learn.

    Examples
    --------
    >>> import sklearn.neural_network
    >>> from fastnn.sklearn import patch, unpatch
    >>> patch()
    >>> sklearn.neural_network.MLPRegressor.__module__
    'fastnn.sklearn._patching'
    >>> unpatch()
    >>> sklearn.neural_network.MLPRegressor.__module__.split(".")[0]
    'sklearn'
    """
    with _State.lock:
        _State.wanted = True
        _put()


def unpatch() -> None:
    """Restore scikit-learn's own classes, also in modules that imported the names since `patch`.

    Within ``with patched():`` this takes effect at the end of the block. Without a patch it does nothing.

    Examples
    --------
    >>> from fastnn.sklearn import patch, unpatch
    >>> patch()
    >>> unpatch()
    >>> from sklearn.neural_network import MLPClassifier
    >>> MLPClassifier.__module__.partition(".")[0]
    'sklearn'
    """
    with _State.lock:
        _State.wanted = False
        _give_back_if_unwanted()


@contextmanager
def patched() -> Iterator[None]:
    """Patch during a block, or during calls of a decorated function.

    Blocks may be nested, and may run in several threads. The last one to end removes the patch, unless `patch` was called.

    Examples
    --------
    >>> from fastnn.sklearn import patched
    >>> with patched():
    ...     from sklearn.neural_network import MLPClassifier
    ...     classifier = MLPClassifier((8,), solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"])
    >>> classifier.predict([[0.1], [0.8]])
    array(['no', 'yes'], dtype='<U3')
    >>> classifier.network_
    MLP((1, 8, 1), activation='relu', output_activation='sigmoid', ...)
    """
    with _State.lock:
        _State.blocks += 1
        _put()
    try:
        yield
    finally:
        with _State.lock:
            _State.blocks -= 1
            _give_back_if_unwanted()


def report() -> Report:
    """Return a report of the replaced names, the number of fits by fastnn, and the fallbacks to scikit-learn with reasons.

    Returns
    -------
    Report
        The report, which can be printed. Its attributes contain the same information.

    Examples
    --------
    >>> from fastnn.sklearn import report
    >>> print(report())
    fastnn ... in the place of scikit-learn ...
    """
    fits, fallbacks = _counts.copies()
    with _State.lock:
        return Report(
            __version__,
            sklearn.__version__,
            _State.active,
            dict(_State.replaced),
            dict(_State.not_replaced),
            fits,
            fallbacks,
        )


def _put() -> None:
    found = {name: _obstacle(name) for name in ORIGINALS}
    _State.not_replaced = {name: reason for name, reason in found.items() if reason is not None}
    names = [name for name, reason in found.items() if reason is None]
    places = _exchange({ORIGINALS[name]: _REPLACEMENTS[name] for name in names})
    before = _State.replaced if _State.active else {}
    _State.replaced = {name: tuple(sorted({*before.get(name, ()), *places[_REPLACEMENTS[name]]})) for name in names}
    _State.active = True


def _give_back_if_unwanted() -> None:
    if _State.active and not _State.wanted and not _State.blocks:
        _exchange({replacement: ORIGINALS[name] for name, replacement in _REPLACEMENTS.items()})
        _State.active = False


def _obstacle(name: str) -> str | None:
    """Return the reason why a class of scikit-learn can't be replaced, or None if it can."""
    original, replacement = ORIGINALS[name], _REPLACEMENTS[name]
    present = getattr(sklearn.neural_network, name)
    if present not in (original, replacement):
        return f"another program has put {present.__module__}.{present.__qualname__} in its place"
    theirs, ours = parameters_of(original), parameters_of(replacement)
    for parameter in theirs.values():
        if parameter.name not in ours:
            return f"scikit-learn {sklearn.__version__} has the parameter {parameter.name!r}, which fastnn does not know"
        if parameter.default != ours[parameter.name].default:
            return f"{parameter.name!r} is {parameter.default!r} by default in scikit-learn {sklearn.__version__}"
    if _positional(theirs) != _positional(ours):
        return f"scikit-learn {sklearn.__version__} takes other parameters by position: {', '.join(_positional(theirs))}"
    return None


def _positional(parameters: Mapping[str, Any]) -> list[str]:
    return [name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def _exchange(new_by_old: Mapping[Any, Any]) -> dict[Any, list[str]]:
    """Replace classes in the namespaces of all modules, and return the modules that now contain each new class."""
    places: dict[Any, list[str]] = {new: [] for new in new_by_old.values()}
    by_id = {id(old): new for old, new in new_by_old.items()}  # values of modules need not be hashable
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or _stays(module_name):
            continue
        # Not vars(), which would load modules that load on first use.
        namespace = object.__getattribute__(module, "__dict__")
        for attribute, value in list(namespace.items()):
            if id(value) in by_id:
                namespace[attribute] = by_id[id(value)]
                places[by_id[id(value)]].append(module_name)
    return places


def _stays(module_name: str) -> bool:
    return module_name.partition(".")[0] in ("sklearn", "fastnn") and module_name != "sklearn.neural_network"
