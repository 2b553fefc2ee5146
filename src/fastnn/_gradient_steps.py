"""Updates with gradients that the caller computes, and with the gradients of several batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn._checks.options import refusal, without_unknown
from fastnn._engine import core as _core
from fastnn._engine.training_data import TrainingData, apart_from, as_batch
from fastnn._errors import DIVERGED_PART, DIVERGED_STEP, DIVERGED_UPDATE, DivergedError
from fastnn._prepared import Prepared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class GradientSteps(Prepared):
    """Updates other than those with one batch of targets; a base of `Trainer`."""

    @without_unknown
    def step_gradient(self, X: ArrayLike, G: ArrayLike, **unknown: Never) -> None:
        """Make one update with the gradient of any function of the outputs ``model.predict(X)``.

        The update does not use the loss of the trainer. It uses all other settings as `step` does: optimizer and schedule,
        penalties, clipping and dropout. With dropout, the outputs differ from those of `predict`.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in) or (n_in,)
            A batch of inputs, or one row.
        G : array-like, shape (n, n_out) or (n_out,)
            The gradient with respect to the outputs, which is summed over rows. The gradient of a mean must already be
            divided by the number of rows.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing is changed then. The message gives the row and
            column of a NaN or infinity.
        DivergedError
            If the outputs or the update are not finite. Nothing is changed then.

        Examples
        --------
        A step with the gradient of the mean squared error:

        >>> import numpy as np
        >>> from fastnn import MLP, Trainer
        >>> X, y = np.ones((4, 2)), np.zeros((4, 1))
        >>> model = MLP((2, 8, 1), random_state=0)
        >>> trainer = Trainer(model)
        >>> trainer.step_gradient(X, 2 * (model.predict(X) - y) / y.size)
        >>> trainer.updates
        1
        """
        if unknown:
            raise refusal(GradientSteps.step_gradient, (self,), unknown)
        if self._wanted is self._native and _core.quick_step(self._stepper, X, G, True) is not None:
            return
        self._make_step(apart_from(self._given_data(X, G), self.model._network.storage), given=True)
        if type(X) is not np.ndarray:
            self.model._learn_columns(X)

    @without_unknown
    def accumulate(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        G: ArrayLike | None = None,
        **unknown: Never,
    ) -> float | None:
        """Add the gradient of a batch to those of earlier batches. `apply` then makes an update.

        Batches with targets are parts of one large batch: the update uses the mean over all their rows, weighted with the
        sample weights. Gradients G are added to this mean unscaled, as in `step_gradient`. Penalties and clipping apply
        once, in `apply`. Dropout draws new units for each batch. Runs and steps in between do not change the accumulated
        gradients. A batch in which nothing counts, since all its weights are 0 or no target is observed, has the loss 0, and
        adds nothing.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in) or (n_in,)
            A batch of inputs, or one row.
        y, sample_weight
            The targets and weights, as in `step`.
        G : array-like, shape (n, n_out) or (n_out,)
            The gradient with respect to the outputs, as in `step_gradient`, instead of y.

        Returns
        -------
        float or None
            The loss of this batch without penalties, or None if G is given.

        Raises
        ------
        TypeError, ValueError
            As for `step`, or if not exactly one of y and G is given.
        DivergedError
            If the loss of this batch is not finite, or with G, its outputs. Nothing is added then.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import MLP, Trainer
        >>> trainer = Trainer(MLP((2, 8, 1), random_state=0))
        >>> for first in range(0, 100, 25):
        ...     loss = trainer.accumulate(np.ones((25, 2)), np.zeros(25))
        >>> trainer.apply()
        >>> trainer.updates
        1
        """
        if unknown:
            raise refusal(GradientSteps.accumulate, (self,), unknown)
        if y is None and G is None:
            raise TypeError("y: expected targets, or G= in their place, got None of type NoneType")
        if y is not None and G is not None:
            raise TypeError("G: expected None beside y, since one of them is the batch's, got both")
        if G is not None and sample_weight is not None:
            raise TypeError(
                "sample_weight: expected none with G, which is added as it stands; multiply its rows by the weights"
            )
        if G is None:
            batch, y, sample_weight, _ = as_batch(X, y, sample_weight, self.model.layer_sizes, self.loss)
            data = self._data(batch, y, sample_weight, is_part=True)
        else:
            data = self._given_data(X, G)
        if self.lazy_updates:
            raise ValueError(
                "lazy_updates: expected False for accumulated gradients, got True, whose updates need the features of one "
                "batch; step makes such updates"
            )
        loss = self._accumulate(data, given=G is not None)
        if type(X) is not np.ndarray:
            self.model._learn_columns(X)
        return loss if G is None else None

    def apply(self) -> None:
        """Make one update with the accumulated gradients, with penalties and clipping, and discard them.

        The optimizer and its schedule count one update. If nothing counts in any batch, the gradient is 0, and the update is
        that of such a batch in a run: penalties apply, and moments are updated.

        Raises
        ------
        RuntimeError
            If no batch was accumulated since the last call.
        DivergedError
            If the update is not finite. The parameters are then unchanged, and the accumulated gradients are discarded.
        """
        self._check_single_steps()
        with self._stepper.hold() as stepper:
            self._apply()
            if stepper.apply(self._step_settings().at(stepper.updates)) is None:
                raise DivergedError(DIVERGED_UPDATE)

    def _accumulate(self, data: TrainingData, *, given: bool) -> float:
        """Add the gradient of a batch, and return its loss."""
        if self.dropout_factor == self.label_smoothing_factor == 1.0:
            return self._with_batch(lambda stepper: stepper.accumulate(data, given), DIVERGED_PART)

        def accumulate(stepper: _core.Stepper) -> float | None:
            factors = {setting.name: float(setting.values(stepper.updates, 1)[0]) for setting in self._factors()}
            return stepper.accumulate(data, given, **factors)

        return self._with_batch(accumulate, DIVERGED_PART)

    def _make_step(self, data: TrainingData, *, given: bool = False, checks_numbers: bool = False) -> float:
        """Make a step with the targets or the gradients of a batch, and return the loss before it."""
        self._check_lazy(data)

        def step(stepper: _core.Stepper) -> float | None:
            return stepper.step(data, self._step_settings().at(stepper.updates), given, checks_numbers)

        return self._with_batch(step, DIVERGED_STEP)

    def _make_unchecked_step(self, X: Any, y: Any, data: TrainingData) -> float:
        """Make a step on `_unchecked_data` of a batch, or raise the error of a number that is not finite."""
        try:
            return self._make_step(data, checks_numbers=True)
        except DivergedError:
            fault = self._fault_of(X, y)
            if fault is not None:
                raise fault from None
            raise

    def _with_batch(self, use: Callable[[_core.Stepper], float | None], diverged: str) -> float:
        """Return the loss of a batch that the stepper uses. If it is None, restore the random state, and raise."""
        self._check_single_steps()
        with self._stepper.hold() as stepper:
            self._apply()
            state = self._rng.bit_generator.state if self.model._drops else None
            loss = use(stepper)
            if loss is None:
                if state is not None:
                    self._rng.bit_generator.state = state
                raise DivergedError(diverged)
        return loss

    def _given_data(self, X: Any, G: Any) -> TrainingData:
        """Return a batch in the engine's form, with the gradient with respect to the outputs in place of targets."""
        rows, gradient, _ = self.model._given_gradient(X, G)
        if rows.shape[0] == 0:
            raise ValueError(f"X: expected at least one row, got shape {rows.shape}")
        return TrainingData(rows, gradient, False, None)
