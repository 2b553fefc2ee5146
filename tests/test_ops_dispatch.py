"""Arrays of other libraries in fastnn.ops: types that override functions, subclasses, DLPack, and masked arrays."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from fastnn import MLP, SGD, Trainer, ops

X = np.random.default_rng(0).normal(size=(2, 3))
W, A, B = np.random.default_rng(1).normal(size=(3, 4)), X @ np.ones((3, 4)), np.ones(4)
P = np.array([[0.25, 0.75], [0.5, 0.5]])

# Functions and their arguments by name, arrays first.
CALLS = {
    "linear_grad": {"x": X, "w": W, "a": A, "grad_a": A, "activation": "tanh"},
    "linear": {"x": X, "w": W, "b": B, "activation": "tanh"},
    "softmax": {"x": X, "axis": 0},
    "log_softmax": {"x": X, "axis": 0},
    "mse_loss": {"y_true": P, "y_pred": P[::-1]},
    "binary_cross_entropy": {"y_true": P, "y_pred": P[::-1]},
    "cross_entropy": {"y_true": np.array([1, 0]), "y_pred": P},
}
ARRAYS = [(name, argument) for name, call in CALLS.items() for argument, value in call.items() if np.ndim(value)]
OPTIMIZERS = ["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion"]


def overriding(name, answer, *bases):
    """Return a type that records its calls, and returns that answer."""

    def __array_function__(self, function, types, args, kwargs):
        kind.asked.append((self, function, types, args, kwargs))
        return answer

    kind = type(name, bases or (object,), {"__array_function__": __array_function__, "asked": []})
    return kind


def seen(result):
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def assert_same(result, expected):
    for one, other in zip(seen(result), seen(expected), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- __array_function__ ----


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_any_argument_may_override_a_function(name, argument):
    function, kind = getattr(ops, name), overriding("Duck", "quack")
    call = CALLS[name] | {argument: kind()}
    assert function(*call.values()) == "quack"
    assert function(**call) == "quack"
    assert len(kind.asked) == 2
    for self, asked, types, args, kwargs in kind.asked:
        assert self is call[argument]
        assert asked is function
        assert types.count(kind) == 1
        assert set(types) == {kind} | {np.ndarray for given in call.values() if isinstance(given, np.ndarray)}
        bound, wanted = inspect.signature(function).bind(*args, **kwargs), inspect.signature(function).bind(**call)
        bound.apply_defaults(), wanted.apply_defaults()
        assert bound.arguments == wanted.arguments


def test_out_may_override_a_function():
    kind = overriding("Duck", "quack")
    assert ops.softmax(X, out=kind()) == "quack"
    assert ops.linear(X, W, out=kind()) == "quack"


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("place", [0, 1])
def test_any_element_of_a_list_may_override_a_function(name, place):
    kind, state, w = overriding("Duck", "quack"), {}, np.ones(3)
    lists = [[w, w], [w, w]]
    lists[place][1] = kind()
    args = (*lists, 0.1) if name == "sgd" else (*lists, state)
    assert getattr(ops, name)(*args) == "quack"
    assert kind.asked == [(lists[place][1], getattr(ops, name), kind.asked[0][2], args, {})]
    assert not state
    np.testing.assert_array_equal(w, 1)


def test_overrides_are_asked_in_numpys_order():
    """Subclasses come before superclasses, else arguments from left to right, until one has an answer."""
    first, other = overriding("First", NotImplemented), overriding("Other", "other")
    child = overriding("Child", NotImplemented, first)
    asked = [first(), other(), child()]
    assert ops.linear(*asked) == "other"
    assert [call[0] for kind in (child, first, other) for call in kind.asked] == [asked[2], asked[0], asked[1]]
    assert child.asked[0][2] == (child, first, other)
    for kind in (child, first, other):
        kind.asked.clear()
    assert ops.linear(asked[1], asked[0]) == "other"
    assert not first.asked


def test_each_type_is_asked_once():
    kind = overriding("Duck", NotImplemented)
    ducks = kind(), kind(), X
    with pytest.raises(TypeError, match="^fastnn.ops.dense.linear: expected.*got arguments of types Duck, ndarray"):
        ops.linear(*ducks)
    assert len(kind.asked) == 1
    assert kind.asked[0][0] is ducks[0]
    assert kind.asked[0][2] == (kind, np.ndarray)


def test_errors_of_overrides_are_raised():
    class Broken:
        def __array_function__(self, function, types, args, kwargs):
            raise ZeroDivisionError("as you wish")

    with pytest.raises(ZeroDivisionError, match="as you wish"):
        ops.softmax(Broken())


class Noted(np.ndarray):
    """A subclass that records calls, and leaves the work to ndarray."""

    def __array_function__(self, function, types, args, kwargs):
        calls.append(function)
        return super().__array_function__(function, types, args, kwargs)


calls = []


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_a_subclass_may_call_super(name, argument):
    function, call = getattr(ops, name), CALLS[name]
    calls.clear()
    result = function(**call | {argument: call[argument].view(Noted)})
    assert calls == [function]
    assert_same(result, function(**call))
    assert not any(isinstance(part, Noted) for part in (result if isinstance(result, tuple) else (result,)))


def test_a_subclass_in_a_list_may_call_super():
    w, state, calls[:] = np.ones(3), {}, []
    for _ in range(2):
        ops.momentum([w], [np.ones(3).view(Noted)], state, 0.5, 0.5)
    assert calls == [ops.momentum] * 2
    np.testing.assert_array_equal(w, 1 - 0.5 - 0.75)


def test_a_subclass_gives_way_to_unknown_types():
    """ndarray returns NotImplemented for types that it does not know."""
    kind = overriding("Duck", "quack")
    assert ops.linear(X.view(Noted), kind()) == "quack"


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_subclasses_that_override_nothing_are_arrays(name, argument, tmp_path):
    function, call = getattr(ops, name), CALLS[name]
    mapped = np.memmap(tmp_path / "array", call[argument].dtype, "w+", shape=call[argument].shape)
    mapped[...] = call[argument]
    kinds = [mapped, np.ma.masked_array(call[argument], False)]
    kinds += [call[argument].view(np.matrix)] if call[argument].ndim == 2 else []
    for array in kinds:
        result = function(**call | {argument: array})
        assert_same(result, function(**call))
        assert all(type(part) in (np.ndarray, float) for part in (result if isinstance(result, tuple) else (result,)))


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_masked_elements_are_refused(name, argument):
    call = CALLS[name]
    masked = np.ma.masked_array(call[argument], np.zeros(call[argument].shape, bool))
    masked[-1] = np.ma.masked
    with pytest.raises(ValueError, match=f"^{argument}: expected no masked elements.*got an array with some"):
        getattr(ops, name)(**call | {argument: masked})


# ---- DLPack ----


class Exchanged:
    """An array that supports only DLPack."""

    def __init__(self, array, device=(1, 0), refusal=None):
        self.array, self.device, self.refusal = array, device, refusal

    def __dlpack__(self, **options):
        if self.refusal is not None:
            raise self.refusal
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


class Convertible(Exchanged):
    """An array that NumPy can also convert."""

    conversions = 0

    def __array__(self, dtype=None, copy=None):
        type(self).conversions += 1
        return np.array(self.array, dtype)


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
@pytest.mark.parametrize(
    "layout", [lambda a: a, lambda a: a.astype(np.float32), lambda a: np.repeat(a, 2, axis=-1)[..., ::2]]
)
def test_arrays_of_dlpack_give_the_results_of_numpy_arrays(name, argument, layout):
    function, call = getattr(ops, name), CALLS[name]
    given = call[argument] if call[argument].dtype.kind == "i" else layout(call[argument])
    assert_same(function(**call | {argument: Exchanged(given)}), function(**call | {argument: given}))


def test_gradients_may_be_arrays_of_dlpack():
    grad = np.array([1.0, -2.0])
    for name in OPTIMIZERS:
        one, other, states = np.ones(2), np.ones(2), ({}, {})
        for _ in range(3):
            getattr(ops, name)([one], [Exchanged(grad)], *((0.1,) if name == "sgd" else (states[0],)))
            getattr(ops, name)([other], [grad], *((0.1,) if name == "sgd" else (states[1],)))
        np.testing.assert_array_equal(one, other)
        assert one[0] < 1
    with pytest.raises(ValueError, match="^grads.0.: expected shape .3,..*got .2,."):
        ops.sgd([np.ones(3)], [Exchanged(grad)], 0.1)


def test_models_accept_arrays_of_dlpack():
    X, y, weight = np.random.default_rng(0).normal(size=(9, 3)), np.arange(18.0).reshape(9, 2), np.arange(1.0, 10.0)
    models = [MLP((3, 4, 2), dtype=np.float64, random_state=0) for _ in range(2)]
    for model, kind in zip(models, (Exchanged, np.asarray), strict=True):
        trainer = Trainer(model, optimizer=SGD(0.001), random_state=0)
        trainer.run(kind(X), kind(y), 2, sample_weight=kind(weight), validation_data=(kind(X), kind(y)))
        model.fit(kind(X), kind(y), random_state=0)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
    np.testing.assert_array_equal(models[0].predict(Exchanged(X)), models[1].predict(X))
    np.testing.assert_array_equal(models[0].predict(Exchanged(X[0])), models[1].predict(X[0]))


def test_arrays_of_dlpack_are_not_copied():
    """Kernels read the memory of the other library."""
    from fastnn._engine.arrays import numbers_of

    array = np.ones((3, 4), np.float32)
    assert np.shares_memory(numbers_of("x", Exchanged(array)), array)
    assert np.shares_memory(numbers_of("x", Convertible(array)), array)
    assert Convertible.conversions == 0


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="this NumPy has no word for read-only in DLPack")
def test_read_only_arrays_of_dlpack_cannot_be_written_to():
    array = X.copy()
    array.flags.writeable = False
    np.testing.assert_array_equal(ops.softmax(Exchanged(array)), ops.softmax(X))


def test_arrays_that_cannot_be_exchanged_raise():
    y, model = np.ones((2, 2)), MLP((3, 2))
    cases = [
        (Exchanged(X, (2, 1)), "expected real numbers in the CPU's memory, got Exchanged on DLPack device (2, 1)"),
        (Convertible(X, (2, 0)), "expected real numbers in the CPU's memory, got Convertible on DLPack device (2, 0)"),
        (
            Exchanged(X, refusal=BufferError("requires grad")),
            "expected real numbers in the CPU's memory, got Exchanged (requires grad)",
        ),
        (
            Exchanged(X, refusal=RuntimeError("bfloat16")),
            "expected real numbers in the CPU's memory, got Exchanged (bfloat16)",
        ),
        (Exchanged(X, None), "expected real numbers in the CPU's memory, got Exchanged ("),
        (
            Exchanged(X.astype(X.dtype.newbyteorder())),
            "expected real numbers in the CPU's memory, got Exchanged (DLPack only supports native byte order",
        ),
        (Exchanged(X * 1j), "expected real numbers, got dtype complex128"),
    ]
    for value, message in cases:
        with pytest.raises(TypeError, match="^x: " + re.escape(message)):
            ops.softmax(value)
        for call in (lambda v=value: model.predict(v), lambda v=value: model.fit(v, y), lambda v=value: model.loss(v, y)):
            with pytest.raises(TypeError, match="^X: " + re.escape(message)):
                call()


def test_conversion_by_the_library_is_the_second_choice():
    """It serves for arrays that DLPack does not support, such as booleans packed to bits."""
    value = Convertible(X, refusal=TypeError("not by DLPack"))
    np.testing.assert_array_equal(ops.softmax(value), ops.softmax(X))


class Refusing:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not without a copy")


def test_refusals_in_a_list_are_raised():
    with pytest.raises(TypeError, match="^x: not without a copy"):
        ops.softmax([Refusing(), Refusing()])


def test_tensors_of_torch_are_accepted():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float64, torch.float16, torch.int32, torch.bool):
        tensor = torch.tensor(X).to(dtype)
        for given in (tensor, tensor.t(), tensor[:, ::2], torch.flip(tensor, (0,)), tensor[0]):
            np.testing.assert_array_equal(ops.softmax(given), ops.softmax(given.numpy()))
    model, tensor = MLP((3, 2), random_state=0), torch.ones(3)
    np.testing.assert_array_equal(model.predict(torch.tensor(X)), model.predict(X))
    for wrong in (tensor.clone().requires_grad_(), tensor.bfloat16(), tensor.to("meta"), tensor.to_sparse()):
        with pytest.raises(TypeError, match=r"^x: expected real numbers.*got Tensor of dtype torch\.\w+ \(.*\)"):
            ops.softmax(wrong)
    with pytest.raises(TypeError, match="^x: Can't call numpy.. on Tensor that requires grad"):
        ops.softmax([tensor.clone().requires_grad_()])
    param, state = np.ones(3), {}
    ops.adam([param], [torch.tensor([1.0, 0.0, -1.0])], state, 0.5)
    np.testing.assert_allclose(param, [0.5, 1.0, 1.5])


def test_arrays_of_jax_are_accepted():
    numpy = pytest.importorskip("jax.numpy")
    given = numpy.asarray(X, numpy.float32)
    np.testing.assert_array_equal(ops.softmax(given), ops.softmax(np.asarray(given)))
    model = MLP((3, 2), random_state=0)
    np.testing.assert_array_equal(model.predict(given), model.predict(np.asarray(given)))
    with pytest.raises(TypeError, match="^x: expected real numbers.*got dtype bfloat16"):
        ops.softmax(given.astype(numpy.bfloat16))
