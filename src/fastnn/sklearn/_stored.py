"""Files of estimators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from fastnn import _custom
from fastnn._checks import seeds as _seeds
from fastnn._checks.columns import checked_names
from fastnn._checks.options import explained
from fastnn._checks.scalars import integer
from fastnn._custom import CustomActivation
from fastnn._model import MLP
from fastnn._native import generator_of, loaded_model, network_of, stored_model
from fastnn._storage import models as _saved_models
from fastnn._storage.write_file import FilePath
from fastnn.embeddings import resolve
from fastnn.losses import CustomLoss
from fastnn.sklearn import _by_hand, _parameters
from fastnn.sklearn._categories import embeddings_of, has_categories, remember
from fastnn.sklearn._definitions import OUTPUT_ACTIVATIONS, EstimatorTrainer
from fastnn.sklearn._fitting import Fitting
from fastnn.sklearn._members import refuse
from fastnn.sklearn._originals import parameters_of
from fastnn.sklearn._stored_values import (
    categories_from,
    classes_from,
    plain,
    random_state_of,
    state_of,
    stored_categories,
    stored_classes,
    value_of,
)

Arrays = dict[str, NDArray[Any]]


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def _numbers(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(type(each) in (int, float) for each in value))


# The attributes that fitting sets, apart from the network and the classes, and the test that their values in files pass.
_FITTED: Mapping[str, Callable[[Any], bool]] = {
    "n_features_in_": _count,
    "n_outputs_": _count,
    "n_layers_": _count,
    "n_iter_": _count,
    "t_": _count,
    "out_activation_": lambda value: value in OUTPUT_ACTIVATIONS,
    "loss_": _number,
    "best_loss_": _number,
    "best_validation_score_": _number,
    "loss_curve_": _numbers,
    "validation_loss_curve_": _numbers,
    "validation_scores_": _numbers,
    "_learning_rate": _number,
    "_no_improvement_count": _count,
}
# Copies of all parameters, and their prefixes in files.
_COPIES = {"_best_parameters": "best.", "_last_parameters": "last."}


class StoredEstimator(Fitting):
    """Saving and loading; a base of the estimators."""

    _kind: ClassVar[str] = "regressor"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Record the kind of the class in files."""
        super().__init_subclass__(**kwargs)
        cls._kind = "classifier" if issubclass(cls, ClassifierMixin) else "regressor"

    @explained
    def save(self, path: FilePath) -> None:
        """Write the fitted estimator to a safetensors file, without pickle.

        The file contains the parameters, the network, the classes, all fitted attributes, and everything that `partial_fit`,
        `warm_start` and `resume` need. It does not contain attributes that a program added, nor metadata requests. An
        existing file is replaced as by `fastnn.MLP.save`.

        Parameters
        ----------
        path : str, bytes or path-like
            A file, device or pipe.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If a parameter has a value that files can't hold, such as a function. Nothing is written then.
        ValueError
            If there are several networks. Pickles hold these.
        OSError
            If the file can't be written. An existing file is then unchanged.

        Examples
        --------
        >>> import os, tempfile
        >>> from fastnn.sklearn import MLPClassifier
        >>> fitted = MLPClassifier((8,), solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"])
        >>> path = os.path.join(tempfile.mkdtemp(), "classifier.safetensors")
        >>> fitted.save(path)
        >>> MLPClassifier.load(path).predict([[0.1], [0.8]])
        array(['no', 'yes'], dtype='<U3')
        """
        refuse(self, "save", "pickle holds all networks, and each of the members_ can be saved")
        self._take_assigned()
        check_is_fitted(self, "network_")
        _parameters.check(self, self._rules)  # which `load` does too
        config, arrays = self._contents()
        _saved_models.write(path, self._kind, config, arrays)

    @classmethod
    @explained
    def load(
        cls,
        path: FilePath,
        *,
        custom_activations: Sequence[CustomActivation] = (),
        custom_losses: Sequence[CustomLoss] = (),
    ) -> Self:
        """Read an estimator from a file that `save` wrote.

        It predicts, and continues training, with the same bits as the saved one. If this method is called on a subclass, the
        result is an object of that subclass, whose constructor is not called.

        Parameters
        ----------
        path : str, bytes or path-like
            A file or a pipe.
        custom_activations, custom_losses : sequences, default=()
            Functions made by `fastnn.jit`, as in `fastnn.Trainer.load`.

        Returns
        -------
        estimator : object
            The estimator.

        Raises
        ------
        ValueError
            If the file is of another kind, or needs a function that is neither given nor defined.
        OSError, MemoryError
            If the file can't be read, or does not fit into memory.
        """
        activations = _custom.check_given("custom_activations", custom_activations, CustomActivation)
        losses = _custom.check_given("custom_losses", custom_losses, CustomLoss)
        with _saved_models.read(path, (cls._kind,)) as (config, arrays):
            estimator = cls.__new__(cls)
            estimator._restore(config, arrays, activations, losses)
            return estimator

    # ---- To files ----

    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        """Return the metadata of a file, and the arrays by name."""
        attributes = vars(self)
        parameters = self.get_params(deep=False)
        model, arrays = stored_model(self.network_)
        names = attributes.get("feature_names_in_")
        config: dict[str, Any] = {
            "parameters": {name: plain(name, value) for name, value in parameters.items()},
            "model": model,
            "fitted": {name: plain(name, attributes[name]) for name in _FITTED if name in attributes},
            "feature_names": None if names is None else [str(name) for name in names],
            # Null if the parameter `random_state` is the random state.
            "random_state": None if self._random_state is parameters["random_state"] else state_of(self._random_state),
            "model_shares_random_state": generator_of(self.network_).bit_generator is _seeds.bits_of(self._random_state),
        }
        if has_categories(self):
            config["categories"] = stored_categories(self._category_columns)
        if self._kind == "classifier":
            config["classes"] = stored_classes(self._classes)
        if attributes.get("_split_state") is not None:
            split = np.random.RandomState()
            split.set_state(self._split_state)
            config["split_state"] = state_of(split)
        for name, prefix in _COPIES.items():
            if attributes.get(name) is not None:
                arrays |= _saved_models.named(network_of(self.network_).views(attributes[name]), prefix)
        if "_trainer" in attributes:
            config["trainer"], of_trainer = self._trainer.stored(self._learning_rate)
            arrays |= of_trainer
        return config, arrays

    # ---- From files ----

    def _restore(self, config: dict[str, Any], arrays: Arrays, activations: Sequence[Any], losses: Sequence[Any]) -> None:
        """Set all attributes from the contents of a file."""
        known = parameters_of(type(self))
        self._set_parameters({name: parameter.default for name, parameter in known.items()})
        for name, value in config["parameters"].items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}")
            setattr(self, name, value_of(name, value, activations, losses))
        _parameters.check(self, self._rules)
        state = config["random_state"]
        self._random_state = self.random_state if state is None else random_state_of(state)
        rng = _seeds.generator(self._random_state) if config["model_shares_random_state"] else None
        self.network_ = loaded_model(MLP, config["model"], arrays, activations, rng)
        self._set_fitted(config)
        self._network_made_of = _by_hand.made_of(self)
        for name, prefix in _COPIES.items():
            self.__dict__[name] = _copy_of(self.network_, arrays, prefix) if f"{prefix}weights.0" in arrays else None
        if "split_state" in config:
            self._split_state = random_state_of(config["split_state"]).get_state()
        if "trainer" in config:
            self._trainer = EstimatorTrainer.__new__(EstimatorTrainer)
            generator = _seeds.generator(self._random_state)
            self._trainer.become(self.network_, config["trainer"], arrays, losses, generator)

    def _set_fitted(self, config: dict[str, Any]) -> None:
        """Set the attributes that fitting sets, after checking them against the network."""
        for name, value in config["fitted"].items():
            restored = value_of(name, value, (), ())
            if not _FITTED[name](restored):
                raise ValueError(f"{name} is {restored!r}")
            setattr(self, name, restored)
        sizes, output = self.network_.layer_sizes, OUTPUT_ACTIVATIONS[self.out_activation_]
        found = (self.n_features_in_, self.n_outputs_, self.n_layers_, output)
        if found != (sizes[0], sizes[-1], len(sizes), self.network_.activations[-1]):
            raise ValueError(f"attributes that do not fit {self.network_!r}")
        names = checked_names("feature_names", config["feature_names"], sizes[0])
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        if "categories" in config:
            remember(self, categories_from(config["categories"], sizes[0]))
            if resolve(embeddings_of(self), sizes[0]) != self.network_.embeddings:
                raise ValueError(f"categories that do not fit {self.network_!r}")
        if self._kind == "classifier":
            self._set_classes(classes_from(config["classes"], sizes[-1]))
        integer("t_", self.t_, low=0, high=2**62)


def _copy_of(network: MLP, arrays: Arrays, prefix: str) -> NDArray[Any]:
    """Return a copy of all parameters in the layout of the network's storage, from a file."""
    storage = np.zeros_like(network_of(network).storage)
    _saved_models.fill(arrays, network_of(network).views(storage), prefix)
    return storage
