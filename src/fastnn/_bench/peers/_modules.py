"""Find out whether the modules that a peer imports are installed."""

from __future__ import annotations

import importlib.util

_NAMES = {
    "jax": "JAX",
    "numba": "Numba",
    "onnx": "onnx, which makes ONNX Runtime's graph,",
    "onnxruntime": "ONNX Runtime",
    "scipy": "SciPy, which multiplies matrices for Numba,",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl, which limits the threads of NumPy's BLAS,",
    "torch": "PyTorch",
}


def installed(module: str) -> bool:
    """Return whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def missing(*modules: str) -> str | None:
    """Return None if all modules are installed, else a message about the first that is not."""
    return next((f"{_NAMES[module]} is not installed" for module in modules if not installed(module)), None)
