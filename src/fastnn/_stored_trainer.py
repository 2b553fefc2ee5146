"""Files, copies and pickles of trainers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _custom, _state
from fastnn._checks import seeds as _seeds
from fastnn._checks.options import explained
from fastnn._checks.scalars import integer, real
from fastnn._configured import Configured
from fastnn._custom import CustomActivation
from fastnn._engine import core as _core
from fastnn._model import MLP
from fastnn._setting_checks import FACTORS, OPTIONS
from fastnn._settings import Native
from fastnn._storage import models as _saved_models
from fastnn._storage.describe import described, layer_settings_of, loss_of, optimizer_of
from fastnn._storage.write_file import FilePath
from fastnn.losses import CustomLoss, Loss
from fastnn.optimizers import LBFGS, Optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Parts of the engine, and of a run in progress.
_NOT_PICKLED = frozenset({"_stepper", "_native", "_wanted"})
# The names of the accumulated gradients in files.
_ACCUMULATED = ("mean", "given")


class _Part:
    """A part that a copied or unpickled trainer makes on its first use, since its model may be incomplete before.

    Attributes of a trainer precede this one of its class, so that it costs nothing afterwards, as `__getattr__` would.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, trainer: Any, kind: type | None = None) -> Any:
        if trainer is None:
            return self
        if "_kept" not in trainer.__dict__:
            hint = "its class must call Trainer.__init__"
            raise AttributeError(f"{type(trainer).__name__!r} object has no attribute {self._name!r}; {hint}")
        trainer._make_parts()
        return trainer.__dict__[self._name]


