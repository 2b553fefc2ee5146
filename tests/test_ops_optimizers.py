"""The optimizers of fastnn.ops against the reference and the trainer: types and layouts; nothing changes on an error."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
from itertools import combinations

import numpy as np
import pytest
from _helpers import KINDS, data, model_of

from fastnn import Trainer, _engine, ops, optimizers, reference
from fastnn._engine import portable as _portable
from fastnn._engine.optimizers import ARGUMENTS, native_optimizer
from fastnn.reference.updates import RULES

SHAPES = [(), (0,), (1,), (33,), (4, 5), (3, 4, 5)]
NAMES = ["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion"]
STATES = {
    "momentum": ["velocity"],
    "adagrad": ["sum"],
    "rmsprop": ["v"],
    "adam": ["m", "v"],
    "adamw": ["m", "v"],
    "nadam": ["m", "v"],
    "lion": ["m"],
}
# Functions, with coefficients that differ from the defaults.
CASES = {
    "sgd": ("sgd", {"learning_rate": 0.1}),
    "momentum": ("momentum", {"learning_rate": 0.1, "momentum": 0.7}),
    "momentum of zero": ("momentum", {"learning_rate": 0.1, "momentum": 0.0}),
    "nesterov": ("momentum", {"learning_rate": 0.1, "momentum": 0.7, "nesterov": True}),
    "adagrad": ("adagrad", {"learning_rate": 0.1, "epsilon": 0.01}),
    "rmsprop": ("rmsprop", {"learning_rate": 0.1, "decay": 0.8, "epsilon": 0.01}),
    "adam": ("adam", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6}),
    "adamw": ("adamw", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6, "weight_decay": 0.3}),
    "nadam": ("nadam", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6, "momentum_decay": 0.1}),
    "lion": ("lion", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.3}),
}
LAYOUTS = {
    "contiguous": lambda a: a,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "column order": np.asfortranarray,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": KINDS["unaligned"],
}


def update(case, module, params, grads, state, **changed):
    name, coefficients = CASES[case]
    states = () if name == "sgd" else (state,)
    return getattr(module, name)(params, grads, *states, **coefficients | changed)


def arrays(dtype, seed=0, layout=lambda a: a):
    rng = np.random.default_rng(seed)
    return [layout(np.array(rng.standard_normal(s), dtype)) if s else np.array(1.5, dtype) for s in SHAPES]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.longdouble])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_updates_are_those_of_the_reference(case, layout, dtype):
    params, wanted, state, expected_state = arrays(dtype, layout=layout), arrays(np.float64), {}, {}
    for step in range(20):
        grads = arrays(np.float64, seed=1 + step)
        given = [layout(g.astype(dtype)) if g.ndim else g for g in grads]
        kept = copy.deepcopy(given)
        assert update(case, ops, params, given, state) is None
        update(case, reference, wanted, grads, expected_state)
        for grad, before in zip(given, kept, strict=True):
            np.testing.assert_array_equal(grad, before)
    eps = max(float(np.finfo(dtype).eps), float(np.finfo(np.float64).eps))
    for param, expected in zip(params, wanted, strict=True):
        assert param.dtype == layout(np.ones(1, dtype)).dtype or param.ndim == 0
        np.testing.assert_allclose(param.astype(np.float64), expected, rtol=100 * eps, atol=100 * eps)
    assert state.keys() == expected_state.keys()
    assert state.get("step") == expected_state.get("step")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("case", CASES)
def test_the_reference_computes_in_other_types(case, dtype):
    """It keeps moments at least in float32, so that float16 works: there, 1e-8 is zero and squares overflow."""
    params, wanted, state, wanted_state = arrays(dtype), arrays(np.float64), {}, {}
    for step in range(20):
        grads = arrays(np.float64, seed=1 + step)
        update(case, reference, params, [g.astype(dtype) for g in grads], state)
        update(case, reference, wanted, grads, wanted_state)
    eps = float(np.finfo(dtype).eps)
    for param, expected in zip(params, wanted, strict=True):
        assert param.dtype == dtype
        np.testing.assert_allclose(param, expected, rtol=100 * eps, atol=100 * eps)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "sgd"])
def test_small_types_work_with_default_coefficients(name, module):
    param, state = np.ones(3, np.float16), {}
    for grad in (np.array([300, 0, -300], np.float16), np.array([100, 0, -100], np.int8)):
        getattr(module, name)([param], [grad], state, 0.01)
    assert param[0] < 1 < param[2]
    assert param[1] == 1  # a decay by weight_decay is too small for float16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_elements_beside_a_parameter_stay_unchanged(case, dtype):
    for n in range(34):
        buffer = np.full(n + 40, -123.0, dtype)
        param, expected = buffer[3 : 3 + n], np.full(n, -123.0, dtype)
        grad = np.random.default_rng(n).standard_normal(n).astype(dtype)
        update(case, ops, [param], [grad], {})
        update(case, reference, [expected], [grad], {})
        np.testing.assert_allclose(param, expected, rtol=1e-6)
        np.testing.assert_array_equal(np.delete(buffer, np.s_[3 : 3 + n]), -123.0)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_any_kind_give_the_same_update(case, module):
    kinds = [
        lambda g: g.tolist(),
        lambda g: g.astype(np.int8),
        lambda g: g.astype(np.float32),
        lambda g: np.broadcast_to(g, g.shape),
        lambda g: np.repeat(g, 2)[::2],
        lambda g: g.view(np.ma.MaskedArray),
    ]
    for kind in kinds:
        grad = np.array([1.0, -2.0, 100.0])
        given, param, expected = kind(grad), np.ones(3), np.ones(3)
        update(case, module, (param,), (given,), {})
        update(case, reference, [expected], [grad], {})
        np.testing.assert_allclose(param, expected, rtol=1e-12)
        np.testing.assert_array_equal(given, grad)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_may_overlap_parameters(case, module):
    """Each gradient has the value that it had before the call, however parameters change meanwhile."""
    slices = [(np.s_[:], np.s_[:]), (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]), (np.s_[::-1], np.s_[:])]
    for read, write in slices:
        values = np.random.default_rng(0).standard_normal(50)
        start = values.copy()
        wanted = [start[write].copy(), np.ones(start[read].size)]
        update(case, reference, wanted, [start[read], start[read]], {})
        params = [values[write], np.ones(start[read].size)]
        update(case, module, params, [values[read], values[read]], {})
        for param, expected in zip(params, wanted, strict=True):
            np.testing.assert_allclose(param, expected, rtol=1e-12)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_a_gradient_may_be_part_of_the_state(module):
    params, state = [np.ones(3)], {}
    module.adam(params, [np.full(3, 2.0)], state)
    other, other_state = copy.deepcopy(params), copy.deepcopy(state)
    module.adam(params, [state["v"][0]], state)
    module.adam(other, [other_state["v"][0].copy()], other_state)
    np.testing.assert_array_equal(params, other)
    np.testing.assert_array_equal(state["v"], other_state["v"])


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_subclasses_are_updated_in_place(case, module, tmp_path):
    mapped = np.memmap(tmp_path / "parameters", np.float64, "w+", shape=(3,))
    mapped[...] = 1.0
    params, wanted = [mapped, np.ones((1, 3)).view(np.matrix), np.ma.masked_array(np.ones(3))], [np.ones(3)]
    grad = np.array([1.0, 2.0, -3.0])
    update(case, module, params, [grad, grad[np.newaxis], grad], {})
    update(case, reference, wanted, [grad], {})
    for param in params:
        np.testing.assert_allclose(np.asarray(param).ravel(), wanted[0], rtol=1e-12)


def optimizer_of(case):
    name, coefficients = CASES[case]
    by_name = {"sgd": optimizers.SGD, "momentum": optimizers.SGD} | optimizers.OPTIMIZERS
    return by_name[name](**coefficients)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_updates_are_those_of_the_trainer(case, dtype):
    X, y = data(10, 3, 2)
    model = model_of((3, 8, 2), dtype=dtype)
    trainer = Trainer(model, "mse", optimizer_of(case), batch_size=len(X), shuffle=False)
    params, state = [np.array(p) for p in model.parameters], {}
    start = copy.deepcopy(params)
    for _ in range(20):
        grads = model.gradient(X, y)[1]
        update(case, ops, params, grads, state)
        trainer.step(X, y)
    eps = float(np.finfo(dtype).eps)
    for param, theirs, before in zip(params, model.parameters, start, strict=True):
        assert np.abs(param - before).max() > 1e-2
        np.testing.assert_allclose(param, theirs, rtol=100 * eps, atol=100 * eps)


@pytest.mark.parametrize("name", STATES)
def test_a_state_can_be_passed_between_ops_and_the_reference(name):
    case = next(case for case, (function, _) in CASES.items() if function == name)
    params, expected, state, expected_state = arrays(np.float64), arrays(np.float64), {}, {}
    for step in range(6):
        grads = arrays(np.float64, seed=1 + step)
        update(case, ops if step % 2 else reference, params, grads, state)
        update(case, reference, expected, grads, expected_state)
    assert set(state) == set(expected_state) == {*STATES[name]} | ({"step"} if "adam" in name else set())
    moments = [
        (moment, other) for kept in STATES[name] for moment, other in zip(state[kept], expected_state[kept], strict=True)
    ]
    for actual, wanted in [*zip(params, expected, strict=True), *moments]:
        np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_states_loaded_from_files_are_accepted(module):
    """Such states have moments in other types and layouts, tuples, and a step of a NumPy type."""
    start, grads = [np.array([1.0, 2.0])], [np.array([3.0, -4.0])]
    params, state = copy.deepcopy(start), {}
    module.adam(params, grads, state)
    strided = np.repeat(state["v"][0], 2)[::2]
    loaded = {"v": (strided,), "m": (state["m"][0].astype(">f8"),), "step": np.int64(1)}
    other = copy.deepcopy(params)
    for _ in range(2):
        module.adam(params, grads, state)
        module.adam(other, grads, loaded)
    np.testing.assert_allclose(other, params, rtol=1e-12)
    np.testing.assert_allclose(strided, state["v"][0], rtol=1e-12)
    assert loaded["step"] == 3


@pytest.mark.parametrize("case", CASES)
def test_empty_lists_are_accepted(case):
    state = {}
    for _ in range(2):
        update(case, ops, [], [], state)
    assert all(kept in (2, []) for kept in state.values())


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_the_optimizers(name):
    kind = optimizers.SGD if name in ("sgd", "momentum") else optimizers.OPTIMIZERS[name]
    defaults = {p.name: p.default for p in inspect.signature(kind).parameters.values()}
    if name == "momentum":
        defaults["momentum"] = 0.9
    parameters = list(inspect.signature(getattr(ops, name)).parameters.values())
    coefficients = parameters[3:] if name != "sgd" else []
    assert [p.name for p in parameters[:3]] == ["params", "grads", "learning_rate" if name == "sgd" else "state"]
    assert {p.name: p.default for p in coefficients} == (defaults if name != "sgd" else {})


def test_every_optimizer_has_a_function():
    # nesterov is a parameter of momentum, and an update of Muon depends on the place of a matrix in its network.
    names = (set(optimizers.OPTIMIZERS) | set(RULES)) - {"nesterov", "muon"}
    assert set(ops.optimizers.__all__) == set(reference.optimizers.STATES) == names


@pytest.mark.parametrize("kind", optimizers.OPTIMIZERS.values(), ids=lambda kind: kind.name)
def test_native_updates_have_the_coefficients_of_the_dataclass(kind):
    """Each field but the learning rate has a place of its own among the kernels' arguments, or chooses the formula."""
    given = {
        f.name: 0.25 + i / 8 for i, f in enumerate(dataclasses.fields(kind)) if f.name not in ("learning_rate", "nesterov")
    }
    native = native_optimizer(kind(0.1, **given))
    if kind is optimizers.Muon:  # for which there is no function of arrays
        assert native["momentum"] == given.pop("momentum")
    assert [native[name] for name in ARGUMENTS if name in native] == list(given.values())
    assert native["moments"] == len(RULES[native["name"]].moments)


