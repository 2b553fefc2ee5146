"""Every instruction set: the one asked for runs, and those with fused multiply-add give the same bits."""

from __future__ import annotations

import os

import numpy as np
import pytest
from _helpers import run_script

from fastnn import _core

VECTOR_BYTES = {"v4": 64, "v3": 32, "baseline": 16, "neon": 16}
FUSED = [isa for isa in _core.usable_instruction_sets() if isa != "baseline"]

# Runs on each instruction set: writes arrays to the file given, and prints the instruction set and its bytes per vector.
PROGRAM = """
import sys
import numpy as np
from fastnn import MLP, SGD, Trainer, _core
from fastnn._engine.losses import native_loss
from fastnn._views import by_kind
from fastnn.losses import LOSSES, MSE, BinaryCrossEntropy, CrossEntropy, GaussianNLL
from fastnn.losses import resolve as resolve_loss
from fastnn.optimizers import OPTIMIZERS

results, rng = {}, np.random.default_rng(0)
z = np.concatenate([rng.uniform(-4, 4, 1000), rng.uniform(-100, 100, 1000), [0.0, -0.0, 1e-30, 1e5, 1e10, np.inf]])
for dtype in (np.float32, np.float64):
    d = np.dtype(dtype).name
    for name in _core.ACTIVATIONS:
        a, derivative = z.astype(dtype), np.zeros(z.size, dtype)
        _core.activate(name, a[:2003])
        results[f"{d} value {name}"] = a.copy()
        if name != "softmax":
            a = z.astype(dtype)
            _core.activation_derivative(name, a, derivative)
            results[f"{d} derivative {name}"] = derivative

    for loss in _core.LOSSES:
        output = LOSSES[loss].links[0] if LOSSES[loss].links else "tanh"
        for sizes in [(7, 18, 3), (7, 33, 17, 6), (40, 256, 5)]:
            if not LOSSES[loss].one_output_per_target:
                sizes = (*sizes[:-1], 6)
            native = native_loss(resolve_loss(loss), output, sizes[-1])
            hidden = ("tanh", "gelu")[: len(sizes) - 2]
            network = _core.Network(sizes, (*hidden, output), (0.0,) * (len(sizes) - 1), dtype)
            for w in by_kind(network.parameters):
                w[...] = rng.normal(0, 1 / np.sqrt(w.shape[0]), w.shape)
            x, y = rng.normal(0, 1, (530, sizes[0])), rng.dirichlet(np.ones(native.n_targets), 530)
            gradient, by_input = np.zeros_like(network.storage), np.zeros(x.shape, dtype)
            value = network.gradient(native, x, y, False, rng.uniform(0, 2, 530), gradient, by_input)
            key = f"{d} {{}} {loss} {sizes}"
            results[key.format("predict")] = network.predict(x)
            results[key.format("gradient")] = np.concatenate([g.ravel() for g in by_kind(network.views(gradient))])
            results[key.format("input gradient")] = by_input
            results[key.format("loss")] = np.array(value)

    options = {"missing": "ignore", "output_weights": (0.3, 1.7, 0.9)}
    for loss in (
        MSE(**options),
        GaussianNLL(**options),
        BinaryCrossEntropy(gamma=0.7, pos_weight=3, **options),
        CrossEntropy(gamma=0.7, label_smoothing=0.1, **options),
    ):
        n_out = 6 if isinstance(loss, GaussianNLL) else 3
        for batch_size in (16, 100):
            X, y = rng.normal(0, 1, (100, 7)), rng.dirichlet(np.ones(3), 100)
            y[rng.random(y.shape) < 0.2] = np.nan
            model = MLP((7, 8, n_out), "silu", (*loss.links, "identity")[0], dtype=dtype, random_state=1)
            history = Trainer(model, loss, batch_size=batch_size, random_state=2, n_threads=1).run(X, y, 3)
            results[f"{d} options {loss} {batch_size}"] = model.to_vector()
            results[f"{d} options history {loss} {batch_size}"] = np.array(history["loss"])

    X, y = rng.normal(0, 1, (100, 9)), rng.normal(0, 1, (100, 2))
    for optimizer in (*(kind() for kind in OPTIMIZERS.values()), SGD(0.01, 0.9), SGD(0.01, 0.9, nesterov=True)):
        for extra in ({}, {"l1": 1e-4, "l2": 1e-3, "clip_norm": 0.5, "clip_value": 0.1}):
            model = MLP((9, 21, 18, 2), ["silu", "elu"], dropout=0.2, dtype=dtype, random_state=1)
            trainer = Trainer(model, "huber", optimizer, batch_size=16, random_state=2, n_threads=1, **extra)
            history = trainer.run(X, y, 3)
            results[f"{d} training {optimizer} {extra}"] = model.to_vector()
            results[f"{d} history {optimizer} {extra}"] = np.array(history["loss"])
    target = MLP((9, 21, 18, 2), ["silu", "elu"], dtype=dtype, random_state=3)
    target.blend(model, 0.3)
    results[f"{d} blend"] = target.to_vector()
np.savez(sys.argv[1], **results)
print(*_core.current_instruction_set())
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the output and the arrays of the program on every instruction set."""
    directory, all_results = tmp_path_factory.mktemp("instruction_sets"), {}
    for isa in _core.usable_instruction_sets():
        process = run_script(PROGRAM, str(directory / f"{isa}.npz"), FASTNN_ISA=isa, PYTHONWARNINGS="error")
        with np.load(directory / f"{isa}.npz") as arrays:
            all_results[isa] = process.stdout.split(), dict(arrays)
    return all_results


