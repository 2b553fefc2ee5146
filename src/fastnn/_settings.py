"""The settings of a trainer: the checks of all of them together, and their form in the native loop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._averaging import EMA, SWA, Averaging
from fastnn._checks.scalars import integer
from fastnn._derivatives import Differentiated
from fastnn._engine import core as _core
from fastnn._engine.losses import NativeLoss, native_loss
from fastnn._engine.networks import network_like
from fastnn._engine.optimizers import native_optimizer
from fastnn._engine.run_settings import NativeAveraging, RunSettings
from fastnn._layer_settings import LayerSettings
from fastnn._rates import Scheduled, Setting, StepSettings
from fastnn._setting_checks import CHECKS, DENSE, FACTORS
from fastnn.losses import Heads, Loss
from fastnn.optimizers import LBFGS, SGD, Optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._block_settings import Blocks


class Native(NamedTuple):
    """Settings in the engine's form, with the means to tell whether an optimizer starts anew."""

    settings: RunSettings
    kind: type[Optimizer | LBFGS]
    start: object  # a new object whenever an optimizer starts anew
    rates: StepSettings | None  # None for lbfgs

    def goes_on(self, other: Native) -> bool:
        """Return whether a run with these settings can continue with the other ones."""
        return self.start is other.start and self.settings.goes_on(other.settings)


