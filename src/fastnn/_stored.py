"""Files, copies and pickles of models."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from fastnn import _custom, _state
from fastnn._checks import layers as _layers
from fastnn._checks import seeds as _seeds
from fastnn._checks.layers import Activation
from fastnn._checks.options import explained
from fastnn._checks.residual import projected, residual_connections
from fastnn._custom import CustomActivation
from fastnn._embedded_columns import embedded_columns
from fastnn._engine import core as _core
from fastnn._parameters import Parameters
from fastnn._shared_ensemble import SharedEnsemble
from fastnn._storage import models as _saved_models
from fastnn._storage.describe import described, embeddings_of
from fastnn._storage.write_file import FilePath

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOT_ATTRIBUTES = frozenset({"_network", "_rng", "_shared"})


class Stored(Parameters):
    """Saving, loading, copying and pickling; a base of `MLP`."""

    def _begin(self, sizes: tuple[int, ...], hidden: Sequence[Activation], output: Activation, **options: Any) -> None:
        """Initialize as a network of zeros, by the constructor of `MLP` and not by that of a subclass."""
        raise NotImplementedError

    @explained
    def save(self, path: FilePath) -> None:
        """Write the model to a safetensors file, with the architecture in its metadata.

        An existing file is replaced after the new one has been written completely, and its permissions are preserved. If
        the path is a symbolic link, the file to which it leads is replaced. Devices and pipes are written to directly.

        Raises
        ------
        OSError
            If the file can't be written. An existing file is then unchanged.
        """
        _saved_models.write(path, "model", {"model": self._config()}, self._arrays())

    @classmethod
    @explained
    def load(cls, path: FilePath, *, custom_activations: Sequence[CustomActivation] = ()) -> Self:
        """Read a model from a file that `MLP.save`, `Trainer.save` or the `save` of an estimator wrote.

        If it is called on a subclass, the result is an object of that subclass. Its constructor is not called, and it lacks
        attributes of its own, because files do not contain them.

        Parameters
        ----------
        path : str, bytes or path-like
            A file or a pipe.
        custom_activations : sequence, default ()
            Activations made by `fastnn.jit.activation`. A file contains only their names. Activations that have been
            defined in this process are found without this argument.

        Raises
        ------
        ValueError
            If the file is of another kind, or needs an activation that is neither given nor defined.
        OSError, MemoryError
            If the file can't be read, or does not fit into memory.
        """
        custom = _custom.check_given("custom_activations", custom_activations, CustomActivation)
        with _saved_models.read(path, ("model", "trainer", "classifier", "regressor")) as (config, arrays):
            return cls._from(config["model"], arrays, custom)

    def _config(self) -> dict[str, Any]:
        return {
            "layer_sizes": self.layer_sizes,
            "activations": [a.name if isinstance(a, CustomActivation) else a for a in self.activations],
            "dropout": self.dropout,
            **self._later_options(),  # models without them have no such entries, like those of older versions
            **({"embeddings": described(self.embeddings)} if self.embeddings else {}),
            **({} if self.shared is None else {"shared": self._shared_options}),
            "dtype": self.dtype.name,
            "feature_names": self._feature_names,
            "rng": _seeds.state_of(self._rng),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return _saved_models.named(self._views())

    @classmethod
    def _from(cls, config: dict[str, Any], arrays: dict[str, NDArray[Any]], custom: Sequence[CustomActivation] = ()) -> Self:
        model = cls.__new__(cls)
        model._become(config, arrays, custom)
        return model

    def _become(
        self, config: dict[str, Any], arrays: dict[str, NDArray[Any]], custom: Sequence[CustomActivation] = ()
    ) -> None:
        """Initialize as the network that a file or a pickle describes."""
        sizes = tuple(config["layer_sizes"])
        # This check comes before memory is allocated for the parameters.
        options = _options_of(config)
        n_members = options["shared"].n_members if "shared" in options else 1
        embeddings, widths = embedded_columns(options.get("embeddings", ()), _layers.sizes_of_layers(sizes), n_members)
        columns = (*widths[1:-1], widths[-1] * n_members)
        for i, embedding in enumerate(embeddings):
            if embedding.shape is not None and arrays[f"embedding_parameters.{i}"].shape != embedding.shape:
                raise ValueError(f"the parameters of embedding {i} are not of shape {embedding.shape}")
        if [arrays[f"weights.{i}"].shape for i in range(len(sizes) - 1)] != list(zip(widths[:-1], columns, strict=True)):
            raise ValueError(f"the arrays are not those of layers {widths}")
        connections, _ = residual_connections(options.get("residual"), options.get("residual_place", "after"), widths)
        for layer, *shape in projected(connections, widths):
            if arrays[f"projections.{layer}"].shape != tuple(shape):
                raise ValueError(f"the projection to layer {layer + 1} is not of shape {tuple(shape)}")
        *hidden, output = _custom.activations_named(config["activations"], _core.LAYER_ACTIVATIONS, custom)
        self._begin(sizes, hidden, output, **options)
        self._rng = _seeds.from_state(config["rng"])
        self.feature_names = config.get("feature_names")  # files of older versions lack this entry
        _saved_models.fill(arrays, self._views())

    def copy(self) -> Self:
        """Return an independent copy: parameters, random generator, and the attributes of a subclass.

        The copy equals that of `copy.deepcopy`. It draws the same random numbers in training as the model would.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((2, 3, 1))
        >>> target = model.copy()
        >>> target.weights[0][...] = 0.0
        >>> bool(model.weights[0].any())
        True
        """
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of the model, and the attributes of a subclass."""
        config = self._config() | {"activations": self.activations}
        own = _state.attributes_of(self, _NOT_ATTRIBUTES)
        return {"config": config, "arrays": self._arrays(), "rng": self._rng, "attributes": own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Initialize as the model that `state` describes."""
        self._become(state["config"], state["arrays"])
        self._rng = state["rng"]  # not a copy: a trainer that is pickled with the model shares it
        _state.set_attributes(self, state["attributes"])


def _options_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `MLP` in a description, of which those that older versions lack may be missing."""
    names = (
        *("normalization", "normalization_place", "parametric_activation", "input_scale", "input_dropout"),
        *("residual", "residual_place"),
    )
    options = {name: config[name] for name in ("dropout", "dtype")} | {
        name: config[name] for name in names if name in config
    }
    if "embeddings" in config:
        options["embeddings"] = embeddings_of(config["embeddings"])
    if "shared" in config:
        options["shared"] = SharedEnsemble(**config["shared"])
    return options
