"""Derivatives of one row and of many: checked against the reference, then timed from Python and in compiled code."""

from __future__ import annotations

from typing import Any

import derivatives
import numpy as np
import pytest
from derivatives import IN_ONE_CALL, RATE, Problem, Works
from libraries import DTYPES

FUNCTIONS = ("loss", "gradient", "vjp", "jacobian", "step_gradient", "step")
CONTESTANTS = {
    "fastnn": derivatives.fastnn_works,
    "fastnn, out=": derivatives.fastnn_out_works,
    "fastnn, njit": derivatives.fastnn_njit_works,
    "fastnn, njit, out=": derivatives.fastnn_njit_out_works,
    "NumPy": derivatives.numpy_works,
    "JAX": derivatives.jax_works,
    "PyTorch": derivatives.torch_works,
    "PyTorch compile": derivatives.torch_compile_works,
}
ONE_ROW = [Problem(sizes, np.dtype(np.float64)) for sizes in ((5, 16, 1), (5, 64, 64, 50))]
ROWS = [Problem((5, 64, 64, 50), np.dtype(dtype), 1000) for dtype in DTYPES]

# PyTorch warns about its own code, in the first derivative of a kind.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch:FutureWarning"),
]


def flat(result: Any) -> np.ndarray:
    """Return all numbers of a result, which is a number, an array, or a tuple or list of results, in float64."""
    if isinstance(result, tuple | list):
        return np.concatenate([flat(each) for each in result])
    return np.asarray(result, np.float64).ravel()


def works_of(request: pytest.FixtureRequest, contestant: str, problem: Problem, n_threads: int) -> Works:
    """Return the calls of a contestant, or skip the test: compiling takes PyTorch some seconds per call, if it is named."""
    if contestant == "PyTorch compile" and "compile" not in request.config.getoption("keyword"):
        pytest.skip("-k with the word compile includes it")
    return CONTESTANTS[contestant](problem, n_threads)


def check(works: Works, function: str, problem: Problem, calls: int) -> None:
    """Compare a call's result, or the change that a step makes, with the reference."""
    expected = flat(derivatives.reference_results(problem)[function.partition(",")[0]])
    tolerance = 1e-4 if problem.dtype == np.float32 else 1e-10
    if not function.startswith("step"):
        np.testing.assert_allclose(flat(works[function]()), expected, rtol=tolerance, atol=tolerance)
        return
    before = flat(works["parameters"]())
    works[function]()
    # The reference's step is the first of those made, along which the gradient hardly changes.
    change = (before - flat(works["parameters"]())) / (RATE * calls)
    np.testing.assert_allclose(change, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize("problem", ONE_ROW, ids=lambda problem: problem.name)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_row(request, contest, n_threads, function, problem, contestant):
    works = works_of(request, contestant, problem, n_threads)
    if function not in works:
        pytest.skip("the call takes no out=")
    calls = IN_ONE_CALL if "njit" in contestant else 1
    check(works, function, problem, calls)
    anchor = None if contestant == "fastnn" else CONTESTANTS["fastnn"](problem, n_threads)[function]
    table, row = "derivatives of one row, µs, float64, 1 thread", f"{problem.name}, {function}"
    contest(
        f"{table}: {row}",
        contestant,
        works[function],
        anchor,
        table=table,
        row=row,
        per=calls,
        anchor_per=1,
        dtype=problem.dtype,
    )


@pytest.mark.parametrize("contestant", [name for name in CONTESTANTS if "njit" not in name])
@pytest.mark.parametrize("problem", ROWS, ids=lambda problem: str(problem.dtype))
@pytest.mark.parametrize("direction", ["jacobian", "jacobian, forward"], ids=["reverse", "forward"])
def test_jacobian_of_rows(request, contest, n_threads, direction, problem, contestant):
    works = works_of(request, contestant, problem, n_threads)
    if direction not in works:
        pytest.skip("it has one way only")
    check(works, direction, problem, 1)
    anchor = None if contestant == "fastnn" else CONTESTANTS["fastnn"](problem, n_threads)["jacobian"]
    threads = "1 thread" if n_threads == 1 else f"{n_threads} threads"
    name = contestant + direction.removeprefix("jacobian")
    contest(
        f"Jacobian, {threads}, {problem.dtype}",
        name,
        works[direction],
        anchor,
        table=f"the Jacobian of 1000 rows, µs, {threads}",
        row=f"{problem.name}, {problem.dtype}",
        flop=problem.jacobian_flop(),
        dtype=problem.dtype,
    )
