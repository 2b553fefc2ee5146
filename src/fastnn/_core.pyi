from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._custom import CustomActivation
from fastnn._engine.losses import NativeLoss

ACTIVATIONS: tuple[str, ...]
LAYER_ACTIVATIONS: tuple[str, ...]
FUNCTIONS: tuple[str, ...]
LOSSES: tuple[str, ...]
PREDICTION_LOSSES: tuple[str, ...]
OPTIMIZERS: tuple[str, ...]

def built_instruction_sets() -> tuple[str, ...]: ...
def usable_instruction_sets() -> tuple[str, ...]: ...
def current_instruction_set() -> tuple[str, int]: ...
def get_max_threads() -> int: ...
def set_max_threads_(n: int) -> None: ...
def threads_decided() -> tuple[str, str | None]: ...
def readable(a: NDArray[Any]) -> bool: ...
def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]: ...
def first_not_finite(a: NDArray[Any]) -> int: ...
def make_ufunc(name: str, documentation: str) -> np.ufunc: ...
def activate(name: str, z: NDArray[Any]) -> None: ...
def log_softmax(z: NDArray[Any]) -> None: ...
def activation_derivative(name: str, z: NDArray[Any], slope: NDArray[Any]) -> None: ...
def times_derivative(name: str, delta: NDArray[Any], a: NDArray[Any]) -> None: ...
def update(
    optimizer: dict[str, Any],
    params: Sequence[NDArray[Any]],
    grads: Sequence[Any],
    moments: Sequence[Any],
    rate: float,
    updates: int,
) -> bool: ...
def linear(x: Any, w: Any, b: Any, activation: Any, out: Any, n_threads: Any) -> NDArray[Any] | None: ...
def linear_into(
    out: NDArray[Any], x: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, activation: str, n_threads: int
) -> None: ...
def linear_grad(
    x: Any, w: Any, a: Any, grad_a: Any, activation: Any
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None: ...
def layer_gradients(
    x: NDArray[Any], w: NDArray[Any], a: NDArray[Any], grad_a: NDArray[Any], activation: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
def softmax(x: Any, axis: Any, out: Any, logarithm: bool) -> NDArray[Any] | None: ...
def quick_prediction_loss(name: str, y: Any, p: Any, probabilities: bool) -> float | None: ...
def prediction_loss(name: str, p: NDArray[Any], y: NDArray[Any]) -> float: ...
def c_functions() -> dict[str, int]: ...
def dispatching(
    implementation: Callable[..., Any], dispatch: Callable[[tuple[Any, ...], dict[str, Any]], Any], lists: bool
) -> Callable[..., Any]: ...
def fma_chain(dtype: DTypeLike, rounds: int) -> float: ...
def copy_vectors(out: NDArray[Any], x: NDArray[Any]) -> None: ...

class SparseRows:
    values: NDArray[Any]
    columns: NDArray[np.int32]
    row_starts: NDArray[np.int64]
    shape: tuple[int, int]
    def __init__(self, values: NDArray[Any], columns: NDArray[Any], row_starts: NDArray[Any], n_columns: int) -> None: ...
    def __len__(self) -> int: ...

class Network:
    storage: NDArray[Any]
    dtype: np.dtype[Any]
    layer_sizes: tuple[int, ...]
    activations: tuple[str | CustomActivation, ...]
    dropout: tuple[float, ...]
    parameters: tuple[tuple[NDArray[Any] | None, ...], ...]
    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    slopes: tuple[NDArray[Any] | None, ...]
    def __init__(
        self,
        layer_sizes: tuple[int, ...],
        activations: tuple[str | CustomActivation, ...],
        dropout: tuple[float, ...],
        dtype: DTypeLike,
    ) -> None: ...
    @property
    def address(self) -> int: ...
    def views(self, storage: NDArray[Any]) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...], tuple[Any, ...]]: ...
    def predict(
        self, x: NDArray[Any] | SparseRows, out: NDArray[Any] | None = None, n_threads: int | None = None
    ) -> NDArray[Any]: ...
    def outputs(self, x: NDArray[Any] | SparseRows, n_threads: int | None = None) -> list[NDArray[Any]]: ...
    def gradient(
        self,
        loss: NativeLoss,
        x: NDArray[Any] | SparseRows,
        y: NDArray[Any],
        labels: bool,
        sample_weight: NDArray[np.float64] | None = None,
        gradient: NDArray[Any] | None = None,
        input_gradient: NDArray[Any] | None = None,
        n_threads: int | None = None,
    ) -> float: ...

class Run:
    steps: int
    n_epochs: int
    first_epoch: int
    epoch_loss: NDArray[np.float64]
    epoch_seconds: NDArray[np.float64]
    def __init__(
        self,
        network: Network,
        loss: NativeLoss,
        optimizer: dict[str, Any],
        moments: NDArray[Any],
        updates: int,
        x: NDArray[Any] | SparseRows,
        y: NDArray[Any],
        labels: bool,
        sample_weight: NDArray[np.float64] | None,
        batch_size: int,
        n_epochs: int,
        shuffle: bool,
        bit_generator: np.random.BitGenerator,
        n_threads: int | None,
        order: NDArray[np.int64] | None = None,
        loss_by_rows: bool = False,
    ) -> None: ...
    def set_rates(self, rates: NDArray[np.float64]) -> None: ...
    def last_rate(self, epoch: int) -> float: ...
    def last_rates(self, epoch: int, end: int) -> NDArray[np.float64]: ...
    def advance(self, seconds: float, n_epochs: int) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def batch_loss(self) -> float: ...

class Stepper:
    network: Network
    updates: int
    rate: float
    def __init__(
        self,
        network: Network,
        loss: NativeLoss,
        optimizer: dict[str, Any],
        moments: NDArray[Any],
        updates: int,
        bit_generator: np.random.BitGenerator,
        n_threads: int | None,
    ) -> None: ...
    def configure(
        self,
        loss: NativeLoss,
        optimizer: dict[str, Any],
        moments: NDArray[Any],
        bit_generator: np.random.BitGenerator,
        n_threads: int | None,
    ) -> None: ...
    @property
    def address(self) -> int: ...
    def acquire(self) -> bool: ...
    def release(self) -> None: ...
    def step(
        self,
        x: NDArray[Any] | SparseRows,
        y: NDArray[Any],
        labels: bool,
        sample_weight: NDArray[np.float64] | None,
        rate: float,
    ) -> float | None: ...
