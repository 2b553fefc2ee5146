"""The trainer: prepares a run, hands it to the native loop, and looks up now and then."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _arguments, _arrays, _custom, _files, _random
from fastnn._backend import core as _core
from fastnn._custom import CustomActivation
from fastnn._describe import described, from_description
from fastnn._epochs import advance, check_watchers, notify
from fastnn._errors import DivergedError
from fastnn._history import History
from fastnn._model import MLP
from fastnn._native import native_optimizer
from fastnn._rates import LearningRate, rates
from fastnn._scalars import flag, integer, real
from fastnn.losses import CustomLoss, Loss
from fastnn.losses import resolve as resolve_loss
from fastnn.optimizers import Adam, Optimizer
from fastnn.optimizers import resolve as resolve_optimizer

_OPTIONS = ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value", "lazy_updates", "n_threads")


class Trainer:
    """Trains a model, and keeps what the next step depends on: moments, step count, random state.

    Parameters
    ----------
    model : MLP
        Trained in place.
    loss : str or Loss, default "mse"
        mse, mae, huber, quantile, poisson, binary_cross_entropy, cross_entropy, see `fastnn.losses`; or what
        `fastnn.jit.loss` made, or its name.
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

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Adam, Trainer
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> trainer = Trainer(MLP((1, 20, 1), "tanh", random_state=0), optimizer=Adam(0.01), random_state=0)
    >>> history = trainer.run(X, X**2, epochs=300)
    >>> bool(history["loss"][-1] < 0.01)
    True
    """

    def __init__(
        self,
        model: MLP,
        loss: str | Loss = "mse",
        optimizer: str | Optimizer | None = None,
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
            raise TypeError(f"model: got {type(model).__name__}, expected MLP")
        self.model = model
        self.loss = resolve_loss(loss)
        self._loss = _arguments.native_loss(self.loss, model.activations[-1])
        self.optimizer = Adam() if optimizer is None else resolve_optimizer(optimizer)
        self.batch_size = integer("batch_size", batch_size, low=1)
        self.shuffle, self.lazy_updates = flag("shuffle", shuffle), flag("lazy_updates", lazy_updates)
        self.l1, self.l2 = real("l1", l1, low=0.0), real("l2", l2, low=0.0)
        self.clip_norm = None if clip_norm is None else real("clip_norm", clip_norm, low=0.0, exclude_low=True)
        self.clip_value = None if clip_value is None else real("clip_value", clip_value, low=0.0, exclude_low=True)
        self.n_threads = _arrays.thread_count(n_threads)
        self.epochs = 0  # of the present or last run
        self._rng = model._rng if random_state is None else _random.generator(random_state)
        self._native = native_optimizer(self.optimizer, self.l1, self.l2, self.clip_norm, self.clip_value)
        self._native["lazy"] = self.lazy_updates
        self._moments = _core.aligned_zeros((self._native["moments"], model._network.storage.size), model.dtype)
        self._stepper = self._new_stepper(0)

    @property
    def updates(self) -> int:
        """Updates of the parameters so far."""
        return self._stepper.updates

    @property
    def learning_rate(self) -> LearningRate:
        """The optimizer's, which a callback may change from one epoch to the next."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        self.optimizer = dataclasses.replace(self.optimizer, learning_rate=value)

    def run(
        self,
        X: ArrayLike,
        y: ArrayLike,
        epochs: int = 1,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        callbacks: Sequence[Any] = (),
        progress: Any = None,
    ) -> History:
        """Train for a number of epochs.

        Ctrl-C stops within a tenth of a second, with the parameters of the last finished step.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in)
            Inputs of any real dtype; rows are converted batch by batch. Of a sparse matrix (best CSR), the first layer's
            products read only what is stored.
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
        callbacks : sequence, default ()
            Objects with ``on_epoch_end(trainer, history)``; see `fastnn.callbacks`.
        progress : bool or ProgressBar, optional
            True shows a bar on the standard error stream.

        Returns
        -------
        History
            Losses, learning rates and seconds, one value an epoch.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed. NaN and infinity are
            named by row and column, in rows whose weight is not 0.
        DivergedError
            If the loss is no longer finite. Parameters are restored to the last finite epoch.
        """
        epochs = integer("epochs", epochs, low=0)
        inputs, target, labels, weight = self._data(X, y, sample_weight)
        validation = self._validation(validation_data)
        watchers = check_watchers(callbacks, progress)
        history = History()
        with self._busy():
            self.epochs = epochs
            run = self._new_run(inputs, target, labels, weight, self.batch_size, epochs, self.shuffle)
            notify(watchers, "on_train_begin", self, history)
            try:
                advance(self, run, epochs, history, validation, watchers)
            finally:
                notify(watchers, "on_train_end", self, history)
        return history

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one update on one batch, all rows of X, and return the loss before it.

        Arguments are those of `run`; weights may have either sign.

        Raises
        ------
        TypeError, ValueError
            As `run`.
        DivergedError
            If the loss is not finite; nothing has changed then.
        """
        inputs, target, labels, weight = self._data(X, y, sample_weight)
        with self._busy():
            state = self._rng.bit_generator.state if any(self.model.dropout) else None
            rate = self.optimizer.learning_rate
            if callable(rate):
                rate = float(rates(rate, self.updates, 1)[0])
            loss = self._stepper.step(inputs, target, labels, weight, rate)
            if loss is None:
                if state is not None:
                    self._rng.bit_generator.state = state
                raise DivergedError("loss or update of this batch is not finite; nothing was changed")
        return loss

    @property
    def _native_trainer(self) -> tuple[int, int, int, int]:
        """What compiled code holds of a trainer: where it is, numbers of inputs and outputs, and whether y may be labels.

        Its steps have the present learning rate from now on.
        """
        rate = self.optimizer.learning_rate
        if callable(rate):
            raise TypeError(f"trainer: got one with the schedule {rate!r}, expected a learning rate that is a number")
        self._stepper.rate = rate
        sizes = self.model.layer_sizes
        return self._stepper.address, sizes[0], sizes[-1], int(self.loss.takes_labels)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Let one run at a time have moments and random state."""
        stepper = self._stepper
        if not stepper.acquire():
            raise RuntimeError("this trainer is already running, in another thread or in the caller of a callback")
        try:
            yield
        finally:
            stepper.release()

    # ---- Its preparation ----

    def _data(
        self, X: Any, y: Any, sample_weight: Any, prefix: str = ""
    ) -> tuple[_arrays.Rows, NDArray[Any], bool, NDArray[np.float64] | None]:
        model = self.model
        return _arrays.training_data(X, y, sample_weight, model.layer_sizes, self.loss, model.dtype, prefix)

    def _validation(self, data: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if data is None:
            return None
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            raise TypeError(f"validation_data: got {type(data).__name__}, expected (X, y) or (X, y, sample_weight)")
        X, y, weight = (*data, None)[:3]
        return (self._loss, *self._data(X, y, weight, prefix="validation_data "))

    def _new_stepper(self, updates: int) -> _core.Stepper:
        network, rng = self.model._network, self._rng.bit_generator
        return _core.Stepper(network, self._loss, self._native, self._moments, updates, rng, self.n_threads)

    def _new_run(
        self, inputs: Any, target: Any, labels: bool, weight: Any, batch_size: int, epochs: int, shuffle: bool
    ) -> _core.Run:
        return _core.Run(
            self.model._network,
            self._loss,
            self._native,
            self._moments,
            self.updates,
            inputs,
            target,
            labels,
            weight,
            batch_size,
            epochs,
            shuffle,
            self._rng.bit_generator,
            self.n_threads,
            **self._conventions(),
        )

    def _conventions(self) -> dict[str, Any]:
        """Return arguments of the native run, for a subclass with other definitions than PyTorch's."""
        return {}

    # ---- Keeping ----

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that the next step depends on to a safetensors file, in place of an older one at once.

        Raises
        ------
        TypeError
            If the learning rate is a schedule of one's own, which no file can hold.
        """
        config = {
            "model": self.model._config(),
            "loss": described(self.loss),
            "optimizer": described(self.optimizer),
            "options": {name: getattr(self, name) for name in _OPTIONS},
            "updates": self.updates,
            # A trainer without a generator of its own goes on with the model's.
            "rng": None if self._rng is self.model._rng else _random.state_of(self._rng),
        }
        arrays = self.model._arrays()
        for i, moment in enumerate(self._moments):
            arrays |= _files.named(*self.model._network.views(moment), prefix=f"moments.{i}.")
        _files.write(path, "trainer", config, arrays)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        custom_activations: Sequence[CustomActivation] = (),
        custom_losses: Sequence[CustomLoss] = (),
    ) -> Trainer:
        """Read a trainer that `save` wrote, with its model; going on gives the bits of never having stopped.

        Parameters
        ----------
        path : str or path
            The file.
        custom_activations, custom_losses : sequences, default ()
            What `fastnn.jit` made; as in `MLP.load`.

        Raises
        ------
        ValueError
            If the file is none of these, or needs a function that is neither given nor defined.
        """
        activations = _custom.check_given("custom_activations", custom_activations, CustomActivation)
        losses = _custom.check_given("custom_losses", custom_losses, CustomLoss)
        with _files.read(path, ("trainer",)) as (config, arrays):
            model = MLP._from(config["model"], arrays, activations)
            options = {name: config["options"][name] for name in _OPTIONS}
            loss, optimizer = from_description(config["loss"], losses), from_description(config["optimizer"])
            rng = None if config["rng"] is None else _random.from_state(config["rng"])
            trainer = cls(model, loss, optimizer, random_state=rng, **options)
            trainer._stepper.updates = integer("updates", config["updates"], low=0, high=2**62)
            for i, moment in enumerate(trainer._moments):
                _files.fill(arrays, *model._network.views(moment), prefix=f"moments.{i}.")
            return trainer

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what native code holds; moments as contiguous copies."""
        return {**self.__dict__, "_stepper": self.updates, "_moments": np.array(self._moments)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state over, the moments into aligned storage."""
        self.__dict__.update(state)
        self._moments = _core.aligned_zeros(state["_moments"].shape, self.model.dtype)
        self._moments[...] = state["_moments"]
        self._stepper = self._new_stepper(state["_stepper"])

    def __repr__(self) -> str:
        """Say what is trained, and how."""
        return f"Trainer({self.model!r}, loss={self.loss!r}, optimizer={self.optimizer!r}, batch_size={self.batch_size})"
