"""The instruction set and the threads that this process uses."""

from __future__ import annotations

import platform
import warnings

import numpy as np

from fastnn import _engine
from fastnn._checks.limits import MAX_THREADS
from fastnn._checks.scalars import integer
from fastnn._engine import core as _core
from fastnn._version import __version__

# pip may reuse a wheel that it built without a compiler, unless it is told not to.
_WAY_TO_THE_KERNELS = (
    "pip install --no-cache-dir --force-reinstall --no-deps fastnn-cpu, which builds them with GCC 12 or newer, or Clang, "
    "unless there is a wheel for this machine"
)


def warn_of_environment() -> None:
    """Warn if the compiled extension is missing, or if an environment variable is ignored."""
    if _engine.missing:
        warnings.warn(
            f"fastnn was installed without its compiled extension: it computes in {_engine.fallback}, many times slower. "
            f"To get the kernels, run {_WAY_TO_THE_KERNELS}. FASTNN_ISA=portable says that they are not wanted",
            RuntimeWarning,
            stacklevel=3,
        )
    _, error = _core.threads_decided()
    if error:
        warnings.warn(f"{error}; it is ignored", RuntimeWarning, stacklevel=3)


def set_num_threads(n: int) -> None:
    """Set the largest number of threads for calls without `n_threads`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer >= 1.

    Examples
    --------
    >>> import fastnn
    >>> before = fastnn.get_num_threads()
    >>> fastnn.set_num_threads(1)
    >>> fastnn.get_num_threads()
    1
    >>> fastnn.set_num_threads(before)
    """
    _core.set_max_threads_(min(integer("n", n, low=1), MAX_THREADS))


def get_num_threads() -> int:
    """Return the largest number of threads for calls without `n_threads`.

    Unless `set_num_threads` has changed it, it is FASTNN_NUM_THREADS if that is set. Otherwise, it is the number of CPUs
    that the affinity mask and the cgroup quota allow this process, or OMP_NUM_THREADS or OMP_THREAD_LIMIT if it is lower.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.get_num_threads() >= 1
    True
    """
    return _core.get_max_threads()


def show_config() -> None:
    """Print the version, the instruction set and the number of threads, and the reasons for the choices.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.show_config()  # doctest: +ELLIPSIS
    fastnn ...
    """
    print(config_text())


def config_text() -> str:
    """Return the text that `show_config` prints."""
    decided, error = _core.threads_decided()
    lines = [
        ("fastnn", __version__),
        ("instruction set", _instruction_set()),
        ("built", ", ".join(_core.built_instruction_sets())),
        ("usable here", ", ".join(_core.usable_instruction_sets())),
        ("threads", f"{_core.get_max_threads()} (decided by: {decided})"),
        ("Python, NumPy", f"{platform.python_version()}, {np.__version__}"),
        ("machine", f"{platform.system()} {platform.machine()}"),
    ]
    if _engine.missing:
        lines.append(("to get kernels", f"run {_WAY_TO_THE_KERNELS}"))
    if error:
        lines.append(("ignored", error))
    return "\n".join(f"{name:<16} {value}" for name, value in lines)


def _instruction_set() -> str:
    if _engine.fallback is not None:
        chosen = "no compiled extension is installed" if _engine.missing else "FASTNN_ISA"
        return f"portable: {_engine.fallback} (decided by: {chosen})"
    name, vector_bytes = _core.current_instruction_set()
    chosen = "the best that this machine runs" if name == _core.usable_instruction_sets()[0] else "FASTNN_ISA"
    return f"{name}, vectors of {vector_bytes} bytes (decided by: {chosen})"
