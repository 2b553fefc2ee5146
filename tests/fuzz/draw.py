"""Draw the ingredients of a random program."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastnn import EMA, SWA, SharedEnsemble, embeddings, losses, optimizers, schedules
from fastnn._engine import core as _core

# The kernels' table of activations lacks prelu, whose slopes are parameters.
HIDDEN = [*(name for name in _core.ACTIVATIONS if name not in ("softmax", "exp")), "prelu", "prelu"]
Rng = np.random.Generator


def choice(rng: Rng, options: list[Any]) -> Any:
    """Return one of the options, without converting it."""
    return options[rng.integers(len(options))]


def count(rng: Rng, max_count: int) -> int:
    """Return a number from 1 to `max_count`; small numbers are as likely as large ones."""
    return int(np.exp(rng.uniform(0.0, np.log(max_count + 0.5))).round().clip(1, max_count))


def network(rng: Rng) -> dict[str, Any]:
    """Return arguments for MLP."""
    n_hidden = int(rng.integers(0, 4))
    max_width = choice(rng, [8, 20, 70, 300])
    sizes = tuple(count(rng, max_width) for _ in range(n_hidden + 2))
    if n_hidden and rng.random() < 0.1:  # rows of whole KiB, and inputs whose columns are divided among threads
        sizes = (choice(rng, [300, 600]), 256, *sizes[2:])
    output = choice(rng, ["identity", "identity", "softmax", "sigmoid", "exp", "tanh", "prelu"])
    normalized = rng.random() < 0.3
    names = [None, *_core.NORMALIZATIONS] if normalized else [None]
    activations = [choice(rng, HIDDEN) for _ in range(n_hidden)]
    parametric = rng.random() < 0.2
    options: dict[str, Any] = {
        "layer_sizes": sizes,
        "activation": activations,
        "parametric_activation": [bool(parametric and name not in ("identity", "prelu")) for name in activations],
        "normalization": [choice(rng, names) for _ in range(n_hidden)],
        "normalization_place": [choice(rng, ["before", "after"]) for _ in range(n_hidden)],
        **inputs_of(rng, sizes[0]),
        "residual": residual_of(rng, n_hidden + 1) if rng.random() < 0.3 else (),
        "residual_place": choice(rng, ["before", "after"]),
        "output_activation": output,
        "dropout": [choice(rng, [0.0, 0.0, 0.3]) for _ in range(n_hidden)],
        "dtype": choice(rng, [np.float32, np.float64]),
        "random_state": int(rng.integers(1000)),
    }
    if rng.random() < 0.2:
        shared = SharedEnsemble(1 + count(rng, choice(rng, [4, 40])), kind=choice(rng, ["mini", "full"]))
        options |= {"shared": shared, "input_scale": False, "residual": ()}
    if not any(options["normalization"]):  # there is no place without it
        del options["normalization_place"]
    if not options["residual"]:
        del options["residual_place"]
    return options


def inputs_of(rng: Rng, n_in: int) -> dict[str, Any]:
    """Return what a network does with its inputs: embeddings of columns, scales and dropout."""
    return {
        "embeddings": embeddings_of(rng, n_in) if rng.random() < 0.3 else (),
        "input_scale": bool(rng.random() < 0.2),
        "input_dropout": choice(rng, [*[0.0] * 6, 0.2]),
    }


def residual_of(rng: Rng, n_layers: int) -> list[tuple[int, int]]:
    """Return residual connections between some of the layers."""
    ends = [end for end in range(1, n_layers + 1) if rng.random() < 0.5]
    return [(int(rng.integers(0 if rng.random() < 0.3 else min(1, end - 1), end)), end) for end in ends]


def embeddings_of(rng: Rng, n_in: int) -> list[embeddings.Embedding]:
    """Return embeddings of some columns."""
    columns = rng.permutation(n_in).tolist()
    result: list[embeddings.Embedding] = []
    while columns and rng.random() < 0.7:
        n = count(rng, len(columns))
        own, columns = columns[:n], columns[n:]
        frequencies = {"n_frequencies": count(rng, 9), "width": 1 + count(rng, 9), "sigma": float(rng.uniform(0.05, 1.0))}
        n_categories = [count(rng, 30) for _ in own]
        result.append(
            choice(
                rng,
                [
                    embeddings.PBLD(own, **frequencies),
                    embeddings.PLR(own, **frequencies),
                    embeddings.OneHot(own, n_categories=n_categories),
                    embeddings.Categorical(own, n_categories=n_categories, width=count(rng, 9)),
                    embeddings.PiecewiseLinear(own, bins=[np.unique(rng.normal(size=count(rng, 9) + 1)) for _ in own]),
                ],
            )
        )
    return result


def loss(rng: Rng, output: str) -> losses.Loss:
    """Return a loss that accepts an output activation."""
    fits = [
        kind for kind in losses.LOSSES.values() if kind.one_output_per_target and (not kind.links or output in kind.links)
    ]
    kind = choice(rng, fits)
    if kind is losses.Huber:
        return losses.Huber(float(rng.uniform(0.2, 2.0)))
    if kind is losses.Quantile:
        return losses.Quantile(float(rng.uniform(0.1, 0.9)))
    return kind()


def learning_rate(rng: Rng) -> Any:
    """Return a number or a schedule."""
    rate = float(10.0 ** rng.uniform(-4, -1.7))
    schedule = [schedules.InverseTime(rate, 0.01), schedules.Cosine(rate, 60, 1e-5), schedules.Exponential(rate, 0.99)]
    return rate if rng.random() < 0.7 else choice(rng, schedule)


def optimizer(rng: Rng) -> optimizers.Optimizer:
    """Return any of the optimizers."""
    kind, rate = choice(rng, list(optimizers.OPTIMIZERS.values())), learning_rate(rng)
    if kind is optimizers.SGD:
        momentum = choice(rng, [0.0, 0.9])
        return optimizers.SGD(rate, momentum, bool(momentum) and bool(rng.random() < 0.5))
    return kind(rate)


def trainer_options(rng: Rng) -> dict[str, Any]:
    """Return options for a trainer."""
    return {
        "batch_size": count(rng, 400),
        "shuffle": bool(rng.random() < 0.7),
        "l1": choice(rng, [0.0, 0.0, 1e-3]),
        "l2": choice(rng, [0.0, 0.0, 1e-2]),
        "clip_norm": choice(rng, [None, None, 0.1]),
        "clip_value": choice(rng, [None, None, 0.01]),
        "lazy_updates": bool(rng.random() < 0.2),
        "drop_last": bool(rng.random() < 0.2),
        "averaging": choice(rng, [None, None, EMA(0.9), EMA(0.8, bias_correction=False), SWA(), SWA(2)]),
        "random_state": choice(rng, [None, int(rng.integers(1000))]),
    }


def layout(rng: Rng, a: NDArray[Any]) -> NDArray[Any]:
    """Return the same numbers in a random memory layout."""
    kind = choice(rng, ["rows", "rows", "columns", "spread", "backwards", "unaligned"])
    if kind == "columns":
        return np.asfortranarray(a)
    if kind in ("spread", "backwards"):
        step = 2 if kind == "spread" else -1
        room = np.empty(tuple(abs(step) * n for n in a.shape), a.dtype)
        view = room[(slice(None, None, step),) * a.ndim]
        view[...] = a
        return view
    if kind == "unaligned":
        raw = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[...] = a
        return raw
    return a


def inputs(rng: Rng, n: int, n_in: int, sparse: bool) -> tuple[Any, str]:
    """Return inputs of a random kind, and the name of the kind."""
    kind = choice(rng, ["f8", "f8", "f4", "f4", "f2", ">f8", "i1", "u2", "i8", "bool", *["sparse"] * (2 * sparse)])
    if kind == "sparse":
        table = scipy.sparse.random_array((n, n_in), density=0.2, format="csr", dtype=np.float64, rng=rng)
        return table, kind
    values = rng.normal(size=(n, n_in))
    if kind in ("i1", "u2", "i8"):
        values = np.abs(values * 3)
    array = layout(rng, (values > 0) if kind == "bool" else values.astype(kind))
    return array, f"{kind} strides {array.strides}"


def targets(rng: Rng, n: int, n_out: int, loss: losses.Loss) -> NDArray[Any]:
    """Return targets for which the loss is defined."""
    if loss.takes_labels:
        if n_out > 1 and rng.random() < 0.6:
            return rng.integers(0, n_out, n).astype(choice(rng, ["i8", "u1", "i4"]) if n_out < 200 else "i8")
        return rng.dirichlet(np.ones(n_out), n) if n_out > 1 else np.ones((n, 1))
    values = rng.normal(size=(n, n_out))
    low, high = loss.domain
    if loss.only_ends_of_domain:
        values = np.where(values > 0, high, low)
    elif high == 1:
        values = (values > 0).astype(float)
    elif low == 0:
        values = rng.poisson(1.0, (n, n_out)).astype(float)
    if n_out == 1 and rng.random() < 0.5:
        return values[:, 0]
    return layout(rng, values.astype(choice(rng, ["f8", "f4"])))


def weights(rng: Rng, n: int) -> NDArray[Any] | None:
    """Return sample weights, some of which are zero, or None."""
    if rng.random() < 0.6:
        return None
    values = rng.uniform(0.1, 2.0, n) * (rng.random(n) < 0.8)
    values[0] = 1.0
    return values


class StopAfter:
    """Stop a run after some epochs and look at each of them, whatever the loss: rounding must not decide when to stop."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, trainer: Any, history: Any) -> bool:
        """Return True after the last epoch."""
        return bool(history.epochs >= self.epochs)

    def __repr__(self) -> str:
        """Return the number of epochs, for the trace."""
        return f"StopAfter({self.epochs})"


def watchers(rng: Rng) -> list[Any]:
    """Return callbacks for a run."""
    return [] if rng.random() < 0.7 else [StopAfter(int(rng.integers(1, 4)))]
