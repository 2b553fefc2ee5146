"""Attributes and parameters that a program sets by itself: the network follows them, or an error says why it can't."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from fastnn._checks import seeds as _seeds
from fastnn._model import MLP
from fastnn._native import network_of
from fastnn._views import carry_over
from fastnn.embeddings import Embedding, resolve
from fastnn.sklearn import _parameters
from fastnn.sklearn._categories import embeddings_of
from fastnn.sklearn._definitions import OUTPUT_ACTIVATIONS, activation_of
from fastnn.sklearn._fitted import sizes_of
from fastnn.sklearn._members import FOLLOWED, NETWORK_OPTIONS, is_ensemble


def new_network(
    estimator: Any,
    sizes: tuple[int, ...],
    dtype: Any,
    random_state: np.random.RandomState,
    embeddings: tuple[Embedding, ...] | None = None,
) -> MLP:
    """Return the network that an estimator's parameters and `out_activation_` describe; its weights are zero.

    `embeddings` take the place of those that the parameters describe. The random state stays as it is.
    """
    made = made_of(estimator)
    embeddings = embeddings_of(estimator) if embeddings is None else embeddings
    state = random_state.get_state() if embeddings else None
    network = MLP(
        sizes,
        hidden_activations(estimator, len(sizes) - 2),
        OUTPUT_ACTIVATIONS[estimator.out_activation_],
        **{name: _plain(getattr(estimator, name)) for name in NETWORK_OPTIONS},
        init="zeros",
        dtype=dtype,
        embeddings=embeddings,
        random_state=_seeds.generator(random_state),
    )
    if state is not None:  # embeddings have drawn their parameters
        random_state.set_state(state)
    estimator._network_made_of = made
    return network


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def hidden_activations(estimator: Any, n_hidden: int) -> list[Any]:
    """Return the activations of the hidden layers, under fastnn's names."""
    given = estimator.activation
    several = isinstance(given, list | tuple | np.ndarray)
    return [activation_of(a) for a in (given if several else [given] * n_hidden)]


def made_of(estimator: Any) -> tuple[Any, ...]:
    """Return the description of a network without its sizes, as immutable values."""
    return tuple(_immutable(_plain(getattr(estimator, name))) for name in FOLLOWED)


def _immutable(value: Any) -> Any:
    return tuple(map(_immutable, value)) if isinstance(value, list | tuple) else value


def follow(estimator: Any) -> None:
    """Make the network and its trainer follow attributes in `FOLLOWED` that were set after the fit.

    Raises
    ------
    ValueError
        If a parameter has an invalid value, or the output activation is unknown.
    """
    if estimator._network_made_of == made_of(estimator):
        return
    before: MLP = estimator.network_
    _parameters.check(estimator, estimator._rules)
    if estimator.shared != before.shared:
        raise ValueError(
            f"shared: expected {before.shared!r}, as fitted, got {estimator.shared!r}; a fit without warm_start begins with "
            "a new network"
        )
    _check_output_activation(estimator.out_activation_)
    network = new_network(estimator, before.layer_sizes, before.dtype, estimator._random_state, before.embeddings)
    native_before, native = network_of(before), network_of(network)
    carry_over(native_before.parameters, native.parameters)
    for name in ("_best_parameters", "_last_parameters"):
        kept = vars(estimator).get(name)
        if kept is not None:
            storage = native.storage.copy()
            carry_over(native_before.views(kept), native.views(storage))
            vars(estimator)[name] = storage
    estimator.network_ = network
    if "_shared_arrays" in vars(estimator):
        estimator._shared_arrays.remember(network)
    if "_trainer" in vars(estimator):
        estimator._trainer = estimator._trainer.for_network(network)


def _check_output_activation(given: Any) -> None:
    if given not in OUTPUT_ACTIVATIONS:
        raise ValueError(f"out_activation_: expected one of {', '.join(OUTPUT_ACTIVATIONS)}, got {given!r}")


def check_sizes(estimator: Any, hidden: list[int]) -> None:
    """Raise ValueError if a network that is to continue has other sizes or embeddings than the parameters describe."""
    network: MLP = estimator.network_
    if list(network.layer_sizes[1:-1]) != hidden:
        kept = network.layer_sizes[1:-1]
        raise ValueError(f"hidden_layer_sizes: expected those of the fitted network, {kept}, got {hidden}")
    wanted = resolve(embeddings_of(estimator), network.layer_sizes[0])
    if wanted != network.embeddings:
        raise ValueError(f"embeddings: expected those of the fitted network, {list(network.embeddings)}, got {list(wanted)}")


def check_trainable(estimator: Any) -> None:
    """Raise ValueError if the network's output activation is not that of the loss.

    This happens if a program sets one of them after a fit.
    """
    expected, _ = estimator._output()
    if estimator.out_activation_ != expected:
        raise ValueError(
            f"out_activation_: expected {expected!r}, that of the loss, got {estimator.out_activation_!r}; a fit "
            "without warm_start begins with it"
        )


def network_of_assigned(estimator: Any) -> None:
    """Return the network of an estimator whose attributes a program set before any fit."""
    if is_ensemble(estimator):
        raise ValueError(f"coefs_, intercepts_: expected an estimator with one network, got n_members={estimator.n_members}")
    if estimator.shared is not None:
        raise ValueError(f"coefs_, intercepts_: expected an estimator with one network, got shared={estimator.shared!r}")
    for name in ("embeddings", "categorical_features"):
        if getattr(estimator, name) is not None:
            raise ValueError(f"{name}: expected None for an estimator whose coefs_ are set by hand; fit makes embeddings")
    attributes = vars(estimator)
    coefs, intercepts = attributes["coefs_"], attributes["intercepts_"]
    sizes = sizes_of(coefs, intercepts)
    estimator._adopt_classes()
    attributes.setdefault("out_activation_", estimator._output()[0])
    _check_output_activation(estimator.out_activation_)
    for name, size in (("n_features_in_", sizes[0]), ("n_outputs_", sizes[-1]), ("n_layers_", len(sizes))):
        if attributes.setdefault(name, size) != size:
            raise ValueError(f"{name}: expected {size}, as in coefs_, got {attributes[name]!r}")
    estimator._random_state = check_random_state(estimator.random_state)
    dtype = np.float32 if np.result_type(*coefs, *intercepts) == np.float32 else np.float64
    network = new_network(estimator, sizes, dtype, estimator._random_state)
    estimator._forget_assigned()
    estimator.network_ = network
    estimator.coefs_, estimator.intercepts_ = coefs, intercepts
    estimator._take_assigned()
    for name, value in estimator._new_account().items():
        attributes.setdefault(name, value)
