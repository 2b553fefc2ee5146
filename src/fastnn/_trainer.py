"""The trainer: its settings, single steps, and runs of epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Never

import numpy as np
from numpy.typing import ArrayLike

from fastnn._checks import columns as _columns
from fastnn._checks.options import explained, refusal, without_unknown
from fastnn._checks.scalars import integer
from fastnn._engine import core as _core
from fastnn._engine.training_data import TrainingData, as_batch, training_data
from fastnn._epochs import advance, check_watchers, notify, notify_end
from fastnn._gradient_steps import GradientSteps
from fastnn._history import History
from fastnn._measures import Measures
from fastnn._metrics import Metric
from fastnn._model import MLP
from fastnn._overridden import check_model, check_step
from fastnn._progress import ProgressBar
from fastnn._rates import LearningRate
from fastnn._settings import CHECKS
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, Optimizer


class Trainer(GradientSteps):
    """Train a model, and keep the state that the next step depends on: moments, step count, random state.

    Parameters
    ----------
    model : MLP
        Trained in place.
    loss : str or Loss, default "mse"
        mse, mae, huber, quantile, poisson, binary_cross_entropy, cross_entropy, gaussian_nll, multi_quantile,
        kl_divergence, cosine, hinge, squared_hinge, see `fastnn.losses`; or a loss that `fastnn.jit.loss` made, or its name.
    optimizer : str or Optimizer, default Adam()
        See `fastnn.optimizers`.
    batch_size : int, default 32
        Rows of a step; the last batch of an epoch may be shorter.
    shuffle : bool, default True
        A new order of the rows for every epoch: ``rng.permutation(n)`` of the random state's generator.
    l1, l2 : float, default 0.0
        Penalties ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)`` over all weights, no biases, part of loss and gradient.
    clip_norm, clip_value : float, optional
        The gradient of all parameters is scaled down to this norm; before, each element is cut to ±clip_value.
    lazy_updates : bool, default False
        Of sparse inputs: an update leaves the weights of features that are not in the batch alone, with their moments
        and penalties. Plain gradient descent and AdaGrad without penalties do so anyway; momentum, RMSProp, Adam, weight
        decay and penalties would move these weights too, and come to other results when they are lazy.
    random_state : int, numpy.random.Generator or other seed, optional
        For shuffling and dropout; the model's own generator goes on if not given.
    n_threads : int, optional
        As many as pay, if not given. Results are the same to the last bit.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

    Notes
    -----
    All parameters but the model are attributes, which can be assigned: they are checked as here, and take effect from the
    next step on, in a callback from the next epoch on; only the loss can't change during a run. An optimizer with other
    numbers goes on with its moments. One of another class starts anew: its moments are zero, and `updates`, by which its
    schedule and bias corrections go, is 0.

    Copies and pickles keep the attributes of a subclass. `run` trains in native code, and doesn't go through `step`: it
    raises TypeError where a subclass has a `step` of its own.

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
        l2: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        lazy_updates: bool = False,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        if not isinstance(model, MLP):
            raise TypeError(f"model: expected MLP, got {type(model).__name__}")
        check_model(model)
        given = {
            "loss": loss,
            "optimizer": optimizer,
            "batch_size": batch_size,
            "shuffle": shuffle,
            "lazy_updates": lazy_updates,
            "l1": l1,
            "l2": l2,
            "clip_norm": clip_norm,
            "clip_value": clip_value,
            "n_threads": n_threads,
            "_rng": model._rng if random_state is None else random_state,
        }
        self.__dict__.update(model=model, _epochs=0)
        self.__dict__.update({name: CHECKS[name](name, value) for name, value in given.items()})
        self._start(self._new_native(None), 0)

    def _begin(self, model: MLP, loss: Loss, optimizer: Optimizer | LBFGS, **options: Any) -> None:
        Trainer.__init__(self, model, loss, optimizer, **options)

    @property
    def updates(self) -> int:
        """Updates of the parameters so far, by this optimizer or others of its class."""
        return self._updates

    @property
    def epochs(self) -> int:
        """Epochs of the present or last run."""
        return self._epochs

    @property
    def history(self) -> History:
        """The history of the present or last run, however it ended; an empty one before the first."""
        return History() if self._history is None else self._history

    @property
    def learning_rate(self) -> LearningRate:
        """The optimizer's, which a callback may change from one epoch to the next."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if isinstance(self.optimizer, LBFGS):
            raise TypeError("learning_rate: 'lbfgs' has none; its search finds the length of each step")
        self.optimizer = dataclasses.replace(self.optimizer, learning_rate=value)

    @property
    def random_state(self) -> np.random.Generator:
        """The generator for shuffling and dropout: the model's, unless another or a seed was given."""
        return self._rng

    @random_state.setter
    def random_state(self, value: Any) -> None:
        self._rng = self.model._rng if value is None else value

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

        Ctrl-C stops within a tenth of a second, with the parameters of the last finished step. The epochs before it are in
        `history` then, which is also an attribute of the exception.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in)
            Inputs of any real dtype; rows are converted batch by batch. Of a sparse matrix (best CSR), the first layer's
            products read only the stored elements.
        y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
            Targets.
        epochs : int, default 1
            Passes over all rows.
        sample_weight : array-like, shape (n,), optional
            Weights of the rows in a batch's mean, of either sign: it is sum(w * loss) / sum(abs(w)). A row of weight 0 does
            not count, and may hold anything, NaN and labels out of range included. At least one must not be 0.
            Where all of a batch's are 0, so are its loss and its gradient; moments and penalties go on.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Its loss after each epoch, without penalties and dropout, is the history's "val_loss". Weights as above.
        metrics : sequence of str and callables, default ()
            Computed after each epoch, on all training data without dropout, and on the validation data: the history's
            "accuracy" and "val_accuracy", for example. By name: accuracy, r2, mae, mse and rmse. A callable takes
            (y_true, y_pred), where y_pred is what the model predicts and y_true has its shape unless it has labels, and
            returns a number; its ``__name__`` is the column's. Weights must be >= 0. Where they differ, a callable gets
            them as ``sample_weight=``; rows of weight 0 are left out.
        callbacks : sequence, default ()
            Objects with ``on_epoch_end(trainer, history)``; see `fastnn.callbacks`.
        progress : bool or ProgressBar, optional
            True shows a bar on the standard error stream.

        Returns
        -------
        History
            Losses, learning rates and seconds, one value per epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed. NaN and infinity are
            named by row and column, in rows whose weight is not 0.
        DivergedError
            If the loss is no longer finite. Parameters are restored to the last finite epoch.
        """
        epochs = integer("epochs", epochs, low=0)
        check_step(self, Trainer.step)
        data = self._data(X, y, sample_weight)
        validation = self._validation(validation_data)
        if validation_data is not None:
            seen, trained = (_columns.names_of("validation_data X", frame) for frame in (validation_data[0], X))
            _columns.check_same("validation_data X", seen, trained)
        measures = Measures(self, metrics, data, validation)
        watchers = check_watchers(callbacks, progress)
        search = None if not isinstance(self.optimizer, LBFGS) else self._search(data, epochs)
        history = History()
        history._expect([*measures.names, "learning_rate", "seconds"])
        stepper = self._acquire()
        try:
            self._epochs, self._history = epochs, history
            self.model._learn_columns(X)
            train = search or partial(advance, self, data, self._new_run(data, epochs), epochs)
            self._running = True
            notify(watchers, "on_train_begin", self, history)
            try:
                train(history, measures, watchers)
            finally:
                notify_end(watchers, self, history)
        except KeyboardInterrupt as error:
            error.history = history  # type: ignore[attr-defined]
            raise
        finally:
            self._running = False
            try:
                self._apply()
            finally:
                stepper.release()
        return history

    @without_unknown
    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **unknown: Never) -> float:
        """Make one update on one batch, all rows of X, and return the loss before it.

        Arguments are those of `run`. X may also be one row (n_in,), with targets (n_out,), or a number for one output or for
        a label. Weights may have either sign, as those of advantages.

        Raises
        ------
        TypeError, ValueError
            As `run`.
        DivergedError
            If the loss is not finite; nothing has changed then.
        """
        if unknown:
            raise refusal(Trainer.step, (self,), unknown)
        if sample_weight is None and self._wanted is self._native:
            quick: float | None = _core.quick_step(self._stepper, X, y, False)
            if quick is not None:
                return quick
        batch, y, sample_weight, _ = as_batch(X, y, sample_weight, self.model.layer_sizes, self.loss)
        loss = self._make_step(self._data(batch, y, sample_weight))
        if type(X) is not np.ndarray:
            self.model._learn_columns(X)
        return loss

    @property
    def _native_trainer(self) -> tuple[int, int, int, int]:
        """Return the trainer as compiled code holds it: address, columns of inputs and targets, what labels y may have."""
        return self._native_handle[0]

    @property
    def _native_handle(self) -> tuple[tuple[int, int, int, int], _core.Stepper]:
        """Return the same and the object that the address is in, which keeps it valid."""
        rate = self.optimizer.learning_rate
        if callable(rate):
            raise TypeError(f"trainer: expected a learning rate that is a number, got the schedule {rate!r}")
        stepper = self._stepper
        n_in, n_targets = stepper.network.layer_sizes[0], self._loss.n_targets
        labels = int(self.loss.takes_labels) + int(self.loss.takes_labels and self.loss.missing == "ignore")
        return (stepper.address, n_in, n_targets, labels), stepper

    # ---- Its preparation ----

    def _data(self, X: Any, y: Any, sample_weight: Any, prefix: str = "") -> TrainingData:
        model = self.model
        if type(X) is not np.ndarray:
            model._check_columns(f"{prefix}X", X)
        return training_data(X, y, sample_weight, model.layer_sizes, self.loss, model.dtype, prefix)

    def _validation(self, data: tuple[Any, ...] | None) -> TrainingData | None:
        if data is None:
            return None
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            way = "; fit() sets no rows apart itself" if isinstance(data, float) else ""
            kind = type(data).__name__
            raise TypeError(f"validation_data: expected (X, y) or (X, y, sample_weight), got {kind}{way}")
        X, y, weight = (*data, None)[:3]
        return self._data(X, y, weight, prefix="validation_data ")

    def _new_run(self, data: TrainingData, epochs: int) -> _core.Run:
        settings = self._native.settings._replace(**self._conventions())
        return _core.Run(self.model._network, data, settings, epochs, self._stepper.updates)

    def _search(self, data: TrainingData, epochs: int) -> Callable[..., None]:
        from fastnn._lbfgs_run import Search

        return Search(self, data, epochs).run

    def _conventions(self) -> dict[str, Any]:
        """Return settings of the engine's runs, for a subclass with other definitions than PyTorch's."""
        return {}

    def __repr__(self) -> str:
        """Return the model and the main settings as text."""
        return f"Trainer({self.model!r}, loss={self.loss!r}, optimizer={self.optimizer!r}, batch_size={self.batch_size})"
