"""Models and trainers as safetensors files: arrays, and what else there is as JSON in the metadata. No pickle."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import losses, optimizers, schedules
from fastnn._model import MLP
from fastnn._trainer import Trainer

_VERSION = 1
_OPTIONS = ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value", "n_threads")
_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def save_model(model: MLP, path: str | os.PathLike[str]) -> None:
    """Write a model."""
    arrays = _named(model._network.weights, model._network.biases)
    _write(path, arrays, {"kind": "model", "model": _model_config(model)})


def load_model(path: str | os.PathLike[str]) -> MLP:
    """Read a model, from a model's file or from a trainer's."""
    arrays, config = _read(path, ("model", "trainer"))
    with _Understood(path):
        return _model(arrays, config["model"])


def save_trainer(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write a trainer and its model."""
    network = trainer.model._network
    arrays = _named(network.weights, network.biases)
    for i, moment in enumerate(trainer._moments):
        arrays |= _named(*network.views(moment), prefix=f"moments.{i}.")
    config = {
        "kind": "trainer",
        "model": _model_config(trainer.model),
        "loss": _described(trainer.loss),
        "optimizer": _described(trainer.optimizer),
        "options": {name: getattr(trainer, name) for name in _OPTIONS},
        "updates": trainer.updates,
        # A trainer without a generator of its own goes on with the model's.
        "rng": None if trainer._rng is trainer.model._rng else _plain(trainer._rng.bit_generator.state),
    }
    _write(path, arrays, config)


def load_trainer(path: str | os.PathLike[str]) -> Trainer:
    """Read a trainer and its model."""
    arrays, config = _read(path, ("trainer",))
    with _Understood(path):
        model = _model(arrays, config["model"])
        options = {name: config["options"][name] for name in _OPTIONS}
        rng = None if config["rng"] is None else _generator(config["rng"])
        loss, optimizer = _object(config["loss"], losses.LOSSES), _object(config["optimizer"], optimizers.OPTIMIZERS)
        trainer = Trainer(model, loss, optimizer, random_state=rng, **options)
        trainer._updates = int(config["updates"])
        for i, moment in enumerate(trainer._moments):
            _fill(arrays, *model._network.views(moment), prefix=f"moments.{i}.")
        return trainer


# ---- Parts ----


def _model_config(model: MLP) -> dict[str, Any]:
    return {**model._config(), "rng": _plain(model._rng.bit_generator.state)}


def _model(arrays: dict[str, NDArray[Any]], config: dict[str, Any]) -> MLP:
    *hidden, output = config["activations"]
    model = MLP(config["layer_sizes"], hidden, output, dropout=config["dropout"], dtype=config["dtype"], init="zeros")
    model._rng = _generator(config["rng"])
    _fill(arrays, model._network.weights, model._network.biases)
    return model


def _named(weights: Any, biases: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    named = {f"{prefix}weights.{i}": w for i, w in enumerate(weights)}
    named |= {f"{prefix}biases.{i}": b for i, b in enumerate(biases)}
    return {name: np.ascontiguousarray(array) for name, array in named.items()}


def _fill(arrays: dict[str, NDArray[Any]], weights: Any, biases: Any, prefix: str = "") -> None:
    for kind, views in (("weights", weights), ("biases", biases)):
        for i, view in enumerate(views):
            array = arrays[f"{prefix}{kind}.{i}"]
            if array.shape != view.shape or array.dtype != view.dtype:
                raise ValueError(f"{prefix}{kind}.{i} is {array.dtype} {array.shape}, expected {view.dtype} {view.shape}")
            view[...] = array


def _described(value: Any) -> Any:
    """Return a loss, an optimizer or a schedule as class name and fields, a number as itself."""
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith("fastnn."):
        fields = {f.name: _described(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, **fields}
    if callable(value):
        raise TypeError(f"learning_rate: got {value!r}, which can't be saved; the schedules of fastnn.schedules can")
    return value


def _object(described: Any, registry: Any) -> Any:
    """Make the loss, optimizer or schedule that was described."""
    if not isinstance(described, dict):
        return described
    fields = {name: _object(value, None) for name, value in described.items() if name != "class"}
    classes = {c.__name__: c for c in registry.values()} if registry else {n: getattr(schedules, n) for n in schedules.__all__}
    return classes[described["class"]](**fields)


def _plain(state: Any) -> Any:
    """Return a bit generator's state without arrays."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state


def _generator(state: dict[str, Any]) -> np.random.Generator:
    name = state["bit_generator"]
    if name not in _BIT_GENERATORS:
        raise ValueError(f"unknown bit generator {name!r}")
    bit_generator = getattr(np.random, name)()
    bit_generator.state = state
    return np.random.Generator(bit_generator)


# ---- Files ----


def _write(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], config: dict[str, Any]) -> None:
    """Write beside the path first, then put the whole file in its place."""
    from safetensors.numpy import save

    data = save(arrays, {"fastnn": json.dumps({"version": _VERSION, **config})})
    target = Path(path)
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, target)
    except BaseException:
        os.unlink(part)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read(path: str | os.PathLike[str], kinds: tuple[str, ...]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118: no mapping
        config = json.loads(metadata["fastnn"])
        kind, version = config["kind"], config["version"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: no file of fastnn ({error})") from error
    if version != _VERSION or kind not in kinds:
        raise ValueError(f"{os.fspath(path)}: got a {kind} of format {version}, expected {kinds[0]} of format {_VERSION}")
    return arrays, config


class _Understood:
    """What doesn't fit within a file becomes one kind of error, which names the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Translate."""
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise ValueError(f"{os.fspath(self.path)}: damaged, or of another version ({error})") from error
