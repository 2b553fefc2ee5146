"""Training of a model in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn._averaging import Averaging
from fastnn._checks.options import explained
from fastnn._data_init import InitializedFromData
from fastnn._history import History
from fastnn._layer_settings import LayerSettings
from fastnn._metrics import Metric
from fastnn._native import take_average
from fastnn._progress import ProgressBar
from fastnn._rates import Scheduled
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, Optimizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Trained(InitializedFromData):
    """Training in one call; a base of `MLP`."""

    _trainer_class: ClassVar[type[Any]]  # `Trainer`, whose file sets it: trainers know of models, and not the reverse

    @explained
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer | LBFGS | None = None,
        epochs: int = 1,
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
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        metrics: Sequence[str | Metric] = (),
        callbacks: Sequence[Any] = (),
        progress: bool | ProgressBar | None = None,
    ) -> History:
        """Train the model, starting from its current weights.

        This is the same as ``Trainer(self, …).run(X, y, …)`` with a new trainer in each call. To keep the optimizer's
        state from one run to the next, make a `Trainer`.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, shape (n, n_in)
            Inputs of any real dtype. The model records the column names of a data frame: see `feature_names`.
        y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
            Targets. Their rows are matched with those of X by position; the index of a Series or data frame is ignored.
        loss : str or Loss, default "mse"
            The loss to minimize. mse, mae, huber, quantile, cosine, hinge, squared_hinge, gaussian_nll and multi_quantile
            work with every output activation. poisson requires "exp", binary_cross_entropy "sigmoid", and cross_entropy
            and kl_divergence "softmax"; these four also work with "identity". cross_entropy also takes integer labels.
            See `fastnn.losses`.
        optimizer : str or Optimizer, default Adam()
            The optimizer, which holds the learning rate: ``Adam(learning_rate=0.01)``. See `fastnn.optimizers`.
        epochs : int, default 1
            The number of passes over all rows.
        batch_size : int, default 32
            The number of rows per step. The last batch of an epoch may be smaller.
        shuffle : bool, default True
            Draw a new order of the rows for every epoch.
        l1, l2 : float, default 0.0
            The strengths of the penalties ``l1 * sum(abs(w)) + l2 / 2 * sum(w**2)`` on all weights. Biases have none.
            l2 may also be a schedule.
        dropout_factor, label_smoothing_factor : float or schedule, default 1.0
            The factors of the model's probabilities of dropout, and of the loss's `label_smoothing`, from 0 to 1. See
            `Trainer`.
        clip_norm, clip_value : float, optional
            Limits of the gradient. First, each element is clipped to ±clip_value. Then, the gradient of all parameters
            together is scaled down to the norm clip_norm if its norm is larger.
        layer_settings : LayerSettings or sequence of LayerSettings and None, optional
            Settings of single layers: see `fastnn.LayerSettings`. One for all layers, or one per layer.
        lazy_updates : bool, default False
            For sparse inputs and tables of categories: do not update the weights of features that are zero in all rows of a
            batch, or the vectors of categories that are in none of them. See `Trainer`.
        drop_last : bool, default False
            Leave out the last batch of an epoch if it is smaller than `batch_size`. See `Trainer`.
        averaging : EMA, SWA or str, optional
            An average of the parameters over the training, see `fastnn.EMA` and `fastnn.SWA`. The model has the averaged
            parameters at the end, however the training ends, and validation and metrics use them. A trainer keeps both, see
            `Trainer.averaged_model`.
        random_state : int, numpy.random.Generator or other seed, optional
            The source of random numbers for shuffling and dropout. The default is the model's own generator.
        n_threads : int, optional
            The number of threads. By default, fastnn uses as many as the work justifies. The number does not change
            the results.
        comm : mpi4py.MPI.Intracomm, optional
            The communicator of processes that train together. See `Trainer`.
        n_shards : int, optional
            The number of equal parts in which the rows of all processes are trained. See `Trainer`.
        sample_weight : array-like, shape (n,), optional
            The weights of the rows in the mean loss of a batch.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Data whose loss is computed after each epoch, without penalties and dropout, and recorded as "val_loss".
        metrics : sequence of str and callables, default ()
            Measures to record after each epoch: accuracy, r2, mae, mse, rmse, or functions of (y_true, y_pred). See
            `Trainer.run`.
        callbacks : sequence, default ()
            Objects with a method ``on_epoch_end(trainer, history)``; see `fastnn.callbacks`.
        progress : bool or ProgressBar, optional
            True shows a progress bar on the standard error stream.

        Returns
        -------
        History
            The losses, metrics, learning rates and seconds, one value of each per epoch. If Ctrl-C ends the training, the
            history is the attribute ``history`` of the KeyboardInterrupt.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing has changed then. The message gives the row and
            column of a NaN or infinity.
        DivergedError
            If the loss becomes NaN or infinite. The parameters of the last epoch with a finite loss are restored.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import MLP
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> MLP((1, 16, 1), "tanh", random_state=0).fit(X, X**2, epochs=3).epochs
        3
        """
        trainer = self._trainer_class(
            self,
            loss,
            optimizer,
            batch_size=batch_size,
            shuffle=shuffle,
            l1=l1,
            l2=l2,
            dropout_factor=dropout_factor,
            label_smoothing_factor=label_smoothing_factor,
            clip_norm=clip_norm,
            clip_value=clip_value,
            layer_settings=layer_settings,
            lazy_updates=lazy_updates,
            drop_last=drop_last,
            averaging=averaging,
            random_state=random_state,
            n_threads=n_threads,
            comm=comm,
            n_shards=n_shards,
        )
        if averaging is not None:
            from fastnn._sharded.arguments import constructing

            with constructing(comm):  # so that an error is raised on all ranks
                trainer._check_epochs(epochs)
        try:
            history: History = trainer.run(
                X,
                y,
                epochs,
                sample_weight=sample_weight,
                validation_data=validation_data,
                metrics=metrics,
                callbacks=callbacks,
                progress=progress,
            )
            return history
        finally:
            if averaging is not None:
                take_average(trainer)
