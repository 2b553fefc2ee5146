"""A graph of ONNX operators that is being written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._exports.onnx_package import TensorProto, helper


class Graph(ABC):
    """A graph to which operators are added.

    Parameters
    ----------
    real : int
        The type of real numbers: FLOAT or DOUBLE of `onnx.TensorProto`.
    opset : int
        The version of the operators.
    """

    def __init__(self, real: int, opset: int) -> None:
        self.real, self.opset = real, opset

    @abstractmethod
    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""

    @abstractmethod
    def constant(self, values: Any, dtype: int | None = None, name: str = "constant") -> str:
        """Add an array, by default of real numbers, and return its name, which is similar to `name`."""


class FileGraph(Graph):
    """A graph for a file of its own.

    Parameters
    ----------
    real, opset : int
        As for `Graph`.
    taken : sequence of str
        The names of inputs and outputs, which nothing else in the graph gets.
    """

    def __init__(self, real: int, opset: int, taken: Sequence[str]) -> None:
        super().__init__(real, opset)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._names, self._scalars = set(taken), dict[tuple[int, float], str]()

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""
        name = self._new(f"{operator}_{len(self.nodes) + 1}")
        output = name if output is None else output
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def constant(self, values: Any, dtype: int | None = None, name: str = "constant") -> str:
        """Add an array, by default of real numbers, and return its name, which is similar to `name`."""
        dtype = self.real if dtype is None else dtype
        array, scalar = np.asarray(values), (dtype, values) if isinstance(values, float) else None
        if scalar in self._scalars:
            return self._scalars[scalar]
        name = self._new(name)
        if dtype == TensorProto.STRING:
            texts: Any = [str(text).encode() for text in array.flat]
            tensor = helper.make_tensor(name, dtype, array.shape, texts)
        else:
            content = array.astype(np.dtype(helper.tensor_dtype_to_np_dtype(dtype)).newbyteorder("<"))
            tensor = helper.make_tensor(name, dtype, array.shape, content.tobytes(), raw=True)
        self.initializers.append(tensor)
        if scalar is not None:
            self._scalars[scalar] = name
        return name

    def rename(self, old: str, new: str) -> None:
        """Give a value another name."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    def _new(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name
