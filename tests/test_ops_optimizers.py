"""sgd and adam of fastnn.ops against the oracle: types, layouts, and that nothing changes where anything is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import ops, reference

SHAPES = [(), (0,), (1,), (33,), (4, 5), (3, 4, 5)]
UPDATES = {
    "sgd": lambda module, params, grads, state: module.sgd(params, grads, 0.1),
    "adam": lambda module, params, grads, state: module.adam(params, grads, state, 0.1, 0.8, 0.99, 1e-6),
}
LAYOUTS = {
    "contiguous": lambda a: a,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "column order": np.asfortranarray,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


def arrays(dtype, seed=0, layout=lambda a: a):
    rng = np.random.default_rng(seed)
    return [layout(np.array(rng.standard_normal(s), dtype)) if s else np.array(1.5, dtype) for s in SHAPES]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.longdouble])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", UPDATES)
def test_update(name, layout, dtype):
    params, wanted, state, oracle_state = arrays(dtype, layout=layout), arrays(np.float64), {}, {}
    for step in range(5):
        grads = arrays(np.float64, seed=1 + step)
        assert UPDATES[name](ops, params, [layout(g) if g.ndim else g for g in grads], state) is None
        UPDATES[name](reference, wanted, grads, oracle_state)
    eps = float(np.finfo(dtype).eps) if dtype != np.longdouble else float(np.finfo(np.float64).eps)
    for param, oracle in zip(params, wanted, strict=True):
        np.testing.assert_allclose(param.astype(np.float64), oracle, rtol=50 * eps, atol=50 * eps)
    assert state.get("step") == oracle_state.get("step")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UPDATES)
def test_neighbours_stay(name, dtype):
    for n in range(34):
        buffer, state = np.full(n + 40, -123.0, dtype), {}
        param, oracle = buffer[3 : 3 + n], np.full(n, -123.0, dtype)
        grad = np.random.default_rng(n).standard_normal(n).astype(dtype)
        for module, params, kept in [(ops, [param], state), (reference, [oracle], {})]:
            UPDATES[name](module, params, [grad], kept)
        np.testing.assert_allclose(param, oracle, rtol=1e-6)
        np.testing.assert_array_equal(np.delete(buffer, np.s_[3 : 3 + n]), -123.0)


@pytest.mark.parametrize("name", UPDATES)
def test_gradients_of_any_kind(name):
    kinds = [
        lambda g: g.tolist(),
        lambda g: g.astype(np.int64),
        lambda g: g.astype(np.float32),
        lambda g: np.broadcast_to(g, g.shape),
        lambda g: np.repeat(g, 2)[::2],
    ]
    for kind in kinds:
        grad = np.array([1.0, -2.0, 3.0])
        given, param, oracle = kind(grad), np.ones(3), np.ones(3)
        UPDATES[name](ops, [param], [given], {})
        UPDATES[name](reference, [oracle], [grad], {})
        np.testing.assert_allclose(param, oracle, rtol=1e-12)
        np.testing.assert_array_equal(given, grad)


@pytest.mark.parametrize("name", UPDATES)
def test_gradients_that_overlap(name):
    for read, write in [(np.s_[:], np.s_[:]), (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])]:
        values = np.random.default_rng(0).standard_normal(50)
        oracle = values[write].copy()
        UPDATES[name](reference, [oracle], [values[read].copy()], {})
        UPDATES[name](ops, [values[write]], [values[read]], {})
        np.testing.assert_allclose(values[write], oracle, rtol=1e-12)


def test_adam_state_is_the_oracles():
    """A state goes from one implementation to the other."""
    params, oracle, state, oracle_state = arrays(np.float64), arrays(np.float64), {}, {}
    for step in range(4):
        grads = arrays(np.float64, seed=1 + step)
        (ops if step % 2 else reference).adam(params, grads, state)
        reference.adam(oracle, grads, oracle_state)
    assert set(state) == set(oracle_state) == {"step", "m", "v"}
    for actual, wanted in zip(params + state["m"] + state["v"], oracle + oracle_state["m"] + oracle_state["v"], strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-12)


def wrong_arguments():
    w, g = np.ones(3), np.ones(3)
    fixed = np.ones(3)
    fixed.flags.writeable = False
    return [
        (ValueError, "^grads: got 1 arrays, expected 2", [w, w], [g]),
        (ValueError, "^grads.1.: got shape .2,., expected .3,.", [w, w], [g, g[:2]]),
        (TypeError, "^grads.1.: got dtype complex128", [w, w], [g, g * 1j]),
        (TypeError, "^params.1.: got int64, expected a floating-point ndarray", [w, np.ones(3, np.int64)], [g, g]),
        (TypeError, "^params.1.: got list, expected a floating-point ndarray", [w, [1.0, 1.0, 1.0]], [g, g]),
        (ValueError, "^params.1.: got a read-only array", [w, fixed], [g, g]),
    ]


@pytest.mark.parametrize("name", UPDATES)
def test_wrong_arguments(name):
    for error, message, params, grads in wrong_arguments():
        state = {}
        with pytest.raises(error, match=message):
            UPDATES[name](ops, params, grads, state)
        np.testing.assert_array_equal(params[0], 1.0)
        assert not state


def test_wrong_numbers():
    w, g, state = [np.ones(3)], [np.ones(3)], {}
    for rate, error in [(-0.1, ValueError), (np.nan, ValueError), ("0.1", TypeError)]:
        with pytest.raises(error, match="^learning_rate: got "):
            ops.sgd(w, g, rate)
        with pytest.raises(error, match="^learning_rate: got "):
            ops.adam(w, g, state, rate)
    with pytest.raises(ValueError, match="^beta_1: got 1.0"):
        ops.adam(w, g, state, beta_1=1.0)
    assert not state
    np.testing.assert_array_equal(w[0], 1.0)


def test_wrong_state():
    w, g = np.ones(3), np.ones(3)
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    wrong = [
        (TypeError, "^state: got list, expected a dict", []),
        (ValueError, "^state: its 'm' does not fit", {"step": 1, "m": [np.zeros(2)], "v": [np.zeros(3)]}),
        (ValueError, "^state: its 'v' does not fit", {"step": 1, "m": [np.zeros(3)]}),
        (TypeError, "^state: its 'v' must be floating-point", {"step": 1, "m": [np.zeros(3)], "v": [[0, 0, 0]]}),
        (TypeError, "^state: its 'm' must be floating-point", {"step": 1, "m": [fixed], "v": [np.zeros(3)]}),
        (TypeError, "^state.'step'.: got '1'", {"step": "1", "m": [np.zeros(3)], "v": [np.zeros(3)]}),
        (ValueError, "^state.'step'.: got -1", {"step": -1, "m": [np.zeros(3)], "v": [np.zeros(3)]}),
    ]
    for error, message, state in wrong:
        with pytest.raises(error, match=message):
            ops.adam([w], [g], state)
        np.testing.assert_array_equal(w, 1.0)
