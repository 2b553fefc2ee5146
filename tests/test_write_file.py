"""Saving to an existing path: modes, links, devices, full disks, and programs that are stopped while saving."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from _helpers import example, model_of, run_script

from fastnn import MLP, Trainer
from fastnn._bench import results as _bench_results
from fastnn._storage import write_file as _write_file
from fastnn._storage.write_file import write_file
from fastnn.callbacks import Checkpoint

NOBODY = 65534
OLD = b"what was here"
needs_procfs = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="for root alone")


@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch):
    """Write new files without a name, if the system supports that, and with one."""
    if request.param == "named":
        monkeypatch.setattr(_write_file, "_NAMELESS", 0)


@pytest.fixture
def path(tmp_path, way):
    return tmp_path / "a file"


@pytest.fixture
def directory(way):
    """Return a directory that every user can access."""
    name = tempfile.mkdtemp()
    os.chmod(name, 0o777)
    yield Path(name)
    os.chmod(name, 0o777)
    shutil.rmtree(name)


@contextmanager
def unprivileged():
    """Run the test as a user whom permissions bind."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def limited_files(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_saved(model, path):
    assert MLP.load(path).to_vector().tobytes() == model.to_vector().tobytes()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# ---- Attributes ----


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000, 0o027])
def test_new_files_follow_the_umask(mask, path):
    old = os.umask(mask)
    try:
        model_of((3, 2)).save(path)
        assert mode_of(path) == 0o666 & ~mask
        assert os.umask(mask) == mask  # the mode of the existing file is unchanged
    finally:
        os.umask(old)


def test_the_umask_is_never_changed(path, monkeypatch):
    def fail(mask):
        raise AssertionError("other threads would make files that anybody can write")

    monkeypatch.setattr(os, "umask", fail)
    for _ in range(2):
        model_of((3, 2)).save(path)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o640, 0o755, 0o200, 0o2755])
@pytest.mark.parametrize("kind", ["model", "trainer", "bytes"])
def test_an_existing_file_keeps_its_mode(mode, kind, path):
    path.write_bytes(OLD)
    os.chmod(path, mode)
    save = {"model": model_of((3, 2)).save, "trainer": example().save, "bytes": lambda p: write_file(p, [b"new"])}[kind]
    save(path)
    assert mode_of(path) == mode
    assert path.stat().st_size != len(OLD) or kind == "bytes"
    assert os.listdir(path.parent) == [path.name]


