"""What the benchmarks share: the modules beside this file, numbers of threads, and a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

import fastnn

sys.path.append(str(Path(__file__).parent))

_TABLES = pytest.StashKey[dict[str, dict[str, dict[str, float]]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLES] = {}


@pytest.fixture(params=[1, None], ids=["1 thread", "all threads"])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int | None]:
    """How many threads fastnn and NumPy's BLAS may use; None for all, or as many as they choose."""
    usable = fastnn.get_num_threads()
    if request.param is None and usable == 1:
        pytest.skip("there is one thread only")
    fastnn.set_num_threads(request.param or usable)
    with threadpool_limits(request.param or usable):
        yield request.param
    fastnn.set_num_threads(usable)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[str, str, str, float], None]:
    """Return a function of table, row, column and number, for the tables at the end."""

    def put(table: str, row: str, column: str, value: float) -> None:
        request.config.stash[_TABLES].setdefault(table, {}).setdefault(row, {})[column] = value

    return put


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for title, rows in config.stash[_TABLES].items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        terminalreporter.section(title)
        terminalreporter.write_line(" " * 34 + "".join(f"{column:>16}" for column in columns))
        for name, row in rows.items():
            cells = (f"{row[column]:16.4g}" if column in row else " " * 16 for column in columns)
            terminalreporter.write_line(f"{name:<34}" + "".join(cells))
