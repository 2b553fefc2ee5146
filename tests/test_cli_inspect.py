"""``fastnn inspect``: what is in a file, for people and for programs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from _helpers import example, model_of

import fastnn
from fastnn import MLP, SGD, Adam, Trainer, losses, schedules
from fastnn._cli import main
from fastnn._storage.safetensors import dump


def inspect(*arguments, capsys):
    code = main(["inspect", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def facts(path, capsys):
    code, out, err = inspect(path, "--json", capsys=capsys)
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def write(path, arrays, metadata):
    path.write_bytes(b"".join(dump(arrays, metadata)))
    return path


def row(out, name):
    """Return the cells of the line that begins with a name."""
    return re.split(r"  +", re.search(rf"^ +{re.escape(name)}(  .*)$", out, re.MULTILINE)[1].strip())


def test_models_are_described(tmp_path, capsys):
    model = MLP((3, 8, 2), "prelu", "softmax", dropout=0.25, random_state=0)
    model.feature_names = ["age", "height", "weight"]
    path = tmp_path / "a.safetensors"
    model.save(path)
    code, out, err = inspect(path, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == str(path)
    assert row(out, "kind") == ["model"]
    assert row(out, "format") == ["1"]
    assert row(out, "written by") == [f"fastnn {fastnn.__version__}"]
    assert row(out, "size") == [f"{path.stat().st_size:,} bytes"]
    for line in str(model.summary()).splitlines():
        assert line.rstrip() in out
    assert "inputs: age, height, weight\n" in out
    w = model.weights[0]
    shown = [f"{value:.4g}" for value in (w.min(), w.mean(dtype=float), w.max(), np.linalg.norm(w.astype(float)))]
    assert row(out, "weights.0") == ["(3, 8)", "float32", *shown, "0", "0"]
    assert row(out, "slopes.0") == ["(8,)", "float32", "0.25", "0.25", "0.25", "0.7071", "0", "0"]
    assert "training" not in out


def test_trainers_are_described(tmp_path, capsys):
    trainer = example()
    path = tmp_path / "a.safetensors"
    trainer.save(path)
    _, out, _ = inspect(path, capsys=capsys)
    assert row(out, "kind") == ["trainer"]
    assert row(out, "loss") == ["Huber(delta=0.3)"]
    assert row(out, "optimizer") == [repr(trainer.optimizer)]
    assert row(out, "updates") == [f"{trainer.updates}"]
    assert row(out, "batch_size") == ["7"]
    assert row(out, "clip_norm") == ["3.0"]
    assert row(out, "random state") == ["PCG64"]
    moments = re.findall(r"^ +(moments\S+)", out, re.MULTILINE)
    assert len(moments) == 2 * len(trainer.model.parameters)
    content = facts(path, capsys)
    assert content["training"]["updates"] == trainer.updates
    assert content["training"]["options"]["l2"] == 0.2
    assert [each["name"] for each in content["parameters"]][:3] == ["biases.0", "biases.1", "biases.2"]


@pytest.mark.parametrize(
    "optimizer", [SGD(schedules.Warmup(schedules.Cosine(0.1, 10), 3)), Adam(schedules.Step(0.1, 5, 0.5))], ids=repr
)
def test_schedules_and_nested_losses_are_written_as_calls(optimizer, tmp_path, capsys):
    loss = losses.Heads([(0, losses.Huber(0.5)), (1, losses.Quantile(0.9))])
    Trainer(model_of((3, 2)), loss, optimizer).save(tmp_path / "a")
    _, out, _ = inspect(tmp_path / "a", capsys=capsys)
    (shown,) = row(out, "loss")
    assert shown.startswith("Heads(heads=[[")
    assert all(repr(part) in shown for _, part, *_ in loss.heads)
    assert row(out, "optimizer") == [repr(optimizer)]
    assert row(out, "random state") == ["that of the model"]


def test_the_object_for_programs_has_everything(tmp_path, capsys):
    model = model_of((3, 4, 2))
    model.save(tmp_path / "a")
    content = facts(tmp_path / "a", capsys)
    assert (content["file"], content["kind"], content["format"]) == (str(tmp_path / "a"), "model", 1)
    assert content["written_by"] == f"fastnn {fastnn.__version__}"
    assert content["bytes"] == (tmp_path / "a").stat().st_size
    assert content["training"] is None
    assert content["feature_names"] is None
    summary, architecture = model.summary(), content["architecture"]
    for name in ("n_parameters", "n_bytes", "storage_bytes", "multiply_adds", "dtype"):
        assert architecture[name] == getattr(summary, name)
    assert architecture["layers"] == [vars(layer) for layer in summary.layers]
    for each in content["parameters"]:
        kind, layer = each["name"].split(".")
        array = getattr(model, kind)[int(layer)]
        assert (tuple(each["shape"]), each["dtype"], each["nan"], each["infinite"]) == (array.shape, "float64", 0, 0)
        wanted = [array.min(), array.mean(), array.max(), np.linalg.norm(array)]
        assert [each[name] for name in ("min", "mean", "max", "norm")] == pytest.approx(wanted, rel=1e-12)


def test_elements_that_are_not_finite_are_counted(tmp_path, capsys):
    arrays = {
        "a": np.array([np.nan, np.inf, -np.inf, 3.0, -4.0]),
        "b": np.array([np.nan]),
        "c": np.zeros((0, 2), np.float32),
        "d": np.array([1e308, 1e308]),
        "e": np.array([1e-200, 1e-200]),
        "f": np.array(2.0),
    }
    content = facts(write(tmp_path / "a", arrays, {}), capsys)
    numbers = {each.pop("name"): each for each in content["parameters"]}
    assert numbers["a"] == {
        **{"shape": [5], "dtype": "float64", "min": -4.0, "mean": -0.5, "max": 3.0, "norm": 5.0},
        **{"nan": 1, "infinite": 2},
    }
    for name in ("b", "c"):
        assert [numbers[name][key] for key in ("min", "mean", "max", "norm")] == [None, None, None, 0.0]
    assert numbers["d"]["mean"] == 1e308
    assert numbers["d"]["norm"] == pytest.approx(2**0.5 * 1e308)
    assert numbers["e"]["norm"] == pytest.approx(2**0.5 * 1e-200)
    assert numbers["f"]["shape"] == []
    code, out, _ = inspect(tmp_path / "a", capsys=capsys)
    assert code == 0
    assert row(out, "a")[-2:] == ["1", "2"]


def test_functions_of_users_need_not_be_known(tmp_path, capsys):
    config = {
        **{"version": 1, "kind": "trainer", "loss": {"custom_loss": "mine"}},
        "model": {"layer_sizes": [2, 3, 1], "activations": ["wave", "identity"], "dropout": [0.0], "dtype": "float32"},
    }
    shapes = {"weights.0": (2, 3), "biases.0": (3,), "weights.1": (3, 1), "biases.1": (1,)}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    code, out, _ = inspect(write(tmp_path / "a", arrays, {"fastnn": json.dumps(config)}), capsys=capsys)
    assert code == 0
    assert row(out, "1") == ["(n, 2)", "(n, 3)", "wave", "9", "36", "6"]
    assert row(out, "loss") == ["<loss 'mine'>"]
    assert row(out, "written by") == ["not recorded"]


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}, {"fastnn": "{"}, {"fastnn": "[]"}, {"fastnn": "[" * 100_000}])
def test_files_of_others_are_shown_as_they_are(metadata, tmp_path, capsys):
    path = write(tmp_path / "a", {"w": np.ones((2, 3))}, metadata)
    content = facts(path, capsys)
    assert content["kind"] == "of another library"
    assert content["architecture"] is None
    assert content["metadata"] == metadata
    code, out, _ = inspect(path, capsys=capsys)
    assert code == 0
    assert row(out, "w") == ["(2, 3)", "float64", "1", "1", "1", "2.449", "0", "0"]
    for name in metadata:
        assert row(out, name)


def test_kinds_of_later_versions_are_shown_by_metadata_and_arrays(tmp_path, capsys):
    config = {"version": 7, "kind": "forest", "trees": [1, {"depth": float("inf")}], "note": "x" * 1000}
    path = write(tmp_path / "a", {"leaf.10": np.ones(2), "leaf.9": np.zeros(2)}, {"fastnn": json.dumps(config), "by": "me"})
    content = facts(path, capsys)
    assert (content["kind"], content["format"]) == ("forest", 7)
    assert content["metadata"] == {"trees": [1, {"depth": "Infinity"}], "note": "x" * 1000, "by": "me"}
    assert [each["name"] for each in content["parameters"]] == ["leaf.9", "leaf.10"]
    _, out, _ = inspect(path, capsys=capsys)
    assert row(out, "kind") == ["forest"]
    assert row(out, "trees") == ["[1, {'depth': 'Infinity'}]"]
    assert row(out, "note") == ["x" * 200 + "... (--json has it all)"]


def test_estimators_are_described(tmp_path, capsys):
    pytest.importorskip("sklearn")
    from fastnn import sklearn as estimators

    X, labels = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 3
    estimators.MLPClassifier((4,), tol=1e9, learning_rate_init=0.03).fit(X, labels).save(tmp_path / "a")
    _, out, _ = inspect(tmp_path / "a", capsys=capsys)
    assert row(out, "kind") == ["classifier"]
    assert row(out, "2 (output)")[:3] == ["(n, 4)", "(n, 3)", "softmax"]
    assert row(out, "optimizer") == [repr(Adam(0.03))]
    assert row(out, "parameters.learning_rate_init") == ["0.03"]
    assert int(row(out, "fitted.n_iter_")[0]) > 0


def test_text_of_files_cannot_control_a_terminal(tmp_path, capsys):
    config = {"version": 1, "kind": "\033[2J", "more\r": "\x07\n"}
    path = write(tmp_path / "a", {"\033]0;w": np.ones(2)}, {"fastnn": json.dumps(config)})
    _, out, _ = inspect(path, capsys=capsys)
    assert not re.search("[\x00-\x09\x0b-\x1f]", out)
    assert "\\x1b]0;w" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a safetensors file, as save writes it, got another (0 bytes, expected 8 or more)"),
        (b"\x08\x03onnx-like content", "expected a safetensors file"),
        (b"id,age\n1,2\n", "expected a safetensors file"),
        (b"".join(dump({"w": np.ones(3)}, {}))[:-1], "expected a safetensors file"),
    ],
)
def test_other_files_are_an_error(content, message, tmp_path, capsys):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for options in ([], ["--json"]):
        code, out, err = inspect(path, *options, capsys=capsys)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"fastnn: error: {path}: expected a safetensors file")
        assert message in err


@pytest.mark.parametrize(
    "model",
    [
        {"layer_sizes": [2, 3]},
        {"layer_sizes": [10**9, 10**9], "activations": ["identity"], "dropout": [], "dtype": "float32"},
        {"layer_sizes": [2, -3], "activations": ["identity"], "dropout": [], "dtype": "float32"},
        {"layer_sizes": ["2", 3], "activations": ["identity"], "dropout": [], "dtype": "float32"},
        {"layer_sizes": [1, 1], "activations": [], "dropout": [], "dtype": "float32"},
        {"layer_sizes": [1, 1], "activations": 7, "dropout": [], "dtype": "float32"},
        {"layer_sizes": [1, 1], "activations": [["x"]], "dropout": [2], "dtype": "float32"},
    ],
)
def test_damaged_architectures_are_an_error(model, tmp_path, capsys):
    config = {"version": 1, "kind": "model", "model": model}
    path = write(tmp_path / "a", {"w": np.ones(4, np.float32)}, {"fastnn": json.dumps(config)})
    code, out, err = inspect(path, capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{path}: damaged, or of another version (" in err


def test_files_that_cannot_be_read_are_an_error(tmp_path, capsys):
    assert inspect(tmp_path, capsys=capsys)[::2] == (1, f"fastnn: error: [Errno 21] Is a directory: '{tmp_path}'\n")
    code, _, err = inspect(tmp_path / "missing", capsys=capsys)
    assert code == 1
    assert "No such file or directory" in err
    code, _, err = inspect(capsys=capsys)
    assert (code, err) == (
        2,
        "fastnn inspect: error: the following arguments are required: FILE; see fastnn inspect --help\n",
    )


def test_ensembles_are_described(tmp_path, capsys):
    path = tmp_path / "e.safetensors"
    models = [MLP((3, n, 2), random_state=0) for n in (4, 4, 5)]
    models[2].feature_names = ["a", "b", "c"]
    fastnn.Ensemble(models).save(path)
    found = facts(path, capsys)
    assert (found["kind"], found["architecture"], found["feature_names"]) == ("ensemble", None, ["a", "b", "c"])
    assert [(group["first"], group["last"], group["layer_sizes"]) for group in found["members"]] == [
        (0, 1, [3, 4, 2]),
        (2, 2, [3, 5, 2]),
    ]
    assert [entry["name"] for entry in found["parameters"]][::4] == [f"members.{k}.biases.0" for k in range(3)]
    code, out, _ = inspect(path, capsys=capsys)
    assert code == 0
    assert "0 to 1  3 - 4 - 2, relu, identity, float32" in out
    fastnn.Ensemble(models[:2]).save(path)
    assert facts(path, capsys)["architecture"]["n_parameters"] == 26
    assert "architecture of each" in inspect(path, capsys=capsys)[1]


def test_damaged_ensembles_are_refused(tmp_path, capsys):
    text = json.dumps({"kind": "ensemble", "version": 1, "models": [3]})
    code, _, err = inspect(write(tmp_path / "e", {"members.0.weights.0": np.ones(3)}, {"fastnn": text}), capsys=capsys)
    assert code == 1
    assert "damaged, or of another version" in err
