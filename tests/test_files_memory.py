"""The safetensors format: compatible with the safetensors package, readable from pipes, and within the memory available."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import struct
import threading

import numpy as np
import pytest
from _helpers import config_of, example, model_of, run_script
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from fastnn import MLP, Trainer
from fastnn._storage.safetensors import dump, parse


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file"


def parsed(path):
    with open(path, "rb") as file:
        return parse(file)


# ---- Compatibility with the package ----


@pytest.mark.parametrize("text", ["x", 'a "b" \\ \n\t\x01', "schön ☃ 𝄞", ""], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_files_have_the_bytes_that_the_package_writes(text, dtype):
    rng = np.random.default_rng(0)
    shapes = {f"weights.{i}": (i, 3) for i in range(12)} | {"biases.0": (7,), "moments.0.weights.0": (2, 2), "b": ()}
    arrays = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    assert b"".join(dump(arrays, {"fastnn": text})) == save(arrays, {"fastnn": text})


def test_the_package_reads_saved_files(path):
    trainer = example()
    trainer.save(path)
    metadata, arrays = parsed(path)
    theirs = load_file(path)
    assert json.loads(metadata["fastnn"]) == config_of(path)
    assert theirs.keys() == arrays.keys()
    for name, array in arrays.items():
        assert array.dtype == theirs[name].dtype
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, theirs[name])


def header_of(content):
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def content_of(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


PLACES = ("__metadata__", "biases.0", "weights.0")
CHANGES = [
    -1,
    0,
    1,
    2,
    1.0,
    0.0,
    False,
    2**31,
    2**63,
    2**64,
    10**30,
    None,
    True,
    "",
    "F32",
    "F16",
    "F8",
    [],
    [0],
    [3],
    [2, 3],
    [0, 24],
    {},
    "gone",
]


def damaged_headers(header):
    """Yield the header with each of its parts changed."""
    places = [(name, *inner) for name in PLACES[1:] for inner in ((), ("dtype",), ("shape",), ("data_offsets",))]
    places += [("weights.0", inner, i) for inner in ("shape", "data_offsets") for i in (0, 1)]
    places += [
        ("biases.0", "shape", 0),
        ("biases.0", "data_offsets", 0),
        ("__metadata__",),
        ("__metadata__", "fastnn"),
        ("more",),
    ]
    for *parents, last in places:
        for change in CHANGES:
            damaged = copy.deepcopy(header)
            parent = damaged
            for key in parents:
                parent = parent[key]
            parent[last] = change
            if change == "gone":
                del parent[last]
            if damaged.get("__metadata__", "none") is not None:  # the package ignores this one
                yield damaged


@pytest.mark.parametrize("sizes", [(3, 2), (1, 1)])
def test_headers_that_the_package_refuses_are_refused(sizes, path):
    MLP(sizes, dtype=np.float32).save(path)
    header, data = header_of(path.read_bytes())
    refused = 0
    for damaged in damaged_headers(header):
        path.write_bytes(content_of(damaged, data))
        try:
            with safe_open(path, "numpy") as file:
                theirs = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, TypeError):
            refused += 1
            with pytest.raises(ValueError, match=str(path)):
                MLP.load(path)
        else:
            assert {name: array.tobytes() for name, array in parsed(path)[1].items()} == theirs
    assert refused > 100


@pytest.mark.parametrize(
    "change", [lambda c: c + b"x", lambda c: c[:-1], lambda c: c[:-24], lambda c: c[:30], lambda c: c[:7], lambda c: b""]
)
@pytest.mark.parametrize("load", [MLP.load, Trainer.load])
def test_files_that_are_too_short_or_too_long_are_refused(change, load, path):
    example().save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=f"^{path}: not such a file of fastnn .*, expected"):
        load(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**8 + 1, 10**8, 5000])
def test_headers_of_absurd_lengths_are_refused(length, path):
    path.write_bytes(struct.pack("<Q", length) + b"{}" * 10)
    with pytest.raises(ValueError, match=f"a header of {length} bytes, expected 20 at most"):
        MLP.load(path)


@pytest.mark.parametrize(
    "places",
    [((0, 8), (12, 20)), ((4, 12), (12, 20)), ((0, 8), (4, 12)), ((0, 8), (0, 8)), ((8, 16), (0, 8)), ((0, 8), (8, 16))],
)
def test_arrays_with_gaps_or_overlaps_are_refused_as_by_the_package(places, path):
    header = {name: {"dtype": "F32", "shape": [2], "data_offsets": place} for name, place in zip("ab", places, strict=True)}
    end = max(end for _, end in places)
    path.write_bytes(content_of(header, np.arange(end // 4, dtype=np.float32).tobytes()))
    try:
        theirs = load_file(path)
    except SafetensorError:
        assert set(places) != {(0, 8), (8, 16)}
        with pytest.raises(ValueError, match="of the data, expected"):
            parsed(path)
    else:
        assert {name: array.tolist() for name, array in parsed(path)[1].items()} == {
            n: a.tolist() for n, a in theirs.items()
        }


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_headers_in_other_encodings_are_refused(encoding, path):
    text = '{"__metadata__": {"fastnn": "ü"}}'.encode(encoding)
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match="not such a file of fastnn"):
        MLP.load(path)


# ---- From pipes ----


def through_a_pipe(path, content):
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError):  # the reader has closed the pipe
            path.write_bytes(content)

    writer = threading.Thread(target=write)
    writer.start()
    return writer


def test_files_can_be_read_from_pipes(path, tmp_path):
    trainer = example()
    trainer.save(path)
    writer = through_a_pipe(tmp_path / "pipe", path.read_bytes())
    loaded = Trainer.load(tmp_path / "pipe")
    writer.join()
    assert loaded.model.to_vector().tobytes() == trainer.model.to_vector().tobytes()
    loaded.step([[1, 2, 3]], [[1, 2]])  # arrays that were read are writable


def test_endless_pipes_are_not_read_to_the_end(path, tmp_path):
    MLP((3, 2)).save(path)
    os.mkfifo(tmp_path / "pipe")
    stopped = []

    def write():
        with open(tmp_path / "pipe", "wb", buffering=0) as pipe:
            pipe.write(path.read_bytes())
            try:
                for _ in range(100):
                    pipe.write(bytes(1 << 20))
            except BrokenPipeError:
                stopped.append(True)

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(ValueError, match="more than 32 bytes of data"):
        MLP.load(tmp_path / "pipe")
    writer.join()
    assert stopped == [True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c + bytes(10_000_000), "more than 32 bytes of data, expected 32"),
        (lambda c: c[:-1], "31 bytes of data, expected 32"),
        (
            lambda c: content_of({"a": {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 2**52]}}, c),
            "expected 4503599627370496",
        ),
        (
            lambda c: content_of({"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}, c[-32:]),
            "from another program",
        ),
        (lambda c: b"\xff" * 100, "expected 100000000 at most"),
        (lambda c: b"", "0 bytes, expected 8"),
        (lambda c: struct.pack("<Q", 50) + c[8:30], "not such a file"),
    ],
)
def test_pipes_with_other_content_are_refused(change, message, path, tmp_path):
    MLP((3, 2)).save(path)
    writer = through_a_pipe(tmp_path / "pipe", change(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        MLP.load(tmp_path / "pipe")
    writer.join()
    assert str(tmp_path / "pipe") in str(caught.value)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/urandom"])
def test_devices_are_refused(device):
    if not os.path.exists(device):
        pytest.skip("no such device")
    with pytest.raises(ValueError, match=f"^{device}: not such a file of fastnn"):
        MLP.load(device)


# ---- Memory ----


def write_sparse(path, n, trainer=False):
    """Write a file of a network with n inputs and outputs that takes no space on the disk; return its size."""
    small = path.parent / "small"
    model = MLP((2, 2), random_state=0)
    (Trainer(model) if trainer else model).save(small)
    header, _ = header_of(small.read_bytes())
    config = json.loads(header["__metadata__"]["fastnn"])
    config["model"]["layer_sizes"] = [n, n]
    header["__metadata__"]["fastnn"] = json.dumps(config)
    end = 0
    for name, entry in header.items():
        if name != "__metadata__":
            entry["shape"] = [n] * len(entry["shape"])
            start, end = end, end + 4 * n ** len(entry["shape"])
            entry["data_offsets"] = [start, end]
    path.write_bytes(content_of(header, b""))
    os.truncate(path, path.stat().st_size + end)
    return path.stat().st_size


LIMITED = """if True:
    import resource, sys
    from fastnn import MLP, Trainer
    MLP((2, 2))
    in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limit = in_use + int(float(sys.argv[3]))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        {}
    except MemoryError as error:
        print(error)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
