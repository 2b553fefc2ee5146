"""Training on large data: the memory that it takes besides X and y.

X is a file of 4 GB, mapped by np.memmap: its pages in memory belong to the file, and the system takes them back when it
needs them. The process's own memory is called anonymous. Of that, training needs the model's state, a workspace that
grows with the batch and the network but not with the rows, and a permutation of the rows if it shuffles.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from libraries import checks_only
from shapes import MEMORY

PROGRAM = Path(__file__).parent / "workloads" / "train_memmap.py"
STATUS = "/proc/{}/status"
LAYER_SIZES, BATCH_SIZE = MEMORY.layer_sizes, MEMORY.batch_size
X_BYTES = 4 * LAYER_SIZES[0] * MEMORY.rows
X_BYTES_CHECKED_ONLY = X_BYTES // 256
MOMENTS = {"sgd": 0, "adam": 2}
MIB = 2**20
# If the type of X is not the model's, fastnn looks for NaN in this many elements at a time.
CHECKED_AT_ONCE = 2**20
# Overhead: blocks of 2 MiB of the allocator, which need not be full, and stacks of threads.
SLACK = 4 * MIB


def bound(optimizer: str, shuffle: bool, rows: int) -> int:
    """Return the number of bytes that a float32 model of LAYER_SIZES may take; only the permutation depends on the rows."""
    layers = list(pairwise(LAYER_SIZES))
    parameters = 4 * sum((n_in + 1) * n_out for n_in, n_out in layers)
    state = parameters * (1 + MOMENTS[optimizer])
    # The state at the beginning of the epoch, which a diverged run restores; gradients; transposed weights.
    copies = state + 2 * parameters
    # A batch's inputs; outputs, deltas and derivatives of each layer; targets and their weights.
    batch = 4 * BATCH_SIZE * (LAYER_SIZES[0] + 3 * sum(LAYER_SIZES[1:]) + 2 * LAYER_SIZES[-1])
    return state + copies + batch + 4 * CHECKED_AT_ONCE + SLACK + (8 * rows if shuffle else 0)


def anonymous_bytes(pid: int) -> int:
    """Return a process's resident memory that belongs to no file."""
    line = next(line for line in Path(STATUS.format(pid)).read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def peak_growth(options: dict[str, object]) -> int:
    """Return by how many bytes, at most, training makes the anonymous memory of a process grow."""
    command = [sys.executable, str(PROGRAM), json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        peak = before = anonymous_bytes(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        while not select.select([process.stdout], [], [], 0.002)[0]:
            peak = max(peak, anonymous_bytes(process.pid))
        assert process.stdout.readline() == "done\n"
    assert process.returncode == 0
    return peak - before


@pytest.mark.skipif(not Path(STATUS.format("self")).exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shuffle", [False, True], ids=["contiguous", "shuffled"])
@pytest.mark.parametrize("optimizer", MOMENTS)
def test_memory(request, record, tmp_path, optimizer, shuffle, dtype):
    """The model is float32; float64 rows are converted batch by batch."""
    size = X_BYTES_CHECKED_ONLY if checks_only(request) else X_BYTES
    rows = size // (LAYER_SIZES[0] * np.dtype(dtype).itemsize)
    path = tmp_path / "X"
    with path.open("wb") as file:
        file.truncate(rows * LAYER_SIZES[0] * np.dtype(dtype).itemsize)  # a hole, which takes no space on the disk
    options = {"path": str(path), "dtype": dtype, "rows": rows, "layer_sizes": LAYER_SIZES, "batch_size": BATCH_SIZE}
    growth = peak_growth(options | {"optimizer": optimizer, "shuffle": shuffle})
    path.unlink()
    table, row = "MiB taken beside X and y", f"{optimizer}, {'shuffled' if shuffle else 'contiguous'}, {dtype} X"
    record(table, row, "X", size / MIB)
    record(table, row, "taken at most", growth / MIB)
    record(table, row, "bound", bound(optimizer, shuffle, rows) / MIB)
    assert growth <= bound(optimizer, shuffle, rows)
