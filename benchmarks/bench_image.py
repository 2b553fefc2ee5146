"""A picture at 35 dB by coordinate networks, beside PyTorch: examples/siren.py and its counterpart, on one thread.

Both begin with the same weights, which their predictions show, and draw batches of the same size. The seconds are those of
all epochs up to 35 dB, with the check after each.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from libraries import checks_only, torch_on

EXAMPLES = Path(__file__).parents[1] / "examples"
LEAST, TURNS = 4.0, 3  # times as fast; trainings of each, of which the fastest counts


def example(name: str, path: Path) -> ModuleType:
    """Return a program as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("network", ["SIREN", "PLR"])
def test_image(request, record, n_threads, network):
    torch = torch_on(n_threads)
    ours = example("siren", EXAMPLES / "siren.py")
    theirs = example("siren_in_pytorch", EXAMPLES / "pytorch" / "siren.py")
    make = {"SIREN": ours.siren, "PLR": ours.periodic}[network]
    kind, rate = {"SIREN": (theirs.Siren, ours.SIREN_RATE), "PLR": (theirs.Periodic, ours.PLR_RATE)}[network]
    positions, colors = ours.picture()
    with torch.no_grad():
        expected = kind(make())(torch.from_numpy(positions)).numpy()
    np.testing.assert_allclose(make().predict(positions), expected, rtol=1e-3, atol=1e-4)
    if checks_only(request):
        return
    best = {"fastnn": np.inf, "PyTorch": np.inf}
    for _ in range(TURNS):
        for name, (seconds, _, reached) in (
            ("fastnn", ours.fit(make(), positions, colors)),
            ("PyTorch", theirs.fit(kind(make()), rate, positions, colors)),
        ):
            assert reached >= ours.TARGET, f"{name}: {reached:.1f} dB"
            best[name] = min(best[name], seconds)
    for name, seconds in best.items():
        record("seconds until 35 dB, float32, 1 thread", network, name, seconds)
    ratio = best["PyTorch"] / best["fastnn"]
    assert ratio >= LEAST, f"{network}: {ratio:.3g} times as fast as PyTorch, expected {LEAST:g}"
