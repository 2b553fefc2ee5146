"""The interface to the private parts of models and trainers, for estimators, compiled code and the benchmark.

Apart from public attributes, other files may use models and trainers only through these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fastnn._engine.losses import native_loss
from fastnn._engine.networks import arguments_of
from fastnn.losses import resolve as resolve_loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn._configured import Configured
    from fastnn._custom import CustomActivation
    from fastnn._derivatives import Differentiated
    from fastnn._engine import core as _core
    from fastnn._engine.losses import NativeLoss
    from fastnn._engine.run_settings import NativeAveraging
    from fastnn._engine.training_data import TrainingData
    from fastnn._exported import Exported
    from fastnn._exports.layers import Layer, Stage
    from fastnn._parameters import Parameters
    from fastnn._prepared import Prepared
    from fastnn._stored import Stored
    from fastnn.losses import Loss

_Stored = TypeVar("_Stored", bound="Stored")
_Exported = TypeVar("_Exported", bound="Exported")
_Configured = TypeVar("_Configured", bound="Configured")

HANDLE = "_native_handle"
"""The attribute that `handle_of` reads. Do not rename it: compiled code in caches of older versions reads it too."""


def network_of(model: Parameters) -> _core.Network:
    """Return the engine's network, which holds the parameters of a model and computes with prepared data."""
    return model._network


def architecture_of(model: Parameters) -> tuple[Any, ...]:
    """Return a key that is equal for models of the same architecture."""
    return arguments_of(network_of(model))


def codes_of(model: Parameters) -> tuple[int, ...]:
    """Return the columns of X that contain the codes of categories, which may be missing."""
    return model._codes


def generator_of(model: Stored) -> np.random.Generator:
    """Return the random generator of a model, which draws the random numbers of its training."""
    return model._rng


def drops_units(model: Parameters) -> bool:
    """Return whether training drops inputs or units of a model."""
    return model._drops


def parts_of(model: Exported) -> tuple[list[Layer], Stage | None]:
    """Return the layers of a model, and its embeddings if it has any, for exports, with live views of the parameters."""
    return model._layers(), model._stage()


def model_of_layers(
    kind: type[_Exported], layers: list[Layer], rng: np.random.Generator, dropout: list[float], input_dropout: float
) -> _Exported:
    """Return a model of a class with copies of the parameters of these layers, and `rng` for training."""
    return kind._of_layers(layers, rng, dropout, input_dropout)


def copied_parameters(model: Parameters) -> NDArray[Any]:
    """Return a copy of all parameters in the layout of the network's storage, for `restore_parameters`."""
    return network_of(model).storage.copy()


def restore_parameters(model: Parameters, parameters: NDArray[Any] | float) -> None:
    """Set all parameters to those that `copied_parameters` returned, or to a single number."""
    network_of(model).storage[...] = parameters


def stored_model(model: Stored) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a model in the form for files: the metadata, and the arrays by name."""
    return model._config(), model._arrays()


def loaded_model(
    kind: type[_Stored],
    config: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    custom: Sequence[CustomActivation],
    rng: np.random.Generator | None,
) -> _Stored:
    """Return the model of a class that `stored_model` described, with another random generator if one is given."""
    model = kind._from(config, arrays, custom)
    if rng is not None:
        model._rng = rng
    return model


def evaluated_network(trainer: Configured) -> _core.Network:
    """Return the engine's network with the averaged parameters of a trainer, or that of its model if there is no average."""
    average = trainer._average
    return network_of(trainer.model) if average is None or average.counts[0] == 0 else average.network


def check_can_be_saved(trainer: Any) -> None:
    """Raise TypeError if a setting of a trainer can't be saved. Objects of other classes are not checked."""
    contents = getattr(trainer, "_contents", None)
    if contents is not None:
        contents(trainer.optimizer)


def copied_average(trainer: Any) -> tuple[NDArray[Any], int] | None:
    """Return a copy of the averaged parameters, and the number of parameters in the average, or None without an average."""
    average: NativeAveraging | None = getattr(trainer, "_average", None)
    return None if average is None else (average.network.storage.copy(), int(average.counts[0]))


