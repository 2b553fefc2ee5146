"""A random program: a network, data, a trainer, and a sequence of calls. A seed always gives the same program.

No draw depends on a result, so that the program is the same under every setting.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import MLP, SWA, AdamW, DivergedError, Lion, Muon, Trainer, _epochs
from fastnn._views import by_kind
from fuzz import draw, functions


@dataclass(frozen=True)
class Setting:
    """The threads and time slices, which must not change a program's results, and the kind of comparison.

    Training amplifies small differences. If results are compared to rounding only, everything is therefore in float64,
    each call begins with new parameters and moments and makes only a few updates, and there is no L1 penalty, because it
    drives weights to the point where its derivative jumps.
    """

    n_threads: int = 1
    slice_seconds: float = 0.05
    to_rounding: bool = False


@dataclass
class Outcome:
    """The results of a program, in order: arrays by label, and a line of text per call."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    dtype: str = ""
    work: float = 0.0


def run(seed: int, setting: Setting) -> Outcome:
    """Run the program with this seed under a setting."""
    with _under(setting):
        return _Session(seed, setting).run()


@contextmanager
def _under(setting: Setting) -> Any:
    threads, slice_seconds = fastnn.get_num_threads(), _epochs.SLICE_SECONDS
    fastnn.set_num_threads(setting.n_threads)
    _epochs.SLICE_SECONDS = setting.slice_seconds
    try:
        yield
    finally:
        fastnn.set_num_threads(threads)
        _epochs.SLICE_SECONDS = slice_seconds