def test_the_list_begins_with_the_current_instruction_set():
    assert _core.usable_instruction_sets()
    assert set(_core.usable_instruction_sets()) <= set(_core.built_instruction_sets()) <= set(VECTOR_BYTES)
    if "FASTNN_ISA" not in os.environ:
        assert _core.current_instruction_set() == (
            _core.usable_instruction_sets()[0],
            VECTOR_BYTES[_core.usable_instruction_sets()[0]],
        )


@pytest.mark.parametrize("isa", _core.usable_instruction_sets())
def test_the_instruction_set_asked_for_runs(results, isa):
    assert results[isa][0] == [isa, str(VECTOR_BYTES[isa])]


@pytest.mark.skipif(len(FUSED) < 2, reason="needs two instruction sets with fused multiply-add")
@pytest.mark.parametrize("isa", FUSED[1:])
def test_instruction_sets_with_fma_give_the_same_bits(results, isa):
    best, other = results[FUSED[0]][1], results[isa][1]
    assert best.keys() == other.keys()
    different = [key for key in best if best[key].tobytes() != other[key].tobytes()]
    assert not different


@pytest.mark.skipif(
    "baseline" not in _core.usable_instruction_sets() or not FUSED, reason="needs the baseline and another instruction set"
)
def test_the_baseline_differs_only_by_rounding(results):
    best, baseline = results[FUSED[0]][1], results["baseline"][1]
    assert best.keys() == baseline.keys()
    for key, expected in best.items():
        tolerance = 1e-3 if key.startswith("float32") else 1e-9
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=0) if "value exp" not in key else 0
        np.testing.assert_allclose(baseline[key], expected, rtol=tolerance, atol=tolerance * scale, err_msg=key)


def test_an_unknown_instruction_set_is_an_import_error():
    process = run_script("import fastnn._core", check=False, FASTNN_ISA="sse9")
    assert process.returncode != 0
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: FASTNN_ISA='sse9' ")
    assert all(isa in last for isa in _core.usable_instruction_sets())


def test_an_empty_variable_chooses_the_best_instruction_set():
    process = run_script("from fastnn import _core; print(*_core.current_instruction_set())", FASTNN_ISA="")
    assert process.stdout.split()[0] == _core.usable_instruction_sets()[0]
