"""Check that the source distribution and the wheel in a directory hold what they should and nothing else."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL = (
    r"fastnn/([a-z_0-9]+/)*([a-z_0-9]+\.pyi?|py\.typed|(__init__|_core)\.pxd|_core\.[a-z0-9_-]+\.so|digits\.npz"
    r"|CITATION\.md)"
)
METADATA = r"fastnn_cpu-[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/.+)"
SOURCES = (
    r"(CMakeLists\.txt|LICENSE|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|PKG-INFO|pyproject\.toml"
    r"|(benchmarks|cmake|docs|examples|kernels|src|tests)/.+\.(cmake|cpp|h|md|npz|png|safetensors|pxd|pxi|py|pyi|pyx|typed)"
    r"|docs/(Makefile|.+\.(css|rst|svg)))"
)
LARGEST_WHEEL = 2_400_000  # bytes


def main(directory: Path) -> None:
    """Exit with a list of the files that should not be there, or are missing."""
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    with tarfile.open(sdist) as archive:
        sources = [m.name.split("/", 1)[1] for m in archive.getmembers() if not m.isdir()]
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
    size = wheel.stat().st_size
    print(f"{sdist.name}: {len(sources)} files; {wheel.name}: {len(files)} files, {size / 1e6:.2f} MB")
    problems = [f"{sdist.name} holds {name}" for name in sources if not re.fullmatch(SOURCES, name)]
    problems += [f"{wheel.name} holds {name}" for name in files if not re.fullmatch(f"{WHEEL}|{METADATA}", name)]
    for name in (
        "fastnn/__init__.py",
        "fastnn/_core.pyi",
        "fastnn/__init__.pxd",
        "fastnn/_core.pxd",
        "fastnn/py.typed",
        "fastnn/_data/digits.npz",
    ):
        if name not in files:
            problems.append(f"{wheel.name} lacks {name}")
    if not any(re.fullmatch(r"fastnn/_core\..+\.so", name) for name in files):
        problems.append(f"{wheel.name} lacks the compiled extension")
    if size > LARGEST_WHEEL:
        problems.append(f"{wheel.name} is larger than {LARGEST_WHEEL / 1e6} MB")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
