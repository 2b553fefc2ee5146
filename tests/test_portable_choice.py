"""Which backend is in use: the compiled one, unless it is missing or the other is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import run_script

import fastnn
from fastnn import Adam, Trainer

# ---- The choice ----

PROGRAM = """
import sys
import numpy as np
import fastnn
from fastnn import _engine

assert _engine.fallback in ("plain Numba", "plain NumPy")
X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
y = X[:, :1] * X[:, 1:2]
model = fastnn.MLP((4, 12, 1), "tanh", dropout=0.1, random_state=0)
trainer = fastnn.Trainer(model, optimizer=fastnn.Adam(0.01), random_state=1)
losses = trainer.run(X, y, 5)["loss"]
trainer.save(sys.argv[1])
again = fastnn.Trainer.load(sys.argv[1])
assert again.model.predict(X).tobytes() == model.predict(X).tobytes()
assert np.array_equal(again.run(X, y, 2)["loss"], trainer.run(X, y, 2)["loss"])
print(*losses)
fastnn.show_config()
"""


def test_asked_for(tmp_path):
    """A real fit; and what it wrote, and came to, is what the compiled backend reads and comes to."""
    printed = run_script(PROGRAM, str(tmp_path / "file"), timeout=300, FASTNN_ISA="portable", PYTHONWARNINGS="error").stdout
    assert "\ninstruction set  portable: plain N" in printed
    assert "(decided by: FASTNN_ISA)\n" in printed
    X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    y = X[:, :1] * X[:, 1:2]
    trainer = Trainer(fastnn.MLP((4, 12, 1), "tanh", dropout=0.1, random_state=0), optimizer=Adam(0.01), random_state=1)
    expected = trainer.run(X, y, 5)["loss"]
    np.testing.assert_allclose(np.array(printed.splitlines()[0].split(), float), expected, rtol=1e-4)
    model = fastnn.MLP.load(tmp_path / "file")
    np.testing.assert_allclose(model.to_vector(), trainer.model.to_vector(), rtol=1e-3, atol=1e-4)


HIDDEN_EXTENSION = """
import sys
import warnings

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "fastnn._core":
            raise {error}

sys.meta_path.insert(0, Hide())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastnn
print(len(caught), *(f"{{each.category.__name__}}: {{each.message}}" for each in caught))
fastnn.show_config()
"""
MISSING = 'ModuleNotFoundError("No module", name="fastnn._core")'


def test_missing_extension():
    printed = run_script(HIDDEN_EXTENSION.format(error=MISSING), FASTNN_ISA="").stdout
    assert printed.startswith("1 RuntimeWarning: fastnn was installed without its compiled extension")
    assert "(decided by: no compiled extension is installed)\n" in printed
    assert (
        printed.count("run pip install --no-cache-dir --force-reinstall --no-deps fastnn-cpu") == 2
    )  # the warning, the table
    assert run_script(HIDDEN_EXTENSION.format(error=MISSING), FASTNN_ISA="portable").stdout.startswith("0\n")


@pytest.mark.parametrize(
    ("error", "level", "message"),
    [
        (MISSING, "v3", "ImportError: FASTNN_ISA='v3' can't be used: this installation has no compiled extension"),
        ('ModuleNotFoundError("No module", name="something")', "", "ModuleNotFoundError: No module"),
        ('ImportError("undefined symbol")', "", "ImportError: undefined symbol"),
    ],
)
def test_other_failures_are_not_hidden(error, level, message):
    process = run_script(HIDDEN_EXTENSION.format(error=error), check=False, FASTNN_ISA=level)
    assert process.returncode == 1
    assert process.stderr.strip().splitlines()[-1].startswith(message)
