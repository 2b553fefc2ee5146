"""Networks with scaled inputs and parametric activations for several test files."""

from __future__ import annotations

import numpy as np

from fastnn import MLP, reference
from fastnn._views import by_kind

# Sizes, activation, normalization: narrow and wide first layers, one input, rows of whole KiB, more inputs than outputs.
NETWORKS = [
    ((3, 5, 2), "tanh", None),
    ((4, 17, 33, 3), "prelu", ["layer_norm", None]),
    ((256, 40, 7), "silu", None),
    ((1, 9, 8, 1), "sin", "rms_norm"),
    ((6, 2), "identity", None),
    ((33, 12), "identity", None),
    ((40, 18, 20, 3), "gelu", None),
]
IDS = [str(network[0]) for network in NETWORKS]
# Sizes, activations, normalizations and their places, and which activations are parametric.
PARAMETRIC = [
    ((3, 5, 2), ["tanh"], None, "before", True),
    ((4, 17, 33, 3), ["selu", "mish"], ["layer_norm", "rms_norm"], ["before", "after"], True),
    ((6, 300, 20, 1), ["relu", "gelu"], [None, "layer_norm"], "after", [True, True]),
    ((5, 16, 9, 8, 2), ["prelu", "sigmoid", "identity"], None, "before", [False, True, False]),
    ((2, 256, 7), ["silu"], "rms_norm", "before", True),
    ((2, 1, 3, 3), ["elu", "sin"], None, "before", True),
]
PARAMETRIC_IDS = [str(network[0]) for network in PARAMETRIC]
STEP = 1e-6


def model_with(sizes, activation="tanh", normalization=None, dtype=np.float64, **options):
    """Return a model with `input_scale` whose parameters are all different."""
    options = {"input_scale": True, "random_state": 0} | options
    return _with_values(MLP(sizes, activation, normalization=normalization, dtype=dtype, **options))


def parametric_model(sizes, activations, normalization, place, parametric, dtype=np.float64, **options):
    """Return a model with parametric activations whose parameters are all different."""
    options = {"normalization": normalization, "normalization_place": place, "random_state": 0} | options
    return _with_values(MLP(sizes, activations, parametric_activation=parametric, dtype=dtype, **options))


def _with_values(model):
    rng = np.random.default_rng(1)
    for parameter in by_kind({name: views for name, views in model._views().items() if name != "weights"}):
        parameter[...] = rng.uniform(0.3, 1.2, parameter.shape) * rng.choice([-1, 1], parameter.shape)
    return model


def data_for(model, n=37):
    """Return inputs of which half are 0, targets and weights of the rows."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, model.layer_sizes[0]))
    X[:, 1:] *= rng.random(X[:, 1:].shape) < 0.5
    return X, rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n) * (np.arange(n) % 5 > 0)


def difference(function, array, at):
    kept, values = array[at], []
    for moved in (kept + STEP, kept - STEP):
        array[at] = moved
        values.append(function())
    array[at] = kept
    return (values[0] - values[1]) / (2 * STEP)


def reference_of(model):
    """Return copies of the lists that the reference takes, and the options."""
    copies = {name: [None if v is None else v.copy() for v in views] for name, views in model._views().items()}
    normalizations = [
        None if each is None else reference.Normalization(each[0], gains, shifts, each[1])
        for each, gains, shifts in zip(model._network.normalizations, copies["gains"], copies["shifts"], strict=True)
    ]
    lists = copies["weights"], copies["biases"], model.activations
    options = {"slopes": copies["slopes"], "normalizations": normalizations}
    if copies["scales"][0] is not None:
        options["scales"] = copies["scales"][0]
    return lists, options | {"alphas": copies["alphas"]}


def in_order(weights, biases, slopes, normalizations, *others):
    """Return gradients of the reference in the order of a model's parameters; `others` are of scales, if any, and alphas."""
    result, (*scales, alphas) = [], others
    for layer, (w, b, s, n, a) in enumerate(zip(weights, biases, slopes, normalizations, alphas, strict=True)):
        result += [w, b, *([] if s is None else [s]), *(n or ()), *([] if a is None else [a]), *([] if layer else scales)]
    return result


def parameters_of(lists, options):
    normalizations = [n and [v for v in (n.gains, n.shifts) if v is not None] for n in options["normalizations"]]
    others = [options[name] for name in ("scales", "alphas") if name in options]
    return in_order(*lists[:2], options["slopes"], normalizations, *others)
