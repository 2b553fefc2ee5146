"""The registration of the estimators with skl2onnx. fastnn does not import skl2onnx itself.

skl2onnx looks for converters by class before it asks an estimator. A finder therefore waits for the import of skl2onnx. It
lets the other finders do the search, and is removed afterwards.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NAME = "skl2onnx"


def announce() -> None:
    """Register the estimators with skl2onnx now, or as soon as it is imported."""
    if _NAME in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Finder())


def _register() -> None:
    try:
        importlib.import_module("fastnn.sklearn._onnx")
    except Exception as error:  # an unknown version of skl2onnx, whose import continues
        warnings.warn(
            f"skl2onnx can't convert estimators of fastnn.sklearn ({error}): pip install 'fastnn-cpu[onnx]' brings a "
            "version that can, and to_sklearn() makes an estimator of scikit-learn's",
            RuntimeWarning,
            stacklevel=2,
        )


class _Finder:
    """A finder for one module, which lets the other finders do the search."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _NAME:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _RegisteringLoader(spec.loader, self)
        return spec


class _RegisteringLoader(Loader):
    """A loader that delegates to another one, and then registers the estimators."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader, self._finder = loader, finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # for tools that inspect a module without importing it

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        _register()
