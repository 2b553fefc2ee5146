"""Embeddings of input columns: what a model computes from single columns of X before its first layer.

Each object describes the embedding of some columns, and does no arithmetic. `fastnn.MLP` takes a list of them. Every column
that is in none of them passes to the first layer as it is.
"""

from __future__ import annotations

from fastnn.embeddings._base import Embedding
from fastnn.embeddings._bins import PiecewiseLinear, quantile_bins
from fastnn.embeddings._categories import Categorical, OneHot
from fastnn.embeddings._columns import passed_columns as passed_columns
from fastnn.embeddings._columns import resolve as resolve
from fastnn.embeddings._columns import stage_width as stage_width
from fastnn.embeddings._periodic import PBLD, PLR
from fastnn.embeddings._registry import EMBEDDINGS

__all__ = ["EMBEDDINGS", "PBLD", "PLR", "Categorical", "Embedding", "OneHot", "PiecewiseLinear", "quantile_bins"]
__dir__ = __all__.copy