@pytest.mark.parametrize("name", NAMES)
def test_every_function_is_documented(name):
    text = inspect.getdoc(getattr(ops, name))
    headings = ("Parameters\n-", "params : ", "grads : ", "Raises\n-", "References\n-", "Examples\n-", ">>> ")
    assert all(heading in text for heading in headings)
    assert text == inspect.getdoc(getattr(reference, name))
    assert not re.search(r"^ +(params|Raises|References)", text, re.MULTILINE)  # all lines have the same margin
    for parameter in inspect.signature(getattr(ops, name)).parameters:
        assert parameter in text.partition("Raises")[0]


# ---- Errors, which change nothing ----


def wrong_arguments():
    w, g = np.ones(3), np.ones(3)
    fixed = np.ones(3)
    fixed.flags.writeable = False
    return [
        (ValueError, "^grads: expected 2 arrays, .*got 1", [w, w], [g]),
        (ValueError, "^grads.1.: expected shape .3,., got .2,.", [w, w], [g, g[:2]]),
        (TypeError, "^grads.1.: .*got dtype complex128", [w, w], [g, g * 1j]),
        (TypeError, "^params.1.: expected a floating-point ndarray.*got int64", [w, np.ones(3, np.int64)], [g, g]),
        (TypeError, "^params.1.: expected a floating-point ndarray.*got list", [w, [1.0, 1.0, 1.0]], [g, g]),
        (ValueError, "^params.1.: .*got a read-only one", [w, fixed], [g, g]),
        (TypeError, "params: expected a list of arrays.*got int", 3, [g]),
        (TypeError, "grads: expected a list of arrays.*got NoneType", [w, w], None),
        (TypeError, "^params.0.: expected a floating-point ndarray.*got float64", w, [g]),
    ]


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_wrong_arguments_raise_and_change_nothing(case, module):
    for error, message, params, grads in wrong_arguments():
        state = {}
        with pytest.raises(error, match=message):
            update(case, module, params, grads, state)
        if isinstance(params, list):
            np.testing.assert_array_equal(params[0], 1.0)
        assert not state


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_wrong_numbers_raise_and_change_nothing(case, module):
    w, g, state = [np.ones(3)], [np.ones(3)], {}
    update(case, module, w, g, state, learning_rate=0.0)
    kept, start = copy.deepcopy(state), w[0].copy()
    for coefficient in CASES[case][1]:
        for value in ([0.5], "0.1", None, np.ones(1), True, 1j) if coefficient != "nesterov" else (1, "yes", None):
            with pytest.raises(TypeError, match=f"^{coefficient}: .*got "):
                update(case, module, w, g, state, **{coefficient: value})
        for value in (-0.1, np.nan, np.inf) if coefficient != "nesterov" else ():
            with pytest.raises(ValueError, match=f"^{coefficient}: .*got "):
                update(case, module, w, g, state, **{coefficient: value})
    np.testing.assert_array_equal(w[0], start)
    np.testing.assert_equal(state, kept)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_true_is_not_accepted_as_one(module):
    """Even if 1.0, which equals True, was accepted before."""
    w, g = [np.ones(3)], [np.ones(3)]
    module.adagrad(w, g, {}, epsilon=1.0)
    module.rmsprop(w, g, {}, decay=0.0)
    with pytest.raises(TypeError, match="^epsilon: .*got True of type bool"):
        module.adagrad(w, g, {}, epsilon=True)
    with pytest.raises(TypeError, match="^decay: .*got False of type bool"):
        module.rmsprop(w, g, {}, decay=False)
    with pytest.raises(ValueError, match="nesterov: .*got True with momentum 0.0"):
        module.momentum(w, g, {}, momentum=0.0, nesterov=True)


