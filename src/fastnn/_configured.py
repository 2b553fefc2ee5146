"""The assignment of settings, the engine that receives them, and the generator of a trainer."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fastnn._checks.options import way_to
from fastnn._derivatives import Differentiated
from fastnn._engine import core as _core
from fastnn._engine.losses import NativeLoss
from fastnn._engine.run_settings import NativeAveraging
from fastnn._history import History
from fastnn._overridden import check_model
from fastnn._setting_checks import CHECKS, REFUSED
from fastnn._settings import Native, Settings
from fastnn.optimizers import LBFGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Configured(Settings):
    """The assignment of settings, and the engine that receives them; a base of `Trainer`."""

    _stepper: _core.Stepper
    _native: Native  # the settings that the engine uses now
    _epochs: int  # of the current or last run
    _history: History | None = None  # the history of the current or last run
    _options_of_others: ClassVar[Set[str]] = frozenset()  # names that an assignment refuses, since they set nothing here

    def __setattr__(self, name: str, value: Any) -> None:
        """Check a setting, and make it take effect."""
        if name in CHECKS:
            self._change(name, CHECKS[name](name, value))
        elif name in REFUSED:
            raise AttributeError(f"{name}: {REFUSED[name]}")
        elif name in self._options_of_others and type(self).__module__.startswith("fastnn."):
            known = (*CHECKS, "learning_rate", "random_state")
            raise AttributeError(f"{name}: a trainer has no such setting; {way_to(name, known)}")
        else:
            super().__setattr__(name, value)

    def _change(self, name: str, value: Any) -> None:
        if not self._stepper.in_run:
            with self._stepper.hold():
                self._replace(name, value)
            return
        if name == "loss":
            raise RuntimeError("loss: it can't change during a run, whose targets were checked for it; start another run")
        if name == "optimizer" and isinstance(value, LBFGS) != isinstance(self.optimizer, LBFGS):
            raise RuntimeError("optimizer: 'lbfgs' can't begin or end during a run; start another run with it")
        self._replace(name, value)  # the run reads it before each epoch and at its end

    def _replace(self, name: str, value: Any) -> None:
        before, wanted = self.__dict__[name], self._wanted
        self.__dict__[name] = value
        try:
            self._wanted = self._new_native(wanted)
            if not self._stepper.in_run:
                self._apply()
        except BaseException:
            self.__dict__[name], self._wanted = before, wanted
            if not self._stepper.in_run:
                self._apply()
            raise

    def _twin(self, model: Differentiated, random_state: Any) -> Self:
        """Return a trainer with the same settings, unchecked, for another model of the same architecture.

        This trainer must not have trained yet. The two share everything but moments, generator and average.
        """
        check_model(model)
        trainer = type(self).__new__(type(self))
        trainer.__dict__.update(self.__dict__)
        trainer.__dict__.update(model=model, _rng=CHECKS["_rng"]("random_state", source_of(model, random_state)))
        trainer._start(trainer._twin_of_native(self._native), 0)
        return trainer

    def _start(self, native: Native, updates: int) -> None:
        """Make the stepper. It is never replaced, because compiled code may have its address."""
        stepper = _core.Stepper(self.model._network, native.settings, updates)
        self.__dict__.update(_stepper=stepper, _native=native, _wanted=native)  # without the checks of assignments

    def _apply(self) -> bool:
        """Pass the wanted settings to the engine, and return whether a run must begin anew. The caller holds the stepper."""
        before, native, stepper = self._native, self._wanted, self._stepper
        if native is before and stepper.settings is native.settings:  # they differ if Ctrl-C came in between
            return False
        stepper.configure(native.settings)
        if native.start is not before.start:
            stepper.updates = 0
        self.__dict__["_native"] = native
        return not native.goes_on(before)

    def _end_run(self) -> None:
        """Let settings take effect at once again. The caller still holds the stepper."""
        self._stepper.in_run = False
        self._apply()

    @property
    def random_state(self) -> np.random.Generator:
        """The generator for shuffling and dropout: the model's, unless the trainer was given another one or a seed."""
        return self._rng

    @random_state.setter
    def random_state(self, value: Any) -> None:
        self._rng = source_of(self.model, value)

    @property
    def _loss(self) -> NativeLoss:
        return self._wanted.settings.loss

    @property
    def _updates(self) -> int:
        return self._stepper.updates if self._wanted.start is self._native.start else 0

    @property
    def _moments(self) -> NDArray[Any]:
        return self._wanted.settings.moments

    @property
    def _average(self) -> NativeAveraging | None:
        return self._wanted.settings.averaging


def source_of(model: Differentiated, random_state: Any) -> Any:
    """Return the source of random numbers of a trainer with this parameter `random_state`."""
    return model._rng if random_state is None else random_state
