"""Vector-Jacobian products and Jacobians: finite differences, the reference, gradients of losses, bits, shapes, results."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from _helpers import HIDDEN, KINDS, run_script

from fastnn import MLP, losses, reference
from fastnn._engine import core as _core

OUTPUTS = list(_core.LAYER_ACTIVATIONS)
SIZES = [(3, 4, 2), (2, 5, 3, 6), (4, 3), (3, 9, 2, 1), (7, 4, 5)]
COMPILED = _core.current_instruction_set()[0] != "portable"


def model_of(sizes, activation="tanh", output="identity", dtype=np.float64, **options):
    model = MLP(sizes, activation, output, dtype=dtype, random_state=1, **options)
    rng = np.random.default_rng(2)
    for b in model.biases:
        b[...] = 0.3 * rng.normal(size=b.shape)
    return model


def rows_of(model, n, seed=0):
    rng = np.random.default_rng(seed)
    X, G = rng.normal(size=(n, model.layer_sizes[0])), rng.normal(size=(n, model.layer_sizes[-1]))
    return X.astype(model.dtype), G.astype(model.dtype)


def of_reference(model):
    return list(model.weights), list(model.biases), model.activations


def central_differences(function, array, step=1e-5):
    differences = []
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        below = function()
        array[index] = kept
        differences.append((above - below) / (2 * step))
    return np.array(differences)


def check_against_differences(model, n=4):
    X, G = rows_of(model, n)
    gradients, by_input = model.vjp(X, G, inputs=True)
    jacobian = model.jacobian(X)
    for array, actual in zip([*model.parameters, X], [*gradients, by_input], strict=True):
        expected = central_differences(lambda: (model.predict(X) * G).sum(), array).reshape(array.shape)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)
    for i in range(n):
        expected = central_differences(lambda i=i: model.predict(X)[i], X[i])
        np.testing.assert_allclose(jacobian[i].T, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("output", OUTPUTS)
def test_derivatives_of_output_activations_are_finite_differences(output):
    for sizes in SIZES:
        check_against_differences(model_of(sizes, "tanh", output))


@pytest.mark.parametrize("hidden", [*HIDDEN, "prelu"])
def test_derivatives_of_hidden_activations_are_finite_differences(hidden):
    for sizes in SIZES:
        check_against_differences(model_of(sizes, hidden))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [*SIZES, (70, 20, 80), (80, 20, 70), (5, 64, 64, 50), (130, 3, 140)])
@pytest.mark.parametrize("output", ["identity", "sigmoid", "softmax", "gelu"])
def test_derivatives_are_those_of_the_reference(sizes, output, dtype):
    model = model_of(sizes, "silu", output, dtype)
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
    for n in (0, 1, 15, 17, 40):
        X, G = rows_of(model, n)
        np.testing.assert_allclose(model.jacobian(X), reference.jacobian(*of_reference(model), X), **tolerance)
        gradients, by_input = model.vjp(X, G, inputs=True)
        expected_by_input, weights, biases = reference.vjp(*of_reference(model), X, G)
        np.testing.assert_allclose(by_input, expected_by_input, **tolerance)
        for actual, expected in zip(gradients, [a for pair in zip(weights, biases, strict=True) for a in pair], strict=True):
            np.testing.assert_allclose(actual, expected, **tolerance)


def test_slopes_have_gradients_as_the_reference_says():
    model = model_of((3, 6, 5, 2), ["prelu", "prelu"], "prelu")
    X, G = rows_of(model, 11)
    by_input, weights, biases, slopes = reference.vjp(*of_reference(model), X, G, slopes=model.slopes)
    gradients, actual = model.vjp(X, G, inputs=True)
    expected = [a for layer in zip(weights, biases, slopes, strict=True) for a in layer]
    for a, b in zip([*gradients, actual], [*expected, by_input], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        model.jacobian(X), reference.jacobian(*of_reference(model), X, model.slopes), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(3, 20, 2), (3, 9, 17)])
@pytest.mark.parametrize("n", [1, 15, 16, 600])
def test_vjp_is_the_gradient_of_a_loss_with_that_gradient(sizes, dtype, n):
    model = model_of(sizes, "gelu", dtype=dtype)
    X, y = rows_of(model, n)
    G = 2 * (model.predict(X) - y) * dtype(1 / y.size)
    expected, by_input = model.gradient(X, y)[1], model.input_gradient(X, y)
    gradients, actual = model.vjp(X, G, inputs=True)
    for a, b in zip([*gradients, actual], [*expected, by_input], strict=True):
        if COMPILED:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(5, 30, 20, 3), (3, 40, 12), (90, 8, 70), (70, 9, 90)])
def test_bits_do_not_depend_on_threads_or_on_the_batch(sizes, dtype):
    model = model_of(sizes, "mish", "softmax", dtype)
    X, G = rows_of(model, 600)
    jacobian, (gradients, by_input) = model.jacobian(X), model.vjp(X, G, inputs=True)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(model.jacobian(X, n_threads=n_threads), jacobian)
        others, other = model.vjp(X, G, inputs=True, n_threads=n_threads)
        for a, b in zip([*others, other], [*gradients, by_input], strict=True):
            np.testing.assert_array_equal(a, b)
    if COMPILED:
        np.testing.assert_array_equal(model.jacobian(X[100:117]), jacobian[100:117])
        np.testing.assert_array_equal(model.jacobian(X[7]), jacobian[7])
        np.testing.assert_array_equal(model.vjp(X[7], G[7], inputs=True)[1], by_input[7])


_HASHES = """
import hashlib, numpy as np
from fastnn import MLP
rng, found = np.random.default_rng(0), []
for dtype in ("float32", "float64"):
    for sizes in [(5, 16, 1), (3, 40, 12), (90, 8, 70), (4, 3)]:
        for output in ("identity", "softmax", "gelu"):
            model = MLP(sizes, "silu", output, dtype=dtype, random_state=1)
            X, G = rng.normal(size=(33, sizes[0])).astype(dtype), rng.normal(size=(33, sizes[-1])).astype(dtype)
            gradients, by_input = model.vjp(X, G, inputs=True)
            found += [model.jacobian(X), by_input, *gradients]