def test_a_private_file_is_private_while_it_is_written(path, monkeypatch):
    path.write_bytes(OLD)
    os.chmod(path, 0o600)
    written, modes = os.write, []

    def write(descriptor, data):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return written(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        write_file(path, [b"new"])
    assert modes == [0o600]


@needs_root
def test_an_existing_file_keeps_owner_and_group(path):
    path.write_bytes(OLD)
    os.chown(path, 1234, 5678)
    os.chmod(path, 0o4750)
    write_file(path, [b"new"])
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (1234, 5678, 0o4750)


@needs_root
def test_another_group_gets_no_rights(directory):
    path = directory / "a file"
    path.write_bytes(OLD)
    os.chown(path, NOBODY, 0)  # a group to which the owner does not belong
    os.chmod(path, 0o4664)
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(NOBODY)
    try:
        with unprivileged():
            write_file(path, [b"new"])
    finally:
        os.setegid(group)
        os.setgroups(groups)
    assert path.read_bytes() == b"new"
    assert (path.stat().st_gid, mode_of(path)) == (NOBODY, 0o644)


@needs_root
def test_set_user_id_is_not_kept_for_another_owner(directory):
    path = directory / "a file"
    path.write_bytes(OLD)
    os.chown(path, 1234, os.getegid())
    os.chmod(path, 0o4777)
    with unprivileged():
        write_file(path, [b"new"])
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (NOBODY, os.getegid(), 0o777)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no such attributes")
def test_an_existing_file_keeps_extended_attributes(path):
    path.write_bytes(OLD)
    try:
        os.setxattr(path, "user.origin", b"a laboratory")
    except OSError:
        pytest.skip("the file system has no such attributes")
    write_file(path, [b"new"])
    assert os.getxattr(path, "user.origin") == b"a laboratory"


def access_list(user, permissions):
    """Return Linux's binary form of an access control list that gives one other user rights."""
    entries = [(1, 6, -1), (2, permissions, user), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    return b"\2\0\0\0" + b"".join(
        np.array([tag, mode], "<u2").tobytes() + np.array([who], "<i4").tobytes() for tag, mode, who in entries
    )


@pytest.mark.parametrize("name", ["system.posix_acl_access", "system.posix_acl_default"])
@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no such attributes")
def test_access_lists_are_those_of_the_old_file(name, path):
    path.write_bytes(OLD)
    os.chmod(path, 0o640)
    wanted = access_list(1234, 6)
    try:
        os.setxattr(path if name.endswith("access") else path.parent, name, wanted)
    except OSError:
        pytest.skip("the file system has no access lists")
    write_file(path, [b"new"])
    if name.endswith("access"):
        assert os.getxattr(path, name) == wanted
    else:  # the directory gives this list only to new files
        assert "system.posix_acl_access" not in os.listxattr(path)
        assert mode_of(path) == 0o640


# ---- Links ----


@pytest.mark.parametrize("links", [["target"], ["one", "target"], ["one", "two", "target"]])
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("absolute", [True, False])
def test_links_are_followed(links, exists, absolute, path):
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    here = path
    for name in links:
        there = elsewhere / name
        here.symlink_to(there if absolute else os.path.relpath(there, here.parent))
        here = there
    if exists:
        here.write_bytes(OLD)
    model = model_of((3, 2))
    model.save(path)
    assert path.is_symlink()
    assert not here.is_symlink()
    assert_saved(model, here)
    assert sorted(os.listdir(elsewhere)) == sorted(links)
    assert os.listdir(path.parent) == ["elsewhere", path.name] or os.listdir(path.parent) == [path.name, "elsewhere"]


def test_links_to_directories_in_the_path_are_followed(path):
    (path.parent / "deep" / "er").mkdir(parents=True)
    (path.parent / "way").symlink_to("deep/er")
    link = path.parent / "way" / "link"
    link.symlink_to("../target")  # relative to deep/er
    write_file(link, [b"new"])
    assert (path.parent / "deep" / "target").read_bytes() == b"new"


def test_circular_links_raise(path):
    path.symlink_to(path.name)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        write_file(path, [b"new"])
    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, str(path))
    assert path.is_symlink()


def test_other_hard_links_keep_the_old_content(path):
    path.write_bytes(OLD)
    other = path.parent / "other"
    os.link(path, other)
    write_file(path, [b"new"])
    assert (path.read_bytes(), other.read_bytes()) == (b"new", OLD)


# ---- Devices, pipes, descriptors ----


def test_a_named_pipe_is_written_to(path):
    os.mkfifo(path)
    model, read = model_of((3, 200)), []  # more than a pipe can hold
    model.save(path.parent / "file")
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    model.save(path)
    reader.join()
    assert read == [(path.parent / "file").read_bytes()]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_devices_are_written_to():
    before = os.stat("/dev/null")
    model_of((3, 2)).save("/dev/null")
    assert os.path.samestat(os.stat("/dev/null"), before)
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="/dev/full") as caught:
            model_of((3, 2)).save("/dev/full")
        assert caught.value.errno == errno.ENOSPC


def test_a_socket_is_refused(directory):
    path = directory / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(OSError, match=str(path)):
            write_file(path, [b"new"])
    assert stat.S_ISSOCK(path.stat().st_mode)


@needs_procfs
@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}", "/proc/{pid}/fd/{}", "link"])
def test_descriptors_are_written_from_their_position(name, path):
    with open(path, "w+b") as file:
        file.write(b"before ")
        file.flush()
        name = name.format(file.fileno(), pid=os.getpid())
        if name == "link":
            name = path.parent / "link"
            name.symlink_to(f"/proc/self/fd/{file.fileno()}")
        write_file(name, [b"new", b" and"])
        file.write(b" after")
    assert path.read_bytes() == b"before new and after"
    path.unlink()


@needs_procfs
def test_a_deleted_file_is_written_through_its_descriptor():
    model = model_of((3, 2))
    with tempfile.TemporaryFile() as file:
        name = f"/proc/self/fd/{file.fileno()}"
        model.save(name)
        assert_saved(model, name)


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no /dev/stdout")
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output_can_be_written_to(kind, path):
    script = """if True:
        from fastnn import MLP
        print("before", flush=True)
        MLP((3, 2), random_state=0).save("/dev/stdout")
        print("after")"""
    with open(path, "wb") as file:
        done = subprocess.run([sys.executable, "-c", script], stdout=file if kind == "file" else subprocess.PIPE, check=True)
    got = path.read_bytes() if kind == "file" else done.stdout
    assert got.startswith(b"before\n")
    assert got.endswith(b"after\n")
    path.write_bytes(got[7:-6])
    assert_saved(MLP((3, 2), random_state=0), path)


# ---- Names ----


