"""The plan of a search: which estimators are trained together, on data that each fold prepares once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples

from fastnn._watchers import progress_bar
from fastnn.sklearn._base import BaseMLP
from fastnn.sklearn._contradictions import is_lbfgs
from fastnn.sklearn._folds import Fold
from fastnn.sklearn._together import train_together

# Bounds of a group of estimators that are trained at once: their number, and that of their parameters, which limits memory.
_MOST_FITS, _MOST_PARAMETERS = 512, 1 << 22
# The copies of the rows of all folds may need so many bytes.
_MOST_BYTES = 1 << 30
_FIXED = (bool, int, float, str, np.generic, type(None))


def _is_fixed(value: Any) -> bool:
    """Return whether nothing in a value can change."""
    return all(map(_is_fixed, value)) if type(value) is tuple else isinstance(value, _FIXED)


def network_in(estimator: Any) -> Any:
    """Return the estimator of fastnn at the end of a pipeline, or by itself, or None if there is none."""
    last = estimator
    if type(estimator) is Pipeline:
        plain = not estimator.verbose and estimator.memory is None and getattr(estimator, "transform_input", None) is None
        last = estimator.steps[-1][1] if plain and estimator.steps else None
    return last if isinstance(last, BaseMLP) and type(last).__module__.startswith("fastnn.sklearn.") else None


def can_plan(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any], names: Sequence[str] = ()) -> bool:
    """Return whether a plan gives scikit-learn's results for an estimator, and is faster.

    Parameters
    ----------
    estimator : estimator
        The estimator of the user.
    X, y : array-like
        The data.
    fit_params : mapping
        The arguments for `fit`, except for X and y.
    names : sequence of str
        The names of the parameters that are searched.
    """
    network = network_in(estimator)
    if network is None or y is None or get_config()["enable_metadata_routing"]:
        return False
    if set(fit_params) - {_weight_name(estimator)} or vars(estimator).get("_skl_callbacks"):
        return False
    if getattr(X, "nbytes", 0) > _MOST_BYTES:
        return False
    # scikit-learn's processes are faster if no setting trains by batches.
    replaced = any(name.endswith("solver") or "__" not in name for name in names)
    return not is_lbfgs(network) or replaced


def _weight_name(estimator: Any) -> str:
    return f"{estimator.steps[-1][0]}__sample_weight" if type(estimator) is Pipeline else "sample_weight"


class RecordedSplits:
    """A splitter whose folds a plan learns.

    Parameters
    ----------
    cv : splitter
        The splitter of the user.
    plan : Plan
        The plan.
    """

    def __init__(self, cv: Any, plan: Plan) -> None:
        self._cv, self._plan = cv, plan

    def __repr__(self) -> str:
        """Return the text of the splitter of the user."""
        return repr(self._cv)

    def get_n_splits(self, *args: Any, **kwargs: Any) -> int:
        """Return the number of folds."""
        return int(self._cv.get_n_splits(*args, **kwargs))

    def split(self, X: Any, y: Any = None, *args: Any, **kwargs: Any) -> Iterator[tuple[Any, Any]]:
        """Return the folds."""
        splits = list(self._cv.split(X, y, *args, **kwargs))
        self._plan.take_splits(X, y, splits)
        return iter(splits)


class Planned:
    """An estimator whose fit has begun.

    Attributes
    ----------
    estimator : estimator
        The whole estimator, which may be a pipeline with fitted transformers.
    fits : list of BatchFit
        The fits of its network or networks.
    """

    def __init__(self, estimator: Any, fits: list[Any], seconds: float) -> None:
        self.estimator, self.fits, self._network, self._seconds = estimator, fits, network_in(estimator), seconds

    @property
    def seconds(self) -> float:
        """The seconds of preparation and training."""
        return self._seconds + float(sum(fit.seconds for fit in self.fits))

    def end(self) -> None:
        """Complete the fit, which may raise the error of the training."""
        self._network._end_fits(self.fits)


class Plan:
    """The fits of a search or cross-validation, in the order of scikit-learn's loop.

    Parameters
    ----------
    template : estimator
        The estimator of the user.
    fit_params : mapping
        The arguments for `fit`, except for X and y.
    n_threads : int, optional
        The number of threads, by default as many as the work justifies.

    Attributes
    ----------
    fit_seconds : list of float
        The seconds of each fit so far.
    """

    def __init__(self, template: Any, fit_params: Mapping[str, Any], n_threads: int | None) -> None:
        self._template, self._n_threads = template, n_threads
        self._weight = fit_params.get(_weight_name(template))
        self._known_names: set[frozenset[str]] = set()
        self.fit_seconds: list[float] = []
        self._last_setting: Mapping[str, Any] | None = None
        self._prototype: Any = None
        self.begin([])

    def begin(self, settings: Sequence[Mapping[str, Any]]) -> None:
        """Plan all fits of these settings, from the next splits on."""
        self._settings = list(settings)
        self._folds: list[Fold] = []
        self._place = self._ready_until = 0
        self._ready: dict[int, Planned | None] = {}

    def take_splits(self, X: Any, y: Any, splits: Sequence[tuple[Any, Any]]) -> None:
        """Take the folds, and the data that are split."""
        self._folds = [Fold(X, y, self._weight_of(X, train), train) for train, _ in splits]

    def _weight_of(self, X: Any, train: Any) -> Any:
        weight: Any = self._weight
        whole = hasattr(weight, "__len__") and len(weight) == _num_samples(X)
        return _safe_indexing(weight, train) if whole else weight

    def check_names(self, parameters: Mapping[str, Any]) -> None:
        """Raise ValueError, like the estimator, if it does not have one of the parameters."""
        names = frozenset(parameters)
        if names not in self._known_names:
            clone(self._template).set_params(**clone(dict(parameters), safe=False))
            if not any(hasattr(value, "get_params") for value in parameters.values()):
                self._known_names.add(names)

    def take(self, X: Any, parameters: Mapping[str, Any]) -> Planned | None:
        """Return the estimator whose turn it is, trained, or None if the caller must fit it."""
        place, n_folds = self._place, len(self._folds)
        self._place += 1
        if place >= len(self._settings) * n_folds:
            return None
        setting, fold = self._settings[place // n_folds], self._folds[place % n_folds]
        if setting.keys() != parameters.keys() or not fold.fits(X):
            self._settings = []  # not the loop that is known
            return None
        if place >= self._ready_until:
            self._train_from(place)
        return self._ready.pop(place)

    # ---- A group of fits ----

    def _train_from(self, first: int) -> None:
        """Prepare and train the next group."""
        self._ready, place, n_parameters = {}, first, 0
        group: list[Planned] = []
        last = len(self._settings) * len(self._folds)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            while place < last and len(group) < _MOST_FITS and n_parameters < _MOST_PARAMETERS:
                caught.clear()
                planned = self._prepared(place)
                if caught:  # the fit by the caller warns at its time
                    planned = None
                self._ready[place] = planned
                if planned is not None:
                    group.append(planned)
                    n_parameters += sum(fit.estimator.network_.n_parameters for fit in planned.fits)
                place += 1
        self._ready_until = place
        try:
            self._train(group)
        except Exception:  # as of a scorer of the user: the fit by the caller raises it at its time
            self._ready = dict.fromkeys(self._ready)

    def _train(self, group: Sequence[Planned]) -> None:
        fits = [fit for planned in group for fit in planned.fits]
        progress = next((fit.estimator.progress for fit in fits if fit.estimator.progress), None)
        if fits:
            train_together(fits, self._n_threads, progress_bar(progress))

    def _new_estimator(self, setting: Mapping[str, Any]) -> Any:
        """Return a clone of the template with a setting: a copy of the last one, if nothing in it can change."""
        if setting is not self._last_setting or self._prototype is None:
            estimator = clone(self._template)
            if setting:
                estimator.set_params(**clone(dict(setting), safe=False))
            fixed = all(map(_is_fixed, vars(estimator).values()))
            self._last_setting, self._prototype = setting, estimator if fixed else None
            if not fixed:
                return estimator
        copied = object.__new__(type(self._prototype))
        vars(copied).update(vars(self._prototype))
        return copied

    def _prepared(self, place: int) -> Planned | None:
        """Return an estimator whose fit has begun, or None if it must be fitted by the caller."""
        begun = time.perf_counter()
        setting, fold = self._settings[place // len(self._folds)], self._folds[place % len(self._folds)]
        try:
            estimator = self._new_estimator(setting)
            network = network_in(estimator)
            if network is None or network.verbose or is_lbfgs(network):
                return None
            data = fold.data_for(estimator, network, setting)
            seed = check_random_state(None).randint(np.iinfo(np.int32).max) if network.random_state is None else None
            fits = network._begin_fits(data, None if seed is None else np.random.RandomState(seed))
        except Exception:  # the fit by the caller raises it at its time
            return None
        return Planned(estimator, fits, time.perf_counter() - begun)
