"""Embeddings of columns as modules of PyTorch. This file imports PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn._exports.layers import Stage
from fastnn.embeddings import Embedding

try:
    import torch
except ImportError as error:
    raise ImportError('fastnn\'s modules need PyTorch: pip install "fastnn-cpu[torch]"') from error


class Embed(torch.nn.Module):  # type: ignore[misc]
    """Turn columns into the outputs of their embeddings, followed by the columns that are in none.

    Parameters
    ----------
    embeddings : sequence of modules
        The embeddings. Each has the columns that it takes as `columns`.
    passed : sequence of int
        The columns that pass as they are.
    """

    def __init__(self, embeddings: Sequence[Any], passed: Sequence[int]) -> None:
        super().__init__()
        self.embeddings = torch.nn.ModuleList(embeddings)
        self.passed = list(passed)

    def forward(self, x: Any) -> Any:
        """Return the inputs of the first layer."""
        return torch.cat([*(each(x[:, each.columns]) for each in self.embeddings), x[:, self.passed]], 1)


class _OfColumns(torch.nn.Module):  # type: ignore[misc]
    """A base of the embeddings."""

    def __init__(self, columns: Sequence[int]) -> None:
        super().__init__()
        self.columns = list(columns)

    def extra_repr(self) -> str:
        """Return the text in parentheses of the representation."""
        return f"columns={self.columns}"


class Periodic(_OfColumns):
    """A linear map of periodic functions of each column: `fastnn.embeddings.PBLD` with phases, and otherwise `PLR`."""

    def __init__(self, columns: Sequence[int], parts: dict[str, Any]) -> None:
        super().__init__(columns)
        for name in ("frequencies", "phases", "weights", "biases"):
            value = parts.get(name)
            self.register_parameter(name, None if value is None else torch.nn.Parameter(torch.from_numpy(np.array(value))))

    def forward(self, x: Any) -> Any:
        """Return the outputs for columns (n, columns)."""
        angles = 2 * math.pi * x[:, :, None] * self.frequencies
        if self.phases is None:
            waves = torch.cat([torch.cos(angles), torch.sin(angles)], 2)
            return torch.relu(self._linear(waves)).flatten(1)
        return torch.cat([self._linear(torch.cos(angles + self.phases)), x[:, :, None]], 2).flatten(1)

    def _linear(self, waves: Any) -> Any:
        return torch.einsum("nck,cko->nco", waves, self.weights) + self.biases


class PiecewiseLinear(_OfColumns):
    """The share of each bin that lies below the number of its column."""

    def __init__(self, columns: Sequence[int], edges: Sequence[Sequence[float]], dtype: Any) -> None:
        super().__init__(columns)
        bins = [
            (c, low, high, i > 0, i < len(own) - 2)
            for c, own in enumerate(edges)
            for i, (low, high) in enumerate(pairwise(own))
        ]
        place, low, high, limited, below = zip(*bins, strict=True)
        self.register_buffer("place", torch.tensor(place))
        self.register_buffer("low", torch.tensor(low, dtype=dtype))
        self.register_buffer("width", torch.tensor(high, dtype=dtype) - torch.tensor(low, dtype=dtype))
        self.register_buffer("smallest", torch.where(torch.tensor(limited), 0.0, -torch.inf).to(dtype))
        self.register_buffer("largest", torch.where(torch.tensor(below), 1.0, torch.inf).to(dtype))

    def forward(self, x: Any) -> Any:
        """Return the outputs for columns (n, columns)."""
        return torch.clamp((x[:, self.place] - self.low) / self.width, self.smallest, self.largest)


class OneHot(_OfColumns):
    """1 for the category of each column, and 0 for all others."""

    def __init__(self, columns: Sequence[int], n_categories: Sequence[int]) -> None:
        super().__init__(columns)
        self.n_categories = list(n_categories)

    def forward(self, x: Any) -> Any:
        """Return the outputs for columns (n, columns)."""
        each = [x[:, c, None] == torch.arange(n, device=x.device) for c, n in enumerate(self.n_categories)]
        return torch.cat(each, 1).to(x.dtype)


class Categorical(_OfColumns):
    """A trained vector for each category of each column, and one for all that are missing or unknown."""

    def __init__(self, columns: Sequence[int], n_categories: Sequence[int], first_rows: Sequence[int], table: Any) -> None:
        super().__init__(columns)
        self.weight = torch.nn.Parameter(torch.from_numpy(np.array(table)))
        self.register_buffer("n_categories", torch.tensor(list(n_categories)))
        self.register_buffer("first_rows", torch.tensor(list(first_rows)))

    def forward(self, x: Any) -> Any:
        """Return the outputs for columns (n, columns)."""
        known = (x >= 0) & (x < self.n_categories) & (torch.floor(x) == x)
        codes = torch.where(known, x, 0).long()
        rows = self.first_rows + torch.where(known, codes, self.n_categories)
        return torch.nn.functional.embedding(rows, self.weight).flatten(1)


def embed_module(stage: Stage, dtype: Any) -> Embed:
    """Return the module of all embeddings of a network, with copies of their parameters."""
    return Embed([_module_of(e, parameters, dtype) for e, parameters in stage.embeddings], stage.passed)


def _module_of(e: Embedding, parameters: Any, dtype: Any) -> Any:
    if e.has_table:
        return Categorical(e.columns, e.categories, e.first_rows, parameters)
    if e.categories:
        return OneHot(e.columns, e.categories)
    if e.edges:
        return PiecewiseLinear(e.columns, e.edges, dtype)
    return Periodic(e.columns, e.parts(parameters))
