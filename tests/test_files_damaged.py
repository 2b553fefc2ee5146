"""Files that are damaged, foreign, or crafted to do harm."""

from __future__ import annotations

import copy
import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from _helpers import config_of, data, example, model_of
from safetensors.numpy import load_file, save_file

from fastnn import MLP, SGD, Trainer, losses
from fastnn.schedules import Cosine, Warmup


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file"


def assert_refused(path, *readers, allowed=ValueError):
    for read in readers or (MLP.load, Trainer.load):
        with pytest.raises(allowed) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_missing_files_raise(tmp_path):
    assert_refused(tmp_path / "nothing", allowed=FileNotFoundError)
    assert_refused(tmp_path, allowed=OSError)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 8, b"\xff" * 100, b"PK\x03\x04" + b"\0" * 50, b"\x80\x04\x95" * 20])
def test_foreign_files_are_refused(content, path):
    path.write_bytes(content)
    assert_refused(path)


def test_a_pickle_is_refused_without_running_it(path):
    path.write_bytes(b"cos\nsystem\n(S'touch pickled'\ntR.")
    assert_refused(path)
    assert not Path("pickled").exists()


def test_safetensors_of_other_programs_are_refused(path):
    arrays = {"weights.0": np.zeros((3, 2))}
    for metadata in (None, {}, {"format": "pt"}, {"fastnn": "no json"}, {"fastnn": "[]"}, {"fastnn": "3"}, {"fastnn": "{}"}):
        save_file(arrays, path, metadata)
        assert_refused(path)
    save_file(arrays, path, {"fastnn": "[" * 200_000})
    assert_refused(path)


def test_truncated_files_are_refused(path):
    trainer = example()
    trainer.save(path)
    content = path.read_bytes()
    for length in {*range(0, len(content), 97), len(content) - 1}:
        path.write_bytes(content[:length])
        assert_refused(path)


def test_flipped_bytes_are_refused_or_give_a_usable_trainer(path):
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
    """Assert that a damaged file is refused, or that it loads as a trainer that can be used."""
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
    """Yield the path to every value within JSON."""
    yield prefix
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(part, (*prefix, key))


@pytest.mark.filterwarnings("ignore:NumPy will stop allowing:DeprecationWarning")  # NumPy 1 raises this for a negative state
@pytest.mark.parametrize("generator", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_damaged_metadata_are_refused_or_give_a_usable_trainer(generator, path):
    model = MLP((3, 8, 2), dropout=0.1, random_state=np.random.Generator(generator(1)))
    trainer = Trainer(model, losses.Huber(0.3), SGD(Warmup(Cosine(0.1, 10), 3), momentum=0.9), clip_norm=1.0)
    trainer.run(*data(20, 3, 2))
    trainer.save(path)
    config, arrays = config_of(path), load_file(path)
    places = [place for place in leaves(config) if place]
    if generator is not np.random.PCG64:  # everything else is unchanged
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


def test_generators_with_a_position_out_of_bounds_are_refused(path):
    # NumPy would read memory there.
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


@pytest.mark.parametrize("name", ["seed", "Generator", "bytes", "no such one"])
def test_names_that_are_not_bit_generators_are_refused(name, path):
    MLP((3, 2), random_state=0).save(path)
    config, arrays = config_of(path), load_file(path)
    config["model"]["rng"]["bit_generator"] = name
    save_file(arrays, path, {"fastnn": json.dumps(config)})
    np.random.seed(5)  # noqa: NPY002
    with pytest.raises(ValueError, match=f"unknown bit generator '{name}'"):
        MLP.load(path)
    drawn = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert drawn == np.random.rand()  # noqa: NPY002  names are not called


@pytest.mark.parametrize("updates", [-1, -5, 1.5, "3", None, True, 2**63, 2**70, 1e400])
def test_wrong_counts_are_refused(updates, path):
    example().save(path)
    config, arrays = config_of(path), load_file(path)
    save_file(arrays, path, {"fastnn": json.dumps({**config, "updates": updates})})
    assert_refused(path, Trainer.load)


def test_arrays_of_wrong_shapes_are_refused(path):
    example().save(path)
    metadata, arrays = {"fastnn": json.dumps(config_of(path))}, load_file(path)
    for name, array in arrays.items():
        for other in (array[..., :-1], array[np.newaxis], array.astype(np.float32), array.astype(int), array.T.copy()):
            if other.shape != array.shape or other.dtype != array.dtype:
                save_file({**arrays, name: other}, path, metadata)
                assert_refused(path, Trainer.load)
        save_file({key: value for key, value in arrays.items() if key != name}, path, metadata)
        assert_refused(path, Trainer.load)


def test_sizes_are_compared_before_memory_is_allocated(path):
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


def test_files_of_other_versions_and_kinds_are_refused(path):
    example().save(path)
    config, arrays = config_of(path), load_file(path)
    for changes in ({"version": 2}, {"version": "1"}, {"kind": "forest"}, {"kind": None}):
        save_file(arrays, path, {"fastnn": json.dumps({**config, **changes})})
        assert_refused(path)
