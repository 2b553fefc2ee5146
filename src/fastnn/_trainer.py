"""The trainer: its settings, single steps, and runs of epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn._averaged_trainer import AveragedTrainer
from fastnn._averaging import Averaging
from fastnn._checks.options import explained, name_methods, names_of_options, refusal, without_unknown
from fastnn._checks.scalars import integer
from fastnn._checks.spellings import OPTIONS as OTHER_NAMES
from fastnn._configured import source_of
from fastnn._engine import core as _core
from fastnn._engine.training_data import as_batch
from fastnn._exported_trainer import ExportedTrainer
from fastnn._gradient_steps import GradientSteps
from fastnn._history import History
from fastnn._layer_settings import LayerSettings
from fastnn._measures import Measures
from fastnn._metrics import Metric
from fastnn._model import MLP
from fastnn._overridden import check_model, check_step
from fastnn._progress import ProgressBar
from fastnn._rates import LearningRate, Scheduled
from fastnn._running import Running
from fastnn._setting_checks import CHECKS, REFUSED
from fastnn._trained import Trained
from fastnn._unwatched import is_unwatched, run_unchecked, run_unwatched
from fastnn._watchers import check_watchers
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, OPTIMIZERS, Optimizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_OPTIONS_OF_FIT = names_of_options(MLP.fit) - {"X", "y"} | {"learning_rate"}
# Options of the model, of a run or of optimizers, and other libraries' names for them: no settings of a trainer.
_OPTIONS_OF_OTHERS = (
    names_of_options(MLP.__init__)
    | _OPTIONS_OF_FIT
    | {other for other, names in OTHER_NAMES.items() if names[0] in _OPTIONS_OF_FIT}
    | {field.name for kind in (*OPTIMIZERS.values(), LBFGS) for field in dataclasses.fields(kind)}
) - {*CHECKS, *REFUSED, "learning_rate", "random_state"}


class Trainer(GradientSteps, AveragedTrainer, ExportedTrainer):
    """Train a model, and keep the state on which the next step depends: moments, step count and random state.

    Parameters
    ----------
    model : MLP
        The model, which is trained in place.
    loss : str or Loss, default "mse"
        The loss to minimize: mse, mae, huber, quantile, poisson, binary_cross_entropy, cross_entropy, gaussian_nll,
        multi_quantile, kl_divergence, cosine, hinge, squared_hinge (see `fastnn.losses`), or a custom loss made by
        `fastnn.jit.loss`, or its name.
    optimizer : str or Optimizer, default Adam()
        The optimizer; see `fastnn.optimizers`.
    batch_size : int, default 32
        The number of rows per step. The last batch of an epoch may be smaller, see `drop_last`.
    shuffle : bool, default True
        Draw a new order of the rows for every epoch, as ``rng.permutation(n)`` of the random generator does.
    l1, l2 : float, default 0.0
        The strengths of the penalties ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)`` on all weights. Biases have none. The
        penalties are part of the loss and of the gradient. l2 may also be a schedule of `fastnn.schedules`.
    dropout_factor : float or schedule, default 1.0
        The factor of the model's probabilities of dropout, from 0 to 1, in hidden layers and of inputs.
    label_smoothing_factor : float or schedule, default 1.0
        The factor of the loss's `label_smoothing`, from 0 to 1, in the steps of the training. The validation loss has the
        label smoothing of the loss itself.
    clip_norm, clip_value : float, optional
        Limits of the gradient. First, each element is clipped to ±clip_value. Then, the gradient of all parameters
        together is scaled down to the norm clip_norm if its norm is larger.
    layer_settings : LayerSettings or sequence of LayerSettings and None, optional
        Factors of learning rate, epsilon and weight decay, penalties, and frozen parameters: see `fastnn.LayerSettings`. One
        for all layers, or one per layer, the output layer's last.
    lazy_updates : bool, default False
        For sparse inputs, and tables of `fastnn.embeddings.Categorical`: an update does not change the weights of features
        that are absent from the batch, or the rows of categories that are, nor their moments, and no penalties act on them.
        Plain gradient descent and AdaGrad without penalties always work this way. Momentum, RMSProp, Adam, weight decay and
        penalties would otherwise change these weights too, so their results differ with lazy updates. Dense rows raise
        ValueError if the model has no such tables.
    drop_last : bool, default False
        Leave out the last batch of an epoch if it is smaller than `batch_size`. The loss of an epoch is then the mean over
        the rows that were seen. `run` raises ValueError if there are fewer rows than `batch_size`.
    averaging : EMA, SWA or str, optional
        An average of all parameters over the training: `fastnn.EMA`, the exponential moving average over the updates, or
        `fastnn.SWA`, the mean over the ends of epochs; "ema" and "swa" stand for those with default parameters. The
        validation loss and the metrics are then those of the average, see `averaged_model`.
    random_state : int, numpy.random.Generator or other seed, optional
        The source of random numbers for shuffling and dropout. The default is the model's own generator.
    n_threads : int, optional
        The number of threads. By default, fastnn uses as many as the work justifies. The number does not change
        the results.
    comm : mpi4py.MPI.Intracomm, optional
        The communicator of processes (ranks) that train this model together, such as ``MPI.COMM_WORLD``. Each rank passes
        its own rows to `run`. All ranks make the trainer and call `run` at the same places of the program, with the same
        settings, and get the same results. A run begins with the parameters, moments and random state of rank 0.
    n_shards : int, optional
        The number of equal parts in which the rows of all ranks are trained, a multiple of the number of ranks, which is the
        default. For the same number of shards, the results are the same bits on any number of ranks, and in one process
        without `comm`. `batch_size` must be a multiple of it. The trainer makes no single steps.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    Notes
    -----
    Except for the model, all arguments of the constructor are attributes to which you can assign. An assigned value is
    checked in the same way, and takes effect from the next step on, or, in a callback, from the next epoch on. Only the
    loss can't change during a run. An optimizer of the same class with other numbers continues with the same moments.
    An optimizer of another class starts with zero moments, and with `updates`, on which schedules and bias corrections
    depend, at 0. The same holds for an average: one of the same class continues, one of another class starts anew, and
    None discards it.

    Copies and pickles keep the attributes of a subclass. `run` trains in native code, and does not call `step`. It
    therefore raises TypeError if a subclass overrides `step`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Adam, Trainer
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> trainer = Trainer(MLP((1, 20, 1), "tanh", random_state=0), optimizer=Adam(0.01), random_state=0)
    >>> history = trainer.run(X, X**2, epochs=300)
    >>> bool(history["loss"][-1] < 0.01)
    True
    >>> trainer.l2 = 0.001  # from the next step on
    """

    _options_of_others = _OPTIONS_OF_OTHERS

    @explained
    def __init__(
        self,
        model: MLP,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer | LBFGS | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        l1: float = 0.0,
        l2: Scheduled = 0.0,
        dropout_factor: Scheduled = 1.0,
        label_smoothing_factor: Scheduled = 1.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        layer_settings: LayerSettings | Sequence[LayerSettings | None] | None = None,
        lazy_updates: bool = False,
        drop_last: bool = False,
        averaging: str | Averaging | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        comm: Any = None,
        n_shards: int | None = None,
    ) -> None:
        given = {
            "loss": loss,
            "optimizer": optimizer,
            "batch_size": batch_size,
            "shuffle": shuffle,
            "lazy_updates": lazy_updates,
            "drop_last": drop_last,
            "averaging": averaging,
            "l1": l1,
            "l2": l2,
            "dropout_factor": dropout_factor,
            "label_smoothing_factor": label_smoothing_factor,
            "clip_norm": clip_norm,
            "clip_value": clip_value,
            "layer_settings": layer_settings,
            "n_threads": n_threads,
            "random_state": random_state,
        }
        if comm is None and n_shards is None:
            self._set_up(model, given)
            return
        from fastnn._sharded.arguments import checked_shards, constructing

        with constructing(comm):
            self.__dict__.update(comm=comm, n_shards=checked_shards(n_shards, comm))
            self._set_up(model, given)

    def _set_up(self, model: MLP, given: dict[str, Any]) -> None:
        """Check the model and the settings, and make the parts of the engine."""
        if not isinstance(model, MLP):
            raise TypeError(f"model: expected MLP, got {type(model).__name__}")
        check_model(model)
        given["_rng"] = source_of(model, given.pop("random_state"))
        self.__dict__.update(model=model, _epochs=0)
        self.__dict__.update({name: CHECKS[name](name, value) for name, value in given.items()})
        self._start(self._new_native(None), 0)

    def _begin(self, model: MLP, loss: Loss, optimizer: Optimizer | LBFGS, **options: Any) -> None:
        Trainer.__init__(self, model, loss, optimizer, **options)

    @property
    def updates(self) -> int:
        """The number of updates so far by this optimizer, or by others of its class."""
        return self._updates

    @property
    def epochs(self) -> int:
        """The number of epochs of the current or last run."""
        return self._epochs

    @property
    def history(self) -> History:
        """The history of the current or last run, however that run ended. It is empty before the first run."""
        return History() if self._history is None else self._history

    @property
    def learning_rate(self) -> LearningRate:
        """The learning rate of the optimizer, which a callback may change from one epoch to the next."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if isinstance(self.optimizer, LBFGS):
            raise TypeError("learning_rate: 'lbfgs' has none; its search finds the length of each step")
        self.optimizer = dataclasses.replace(self.optimizer, learning_rate=value)

    @explained
    def run(
        self,
        X: ArrayLike,
        y: ArrayLike,
        epochs: int = 1,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        metrics: Sequence[str | Metric] = (),
        callbacks: Sequence[Any] = (),
        progress: bool | ProgressBar | None = None,
    ) -> History:
        """Train for a number of epochs.

        Ctrl-C stops the run within a tenth of a second, with the parameters of the last complete step. `history` then has
        the epochs that were finished before. It is also an attribute of the exception.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in)
            Inputs of any real dtype, which are converted batch by batch. From a sparse matrix (preferably CSR), the first
            layer reads only the stored elements.
        y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
            Targets.
        epochs : int, default 1
            The number of passes over all rows.
        sample_weight : array-like, shape (n,), optional
            The weights w of the rows, of either sign. The loss of a batch is sum(w * loss) / sum(abs(w)). A row of
            weight 0 does not count, and may contain anything, such as NaN or a label out of range. At least one weight
            must be nonzero. If all weights of a batch are 0, its loss and gradient are 0; moments and penalties act as
            in any other step.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Data whose loss is computed after each epoch, without penalties and dropout, and recorded as "val_loss". The
            weights have the same meaning as above. With `averaging`, the loss and the metrics are those of the averaged
            parameters.
        metrics : sequence of str and callables, default ()
            Measures that are computed after each epoch, on all training data without dropout, and on the validation data.
            The history records them as "accuracy" and "val_accuracy", for example. The names are accuracy, r2, mae, mse
            and rmse; "val_accuracy" and so on are those of the validation data alone. A callable takes (y_true, y_pred)
            and returns a number; its ``__name__`` is the name in the history. y_pred is the prediction of the model, and
            y_true has the same shape unless it has labels. Weights must be >= 0. If they differ, a callable receives them
            as ``sample_weight=``, without the rows of weight 0.
        callbacks : sequence, default ()
            Objects with a method ``on_epoch_end(trainer, history)``; see `fastnn.callbacks`.
        progress : bool or ProgressBar, optional
            True shows a progress bar on the standard error stream.

        Returns
        -------
        History
            The losses, learning rates and seconds, one value of each per epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing has changed then. The message gives the row and
            column of a NaN or infinity in a row whose weight is not 0.
        DivergedError
            If the loss becomes NaN or infinite. The parameters of the last epoch with a finite loss are restored.
        """
        if self.n_shards is not None:
            from fastnn._sharded.training import ShardedTraining

            return ShardedTraining(self, Trainer.step).run(
                X,
                y,
                epochs,
                sample_weight=sample_weight,
                validation_data=validation_data,
                metrics=metrics,
                callbacks=callbacks,
                progress=progress,
            )
        epochs = integer("epochs", epochs, low=0)
        check_step(self, Trainer.step)
        unwatched = validation_data is None and is_unwatched(self, epochs, metrics, callbacks, progress)
        if unwatched and sample_weight is None and not self.drop_last:
            unchecked = self._unchecked_data(X, y)
            if unchecked is not None:
                return run_unchecked(self, X, y, unchecked, epochs)
        data = self._data(X, y, sample_weight)
        if unwatched:
            return run_unwatched(self, X, data, epochs)
        validation = self._validation(validation_data, X)
        running = Running(self, data, epochs, Measures(self, metrics, data, validation), check_watchers(callbacks, progress))
        return running.run(X)

    @without_unknown
    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **unknown: Never) -> float:
        """Make one update on one batch, which consists of all rows of X, and return the loss before the update.

        The arguments have the same meaning as in `run`. X may also be one row (n_in,), with targets (n_out,), or a
        number for one output or for a label. Weights may have either sign, like those of advantages.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value, as in `run`.
        DivergedError
            If the loss or the update is not finite. Nothing has changed then.
        """
        if unknown:
            raise refusal(Trainer.step, (self,), unknown)
        if sample_weight is None and self._wanted is self._native:
            quick: float | None = _core.quick_step(self._stepper, X, y, False)
            if quick is not None:
                return quick
            unchecked = self._unchecked_data(X, y)
            if unchecked is not None:
                return self._make_unchecked_step(X, y, unchecked)
        batch, y, sample_weight, _ = as_batch(X, y, sample_weight, self.model.layer_sizes, self.loss)
        loss = self._make_step(self._data(batch, y, sample_weight))
        if type(X) is not np.ndarray:
            self.model._learn_columns(X)
        return loss

    def __repr__(self) -> str:
        """Return the model and the most important settings as text."""
        return f"Trainer({self.model!r}, loss={self.loss!r}, optimizer={self.optimizer!r}, batch_size={self.batch_size})"


name_methods(Trainer)
Trained._trainer_class = Trainer
