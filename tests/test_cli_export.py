"""``fastnn export``: a model file in, a file for another library or language out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from _helpers import data, model_of

from fastnn import MLP, Ensemble, SharedEnsemble, Trainer
from fastnn._cli import main

SUFFIXES = {"onnx": ".onnx", "c": ".c", "torch": ".pt"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a directory with the files of a model and of a trainer."""
    monkeypatch.chdir(tmp_path)
    model = model_of((3, 5, 2), dtype=np.float32)
    model.save("model.safetensors")
    Trainer(model).save("run.v2.safetensors")
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """Return the calls of methods that write a text instead of a model."""
    made = []

    def record(method):
        def write(self, path, **options):
            made.append((method, self.layer_sizes, options))
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"{method} ü\n")

        return write

    for method in ("to_onnx", "to_c"):
        monkeypatch.setattr(MLP, method, record(method), raising=False)
    return made


def export(*arguments, capsys):
    code = main(["export", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


# ---- The files of every format ----


@pytest.mark.parametrize("source", ["model.safetensors", "run.v2.safetensors"])
def test_onnx_files_predict_the_same(source, folder, capsys):
    runtime = pytest.importorskip("onnxruntime")
    code, out, err = export(source, "--to", "onnx", capsys=capsys)
    path = source.replace(".safetensors", ".onnx")
    assert (code, out, err) == (0, f"wrote {path}\n", "")
    X = data(8, 3, 2)[0].astype(np.float32)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: X})[:1]
    np.testing.assert_allclose(got, MLP.load(source).predict(X), rtol=1e-5, atol=1e-6)


def test_onnx_files_of_classifiers_predict_labels(folder, capsys):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("sklearn")
    from fastnn import sklearn as estimators

    X = data(100, 3, 2)[0]
    labels = np.where(X[:, 0] > 0, "yes", "no")
    classifier = estimators.MLPClassifier((8,), tol=1e9, random_state=0).fit(X, labels)
    classifier.save("classifier.safetensors")
    assert export("classifier.safetensors", "--to", "onnx", capsys=capsys)[0] == 0
    session = runtime.InferenceSession("classifier.onnx", providers=["CPUExecutionProvider"])
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[session.get_inputs()[0].type]
    got = session.run(None, {session.get_inputs()[0].name: X.astype(kind)})[0]
    assert (got == classifier.predict(X)).mean() > 0.98


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(("dtype", "number"), [("float32", "float"), ("float64", "double")])
def test_c_files_predict_the_same(dtype, number, folder, capsys):
    options = ["--name", "infer", "--dtype", dtype]
    assert export("model.safetensors", "--to", "c", *options, capsys=capsys) == (0, "wrote model.c\n", "")
    program = f"""#include <stdio.h>
    void infer(const {number} *x, {number} *y);
    int main(void) {{
        {number} x[3] = {{0.5f, -1.0f, 2.0f}}, y[2];
        infer(x, y);
        printf("%.17g %.17g", (double)y[0], (double)y[1]);
        return 0;
    }}"""
    (folder / "main.c").write_text(program)
    subprocess.run(["cc", "model.c", "main.c", "-lm", "-o", "program"], check=True)
    printed = subprocess.run(["./program"], check=True, capture_output=True, text=True).stdout
    expected = MLP.load("model.safetensors").predict([0.5, -1.0, 2.0])
    np.testing.assert_allclose(np.array(printed.split(), float), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["tanh", "prelu", "gelu", "softplus"])
