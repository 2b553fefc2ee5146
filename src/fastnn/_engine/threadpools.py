"""Registration with threadpoolctl, which can then show and limit fastnn's threads, whichever is imported first.

threadpoolctl has a registry of controllers, but no entry point to find them. A finder on `sys.meta_path` therefore waits
for its import. Whenever threadpoolctl is loaded, for the first time or again, the finder registers the controller.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from fastnn._engine import core as _core
from fastnn._version import __version__

_NAME = "threadpoolctl"


def announce() -> None:
    """Register with threadpoolctl now if it is loaded, and whenever a program loads it. `import fastnn` does not load it."""
    if _NAME in sys.modules:
        _register(sys.modules[_NAME])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """A finder that lets the other finders find threadpoolctl, and wraps their loader in `_Loader`."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _NAME:
            return None
        for finder in sys.meta_path:
            find = None if isinstance(finder, _Finder) else getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec  # type: ignore[no-any-return]
        return None


class _Loader:
    """A loader that delegates to a given one, and then registers the controller with the loaded module.

    Each belongs to one spec, because the given loader may load other modules too, like that of a zip file.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        # While a copy is being made, it does not have _loader yet.
        if name == "_loader":
            raise AttributeError(name)
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        # The module, and tools that look for its source or its data, see the original loader.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register(module)


def _register(threadpoolctl: Any) -> None:
    # A module that only has the same name, or is still being loaded, has no registry.
    if not (hasattr(threadpoolctl, "register") and hasattr(threadpoolctl, "LibController")):
        return

    class FastnnController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "fastnn"
        internal_api = "fastnn"
        filename_prefixes = ("_core",)
        check_symbols = ("fastnn_max_threads",)  # distinguishes it from other libraries named _core

        def get_num_threads(self) -> int:
            return _core.get_max_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _core.set_max_threads_(num_threads)

        def get_version(self) -> str:
            return __version__

        def set_additional_attributes(self) -> None:
            self.instruction_set = _core.current_instruction_set()[0]

    threadpoolctl.register(FastnnController)
