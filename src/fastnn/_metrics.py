"""Metrics of training: their names, and their values over a set of rows.

Native code computes the sums over blocks of rows that the built-in metrics need.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.scalars import shown
from fastnn._checks.spellings import METRICS as _SPELLINGS
from fastnn._checks.spellings import named_here
from fastnn._evaluation import Evaluation
from fastnn._metric_sums import Accuracy, Errors, counted_rows
from fastnn._overridden import check_predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

Metric: TypeAlias = Callable[..., Any]

METRICS = ("accuracy", "r2", "mae", "mse", "rmse")
"""The names of the built-in metrics."""

DIRECTIONS: Mapping[str, str] = MappingProxyType(
    {"loss": "min", "accuracy": "max", "r2": "max", **dict.fromkeys(("mae", "mse", "rmse"), "min")}
)
"""The direction of improvement of each column of a history, without "val_"."""

VALIDATION = "val_"
"""The prefix of the names of values on validation data."""


def checked_metrics(metrics: Any) -> dict[str, Metric | None]:
    """Return a mapping from names in the history to metrics, with None for built-in metrics.

    "val_accuracy", for example, is the accuracy on validation data alone.

    Raises
    ------
    TypeError, ValueError
        If the metrics are not a list, if one of them is unknown, or if two have the same name.
    """
    if type(metrics) is tuple and not metrics:
        return {}
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics: expected a list of names and callables, such as ['accuracy'], got {shown(metrics)}")
    checked: dict[str, Metric | None] = {}
    for metric in metrics:
        if isinstance(metric, str) and metric.removeprefix(VALIDATION) not in METRICS:
            names, prefix = ", ".join(map(repr, METRICS)), VALIDATION if metric.startswith(VALIDATION) else ""
            known = [f"{prefix}{name}" for name in METRICS]
            others = {f"{prefix}{other}": f"{prefix}{name}" for other, name in _SPELLINGS.items()}
            raise ValueError(f"metrics: expected {names} or callables, got {metric!r}{named_here(metric, known, others)}")
        if not isinstance(metric, str) and (not callable(metric) or isinstance(metric, type)):
            raise TypeError(f"metrics: expected names and callables (y_true, y_pred) -> float, got {shown(metric)}")
        name = metric if isinstance(metric, str) else _name_of(metric)
        if name in checked or name in ("epoch", "loss", "val_loss", "learning_rate", "seconds"):
            raise ValueError(f"metrics: expected names that differ, got {name!r} twice; give a function another __name__")
        checked[name] = None if isinstance(metric, str) else metric
    for name in checked:
        if f"{VALIDATION}{name}" in checked:
            raise ValueError(
                f"metrics: expected names that differ, got {name!r} and 'val_{name}', which is its validation's"
            )
    return checked


def of_sets(
    metrics: Mapping[str, Metric | None], *, validates: bool
) -> tuple[dict[str, Metric | None], dict[str, Metric | None]]:
    """Return the metrics of training data, and those of validation data.

    Raises
    ------
    ValueError
        If there are metrics of validation data alone, but no such data.
    """
    alone = [name for name in metrics if _is_of_validation_alone(name, metrics)]
    if alone and not validates:
        raise ValueError(f"metrics: {alone[0]!r} needs validation_data, got None")
    of_training = {name: function for name, function in metrics.items() if name not in alone}
    of_validation = {name.removeprefix(VALIDATION) if name in alone else name: metrics[name] for name in metrics}
    return of_training, of_validation if validates else {}


def columns_of(metrics: Mapping[str, Metric | None], *, validates: bool) -> list[str]:
    """Return the names of the values of a run in the order of its history, without "loss"."""
    prefixes = ["", VALIDATION] if validates else [""]
    names = [
        [name] if _is_of_validation_alone(name, metrics) else [f"{prefix}{name}" for prefix in prefixes]
        for name in ("loss", *metrics)
    ]
    return [name for of_metric in names for name in of_metric][1:]


def _is_of_validation_alone(name: str, metrics: Mapping[str, Metric | None]) -> bool:
    """Return whether a name is one like "val_accuracy". A function may have such a name too."""
    return name.startswith(VALIDATION) and metrics[name] is None


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


class Metrics:
    """The metrics of a model on one set of rows.

    Parameters
    ----------
    metrics : mapping
        The metrics, as `checked_metrics` returns them.
    evaluation : Evaluation
        The rows. Those of weight 0 do not count, nor do those that a loss of whole rows omits as missing. The loss of the
        trainer gives the outputs of the model their meaning.
    prefix : str, default ""
        The prefix of the names of arguments in errors.
    is_part : bool, default False
        Whether the rows are only a part of the data. Built-in metrics then need what other parts have found: first the sums
        of `totals`, then those of `spread`, and for values those of `sums`.

    Raises
    ------
    TypeError, ValueError
        If a metric does not fit the loss, the targets or the weights, or the model overrides `predict`.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric | None],
        evaluation: Evaluation,
        prefix: str = "",
        *,
        is_part: bool = False,
    ) -> None:
        self._metrics, self._evaluation = metrics, evaluation
        trainer, data = evaluation.trainer, evaluation.data
        check_predict(trainer.model)
        weight = data.sample_weight
        if weight is not None and (weight < 0).any():
            raise ValueError(f"metrics: expected {prefix}sample_weight >= 0, which a mean needs, got {weight.min()}")
        counts = counted_rows(data.y, data.labels, weight, trainer.loss)
        self._counted = None if counts.all() else np.flatnonzero(counts)
        y = data.y if self._counted is None else data.y[self._counted]
        self._y = y.view()
        self._y.flags.writeable = False
        weight = None if weight is None else weight[counts]
        self._weight = None if weight is None or (not is_part and (weight == weight.max()).all()) else weight
        built_in = [name for name, function in metrics.items() if function is None]
        self._sums: list[Accuracy | Errors] = []
        if "accuracy" in built_in:
            self._sums.append(Accuracy(trainer, data.labels, y, self._weight, prefix, is_part))
        if errors := [name for name in built_in if name != "accuracy"]:
            self._sums.append(Errors(errors, trainer, data.labels, y, self._weight, prefix, is_part))
        self._calls = {name: self._call_of(name, function) for name, function in metrics.items() if function is not None}

    def values(self) -> dict[str, float]:
        """Return the values with the current parameters, by name."""
        outputs = self._evaluation.new_outputs() if self._calls else None
        self._add_rows(outputs)
        found = {name: value for each in self._sums for name, value in each.values().items()}
        if outputs is not None:
            outputs = self._counted_of(outputs)
            outputs.flags.writeable = False  # because the user's metrics receive it
        for name, call in self._calls.items():
            found[name] = _number(name, call(self._y, outputs))
        return {name: found[name] for name in self._metrics}

    def _add_rows(self, outputs: NDArray[Any] | None) -> None:
        """Predict all rows, into `outputs` if given, and add up what the built-in metrics need."""
        for each in self._sums:
            each.start()
        for rows, p in self._counted_blocks(outputs):
            weight = None if self._weight is None else self._weight[rows]
            for each in self._sums:
                each.add(rows, p, weight)

    # ---- Parts of the data, for built-in metrics alone ----

    def totals(self) -> list[NDArray[np.float64]]:
        """Return what is added over the parts before a run."""
        return [each.totals() for each in self._sums]

    def use_totals(self, totals: list[NDArray[np.float64]]) -> None:
        """Set the sums over the parts of what `totals` returns."""
        for each, own in zip(self._sums, totals, strict=True):
            each.use_totals(own)

    def spread(self) -> list[NDArray[np.float64]]:
        """Return what is added over the parts next."""
        return [each.spread() for each in self._sums]

    def use_spread(self, spread: list[NDArray[np.float64]]) -> None:
        """Set the sums over the parts of what `spread` returns."""
        for each, own in zip(self._sums, spread, strict=True):
            each.use_spread(own)

    def sums(self) -> list[NDArray[np.float64]]:
        """Return what is added over the parts after each epoch."""
        self._add_rows(None)
        return [each.sums() for each in self._sums]

    def values_of(self, sums: list[NDArray[np.float64]]) -> dict[str, float]:
        """Return the values over all parts, of which these are the sums, by name."""
        found: dict[str, float] = {}
        for each, own in zip(self._sums, sums, strict=True):
            each.use_sums(own)
            found |= each.values()
        return {name: found[name] for name in self._metrics}

    # ---- The rows ----

    def _counted_of(self, outputs: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """Return those outputs whose rows count; the first output is that of row `first`."""
        if self._counted is None:
            return outputs
        low, high = np.searchsorted(self._counted, (first, first + len(outputs)))
        return outputs[self._counted[low:high] - first]

    def _counted_blocks(self, outputs: NDArray[Any] | None) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield the positions of rows among those that count, and their outputs, block by block."""
        done = 0
        for rows, of_block in self._evaluation.blocks(outputs):
            p = self._counted_of(of_block, rows.start)
            yield slice(done, done + len(p)), p
            done += len(p)

    def _call_of(self, name: str, function: Metric) -> Metric:
        """Return a custom metric, bound to the weights if they differ."""
        if self._weight is None:
            return function
        if not _takes_weights(function):
            raise TypeError(
                f"metrics: expected a function that takes sample_weight, as the run has weights that differ, got {name!r}, "
                "a function of (y_true, y_pred) alone"
            )
        return functools.partial(function, sample_weight=self._weight)


def _takes_weights(function: Metric) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(each.name == "sample_weight" or each.kind is each.VAR_KEYWORD for each in parameters)


def _number(name: str, value: Any) -> float:
    """Return the result of a custom metric as a float, or raise TypeError if it is not a number."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise TypeError(f"metrics: expected a number from {name}(y_true, y_pred), got {shown(value)}")
    return float(array.reshape(())[()])
