"""Loss objects: defaults, checks, names."""

from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pytest

from fastnn import losses
from fastnn.losses import (
    LOSSES,
    MAE,
    MSE,
    BinaryCrossEntropy,
    Cosine,
    CrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    Loss,
    MultiQuantile,
    Poisson,
    Quantile,
    SquaredHinge,
    resolve,
)

NAMES = {
    "mse": MSE,
    "mae": MAE,
    "huber": Huber,
    "quantile": Quantile,
    "poisson": Poisson,
    "binary_cross_entropy": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "gaussian_nll": GaussianNLL,
    "multi_quantile": MultiQuantile,
    "kl_divergence": KLDivergence,
    "cosine": Cosine,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
}


def test_names_are_those_of_the_registry():
    assert dict(LOSSES) == NAMES
    assert all(name == loss.name for name, loss in LOSSES.items())
    for name in losses.__all__:
        assert hasattr(losses, name)


def test_parameters_have_their_defaults():
    parameters = {"huber": 1.0, "quantile": 0.5, "gaussian_nll": math.log(1e-6)}
    parameters |= {"hinge": 1.0, "squared_hinge": 1.0}
    for name, loss in LOSSES.items():
        assert loss().parameter == parameters.get(name, 0.0)
        assert type(loss().parameter) is float
    assert Hinge(2).margin == Hinge(margin=2.0).parameter == SquaredHinge(2).parameter == 2.0
    assert Huber(2).parameter == Huber(delta=2.0).delta == 2.0
    assert Quantile(np.float32(0.25)).parameter == Quantile(q=0.25).q == 0.25


def test_links_are_the_output_activations_that_a_loss_accepts():
    links = {
        "poisson": ("exp", "identity"),
        "binary_cross_entropy": ("sigmoid", "identity"),
        "cross_entropy": ("softmax", "identity"),
        "kl_divergence": ("softmax", "identity"),
    }
    for name, loss in LOSSES.items():
        assert loss.links == links.get(name, ())


def test_losses_know_their_targets_and_domain():
    per_row = {"cross_entropy", "kl_divergence", "cosine"}
    domains = {"poisson": (0, math.inf), "binary_cross_entropy": (0, 1), "cross_entropy": (0, 1), "kl_divergence": (0, 1)}
    domains |= {"hinge": (-1, 1), "squared_hinge": (-1, 1)}
    for name, loss in LOSSES.items():
        assert loss.per_row == (name in per_row)
        assert loss.takes_labels == (name == "cross_entropy")
        assert loss.domain == domains.get(name, (-math.inf, math.inf))


@pytest.mark.parametrize("loss", NAMES.values())
def test_losses_compare_and_hash_by_value(loss):
    assert loss() == loss()
    assert pickle.loads(pickle.dumps(loss())) == loss()
    assert hash(loss()) == hash(loss())
    assert loss() not in [other() for other in NAMES.values() if other is not loss]
    assert isinstance(loss(), Loss)


def test_losses_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Huber().delta = 2.0


@pytest.mark.parametrize(("loss", "field"), [(Huber, "delta"), (Quantile, "q"), (Hinge, "margin"), (SquaredHinge, "margin")])
@pytest.mark.parametrize("wrong", [0.0, -0.5, math.nan, math.inf])
def test_wrong_values_raise(loss, field, wrong):
    with pytest.raises(ValueError, match=rf"^{field}: expected a finite number > 0.*got {wrong}"):
        loss(wrong)


@pytest.mark.parametrize(("loss", "field"), [(Huber, "delta"), (Quantile, "q"), (Hinge, "margin"), (SquaredHinge, "margin")])
@pytest.mark.parametrize("wrong", ["0.5", None, True, 0.5j])
def test_wrong_types_raise(loss, field, wrong):
    with pytest.raises(TypeError, match=rf"^{field}: .*got {wrong!r} of type {type(wrong).__name__}"):
        loss(wrong)


def test_quantiles_of_zero_and_one_raise():
    with pytest.raises(ValueError, match=r"q: expected a finite number > 0 and < 1.*got 1\.0"):
        Quantile(1.0)


def test_the_base_class_is_not_a_loss():
    with pytest.raises(TypeError, match="Loss is a base class, expected one of .*fastnn.losses.LOSSES$"):
        Loss()
    with pytest.raises(TypeError, match="abstract"):
        losses.CustomLoss()


def test_names_and_objects_resolve_to_losses():
    one = Huber(3.0)
    assert resolve(one) is one
    for name, loss in LOSSES.items():
        assert resolve(name) == loss()
    expected = ", ".join(repr(name) for name in NAMES)
    with pytest.raises(ValueError, match=f"loss: expected one of {expected}.*got 'msw'"):
        resolve("msw")
    with pytest.raises(TypeError, match=r"loss: expected an object, Huber\(...\), got the class Huber"):
        resolve(Huber)
    with pytest.raises(TypeError, match="loss: expected an object of Loss or one of 'mse'.*got None of type NoneType"):
        resolve(None)
