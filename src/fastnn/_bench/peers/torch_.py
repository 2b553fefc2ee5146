"""PyTorch: eager, with a loop as in its tutorials, and with a whole step in one compiled function."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.works import RATE, Array, PredictionWork, TrainingWork, initial_parameters


def _tensors(work: TrainingWork | PredictionWork, n_threads: int) -> list[Any]:
    """Return the initial parameters, with weights in PyTorch's shape: (n_out, n_in)."""
    import torch

    torch.set_num_threads(n_threads)
    return [torch.from_numpy(p.T.copy()) for p in initial_parameters(work)]


def _forward(activation: str) -> Callable[[list[Any], Any], Any]:
    """Return a function of parameters and rows."""
    import torch

    activate = getattr(torch, activation)

    def forward(parameters: list[Any], x: Any) -> Any:
        *hidden, output = zip(parameters[::2], parameters[1::2], strict=True)
        for w, b in hidden:
            x = activate(torch.nn.functional.linear(x, w, b))
        return torch.nn.functional.linear(x, *output)

    return forward


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled as a whole, for arguments of fixed shapes."""
    import torch

    with warnings.catch_warnings():
        # PyTorch's compiler imports this module, which warns about PyTorch's own code.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script_method` is deprecated", DeprecationWarning)
        importlib.import_module("torch.utils.mkldnn")
    # Otherwise the compiler counts the networks for which it compiled the same lines, and refuses the ninth.
    torch.compiler.reset()
    made: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)
    return made


class TorchTrainer(Trainer):
    """Eager mode: `backward`, and the form of an optimizer in `torch.optim` that is fastest for small networks."""

    name = "PyTorch"
    modules = ("torch",)
    loops_in_python = True

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        import torch

        self._tensors = _tensors(work, n_threads)
        self._batch_size, self._shuffled = work.case.batch_size, work.shuffled
        self._forward, self._mse = _forward(work.activation), torch.nn.functional.mse_loss
        if work.optimizer == "sgd":
            self._optimizer: Any = torch.optim.SGD(self._learning(), RATE, foreach=False)
        else:
            self._optimizer = torch.optim.Adam(self._learning(), RATE, fused=True)

    def _learning(self) -> list[Any]:
        return [p.requires_grad_() for p in self._tensors]

    def prepare(self, X: Array, y: Array) -> None:
        """Make tensors that share the memory of the data."""
        import torch

        self._X, self._y = torch.from_numpy(X), torch.from_numpy(y)

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        for _ in range(epochs):
            for x, y in self._batches():
                self._step(x, y)

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        """Yield slices of the rows, or gathered batches of shuffled rows."""
        import torch

        if not self._shuffled:
            yield from zip(self._X.split(self._batch_size), self._y.split(self._batch_size), strict=True)
            return
        for rows in torch.randperm(len(self._X)).split(self._batch_size):
            yield self._X[rows], self._y[rows]

    def _step(self, x: Any, y: Any) -> None:
        self._mse(self._forward(self._tensors, x), y).backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return [p.detach().numpy().T for p in self._tensors]


class TorchCompileTrainer(TorchTrainer):
    """Forward, backward and update in one graph: a quarter of the time of a compiled forward pass and `backward`."""

    name = "PyTorch compile"

    @classmethod
    def refusal(cls, work: TrainingWork) -> str | None:
        """Return the reason why it cannot do this workload, or None."""
        takes_part = work.optimizer == "sgd" and not work.shuffled
        return None if takes_part else "torch.compile takes seconds per case: only sgd, contiguous takes part"

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        super().__init__(work, n_threads)
        self._compiled = _compiled(self._gradient_step)

    def _learning(self) -> list[Any]:
        return self._tensors  # torch.func computes the gradients

    def _gradient_step(self, parameters: list[Any], x: Any, y: Any) -> None:
        import torch

        gradients = torch.func.grad(lambda p: self._mse(self._forward(p, x), y))(parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=RATE)

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        import torch

        with torch.no_grad():
            super().train(epochs)

    def _step(self, x: Any, y: Any) -> None:
        self._compiled(self._tensors, x, y)


class TorchPredictor(Predictor):
    """Eager mode, with inference mode on."""

    name = "PyTorch"
    modules = ("torch",)

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        self._tensors = _tensors(work, n_threads)
        self._forward = _forward(work.activation)

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        import torch

        with torch.inference_mode():
            outputs: Array = self._forward(self._tensors, torch.from_numpy(X)).numpy()
        return outputs


class TorchCompilePredictor(TorchPredictor):
    """A function compiled for rows of this shape, with inference mode on."""

    name = "PyTorch compile"

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        super().__init__(work, n_threads)
        self._forward = _compiled(self._forward)
