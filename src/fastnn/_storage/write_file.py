"""Replacement of a whole file in one step, and writing to devices, pipes and descriptors."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

# Flags that open a directory even if it is not readable, on systems that have them.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
# The flag for a file without a name, of which nothing remains if its process is killed. Only Linux has it.
_NAMELESS = getattr(os, "O_TMPFILE", 0)
# Errors if a new file can't replace the old one: no permission in the directory, or the old file is a mount point.
_NO_REPLACEMENT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ACCESS_LIST = "system.posix_acl_access"


def file_name(path: FilePath) -> str:
    """Return a path as text. Bytes that are not valid text are preserved.

    Raises
    ------
    TypeError
        If the value is not a path.
    """
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: expected text, bytes or a path, got {path!r} of type {type(path).__name__}") from None


def write_file(path: FilePath, buffers: Sequence[bytes | memoryview]) -> None:
    """Write bytes to the file, device or pipe to which a path leads. Links are followed.

    An existing file is replaced after the new one has been written completely, and any error before leaves it unchanged. The
    new file gets its mode, access list and other attributes, and its owner and group if that is permitted. Other hard links
    to the old file keep its content. A writable file is overwritten in place if no new file can replace it.

    Raises
    ------
    OSError
        If the path can't be written. `filename` is the path as it was passed.
    """
    name = file_name(path)
    try:
        _write(name, buffers)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def _write(name: str, buffers: Sequence[bytes | memoryview]) -> None:
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        mode = 0
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    target, descriptor = _follow(name)
    if descriptor is not None:  # at its current position
        _write_and_close(os.dup(descriptor), buffers)
    elif not mode:
        _write_new(target, buffers, None)
    elif stat.S_ISREG(mode):
        _replace(target, buffers)
    else:
        _write_and_close(os.open(target, os.O_WRONLY | os.O_NOCTTY), buffers)


def _follow(name: str) -> tuple[str, int | None]:
    """Return the path at the end of all links, and the descriptor of this process to which it leads, if any."""
    while os.path.islink(name):
        directory, base = os.path.split(name)
        if base.isdecimal():
            directories = ("/dev/fd", os.path.realpath("/proc/self/fd"), os.path.realpath("/proc/thread-self/fd"))
            if os.path.realpath(directory) in directories:
                return name, int(base)
        name = os.path.join(directory, os.readlink(name))
    return name, None


def _replace(name: str, buffers: Sequence[bytes | memoryview]) -> None:
    """Replace an existing file by a new one, or overwrite it."""
    old = os.open(name, os.O_WRONLY)  # fails if the file is read-only
    try:
        try:
            _write_new(name, buffers, old)
        except OSError as error:
            if error.errno not in _NO_REPLACEMENT:
                raise
            _overwrite(old, buffers)
    finally:
        os.close(old)


def _write_new(name: str, buffers: Sequence[bytes | memoryview], old: int | None) -> None:
    """Write a new file, and then give it the name that belongs to the file of the descriptor `old` until then."""
    directory, base = os.path.split(name)
    if not base:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    folder = os.open(directory or os.curdir, _DIRECTORY)
    part = f".fastnn-{os.urandom(8).hex()}"  # short, however long the name is
    try:
        new, nameless = _open_new(folder, part, 0o666 if old is None else 0o600)
        with open(new, "wb", buffering=0):
            _write_all(new, buffers)
            if old is not None:
                _copy_attributes(old, new)
                _sync(new)  # after a power failure, the disk has either the old file or the new one
            if nameless:
                os.link(_path_of(new), part, dst_dir_fd=folder)
        os.replace(part, base, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError, PermissionError):
            os.unlink(part, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def _open_new(folder: int, part: str, mode: int) -> tuple[int, bool]:
    """Return the descriptor of a new file, and whether it has no name yet. The umask applies to its mode."""
    if _NAMELESS:
        with suppress(OSError):
            new = os.open(os.curdir, _NAMELESS | os.O_WRONLY, mode, dir_fd=folder)
            if os.path.exists(_path_of(new)):  # otherwise, it could never get a name
                return new, True
            os.close(new)
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder), False


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _overwrite(old: int, buffers: Sequence[bytes | memoryview]) -> None:
    """Overwrite a file, after reserving space for the whole content."""
    before, size = os.fstat(old).st_size, sum(len(buffer) for buffer in buffers)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(old, 0, size)
        except OSError as error:  # other errors: the file system does not support this
            if error.errno in _NO_ROOM:
                os.ftruncate(old, before)
                raise
    _write_all(old, buffers)
    os.ftruncate(old, size)


def _write_and_close(descriptor: int, buffers: Sequence[bytes | memoryview]) -> None:
    with open(descriptor, "wb", buffering=0):
        _write_all(descriptor, buffers)


def _write_all(descriptor: int, buffers: Sequence[bytes | memoryview]) -> None:
    for buffer in buffers:
        rest = memoryview(buffer)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # errors of file systems that do not support it
            raise


def _copy_attributes(old: int, new: int) -> None:
    """Give a new file the owner, group, mode and extended attributes of an old one, without extending anybody's rights."""
    wanted, got = os.fstat(old), os.fstat(new)
    mode = stat.S_IMODE(wanted.st_mode)
    owner_kept = wanted.st_uid == got.st_uid or _chown(new, wanted.st_uid, -1)
    group_kept = wanted.st_gid == got.st_gid or _chown(new, -1, wanted.st_gid)
    if not (owner_kept and group_kept):
        mode &= 0o777
    if not group_kept:  # a different group gets only the rights of others
        mode = mode & 0o707 | (mode & 0o007) << 3
    os.fchmod(new, mode)
    if hasattr(os, "listxattr"):
        _copy_extended_attributes(old, new, access_list=owner_kept and group_kept)


def _chown(descriptor: int, user: int, group: int) -> bool:
    try:
        os.fchown(descriptor, user, group)
    except PermissionError:
        return False
    return True


def _copy_extended_attributes(old: int, new: int, access_list: bool) -> None:
    """Copy the attributes that users may copy, and remove an access list that the directory gave to the new file."""
    with suppress(OSError):
        names = set(os.listxattr(old))
        if not access_list:
            names.discard(_ACCESS_LIST)
        if _ACCESS_LIST not in names:
            with suppress(OSError):
                os.removexattr(new, _ACCESS_LIST)
        for name in names:
            with suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))
