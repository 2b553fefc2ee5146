"""A cache of compiled code in files, like Numba's own, but with a key that covers everything that affects the code."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, EllipsisType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache
from numba.core.registry import CPUDispatcher, cpu_target

from fastnn import _elementary
from fastnn._version import __version__
from fastnn.jit._llvm import FUSED
from fastnn.jit._translate import cells_of, names_of

_PLAIN = (type(None), bool, int, float, complex, str, bytes, EllipsisType, np.bool_, np.number)


class _UnknownError(Exception):
    """An object may differ between processes, so that it can't be part of a key."""


def fingerprint(*values: Any) -> str | None:
    """Return a key that depends only on functions, numbers, machine and version, or None if there may be more to it."""
    machine = cpu_target.target_context.codegen().magic_tuple()
    try:
        described = _described((*values, __version__, _own_code(), FUSED, machine), set())
    except _UnknownError:
        return None
    return hashlib.sha256(repr(described).encode()).hexdigest()[:16]


@lru_cache
def _own_code() -> bytes:
    """Return a digest of the files that are part of compiled code and may change between releases."""
    folders = (Path(__file__).parent, Path(_elementary.__file__).parent)
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def cache_of(function: FunctionType, key: str | None) -> Any:
    """Return a cache beside the function's file or in NUMBA_CACHE_DIR, or one that stores nothing if neither is possible."""
    if key is None:
        return NullCache()
    try:
        return _BlockCache(function, key)
    except (RuntimeError, OSError, TypeError):  # a function without a file, or no writable directory
        return NullCache()


class _KeyedFiles(CompileResultCacheImpl):
    """Files that contain their key, because Numba's index may be wrong after two processes wrote at once."""

    key = ""

    def reduce(self, data: Any) -> Any:
        return self.key, super().reduce(data._replace(type_annotation=""))  # large, and only for people

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        key, data = payload
        return super().rebuild(target_context, data) if key == self.key else None

    def check_cachable(self, data: Any) -> bool:
        return not data.lifted and not data.library.has_dynamic_globals


class _BlockCache(FunctionCache):
    """Numba's cache, which depends on the function's file, the signature and the CPU, with a key for everything else."""

    _impl_class = _KeyedFiles

    def __init__(self, function: FunctionType, key: str) -> None:
        super().__init__(function)
        self._key = self._impl.key = key

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file: unpickling it may raise anything
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:  # no space, no permission, or a damaged index
            return

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._key


def _described(value: Any, seen: set[int]) -> Any:
    """Return a description whose repr is equal in all processes in which `value` has the same meaning for compiled code."""
    if isinstance(value, _PLAIN):
        return type(value).__name__, repr(value)
    if isinstance(value, tuple):
        return [_described(item, seen) for item in value]
    if isinstance(value, frozenset):
        return sorted(repr(_described(item, seen)) for item in value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, CodeType):
        return _described_code(value, seen)
    if isinstance(value, CPUDispatcher):
        return repr(sorted(value.targetoptions.items())), _described(value.py_func, seen)
    if isinstance(value, FunctionType):
        return _described_function(value, seen)
    if isinstance(value, ModuleType):
        return value.__name__, repr(getattr(value, "__version__", None))
    if isinstance(value, np.ufunc):  # fastnn's ufuncs have the same names as NumPy's
        return value.__name__, value is getattr(np, value.__name__, None)
    if isinstance(value, BuiltinFunctionType) or (isinstance(value, type) and value.__module__ in ("builtins", "numpy")):
        return value.__module__, value.__qualname__
    raise _UnknownError


def _described_code(code: CodeType, seen: set[int]) -> Any:
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    arguments = code.co_argcount, code.co_kwonlyargcount, code.co_flags
    return code.co_code, names, arguments, [_described(constant, seen) for constant in code.co_consts]


def _described_function(function: FunctionType, seen: set[int]) -> Any:
    if id(function) in seen:  # it calls itself
        return function.__qualname__
    seen.add(id(function))
    defaults = function.__defaults__ or (), tuple(sorted((function.__kwdefaults__ or {}).items()))
    return (
        _described(function.__code__, seen),
        _described((*defaults, *cells_of(function)), seen),
        [(name, _described(value, seen)) for name, value in _outside(function).items()],
    )


def _outside(function: FunctionType) -> dict[str, Any]:
    """Return the globals that a function uses, and the attributes of modules among them."""
    names = sorted(names_of(function.__code__))
    found = {name: function.__globals__[name] for name in names if name in function.__globals__}
    modules = [value for value in (*found.values(), *cells_of(function)) if isinstance(value, ModuleType)]
    for module in modules:
        for name in names:
            full_name = f"{module.__name__}.{name}"
            if name in vars(module) and full_name not in found:
                found[full_name] = vars(module)[name]
                modules += [found[full_name]] if isinstance(found[full_name], ModuleType) else []
    return found
