"""Modules for the members of a shared ensemble, whose values are (n, n_members, features). This file imports PyTorch."""

from __future__ import annotations

from typing import Any

try:
    import torch
except ImportError as error:
    raise ImportError('fastnn\'s modules need PyTorch: pip install "fastnn-cpu[torch]"') from error


class _OfMembers(torch.nn.Module):  # type: ignore[misc]
    """A module with these tensors as parameters."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__()
        for name, values in parameters.items():
            self.register_parameter(name, torch.nn.Parameter(values))

    def extra_repr(self) -> str:
        """Return the shapes of the parameters."""
        return ", ".join(f"{name}={tuple(values.shape)}" for name, values in self.named_parameters())


class ScaledMembers(_OfMembers):
    """Multiply features (n, features), or those of each member, by factors (n_members, features) of each member."""

    def forward(self, x: Any) -> Any:
        """Return the scaled features of all members."""
        return (x.unsqueeze(1) if x.ndim == 2 else x) * self.weight


class ScaledLinear(_OfMembers):
    """A linear map that all members share, with factors and biases (n_members, n_out) of each member for its outputs."""

    def forward(self, x: Any) -> Any:
        """Return the outputs."""
        return torch.nn.functional.linear(x, self.weight) * self.scale + self.bias


class LinearOfMembers(_OfMembers):
    """A linear map of each member, with weights (n_members, n_out, n_in) and biases (n_members, n_out)."""

    def forward(self, x: Any) -> Any:
        """Return the outputs."""
        return torch.einsum("nki,koi->nko", x, self.weight) + self.bias


class ByMember(torch.nn.Module):  # type: ignore[misc]
    """Apply a module of rows (n, features), which would take the members for something else, to the rows of all members."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Any) -> Any:
        """Return the outputs of the module."""
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class MeanOfMembers(torch.nn.Module):  # type: ignore[misc]
    """The mean over members, (n, n_out). In training, the outputs of all members, each of which has a loss of its own."""

    def forward(self, y: Any) -> Any:
        """Return the mean, or the outputs."""
        return y if self.training else y.mean(dim=1)
