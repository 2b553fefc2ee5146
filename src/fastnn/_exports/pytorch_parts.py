"""Modules for parts of networks that torch.nn lacks. This file imports PyTorch."""

from __future__ import annotations

from typing import Any

try:
    import torch
except ImportError as error:
    raise ImportError('fastnn\'s modules need PyTorch: pip install "fastnn-cpu[torch]"') from error


class Scale(torch.nn.Module):  # type: ignore[misc]
    """Multiply each feature by a trained factor, which starts at 1.

    Parameters
    ----------
    features : int
        The number of features.
    dtype : torch.dtype, optional
        The type of the factors.
    """

    def __init__(self, features: int, dtype: Any = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(features, dtype=dtype))

    def forward(self, x: Any) -> Any:
        """Return the scaled features."""
        return x * self.weight

    def extra_repr(self) -> str:
        """Return the text in parentheses of the representation."""
        return f"{len(self.weight)}"


class Parametric(torch.nn.Module):  # type: ignore[misc]
    """Compute ``z + a * (f(z) - z)`` of an activation f, with a trained alpha a per unit, which starts at 1.

    Parameters
    ----------
    activation : torch.nn.Module
        The activation.
    units : int
        The number of units.
    dtype : torch.dtype, optional
        The type of the alphas.
    """

    def __init__(self, activation: Any, units: int, dtype: Any = None) -> None:
        super().__init__()
        self.activation = activation
        self.weight = torch.nn.Parameter(torch.ones(units, dtype=dtype))

    def forward(self, z: Any) -> Any:
        """Return the outputs."""
        return z + self.weight * (self.activation(z) - z)

    def extra_repr(self) -> str:
        """Return the text in parentheses of the representation."""
        return f"units={len(self.weight)}"
