"""threadpoolctl sees fastnn's threads and limits them, in either order of import."""

from __future__ import annotations

import shutil
import sys
import zipfile

import numpy as np
import pytest
from _helpers import run_script

# The ways in which threadpoolctl may be imported.
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
def test_threadpoolctl_limits_the_threads(imports):
    pytest.importorskip("threadpoolctl")
    script = f"""if True:
        {imports}
        fastnn.set_num_threads(5)
        (info,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastnn"]
        assert (info["num_threads"], info["version"]) == (5, fastnn.__version__), info
        assert info["instruction_set"] == fastnn._engine.core.current_instruction_set()[0], info
        with threadpoolctl.threadpool_limits(1):
            assert fastnn.get_num_threads() == 1
        with threadpoolctl.threadpool_limits(2, user_api="fastnn"):
            assert fastnn.get_num_threads() == 2
        assert fastnn.get_num_threads() == 5"""
    run_script(script)


def test_fastnn_does_not_import_threadpoolctl():
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


def test_threadpoolctl_may_be_imported_from_a_zip_file(tmp_path):
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


def test_threadpoolctl_may_be_imported_by_a_custom_loader(tmp_path):
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


def test_a_missing_threadpoolctl_stays_missing():
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


def test_modules_see_their_original_loader():
    pytest.importorskip("threadpoolctl")
    script = """if True:
        import fastnn, threadpoolctl
        from importlib.machinery import SourceFileLoader
        assert type(threadpoolctl.__loader__) is type(threadpoolctl.__spec__.loader) is SourceFileLoader"""
    run_script(script)


def test_threadpoolctl_may_run_as_a_program():
    pytest.importorskip("threadpoolctl")
    script = """if True:
        import runpy, sys, fastnn
        sys.argv = ["threadpoolctl", "-i", "fastnn"]
        runpy.run_module("threadpoolctl", run_name="__main__")"""
    run_script(script)


# ---- Other imports are the same as without fastnn ----


def test_imports_of_other_modules_are_unchanged(tmp_path):
    """They keep their loaders, finders are asked once, and nothing is registered with a similar module."""
    alike = "registered = []\nregister = registered.append\nclass LibController: pass\n"
    (tmp_path / "alike.py").write_text(alike, encoding="utf-8")
    script = """if True:
        import importlib.util, sys, fastnn
        from importlib.machinery import SourceFileLoader
        asked = []
        class Finder:
            def find_spec(self, name, path=None, target=None):
                asked.append(name)
        sys.meta_path.insert(1, Finder())
        sys.path.insert(0, sys.argv[1])
        assert sys.meta_path[0].find_spec("alike") is None
        spec = importlib.util.find_spec("alike")
        import alike
        assert type(spec.loader) is type(alike.__loader__) is SourceFileLoader
        assert asked == ["alike"] * 2 and alike.registered == [], (asked, alike.registered)"""
    run_script(script, str(tmp_path))


@pytest.mark.parametrize("content", ["register = print", "class LibController: pass", ""])
def test_another_module_with_that_name_is_left_unchanged(content, tmp_path):
    (tmp_path / "threadpoolctl.py").write_text(f"{content}\nexecuted = True\n", encoding="utf-8")
    script = """if True:
        import sys, fastnn
        sys.path.insert(0, sys.argv[1])
        import threadpoolctl
        assert threadpoolctl.executed"""
    run_script(script, str(tmp_path))


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="Python no longer calls load_module")
def test_loaders_with_the_old_interface_work():
    script = """if True:
        import importlib.util, sys, types, fastnn
        class Old:
            def find_spec(self, name, path=None, target=None):
                return importlib.util.spec_from_loader(name, self) if name == "threadpoolctl" else None
            def load_module(self, name):
                module = sys.modules[name] = types.ModuleType(name)
                module.executed = True
                return module
        sys.meta_path.insert(1, Old())
        import threadpoolctl
        assert threadpoolctl.executed"""
    run_script(script)


def test_finders_are_told_which_module_is_reloaded():
    pytest.importorskip("threadpoolctl")
    script = """if True:
        import importlib, sys, fastnn, threadpoolctl
        targets = []
        class Finder:
            def find_spec(self, name, path=None, target=None):
                targets.append(target)
        sys.meta_path.insert(1, Finder())
        importlib.reload(threadpoolctl)
        assert targets == [threadpoolctl], targets"""
    run_script(script)


def test_specifications_can_be_copied():
    pytest.importorskip("threadpoolctl")
    script = """if True:
        import copy, importlib.util, pickle, sys, fastnn
        spec = importlib.util.find_spec("threadpoolctl")
        for copied in (copy.copy(spec.loader), copy.deepcopy(spec.loader), pickle.loads(pickle.dumps(spec.loader))):
            assert copied.get_filename("threadpoolctl") == spec.origin
            assert not hasattr(copied, "nothing")
        module = importlib.util.module_from_spec(copy.deepcopy(spec))
        sys.modules["threadpoolctl"] = module
        module.__spec__.loader.exec_module(module)
        fastnn.set_num_threads(5)
        with module.threadpool_limits(1):
            assert fastnn.get_num_threads() == 1
        assert fastnn.get_num_threads() == 5"""
    run_script(script)


def test_other_libraries_called_core_are_ignored(tmp_path):
    """Libraries of other packages may have the name of fastnn's extension."""
    pytest.importorskip("threadpoolctl")
    shutil.copy(np.random.bit_generator.__file__, tmp_path / "_core.of_another.so")
    script = """if True:
        import ctypes, sys, fastnn, threadpoolctl
        other = ctypes.CDLL(sys.argv[1])
        found = [pool["filepath"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "fastnn"]
        assert found == [fastnn._engine.core.__file__], found"""
    run_script(script, str(tmp_path / "_core.of_another.so"))
