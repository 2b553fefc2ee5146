"""The embeddings by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastnn.embeddings._base import Embedding
from fastnn.embeddings._bins import PiecewiseLinear
from fastnn.embeddings._categories import Categorical, OneHot
from fastnn.embeddings._periodic import PBLD, PLR

EMBEDDINGS: Mapping[str, type[Embedding]] = MappingProxyType(
    {each.name: each for each in (PBLD, PLR, OneHot, Categorical, PiecewiseLinear)}
)
"""The embeddings by name."""
