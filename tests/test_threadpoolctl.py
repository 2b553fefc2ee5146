"""threadpoolctl sees the pool and limits it, in either order of import."""

from __future__ import annotations

import zipfile

import pytest
from _helpers import run_script

# However threadpoolctl comes in.
ORDERS = [
    "import fastnn, threadpoolctl",
    "import threadpoolctl, fastnn",
    "import fastnn, importlib.util; importlib.util.find_spec('threadpoolctl'); import threadpoolctl",
    "import fastnn, sys, threadpoolctl; del sys.modules['threadpoolctl']; import threadpoolctl",
    "import fastnn, threadpoolctl, importlib; importlib.reload(threadpoolctl)",
    "import threadpoolctl, fastnn, importlib; importlib.reload(threadpoolctl)",
    "import fastnn, importlib; threadpoolctl = importlib.import_module('threadpoolctl')",
    "import fastnn, joblib.externals, threadpoolctl",
]


@pytest.mark.parametrize("imports", ORDERS)
def test_limits(imports):
    pytest.importorskip("threadpoolctl")
    script = f"""if True:
        {imports}
        fastnn.set_num_threads(5)
        (info,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastnn"]
        assert (info["num_threads"], info["version"]) == (5, fastnn.__version__), info
        assert info["instruction_set"] == fastnn._engine.core.current_level()[0], info
        with threadpoolctl.threadpool_limits(1):
            assert fastnn.get_num_threads() == 1
        with threadpoolctl.threadpool_limits(2, user_api="fastnn"):
            assert fastnn.get_num_threads() == 2
        assert fastnn.get_num_threads() == 5"""
    run_script(script)


def test_not_imported_by_us():
    run_script("import sys, fastnn; assert 'threadpoolctl' not in sys.modules")


def zipped(tmp_path):
    """Return the path of a zip file with threadpoolctl and another module."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    path = tmp_path / "modules.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(threadpoolctl.__file__, "threadpoolctl.py")
        archive.writestr("another.py", "executed = True\n")
        archive.writestr("last.py", "executed = True\n")
    return str(path)


def test_from_a_zip_file(tmp_path):
    script = """if True:
        import sys, fastnn
        sys.path.insert(0, sys.argv[1])
        import another, threadpoolctl, last
        assert threadpoolctl.__file__.startswith(sys.argv[1])
        assert another.executed and last.executed
        fastnn.set_num_threads(4)
        with threadpoolctl.threadpool_limits(1):
            assert fastnn.get_num_threads() == 1
        import inspect
        assert "class LibController" in inspect.getsource(threadpoolctl)"""
    run_script(script, zipped(tmp_path))


def test_loaders_of_their_own_and_what_only_has_the_name(tmp_path):
    script = """if True:
        import importlib.abc, importlib.util, sys, fastnn
        class Own(importlib.abc.Loader, importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                return importlib.util.spec_from_loader(name, self) if name in ("threadpoolctl", "other") else None
            def exec_module(self, module):
                module.seen = module.__loader__ is self
        sys.meta_path.insert(0, Own())
        import threadpoolctl, other
        assert threadpoolctl.seen and other.seen
        sys.meta_path.pop(0)
        del sys.modules["threadpoolctl"]
        sys.meta_path.append(Own())  # behind our finder
        sys.path[:] = []
        import threadpoolctl
        assert threadpoolctl.seen"""
    run_script(script)


def test_where_there_is_none():
    script = """if True:
        import importlib.util, sys, fastnn
        sys.path[:] = []
        assert importlib.util.find_spec("threadpoolctl") is None
        try:
            import threadpoolctl
        except ModuleNotFoundError as error:
            assert error.name == "threadpoolctl"
        else:
            raise SystemExit("found")"""
    run_script(script)


def test_modules_see_their_own_loader():
    pytest.importorskip("threadpoolctl")
    script = """if True:
        import fastnn, threadpoolctl
        from importlib.machinery import SourceFileLoader
        assert type(threadpoolctl.__loader__) is type(threadpoolctl.__spec__.loader) is SourceFileLoader"""
    run_script(script)


def test_run_as_a_program():
    pytest.importorskip("threadpoolctl")
    script = """if True:
        import runpy, sys, fastnn
        sys.argv = ["threadpoolctl", "-i", "fastnn"]
        runpy.run_module("threadpoolctl", run_name="__main__")"""
    run_script(script)
