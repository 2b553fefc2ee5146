"""threadpoolctl sees the pool and limits it, in either order of import."""

from __future__ import annotations

import pytest
from _helpers import run_script

ORDERS = ["import fastnn, threadpoolctl", "import threadpoolctl, fastnn"]


@pytest.mark.parametrize("imports", ORDERS)
def test_limits(imports):
    pytest.importorskip("threadpoolctl")
    script = f"""if True:
        {imports}
        fastnn.set_num_threads(5)
        (info,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastnn"]
        assert (info["num_threads"], info["version"]) == (5, fastnn.__version__), info
        assert info["instruction_set"] == fastnn._backend.core.current_level()[0], info
        with threadpoolctl.threadpool_limits(1):
            assert fastnn.get_num_threads() == 1
        with threadpoolctl.threadpool_limits(2, user_api="fastnn"):
            assert fastnn.get_num_threads() == 2
        assert fastnn.get_num_threads() == 5"""
    run_script(script)


def test_not_imported_by_us():
    run_script("import sys, fastnn; assert 'threadpoolctl' not in sys.modules")
