"""Files of models and trainers: loading restores what was saved, and nothing else can be loaded."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest
from _helpers import LIKE_TARGETS, config_of, data, example, model_of, optimizer_of, run_script, state_of
from safetensors.numpy import load_file

from fastnn import MLP, SGD, Trainer, losses, schedules
from fastnn._engine import core as _core
from fastnn.schedules import (
    Cosine,
    CosineRestarts,
    CosLog4,
    Exponential,
    FlatCosine,
    InverseScaling,
    InverseTime,
    OneCycle,
    Step,
    Warmup,
)

SCHEDULES = [
    InverseTime(0.02, 0.01),
    InverseScaling(0.02, 0.7),
    Step(0.02, 5, 0.5),
    Exponential(0.02, 0.97),
    Cosine(0.02, 40, 0.001),
    FlatCosine(0.02, 40, 0.25, 0.001),
    CosineRestarts(0.02, 4, 2, 0.001),
    CosLog4(0.02, 40),
    OneCycle(0.02, 40, 0.5, 0.1, 0.001),
    Warmup(0.1, 3),
    Warmup(Warmup(Cosine(0.02, 40), 5), 10),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file"


# ---- Saving and loading ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (3, 8, 5, 2), (5, 16, 64)], ids=str)
@pytest.mark.parametrize("kind", [Path, str, os.fsencode])
def test_models_load_as_they_were_saved(sizes, dtype, kind, path):
    model = model_of(sizes, "silu", "exp", dropout=0.25, dtype=dtype)
    model.save(kind(path))
    loaded = MLP.load(kind(path))
    assert repr(loaded) == repr(model)
    assert loaded.dropout == model.dropout
    assert loaded.to_vector().tobytes() == model.to_vector().tobytes()
    X, y = data(20, sizes[0], sizes[-1])
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()
    for m in (model, loaded):
        m.fit(X, y, epochs=2, batch_size=6)
    assert loaded.to_vector().tobytes() == model.to_vector().tobytes()


def test_parameters_of_any_value_keep_their_bits(path):
    model = MLP((2, 2), dtype=np.float64)
    values = [np.nan, np.inf, -0.0, 5e-324, 1e308, 0.1]
    model.set_vector(values)
    model.save(path)
    assert MLP.load(path).to_vector().tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("schedule", [None, *SCHEDULES], ids=repr)
def test_optimizers_and_schedules_load_as_they_were_saved(row, schedule, path):
    optimizer = optimizer_of(row) if schedule is None else optimizer_of(row, learning_rate=schedule)
    trainer = Trainer(model_of((3, 8, 2)), optimizer=optimizer, random_state=0)
    trainer.run(*data(20, 3, 2), 2)
    trainer.save(path)
    loaded = Trainer.load(path)
    assert loaded.optimizer == optimizer
    assert state_of(loaded) == state_of(trainer)


@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_losses_load_as_they_were_saved(loss, path):
    loss = losses.LOSSES[loss]()
    model = model_of((3, 8, 2), output=loss.links[0] if loss.links else "tanh")
    Trainer(model, loss).save(path)
    assert Trainer.load(path).loss == loss


def test_every_option_loads_as_it_was_saved(path):
    trainer = example(shuffle=False)
    trainer.save(path)
    loaded = Trainer.load(path)
    options = ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value", "n_threads")
    for name in ("loss", "optimizer", "updates", *options):
        assert getattr(loaded, name) == getattr(trainer, name)
        assert type(getattr(loaded, name)) is type(getattr(trainer, name))
    assert repr(loaded) == repr(trainer)
    assert state_of(loaded) == state_of(trainer)
    # A generator of the trainer's own stays separate; one shared with the model stays shared.
    assert loaded._rng is not loaded.model._rng
    assert loaded.model._rng.bit_generator.state == trainer.model._rng.bit_generator.state
    shared = Trainer(trainer.model)
    shared.save(path)
    loaded = Trainer.load(path)
    assert loaded._rng is loaded.model._rng


def test_a_trainers_file_loads_as_a_model(path):
    trainer = example()
    trainer.save(path)
    assert MLP.load(path).to_vector().tobytes() == trainer.model.to_vector().tobytes()
    trainer.model.save(path)
    with pytest.raises(ValueError, match="model"):
        Trainer.load(path)


def test_other_programs_can_read_the_file(path):
    trainer = example()
    trainer.save(path)
    arrays = load_file(path)
    for i, (w, b) in enumerate(zip(trainer.model.weights, trainer.model.biases, strict=True)):
        np.testing.assert_array_equal(arrays[f"weights.{i}"], w)
        np.testing.assert_array_equal(arrays[f"biases.{i}"], b)
    config = config_of(path)
    assert config["kind"] == "trainer"
    assert config["updates"] == trainer.updates
    assert config["model"]["layer_sizes"] == [3, 8, 5, 2]
    assert config["model"]["activations"] == ["tanh", "gelu", "sigmoid"]
    assert config["model"]["dropout"] == [0.1, 0.2]
    assert config["options"]["batch_size"] == 7
    names = {"weights", "biases", "moments"}
    assert {name.split(".")[0] for name in arrays} == names
    assert b"pickle" not in path.read_bytes()


def test_another_process_goes_on_with_the_same_bits(path):
    trainer = example()
    trainer.save(path)
    script = """if True:
        import sys
        from fastnn import Trainer
        print(Trainer.load(sys.argv[1]).model.predict([1, 2, 3]).tobytes().hex())"""
    assert run_script(script, str(path)).stdout.strip() == trainer.model.predict([1, 2, 3]).tobytes().hex()


# ---- Writing ----


@dataclasses.dataclass(frozen=True)
class Twin:
    learning_rate: float = 0.1

    def __call__(self, steps):
        return self.learning_rate + 0.0 * steps


Twin.__name__ = "Cosine"


@pytest.mark.parametrize("rate", [Twin(), lambda steps: 0.1 + 0 * steps, Warmup(lambda steps: 0.1 + 0 * steps, 5)])
def test_custom_schedules_are_refused_before_writing(rate, path):
    path.write_bytes(b"what was here")
    trainer = Trainer(model_of((3, 2)), optimizer=SGD(rate))
    with pytest.raises(TypeError, match="learning_rate: expected .*, which files can hold, got "):
        trainer.save(path)
    assert path.read_bytes() == b"what was here"
    assert os.listdir(path.parent) == [path.name]


def test_paths_that_cannot_be_written_raise(tmp_path):
    model = model_of((3, 2))
    for wrong in (tmp_path / "no" / "such" / "directory", tmp_path):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            model.save(wrong)
        assert caught.value.filename == str(wrong)
    for wrong in (None, 3, ["path"]):
        message = f"^path: expected text, bytes or a path.*got {re.escape(repr(wrong))} of type .*"
        for function in (model.save, MLP.load, Trainer.load):
            with pytest.raises(TypeError, match=message):
                function(wrong)
    assert os.listdir(tmp_path) == []


def test_every_schedule_can_be_saved():
    assert {type(schedule).__name__ for schedule in SCHEDULES} == set(schedules.__all__)
    assert all(dataclasses.is_dataclass(schedule) for schedule in SCHEDULES)
