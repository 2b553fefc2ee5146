"""threadpoolctl sees and limits fastnn's threads, whichever of the two is imported first."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from fastnn._backend import core as _core
from fastnn._version import __version__


def announce() -> None:
    """Register with threadpoolctl now, or as soon as somebody imports it: fastnn itself does not."""
    if "threadpoolctl" in sys.modules:
        _register(sys.modules["threadpoolctl"])
    else:
        sys.meta_path.insert(0, _Import())


class _Import:
    """A finder that finds nothing of its own: it waits for threadpoolctl, adds the registration, and is gone."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "threadpoolctl":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register(module)

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def _register(threadpoolctl: Any) -> None:
    class FastnnController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "fastnn"
        internal_api = "fastnn"
        filename_prefixes = ("_core",)
        check_symbols = ("fastnn_max_threads",)  # other libraries are called _core too

        def get_num_threads(self) -> int:
            return _core.get_max_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _core.set_max_threads_(num_threads)

        def get_version(self) -> str:
            return __version__

        def set_additional_attributes(self) -> None:
            self.instruction_set = _core.current_level()[0]

    threadpoolctl.register(FastnnController)
