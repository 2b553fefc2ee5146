"""Data races between the threads of a program: ThreadSanitizer would report them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
COMMON = [ROOT / "kernels" / f"{name}.cpp" for name in ("calls", "cpu_count", "memory", "threads")]


def compiler():
    """Return the command of a C++ compiler that can build with ThreadSanitizer, or skip the test."""
    command = os.environ.get("CXX", "c++").split()
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no compiler {command[0]}")
    return [*command, "-std=gnu++17", "-O1", "-g", "-fsanitize=thread", "-pthread"]


def can_run(program):
    """Return whether the sanitizer starts here; some kernels' memory layouts do not allow it."""
    result = subprocess.run([program], capture_output=True, check=False)
    return b"FATAL: ThreadSanitizer" not in result.stderr


def test_thread_sanitizer_reports_no_race(tmp_path):
    if not COMMON[0].exists():
        pytest.skip("the kernels' source is not here")
    empty = tmp_path / "empty.cpp"
    empty.write_text("int main() {}")
    command = compiler()
    if subprocess.run([*command, empty, "-o", tmp_path / "empty"], capture_output=True, check=False).returncode:
        pytest.skip("the compiler has no ThreadSanitizer")
    if not can_run(tmp_path / "empty"):
        pytest.skip("ThreadSanitizer does not run on this machine")
    program = tmp_path / "races"
    sources = [HERE / "races" / "races.cpp", *COMMON]
    subprocess.run(
        [*command, f"-I{ROOT}", f"-I{ROOT / 'kernels'}", f"-I{np.get_include()}", *sources, "-o", program], check=True
    )
    result = subprocess.run([program], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
