"""Models from modules of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._checks.seeds import generator
from fastnn._model import MLP
from fastnn._native import model_of_layers

if TYPE_CHECKING:
    from fastnn._exports.pytorch import Dense


def from_torch(module: Any, *, random_state: Any = None) -> MLP:
    """Return a model with the layers, parameters and dropout rates of a module of PyTorch.

    Parameters
    ----------
    module : torch.nn.Sequential or torch.nn.Linear
        A module of Linear, with or without bias, the activations that both libraries have, LayerNorm and RMSNorm with
        ``eps=1e-5`` before or after an activation, Dropout behind both or before everything, the modules for scales of
        inputs, parametric activations and residual connections that `MLP.to_torch` makes, Identity, Flatten, and Sequential
        of these. It is not changed, and the model shares no memory with it.
    random_state : int, numpy.random.Generator or other seed, optional
        The source of random numbers for training.

    Returns
    -------
    MLP
        A model in float32 or float64, like the module. Layers without a bias get biases of zero, and a PReLU with one slope
        gets the same slope for every unit. Missing gains of a normalization become ones. Training changes each of them.

    Raises
    ------
    TypeError
        If `module` is another object.
    ValueError
        If it contains anything else. The message names the submodule.

    See Also
    --------
    MLP.to_torch : The reverse.
    Trainer.from_torch : The same with the state of an optimizer.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.MLP((2, 3, 1), "tanh", random_state=0)
    >>> module = model.to_torch()
    >>> fastnn.from_torch(module)
    MLP((2, 3, 1), activation='tanh', output_activation='identity', dtype=float32)
    """
    from fastnn._exports.pytorch_reader import dense_layers

    return model_of(dense_layers(module), random_state)


def model_of(dense: list[Dense], random_state: Any) -> MLP:
    """Return a model with layers of PyTorch."""
    from fastnn._exports.pytorch import layer_of

    layers = [layer_of(each) for each in dense]
    return model_of_layers(
        MLP, layers, generator(random_state), [each.dropout for each in dense[:-1]], dense[0].input_dropout
    )