def restore_average(trainer: Any, kept: tuple[NDArray[Any], int] | None) -> None:
    """Set the average to the one that `copied_average` returned. An average that was begun later begins anew."""
    average: NativeAveraging | None = getattr(trainer, "_average", None)
    if average is not None:
        average.network.storage[...], average.counts[0] = (0.0, 0) if kept is None else kept


def check_epochs(trainer: Configured, epochs: int) -> None:
    """Raise ValueError if no parameters would enter the average of a trainer in this number of epochs."""
    trainer._check_epochs(epochs)


def take_average(trainer: Configured) -> None:
    """Give the model of a trainer its averaged parameters, if there are any."""
    network = evaluated_network(trainer)
    if network is not network_of(trainer.model):
        restore_parameters(trainer.model, network.storage)


def twin_of(trainer: _Configured, model: Differentiated, random_state: Any) -> _Configured:
    """Return a trainer for another model of the same architecture, with the settings of a trainer that has not trained.

    Raises
    ------
    TypeError, ValueError
        If `random_state` is no source of random numbers, or the model overrides a method that training would not call.
    """
    return trainer._twin(model, random_state)


def loss_of(trainer: Configured) -> NativeLoss:
    """Return the loss of a trainer in the engine's form."""
    return trainer._loss


def validation_of(trainer: Prepared, validation_data: Any, X: Any) -> TrainingData | None:
    """Return the validation data of a run in the engine's form, after a check that their columns are those of X."""
    return trainer._validation(validation_data, X)


def check_columns(model: Parameters, argument: str, X: Any) -> None:
    """Raise ValueError if X is a data frame whose columns are not those on which a model was trained."""
    model._check_columns(argument, X)


def learn_columns(model: Parameters, X: Any) -> None:
    """Record the column names of X, if it has any and the model has none yet."""
    model._learn_columns(X)


def apply_settings(trainer: Configured) -> None:
    """Pass settings that were assigned during a run to the engine."""
    trainer._apply()


def stepper_of(trainer: Configured) -> _core.Stepper:
    """Return the engine's stepper of a trainer, which counts the updates."""
    return trainer._stepper


def handle_of(owner: Any) -> tuple[tuple[int, ...], object]:
    """Return an address and integers for compiled code, and the object that keeps the address valid.

    The integers of a model are its numbers of inputs and outputs. Those of a trainer are its numbers of inputs and of
    columns of targets, and the kind of labels that it takes as targets: 0 for none, 1 for labels, and 2 for labels among
    which -1 is missing.

    Raises
    ------
    TypeError
        If `owner` is a trainer whose learning rate is a schedule.
    """
    handle: tuple[tuple[int, ...], object] = getattr(owner, HANDLE)
    return handle


def handle_with_loss(model: Parameters, loss: str | Loss) -> tuple[tuple[int, ...], object]:
    """Return the same for a model whose methods compute a loss unless they are told another.

    Raises
    ------
    TypeError, ValueError
        If it is no loss, or one that does not suit the model.
    """
    (_, *sizes), _ = handle_of(model)
    native = native_loss(resolve_loss(loss), model.activations[-1], model.layer_sizes[-1])
    holder = network_of(model).with_loss(native)
    return (holder.address, *sizes), holder


def moments_of(trainer: Configured) -> NDArray[Any]:
    """Return the live moments of a trainer's optimizer: one row per moment, in the layout of the network's storage."""
    return trainer._moments


def state_arrays(trainer: Configured) -> list[NDArray[Any]]:
    """Return the live arrays that updates change: parameters, moments, and the average with its counts if there is one."""
    average = trainer._average
    of_average = [] if average is None else [average.network.storage, average.counts]
    return [network_of(trainer.model).storage, moments_of(trainer), *of_average]


def set_updates(trainer: Configured, updates: int) -> None:
    """Set the number of updates so far, on which schedules and bias corrections depend."""
    trainer._stepper.updates = updates