print(hashlib.sha256(b"".join(a.tobytes() for a in found)).hexdigest(), sum(float(np.abs(a).sum()) for a in found))
"""


@pytest.mark.skipif("v4" not in _core.usable_instruction_sets(), reason="needs two instruction sets with the same bits")
def test_bits_do_not_depend_on_the_instruction_set():
    results = {isa: run_script(_HASHES, FASTNN_ISA=isa).stdout.split() for isa in ("v4", "v3", "baseline")}
    assert results["v3"] == results["v4"]
    assert float(results["baseline"][1]) == pytest.approx(float(results["v4"][1]), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_any_array_is_taken(kind):
    model = model_of((3, 8, 2))
    X, G = np.arange(12).reshape(4, 3) % 5.0, np.arange(8).reshape(4, 2) % 5.0
    given_X, given_G = KINDS[kind](X), KINDS[kind](G)
    if kind.startswith("bool"):
        X, G = X > 2, G > 2
    expected = model.vjp(np.array(X, float), np.array(G, float), inputs=True)
    actual = model.vjp(given_X, given_G, inputs=True)
    for a, b in zip([*actual[0], actual[1]], [*expected[0], expected[1]], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.jacobian(given_X), model.jacobian(np.array(X, float)))


def test_sparse_rows_have_the_derivatives_of_dense_rows():
    sparse = pytest.importorskip("scipy.sparse")
    for sizes in [(30, 8, 3), (30, 2), (3, 8, 40)]:
        model = model_of(sizes)
        X, G = rows_of(model, 21)
        X[np.abs(X) < 0.8] = 0
        np.testing.assert_allclose(model.jacobian(sparse.csr_matrix(X)), model.jacobian(X), rtol=1e-12, atol=1e-14)
        actual, expected = model.vjp(sparse.csr_matrix(X), G, inputs=True), model.vjp(X, G, inputs=True)
        for a, b in zip([*actual[0], actual[1]], [*expected[0], expected[1]], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_dropout_is_left_out():
    model, with_dropout = model_of((3, 20, 2), "relu"), model_of((3, 20, 2), "relu", dropout=0.5)
    X, G = rows_of(model, 9)
    np.testing.assert_array_equal(model.jacobian(X), with_dropout.jacobian(X))
    for a, b in zip(model.vjp(X, G), with_dropout.vjp(X, G), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_rows_have_no_derivatives():
    model = model_of((3, 4, 2))
    assert model.jacobian(np.empty((0, 3))).shape == (0, 2, 3)
    gradients, by_input = model.vjp(np.empty((0, 3)), np.empty((0, 2)), inputs=True)
    assert by_input.shape == (0, 3)
    assert [g.shape for g in gradients] == [p.shape for p in model.parameters]
    assert not any(g.any() for g in gradients)


@pytest.mark.skipif(not COMPILED, reason="the fallback has one way only")
@pytest.mark.parametrize("n", [1, 3])
def test_calls_in_turn_do_not_disturb_one_another(n):
    """A network keeps the workspace of its last call."""
    model = model_of((4, 11, 3), "gelu", "softmax")
    X, G = rows_of(model, n)
    labels = np.arange(n) % 3
    calls = {
        "loss": lambda: [model.loss(X, labels, "cross_entropy")],
        "gradient": lambda: model.gradient(X, labels, "cross_entropy")[1],
        "mse": lambda: model.gradient(X, G)[1],
        "by input": lambda: [model.input_gradient(X, G)],
        "vjp": lambda: model.vjp(X, G),
        "vjp by inputs": lambda: [model.vjp(X, G, inputs=True)[1]],
        "jacobian": lambda: [model.jacobian(X)],
        "many": lambda: [model.jacobian(np.tile(X, (50, 1)))],
    }
    expected = {name: [np.array(a) for a in call()] for name, call in calls.items()}
    for first in calls:
        for second in calls:
            for name in (first, second, second):
                for a, b in zip(calls[name](), expected[name], strict=True):
                    np.testing.assert_array_equal(a, b)


# ---- One row ----


@pytest.mark.parametrize("n", [1, 7, 16, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_in_turn_do_not_disturb_one_another(dtype, n):
    # The losses differ in their columns of targets and in the sizes of their heads, and thus in their workspaces.
    model = model_of((3, 8, 20), dtype=dtype)
    rng = np.random.default_rng(3)
    X, signs = rng.normal(size=(n, 3)).astype(dtype), rng.choice([-1.0, 1.0], (n, 20)).astype(dtype)
    labels = rng.integers(0, 10, n)
    cases = [
        ("mse", signs),
        (losses.GaussianNLL(), signs[:, :10]),
        (losses.MultiQuantile(q=(0.1, 0.3, 0.5, 0.9)), signs[:, :5]),
        ("poisson", abs(signs)),
        (losses.MSE(missing="ignore"), np.where(rng.random((n, 20)) < 0.3, np.nan, signs)),
        (losses.Heads([((0, 10), "poisson"), ((10, 20), "cross_entropy")]), np.column_stack([abs(signs[:, :10]), labels])),
        (losses.Heads([(i, "mse") for i in range(20)]), signs),
        (losses.Heads([((0, 19), "mse"), (19, "poisson")]), abs(signs)),
    ]

    def results(model, loss, y):
        value, gradients = model.gradient(X, y, loss)
        return [value, *gradients, model.input_gradient(X, y, loss)]

    alone = [results(model.copy(), *case) for case in cases]
    for case in cases:
        for other, expected in zip(cases, alone, strict=True):
            model.gradient(X, case[1], case[0])
            model.input_gradient(X, case[1], case[0])
            for a, b in zip(results(model, *other), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_one_row_is_taken_wherever_rows_are():
    model = model_of((3, 5, 2))
    X, G = rows_of(model, 1)
    assert model.loss(X[0], G[0]) == model.loss(X, G)
    assert model.loss(X[0].tolist(), G[0].tolist(), sample_weight=2.0) == model.loss(X, G)
    np.testing.assert_array_equal(model.input_gradient(X[0], G[0]), model.input_gradient(X, G)[0])
    np.testing.assert_array_equal(model.jacobian(X[0].tolist()), model.jacobian(X)[0])
    np.testing.assert_array_equal(model.hidden_activations(X[0])[0], model.hidden_activations(X)[0][0])
    one, many = model.vjp(X[0].tolist(), G[0].tolist(), inputs=True), model.vjp(X, G, inputs=True)
    np.testing.assert_array_equal(one[1], many[1][0])
    for a, b in zip(one[0] + model.gradient(X[0], G[0])[1], many[0] + model.gradient(X, G)[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("label", [1, np.int64(1), np.array(1), [1], np.array([1]), [0.0, 1.0, 0.0]])
def test_one_row_has_one_label(label):
    model = model_of((4, 5, 3), output="softmax")
    X = np.arange(4.0)
    assert model.loss(X, label, "cross_entropy") == model.loss(X[None], np.array([1]), "cross_entropy")


@pytest.mark.parametrize("target", [0.5, np.array(0.5), [0.5], np.array([0.5]), [[0.5]]])
def test_one_row_has_one_target_for_one_output(target):
    model = model_of((4, 5, 1))
    assert model.loss(np.arange(4.0), target) == model.loss(np.arange(4.0)[None], np.array([[0.5]]))


@pytest.mark.parametrize("shape", [(10, 2), (3, 2), (3,), (2, 1)])
def test_one_row_with_targets_of_several_is_refused(shape):
    model = model_of((4, 5, 2))
    with pytest.raises(ValueError, match=r"^X: expected shape \(n, 4\).*X\[None\] makes one row"):
        model.loss(np.ones(4), np.ones(shape))


# ---- Given arrays for results ----


def strided(shape, dtype):
    return np.full(tuple(2 * n for n in shape), -9.0, dtype)[tuple(slice(None, None, 2) for _ in shape)]


@pytest.mark.parametrize("make", [np.empty, strided])
@pytest.mark.parametrize("rows", [np.s_[:], np.s_[0]])
def test_results_go_to_given_arrays(make, rows):
    model = model_of((3, 9, 5), "prelu")
    X, G = (a[rows] for a in rows_of(model, 6))
    lists = [make(p.shape, p.dtype) for p in model.parameters]
    value, gradients = model.gradient(X, G, out=lists)
    expected_value, expected = model.gradient(X, G)
    assert value == expected_value
    assert gradients is lists
    for a, b in zip(lists, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.vjp(X, G, out=lists) is lists
    for a, b in zip(lists, model.vjp(X, G), strict=True):
        np.testing.assert_array_equal(a, b)
    by_input = make(X.shape, X.dtype)
    pair = (lists, by_input)
    assert model.vjp(X, 2 * G, inputs=True, out=pair) is pair
    np.testing.assert_array_equal(by_input, model.vjp(X, 2 * G, inputs=True)[1])
    assert model.input_gradient(X, G, out=by_input) is by_input
    np.testing.assert_array_equal(by_input, model.input_gradient(X, G))
    jacobian = make((*X.shape[:-1], 5, 3), X.dtype)
    assert model.jacobian(X, out=jacobian) is jacobian
    np.testing.assert_array_equal(jacobian, model.jacobian(X))


def outs_that_do_not_fit(model, X, G):
    """Return calls with `out`, and the arrays that must not change."""
    lists = [np.full(p.shape, 7.0) for p in model.parameters]
    row = np.full(X.shape, 7.0)
    wrong = [*lists[:-1], np.full(lists[-1].shape, 7.0, np.float32)]
    read_only = np.full(X.shape, 7.0)
    read_only.flags.writeable = False
    calls = {
        "wrong dtype": lambda: model.gradient(X, G, out=wrong),
        "too few": lambda: model.vjp(X, G, out=lists[:-1]),
        "no list": lambda: model.vjp(X, G, out=lists[0]),
        "no tuple": lambda: model.vjp(X, G, inputs=True, out=row),
        "wrong shape": lambda: model.input_gradient(X, G, out=row[1:]),
        "no array": lambda: model.input_gradient(X, G, out=row.tolist()),
        "read-only": lambda: model.input_gradient(X, G, out=read_only),
        "X": lambda: model.input_gradient(X, G, out=X),
        "twice": lambda: model.vjp(X, G, out=[lists[0], lists[1], lists[2], lists[1]]),
        "parameters": lambda: model.gradient(X, G, out=model.parameters),
        "shape of the Jacobian": lambda: model.jacobian(X, out=np.full((3, 3, 3), 7.0)),
        "one row": lambda: model.jacobian(X[0], out=np.full((1, 3, 3), 7.0)),
        "both": lambda: model.vjp(X, G, inputs=True, out=(lists, np.full((2, 3), 7.0))),
        "gradient by the inputs twice": lambda: model.vjp(X[:3], G[:3], inputs=True, out=(lists, lists[0])),
        "G": lambda: model.vjp(X, G, inputs=True, out=(lists, G)),
    }
    return calls, [*lists, row, X, *model.parameters]


@pytest.mark.parametrize("name", outs_that_do_not_fit(model_of((3, 3, 3)), *rows_of(model_of((3, 3, 3)), 4))[0])
def test_given_arrays_that_do_not_fit_are_refused_before_anything_changes(name):
    model = model_of((3, 3, 3))
    X, G = rows_of(model, 4)
    calls, arrays = outs_that_do_not_fit(model, X, G)
    before = [array.copy() for array in arrays]
    with pytest.raises((TypeError, ValueError), match=r"^out"):
        calls[name]()
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.skipif(not COMPILED, reason="the fallback allocates")
@pytest.mark.parametrize("n", [1, 300])
def test_nothing_is_allocated_for_given_arrays(n):
    model = model_of((3, 40, 5), "gelu")
    X, G = rows_of(model, n)
    gradients, by_input, jacobian = [np.empty(p.shape) for p in model.parameters], np.empty((n, 3)), np.empty((n, 5, 3))
    both = (gradients, by_input)
    calls = [
        lambda: model.gradient(X, G, out=gradients),
        lambda: model.input_gradient(X, G, out=by_input),
        lambda: model.vjp(X, G, inputs=True, out=both),
        lambda: model.jacobian(X, out=jacobian),
    ]
    for call in calls:
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1000  # bytes; the smallest result has 24, arrays of that size are NumPy's own


def test_threads_that_call_one_model_get_their_own_results():
    """One call at a time has the workspace that a network keeps."""
    model = model_of((4, 60, 50, 7), "gelu", "softmax")
    batches = [rows_of(model, n, seed=n) for n in (1, 40, 64, 300)]
    expected = [(model.jacobian(X), *model.vjp(X, G)) for X, G in batches]

    def work(i):
        X, G = batches[i % 4]
        return (model.jacobian(X), *model.vjp(X, G))

    with ThreadPoolExecutor(4) as pool:
        for i, found in enumerate(pool.map(work, range(200))):
            for a, b in zip(found, expected[i % 4], strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("given", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("n_threads", [None, 1])
def test_results_without_a_given_array_are_returned(given, n_threads):
    model = model_of((3, 4, 2))
    X, G = rows_of(model, 5)
    out = ([np.empty(p.shape) for p in model.parameters] if given[0] else None, np.empty((5, 3)) if given[1] else None)
    gradients, by_input = model.vjp(X, G, inputs=True, out=out, n_threads=n_threads)
    expected, expected_by_input = model.vjp(X, G, inputs=True)
    for array, right in zip([*gradients, by_input], [*expected, expected_by_input], strict=True):
        np.testing.assert_array_equal(array, right)
    assert not given[0] or gradients is out[0]
    assert not given[1] or by_input is out[1]


def test_given_arrays_need_memory_for_each_element():
    model = model_of((3, 2))
    X, G = rows_of(model, 5)
    one = np.lib.stride_tricks.as_strided
    calls = {
        "jacobian": lambda: model.jacobian(X, out=one(np.empty(1), (5, 2, 3), (0, 0, 0))),
        "predict": lambda: model.predict(X, out=one(np.empty(5), (5, 2), (8, 0))),
        "vjp": lambda: model.vjp(X, G, out=[one(np.empty(4), (3, 2), (8, 8)), np.empty(2)]),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=r"^out.*: expected memory for every element, got strides"):
            call()


def test_columns_of_one_array_can_be_given_with_its_other_columns_as_inputs():
    model = model_of((3, 4, 2))
    table = np.zeros((5, 6))
    table[:, ::2] = rows_of(model, 5)[0]
    expected = model.input_gradient(table[:, ::2].copy(), np.ones((5, 2)))
    model.input_gradient(table[:, ::2], np.ones((5, 2)), out=table[:, 1::2])
    np.testing.assert_array_equal(table[:, 1::2], expected)


# ---- Errors ----


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("call", ["vjp", "vjp of G", "jacobian", "loss", "gradient of y", "input_gradient"])
def test_values_that_are_not_finite_are_named(call, bad, n):
    model = model_of((3, 4, 2))
    X, G = rows_of(model, n)
    model.loss(X, G)  # later calls may take the quick way
    wrong, wrong_G = X.copy(), G.copy()
    wrong[-1, 2] = wrong_G[-1, 1] = bad
    calls = {
        "vjp": lambda: model.vjp(wrong, G),
        "vjp of G": lambda: model.vjp(X, wrong_G),
        "jacobian": lambda: model.jacobian(wrong),
        "loss": lambda: model.loss(wrong, G),
        "gradient of y": lambda: model.gradient(X, wrong_G),
        "input_gradient": lambda: model.input_gradient(wrong, G),
    }
    with pytest.raises(ValueError, match=rf"{bad} at row {n - 1}, column"):
        calls[call]()


@pytest.mark.parametrize(
    ("loss", "output", "y", "message"),
    [
        ("cross_entropy", "softmax", np.array([3]), "labels from 0 to 2"),
        ("cross_entropy", "softmax", np.array([-1]), "labels from 0 to 2"),
        ("cross_entropy", "softmax", np.array([[1.0, 0.5, -0.5]]), "values between 0 and 1"),
        ("binary_cross_entropy", "sigmoid", np.array([[1.0, 0.5, 1.5]]), "values between 0 and 1"),
        ("poisson", "exp", np.array([[1.0, 0.5, -1.5]]), "values >= 0"),
        ("mse", "identity", np.array([[1.0, 0.5]]), "shape"),
        ("poisson", "softmax", np.array([[1.0, 0.5, 1.5]]), "goes with loss"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_quick_way_loses_no_check(loss, output, y, message, dtype):
    model, X = model_of((2, 4, 3), output=output, dtype=dtype), np.ones((1, 2), dtype)
    if message != "goes with loss":
        good = np.array([1]) if loss == "cross_entropy" else np.full((1, 3), 0.5, dtype)
        model.loss(X, good, loss)
    y = y if y.dtype.kind == "i" else y.astype(dtype)
    for call in (model.loss, model.gradient, model.input_gradient):
        with pytest.raises(ValueError, match=message):
            call(X, y, loss)


@pytest.mark.parametrize("shape", [(4,), (3, 2), (4, 3), (1, 2), (4, 2, 1)])
def test_a_gradient_of_another_shape_is_refused(shape):
    model = model_of((3, 4, 2))
    with pytest.raises(ValueError, match=r"^G: expected shape \(4, 2\)"):
        model.vjp(np.ones((4, 3)), np.ones(shape))


def test_unknown_options_are_refused():
    model = model_of((3, 4, 2))
    for name in ("loss", "gradient", "input_gradient", "vjp"):
        with pytest.raises(TypeError, match=rf"MLP.{name}\(\) got an unexpected keyword argument 'weights'"):
            getattr(model, name)(np.ones((1, 3)), np.ones((1, 2)), weights=1)
    with pytest.raises(TypeError, match=r"MLP.jacobian\(\) got an unexpected"):
        model.jacobian(np.ones((1, 3)), weights=1)


def test_custom_activations_have_derivatives():
    numba = pytest.importorskip("numba")
    if numba.config.DISABLE_JIT:
        pytest.skip("Numba's compiler is turned off")
    from fastnn import jit

    @jit.activation(derivative=lambda z: 1 / (1 + z * z), uses="input")
    def arctangent(z):
        return np.arctan(z)

    for sizes in [(3, 4, 2), (2, 5, 3, 6), (4, 3)]:
        hidden = [arctangent] * (len(sizes) - 2)
        check_against_differences(model_of(sizes, hidden or "tanh", arctangent))