@pytest.mark.parametrize(
    "name", ["n" * 255, "-rf", ".hidden", "two\nlines", "ü" * 127, "a b", "%d{epoch", b"\xff\xfe"], ids=repr
)
@pytest.mark.parametrize("exists", [True, False])
def test_names_of_every_kind_are_accepted(name, exists, path):
    directory = path.parent if isinstance(name, str) else os.fsencode(path.parent)
    path = os.path.join(directory, name)
    if exists:
        Path(os.fsdecode(path)).write_bytes(OLD)
    model = model_of((3, 2))
    model.save(path)
    assert_saved(model, path)
    assert os.listdir(directory) == [name]


def test_names_that_are_too_long_raise(path):
    with pytest.raises(OSError, match="too long") as caught:
        write_file(path.parent / ("n" * 256), [b"new"])
    assert caught.value.errno == errno.ENAMETOOLONG
    assert os.listdir(path.parent) == []


def test_the_longest_path_is_accepted(path):
    longest = os.pathconf(path.parent, "PC_PATH_MAX") - 1
    directory = path.parent
    while len(str(directory)) < longest - 210:
        directory /= "d" * 200
    directory /= "d" * (longest - len(str(directory)) - 3)
    directory.mkdir(parents=True)
    path = directory / "p"
    assert len(str(path)) == longest
    for _ in range(2):
        write_file(path, [b"new"])
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["", "missing/file", "directory", "directory/", "new/", "file/more", "file/"])
def test_paths_that_cannot_be_files_raise(name, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    (path.parent / "directory").mkdir()
    (path.parent / "file").write_bytes(OLD)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        write_file(name, [b"new"])
    assert caught.value.filename == name
    assert sorted(os.listdir(path.parent)) == ["directory", "file"]
    assert Path("file").read_bytes() == OLD


# ---- Permissions ----


def test_a_read_only_file_is_not_replaced(directory):
    path = directory / "a file"
    with unprivileged():
        path.write_bytes(OLD)
        os.chmod(path, 0o444)
        with pytest.raises(PermissionError) as caught:
            model_of((3, 2)).save(path)
    assert caught.value.filename == str(path)
    assert (path.read_bytes(), mode_of(path), os.listdir(directory)) == (OLD, 0o444, [path.name])


def test_a_new_file_in_a_read_only_directory_raises(directory):
    os.chmod(directory, 0o555)
    with unprivileged(), pytest.raises(PermissionError) as caught:
        write_file(directory / "a file", [b"new"])
    assert caught.value.filename == str(directory / "a file")


@pytest.fixture
def fixed(directory):
    """Return a writable file in a read-only directory."""
    path = directory / "a file"
    path.write_bytes(OLD * 1000)
    os.chmod(path, 0o666)
    os.chmod(directory, 0o555)
    return path


def test_a_writable_file_in_a_read_only_directory_is_overwritten(fixed):
    inode, model = fixed.stat().st_ino, model_of((3, 2))
    with unprivileged():
        model.save(fixed)
    assert_saved(model, fixed)
    assert fixed.stat().st_ino == inode


def test_a_full_disk_leaves_the_file_in_a_read_only_directory(fixed):
    with unprivileged(), limited_files(20_000), pytest.raises(OSError, match="large") as caught:
        write_file(fixed, [b"new" * 10_000])
    assert caught.value.filename == str(fixed)
    assert fixed.read_bytes() == OLD * 1000


def test_a_disk_that_fills_up_leaves_the_file_in_a_read_only_directory(fixed, monkeypatch):
    """Space reserved before the disk was full is released."""
    content = fixed.read_bytes()

    def reserve(descriptor, start, size):
        os.truncate(descriptor, 5 * len(content))
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", reserve, raising=False)
    with unprivileged(), pytest.raises(OSError, match="full"):
        write_file(fixed, [b"new" * 10_000])
    assert fixed.read_bytes() == content


def test_file_systems_that_cannot_reserve_space_are_written_to(fixed, monkeypatch):
    def reserve(descriptor, start, size):
        raise OSError(errno.EOPNOTSUPP, "no such thing here")

    monkeypatch.setattr(os, "posix_fallocate", reserve, raising=False)
    with unprivileged():
        write_file(fixed, [b"new"])
    assert fixed.read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV, errno.EPERM])
def test_a_file_that_cannot_be_replaced_is_overwritten(number, path, monkeypatch):
    """Examples are a file mounted alone in a container, and another user's file in /tmp."""
    path.write_bytes(OLD)

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    write_file(path, [b"new"])
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]
    path.unlink()
    with pytest.raises(OSError, match=os.strerror(number)):
        write_file(path, [b"new"])
    assert os.listdir(path.parent) == []


def test_a_directory_that_cannot_be_listed_is_no_obstacle(directory):
    inner = directory / "inner"
    with unprivileged():
        inner.mkdir()
        os.chmod(inner, 0o300)
        for text in (b"one", b"two"):
            write_file(inner / "a file", [text])
            assert (inner / "a file").read_bytes() == text
        os.chmod(inner, 0o700)


