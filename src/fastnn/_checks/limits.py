"""The largest networks and numbers of threads. The kernels have arrays of these sizes."""

from __future__ import annotations

MAX_LAYERS = 64  # with the output layer
MAX_UNITS = 2**31 - 1  # of a layer
MAX_WEIGHTS = 2**43  # of a network
MAX_THREADS = 1024