class _Session:
    """A running program: its model and trainer, and all results so far."""

    def __init__(self, seed: int, setting: Setting) -> None:
        self.rng = np.random.default_rng([seed, 0xFA57])
        self.setting = setting
        self.outcome = Outcome()
        self.network = draw.network(self.rng)
        if setting.to_rounding:
            self.network["dtype"] = np.float64
        self.outcome.dtype = np.dtype(self.network["dtype"]).name
        self.note(f"MLP({self.network})")
        self.model = MLP(**self.network)
        self.loss = draw.loss(self.rng, self.model.activations[-1])
        self.trainer = self.new_trainer()

    def run(self) -> Outcome:
        """Make between three and nine calls."""
        calls: list[Callable[[], None]] = [
            self.fit, self.fit, self.fit, self.steps, self.predict, self.gradients, self.keep, self.change, self.function,
        ]  # fmt: skip
        for _ in range(self.rng.integers(3, 10)):
            if self.setting.to_rounding:
                self.start_anew()
            call = calls[self.rng.integers(len(calls))]
            try:
                call()
            except DivergedError as error:  # of every run, or of none
                self.see("diverged", np.zeros(0))
                self.outcome.trace[-1] += f"  # diverged: {error}"
        self.see_state()
        return self.outcome

    # ---- Calls ----

    def new_trainer(self) -> Trainer:
        """Return a trainer of the model, with random options."""
        options = draw.trainer_options(self.rng)
        if self.setting.to_rounding:
            options["l1"] = 0.0
        optimizer = draw.optimizer(self.rng)
        if self.setting.to_rounding and isinstance(optimizer, Lion | Muon):
            # The sign of a rounding error is a whole step, and so may be the direction of one.
            optimizer = AdamW(optimizer.learning_rate)
        self.note(f"Trainer({self.loss!r}, {optimizer!r}, {options})")
        return Trainer(self.model, self.loss, optimizer, n_threads=self.setting.n_threads, **options)

    def start_anew(self) -> None:
        """Draw parameters, and make a new trainer for them."""
        size = self.model.to_vector().size
        self.model.set_vector(0.05 * self.rng.normal(size=size))
        self.trainer = self.new_trainer()

    def data(self, sparse: bool = True, max_rows: int = 300) -> tuple[Any, Any, Any]:
        """Return inputs, targets and weights of random kinds."""
        sizes = self.model.layer_sizes
        n = draw.count(self.rng, max_rows)
        if self.setting.to_rounding:
            n = min(n, 2 * self.trainer.batch_size)
        takes_sparse = not self.model.embeddings and all(begin > 0 for begin, _ in self.model.residual)
        takes_sparse &= self.model.shared is None
        X, kind = draw.inputs(self.rng, n, sizes[0], sparse and takes_sparse)
        codes = [column for each in self.model.embeddings if each.categories for column in each.columns]
        if codes and X.dtype.kind == "f":
            X[:, codes] = np.abs(np.round(3 * X[:, codes]))
        y = draw.targets(self.rng, n, sizes[-1], self.loss)
        weight = draw.weights(self.rng, n)
        self.note(f"  X: {kind} ({n}, {sizes[0]}), y: {y.dtype} {y.shape}, weights: {weight is not None}")
        n_members = 1 if self.model.shared is None else self.model.shared.n_members
        self.outcome.work += n * n_members * sum(a * b for a, b in itertools.pairwise(sizes))
        return X, y, weight

    def end_lazy_updates(self, X: Any) -> None:
        """Turn lazy updates off for dense rows, which have none."""
        if isinstance(X, np.ndarray):
            self.trainer.lazy_updates = False

    def fit(self) -> None:
        """Train for some epochs, with or without callbacks."""
        X, y, weight = self.data()
        epochs = int(self.rng.integers(1, 3 if self.setting.to_rounding else 5))
        validation = self.data(max_rows=40)[:2] if self.rng.random() < 0.2 else None
        stop = draw.watchers(self.rng)
        self.outcome.work *= epochs
        self.note(f"run(epochs={epochs}, validation={validation is not None}, callbacks={stop})")
        if X.shape[0] < self.trainer.batch_size:
            self.trainer.drop_last = False
        self.end_lazy_updates(X)
        history = self.trainer.run(X, y, epochs, sample_weight=weight, validation_data=validation, callbacks=stop)
        for name in history:
            if name != "seconds":
                self.see(name, history[name])
        self.see_state()

    def steps(self) -> None:
        """Make single updates on batches of very different sizes, unless the average is one over epochs."""
        if isinstance(self.trainer.averaging, SWA):
            return
        for _ in range(self.rng.integers(1, 5)):
            X, y, weight = self.data(max_rows=600)
            self.note("step")
            self.end_lazy_updates(X)
            self.see("loss of the step", np.array(self.trainer.step(X, y, weight)))
        self.see_state()

    def predict(self) -> None:
        """Predict one row or several, into a new array or a given one."""
        X, _, _ = self.data()
        out = None
        if self.rng.random() < 0.3:
            out = draw.layout(self.rng, np.zeros((X.shape[0], self.model.layer_sizes[-1]), self.model.dtype))
        if self.rng.random() < 0.3 and isinstance(X, np.ndarray):
            X, out = X[0], None
        self.note(f"predict({X.shape})")
        self.see("predicted", np.array(self.model.predict(X, out=out, n_threads=self.setting.n_threads)))
        if X.ndim == 2:
            for hidden in self.model.hidden_activations(X):
                self.see("hidden", hidden)

    def gradients(self) -> None:
        """Compute the loss and its derivatives."""
        X, y, weight = self.data(sparse=False, max_rows=600)
        self.note("loss, gradient, input_gradient")
        self.see("loss", np.array(self.model.loss(X, y, self.loss, weight)))
        value, gradient = self.model.gradient(X, y, self.loss, weight)
        self.see("loss", np.array(value))
        for array in gradient:
            self.see("gradient", array)
        self.see("input gradient", self.model.input_gradient(X, y, self.loss, weight))

    def keep(self) -> None:
        """Replace the trainer by a copy, from a file or a pickle."""
        import pickle

        if self.rng.random() < 0.5:
            self.note("save and load")
            with tempfile.TemporaryDirectory() as folder:
                self.trainer.save(Path(folder) / "trainer")
                self.trainer = Trainer.load(Path(folder) / "trainer")
        else:
            self.note("pickle")
            self.trainer = pickle.loads(pickle.dumps(self.trainer))
        self.model = self.trainer.model
        self.see_state()

    def change(self) -> None:
        """Change parameters, slopes, the learning rate, or the trainer."""
        kind = self.rng.integers(4)
        if kind == 0:
            self.note("set_vector")
            vector = self.model.to_vector()
            self.model.set_vector(vector * 0.5 + 0.01 * self.rng.normal(size=vector.size))
        elif kind == 1:
            self.note("slopes = ...")
            for i, slopes in enumerate(self.model.slopes):
                if slopes is not None:
                    self.model.slopes[i] = self.rng.uniform(-0.5, 1.0, slopes.shape)
        elif kind == 2:
            rate = draw.learning_rate(self.rng)
            self.note(f"learning_rate = {rate!r}")
            self.trainer.learning_rate = rate
        else:
            self.trainer = self.new_trainer()
        self.see_state()

    def function(self) -> None:
        """Call a random function of fastnn.ops."""
        name, arrays = functions.call(self.rng, self.setting.n_threads, self.outcome.dtype)
        self.note(name)
        for array in arrays:
            self.see(name, array)

    # ---- Results ----

    def note(self, text: str) -> None:
        """Append a line to the trace."""
        self.outcome.trace.append(text)

    def see(self, label: str, array: np.ndarray) -> None:
        """Keep a result under a label that names its call."""
        number = len(self.outcome.arrays)
        self.outcome.arrays[f"{number:03d} line {len(self.outcome.trace)}: {label}"] = np.array(array)

    def see_state(self) -> None:
        """Keep everything that the next step depends on."""
        self.see("parameters", self.model.to_vector())
        for moment in self.trainer._moments:
            for view in by_kind(self.model._network.views(moment)):
                self.see("moments", view)
        if self.trainer.averaging is not None:
            self.see("average", self.trainer.averaged_model().to_vector())
        self.see("updates", np.array(self.trainer.updates))
        self.see("random state", np.frombuffer(repr(self.trainer._rng.bit_generator.state).encode(), np.uint8))