def test_torch_files_are_state_dicts_of_the_module_that_is_shown(dtype, activation, folder, capsys):
    torch = pytest.importorskip("torch")
    model = model_of((3, 5, 4, 2), activation, "softmax", dropout=[0.5, 0.0], dtype=dtype)
    model.save("model.safetensors")
    code, out, err = export("model.safetensors", "--to", "torch", capsys=capsys)
    assert (code, err) == (0, "")
    shown = re.fullmatch(r"wrote model.pt, the state dict of (nn\.Sequential\(.*\))\n", out)[1]
    module = eval(shown, {"nn": torch.nn}).eval()
    state = torch.load("model.pt", weights_only=True)
    module.load_state_dict(state)
    for name, tensor in module.state_dict().items():
        assert (tensor.dtype, tensor.numpy().tobytes()) == (state[name].dtype, state[name].numpy().tobytes())
    X = data(8, 3, 2)[0].astype(dtype)
    with torch.no_grad():
        got = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(got, model.predict(X), rtol=1e-5, atol=1e-6)


def test_modules_of_shared_ensembles_are_shown_in_one_line(folder, capsys):
    torch = pytest.importorskip("torch")
    MLP((3, 4, 2), "prelu", shared=SharedEnsemble(3), random_state=0).save("shared.safetensors")
    code, out, err = export("shared.safetensors", "--to", "torch", capsys=capsys)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert "ByMember( (module): PReLU(num_parameters=4) )" in out
    MLP.load("shared.safetensors").to_torch().load_state_dict(torch.load("shared.pt", weights_only=True))


# ---- Names, options and streams ----


@pytest.mark.parametrize("to", ["onnx", "c"])
def test_the_file_is_named_after_the_model(to, folder, calls, capsys):
    shutil.copy("model.safetensors", "net-0.5")
    shutil.copy("model.safetensors", "LOUD.SAFETENSORS")
    names = {"model.safetensors": "model", "run.v2.safetensors": "run.v2", "net-0.5": "net-0.5", "LOUD.SAFETENSORS": "LOUD"}
    for source, name in names.items():
        path = f"{name}{SUFFIXES[to]}"
        assert export(source, "--to", to, capsys=capsys) == (0, f"wrote {path}\n", "")
        assert os.path.exists(path)
    assert calls == [(f"to_{to}", (3, 5, 2), {})] * 4


def test_options_for_c_are_passed_on(folder, calls, capsys):
    arguments = ["--to", "c", "--out", "a.h", "--name", "infer", "--dtype", "float64"]
    assert export("model.safetensors", *arguments, capsys=capsys) == (0, "wrote a.h\n", "")
    assert calls == [("to_c", (3, 5, 2), {"name": "infer", "dtype": "float64"})]


def test_c_is_written_to_the_standard_output(folder, calls, capsysbinary):
    before = os.listdir()
    assert main(["export", "model.safetensors", "--to", "c", "--out", "-"]) == 0
    assert capsysbinary.readouterr().out == "to_c ü\n".encode()
    assert os.listdir() == before


@pytest.mark.parametrize("out", [None, "other.c"])
def test_files_are_replaced_only_by_force(out, folder, calls, capsys):
    options = ["--out", out] if out else []
    path = folder / (out or "model.c")
    path.write_text("mine")
    code, _, err = export("model.safetensors", "--to", "c", *options, capsys=capsys)
    message = f"{path.name}: expected a name that is free, got a file that exists; --force replaces it"
    assert (code, err) == (1, f"fastnn: error: {message}\n")
    assert path.read_text() == "mine"
    assert calls == []
    assert export("model.safetensors", "--to", "c", *options, "--force", capsys=capsys)[0] == 0
    assert path.read_text() == "to_c ü\n"