class Settings:
    """A trainer's settings, and their form in the engine; a base of `Trainer`."""

    model: Differentiated
    loss: Loss
    optimizer: Optimizer | LBFGS
    batch_size: int
    shuffle: bool
    l1: float
    l2: Scheduled
    dropout_factor: Scheduled
    label_smoothing_factor: Scheduled
    clip_norm: float | None
    clip_value: float | None
    layer_settings: LayerSettings | tuple[LayerSettings | None, ...] | None
    lazy_updates: bool
    drop_last: bool
    averaging: Averaging | None
    n_threads: int | None
    comm: Any = None  # the communicator of the ranks that train together
    n_shards: int | None = None
    _rng: np.random.Generator
    _wanted: Native  # in the engine's form, which it receives before the next step or epoch

    def _new_native(self, last: Native | None, moments: NDArray[Any] | None = None) -> Native:
        """Return the settings for native code. The default moments are the last ones if they continue, and else zeros."""
        if isinstance(self.optimizer, LBFGS):
            self._check_lbfgs()
        self._check_factors()
        if self.n_shards is not None:
            self._check_shards(self.n_shards)
        scheduled = self._scheduled()
        loss, optimizer, kind = self._native_loss(), self._native_optimizer(scheduled), type(self.optimizer)
        if last is not None and loss.n_targets != last.settings.loss.n_targets:
            # Compiled code with a handle of the trainer has read the number once.
            expected = f"a loss for {last.settings.loss.n_targets} columns of targets, as the trainer was made with"
            got = f"{loss.name!r}, which takes {loss.n_targets}"
            raise ValueError(f"loss: expected {expected}, got {got}; Trainer(model, loss) makes another trainer")
        rates = None if kind is LBFGS else StepSettings(self.optimizer.learning_rate, scheduled)
        start: object = object()
        if last is not None and last.kind is kind:
            start = last.start
            if moments is None and len(last.settings.moments) == optimizer["moments"]:
                moments = last.settings.moments
        settings = RunSettings(
            loss,
            optimizer,
            self._new_moments(optimizer["moments"]) if moments is None else moments,
            self._rng.bit_generator,
            n_threads=self.n_threads,
            averaging=self._native_averaging(None if last is None else last.settings.averaging),
            rate=self._native_rate(rates),
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            drop_last=self.drop_last,
        )
        return Native(settings, kind, start, rates)

    def _twin_of_native(self, native: Native) -> Native:
        """Return another trainer's settings with moments, the generator and an average of this one."""
        changed = native.settings._replace(
            moments=self._new_moments(len(native.settings.moments)),
            bit_generator=self._rng.bit_generator,
            averaging=self._native_averaging(None),
        )
        return native._replace(settings=changed, start=object())

    def _native_rate(self, rates: StepSettings | None) -> float:
        """Return the rate for steps in compiled code, or NaN if there can be none."""
        refused = rates is None or isinstance(self.averaging, SWA) or self.n_shards is not None or self.lazy_updates
        return math.nan if refused or rates is None else rates.constant_rate()

    def _step_settings(self) -> StepSettings:
        """Return the learning rate, and the other settings that follow schedules."""
        rates = self._wanted.rates
        return StepSettings(self.optimizer.learning_rate, ()) if rates is None else rates  # lbfgs raises an error

    def _scheduled(self) -> tuple[Setting, ...]:
        """Return the settings that follow schedules, besides the learning rate."""
        if isinstance(self.optimizer, LBFGS):
            return ()
        of_trainer = [Setting("l2", "l2", self.l2, math.inf)] if callable(self.l2) else []
        return (*self.optimizer.scheduled, *of_trainer, *self._factors())

    def _factors(self) -> list[Setting]:
        """Return the factors that are not 1. The engine has them for each step, like settings that follow schedules."""
        given = {name: getattr(self, name) for name in FACTORS}
        return [Setting(name, name, value, 1.0, with_high=True) for name, value in given.items() if value != 1.0]

    def _check_factors(self) -> None:
        """Raise ValueError if a factor has nothing to multiply."""
        if self.dropout_factor != 1.0 and not self.model._drops:
            raise ValueError(f"dropout_factor: expected 1.0 for a model without dropout, got {self.dropout_factor!r}")
        factor = self.label_smoothing_factor
        if factor != 1.0 and (isinstance(self.optimizer, LBFGS) or not getattr(self.loss, "label_smoothing", 0.0)):
            whose = "optimizer 'lbfgs'" if isinstance(self.optimizer, LBFGS) else f"{self.loss!r} without label_smoothing"
            raise ValueError(f"label_smoothing_factor: expected 1.0 for {whose}, got {factor!r}")

    def _number(self, name: str) -> float:
        """Return a setting that once followed a schedule, and is a number now; NaN if the present optimizer lacks it."""
        value: float = getattr(self if name in CHECKS else self.optimizer, name, math.nan)
        return value

    @property
    def _needs_sparse_rows(self) -> bool:
        """Whether lazy updates need sparse rows: without tables of categories, dense rows leave out no parameters."""
        return self.lazy_updates and not any(each.has_table for each in self.model.embeddings)

    def _check_lazy(self, data: Any) -> None:
        """Raise ValueError if updates can't be lazy, because the rows are dense, and there are no tables of categories."""
        if self._needs_sparse_rows and not isinstance(data.x, _core.SparseRows):
            raise ValueError(f"lazy_updates: {DENSE}, got True")

    def _check_single_steps(self) -> None:
        """Raise TypeError if the trainer makes no single steps."""
        if self.n_shards is not None:
            raise TypeError(
                "n_shards: a trainer with comm or n_shards makes no single steps; run(X, y) trains on the rows of all ranks"
            )
        if isinstance(self.averaging, SWA):
            raise TypeError(
                "averaging: a trainer with SWA makes no single steps, which have no epochs; run(X, y) averages after each "
                "epoch, and EMA after each step"
            )

    def _native_loss(self) -> NativeLoss:
        return native_loss(self.loss, self.model.activations[-1], self.model.layer_sizes[-1])

    def _native_optimizer(self, scheduled: tuple[Setting, ...]) -> dict[str, Any]:
        # The engine makes no steps with lbfgs, which has no learning rate and no moments.
        optimizer = SGD(0.0) if isinstance(self.optimizer, LBFGS) else self.optimizer
        blocks = None if self.layer_settings is None else self._native_blocks(self.layer_settings, optimizer)
        coefficients = tuple([setting.coefficient for setting in scheduled])
        l2 = 0.0 if callable(self.l2) else self.l2
        native = native_optimizer(optimizer, self.l1, l2, self.clip_norm, self.clip_value, blocks, coefficients)
        return native | {"lazy": self.lazy_updates}

    def _native_blocks(self, given: Any, optimizer: Optimizer) -> Blocks | None:
        from fastnn._block_settings import blocks_of  # most trainers need no settings of layers

        blocks = blocks_of(given, optimizer, self.model._kinds(), self.model._embedded())
        if blocks is not None:
            self._check_penalties(blocks)
        return blocks

    def _check_penalties(self, blocks: Blocks) -> None:
        """Raise ValueError if penalties act on no weights."""
        from fastnn._block_settings import check_penalties

        check_penalties(blocks, self.l1, self.l2)

    def _check_lbfgs(self) -> None:
        """Raise ValueError if a setting does not apply to optimizer "lbfgs"."""
        for name in ("clip_norm", "clip_value", "layer_settings", "lazy_updates", "drop_last", "averaging"):
            value = getattr(self, name)
            if value not in (None, False):
                raise ValueError(
                    f"{name}: expected none for optimizer 'lbfgs', which makes no steps by batches, got {value!r}"
                )
        if callable(self.l2):
            expected = "expected a number for optimizer 'lbfgs', which makes no steps by batches"
            raise ValueError(f"l2: {expected}, got {self.l2!r}")
        if self.model._drops:
            name = "dropout" if any(self.model.dropout) else "input_dropout"
            raise ValueError(
                f"optimizer: expected another one than 'lbfgs', got it for a model with {name} {getattr(self.model, name)}, "
                "whose loss is random"
            )

    def _check_shards(self, n_shards: int) -> None:
        """Raise ValueError if a setting does not apply to training in shards."""
        if self.batch_size % n_shards:
            raise ValueError(
                f"batch_size: expected a multiple of n_shards={n_shards}, so that each batch has the same number of rows "
                f"from every shard, got {self.batch_size}"
            )
        if isinstance(self.optimizer, LBFGS):
            raise ValueError("optimizer: expected one that makes steps by batches with comm or n_shards, got 'lbfgs'")
        if self.lazy_updates:
            raise ValueError(
                "lazy_updates: expected False with comm or n_shards, whose updates are of all weights, got True"
            )
        if not isinstance(self.loss, Heads):
            return
        for i, (_, own, _) in enumerate(self.loss.heads):  # the loss of a batch must be a mean over its rows
            if own.missing == "ignore" or (own.takes_labels and own.output_weights is not None):
                raise ValueError(
                    "loss: expected heads with the same weights for all rows with comm or n_shards, got "
                    f"heads[{i}], {own.name!r}, whose mean has weights of its own"
                )

    def _native_averaging(self, last: NativeAveraging | None) -> NativeAveraging | None:
        """Return the average in the engine's form. It continues the last one if that is of the same kind."""
        averaging = self.averaging
        if averaging is None:
            return None
        of_epochs = isinstance(averaging, SWA)
        if last is not None and last.of_epochs == of_epochs:
            state = last[:2]
        else:
            state = network_like(self.model._network), np.zeros(2, np.int64)
        if isinstance(averaging, EMA):
            return NativeAveraging(*state, of_epochs, averaging.decay, averaging.bias_correction)
        assert isinstance(averaging, SWA)
        return NativeAveraging(*state, of_epochs, start=averaging.start - 1)

    def _new_moments(self, count: int) -> NDArray[Any]:
        size = self.model._network.storage.size
        try:
            return _core.aligned_zeros((count, size), self.model.dtype)
        except MemoryError:
            raise MemoryError(f"optimizer: there is no memory for {count} moments of {size} parameters") from None

    def _check_epochs(self, epochs: Any) -> None:
        """Raise ValueError if no parameters would enter the average in this number of epochs."""
        if self.averaging is not None:
            self.averaging.check_epochs("epochs", integer("epochs", epochs, low=0))