def wrong_states(name):
    """Yield wrong states, with the type and text of the error."""
    n, first = len(SHAPES), STATES[name][0]
    fixed = np.ones(1)
    fixed.flags.writeable = False
    yield TypeError, "state: expected a dict.*got list", lambda state: []
    names = "state: expected an empty dict or .*got .*"
    yield ValueError, names, lambda state: state | {"more": []}
    yield ValueError, names, lambda state: {"other" if kept == first else kept: v for kept, v in state.items()}
    yield (
        ValueError,
        rf"state\['{first}'\]: expected a list of {n} arrays, .*got NoneType",
        lambda state: state | {first: None},
    )
    yield (
        ValueError,
        rf"state\['{first}'\]: expected a list of {n} arrays, .*got 1 arrays",
        lambda state: state | {first: [fixed]},
    )

    def other(array):
        return lambda state: state | {name: [*state[name][:2], array, *state[name][3:]] for name in [STATES[name][-1]]}

    last = rf"state\['{STATES[name][-1]}'\]\[2\]: expected "
    yield TypeError, last + "a floating-point ndarray .*got list", other([1.0])
    yield TypeError, last + "a floating-point ndarray .*got int64", other(np.ones(1, np.int64))
    yield ValueError, last + "an array to change in place, got a read-only one", other(fixed)
    yield ValueError, last + r"shape \(1,\), got \(2,\)", other(np.ones(2))
    if "adam" in name:
        yield TypeError, r"state\['step'\]: .*got '1'", lambda state: state | {"step": "1"}
        yield TypeError, r"state\['step'\]: .*got 1.0", lambda state: state | {"step": 1.0}
        yield TypeError, r"state\['step'\]: .*got True", lambda state: state | {"step": True}
        yield ValueError, r"state\['step'\]: .*got -1", lambda state: state | {"step": -1}
        yield ValueError, r"state\['step'\]: .*got 10+", lambda state: state | {"step": 10**30}


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("name", STATES)
def test_wrong_states_raise_and_change_nothing(name, module):
    for error, message, spoil in wrong_states(name):
        params, state = arrays(np.float64), {}
        getattr(module, name)(params, arrays(np.float64), state)
        wrong = spoil(state)
        before, kept = copy.deepcopy(params), copy.deepcopy(wrong)
        with pytest.raises(error, match=f"^{message}"):
            getattr(module, name)(params, arrays(np.float64), wrong)
        np.testing.assert_equal(params, before)
        np.testing.assert_equal(wrong, kept)


