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

    columns: dict[str, str]  # contestant: heading of its column
    words: str  # the explanation of the headings
    packages: tuple[str, ...]  # packages to install


# By their names in --peers, in the order of their columns.
PEERS = {
    "numpy": Peer({"NumPy": "NumPy"}, "hand-written, without checks", ("numpy", "threadpoolctl")),
    "sklearn": Peer({"scikit-learn": "scikit"}, "scikit-learn, MLPRegressor", ("scikit-learn",)),
    "torch": Peer({"PyTorch": "torch"}, "PyTorch, eager", ("torch",)),
    "torch.compile": Peer({"PyTorch compile": "torchc"}, "PyTorch, compiled", ("torch",)),
    "jax": Peer({"JAX": "jit", "JAX scan": "scan"}, "JAX, a compiled step, and a compiled epoch (lax.scan)", ("jax",)),
    "onnxruntime": Peer({"ONNX Runtime": "onnx"}, "ONNX Runtime, predictions only", ("onnxruntime", "onnx")),
    "numba": Peer({"Numba": "numba"}, "a hand-written loop, compiled", ("numba",)),
    "portable": Peer({"fastnn portable": "plain"}, "fastnn without its kernels, compiled by Numba", ("numba", "scipy")),
}
_ALWAYS = "numpy"
_SLOW_TO_START = "torch.compile"  # it compiles for many seconds per case


def chosen_peers(text: str) -> list[str]:
    """Return the peers in a list of names, in the order of columns; NumPy is always among them."""
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
            raise argparse.ArgumentTypeError(f"expected all, none, or names among {', '.join(PEERS)}, got {name!r}")
    return [peer for peer in PEERS if peer in chosen]


def absent(chosen: Sequence[str]) -> list[str]:
    """Return the peers that are not installed."""
    return [peer for peer in PEERS if peer not in chosen and _missing(peer) is not None]


def _missing(peer: str) -> str | None:
    return available(next(iter(PEERS[peer].columns)))


def threads(text: str) -> int:
    """Return a number of threads."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"expected an integer from 1 to {MAX_THREADS}, got {text!r}")
    return int(text)


def earlier_file(text: str) -> Earlier:
    """Return the content of a file that --json wrote."""
    try:
        return load(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(" ".join(str(error).split())) from None
