"""Limits of networks and threads. The kernels have arrays of these sizes."""

from __future__ import annotations

MAX_LAYERS = 64  # including the output layer
MAX_UNITS = 2**31 - 1  # per layer
MAX_WEIGHTS = 2**43  # per network
MAX_THREADS = 1024
MAX_MEMBERS = 512  # of a shared ensemble