# ---- Interrupted saves ----


CALLS = ["write", "fsync", "fchmod", "replace"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota"), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("after", [False, True])
def test_a_failed_save_leaves_the_old_file(call, error, after, path, monkeypatch):
    trainer = example()
    trainer.save(path)
    before = path.read_bytes()
    trainer.step([[1, 2, 3]], [[1, 2]])
    original = getattr(os, call)

    def fail(*arguments, **options):
        if after and call != "replace":
            original(*arguments, **options)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        for save in (trainer.save, trainer.model.save):
            with pytest.raises(type(error)) as caught:
                save(path)
            if isinstance(error, OSError):
                assert (caught.value.errno, caught.value.filename) == (error.errno, str(path))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    trainer.save(path)
    assert path.read_bytes() != before


def test_a_failed_link_leaves_the_old_file(tmp_path, monkeypatch):
    if not _write_file._NAMELESS:
        pytest.skip("files have names from the start")
    path = tmp_path / "a file"
    path.write_bytes(OLD)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match="full"):
        write_file(path, [b"new"])
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("exists", [True, False])
def test_a_full_disk_raises_and_leaves_the_old_file(exists, path):
    if exists:
        path.write_bytes(OLD)
    with limited_files(20_000), pytest.raises(OSError, match="large") as caught:
        model_of((30, 300)).save(path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert os.listdir(path.parent) == [path.name] * exists
    if exists:
        assert path.read_bytes() == OLD


def test_systems_that_cannot_link_descriptors_are_supported(path, monkeypatch):
    monkeypatch.setattr(_write_file, "_path_of", lambda descriptor: "/nowhere/at/all")
    for text in (b"one", b"two"):
        write_file(path, [text])
        assert path.read_bytes() == text


@pytest.mark.skipif(not _write_file._NAMELESS, reason="only files without a name leave nothing behind")
@pytest.mark.parametrize("kill", ["SIGKILL", "SIGTERM"])
def test_a_killed_save_leaves_the_old_file_and_no_other(kill, tmp_path):
    (tmp_path / "a file").write_bytes(OLD)
    script = """if True:
        import os, signal, sys, fastnn
        write = os.write
        def killed(descriptor, data):
            write(descriptor, data[:100])
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        os.write = killed
        fastnn.MLP((3, 2)).save(sys.argv[1])"""
    done = run_script(script, str(tmp_path / "a file"), kill, check=False)
    assert done.returncode == -getattr(signal, kill)
    assert (tmp_path / "a file").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["a file"]


def test_readers_never_see_half_a_file(path, monkeypatch):
    path.write_bytes(OLD)
    write = os.write

    def look(descriptor, data):
        assert path.read_bytes() == OLD
        return write(descriptor, data[:5])  # in small pieces

    monkeypatch.setattr(os, "write", look)
    write_file(path, [b"new", memoryview(b"er content")])
    assert path.read_bytes() == b"newer content"


def test_a_new_file_is_on_the_disk_before_it_replaces_the_old_one(path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, original=original, **k: (calls.append(name), original(*a, **k)))
    write_file(path, [b"one"])
    write_file(path, [b"two"])
    assert calls == ["replace", "fsync", "replace"]


def test_file_systems_that_cannot_sync_are_supported(path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EINVAL, "no such thing here")

    monkeypatch.setattr(os, "fsync", fail)
    for text in (b"one", b"two"):
        write_file(path, [text])
    assert path.read_bytes() == b"two"


def test_concurrent_saves_leave_one_whole_file(path):
    models = [model_of((3, 40), random_state=seed) for seed in range(8)]
    threads = [threading.Thread(target=lambda m=m: [m.save(path) for _ in range(20)]) for m in models]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            MLP.load(path)
    for thread in threads:
        thread.join()
    last = MLP.load(path).to_vector()
    assert any(np.array_equal(model.to_vector(), last) for model in models)
    assert os.listdir(path.parent) == [path.name]


# ---- Other functions that write files ----


def test_checkpoints_follow_links(tmp_path):
    (tmp_path / "target").write_bytes(OLD)
    os.chmod(tmp_path / "target", 0o600)
    (tmp_path / "link").symlink_to("target")
    model = model_of((3, 2))
    model.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=2, callbacks=[Checkpoint(tmp_path / "link")])
    assert (tmp_path / "link").is_symlink()
    assert mode_of(tmp_path / "target") == 0o600
    assert Trainer.load(tmp_path / "target").updates == 2


def test_benchmark_files_follow_links(tmp_path):
    (tmp_path / "link").symlink_to("target")
    _bench_results.save(tmp_path / "link", {}, [])
    assert (tmp_path / "link").is_symlink()
    assert b'"format": 1' in (tmp_path / "target").read_bytes()
