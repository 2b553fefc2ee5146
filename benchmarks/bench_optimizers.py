"""Optimizers: the update alone, on one thread, and a whole training step with each of them, and with averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, assert_close, checks_only, torch_on
from shapes import CASES, Case

import fastnn
from fastnn import EMA, SGD, SWA, Adam, AdamW, ops, reference
from fastnn._bench.clock import race
from fastnn._engine import core as _core
from fastnn._engine.optimizers import native_optimizer
from fastnn.optimizers import AdaGrad, Optimizer, RMSProp

RATE = 1e-3
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(RATE),
    "momentum": SGD(RATE, momentum=0.9),
    "nesterov": SGD(RATE, momentum=0.9, nesterov=True),
    "adagrad": AdaGrad(RATE),
    "rmsprop": RMSProp(RATE),
    "adam": Adam(RATE),
    "adamw": AdamW(RATE),
}
# The networks have about 100 000 and 200 000 parameters.
UPDATED = tuple(case.layer_sizes for case in CASES[-3:-1])
UPDATES_CHECKED = 3
STEP_SECONDS = 0.2

Parameters = list[np.ndarray]


def name_of(layer_sizes: tuple[int, ...]) -> str:
    return "-".join(map(str, layer_sizes))


class Contestant:
    """Parameters, their gradients, and a method `update`."""

    def __init__(self, optimizer: str, parameters: Parameters, gradients: Parameters) -> None:
        self.parameters, self.gradients = parameters, gradients
        self.update: Callable[[], Any] = self.make(OPTIMIZERS[optimizer])

    def make(self, optimizer: Any) -> Work:
        raise NotImplementedError


class Kernel(Contestant):
    """The compiled update that a training step uses."""

    def make(self, optimizer: Any) -> Work:
        rule = native_optimizer(optimizer)
        moments = [[np.zeros_like(p) for p in self.parameters] for _ in range(rule["moments"])]
        updates = 0

        def update() -> None:
            nonlocal updates
            _core.update(rule, self.parameters, self.gradients, moments, RATE, updates)
            updates += 1

        return update


class Function(Contestant):
    """A function of `fastnn.ops`, which checks its arguments."""

    def make(self, optimizer: Any) -> Work:
        state: dict[str, Any] = {}
        if optimizer == OPTIMIZERS["sgd"]:
            return lambda: ops.sgd(self.parameters, self.gradients, RATE)
        if isinstance(optimizer, SGD):
            nesterov = optimizer.nesterov
            return lambda: ops.momentum(self.parameters, self.gradients, state, RATE, nesterov=nesterov)
        function = getattr(ops, optimizer.name)
        return lambda: function(self.parameters, self.gradients, state, RATE)


class Reference(Contestant):
    """The reference: plain NumPy, written for readers."""

    def make(self, optimizer: Any) -> Work:
        state: dict[str, Any] = {}
        rule = reference.UPDATES[optimizer.name]
        return lambda: rule(optimizer, self.parameters, self.gradients, state, RATE)


class TorchForeach(Contestant):
    """An optimizer of torch.optim as a chain of operations, each of which takes all parameters."""

    form = "foreach"

    def make(self, optimizer: Any) -> Work:
        torch = torch_on(1)
        tensors = [torch.from_numpy(p).requires_grad_() for p in self.parameters]
        for tensor, gradient in zip(tensors, self.gradients, strict=True):
            tensor.grad = torch.from_numpy(gradient)
        if self.form == "fused" and isinstance(optimizer, RMSProp):
            pytest.skip("PyTorch has no fused RMSprop")
        if self.form == "foreach" and optimizer == OPTIMIZERS["nesterov"]:
            pytest.skip("PyTorch's foreach form of it overwrites the gradients")
        makers = {
            "sgd": lambda options: torch.optim.SGD(
                tensors, RATE, momentum=optimizer.momentum, nesterov=optimizer.nesterov, **options
            ),
            "adagrad": lambda options: torch.optim.Adagrad(tensors, RATE, **options),
            "rmsprop": lambda options: torch.optim.RMSprop(tensors, RATE, **options),
            "adam": lambda options: torch.optim.Adam(tensors, RATE, **options),
            "adamw": lambda options: torch.optim.AdamW(tensors, RATE, **options),
        }
        step: Work = makers[optimizer.name]({self.form: True}).step
        return step


class TorchFused(TorchForeach):
    """An optimizer of torch.optim in a single loop over the elements."""

    form = "fused"


CONTESTANTS: dict[str, type[Contestant]] = {
    "fastnn": Kernel,
    "fastnn.ops": Function,
    "reference": Reference,
    "PyTorch foreach": TorchForeach,
    "PyTorch fused": TorchFused,
}


def made(contestant: str, optimizer: str, layer_sizes: tuple[int, ...], dtype: Any) -> Contestant:
    """Return a contestant with arrays of its own, which are equal for all contestants."""
    rng = np.random.default_rng(0)
    model = fastnn.MLP(layer_sizes, "tanh", dtype=dtype, random_state=0)
    parameters = [np.array(p, order="C") for p in model.parameters]
    gradients = [rng.standard_normal(p.shape).astype(dtype) for p in parameters]
    return CONTESTANTS[contestant](optimizer, parameters, gradients)


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer_sizes", UPDATED, ids=name_of)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_update(contest, n_threads, optimizer, layer_sizes, dtype, contestant):
    ours, expected = (made(name, optimizer, layer_sizes, dtype) for name in (contestant, "reference"))
    for _ in range(UPDATES_CHECKED):
        ours.update()
        expected.update()
    assert_close(ours.parameters, expected.parameters, dtype)
    anchor = None if contestant == "fastnn" else made("fastnn", optimizer, layer_sizes, dtype).update
    # Parameters and moments are read and written in place, gradients are read. No copy does that, so there is no share.
    arrays = 3 + 2 * native_optimizer(OPTIMIZERS[optimizer])["moments"]
    traffic = arrays * sum(p.nbytes for p in ours.parameters)
    table = f"updates of {name_of(layer_sizes)}, µs, {np.dtype(dtype)}, 1 thread"
    group = f"{optimizer}, {table}"
    contest(group, contestant, ours.update, anchor, table=table, row=optimizer, nbytes=traffic, dtype=dtype)


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_step(request, record, n_threads, case):
    """The work is whole float32 epochs of fastnn with the optimizer."""
    works = {name: training(case, optimizer) for name, optimizer in OPTIMIZERS.items()}
    if checks_only(request):
        works["adam"]()
        return
    timings = race(works, seconds=STEP_SECONDS)
    table = "a training step, times as long as with sgd, float32, 1 thread"
    for name, timing in timings.items():
        record(table, str(case), name, timing.minimum / timings["sgd"].minimum)


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_step_with_an_average(request, record, n_threads, case):
    """The work is whole float32 epochs of fastnn with Adam."""
    averages = {"none": None, "EMA": EMA(), "SWA": SWA()}
    works = {name: training(case, OPTIMIZERS["adam"], averaging=averaging) for name, averaging in averages.items()}
    if checks_only(request):
        works["EMA"]()
        return
    timings = race(works, seconds=STEP_SECONDS)
    table = "a training step with an average of the parameters, times as long as without, Adam, float32, 1 thread"
    for name, timing in timings.items():
        record(table, str(case), name, timing.minimum / timings["none"].minimum)


def training(case: Case, optimizer: Optimizer, **options: Any) -> Work:
    rng = np.random.default_rng(0)
    X, y = (rng.standard_normal((case.rows, n), np.float32) for n in (case.layer_sizes[0], case.layer_sizes[-1]))
    model = fastnn.MLP(case.layer_sizes, "tanh", random_state=0)
    trainer = fastnn.Trainer(model, "mse", optimizer, batch_size=case.batch_size, shuffle=False, **options)
    return lambda: trainer.run(X, y, case.epochs)
