"""Check that the source distribution and the wheels in a directory hold what they should and nothing else."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL = (
    r"fastnn/([a-z_0-9]+/)*([a-z_0-9]+\.pyi?|py\.typed|(__init__|_core)\.pxd|_core\.[a-z0-9_-]+\.so|digits\.npz"
    r"|CITATION\.md)"
)
METADATA = r"fastnn_cpu-[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/.+|sboms/[a-z]+\.cdx\.json)"
# musllinux's policy has no C++ runtime: auditwheel copies it into the wheel, and lists it in a bill of materials of its own.
RUNTIME = r"fastnn_cpu\.libs/lib(stdc\+\+|gcc_s)-[0-9a-f]+\.so[.0-9]*"
SOURCES = (
    r"(CMakeLists\.txt|LICENSE|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|PKG-INFO|pyproject\.toml"
    r"|(benchmarks|cmake|docs|examples|kernels|src|tests)/.+\.(cmake|cpp|h|in|md|npz|png|safetensors|pxd|pxi|py|pyi|pyx|typed)"
    r"|docs/(Makefile|.+\.(css|rst|svg)))"
)
REQUIRED = (
    "fastnn/__init__.py",
    "fastnn/_core.pyi",
    "fastnn/__init__.pxd",
    "fastnn/_core.pxd",
    "fastnn/py.typed",
    "fastnn/_data/digits.npz",
)
LARGEST_WHEEL = 3_700_000  # bytes
LARGEST_RUNTIME = 1_500_000  # bytes more


def sdist_problems(sdist: Path) -> list[str]:
    """Return a sentence for each file that should not be there."""
    with tarfile.open(sdist) as archive:
        sources = [m.name.split("/", 1)[1] for m in archive.getmembers() if not m.isdir()]
    print(f"{sdist.name}: {len(sources)} files")
    return [f"{sdist.name} holds {name}" for name in sources if not re.fullmatch(SOURCES, name)]


def wheel_problems(wheel: Path) -> list[str]:
    """Return a sentence for each file that should not be there or is missing, and for a wheel that is too large."""
    musl = "-musllinux_" in wheel.name
    allowed = f"{WHEEL}|{METADATA}|{RUNTIME}" if musl else f"{WHEEL}|{METADATA}"
    largest = LARGEST_WHEEL + musl * LARGEST_RUNTIME
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        bills = [json.loads(archive.read(name)) for name in files if name.endswith("/sboms/fastnn.cdx.json")]
    print(f"{wheel.name}: {len(files)} files, {size / 1e6:.2f} MB")
    problems = [f"{wheel.name} holds {name}" for name in files if not re.fullmatch(allowed, name)]
    problems += [f"{wheel.name} lacks {name}" for name in REQUIRED if name not in files]
    if not any(re.fullmatch(r"fastnn/_core\..+\.so", name) for name in files):
        problems.append(f"{wheel.name} lacks the compiled extension")
    version = wheel.name.split("-")[1]
    if [bill["metadata"]["component"]["version"] for bill in bills] != [version]:
        problems.append(f"{wheel.name} lacks a bill of materials of version {version}")
    if size > largest:
        problems.append(f"{wheel.name} is larger than {largest / 1e6} MB")
    return problems


def main() -> None:
    """Exit with a list of the files that should not be there, or are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--wheels", type=int, default=1, metavar="N", help="how many wheels there must be (default: 1)")
    arguments = parser.parse_args()
    (sdist,) = arguments.directory.glob("*.tar.gz")
    wheels = sorted(arguments.directory.glob("*.whl"))
    problems = sdist_problems(sdist)
    for wheel in wheels:
        problems += wheel_problems(wheel)
    if len(wheels) != arguments.wheels:
        problems.append(f"{arguments.directory} holds {len(wheels)} wheels instead of {arguments.wheels}")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
