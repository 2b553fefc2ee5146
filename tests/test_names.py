"""Every list of activations, losses and optimizers names all of them, and every signature has the optimizers' defaults.

The names themselves are said once: in the kernels' registry, and in `fastnn.losses` and `fastnn.optimizers`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import fastnn
from fastnn import MLP, Trainer, losses, ops, optimizers, reference
from fastnn._checks.layers import OUTPUT_ONLY
from fastnn._engine import core as _core
from fastnn._engine import portable
from fastnn._engine.optimizers import native_optimizer
from fastnn._initializers import INITIALIZERS
from fastnn._parameters import KINDS

ROOT = Path(__file__).parents[1]
CODE = {".h", ".cpp", ".pyx", ".pxi", ".pxd", ".py", ".pyi"}
HIDDEN = [name for name in _core.LAYER_ACTIVATIONS if name not in OUTPUT_ONLY]
UPDATES = sorted(set(ops.optimizers.__all__))


def page(path):
    return (ROOT / path).read_text(encoding="utf-8")


def row(path, first):
    """Return the row of a page's table that begins with a word."""
    return re.search(rf"^\| {first} \|.*$", page(path), re.MULTILINE)[0]


def paragraph(documented, parameter):
    """Return what a docstring says of a parameter."""
    text = inspect.cleandoc(documented.__doc__)
    return re.search(rf"^{parameter} : .*\n(?:    .*\n)+", text, re.MULTILINE)[0]


