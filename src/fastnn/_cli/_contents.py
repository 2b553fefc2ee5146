"""The contents of a safetensors file as plain values. The file need not be one that can be loaded as a model."""

from __future__ import annotations

import itertools
import json
import math
import operator
import os
import re
import stat
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine import core as _core
from fastnn._model import MLP
from fastnn._shared_ensemble import SharedEnsemble
from fastnn._storage.describe import embeddings_of
from fastnn._storage.models import read_any
from fastnn._summary import Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOT_OURS = "of another library"
# The entries of the metadata that have a place of their own.
_PROVENANCE = ("kind", "version", "written_by")
_ARCHITECTURE = ("layer_sizes", "activations", "dropout", "dtype")
_LATER = (
    "normalization",
    "normalization_place",
    "parametric_activation",
    "input_scale",
    "input_dropout",
    "embeddings",
    "residual",
    "residual_place",
    "shared",
)  # only in the files of models that have them
_TRAINING = (
    "loss",
    "optimizer",
    "updates",
    "options",
    "drop_last",
    "dropout_factor",
    "label_smoothing_factor",
    "averaging",
    "averages",
    "rng",
    "accumulated",
)


def contents_of(path: Path) -> dict[str, Any]:
    """Return everything that a file says, as values that JSON has, with the architecture as a `Summary`.

    Raises
    ------
    OSError, ValueError
        If the file can't be read, or is not in the safetensors format.
    """
    metadata, arrays = read_any(path)
    status = os.stat(path)
    config = _config(metadata)
    provenance = {
        "file": str(path),
        "kind": config.get("kind", _NOT_OURS),
        "format": config.get("version"),
        "written_by": config.get("written_by"),
        "bytes": status.st_size if stat.S_ISREG(status.st_mode) else None,
    }
    model, trainer = config.get("model"), config.get("trainer")  # the file of an estimator has both
    members = _members(path, config.get("models"))
    if len(members) == 1:
        model = config["models"][0]
    described = (config, model, *(config["models"] if members else ()))
    names = [entries["feature_names"] for entries in described if isinstance(entries, dict) and "feature_names" in entries]
    shown = (*_PROVENANCE, *_TRAINING, "model", "models", "trainer", "feature_names")
    rest = {name: value for name, value in config.items() if name not in shown}
    training = trainer if isinstance(trainer, dict) else {name: config[name] for name in _TRAINING if name in config}
    return {
        **provenance,
        "architecture": _architecture(path, model, arrays),
        "members": members or None,
        "feature_names": next(filter(None, names), None),
        "parameters": [_statistics(name, arrays[name]) for name in sorted(arrays, key=_order)],
        "training": training or None,
        "metadata": rest | {name: value for name, value in metadata.items() if not (name == "fastnn" and config)},
    }


def _later(config: Any) -> dict[str, Any]:
    """Return the entries for `_LATER` that a file has."""
    return {name: config[name] for name in _LATER if name in config}


def _members(path: Path, configs: Any) -> list[dict[str, Any]]:
    """Return the architectures of the models of an ensemble: one entry for consecutive models that have the same."""
    if not isinstance(configs, list):
        return []
    try:
        each = [{name: config[name] for name in _ARCHITECTURE} | _later(config) for config in configs]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged, or of another version ({error})") from None
    groups = [(entry, [k for k, _ in same]) for entry, same in itertools.groupby(enumerate(each), operator.itemgetter(1))]
    return [{"first": numbers[0], "last": numbers[-1], **entry} for entry, numbers in groups]


def plain(contents: dict[str, Any]) -> dict[str, Any]:
    """Return contents with the architecture as plain values, too."""
    summary: Summary | None = contents["architecture"]
    if summary is None:
        return contents
    totals = {name: getattr(summary, name) for name in ("n_parameters", "n_bytes", "multiply_adds")}
    return contents | {"architecture": asdict(summary) | totals}


def _config(metadata: dict[str, str]) -> dict[str, Any]:
    """Return fastnn's entry of the metadata, or nothing if it is absent or damaged: it is then shown as it is."""
    try:
        config = json.loads(metadata.get("fastnn", "{}"), parse_constant=str)  # JSON itself has no NaN and no infinity
    except (ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _architecture(path: Path, config: Any, arrays: dict[str, NDArray[Any]]) -> Summary | None:
    """Return the summary of a model. Functions of users may be unknown here; only their names are needed."""
    if not isinstance(config, dict):
        return None
    try:
        # This check comes before memory is allocated for the parameters.
        if sum(itertools.starmap(operator.mul, itertools.pairwise(config["layer_sizes"]))) > sum(
            a.size for a in arrays.values()
        ):
            raise ValueError(f"the arrays are not those of layers {config['layer_sizes']}")
        names = config["activations"]
        *hidden, output = (name if name in _core.LAYER_ACTIVATIONS else "identity" for name in names)
        dropout, dtype = config["dropout"], config["dtype"]
        later = _later(config)
        if "embeddings" in later:
            later["embeddings"] = embeddings_of(later["embeddings"])
        if "shared" in later:
            later["shared"] = SharedEnsemble(**later["shared"])
        model = MLP(config["layer_sizes"], hidden, output, dropout=dropout, **later, init="zeros", dtype=dtype)
        summary = model.summary()
        layers = (replace(layer, activation=str(name)) for layer, name in zip(summary.layers, names, strict=True))
        return replace(summary, layers=tuple(layers))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged, or of another version ({error})") from None


def _statistics(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Return facts about an array. Minimum, mean, maximum and norm are those of its finite elements."""
    finite = array[np.isfinite(array)].astype(np.float64)
    # The sum and the squares of large numbers would overflow.
    scale = float(np.abs(finite).max(initial=0.0)) or 1.0
    scaled = finite / scale
    norm = float(np.linalg.norm(scaled)) * scale
    return {
        "name": name,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "min": float(finite.min()) if finite.size else None,
        "mean": float(scaled.mean()) * scale if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
        "norm": norm if math.isfinite(norm) else None,
        "nan": int(np.isnan(array).sum()),
        "infinite": int(np.isinf(array).sum()),
    }


def _order(name: str) -> tuple[int, list[tuple[bool, int, str]]]:
    """Return a key that sorts moments after parameters, and numbers in names by value."""
    parts = re.split(r"(\d+)", name)
    return name.count("."), [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
