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


class Keep(torch.nn.Module):  # type: ignore[misc]
    """Return its inputs, which the `Residual` around it keeps for an `Add`.

    Parameters
    ----------
    layer : int
        The number of layers before it.
    """

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        """Return the inputs."""
        return x

    def extra_repr(self) -> str:
        """Return the text in parentheses of the representation."""
        return f"{self.layer}"


class Add(torch.nn.Module):  # type: ignore[misc]
    """Add what a `Keep` has kept, as it is or by a trained projection, which starts at 0.

    Parameters
    ----------
    layer : int
        The `layer` of the `Keep`.
    n_from, n_to : int, optional
        The numbers of features before and after the projection. By default, there is none.
    dtype : torch.dtype, optional
        The type of the projection.
    """

    def __init__(self, layer: int, n_from: int | None = None, n_to: int | None = None, dtype: Any = None) -> None:
        super().__init__()
        self.layer = layer
        shape = None if n_from is None or n_to is None else (n_to, n_from)
        self.weight = None if shape is None else torch.nn.Parameter(torch.zeros(shape, dtype=dtype))

    def forward(self, x: Any, kept: Any) -> Any:
        """Return the sum."""
        return x + (kept if self.weight is None else torch.nn.functional.linear(kept, self.weight))

    def extra_repr(self) -> str:
        """Return the text in parentheses of the representation."""
        return f"{self.layer}" if self.weight is None else f"{self.layer}, {self.weight.shape[1]}, {self.weight.shape[0]}"


class Residual(torch.nn.Sequential):  # type: ignore[misc]
    """A Sequential with residual connections: each leads from a `Keep` to an `Add`, which must be parts of it."""

    def forward(self, x: Any) -> Any:
        """Return the outputs."""
        kept: dict[int, Any] = {}
        for part in self:
            if isinstance(part, Keep):
                kept[part.layer] = x
            x = part(x, kept[part.layer]) if isinstance(part, Add) else part(x)
        return x


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
