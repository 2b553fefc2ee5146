"""Files of ensembles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from fastnn import _custom
from fastnn._checks.options import explained
from fastnn._custom import CustomActivation
from fastnn._model import MLP
from fastnn._native import generator_of, loaded_model, stored_model
from fastnn._predict_many import Members
from fastnn._storage import models as _saved_models
from fastnn._storage.write_file import FilePath

if TYPE_CHECKING:
    from numpy.typing import NDArray


class StoredEnsemble(Members):
    """Saving and loading; a base of `Ensemble`."""

    @explained
    def save(self, path: FilePath) -> None:
        """Write all models to one safetensors file, with their architectures in its metadata.

        An existing file is replaced after the new one has been written completely, as by `MLP.save`.

        Raises
        ------
        OSError
            If the file can't be written. An existing file is then unchanged.
        """
        configs, arrays = [], {}
        first_with: dict[int, int] = {}  # for each random generator, the first model that has it
        for k, model in enumerate(self._models):
            config, own = stored_model(model)
            first = first_with.setdefault(id(generator_of(model)), k)
            configs.append(config if first == k else config | {"rng": first})
            arrays.update({f"members.{k}.{name}": array for name, array in own.items()})
        _saved_models.write(path, "ensemble", {"models": configs}, arrays)

    @classmethod
    @explained
    def load(cls, path: FilePath, *, custom_activations: Sequence[CustomActivation] = ()) -> Self:
        """Read an ensemble from a file that `Ensemble.save` wrote. Its models are of the class `MLP`.

        Models that shared a random generator share one again.

        Parameters
        ----------
        path : str, bytes or path-like
            A file or a pipe.
        custom_activations : sequence, default ()
            Activations made by `fastnn.jit.activation`, as in `MLP.load`.

        Raises
        ------
        ValueError
            If the file is of another kind, or needs an activation that is neither given nor defined.
        OSError, MemoryError
            If the file can't be read, or does not fit into memory.
        """
        custom = _custom.check_given("custom_activations", custom_activations, CustomActivation)
        with _saved_models.read(path, ("ensemble",)) as (config, arrays):
            ensemble = cls.__new__(cls)
            Members.__init__(ensemble, _models_of(config["models"], arrays, custom))
            return ensemble


def _models_of(
    configs: list[dict[str, Any]], arrays: dict[str, NDArray[Any]], custom: Sequence[CustomActivation]
) -> list[MLP]:
    by_member: defaultdict[str, dict[str, NDArray[Any]]] = defaultdict(dict)
    for name, array in arrays.items():
        _, member, own_name = name.split(".", 2)
        by_member[member][own_name] = array
    models: list[MLP] = []
    for k, config in enumerate(configs):
        rng, first = None, config["rng"]
        if isinstance(first, int):
            if not 0 <= first < k:
                raise ValueError(f"member {k} has the random generator of member {first}")
            rng, config = generator_of(models[first]), config | {"rng": configs[first]["rng"]}
        models.append(loaded_model(MLP, config, by_member[str(k)], custom, rng))
    return models