# ---- States whose arrays share memory ----

SHARED = {
    "the same": lambda a: (a[:20], a[:20]),
    "the last element": lambda a: (a[:20], a[19:39]),
    "the first element": lambda a: (a[19:39], a[:20]),
    "backwards": lambda a: (a[:20], a[20:0:-1]),
    "strided": lambda a: (a[:40:2], a[10:30]),
    "other types": lambda a: (a[:20], a[5:15].view(np.float32)),
    "as wide as both": lambda a: (a[:20].view(np.float32)[::2], a[10:30]),
}


def places(name):
    """Return pairs of arrays by list and index, except pairs of two parameters."""
    every = [(kept, index) for kept in ("params", *STATES[name]) for index in (0, 2)]
    return [(one, other) for one, other in combinations(every, 2) if other[0] != "params"]


def shown(place):
    kept, index = place
    return f"params[{index}]" if kept == "params" else f"state[{kept!r}][{index}]"


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("name", STATES)
def test_states_that_share_memory_raise_and_change_nothing(name, shared, module):
    """This holds for any two arrays of one parameter or of several."""
    for one, other in places(name):
        flat = np.arange(1.0, 42.0)
        lists = {kept: [np.ones(20) for _ in range(3)] for kept in ("params", *STATES[name])}
        lists[one[0]][one[1]], lists[other[0]][other[1]] = SHARED[shared](flat)
        params, state = lists.pop("params"), dict(lists) | ({"step": 3} if "adam" in name else {})
        before = copy.deepcopy([flat, params, state])
        message = f"{shown(other)}: expected an array of its own, got one that shares memory with {shown(one)}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            getattr(module, name)(params, [np.ones(20)] * 3, state)
        np.testing.assert_equal([flat, params, state], before)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize("name", STATES)
