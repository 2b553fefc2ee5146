"""The arguments of ``fastnn bench``, checked before anything is measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastnn._bench.peers import available
from fastnn._bench.results import Earlier, load
from fastnn._checks.limits import MAX_THREADS


@dataclass(frozen=True)
class Peer:
    """A library to compare with."""

    columns: dict[str, str]  # the headings of its contestants
    words: str  # what the headings mean
    packages: tuple[str, ...]  # to install


# By what they are called in --peers, in the order of their columns.
PEERS = {
    "numpy": Peer({"NumPy": "NumPy"}, "by hand, nothing checked", ("numpy", "threadpoolctl")),
    "sklearn": Peer({"scikit-learn": "scikit"}, "scikit-learn, MLPRegressor", ("scikit-learn",)),
    "torch": Peer({"PyTorch": "torch"}, "PyTorch, eager", ("torch",)),
    "torch.compile": Peer({"PyTorch compile": "torchc"}, "PyTorch, compiled", ("torch",)),
    "jax": Peer({"JAX": "jit", "JAX scan": "scan"}, "JAX, a step compiled, and an epoch in lax.scan", ("jax",)),
    "onnxruntime": Peer({"ONNX Runtime": "onnx"}, "ONNX Runtime, predictions only", ("onnxruntime", "onnx")),
    "numba": Peer({"Numba": "numba"}, "a loop by hand, compiled", ("numba",)),
    "portable": Peer({"fastnn portable": "plain"}, "fastnn without its kernels, by Numba", ("numba", "scipy")),
}
_ALWAYS = "numpy"
_SLOW_TO_START = "torch.compile"  # many seconds of compilation for each case


def chosen_peers(text: str) -> list[str]:
    """Return the peers that a list names, in their own order; NumPy is always among them."""
    names = text.split(",")
    chosen = {_ALWAYS}
    for name in names:
        if name == "all":
            chosen |= {peer for peer in PEERS if peer != _SLOW_TO_START and _missing(peer) is None}
        elif name in PEERS:
            missing = _missing(name)
            if missing is not None:
                raise argparse.ArgumentTypeError(f"{missing}: pip install {' '.join(PEERS[name].packages)}")
            chosen.add(name)
        elif name != "none" or len(names) > 1:
            raise argparse.ArgumentTypeError(f"got {name!r}, expected names among {', '.join(PEERS)}, or all, or none")
    return [peer for peer in PEERS if peer in chosen]


def absent(chosen: Sequence[str]) -> list[str]:
    """Return the peers that could take part if they were installed."""
    return [peer for peer in PEERS if peer not in chosen and _missing(peer) is not None]


def _missing(peer: str) -> str | None:
    return available(next(iter(PEERS[peer].columns)))


def threads(text: str) -> int:
    """Return a number of threads."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer from 1 to {MAX_THREADS}")
    return int(text)


def earlier_file(text: str) -> Earlier:
    """Return what is in a file that was written by --json."""
    try:
        return load(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(" ".join(str(error).split())) from None