class StoredTrainer(Configured):
    """Saving, loading, copying and pickling; a base of `Trainer`."""

    model: MLP

    _stepper: _core.Stepper = _Part()  # type: ignore[assignment]
    _native: Native = _Part()  # type: ignore[assignment]
    _wanted: Native = _Part()  # type: ignore[assignment]

    def _begin(self, model: MLP, loss: Loss, optimizer: Optimizer | LBFGS, **options: Any) -> None:
        """Initialize with these arguments, by the constructor of `Trainer` and not by that of a subclass."""
        raise NotImplementedError

    @explained
    def save(self, path: FilePath) -> None:
        """Write the trainer to a safetensors file, with everything on which its next step depends.

        The file is replaced in the same way as by `MLP.save`.

        Raises
        ------
        TypeError
            If the learning rate or another setting follows a custom schedule, which can't be saved.
        OSError
            If the file can't be written. An existing file is then unchanged.
        """
        config, arrays = self._contents(self.optimizer)
        _saved_models.write(path, "trainer", {"model": self.model._config()} | config, self.model._arrays() | arrays)

    @classmethod
    @explained
    def load(
        cls,
        path: FilePath,
        *,
        custom_activations: Sequence[CustomActivation] = (),
        custom_losses: Sequence[CustomLoss] = (),
        comm: Any = None,
    ) -> Self:
        """Read a trainer and its model from a file that `save` wrote.

        Training continues with the same bits as if it had never stopped. If this method is called on a subclass, the result
        is an object of that subclass. Its constructor is not called, and it lacks attributes of its own, because files do
        not contain them.

        Parameters
        ----------
        path : str, bytes or path-like
            A file or a pipe.
        custom_activations, custom_losses : sequences, default ()
            Functions made by `fastnn.jit`, as in `MLP.load`.
        comm : mpi4py.MPI.Intracomm, optional
            The ranks that continue the training, all of which call this method. The number of shards is the one in the file,
            or else the number of ranks. Without `comm`, this process trains all shards.

        Raises
        ------
        ValueError
            If the file is of another kind, or needs a function that is neither given nor defined.
        OSError, MemoryError
            If the file can't be read, or does not fit into memory.
        """
        activations = _custom.check_given("custom_activations", custom_activations, CustomActivation)
        losses = _custom.check_given("custom_losses", custom_losses, CustomLoss)
        if comm is None:
            return cls._read(path, activations, losses, None)
        from fastnn._sharded.arguments import constructing

        with constructing(comm):
            return cls._read(path, activations, losses, comm)

    @classmethod
    def _read(cls, path: FilePath, activations: Sequence[CustomActivation], losses: Sequence[CustomLoss], comm: Any) -> Self:
        with _saved_models.read(path, ("trainer",)) as (config, arrays):
            model = MLP._from(config["model"], arrays, activations)
            trainer = cls.__new__(cls)
            trainer._become(model, config, arrays, losses, comm)
            return trainer

    def _contents(self, optimizer: Optimizer | LBFGS) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return everything but the model, for a file: the metadata with this optimizer, and the arrays by name."""
        config = {
            "loss": described(self.loss),
            "optimizer": described(optimizer),
            "options": {name: described(getattr(self, name), name) for name in OPTIONS},
            "updates": self._updates,
            # A trainer without a generator of its own continues with that of the model.
            "rng": None if self._rng is self.model._rng else _seeds.state_of(self._rng),
        }
        if self.layer_settings is not None:
            config["layer_settings"] = described(self.layer_settings)
        if self.n_shards is not None:
            config["n_shards"] = self.n_shards
        if self.drop_last:
            config["drop_last"] = True
        for factor in self._factors():
            config[factor.name] = described(factor.schedule, factor.name)
        arrays: dict[str, NDArray[Any]] = {}
        for i, moment in enumerate(self._moments):
            arrays |= _saved_models.named(self.model._views(moment), prefix=f"moments.{i}.")
        average = self._average
        if average is not None:
            config |= {"averaging": described(self.averaging), "averages": average.counts.tolist()}
            arrays |= _saved_models.named(average.network.parameters, prefix="average.")
        kept = self._stepper.accumulated
        if kept is not None:
            *gradients, config["accumulated"] = kept
            for part, gradient in zip(_ACCUMULATED, gradients, strict=True):
                arrays |= _saved_models.named(self.model._views(gradient), prefix=f"accumulated.{part}.")
        return config, arrays

    def _become(
        self,
        model: MLP,
        config: dict[str, Any],
        arrays: dict[str, NDArray[Any]],
        custom_losses: Sequence[CustomLoss],
        comm: Any = None,
    ) -> None:
        """Initialize as the trainer that a file describes: the inverse of `_contents`."""
        options = {name: optimizer_of(config["options"][name]) for name in OPTIONS}
        # Files of older versions lack these.
        options |= {
            "drop_last": config.get("drop_last", False),
            **{name: optimizer_of(config.get(name, 1.0)) for name in FACTORS},
            "averaging": optimizer_of(config.get("averaging")),
            "layer_settings": layer_settings_of(config.get("layer_settings")),
        }
        options |= {"comm": comm, "n_shards": config.get("n_shards")}
        loss, optimizer = loss_of(config["loss"], custom_losses), optimizer_of(config["optimizer"])
        rng = None if config["rng"] is None else _seeds.from_state(config["rng"])
        self._begin(model, loss, optimizer, random_state=rng, **options)
        self._stepper.updates = integer("updates", config["updates"], low=0, high=2**62)
        for i, moment in enumerate(self._moments):
            _saved_models.fill(arrays, model._views(moment), prefix=f"moments.{i}.")
        if self._average is not None:
            _saved_models.fill(arrays, self._average.network.parameters, prefix="average.")
            self._average.counts[:] = [integer("averages", count, low=0, high=2**62) for count in config["averages"]]
        if "accumulated" in config:
            mean, given = np.zeros((2, model._network.storage.size), model.dtype)
            for part, gradient in zip(_ACCUMULATED, (mean, given), strict=True):
                _saved_models.fill(arrays, model._views(gradient), prefix=f"accumulated.{part}.")
            self._stepper.accumulated = mean, given, real("accumulated", config["accumulated"], low=0.0)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the engine's objects, and the moments and the average as contiguous copies."""
        kept = {"moments": np.array(self._moments), "updates": self._updates, "accumulated": self._stepper.accumulated}
        average = self._average
        if average is not None:
            kept["average"] = average.network.storage.copy(), average.counts.copy()
        return {"attributes": _state.attributes_of(self, _NOT_PICKLED), **kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the state. The engine's objects are made on first use."""
        _state.set_attributes(self, state["attributes"])
        for name, value in {"drop_last": False, "averaging": None, **dict.fromkeys(FACTORS, 1.0)}.items():
            self.__dict__.setdefault(name, value)  # which pickles of older versions lack
        self.__dict__["_kept"] = state["moments"], state["updates"], state["accumulated"], state.get("average")

    def _make_parts(self) -> None:
        """Make the engine's objects of a copied or unpickled trainer."""
        kept, updates, accumulated, average = self.__dict__["_kept"]
        moments = self._new_moments(len(kept))
        moments[...] = kept
        self._start(self._new_native(None, moments), updates)
        if accumulated is not None:
            self._stepper.accumulated = accumulated
        if average is not None and self._average is not None:
            self._average.network.storage[...], self._average.counts[:] = average
        del self.__dict__["_kept"]