def test_states_may_be_next_to_parameters_in_one_array(name, module):
    """Side by side, one after the other or interleaved: no element is shared, and results are those of separate arrays."""
    lists = ("params", *STATES[name])
    n, rng = len(lists), np.random.default_rng(0)
    for room in (np.ones((n, 20)), np.ones((20, n)).T, np.ones((2, n, 20))[0]):
        together, apart = dict(zip(lists, room, strict=True)), {kept: np.ones(20) for kept in lists}
        states = [{kept: [array] for kept, array in given.items() if kept != "params"} for given in (together, apart)]
        for state in states if "adam" in name else []:
            state["step"] = 0
        for grad in rng.normal(size=(3, 20)):
            getattr(module, name)([together["params"]], [grad], states[0])
            getattr(module, name)([apart["params"]], [grad], states[1])
        np.testing.assert_array_equal(room, list(apart.values()))


@pytest.mark.parametrize("core", [_engine.core, _portable], ids=["core", "portable"])
def test_parameters_updated_in_one_call_may_not_overlap(core):
    rule = native_optimizer(optimizers.Adam())
    for one, other in places("adam"):
        for shared in ("the same", "the last element", "the first element"):
            flat = np.arange(1.0, 42.0)
            lists = {kept: [np.ones(20) for _ in range(3)] for kept in ("params", "m", "v")}
            lists[one[0]][one[1]], lists[other[0]][other[1]] = SHARED[shared](flat)
            before = copy.deepcopy([flat, lists])
            assert not core.update(rule, lists["params"], [np.ones(20)] * 3, [lists["m"], lists["v"]], 0.1, 1)
            np.testing.assert_equal([flat, lists], before)
    flat = np.ones((9, 20))
    assert core.update(rule, list(flat[:3]), [np.ones(20)] * 3, [list(flat[3:6]), list(flat[6:])], 0.1, 1)
    assert (flat[:3] != 1).all()


def test_masked_elements_are_refused():
    param = np.ma.masked_array([1.0, 2.0], [True, False])
    for params, grads, name in [([param], [np.ones(2)], "params"), ([np.ones(2)], [param], "grads")]:
        with pytest.raises(ValueError, match=f"^{name}.0.: expected no masked elements, got an array with some"):
            ops.sgd(params, grads, 0.1)
    np.testing.assert_array_equal(param.data, [1.0, 2.0])
