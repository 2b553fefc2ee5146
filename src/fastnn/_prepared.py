"""The forms of data, runs and trainers for the engine, and for compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn._checks import columns as _columns
from fastnn._configured import Configured
from fastnn._engine import core as _core
from fastnn._engine.training_data import TrainingData, apart_from, check_complete_batch, training_data
from fastnn._overridden import check_for_compiled_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RowsWithRun(Protocol):
    """Rows that make their run themselves, such as `ShardedData`, in place of `TrainingData`."""

    y: NDArray[Any]

    def new_run(self, trainer: Any, epochs: int) -> Any:
        """Return a run over these rows, which has the methods of the engine's."""


class Prepared(Configured):
    """The preparation of steps and runs, also of steps in compiled code; a base of `Trainer`."""

    def _data(self, X: Any, y: Any, sample_weight: Any, prefix: str = "", *, is_part: bool = False) -> TrainingData:
        """Return data of a run, a batch, or a part of one, in which nothing needs to count, in the engine's form."""
        if sample_weight is None and self._wanted is self._native:
            quick = _core.quick_data(self._stepper, X, y)
            if quick is not None:
                return TrainingData(*quick, None)
        model = self.model
        if type(X) is not np.ndarray:
            model._check_columns(f"{prefix}X", X)
        data = training_data(
            X, y, sample_weight, model.layer_sizes, self.loss, model.dtype, prefix, is_part=is_part, codes=model._codes
        )
        return apart_from(data, model._network.storage)

    def _unchecked_data(self, X: Any, y: Any) -> TrainingData | None:
        """Return data whose numbers a run or a step can check itself when it reads them; None for other data."""
        if self._wanted is not self._native:
            return None
        data = _core.unchecked_data(self._stepper, X, y)
        return None if data is None else TrainingData(*data, None)

    def _fault_of(self, X: Any, y: Any) -> ValueError | None:
        """Return the error of a check of data, None if it has no fault."""
        try:
            self._data(X, y, None)
        except ValueError as error:
            return error
        return None

    def _validation(self, data: tuple[Any, ...] | None, trained: Any, *, is_part: bool = False) -> TrainingData | None:
        """Return validation data in the engine's form. `trained` has the inputs of the training, with the same columns."""
        if data is None:
            return None
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            way = "; fit() sets no rows apart itself" if isinstance(data, float) else ""
            kind = type(data).__name__
            raise TypeError(f"validation_data: expected (X, y) or (X, y, sample_weight), got {kind}{way}")
        X, y, weight = (*data, None)[:3]
        prepared = self._data(X, y, weight, prefix="validation_data ", is_part=is_part)
        _columns.check_same("validation_data X", *(_columns.names_of("validation_data X", frame) for frame in (X, trained)))
        return prepared

    def _new_run(self, data: TrainingData | RowsWithRun, epochs: int, rows: NDArray[np.int64] | None = None) -> _core.Run:
        if not isinstance(data, TrainingData):
            return data.new_run(self, epochs)  # type: ignore[no-any-return]
        self._check_lazy(data)
        if self.drop_last:
            check_complete_batch(len(data.y) if rows is None else rows.size, self.batch_size)
        settings, changes = self._native.settings, self._conventions()
        if rows is not None:
            changes["rows"] = rows
        if changes:
            settings = settings._replace(**changes)
        return self._stepper.new_run(data, settings, epochs)

    def _conventions(self) -> dict[str, Any]:
        """Return changed settings of the engine's runs, for a subclass whose definitions are not PyTorch's."""
        return {}

    @property
    def _native_trainer(self) -> tuple[int, int, int, int]:
        """Return the trainer for compiled code: address, numbers of columns of inputs and targets, kind of targets."""
        return self._native_handle[0]

    @property
    def _native_handle(self) -> tuple[tuple[int, int, int, int], _core.Stepper]:
        """Return `_native_trainer`, and the object that keeps its address valid."""
        self._check_single_steps()
        check_for_compiled_code(self, "trainer")
        if self.lazy_updates:
            raise TypeError("lazy_updates: expected False for steps in compiled code, got True")
        rate = self.optimizer.learning_rate
        if callable(rate):
            raise TypeError(f"trainer: expected a learning rate that is a number, got the schedule {rate!r}")
        for setting in self._scheduled():
            if not callable(setting.schedule):
                raise TypeError(f"trainer: expected {setting.name}=1.0 for steps in compiled code, got {setting.schedule!r}")
            raise TypeError(f"trainer: expected {setting.name} that is a number, got the schedule {setting.schedule!r}")
        stepper = self._stepper
        n_in, n_targets = stepper.network.layer_sizes[0], self._loss.n_targets
        labels = int(self.loss.takes_labels) + int(self.loss.takes_labels and self.loss.missing == "ignore")
        return (stepper.address, n_in, n_targets, labels), stepper
