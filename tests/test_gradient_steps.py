"""Steps by the caller's gradient, and by gradients of several batches."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import example, state_of

from fastnn import MLP, SGD, Adam, AdamW, DivergedError, Trainer, losses
from fastnn._engine import core as _core

COMPILED = _core.current_instruction_set()[0] != "portable"
OPTIONS = [
    {},
    {"optimizer": SGD(0.1)},
    {"optimizer": SGD(0.1, momentum=0.9), "l2": 0.1, "clip_norm": 0.5},
    {"optimizer": AdamW(0.01), "l1": 0.01, "clip_value": 0.02},
    {"optimizer": Adam(lambda steps: 0.1 / (1 + steps))},
]


def trainer_of(sizes=(3, 12, 2), activation="tanh", output="identity", dtype=np.float64, dropout=0.0, **options):
    model = MLP(sizes, activation, output, dtype=dtype, dropout=dropout, random_state=1)
    return Trainer(model, random_state=3, **options)


def batch_of(trainer, n, seed=0):
    rng, sizes, dtype = np.random.default_rng(seed), trainer.model.layer_sizes, trainer.model.dtype
    return rng.normal(size=(n, sizes[0])).astype(dtype), rng.normal(size=(n, sizes[-1])).astype(dtype)


def assert_same(a, b, dtype=np.float64):
    assert a.updates == b.updates
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(a.model.to_vector(), b.model.to_vector(), rtol=tolerance, atol=tolerance / 100)
    np.testing.assert_allclose(a._moments, b._moments, rtol=tolerance, atol=tolerance / 100)


# ---- step_gradient ----


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(3, 12, 2), (2, 4, 1), (3, 9, 17)])
def test_a_step_by_the_gradient_of_a_loss_is_a_step_by_the_loss(options, dtype, sizes):
    trainer, other = trainer_of(sizes, dtype=dtype, **options), trainer_of(sizes, dtype=dtype, **options)
    for n in (1, 7, 600):
        X, y = batch_of(trainer, n)
        trainer.step(X, y)
        assert other.step_gradient(X, 2 * (other.model.predict(X) - y) * dtype(1 / y.size)) is None
        assert_same(trainer, other, dtype)
        if COMPILED and len(sizes) == 3 and sizes[1] > 8:  # tiny networks have sums of their own for predictions
            assert state_of(trainer) == state_of(other)


def test_a_step_by_a_gradient_takes_the_sum_over_rows():
    trainer = trainer_of(optimizer=SGD(0.5))
    X, G = batch_of(trainer, 9)
    expected = [p - 0.5 * g for p, g in zip(trainer.model.parameters, trainer.model.vjp(X, G), strict=True)]
    trainer.step_gradient(X, G)
    for a, b in zip(trainer.model.parameters, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_steps_of_both_kinds_follow_one_another():
    """A stepper keeps its workspace, and its layout depends on the loss."""
    trainer, other = (trainer_of((3, 11, 4), "gelu", "softmax", loss="cross_entropy") for _ in range(2))
    X, G = batch_of(trainer, 5)
    labels = np.arange(5) % 4
    for _ in range(3):
        trainer.step(X, labels)
        trainer.step_gradient(X, G)
        fresh = pickle.loads(pickle.dumps(other))
        fresh.step(X, labels)
        other = pickle.loads(pickle.dumps(fresh))
        other.step_gradient(X, G)
        np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())


def test_dropout_takes_part_in_a_step_by_a_gradient():
    trainer, other = trainer_of(dropout=0.5, activation="relu"), trainer_of(activation="relu")
    X, G = batch_of(trainer, 9)
    before = repr(trainer.random_state.bit_generator.state)
    trainer.step_gradient(X, G)
    other.step_gradient(X, G)
    assert (trainer.model.to_vector() != other.model.to_vector()).any()
    assert repr(trainer.random_state.bit_generator.state) != before


@pytest.mark.parametrize("kind", ["matrix", "row", "list", "float32", "sparse"])
def test_batches_of_any_kind_are_taken(kind):
    trainer, other = trainer_of(optimizer=SGD(0.1)), trainer_of(optimizer=SGD(0.1))
    X, G = (a.astype(np.float32).astype(np.float64) for a in batch_of(trainer, 1 if kind == "row" else 4))
    trainer.step_gradient(X.copy(), G.copy())
    convert = {
        "matrix": np.asfortranarray,
        "row": lambda a: a[0],
        "list": lambda a: a.tolist(),
        "float32": lambda a: a.astype(np.float32),
        "sparse": lambda a: a,
    }[kind]
    given = convert(X)
    if kind == "sparse":
        given = pytest.importorskip("scipy.sparse").csr_matrix(X)
    other.step_gradient(given, convert(G))
    np.testing.assert_allclose(trainer.model.to_vector(), other.model.to_vector(), rtol=1e-12)


LOSSES = [
    losses.GaussianNLL(),
    losses.GaussianNLL(missing="ignore", output_weights=(1, 3)),
    losses.MultiQuantile(q=(0.1, 0.9)),
    losses.MSE(missing="ignore"),
    losses.MSE(output_weights=(1, 2, 0, 4)),
    losses.CrossEntropy(missing="ignore", output_weights=(1, 2, 3, 4), label_smoothing=0.1),
    losses.KLDivergence(missing="ignore"),
    losses.Heads([((0, 2), "mse"), ((2, 4), "cross_entropy")]),
    losses.Heads([((0, 2), "gaussian_nll"), ((2, 4), "cross_entropy")], missing="ignore"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("n", [1, 4])
def test_the_loss_of_the_trainer_does_not_act_on_gradients(loss, n):
    def trainer():
        return trainer_of((3, 12, 4), optimizer=SGD(0.1), loss=loss)

    plain = trainer_of((3, 12, 4), optimizer=SGD(0.1))
    X, G = batch_of(plain, n)
    plain.step_gradient(X, G)
    ways = [
        lambda other: other.step_gradient(X, G),
        lambda other: other.step_gradient(X.tolist(), G.tolist()),
        lambda other: other.step_gradient(X, np.repeat(G, 2, axis=0)[::2]),
        lambda other: (other.accumulate(X, G=G), other.apply()),
    ]
    for way in ways:
        other = trainer()
        way(other)
        np.testing.assert_allclose(other.model.to_vector(), plain.model.to_vector(), rtol=1e-12)


@pytest.mark.parametrize(
    ("X", "G", "message"),
    [
        (np.ones((4, 3)), np.ones((4, 1)), r"^G: expected shape \(4, 2\)"),
        (np.ones((4, 2)), np.ones((4, 2)), "^X: expected shape"),
        (np.full((4, 3), np.nan), np.ones((4, 2)), "^X: expected numbers that are finite"),
        (np.ones((4, 3)), np.full((4, 2), np.inf), "^G: expected numbers that are finite"),
        (np.ones((0, 3)), np.ones((0, 2)), "^X: expected at least one row"),
    ],
)
def test_wrong_batches_change_nothing(X, G, message):
    trainer = trainer_of()
    before = state_of(trainer)
    with pytest.raises(ValueError, match=message):
        trainer.step_gradient(X, G)
    with pytest.raises(ValueError, match=message):
        trainer.accumulate(X, G=G)
    assert state_of(trainer) == before
    with pytest.raises(RuntimeError, match="nothing was accumulated"):
        trainer.apply()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_step_that_diverges_changes_nothing(dropout):
    trainer = trainer_of(dtype=np.float32, optimizer=SGD(1e30), dropout=dropout)
    X, G = batch_of(trainer, 5)
    before = state_of(trainer)
    with pytest.raises(DivergedError, match="nothing was changed"):
        trainer.step_gradient(X, G * np.float32(1e20))
    assert state_of(trainer) == before
    trainer.model.weights[1][...] = np.inf
    before = state_of(trainer)
    with pytest.raises(DivergedError, match="nothing was changed"):
        trainer.step_gradient(X, G)
    assert state_of(trainer) == before


def test_large_gradients_are_no_divergence():
    """The value of the loss is unknown, so that it cannot overflow."""
    trainer = trainer_of(dtype=np.float32, clip_norm=1.0)
    X, G = batch_of(trainer, 5)
    trainer.step_gradient(X, np.full_like(G, 1e15))
    trainer.model.biases[-1][...] = 1e25
    trainer.step_gradient(X, np.full_like(G, 1e15))
    assert trainer.updates == 2


# ---- step: one row, signed weights ----


@pytest.mark.parametrize("options", OPTIONS)
def test_a_step_takes_one_row(options):
    trainer, other = trainer_of(**options), trainer_of(**options)
    X, y = batch_of(trainer, 1)
    for _ in range(3):
        assert trainer.step(X[0], y[0]) == other.step(X.tolist(), y.tolist())
    assert state_of(trainer) == state_of(other)


def test_steps_with_and_without_the_quick_way_are_the_same():
    for loss, output, y in [
        ("cross_entropy", "softmax", np.array([1, 0, 1])),
        ("binary_cross_entropy", "sigmoid", np.array([[1.0, 0.0]] * 3)),
        (losses.Huber(0.3), "identity", np.ones((3, 2))),
    ]:
        trainer, other = (trainer_of(output=output, loss=loss) for _ in range(2))
        X, _ = batch_of(trainer, 3)
        for _ in range(3):
            assert trainer.step(X, y) == other.step(X.tolist(), y.tolist())
        assert state_of(trainer) == state_of(other)


@pytest.mark.parametrize(
    ("loss", "output", "y"),
    [
        ("cross_entropy", "softmax", np.array([0, 2])),
        ("binary_cross_entropy", "sigmoid", np.array([[0.0, 1.0], [0.0, 1.5]])),
        ("poisson", "exp", np.array([[0.0, 1.0], [0.0, -1.5]])),
        ("mse", "identity", np.array([[0.0, 1.0], [0.0, np.nan]])),
    ],
)
def test_wrong_targets_of_a_step_change_nothing(loss, output, y):
    trainer = trainer_of(output=output, loss=loss)
    before = state_of(trainer)
    with pytest.raises(ValueError, match="^y: expected"):
        trainer.step(np.ones((2, 3)), y)
    assert state_of(trainer) == before


def test_signed_weights_work_in_steps_and_runs():
    """A policy gradient with advantages as weights is the step by its gradient."""
    advantages = np.array([1.0, -2.0, 0.5, 0.0])
    made = []
    for _ in range(3):
        trainer = trainer_of((3, 12, 2), output="softmax", loss="cross_entropy", optimizer=SGD(0.1), batch_size=4)
        made.append(trainer)
    X, _ = batch_of(made[0], 4)
    actions = np.array([0, 1, 1, 0])
    made[0].step(X, actions, advantages)
    made[1].run(X, actions, sample_weight=advantages)
    p = made[2].model.predict(X)
    G = -np.eye(2)[actions] / p * advantages[:, None] / np.abs(advantages).sum()
    made[2].step_gradient(X, G)
    assert_same(made[0], made[1])
    assert_same(made[0], made[2])


# ---- accumulate and apply ----


EMPTY = [
    ("mse", "identity", np.full((5, 2), np.inf), np.zeros(5)),
    (losses.Poisson(), "exp", np.full((5, 2), -1.0), np.zeros(5)),
    (losses.MSE(missing="ignore"), "identity", np.full((5, 2), np.nan), None),
    (losses.MSE(output_weights=(0, 1), missing="ignore"), "identity", np.array([[1.0, np.nan]] * 5), np.ones(5)),
    (losses.Cosine(missing="ignore"), "identity", np.array([[1.0, np.nan]] * 5), None),
    ("cross_entropy", "softmax", np.array([7] * 5), np.zeros(5)),
    (losses.CrossEntropy(missing="ignore"), "softmax", np.array([-1] * 5), None),
    (losses.CrossEntropy(output_weights=(0, 1)), "softmax", np.zeros(5, int), None),
]


@pytest.mark.parametrize(("loss", "output", "empty", "weight"), EMPTY)
def test_a_batch_in_which_nothing_counts_adds_nothing(loss, output, empty, weight):
    sizes = (3, 4, 2)
    trainer, other = (Trainer(MLP(sizes, output_activation=output, random_state=0), loss, Adam(), l2=0.1) for _ in range(2))
    X = np.random.default_rng(0).normal(size=(5, 3))
    y = np.ones(5, int) if empty.ndim == 1 else np.ones((5, 2))
    for each in (trainer, other):
        each.accumulate(X, y)
    assert trainer.accumulate(X, empty, weight) == 0
    assert trainer.accumulate(X[:1], empty[:1], None if weight is None else weight[:1]) == 0
    for each in (trainer, other):
        each.apply()
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())
    with pytest.raises(ValueError, match="sample_weight|y: expected some"):
        trainer.step(X, empty, weight)
    # Without any other batch, the update is that of a batch of weight 0 in a run.
    assert trainer.accumulate(X, empty, weight) == 0
    trainer.apply()
    other.step_gradient(X, np.zeros((5, 2)))
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())
    assert trainer.updates == other.updates == 2


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accumulated_batches_are_one_large_batch(options, weighted, dtype):
    trainer, other = trainer_of(dtype=dtype, **options), trainer_of(dtype=dtype, **options)
    X, y = batch_of(trainer, 700)
    weight = np.random.default_rng(1).normal(size=700) if weighted else None
    for _ in range(2):
        other.step(X, y, weight)
        for rows in (slice(0, 1), slice(1, 100), slice(100, 700)):
            loss = trainer.accumulate(X[rows], y[rows], None if weight is None else weight[rows])
            assert loss == trainer.model.loss(X[rows], y[rows], sample_weight=None if weight is None else weight[rows])
        assert trainer.apply() is None
        assert_same(trainer, other, dtype)


def test_accumulated_gradients_by_outputs_are_added_as_they_stand():
    trainer, other = trainer_of(), trainer_of()
    X, G = batch_of(trainer, 30)
    other.step_gradient(X, G)
    assert trainer.accumulate(X[:9], G=G[:9]) is None
    trainer.accumulate(X[9:], G=G[9:])
    trainer.apply()
    assert_same(trainer, other)


def test_gradients_by_outputs_are_added_to_the_mean_of_losses():
    trainer = trainer_of(optimizer=SGD(0.5))
    X, y = batch_of(trainer, 12)
    expected = trainer.model.gradient(X, y)[1]
    expected = [g + v for g, v in zip(expected, trainer.model.vjp(X, y), strict=True)]
    expected = [p - 0.5 * g for p, g in zip(trainer.model.parameters, expected, strict=True)]
    trainer.accumulate(X[:4], y[:4])
    trainer.accumulate(X, G=y)
    trainer.accumulate(X[4], y[4])
    trainer.accumulate(X[5:], y[5:])
    trainer.apply()
    for a, b in zip(trainer.model.parameters, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_one_accumulated_batch_with_dropout_is_a_step():
    trainer, other = trainer_of(dropout=0.4, activation="gelu"), trainer_of(dropout=0.4, activation="gelu")
    X, y = batch_of(trainer, 600)
    assert trainer.accumulate(X, y) == other.step(X, y)
    trainer.apply()
    assert_same(trainer, other)
    assert repr(trainer.random_state.bit_generator.state) == repr(other.random_state.bit_generator.state)


def test_slopes_are_accumulated_too():
    trainer, other = trainer_of(activation="prelu"), trainer_of(activation="prelu")
    X, y = batch_of(trainer, 20)
    other.step(X, y)
    trainer.accumulate(X[:3], y[:3])
    trainer.accumulate(X[3:], y[3:])
    trainer.apply()
    assert_same(trainer, other)


def test_sparse_batches_are_accumulated_unless_updates_are_lazy():
    sparse = pytest.importorskip("scipy.sparse")
    trainer, other = trainer_of(), trainer_of()
    X, y = batch_of(trainer, 20)
    X[np.abs(X) < 0.7] = 0
    other.step(X, y)
    trainer.accumulate(sparse.csr_matrix(X), y)
    trainer.apply()
    assert_same(trainer, other)
    trainer.lazy_updates = True
    with pytest.raises(ValueError, match="lazy"):
        trainer.accumulate(sparse.csr_matrix(X), y)


def test_apply_without_batches_is_refused():
    trainer = trainer_of()
    X, y = batch_of(trainer, 4)
    with pytest.raises(RuntimeError, match="apply: nothing was accumulated"):
        trainer.apply()
    trainer.accumulate(X, y)
    trainer.apply()
    with pytest.raises(RuntimeError, match="apply: nothing was accumulated"):
        trainer.apply()
    assert trainer.updates == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "y: expected targets, or G= in their place, got None"),
        ({"y": np.ones((4, 2)), "G": np.ones((4, 2))}, "G: expected None beside y"),
    ],
)
def test_exactly_one_kind_of_gradient_is_accumulated(arguments, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        trainer_of().accumulate(np.ones((4, 3)), **arguments)


def test_weights_are_refused_beside_a_gradient():
    with pytest.raises(TypeError, match="^sample_weight: expected none with G"):
        trainer_of().accumulate(np.ones((4, 3)), G=np.ones((4, 2)), sample_weight=np.ones(4))


def test_a_batch_that_diverges_is_not_added():
    trainer, other = (trainer_of(dtype=np.float32, dropout=0.2) for _ in range(2))
    X, y = batch_of(trainer, 4)
    for each in (trainer, other):
        each.accumulate(X, y)
    before = repr(trainer.random_state.bit_generator.state)
    with pytest.raises(DivergedError, match="nothing was added"):
        trainer.accumulate(X, y * np.float32(1e30))
    assert repr(trainer.random_state.bit_generator.state) == before
    trainer.apply()
    other.apply()
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())


def test_an_update_that_diverges_is_dropped():
    trainer = trainer_of(dtype=np.float32, optimizer=SGD(1e30))
    X, G = batch_of(trainer, 4)
    trainer.accumulate(X, G=G * np.float32(1e20))
    before = state_of(trainer)
    with pytest.raises(DivergedError, match="parameters have not changed"):
        trainer.apply()
    assert state_of(trainer) == before
    with pytest.raises(RuntimeError, match="nothing was accumulated"):
        trainer.apply()


def test_steps_runs_and_settings_in_between_leave_what_was_accumulated():
    trainer, other = trainer_of(), trainer_of()
    X, y = batch_of(trainer, 8)
    trainer.accumulate(X, G=y)
    gradient = trainer.model.vjp(X, y)
    for each in (trainer, other):
        each.step(X, y)
        each.run(X, y, 2)
        each.optimizer = SGD(0.1)
    trainer.apply()
    for a, b, g in zip(trainer.model.parameters, other.model.parameters, gradient, strict=True):
        np.testing.assert_allclose(a, b - 0.1 * g, rtol=1e-11)


@pytest.mark.parametrize("keep", ["file", "pickle", "deepcopy", "copy"])
def test_what_was_accumulated_is_kept(keep, tmp_path):
    trainer = example()
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    trainer.accumulate(X, y, np.arange(9.0))
    trainer.accumulate(X, G=y)
    if keep == "file":
        trainer.save(tmp_path / "trainer")
        other = Trainer.load(tmp_path / "trainer")
    elif keep == "pickle":
        other = pickle.loads(pickle.dumps(trainer))
    elif keep == "deepcopy":
        other = copy.deepcopy(trainer)
    else:
        other = copy.copy(trainer)  # which shares the model
        other.accumulate(X, G=100 * y)
        trainer.apply()
        expected = example()
        expected.accumulate(X, y, np.arange(9.0))
        expected.accumulate(X, G=y)
        expected.apply()
        assert trainer.model.to_vector().tobytes() == expected.model.to_vector().tobytes()
        return
    for each in (trainer, other):
        each.accumulate(X[:3], y[:3])
        each.apply()
    assert state_of(trainer) == state_of(other)


def test_frames_teach_their_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.ones((4, 3)), columns=list("abc"))
    for call in (
        lambda trainer: trainer.step(frame, np.ones((4, 2))),
        lambda trainer: trainer.step_gradient(frame, np.ones((4, 2))),
        lambda trainer: trainer.accumulate(frame, np.ones((4, 2))),
    ):
        trainer = trainer_of()
        call(trainer)
        assert trainer.model.feature_names == ("a", "b", "c")
        with pytest.raises(ValueError, match="X"):
            trainer.step_gradient(frame[["b", "a", "c"]], np.ones((4, 2)))