# The share of the file for which there is memory; loading needs twice its size.
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99, 1.2, 1.9])
@pytest.mark.parametrize("kind", ["MLP", "Trainer"])
def test_files_larger_than_memory_raise(kind, share, path):
    size = write_sparse(path, 10_000, trainer=kind == "Trainer")
    load = f"{kind}.load(sys.argv[1])"
    done = run_script(LIMITED.format(load), str(path), "", str(share * size))
    assert done.stdout == f"{path}: there is not enough memory to load it\n"
    assert done.stderr == ""


@pytest.mark.parametrize("load", [MLP.load, Trainer.load])
def test_files_larger_than_any_memory_raise(load, path):
    try:
        write_sparse(path, 1_400_000, trainer=load is Trainer.load)  # 8 or 24 TB
    except OSError:
        pytest.skip("the file system has no files as large as this")
    with pytest.raises(MemoryError, match=f"^{path}: there is not enough memory to load it$"):
        load(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_saving_without_memory_for_a_copy_raises_and_keeps_the_old_file(share, path):
    """The process goes on with its parameters, and the old file is intact."""
    path.write_bytes(b"what was here")
    size = 4 * 5000 * 5000
    script = """if True:
        import resource, sys
        from fastnn import MLP
        model = MLP((5000, 5000), init="zeros")
        MLP((2, 2)).save(sys.argv[2])
        in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = in_use + int(float(sys.argv[3]))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            model.save(sys.argv[1])
        except MemoryError as error:
            print("not saved", model.weights[0][0, 0])"""
    done = run_script(script, str(path), str(path) + " small", str(share * size))
    assert done.stdout == "not saved 0.0\n"
    assert path.read_bytes() == b"what was here"


def test_the_size_of_a_model_is_checked_before_memory_is_allocated(path):
    """A few bytes that claim to hold a large network are damaged, however much memory there is."""
    model_of((3, 2)).save(path)
    header, data = header_of(path.read_bytes())
    config = json.loads(header["__metadata__"]["fastnn"])
    for sizes in ([10**9, 10**9], [3, 10**18], [3, 10**18, 2]):
        config["model"]["layer_sizes"] = sizes
        header["__metadata__"]["fastnn"] = json.dumps(config)
        path.write_bytes(content_of(header, data))
        with pytest.raises(ValueError, match=f"^{path}: damaged"):
            MLP.load(path)
