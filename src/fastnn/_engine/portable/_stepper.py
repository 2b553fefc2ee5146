"""Single steps of training, on batches that the caller passes one at a time."""

from __future__ import annotations

import math
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine.losses import GIVEN_GRADIENT, NativeLoss, smoothed_less
from fastnn._engine.portable._accumulated import Accumulated
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._rows import Array
from fastnn._engine.portable._run import Run
from fastnn._errors import IN_USE, NOTHING_ACCUMULATED

if TYPE_CHECKING:
    from fastnn._engine.run_settings import RunSettings
    from fastnn._engine.training_data import TrainingData


class Hold:
    """A stepper in the hands of one caller: until the end of a `with` block, or until this object dies."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self.in_run = self.over = False

    def __enter__(self) -> Stepper:
        """Return the stepper."""
        return self._stepper

    def __exit__(self, *error: object) -> None:
        """Let others hold the stepper."""
        self.over = True


class Stepper:
    """Single steps of training, the number of updates of a trainer, and the hold of one caller at a time."""

    def __init__(self, network: Network, settings: RunSettings, updates: int) -> None:
        self.network, self.updates = network, updates
        self._accumulated: Accumulated | None = None
        self._lock = threading.Lock()
        # Weak: if Ctrl-C has come before the end of a hold, it ends when it dies.
        self._last_hold: weakref.ref[Hold] | None = None
        self.configure(settings)

    def configure(self, settings: RunSettings) -> None:
        """Use these settings from the next step on. The caller holds the trainer."""
        self._settings = settings

    @property
    def settings(self) -> RunSettings:
        """The settings in use."""
        return self._settings

    @property
    def address(self) -> int:
        """Raise TypeError, because the fallback has no structure for native code."""
        raise TypeError("trainer: code that Numba or Cython compiles needs fastnn's compiled extension")

    @property
    def accumulated(self) -> tuple[Array, Array, float] | None:
        """The gradients for the next call of `apply`: those of the mean and those given, and the weight of the mean."""
        return self._accumulated

    @accumulated.setter
    def accumulated(self, value: tuple[Array, Array, float]) -> None:
        self._accumulated = Accumulated(*value)

    @property
    def in_run(self) -> bool:
        """Whether the holder of the trainer is making a run. The end of the hold resets it."""
        hold = self._holder()
        return hold is not None and hold.in_run

    @in_run.setter
    def in_run(self, value: bool) -> None:
        hold = self._holder()
        if hold is not None:
            hold.in_run = value

    def hold(self) -> Hold:
        """Return a hold on the trainer. Raise RuntimeError if another caller has it."""
        with self._lock:
            if self._holder() is not None:
                raise RuntimeError(IN_USE)
            hold = Hold(self)
            self._last_hold = weakref.ref(hold)
        return hold

    def _holder(self) -> Hold | None:
        hold = None if self._last_hold is None else self._last_hold()
        return None if hold is None or hold.over else hold

    def new_run(self, data: TrainingData, settings: RunSettings, n_epochs: int) -> Run:
        """Return a run of the network with these settings, which goes on from the updates so far."""
        return Run(self.network, data, settings, n_epochs, self.updates, self)

    def step(self, data: TrainingData, rate: Any, given: bool = False, checks_numbers: bool = False) -> float | None:
        """Make a step and return the loss before it, or change nothing and return None if loss or update are not finite.

        With `given`, the targets are the gradient of a loss with respect to the outputs, summed over rows. The numbers have
        always been checked.
        """
        run = self._run(data, rate, GIVEN_GRADIENT if given else self._settings.loss)
        if run.advance(math.inf, 1) == "diverged":
            return None
        self.updates = run.updates
        return run.batch_loss

    @np.errstate(over="ignore", invalid="ignore")
    def accumulate(
        self, data: TrainingData, given: bool = False, dropout_factor: float = 1.0, label_smoothing_factor: float = 1.0
    ) -> float | None:
        """Add the gradient of a batch to those of earlier batches, and return its loss, or None if that is not finite.

        The arguments have the same meaning as those of `step`; the factors are those of the step.
        """
        network, key = self.network, None
        gradient, weight = np.zeros_like(network.storage), np.empty(1)
        if network.drops:
            key = int(np.random.Generator(self._settings.bit_generator).integers(0, 2**64, dtype=np.uint64))
        used = GIVEN_GRADIENT if given else smoothed_less(self._settings.loss, label_smoothing_factor)
        x: Any = data.x
        loss = network.gradient(
            *(used, x, data.y, data.labels, data.sample_weight, gradient),
            dropout_key=key,
            batch_weight=weight,
            dropout_factor=dropout_factor,
        )
        if not math.isfinite(loss):
            return None
        kept = self._accumulated or Accumulated(np.zeros_like(gradient), np.zeros_like(gradient), 0.0)
        self._accumulated = kept.with_given(gradient) if given else kept.with_mean(gradient, float(weight[0]))
        return loss

    def apply(self, rate: Any) -> float | None:
        """Make an update with the accumulated gradients, and discard them; return as `step`."""
        kept, self._accumulated = self._accumulated, None
        if kept is None:
            raise RuntimeError(NOTHING_ACCUMULATED)
        with np.errstate(over="ignore", invalid="ignore"):
            gradient = kept.mean + kept.given
        return self.apply_gradient(gradient, rate)

    def apply_gradient(self, gradient: Array, rate: Any, ends_epoch: bool = False, restores: bool = True) -> float | None:
        """Make an update with a gradient like the storage, and return the penalty; None as for `step`.

        `ends_epoch` says whether it is the last one of an epoch, for an average over epochs. If the result is None, the
        state is restored, even without `restores`.
        """
        no_data = np.zeros((1, self.network.layer_sizes[0])), np.zeros((1, self.network.layer_sizes[-1])), False, None
        run = self._run(no_data, rate, GIVEN_GRADIENT, ends_epoch=ends_epoch)
        if not run.apply(gradient):
            return None
        self.updates = run.updates
        return run.batch_loss

    def _run(self, data: tuple[Any, ...], rate: Any, loss: NativeLoss, *, ends_epoch: bool = False) -> Run:
        """Return a run of one step."""
        one_batch = self._settings._replace(loss=loss, batch_size=len(data[0]), shuffle=False)
        run = Run(self.network, data, one_batch, 1, self.updates, ends_epochs=ends_epoch)
        run.set_rates(np.array([rate], np.float64))
        return run