PLACES = {
    "activations of MLP": (lambda: paragraph(MLP, "activation"), HIDDEN),
    "output activations of MLP": (lambda: paragraph(MLP, "output_activation"), OUTPUT_ONLY),
    "normalizations of MLP": (lambda: paragraph(MLP, "normalization"), _core.NORMALIZATIONS),
    "normalizations in the guide": (
        lambda: re.search(r"^\| \[normalizations\].*$", page("docs/first_model.md"), re.MULTILINE)[0],
        _core.NORMALIZATIONS,
    ),
    "initializers of MLP": (lambda: paragraph(MLP, "init"), INITIALIZERS),
    "losses of fit": (lambda: paragraph(MLP.fit, "loss"), losses.LOSSES),
    "losses of Trainer": (lambda: paragraph(Trainer, "loss"), losses.LOSSES),
    "activations in the guide": (lambda: row("docs/first_model.md", "activations"), _core.LAYER_ACTIVATIONS),
    "losses in the guide": (lambda: row("docs/first_model.md", "losses"), losses.LOSSES),
    "optimizers in the guide": (lambda: row("docs/first_model.md", "optimizers"), optimizers.OPTIMIZERS),
    "updates for NumPy": (lambda: page("docs/numpy.md").partition("## Optimizers")[2], UPDATES),
    "updates for Numba": (lambda: re.search(r"^\| `sgd`, .*$", page("docs/numba.md"), re.MULTILINE)[0], UPDATES),
    "updates for Cython": (lambda: page("docs/cython.md"), UPDATES),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_list_names_all(place):
    text, names = PLACES[place]
    text = text()
    missing = [name for name in names if not re.search(rf"(?<!\w){name}(?!\w)", text)]
    assert len(names) > 1
    assert missing == []


@pytest.mark.parametrize(
    "registry",
    [
        "BLOCK_KINDS",
        "ACTIVATIONS",
        "LAYER_ACTIVATIONS",
        "NORMALIZATIONS",
        "EMBEDDINGS",
        "FUNCTIONS",
        "LOSSES",
        "PREDICTION_LOSSES",
        "OPTIMIZERS",
        "OPTIMIZER_MOMENTS",
    ],
)
def test_the_fallback_has_the_names_of_the_kernels_in_their_order(registry):
    names, expected = getattr(portable, registry), getattr(_core, registry)
    if registry == "FUNCTIONS":  # only compiled code calls them by their numbers
        names, expected = sorted(names), sorted(expected)
    assert list(names) == list(expected)
    assert names == expected


def test_models_have_the_kinds_of_parameters_of_the_kernels_in_their_order():
    assert tuple(KINDS) == _core.BLOCK_KINDS
    model = MLP((2, 3, 1), "prelu")
    assert list(model._network.parameters) == list(model._network.views(model._network.storage)) == list(KINDS)


# Each format in which models can be written needs its own text for an addition, beside the limited number of files.
OTHER_FORMATS = "src/fastnn/(_elementary/|_exports/|_exported|_from_)"


@pytest.mark.parametrize(
    ("addition", "words", "most"),
    [
        ("An activation", "selu", 8),
        ("An optimizer", "nadam", 12),
        ("A normalization", "rms_?norm", 8),
        ("An embedding", r"\bplr\b", 7),
        ("A kind of parameters per layer", "prelu(?!de)|slopes", 15),
    ],
)
def test_the_architecture_page_lists_all_files_that_an_addition_touches(addition, words, most):
    files = {path for folder in ("kernels", "src") for path in (ROOT / folder).rglob("*") if path.suffix in CODE}
    naming = {path for path in files if re.search(words, path.read_text(encoding="utf-8"), re.IGNORECASE)}
    listed = re.search(rf"^\*\*{addition}\*\*.*?\n\n(?!- )", page("docs/architecture.md"), re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:kernels|src)/[\w/.]+)`", listed[0])
    assert sorted(named) == sorted(path.relative_to(ROOT).as_posix() for path in naming)
    assert len([path for path in named if not re.match(OTHER_FORMATS, path)]) <= most


def test_classes_are_exported():
    assert {kind.__name__ for kind in optimizers.OPTIMIZERS.values()} <= {*fastnn.__all__} & {*optimizers.__all__}
    assert {kind.__name__ for kind in losses.LOSSES.values()} <= {*losses.__all__}


# ---- Traits of optimizers ----


def defaults_of(update):
    """Return the default parameters of an update, those of the class that it belongs to."""
    kind = optimizers.SGD if update == "momentum" else optimizers.OPTIMIZERS[update]
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    # Plain gradient descent has no default rate, and the velocity is what `momentum` is there for.
    return defaults | {"momentum": {"momentum": 0.9}, "sgd": {"learning_rate": inspect.Parameter.empty}}.get(update, {})


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_functions_have_the_defaults_of_the_classes(module, update):
    parameters = inspect.signature(getattr(module, update)).parameters
    given = {name: parameter.default for name, parameter in parameters.items() if name not in ("params", "grads", "state")}
    expected = defaults_of(update)
    assert given == {name: expected[name] for name in given}
    assert update == "sgd" or given.keys() == expected.keys()


@pytest.mark.parametrize("update", UPDATES)
def test_cython_has_the_defaults_of_the_classes(update):
    text = re.search(rf"cdef inline void {update}\((.*?)\) noexcept", page("src/fastnn/__init__.pxd"), re.DOTALL)[1]
    given = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.e-]+)", text)}
    expected = defaults_of(update)
    assert given == {name: expected[name] for name in given}


def test_every_update_is_some_optimizers():
    assert {*_core.OPTIMIZER_MOMENTS} == {*_core.OPTIMIZERS}
    made = [kind() for kind in optimizers.OPTIMIZERS.values()]
    made += [optimizers.SGD(momentum=0.5), optimizers.SGD(momentum=0.5, nesterov=True)]
    assert {optimizer.rule for optimizer in made} == {*_core.OPTIMIZERS}
    for optimizer in made:
        native = native_optimizer(optimizer)
        assert native["moments"] == _core.OPTIMIZER_MOMENTS[native["name"]]
        fields = [each for each in dataclasses.fields(optimizer) if each.name not in ("learning_rate", "nesterov")]
        assert sorted(optimizer.coefficients.values()) == sorted(getattr(optimizer, each.name) for each in fields)


# ---- Traits of losses ----


@pytest.mark.parametrize("name", losses.LOSSES)
def test_the_engine_reads_the_traits_of_a_loss(name):
    from fastnn._engine.losses import native_loss

    loss = losses.LOSSES[name]()
    native = native_loss(loss, (*loss.links, "identity")[0], 6)
    assert native.name in _core.LOSSES
    assert native.takes_labels is loss.takes_labels
    assert native.per_row is loss.per_row
    assert native.from_logits is loss.from_logits is bool(loss.links)
    assert (native.parameter, native.parameters) == (loss.parameter, loss.parameters)
    assert native.n_targets == loss.n_targets(6)
    assert (native.n_targets == 6) is loss.one_output_per_target
