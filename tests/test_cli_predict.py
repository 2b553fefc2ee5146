"""``fastnn predict``: the rows of a table in, predictions out."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from _helpers import model_of, obeying_interrupts

from fastnn import MLP, Ensemble, Trainer
from fastnn._cli import _predict, main
from fastnn._cli._models import Predictor
from fastnn._storage.safetensors import dump

COMMAND = [sys.executable, "-m", "fastnn", "predict"]
NAMES = ("age", "height", "weight")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a directory with two models of three inputs, one of which knows their names, and tables for them."""
    monkeypatch.chdir(tmp_path)
    model = model_of((3, 5, 2), dtype=np.float32)
    model.save("plain.safetensors")
    model.feature_names = NAMES
    Trainer(model).save("named.safetensors")
    X = np.random.default_rng(0).normal(size=(1000, 3))
    np.save("x.npy", X)
    write_csv("x.csv", X, NAMES)
    return tmp_path


def write_csv(path, X, names=()):
    lines = [",".join(names)] * bool(names) + [",".join(map(repr, row)) for row in X.tolist()]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def predict(*arguments, capsys):
    code = main(["predict", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def expected(X, path="plain.safetensors"):
    return MLP.load(path).predict(X)


def numbers(text, dtype=np.float32):
    return np.loadtxt(text.splitlines()[1:], delimiter=",", ndmin=2, dtype=dtype)


@pytest.mark.parametrize("model", ["plain.safetensors", "named.safetensors"])
@pytest.mark.parametrize("data", ["x.csv", "x.npy"])
def test_predictions_are_those_of_the_model_to_the_last_bit(model, data, folder, capsys):
    code, out, err = predict(model, data, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "prediction_0,prediction_1"
    np.testing.assert_array_equal(numbers(out), expected(np.load("x.npy")))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("out", ["y.csv", "y.tsv", "y.npy"])
def test_predictions_are_written_to_files(dtype, out, folder, capsys):
    model_of((3, 4, 1), dtype=dtype).save("one.safetensors")
    assert predict("one.safetensors", "x.csv", "--out", out, capsys=capsys) == (0, "", "")
    if out.endswith("npy"):
        got = np.load(out)
    else:
        assert (folder / out).read_text().startswith("prediction\n")
        got = np.loadtxt(out, skiprows=1, ndmin=2, dtype=dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, expected(np.load("x.npy"), "one.safetensors"))


def test_ensembles_predict_their_mean(folder, capsys):
    ensemble = Ensemble([model_of((3, n, 2), dtype=np.float32) for n in (4, 9)])
    ensemble[1].feature_names = ["a", "b", "c"]
    ensemble.save("ensemble.safetensors")
    X = np.random.default_rng(0).normal(size=(4, 3))
    write_csv("named.csv", X[:, ::-1], "cba")
    code, out, _ = predict("ensemble.safetensors", "named.csv", capsys=capsys)
    assert code == 0
    np.testing.assert_array_equal(numbers(out), ensemble.predict(X))


def test_columns_are_found_by_name_and_others_are_mentioned(folder, capsys):
    X = np.load("x.npy")
    write_csv("mixed.csv", np.column_stack([X[:, 2], np.zeros(1000), X[:, 0], X[:, 1]]), ["weight", "id", "age", "height"])
    code, out, err = predict("named.safetensors", "mixed.csv", capsys=capsys)
    assert (code, err) == (0, "fastnn: note: columns that are not inputs: 'id'\n")
    np.testing.assert_array_equal(numbers(out), expected(X))
    code, out, err = predict("plain.safetensors", "mixed.csv", "--columns", "age,height,weight", capsys=capsys)
    assert (code, err) == (0, "fastnn: note: columns that are not inputs: 'id'\n")
    np.testing.assert_array_equal(numbers(out), expected(X))


def test_columns_without_names_are_chosen_by_number(folder, capsys):
    X = np.load("x.npy")
    np.save("wide.npy", np.column_stack([X[:, 1], np.full(1000, np.nan), X[:, 0], X[:, 2]]))
    code, out, err = predict("named.safetensors", "wide.npy", "--columns", "3,1,4", capsys=capsys)
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(numbers(out), expected(X))


def test_numbers_of_columns_in_the_first_row_are_no_names(folder, capsys):
    X = np.array([[2, 1, 3, 9], [3, 4, 6, 9]])
    np.savetxt("small.csv", X, fmt="%d", delimiter=",")
    code, out, _ = predict("named.safetensors", "small.csv", "--columns", "2,1,3", capsys=capsys)
    assert code == 0
    np.testing.assert_array_equal(numbers(out), expected(X[:, [1, 0, 2]]))


def test_without_a_header_the_output_has_none(folder, capsys):
    X = np.load("x.npy")
    write_csv("bare.csv", X)
    code, out, _ = predict("plain.safetensors", "bare.csv", "--no-header", capsys=capsys)
    assert code == 0
    np.testing.assert_array_equal(numbers("\n" + out), expected(X))
    code, out, _ = predict("plain.safetensors", "bare.csv", capsys=capsys)
    assert (code, len(out.splitlines())) == (0, 1001)


def test_names_with_commas_are_quoted(folder, capsys):
    (folder / "quoted.csv").write_text('"a,b",c,d\n1,2,3\n')
    code, out, _ = predict("plain.safetensors", "quoted.csv", "--columns", '"a,b",c,d', capsys=capsys)
    assert code == 0
    np.testing.assert_array_equal(numbers(out), expected(np.array([[1.0, 2.0, 3.0]])))


@pytest.mark.parametrize(("delimiter", "name"), [("\t", "tab"), (";", ";"), (" ", " "), ("|", "|")])
def test_other_delimiters_are_given(delimiter, name, folder, capsys):
    (folder / "a.csv").write_text("age,height,weight\n1,2,3\n".replace(",", delimiter))
    code, out, _ = predict("named.safetensors", "a.csv", "--delimiter", name, capsys=capsys)
    assert code == 0
    np.testing.assert_array_equal(numbers(out), expected(np.array([[1.0, 2.0, 3.0]])))


def test_tables_with_tabs_need_no_delimiter(folder, capsys):
    (folder / "a.tsv").write_text("1\t2\t3\n")
    assert predict("plain.safetensors", "a.tsv", capsys=capsys)[0] == 0


def test_rows_with_missing_values_are_predicted_as_nan_where_that_is_allowed(folder, capsys):
    (folder / "a.csv").write_text("age,height,weight\n1,2,3\n4,,6\n")
    code, out, err = predict("named.safetensors", "a.csv", capsys=capsys)
    assert (code, out) == (1, "prediction_0,prediction_1\n")
    assert err == (
        "fastnn: error: a.csv, line 3, column 2 ('height'): expected a finite number, got an empty cell; --allow-missing "
        "predicts NaN for such rows\n"
    )
    for out_file in ("-", "y.csv", "y.npy"):
        code, out, err = predict("named.safetensors", "a.csv", "--allow-missing", "--out", out_file, capsys=capsys)
        assert (code, err) == (0, "")
    assert out == ""
    np.testing.assert_array_equal(np.load("y.npy")[1], [np.nan, np.nan])
    np.testing.assert_array_equal(np.load("y.npy")[0], expected(np.array([[1.0, 2.0, 3.0]]))[0])
    assert (folder / "y.csv").read_text().splitlines()[2] == "nan,nan"


def test_missing_values_are_seen_even_if_the_model_does_not_use_them(folder, capsys, monkeypatch):
    constant = Predictor(1, None, ("prediction",), np.dtype(float), lambda X: np.ones((len(X), 1)))
    monkeypatch.setattr(_predict, "load_predictor", lambda path: constant)
    (folder / "a.csv").write_text("a\n1\nNA\n2\n")
    code, out, _ = predict("any", "a.csv", "--allow-missing", capsys=capsys)
    assert (code, out) == (0, "prediction\n1.0\nnan\n1.0\n")


@pytest.mark.parametrize("data", ["empty.csv", "empty.npy"])
@pytest.mark.parametrize("out", ["y.csv", "y.npy"])
def test_no_rows_give_no_predictions(data, out, folder, capsys):
    (folder / "empty.csv").write_text("age,height,weight\n")
    np.save("empty.npy", np.zeros((0, 3)))
    assert predict("named.safetensors", data, "--out", out, capsys=capsys) == (0, "", "")
    if out == "y.csv":
        assert (folder / out).read_text() == "prediction_0,prediction_1\n"
    else:
        assert np.load(out).shape == (0, 2)


def test_failing_leaves_an_older_file_as_it_was(folder, capsys):
    X = np.load("x.npy")
    X[900, 1] = np.nan
    np.save("x.npy", X)
    for out in ("y.csv", "y.npy"):
        (folder / out).write_text("old")
        code, _, err = predict("named.safetensors", "x.npy", "--out", out, capsys=capsys)
        assert code == 1
        assert "x.npy, row 901, column 2: expected a finite number, got nan" in err
        assert (folder / out).read_text() == "old"
    assert sorted(os.listdir()) == ["named.safetensors", "plain.safetensors", "x.csv", "x.npy", "y.csv", "y.npy"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["plain.safetensors", "x.csv", "--columns", "age"],
            2,
            "argument --columns: expected 3, one per input of the model",
        ),
        (["plain.safetensors", "x.csv", "--columns", "a,,b"], 2, "expected names separated by commas, got 'a,,b'"),
        (["plain.safetensors", "x.csv", "--columns", ""], 2, "expected names separated by commas, got ''"),
        (["plain.safetensors", "x.csv", "--columns", 'a,"b'], 2, "expected names separated by commas, got 'a,\"b'"),
        (
            ["plain.safetensors", "x.csv", "--columns", "age,size,weight"],
            1,
            "x.csv: expected columns 'age', 'size', 'weight'",
        ),
        (["plain.safetensors", "x.npy", "--columns", "age,height,weight"], 1, "x.npy have no names, got 'age'"),
        (["plain.safetensors", "x.npy", "--delimiter", ";"], 2, "argument --delimiter: expected DATA in the format csv"),
        (["plain.safetensors", "x.npy", "--header"], 2, "argument --header: expected DATA in the format csv, got npy"),
        (["plain.safetensors", "x.csv", "--header", "--no-header"], 2, "not allowed with argument"),
        (["plain.safetensors", "x.csv", "--delimiter", "ab"], 2, "expected one character that is not in numbers, or tab"),
        (["plain.safetensors", "x.csv", "--delimiter", "1"], 2, "expected one character that is not in numbers, or tab"),
        (["plain.safetensors", "x.csv", "--delimiter", ""], 2, "expected one character that is not in numbers, or tab"),
        (["plain.safetensors", "x.data"], 2, "argument DATA: expected a name that ends in .csv, .tsv, .npy, .parquet, .pq"),
        (["plain.safetensors", "x.csv", "--format", "xls"], 2, "invalid choice: 'xls'"),
        (["plain.safetensors", "-", "--format", "parquet"], 2, "Parquet can't be read from a pipe, got '-'"),
        (["plain.safetensors", "x.csv", "--out", "y.txt"], 2, "expected a name that ends in .csv, .tsv or .npy, or -, got"),
        (["plain.safetensors", "x.csv", "--out", "missing/y.csv"], 2, "expected a file in a directory that exists"),
        (
            ["plain.safetensors", "x.csv", "--out", "x.csv"],
            2,
            "argument --out: expected another file than DATA, got 'x.csv'",
        ),
        (["plain.safetensors", "missing.csv"], 1, "No such file or directory: 'missing.csv'"),
        (["plain.safetensors", "folder.csv"], 1, "Is a directory: 'folder.csv'"),
        (["plain.safetensors", "folder.npy"], 1, "Is a directory: 'folder.npy'"),
        (["missing.safetensors", "x.csv"], 1, "No such file or directory: 'missing.safetensors'"),
        (["x.csv", "x.csv"], 1, "x.csv: expected a safetensors file, as save writes it, got another"),
        (["plain.safetensors", "x.npy", "--format", "csv"], 1, "x.npy, line 1: expected UTF-8, got the byte 0x93"),
        (["plain.safetensors", "x.csv", "--format", "npy"], 1, "x.csv: expected a .npy file with an array of real numbers"),
        (["plain.safetensors"], 2, "the following arguments are required: DATA"),
    ],
)
def test_errors_are_one_line_with_the_exit_code(arguments, code, message, folder, capsys):
    for name in ("folder.csv", "folder.npy"):
        (folder / name).mkdir()
    got, out, err = predict(*arguments, capsys=capsys)
    assert (got, out) == (code, "")
    assert message in err
    assert re.fullmatch("fastnn.*: error: .*\n", err)


def test_the_standard_input_is_read(folder, capsys, monkeypatch):
    for name, options in (("x.csv", []), ("x.npy", ["--format", "npy"])):
        data = (folder / name).read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code, out, _ = predict("named.safetensors", "-", *options, capsys=capsys)
        assert code == 0
        np.testing.assert_array_equal(numbers(out), expected(np.load("x.npy")))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1,2,3\n1,2\n")))
    assert "error: standard input, line 2: expected 3 cells" in predict("plain.safetensors", "-", capsys=capsys)[2]
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = predict("plain.safetensors", "-", capsys=capsys)
    assert (code, err) == (1, "fastnn: error: standard input: expected a table, got a stream that is closed\n")


def test_parquet_gives_the_same_predictions(folder, capsys):
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas").read_csv("x.csv").to_parquet("x.parquet")
    code, out, err = predict("named.safetensors", "x.parquet", capsys=capsys)
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(numbers(out), expected(np.load("x.npy")))


def test_a_missing_package_is_wrong_usage(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = predict("named.safetensors", "x.parquet", capsys=capsys)
    assert code == 2
    assert err.startswith('fastnn: error: reading Parquet needs PyArrow: pip install "fastnn-cpu[parquet]"')


# ---- Estimators ----

QUICKLY = {"tol": 1e9, "random_state": 0}  # training ends after the first epochs, and counts as converged


@pytest.mark.parametrize("labels", [["no", "yes", "übrig"], [3, 1, 2], [0.0, 1.0, 2.0]])
def test_classifiers_predict_labels(labels, folder, capsys):
    pytest.importorskip("sklearn")
    from fastnn import sklearn as estimators

    X = np.load("x.npy")
    y = np.array(labels)[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
    classifier = estimators.MLPClassifier((8,), **QUICKLY).fit(X, y)
    classifier.save("classifier.safetensors")
    assert predict("classifier.safetensors", "x.csv", "--out", "y.csv", capsys=capsys) == (0, "", "")
    assert predict("classifier.safetensors", "x.csv", "--out", "y.npy", capsys=capsys) == (0, "", "")
    first, *lines = (folder / "y.csv").read_text(encoding="utf-8").splitlines()
    assert first == "prediction"
    assert lines == [str(label) for label in classifier.predict(X)]
    np.testing.assert_array_equal(np.load("y.npy")[:, 0], classifier.predict(X))


def test_labels_of_rows_with_missing_values_are_missing(folder, capsys):
    pytest.importorskip("sklearn")
    from fastnn import sklearn as estimators

    X = np.load("x.npy")
    estimators.MLPClassifier((4,), **QUICKLY).fit(X, X[:, 0] > 0).save("classifier.safetensors")
    (folder / "a.csv").write_text("age,height,weight\n1,NA,3\n,5,6\n")
    code, out, _ = predict("classifier.safetensors", "a.csv", "--allow-missing", capsys=capsys)
    assert (code, out) == (0, 'prediction\n""\n""\n')
    code, _, err = predict("classifier.safetensors", "a.csv", "--allow-missing", "--out", "y.npy", capsys=capsys)
    assert code == 2
    assert "argument --allow-missing: expected --out in CSV, because labels in an array can't be missing" in err


def test_categories_are_numbers(folder, capsys):
    pytest.importorskip("sklearn")
    from fastnn import sklearn as estimators

    X = np.load("x.npy")
    X[:, 1] = np.arange(len(X)) % 4 + 10
    regressor = estimators.MLPRegressor(hidden_layer_sizes=(4,), categorical_features=[1], **QUICKLY).fit(X, X[:, 0])
    regressor.save("regressor.safetensors")
    np.save("codes.npy", X)
    assert predict("regressor.safetensors", "codes.npy", "--out", "y.npy", capsys=capsys) == (0, "", "")
    np.testing.assert_array_equal(np.load("y.npy")[:, 0], regressor.predict(X))
    table = X.astype(object)
    table[:, 1] = np.where(X[:, 1] > 11, "new", "old")
    regressor.fit(table, X[:, 0]).save("regressor.safetensors")
    code, _, err = predict("regressor.safetensors", "codes.npy", capsys=capsys)
    assert code == 2
    assert "argument MODEL: expected inputs that are numbers" in err


def test_regressors_find_their_columns_by_name(folder, capsys):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    from fastnn import sklearn as estimators

    frame = pandas.read_csv("x.csv")
    regressor = estimators.MLPRegressor(hidden_layer_sizes=(8,), **QUICKLY).fit(frame, frame[["age", "height"]])
    regressor.save("regressor.safetensors")
    frame.iloc[:, ::-1].to_csv("reversed.csv", index=False)
    assert predict("regressor.safetensors", "reversed.csv", "--out", "y.npy", capsys=capsys) == (0, "", "")
    np.testing.assert_array_equal(np.load("y.npy"), regressor.predict(frame))


def test_estimators_without_scikit_learn_are_wrong_usage(folder, capsys, monkeypatch):
    config = {"version": 1, "kind": "classifier"}
    (folder / "a").write_bytes(b"".join(dump({"w": np.ones(1)}, {"fastnn": json.dumps(config)})))
    for name in [name for name in sys.modules if name.startswith("fastnn.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("fastnn.sklearn", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, out, err = predict("a", "x.csv", capsys=capsys)
    assert (code, out) == (2, "")
    assert "fastnn-cpu[sklearn]" in err


# ---- Processes ----


def test_each_row_is_answered_before_the_next_one_comes(folder):
    process = subprocess.Popen(
        [*COMMAND, "plain.safetensors", "-", "--no-header"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    for row in np.load("x.npy")[:3]:
        process.stdin.write((",".join(map(repr, row.tolist())) + "\n").encode())
        got = np.array(process.stdout.readline().decode().split(","), dtype=np.float32)
        np.testing.assert_array_equal(got, expected(row))
    process.stdin.close()
    assert (process.stdout.read(), process.wait(timeout=60)) == (b"", 0)
    process.stdout.close()


def test_an_interrupt_leaves_no_file(folder):
    command = [*COMMAND, "plain.safetensors", "-", "--out", "y.csv", "--columns", "a,b,c"]
    with obeying_interrupts():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    process.stdin.write(b"a,b,c,d\n1,2,3,4\n")
    assert process.stderr.readline() == b"fastnn: note: columns that are not inputs: 'd'\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read() == b"fastnn: interrupted\n"
    process.stdin.close()
    process.stderr.close()
    assert not os.path.exists("y.csv")
    assert not [name for name in os.listdir() if name.startswith((".", "tmp"))]


def test_closed_and_full_outputs(folder):
    def shell(line):
        line = line.replace("fastnn", f"{sys.executable} -m fastnn")
        result = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=100)
        return result.returncode, result.stderr

    write_csv("long.csv", np.ones((100_000, 3)))
    assert shell("fastnn predict plain.safetensors long.csv | head -1 > y; exit ${PIPESTATUS[0]}") == (141, "")
    assert shell("fastnn predict plain.safetensors x.csv >&-") == (0, "")
    assert shell("fastnn predict plain.safetensors - <&-")[0] == 1
    if os.path.exists("/dev/full"):
        full = (1, "fastnn: error: [Errno 28] No space left on device\n")
        assert shell("fastnn predict plain.safetensors x.csv > /dev/full") == full
