"""Many networks in the fallback: the same results as the kernels', and ensembles in a process that has only the fallback."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import run_script

from fastnn import MLP
from fastnn._engine import core as _core
from fastnn._engine import portable

SCRIPT = """
import numpy as np
from fastnn import MLP, Ensemble, predict_many

X = np.random.default_rng(0).normal(size=(3, 9, 4))
models = [MLP((4, h, 2), "tanh", output_activation="softmax", random_state=h) for h in (3, 5, 3)]
ensemble = Ensemble(models)
assert (predict_many(models, X) == np.stack([m.predict(x) for m, x in zip(models, X)])).all()
assert predict_many(models, X[0, 0]).shape == (3, 2)
outputs = predict_many(ensemble, X[0])
out = np.empty((9, 2), np.float32)
mean, deviation = ensemble.predict(X[0], out=out, return_std=True)
assert np.allclose(mean, outputs.mean(axis=0)) and np.allclose(deviation, outputs.std(axis=0), atol=1e-6)
assert np.allclose(ensemble.quantiles(X[0], 0.3), np.quantile(outputs, 0.3, axis=0))
ensemble.save(PATH)
assert (Ensemble.load(PATH).predict(X[0]) == mean).all()
population = Ensemble(models[::2])
V = 2 * population.to_vectors()
population.set_vectors(V)
assert (models[2].to_vector() == V[1]).all()
try:
    predict_many([*models, MLP((4, 3))], X)
except ValueError as error:
    assert str(error).startswith("models[3]"), error
else:
    raise AssertionError
print("done")
"""


def test_ensembles_work_on_the_fallback(tmp_path):
    script = SCRIPT.replace("PATH", repr(str(tmp_path / "e.safetensors")))
    assert run_script(script, FASTNN_ISA="portable").stdout.strip() == "done"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spread_has_the_same_bits(dtype):
    rng = np.random.default_rng(0)
    for shape in ((1, 3, 2), (7, 1, 1), (5, 100, 3), (9, 0, 2)):
        values = rng.normal(size=shape).astype(dtype)
        found = []
        for engine in (_core, portable):
            mean, deviation = np.empty(shape[1:], dtype), np.empty(shape[1:], dtype)
            engine.spread(values, shape[0], mean, deviation)
            found.append((mean.tobytes(), deviation.tobytes()))
        assert found[0] == found[1]


def test_networks_of_the_fallback():
    rng = np.random.default_rng(0)
    networks = tuple(portable.Network((3, h, 2), ("tanh", "identity"), (0.0, 0.0), np.float64) for h in (4, 4, 4))
    models = [MLP((3, 4, 2), "tanh", dtype=np.float64, random_state=seed) for seed in range(3)]
    vectors = np.stack([model.to_vector() for model in models])
    portable.set_vectors(networks, vectors)
    assert (portable.get_vectors(networks) == vectors).all()
    X = rng.normal(size=(3, 6, 3))
    expected = np.stack([model.predict(x) for model, x in zip(models, X, strict=True)])
    np.testing.assert_allclose(portable.predict_many(networks, X), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="^X: expected shape"):
        portable.predict_many(networks, X[:2])
