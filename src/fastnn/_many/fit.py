"""`fastnn.fit_many`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn._averaging import Averaging
from fastnn._checks.options import explained
from fastnn._checks.scalars import thread_count
from fastnn._history import History
from fastnn._layer_settings import LayerSettings
from fastnn._many.arguments import callbacks_of_models
from fastnn._many.members import Members
from fastnn._metrics import Metric
from fastnn._model import MLP
from fastnn._progress import ProgressBar
from fastnn._rates import Scheduled
from fastnn._watchers import progress_bar
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, Optimizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_Many = Sequence[Any] | Any  # one value for all models, or a list with one value per model


@explained
def fit_many(
    models: Sequence[MLP],
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss | Sequence[str | Loss] = "mse",
    optimizer: str | Optimizer | LBFGS | Sequence[str | Optimizer | LBFGS | None] | None = None,
    epochs: int | Sequence[int] = 1,
    batch_size: int | Sequence[int] = 32,
    rows: _Many = None,
    sample_weight: _Many = None,
    validation_data: tuple[Any, ...] | Sequence[tuple[Any, ...] | None] | None = None,
    random_state: _Many = None,
    metrics: Sequence[str | Metric] | Sequence[Sequence[str | Metric]] = (),
    callbacks: Sequence[Any] = (),
    progress: bool | ProgressBar | None = None,
    n_threads: int | None = None,
    shuffle: bool | Sequence[bool] = True,
    l1: float | Sequence[float] = 0.0,
    l2: Scheduled | Sequence[Scheduled] = 0.0,
    dropout_factor: Scheduled | Sequence[Scheduled] = 1.0,
    label_smoothing_factor: Scheduled | Sequence[Scheduled] = 1.0,
    clip_norm: float | Sequence[float | None] | None = None,
    clip_value: float | Sequence[float | None] | None = None,
    layer_settings: LayerSettings | Sequence[Any] | None = None,
    lazy_updates: bool | Sequence[bool] = False,
    drop_last: bool | Sequence[bool] = False,
    averaging: str | Averaging | Sequence[str | Averaging | None] | None = None,
) -> list[History]:
    """Train many models at once, on all cores.

    Each model gets the bits that ``Trainer(model, …).run(X, y, …)`` gives it alone, or ``run(X[rows], y[rows], …)`` with
    `rows`. The models may have different layers, dtypes and settings. The data are checked once, and never copied per model.

    Parameters
    ----------
    models : sequence of MLP
        Different models, which are trained in place.
    X : array-like, data frame or sparse matrix, shape (n, n_in)
        The inputs of all models.
    y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
        The targets of all models.
    loss, optimizer, batch_size, shuffle, l1, l2, clip_norm, clip_value, lazy_updates, drop_last, averaging
    dropout_factor, label_smoothing_factor
        As for `Trainer`: one value for all models, or a list with one value per model. A model with `averaging` has the
        averaged parameters at the end, as after `MLP.fit`.
    epochs : int or list of int, default 1
        The number of passes over the rows.
    rows : array-like of int or bool, shape (m,), or a list of them, optional
        The rows on which a model is trained: indices, which may repeat, or a mask of all rows. The default is all rows.
        A vector is for all models; a list of vectors or a matrix has one vector per model.
    sample_weight : array-like, shape (n,), or a list of them, optional
        The weights of all n rows, as for `Trainer.run`, or a list with the weights for each model.
    validation_data : tuple (X, y) or (X, y, sample_weight), or a list of them, optional
        The data for "val_loss", as for `Trainer.run`. A tuple is for all models.
    random_state : seed or numpy.random.Generator, or a list of them, optional
        The source of random numbers for shuffling and dropout. The default is each model's own generator. A seed for all
        models starts a generator of its own for each. Models that share a generator are trained one after the other, in
        order.
    metrics : sequence of str and callables, or a list of such sequences, default ()
        As for `Trainer.run`.
    callbacks : sequence, or a list with one sequence per model, default ()
        As for `Trainer.run`. Of `EarlyStopping`, `ReduceOnPlateau` and `TimeLimit` in a sequence for all models, each model
        gets a copy. All other objects are called for all models.
    layer_settings : LayerSettings or tuple of LayerSettings and None, or a list of them, optional
        As for `Trainer`. A tuple, with one per layer, is for all models; a list has one of these values per model.
    progress : bool or ProgressBar, optional
        True shows one progress bar for all models on the standard error stream.
    n_threads : int, optional
        The number of threads. By default, fastnn uses as many as the work justifies. The number does not change the
        results.

    Returns
    -------
    list of History
        The history of each model. If a model diverged, its history ends before that epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape, value, or number of values. Nothing has changed then.

    Warns
    -----
    RuntimeWarning
        If the loss of some models became NaN or infinite. These models have the parameters of their last epoch with a finite
        loss. The others are not affected.

    Notes
    -----
    Each thread trains one model at a time, and models with the most work come first. `optimizer` "lbfgs" is the exception:
    models that use it are trained one after the other. Ctrl-C stops all runs within a tenth of a second, with the parameters
    of the last complete steps; the exception then has the attribute `histories`. If a callback raises an exception, all runs
    end.

    Examples
    --------
    Ten models with different initial weights and learning rates:

    >>> import numpy as np
    >>> from fastnn import MLP, Adam, fit_many
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> models = [MLP((1, 20, 1), "tanh", random_state=k) for k in range(10)]
    >>> histories = fit_many(models, X, X**2, optimizer=[Adam(0.01 + 0.001 * k) for k in range(10)], epochs=300)
    >>> bool(max(history["loss"][-1] for history in histories) < 0.01)
    True
    """
    members = Members(models, X, y, rows, sample_weight)
    spread = members.spread
    settings = {
        "loss": loss,
        "optimizer": optimizer,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "l1": l1,
        "l2": l2,
        "dropout_factor": dropout_factor,
        "label_smoothing_factor": label_smoothing_factor,
        "clip_norm": clip_norm,
        "clip_value": clip_value,
        "lazy_updates": lazy_updates,
        "drop_last": drop_last,
        "averaging": averaging,
        "random_state": random_state,
    }
    threads, bar = thread_count(n_threads), progress_bar(progress)
    of_models = {name: spread.scalar(name, value) for name, value in settings.items()}
    of_models["layer_settings"] = spread.objects("layer_settings", layer_settings)
    members.make_trainers(of_models | {"n_threads": [threads] * spread.n_models})
    members.prepare(
        spread.scalar("epochs", epochs),
        spread.objects("validation_data", validation_data),
        spread.sequences("metrics", metrics),
        callbacks_of_models(spread, callbacks),
    )
    return members.run(threads, bar)
