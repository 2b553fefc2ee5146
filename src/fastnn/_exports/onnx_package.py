"""The package onnx, which the other files about ONNX import from here."""

from __future__ import annotations

try:
    import onnx
    from onnx import TensorProto, defs, helper, numpy_helper
except ImportError as error:
    raise ImportError(f'ONNX files need the package onnx: pip install "fastnn-cpu[onnx]" ({error})') from error

__all__ = ["TensorProto", "defs", "helper", "numpy_helper", "onnx"]
