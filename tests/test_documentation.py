"""The tables and commands in the README and docs/: tests that each of them is true."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from _helpers import data, model_of
from safetensors import safe_open

from fastnn import MLP, SGD, SWA, AdaGrad, Adam, AdamW, Ensemble, RMSProp, SharedEnsemble, Trainer, losses, reference
from fastnn._engine import core as _core
from fastnn.embeddings import PBLD
from fastnn.schedules import Cosine, Warmup

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
FIRST_MODEL, FILES = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("first_model.md", "files.md"))


def table(text, head):
    """Return the rows of the table whose header begins with this word."""
    rows = re.search(rf"^\| {head} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]


def words(cell):
    return re.findall(r"`([^`]+)`", cell)


# ---- Commands ----


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_install_from_a_clone(page):
    text = page.read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for command in re.findall(r"pip install [^`\n#]*", text):
        assert "fastnn" not in command.split("&&")[0], command  # the package is on no index
    for extra in re.findall(r"'\.\[(.*?)\]'", text):
        assert extra in extras


# ---- Losses and outputs ----


def test_the_table_of_losses_and_outputs_is_true():
    stated = {}
    for names, outputs, _ in table(FIRST_MODEL, "loss"):
        for name in names.removesuffix(", your own").split(", "):
            stated[name] = tuple(_core.ACTIVATIONS) if outputs == "any" else tuple(outputs.split(", "))
    assert stated.keys() == losses.LOSSES.keys()
    for name, outputs in stated.items():
        X, y = data(4, 3, losses.LOSSES[name]().n_targets(6), name)
        for output in _core.ACTIVATIONS:
            model = model_of((3, 6), output=output)
            if output in outputs:
                assert np.isfinite(model.loss(X, y, name))
            else:
                with pytest.raises(ValueError, match=output):
                    model.loss(X, y, name)


# ---- Statements about training ----


def test_fit_goes_on_from_the_weights_with_a_new_optimizer():
    X, y = data(20, 3, 2)
    model, expected = model_of((3, 2)), model_of((3, 2))
    for _ in range(2):
        model.fit(X, y, optimizer=Adam(Cosine(0.1, 10)), epochs=3, shuffle=False)
        Trainer(expected, "mse", Adam(Cosine(0.1, 10)), shuffle=False).run(X, y, 3)
    assert model.to_vector().tobytes() == expected.to_vector().tobytes()
    trainer = Trainer(model_of((3, 2)), "mse", Adam(Cosine(0.1, 10)), shuffle=False)
    for _ in range(2):
        trainer.run(X, y, 3)
    assert trainer.model.to_vector().tobytes() != expected.to_vector().tobytes()


@pytest.mark.parametrize("rows", [1, 5])
def test_the_input_gradient_is_that_of_the_mean_loss(rows):
    model = model_of((3, 4, 2))
    X, y = data(rows, 3, 2)
    got, step = model.input_gradient(X, y), 1e-6
    for place in np.ndindex(X.shape):
        there, back = X.copy(), X.copy()
        there[place] += step
        back[place] -= step
        assert got[place] == pytest.approx((model.loss(there, y) - model.loss(back, y)) / (2 * step), rel=1e-5, abs=1e-8)


class Recorder:
    def __init__(self, stop=None):
        self.events, self.stop = [], stop

    def on_train_begin(self, trainer, history):
        self.events.append(("begin", history.epochs))

    def on_epoch_end(self, trainer, history):
        self.events.append(("epoch", history.epochs))
        if self.stop is not None:
            raise self.stop

    def on_train_end(self, trainer, history):
        self.events.append(("end", history.epochs))


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt(), ValueError("no")], ids=repr)
def test_callbacks_are_called_when_the_table_says(stop):
    recorder = Recorder(stop)
    X, y = data(20, 3, 2)
    if stop is None:
        model_of((3, 2)).fit(X, y, epochs=2, callbacks=[recorder])
        assert recorder.events == [("begin", 0), ("epoch", 1), ("epoch", 2), ("end", 2)]
    else:
        with pytest.raises(type(stop)):
            model_of((3, 2)).fit(X, y, epochs=2, callbacks=[recorder])
        assert recorder.events == [("begin", 0), ("epoch", 1), ("end", 1)]


# ---- Files ----


OPTIMIZERS = [SGD(0.1), SGD(Warmup(Cosine(0.1, 10), 3), momentum=0.9), AdaGrad(), RMSProp(), Adam(), AdamW()]


def saved(path, optimizer, activation="tanh", **options):
    """Return a trainer, and its file as the safetensors package reads it."""
    model = model_of((3, 4, 2), activation, dropout=0.5, dtype=np.float64, **options)
    trainer = Trainer(model, losses.Huber(0.5), optimizer, random_state=1, l2=0.5)
    trainer.step(*data(8, 3, 2))
    trainer.save(path)
    with safe_open(path, "numpy") as file:
        names = list(file.keys())
        return trainer, {name: file.get_tensor(name) for name in names}, file.metadata()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("of_inputs", [{"input_scale": True}, {"embeddings": PBLD()}], ids=["scales", "embeddings"])
def test_files_have_the_arrays_of_the_table(optimizer, of_inputs, tmp_path):
    options = {"normalization": "layer_norm", "residual": (1, 2), **of_inputs}
    trainer, arrays, _ = saved(tmp_path / "a", optimizer, "prelu", **options)
    patterns = [word for name, _, _ in table(FILES, "array") for word in words(name)]
    kinds = ["weights", "biases", "slopes", "gains", "shifts", "alphas", "scales"]
    kinds += ["output_scales", "projections", "embedding_parameters"]
    others = ["average", "accumulated.mean", "accumulated.given", "best", "last"]
    of_these = [f"{kind}.i" for kind in kinds] + [f"moments.k.{kind}.i" for kind in kinds]
    assert patterns == [*of_these, *(f"{other}.weights.i" for other in others), "order"]
    model = trainer.model
    parameters = {
        f"{kind}.{i}": array for kind in kinds for i, array in enumerate(getattr(model, kind)) if array is not None
    }
    layers = {"weights.0", "weights.1", "biases.0", "biases.1", "slopes.0", "gains.0", "shifts.0", "projections.1"}
    assert parameters.keys() == layers | {"scales.0" if "input_scale" in of_inputs else "embedding_parameters.0"}
    moments = [f"moments.{k}." for k in range(len(trainer._moments))]
    assert arrays.keys() == {f"{part}{name}" for part in ["", *moments] for name in parameters}
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(arrays[name], parameter)
        for part in moments:
            assert arrays[f"{part}{name}"].shape == parameter.shape


def test_files_of_shared_ensembles_have_the_shapes_of_the_table(tmp_path):
    MLP((3, 4, 4, 2), shared=SharedEnsemble(5, kind="full")).save(tmp_path / "a")
    with safe_open(tmp_path / "a", "numpy") as file:
        names = list(file.keys())
        shapes = {name: file.get_tensor(name).shape for name in names}
    of_members = {"biases.0": (5, 4), "biases.1": (5, 4), "scales.0": (5, 3), "scales.1": (5, 4)}
    of_members |= {"output_scales.0": (5, 4), "output_scales.1": (5, 4)}
    of_members |= {"weights.2": (4, 10), "biases.2": (10,)}
    assert shapes == of_members | {"weights.0": (3, 4), "weights.1": (4, 4)}


def test_files_of_averages_have_the_contents_of_the_tables(tmp_path):
    trainer = Trainer(model_of((3, 4, 2), "prelu"), averaging=SWA(2), drop_last=True)
    trainer.run(*data(40, 3, 2), epochs=3)
    trainer.save(tmp_path / "a")
    with safe_open(tmp_path / "a", "numpy") as file:
        content, arrays = json.loads(file.metadata()["fastnn"]), set(file.keys())
    of_trainer = stated_keys("all", "a trainer", "a trainer with an average", "a trainer with `drop_last`")
    assert {*content, *(f"model.{name}" for name in content["model"])} == of_trainer
    assert content["averaging"] == {"class": "SWA", "start": 2}
    assert content["averages"] == [2, 3]
    parameters = {name for name in arrays if name.split(".")[0] in ("weights", "biases", "slopes")}
    assert {name for name in arrays if name.startswith("average.")} == {f"average.{name}" for name in parameters}


def test_moments_in_files_are_those_of_the_table(tmp_path):
    """One step from zero shows which is which, from the gradient g."""
    for optimizer, of_gradient in (
        (SGD(0.1, momentum=0.9), [lambda g: g]),
        (AdaGrad(), [lambda g: g**2]),
        (RMSProp(), [lambda g: 0.01 * g**2]),
        (Adam(), [lambda g: 0.1 * g, lambda g: 0.001 * g**2]),
        (AdamW(), [lambda g: 0.1 * g, lambda g: 0.001 * g**2]),
    ):
        model, (X, y) = model_of((3, 4, 2)), data(8, 3, 2)
        _, gradients = model.gradient(X, y)
        trainer = Trainer(model, "mse", optimizer)
        trainer.step(X, y)
        trainer.save(tmp_path / "a")
        with safe_open(tmp_path / "a", "numpy") as file:
            for k, formula in enumerate(of_gradient):
                for i in range(2):
                    np.testing.assert_allclose(
                        file.get_tensor(f"moments.{k}.weights.{i}"), formula(gradients[2 * i]), rtol=1e-9
                    )
                    np.testing.assert_allclose(
                        file.get_tensor(f"moments.{k}.biases.{i}"), formula(gradients[2 * i + 1]), rtol=1e-9
                    )


def stated_keys(*files):
    """Return the keys that the table states for files of these kinds."""
    return {name for names, of, _ in table(FILES, "key") for name in words(names) if of in files}


def test_files_of_estimators_have_the_contents_of_the_tables(tmp_path):
    from fastnn.sklearn import MLPClassifier

    options = {"early_stopping": True, "resume": True, "warm_start": True, "tol": 10.0, "n_iter_no_change": 1}
    MLPClassifier((4,), random_state=0, **options).fit(data(40, 3, 1)[0], np.arange(40) % 2).save(tmp_path / "a")
    with safe_open(tmp_path / "a", "numpy") as file:
        content, arrays = json.loads(file.metadata()["fastnn"]), set(file.keys())
    kinds = ("an estimator", "an estimator with `early_stopping` and `resume`", "an estimator that was trained in batches")
    assert {*content, *(f"model.{name}" for name in content["model"])} == stated_keys("all", *kinds, "a classifier")
    of_trainer = stated_keys("a trainer") | {"solver", "momentum", "rate_rule"}
    assert content["trainer"].keys() == of_trainer
    assert content["classes"].keys() == {"names", "dtype", "kind", "sparse"}
    parameters = [f"{kind}.{i}" for kind in ("weights", "biases") for i in range(2)]
    prefixes = ("", "moments.0.", "moments.1.", "best.", "last.")
    assert arrays == {*(prefix + name for prefix in prefixes for name in parameters), "order"}


@pytest.mark.parametrize("kind", ["model", "trainer"])
def test_files_have_the_metadata_of_the_table(kind, tmp_path):
    trainer, _, metadata = saved(tmp_path / "a", Adam(0.01))
    if kind == "model":
        trainer.model.save(tmp_path / "a")
        with safe_open(tmp_path / "a", "numpy") as file:
            metadata = file.metadata()
    assert metadata.keys() == {"fastnn"}
    content = json.loads(metadata["fastnn"])
    keys = {*content, *(f"model.{name}" for name in content["model"])}
    assert keys == stated_keys("all", *["a trainer"] * (kind == "trainer"))
    assert (content["version"], content["kind"]) == (1, kind)
    assert content["model"] == {
        "layer_sizes": [3, 4, 2],
        "activations": ["tanh", "identity"],
        "dropout": [0.5],
        "dtype": "float64",
        "feature_names": None,
        "rng": trainer.model._rng.bit_generator.state,
    }
    if kind == "trainer":
        assert content["loss"] == {"class": "Huber", "delta": 0.5}
        assert content["optimizer"] == {"class": "Adam", **vars(Adam(0.01))}
        options = next(cell for name, _, cell in table(FILES, "key") if name == "`options`")
        assert content["options"] == {name: getattr(trainer, name) for name in words(options)[:-1]}
        assert content["updates"] == 1
        assert content["rng"] == trainer._rng.bit_generator.state


def test_a_file_can_be_used_without_fastnn(tmp_path):
    trainer, arrays, metadata = saved(tmp_path / "a", Adam())
    names = json.loads(metadata["fastnn"])["model"]["activations"]
    weights, biases = [arrays["weights.0"], arrays["weights.1"]], [arrays["biases.0"], arrays["biases.1"]]
    X, _ = data(8, 3, 2)
    np.testing.assert_allclose(reference.forward(weights, biases, names, X)[-1][1], trainer.model.predict(X), rtol=1e-12)


def test_a_shared_generator_is_saved_as_null(tmp_path):
    Trainer(MLP((3, 2))).save(tmp_path / "a")
    with safe_open(tmp_path / "a", "numpy") as file:
        assert json.loads(file.metadata()["fastnn"])["rng"] is None


def test_files_of_ensembles_have_the_contents_of_the_tables(tmp_path):
    Ensemble([model_of((3, 4, 2)), model_of((3, 2))]).save(tmp_path / "a")
    with safe_open(tmp_path / "a", "numpy") as file:
        content, arrays = json.loads(file.metadata()["fastnn"]), set(file.keys())
    assert {*content, "model"} == {*(name for name in stated_keys("all") if not name.startswith("model.")), "models"}
    assert {f"model.{name}" for name in content["models"][0]} == {n for n in stated_keys("all") if n.startswith("model.")}
    assert arrays == {
        f"members.{name}" for name in ("0.weights.0", "0.biases.0", "0.weights.1", "0.biases.1", "1.weights.0", "1.biases.0")
    }
