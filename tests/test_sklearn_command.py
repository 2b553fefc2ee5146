"""``python -m fastnn.sklearn`` runs unmodified programs with fastnn's estimators; they end as in Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")

from fastnn.sklearn import report
from fastnn.sklearn.__main__ import main

PROGRAM = """
import sys
import numpy as np
from sklearn.neural_network import MLPClassifier
if __name__ == "__main__":
    print(MLPClassifier.__module__, sys.argv[1:], sys.modules["__main__"].MLPClassifier is MLPClassifier)
    MLPClassifier((2,), solver="lbfgs", max_iter=50).fit([[0.0], [1.0]], [0, 1])
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that writes program.py and runs the command."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, program=PROGRAM, path="program.py"):
        (tmp_path / path).write_text(program, encoding="utf-8")
        command = [sys.executable, "-m", "fastnn.sklearn", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.mark.parametrize("how", [("program.py",), ("-m", "program")], ids=["script", "module"])
def test_a_program_gets_fastnns_estimators(run, how):
    done = run("--report", *how, "--report", "-m", "x")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "fastnn.sklearn._patching ['--report', '-m', 'x'] True\n"
    assert "MLPClassifier: 1 fit; replaced in sklearn.neural_network\n" in done.stderr


def test_a_program_sees_the_same_arguments_path_and_main_module_as_in_python(run):
    program = "import os, sys, beside\nprint(os.path.abspath(sys.argv[0]), sys.path[0], __name__, __file__, beside.__file__)"
    os.mkdir("deep")
    with open("deep/beside.py", "w", encoding="utf-8"):
        pass
    done = run("deep/program.py", program=program, path="deep/program.py")
    plain = subprocess.run([sys.executable, "deep/program.py"], capture_output=True, text=True, check=True)
    assert done.stdout == plain.stdout


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import sys; print('out'); sys.exit(7)", 7),
        ("def f():\n    1 / 0\n\nf()", 1),
        ("print(", 1),
        ("import sys; sys.excepthook = lambda *error: print('mine'); raise ValueError", 1),
        ("raise KeyboardInterrupt", -2),
    ],
)
def test_programs_end_with_the_exit_codes_of_python(run, program, code):
    done = run("--report", "program.py", program=program)
    plain = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, check=False)
    assert done.returncode == plain.returncode == code
    assert done.stdout == plain.stdout
    account = done.stderr.removeprefix(plain.stderr)
    assert re.match("fastnn .* in the place of scikit-learn ", account)
    assert account.count("\n") == 3


@pytest.mark.parametrize("arguments", [(), ("--report",), ("-m",), ("--report", "-m"), ("--nonsense", "program.py")])
def test_wrong_usage_exits_with_2(arguments, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m fastnn.sklearn")
    assert not report().active


def test_help_is_printed_and_missing_files_are_errors(run, capsys):
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m fastnn.sklearn")
    assert main(["absent.py"]) == 2
    assert capsys.readouterr().err == "python -m fastnn.sklearn: can't open file 'absent.py'\n"
    done = run("-m", "absent")
    assert done.returncode == 1
    assert done.stderr == "ImportError: No module named absent\n"


def test_worker_processes_of_a_program_get_fastnns_estimators(run):
    program = """
import warnings
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

class Mine(MLPClassifier):
    pass

if __name__ == "__main__":
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)
    for kind in (MLPClassifier, Mine):
        grid = {"hidden_layer_sizes": [(3,), (4,)]}
        found = GridSearchCV(kind(solver="lbfgs", max_iter=500, random_state=0), grid, cv=2, n_jobs=2).fit(X, y)
        print(type(found.best_estimator_).__mro__[kind is Mine].__module__, found.best_score_ > 0.8)
"""
    done = run("--report", "program.py", program=program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "fastnn.sklearn._patching True\n" * 2
    assert "MLPClassifier: 2 fits" in done.stderr