def test_links_to_nothing_and_devices_are_no_files_to_lose(folder, calls, capsys):
    (folder / "link.c").symlink_to("new.c")
    assert export("model.safetensors", "--to", "c", "--out", "link.c", capsys=capsys)[0] == 0
    assert (folder / "new.c").read_text() == "to_c ü\n"
    assert export("model.safetensors", "--to", "c", "--out", "/dev/null", capsys=capsys)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["model.safetensors"], 2, "the following arguments are required: --to"),
        (["--to", "c"], 2, "the following arguments are required: FILE"),
        (["model.safetensors", "--to", "onxx"], 2, "did you mean 'onnx'?"),
        (["model.safetensors", "--to", "onnx", "--name", "f"], 2, "argument --name: expected --to c, got --to onnx"),
        (
            ["model.safetensors", "--to", "torch", "--dtype", "float64"],
            2,
            "argument --dtype: expected --to c, got --to torch",
        ),
        (["model.safetensors", "--to", "onnx", "--out", "-"], 2, "argument --out: expected a file for --to onnx, got '-'"),
        (
            ["model.safetensors", "--to", "c", "--out", "missing/a.c"],
            2,
            "argument --out: expected a file in a directory that",
        ),
        (["model.safetensors", "--to", "c", "--out", "."], 2, "argument --out: expected a file in a directory that exists"),
        (["model.safetensors", "--to", "c", "--out", ""], 2, "argument --out: expected a file in a directory that exists"),
        (["model.safetensors", "--to", "c", "--out", "model.safetensors", "--force"], 2, "expected another file than FILE"),
        (["missing.safetensors", "--to", "c"], 1, "No such file or directory: 'missing.safetensors'"),
        (["folder", "--to", "c"], 1, "Is a directory: 'folder'"),
        (["text", "--to", "c"], 1, "text: not such a file of fastnn"),
    ],
)
def test_errors_are_one_line_with_the_exit_code(arguments, code, message, folder, calls, capsys):
    (folder / "folder").mkdir()
    (folder / "text").write_text("1,2\n")
    before = sorted(os.listdir())
    got, out, err = export(*arguments, capsys=capsys)
    assert (got, out) == (code, "")
    assert message in err
    assert re.fullmatch("fastnn.*: error: .*\n", err)
    assert (sorted(os.listdir()), calls) == (before, [])


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_a_missing_package_is_wrong_usage(to, folder, capsys, monkeypatch):
    def fail(self, *_):
        raise ImportError('needs a package: pip install "fastnn-cpu[extra]"')

    monkeypatch.setattr(MLP, f"to_{to}", fail, raising=False)
    code, out, err = export("model.safetensors", "--to", to, capsys=capsys)
    assert (code, out, err) == (2, "", 'fastnn: error: needs a package: pip install "fastnn-cpu[extra]"\n')
    assert not os.path.exists(f"model{SUFFIXES[to]}")


def test_a_state_dict_replaces_an_older_file_as_a_whole(folder, capsys, monkeypatch):
    class Linear:
        def __repr__(self):
            return "Linear(in_features=3, out_features=2, bias=True)"

    class Sequential(list):
        def state_dict(self):
            return {"0.weight": 1}

    class Torch:
        broken = False

        @classmethod
        def save(cls, state, file):
            file.write(repr(state).encode())
            if cls.broken:
                raise OSError("broken")

    monkeypatch.setitem(sys.modules, "torch", Torch)
    monkeypatch.setattr(MLP, "to_torch", lambda self: Sequential([Linear()]), raising=False)
    code, out, err = export("model.safetensors", "--to", "torch", capsys=capsys)
    module = "nn.Sequential(nn.Linear(in_features=3, out_features=2, bias=True))"
    assert (code, out, err) == (0, f"wrote model.pt, the state dict of {module}\n", "")
    assert (folder / "model.pt").read_bytes() == b"{'0.weight': 1}"
    (folder / "model.pt").write_text("mine")
    Torch.broken = True
    code, _, err = export("model.safetensors", "--to", "torch", "--force", capsys=capsys)
    assert (code, err) == (1, "fastnn: error: broken\n")
    assert (folder / "model.pt").read_text() == "mine"


def test_ensembles_are_refused(folder, capsys):
    Ensemble([model_of((3, 2))]).save("ensemble.safetensors")
    for to in ("onnx", "c", "torch"):
        code, out, err = export("ensemble.safetensors", "--to", to, capsys=capsys)
        assert (code, out) == (1, "")
        assert "got an ensemble, to be read by fastnn.Ensemble.load" in err
