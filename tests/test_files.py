"""Files of models and trainers: what goes in comes out, and nothing else than that can be read."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import stat
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from _helpers import data, model_of, optimizer_of, run_script, state_of
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from fastnn import MLP, SGD, Adam, Trainer, _core, losses
from fastnn.schedules import Cosine, Exponential, InverseScaling, InverseTime, Step, Warmup

SCHEDULES = [
    InverseTime(0.02, 0.01),
    InverseScaling(0.02, 0.7),
    Step(0.02, 5, 0.5),
    Exponential(0.02, 0.97),
    Cosine(0.02, 40, 0.001),
    Warmup(0.1, 3),
    Warmup(Warmup(Cosine(0.02, 40), 5), 10),
]


def example(**options):
    """Return a trainer with nothing at its default, and moments that are not zero."""
    model = MLP((3, 8, 5, 2), ["tanh", "gelu"], "sigmoid", dropout=[0.1, 0.2], dtype=np.float64, random_state=4)
    options = {"batch_size": 7, "l1": 0.1, "l2": 0.2, "clip_norm": 3.0, "clip_value": 4.0, "n_threads": 2} | options
    trainer = Trainer(model, losses.Huber(0.3), Adam(0.01, 0.8), random_state=9, **options)
    trainer.run(*data(20, 3, 2), 2)
    return trainer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file"


# ---- There and back ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (3, 8, 5, 2), (5, 16, 64)], ids=str)
@pytest.mark.parametrize("kind", [Path, str, os.fsencode])
def test_models(sizes, dtype, kind, path):
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


def test_parameters_of_any_value(path):
    model = MLP((2, 2), dtype=np.float64)
    values = [np.nan, np.inf, -0.0, 5e-324, 1e308, 0.1]
    model.set_vector(values)
    model.save(path)
    assert MLP.load(path).to_vector().tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("schedule", [None, *SCHEDULES], ids=repr)
def test_optimizers_and_schedules(row, schedule, path):
    optimizer = optimizer_of(row) if schedule is None else optimizer_of(row, learning_rate=schedule)
    trainer = Trainer(model_of((3, 8, 2)), optimizer=optimizer, random_state=0)
    trainer.run(*data(20, 3, 2), 2)
    trainer.save(path)
    loaded = Trainer.load(path)
    assert loaded.optimizer == optimizer
    assert state_of(loaded) == state_of(trainer)


@pytest.mark.parametrize("loss", _core.LOSSES)
def test_losses(loss, path):
    loss = losses.LOSSES[loss]()
    model = model_of((3, 8, 2), output=loss.links[0] if loss.links else "tanh")
    Trainer(model, loss).save(path)
    assert Trainer.load(path).loss == loss


def test_every_option(path):
    trainer = example(shuffle=False)
    trainer.save(path)
    loaded = Trainer.load(path)
    options = ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value", "n_threads")
    for name in ("loss", "optimizer", "updates", *options):
        assert getattr(loaded, name) == getattr(trainer, name)
        assert type(getattr(loaded, name)) is type(getattr(trainer, name))
    assert repr(loaded) == repr(trainer)
    assert state_of(loaded) == state_of(trainer)
    # Other generators stay others, the model's own stays shared.
    assert loaded._rng is not loaded.model._rng
    assert loaded.model._rng.bit_generator.state == trainer.model._rng.bit_generator.state
    shared = Trainer(trainer.model)
    shared.save(path)
    loaded = Trainer.load(path)
    assert loaded._rng is loaded.model._rng


def test_model_of_a_trainers_file(path):
    trainer = example()
    trainer.save(path)
    assert MLP.load(path).to_vector().tobytes() == trainer.model.to_vector().tobytes()
    trainer.model.save(path)
    with pytest.raises(ValueError, match="model"):
        Trainer.load(path)


def test_other_programs_can_read_it(path):
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


def test_across_processes(path):
    trainer = example()
    trainer.save(path)
    script = """if True:
        import sys
        from fastnn import Trainer
        print(Trainer.load(sys.argv[1]).model.predict([1, 2, 3]).tobytes().hex())"""
    assert run_script(script, str(path)).stdout.strip() == trainer.model.predict([1, 2, 3]).tobytes().hex()


# ---- Writing ----


@pytest.mark.parametrize("rate", [lambda steps: 0.1 + 0 * steps, Warmup(lambda steps: 0.1 + 0 * steps, 5)])
def test_schedules_of_ones_own_are_refused_before_writing(rate, path):
    path.write_bytes(b"what was here")
    trainer = Trainer(model_of((3, 2)), optimizer=SGD(rate))
    with pytest.raises(TypeError, match="learning_rate: got .*, which can't be saved"):
        trainer.save(path)
    assert path.read_bytes() == b"what was here"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("broken", ["replace", "chmod", "fdopen"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failed_save_leaves_the_old_file(broken, error, path, monkeypatch):
    trainer = example()
    trainer.save(path)
    before = path.read_bytes()
    trainer.run(*data(20, 3, 2))

    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        for save in (trainer.save, trainer.model.save):
            with pytest.raises(type(error)) as caught:
                save(path)
            if isinstance(error, OSError):
                assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    trainer.save(path)
    assert path.read_bytes() != before


def test_no_reader_sees_half_a_file(path, monkeypatch):
    example().save(path)
    before = path.read_bytes()
    replace = os.replace

    def look(part, target):
        assert Path(target).read_bytes() == before
        assert Path(part).parent == path.parent
        replace(part, target)

    monkeypatch.setattr(os, "replace", look)
    trainer = example(l2=0.0)
    trainer.save(path)
    assert path.read_bytes() != before


@pytest.mark.skipif(sys.platform == "win32", reason="no permissions of this kind")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000, 0o027])
def test_permissions_follow_the_umask(mask, path):
    old = os.umask(mask)
    try:
        model_of((3, 2)).save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        assert os.umask(mask) == mask  # as it was
    finally:
        os.umask(old)


def test_where_nothing_can_be_written(tmp_path):
    model = model_of((3, 2))
    for wrong in (tmp_path / "no" / "such" / "directory", tmp_path):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            model.save(wrong)
        assert caught.value.filename == str(wrong)
    for wrong in (None, 3, ["path"]):
        for function in (model.save, MLP.load, Trainer.load):
            with pytest.raises(TypeError):
                function(wrong)
    assert os.listdir(tmp_path) == []


# ---- Reading what isn't right ----


def config_of(path):
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["fastnn"])


def assert_refused(path, *readers, allowed=ValueError):
    for read in readers or (MLP.load, Trainer.load):
        with pytest.raises(allowed) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_missing_files(tmp_path):
    assert_refused(tmp_path / "nothing", allowed=FileNotFoundError)
    assert_refused(tmp_path, allowed=OSError)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 8, b"\xff" * 100, b"PK\x03\x04" + b"\0" * 50, b"\x80\x04\x95" * 20])
def test_foreign_files(content, path):
    path.write_bytes(content)
    assert_refused(path)


def test_a_pickle_is_not_run(path):
    path.write_bytes(b"cos\nsystem\n(S'touch pickled'\ntR.")
    assert_refused(path)
    assert not Path("pickled").exists()


def test_safetensors_of_others(path):
    arrays = {"weights.0": np.zeros((3, 2))}
    for metadata in (None, {}, {"format": "pt"}, {"fastnn": "no json"}, {"fastnn": "[]"}, {"fastnn": "3"}, {"fastnn": "{}"}):
        save_file(arrays, path, metadata)
        assert_refused(path)
    save_file(arrays, path, {"fastnn": "[" * 200_000})
    assert_refused(path)


def test_truncated_files(path):
    trainer = example()
    trainer.save(path)
    content = path.read_bytes()
    for length in {*range(0, len(content), 97), len(content) - 1}:
        path.write_bytes(content[:length])
        assert_refused(path)


def test_flipped_bytes(path):
    trainer = example()
    trainer.save(path)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    rng = random.Random(0)
    places = [*range(8), *rng.sample(range(8, start), 400), *rng.sample(range(start, len(content)), 20)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        check_damaged(path)


def check_damaged(path):
    """Whatever is damaged: either the file is refused, or what it holds is a trainer that can be used."""
    message, loaded = str(path), None
    try:
        loaded = Trainer.load(path)
    except ValueError as error:
        message = str(error)
    assert str(path) in message
    if loaded is not None:
        assert 0 <= loaded.updates < 2**63
        assert loaded.batch_size >= 1
        loaded._rng.permutation(3)
        loaded.model._rng.random(3)


NUMBERS = [-1, -5, 0, 1, 3, 1.5, -0.5, 1e400, 2**31, 2**63, 2**70]
REPLACEMENTS = [*NUMBERS, None, True, "", "x", "softmax", [], [1], {}, {"class": "MSE"}]


def leaves(value, prefix=()):
    """Yield the place of everything within JSON."""
    yield prefix
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(part, (*prefix, key))


@pytest.mark.parametrize("generator", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_damaged_metadata(generator, path):
    model = MLP((3, 8, 2), dropout=0.1, random_state=np.random.Generator(generator(1)))
    trainer = Trainer(model, losses.Huber(0.3), SGD(Warmup(Cosine(0.1, 10), 3), momentum=0.9), clip_norm=1.0)
    trainer.run(*data(20, 3, 2))
    trainer.save(path)
    config, arrays = config_of(path), load_file(path)
    places = [place for place in leaves(config) if place]
    if generator is not np.random.PCG64:  # the rest is the same
        places = [place for place in places if "rng" in place]
        places = places if len(places) < 30 else random.Random(0).sample(places, 10) + [p for p in places if p[-1] == "pos"]
    for place in places:
        for replacement in [*REPLACEMENTS, KeyError]:
            damaged = copy.deepcopy(config)
            parent = damaged
            for key in place[:-1]:
                parent = parent[key]
            if replacement is KeyError:
                del parent[place[-1]]
            else:
                parent[place[-1]] = replacement
            save_file(arrays, path, {"fastnn": json.dumps(damaged)})
            check_damaged(path)


def test_generators_whose_position_is_outside(path):
    # NumPy would read from there.
    for generator, place in ((np.random.MT19937, ("state", "pos")), (np.random.Philox, ("buffer_pos",))):
        MLP((3, 2), random_state=np.random.Generator(generator(1))).save(path)
        config, arrays = config_of(path), load_file(path)
        for position in (-1, -(10**6), 625, 10**6):
            damaged = copy.deepcopy(config)
            parent = damaged["model"]["rng"]
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = position
            save_file(arrays, path, {"fastnn": json.dumps(damaged)})
            assert_refused(path, MLP.load)


@pytest.mark.parametrize("updates", [-1, -5, 1.5, "3", None, True, 2**63, 2**70, 1e400])
def test_counts_that_are_none(updates, path):
    example().save(path)
    config, arrays = config_of(path), load_file(path)
    save_file(arrays, path, {"fastnn": json.dumps({**config, "updates": updates})})
    assert_refused(path, Trainer.load)


def test_arrays_that_do_not_fit(path):
    example().save(path)
    metadata, arrays = {"fastnn": json.dumps(config_of(path))}, load_file(path)
    for name, array in arrays.items():
        for other in (array[..., :-1], array[np.newaxis], array.astype(np.float32), array.astype(int), array.T.copy()):
            if other.shape != array.shape or other.dtype != array.dtype:
                save_file({**arrays, name: other}, path, metadata)
                assert_refused(path, Trainer.load)
        save_file({key: value for key, value in arrays.items() if key != name}, path, metadata)
        assert_refused(path, Trainer.load)


def test_sizes_are_compared_before_memory_is_taken(path):
    model = model_of((3, 8, 2))
    model.save(path)
    config, arrays = config_of(path), load_file(path)
    config["model"]["layer_sizes"] = [3, 1_000_000, 2]
    save_file(arrays, path, {"fastnn": json.dumps(config)})
    tracemalloc.start()
    try:
        assert_refused(path, MLP.load)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_other_versions(path):
    example().save(path)
    config, arrays = config_of(path), load_file(path)
    for changes in ({"version": 2}, {"version": "1"}, {"kind": "forest"}, {"kind": None}):
        save_file(arrays, path, {"fastnn": json.dumps({**config, **changes})})
        assert_refused(path)


def test_no_schedule_is_forgotten():
    from fastnn import schedules

    assert {type(schedule).__name__ for schedule in SCHEDULES} == set(schedules.__all__)
    assert all(dataclasses.is_dataclass(schedule) for schedule in SCHEDULES)
