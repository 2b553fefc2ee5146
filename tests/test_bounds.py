"""No kernel reads or writes past the end of an array: each array here ends right before memory that may not be accessed."""

from __future__ import annotations

import os

import pytest
from _helpers import run_script

from fastnn._engine import core as _core

PROGRAM = """
import ctypes
import mmap

import numpy as np
from fastnn import ops, reference
from fastnn._engine import core as _core
from fastnn._engine.losses import native_loss
from fastnn._engine.optimizers import native_optimizer
from fastnn.losses import LOSSES, Heads, MultiQuantile
from fastnn.losses import resolve as resolve_loss
from fastnn.optimizers import OPTIMIZERS, SGD

libc = ctypes.CDLL(None, use_errno=True)

def guarded(*shape, dtype=np.float64):
    bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-max(bytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + mmap.PAGESIZE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(begin + pages), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    array = np.frombuffer(memory, np.uint8)[pages - bytes : pages].view(dtype).reshape(shape)
    array[...] = 1
    return array

def functions(n, dtype):
    for name in _core.ACTIVATIONS:
        _core.activate(name, guarded(n, dtype=dtype))
        if name != "softmax":
            _core.activation_derivative(name, guarded(n, dtype=dtype), guarded(n, dtype=dtype))
        if reference.ACTIVATIONS[name].uses == "output":
            _core.times_derivative(name, guarded(n, dtype=dtype), guarded(n, dtype=dtype))
    for optimizer in (*(kind() for kind in OPTIMIZERS.values()), SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True)):
        native = native_optimizer(optimizer)
        params, grads, *moments = ([guarded(n, dtype=dtype)] for _ in range(2 + native["moments"]))
        assert _core.update(native, params, grads, moments, 0.1, 0)
    _core.first_not_finite(guarded(n, dtype=dtype))
    for name in ops.activations.__all__:
        getattr(ops, name)(guarded(n, dtype=dtype), out=guarded(n, dtype=dtype))
    for x in (guarded(n, 3, dtype=dtype), guarded(3, n, dtype=dtype).T):
        ops.softmax(x, out=guarded(n, 3, dtype=dtype))
        ops.log_softmax(x, axis=0, out=guarded(n, 3, dtype=dtype))
        ops.linear(x, guarded(3, 2, dtype=dtype), guarded(2, dtype=dtype), out=guarded(n, 2, dtype=dtype))

def networks(n_in, n_out, n_rows, dtype):
    x = guarded(n_rows, n_in, dtype=dtype)
    out, by_input = guarded(n_rows, n_out, dtype=dtype), guarded(n_rows, n_in, dtype=dtype)
    sample_weight, labels = guarded(n_rows), guarded(n_rows, dtype=np.int16) - np.int16(1)
    for last in ("identity", "softmax"):
        network = _core.Network((n_in, 7, n_out), ("tanh", last), (0.0, 0.0), dtype)
        gradient = guarded(network.storage.size, dtype=dtype)
        for n_threads in (1, 3):
            network.predict(x, out, n_threads)
            network.predict(x[0])
            network.predict(x[::-1, ::-1])
            for y, loss in [(out, "mse"), (out, "cross_entropy"), (labels, "cross_entropy")]:
                native = native_loss(resolve_loss(loss), "identity")
                network.gradient(native, x, y, y.ndim == 1, sample_weight, gradient, by_input, n_threads)

def losses_of_rows(n_out, n_rows, dtype):
    x, network = guarded(n_rows, 3, dtype=dtype), _core.Network((3, n_out), ("identity",), (0.0,), dtype)
    gradient, by_input = guarded(network.storage.size, dtype=dtype), guarded(n_rows, 3, dtype=dtype)
    heads = Heads([(slice(0, 2), "gaussian_nll"), (slice(2, 5), "cross_entropy"), (slice(5, None), "mae")])
    for loss in ("gaussian_nll", "multi_quantile", MultiQuantile(non_crossing=True), "kl_divergence", "cosine", heads):
        native = native_loss(resolve_loss(loss), "identity", n_out)
        y = guarded(n_rows, native.n_targets, dtype=dtype)
        for n_threads in (1, 3):
            network.gradient(native, x, y, False, None, gradient, by_input, n_threads)

for dtype in (np.float32, np.float64):
    for n in range(35):
        functions(n, dtype)
    for n_out in (6, 12, 30, 66, 1536):
        for n_rows in (1, 15, 17, 513):
            losses_of_rows(n_out, n_rows, dtype)
    for n_in in (1, 15, 16, 17, 256):
        for n_out in (1, 4, 5, 17):
            for n_rows in (1, 17, 515):
                networks(n_in, n_out, n_rows, dtype)
print(_core.current_instruction_set()[0])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs mprotect")
@pytest.mark.parametrize("isa", _core.usable_instruction_sets())
def test_kernels_access_nothing_past_the_end(isa):
    process = run_script(PROGRAM, FASTNN_ISA=isa, PYTHONWARNINGS="error", PYTHONFAULTHANDLER="1")
    assert process.stdout.split() == [isa]
