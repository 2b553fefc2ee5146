"""One row at a time by the C files of `MLP.to_c` and of emlearn, beside ONNX Runtime and `predict`, both called from Python.

The C files are compiled by `cc -O3 -march=native`, and a loop in C calls them, so that nothing but the function is timed.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shapes import LAYER_SIZES

from fastnn._bench.peers import PREDICTORS
from fastnn._bench.works import Array, PredictionWork, initial_parameters, model_of, predicted_by_reference, rows_of

_ROWS = 100  # per call of a loop in C
_LOOP = """
void predict_rows(const float *x, float *y, int rows);
void predict_rows(const float *x, float *y, int rows)
{
    for (; rows > 0; rows--, x += N_IN, y += N_OUT) CALL;
}
"""


class InC:
    """A C file in a shared library, with a loop over rows."""

    def __init__(self, folder: Path, code: str, work: PredictionWork, *options: str) -> None:
        if not shutil.which("cc"):
            pytest.skip("there is no C compiler")
        (folder / "rows.c").write_text(code)
        sizes = [f"-DN_IN={work.layer_sizes[0]}", f"-DN_OUT={work.layer_sizes[-1]}"]
        command = ["cc", "-O3", "-march=native", *sizes, *options, "-shared", "-fPIC", "rows.c", "-o", "rows.so", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        self._rows = ctypes.CDLL(str(folder / "rows.so")).predict_rows
        self._n_out = work.layer_sizes[-1]

    def predictor(self, X: Array) -> Callable[[], Array]:
        """Return a call that predicts all rows."""
        out = np.empty((len(X), self._n_out), np.float32)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (X, out)]

        def predict() -> Array:
            self._rows(*pointers, len(X))
            return out

        return predict


def fastnn_in_c(work: PredictionWork, folder: Path) -> InC:
    """Return fastnn's C file."""
    model_of(work.layer_sizes, work.dtype, work.activation).to_c(folder / "network.c", "network")
    return InC(folder, '#include "network.c"\n' + _LOOP.replace("CALL", "network(x, y)"), work)


def emlearn_in_c(work: PredictionWork, folder: Path) -> InC:
    """Return emlearn's C file. It converts scikit-learn's estimators, and writes parameters with six decimals."""
    emlearn = pytest.importorskip("emlearn", reason="emlearn is not installed")
    neural_network = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
    n_in, *hidden, n_out = work.layer_sizes
    estimator = neural_network.MLPRegressor(hidden_layer_sizes=hidden, activation=work.activation, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        estimator.fit(np.zeros((2, n_in)), np.zeros((2, n_out)) if n_out > 1 else np.zeros(2))
    parameters = initial_parameters(work)
    estimator.coefs_, estimator.intercepts_ = parameters[::2], parameters[1::2]
    with contextlib.chdir(folder):  # it leaves files in the current directory
        emlearn.convert(estimator, method="inline").save(file="network.h", name="network")
    code = '#include "network.h"\n' + _LOOP.replace("CALL", "network_regress(x, N_IN, y, N_OUT)")
    return InC(folder, code, work, f"-I{emlearn.includedir}")


IN_C = {"fastnn, C": fastnn_in_c, "emlearn, C": emlearn_in_c}


@pytest.mark.parametrize("contestant", ["fastnn", *IN_C, "ONNX Runtime"])
@pytest.mark.parametrize("layer_sizes", LAYER_SIZES, ids=lambda sizes: "-".join(map(str, sizes)))
def test_one_row(contest, tmp_path, layer_sizes, contestant):
    work = PredictionWork(layer_sizes, 1, np.dtype(np.float32))
    ours, X = PREDICTORS["fastnn"](work, 1), rows_of(work)
    rows = 1
    if contestant in IN_C:
        rows = _ROWS
        many = np.random.default_rng(0).normal(size=(rows, layer_sizes[0])).astype(np.float32)
        predict = IN_C[contestant](work, tmp_path).predictor(many)
        np.testing.assert_allclose(predict(), predicted_by_reference(work, many), rtol=1e-3, atol=1e-4)
    else:
        peer = PREDICTORS[contestant]
        if reason := peer.why_not(work):
            pytest.skip(reason)
        made = peer(work, 1)
        predict = lambda: made.predict(X)  # noqa: E731
    contest(
        f"one row of {'-'.join(map(str, layer_sizes))}",
        contestant,
        predict,
        None if contestant == "fastnn" else lambda: ours.predict(X),
        table="microseconds a row, float32, one row at a time",
        row="-".join(map(str, layer_sizes)),
        per=rows,
        anchor_per=1,
        flop=work.flop,
    )
