"""Features of fastnn's estimators beyond scikit-learn's."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score

from fastnn import LBFGS, AdamW, Lion, losses, schedules
from fastnn.callbacks import ProgressBar
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
X_numbers, y_numbers = load_diabetes(return_X_y=True)
X_numbers, y_numbers = X_numbers / X_numbers.std(axis=0), (y_numbers - y_numbers.mean()) / y_numbers.std()


def classifier(**options):
    return MLPClassifier(**{"hidden_layer_sizes": (12, 8), "max_iter": 8, "random_state": 0} | options)


def regressor(**options):
    return MLPRegressor(**{"hidden_layer_sizes": (12, 8), "max_iter": 8, "random_state": 0} | options)


def parameters_of(estimator):
    return estimator.network_.to_vector()


# ---- Activations, losses, optimizers ----


def test_layers_may_have_different_activations():
    fitted = classifier(activation=["tanh", "gelu"]).fit(X, y)
    assert fitted.network_.activations == ("tanh", "gelu", "softmax")
    with pytest.raises(ValueError, match="activation: expected 2.*got a list of 3"):
        classifier(activation=["tanh"] * 3).fit(X, y)


@pytest.mark.parametrize("activation", ["sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus", "sin"])
def test_every_activation_of_fastnn_is_accepted(activation):
    first, last = classifier(activation=activation).fit(X, y), classifier(activation=activation, max_iter=60).fit(X, y)
    assert last.loss_ < first.loss_


def test_sigmoid_is_logistic():
    one, other = classifier(activation="sigmoid").fit(X, y), classifier(activation="logistic").fit(X, y)
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


def test_custom_activations_are_accepted():
    pytest.importorskip("numba")
    from _jit_activations import leaky

    fitted = classifier(activation=leaky).fit(X, y)
    expected = classifier(activation="leaky_relu").fit(X, y)
    np.testing.assert_allclose(parameters_of(fitted), parameters_of(expected), rtol=1e-9)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    by_name = classifier(activation="leaky").fit(X, y)
    np.testing.assert_array_equal(parameters_of(by_name), parameters_of(fitted))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_custom_losses_are_accepted(solver):
    pytest.importorskip("numba")
    from _jit_activations import half_error

    fitted = regressor(loss=half_error, solver=solver).fit(X_numbers, y_numbers)
    expected = regressor(solver=solver).fit(X_numbers, y_numbers)
    np.testing.assert_allclose(parameters_of(fitted), parameters_of(expected), rtol=1e-7)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(X_numbers), fitted.predict(X_numbers))
    by_name = regressor(loss="half_error", solver=solver).fit(X_numbers, y_numbers)
    np.testing.assert_array_equal(parameters_of(by_name), parameters_of(fitted))
    with pytest.raises(ValueError, match="^loss: .*got "):
        fitted.to_sklearn()


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", losses.Quantile(0.9), losses.Huber(0.1)], ids=repr)
def test_losses_fit_their_targets(loss):
    fitted = regressor(loss=loss, max_iter=200, learning_rate_init=0.01, alpha=0.0, n_iter_no_change=200).fit(
        X_numbers, y_numbers
    )
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0] / 1.5
    if loss == losses.Quantile(0.9):
        assert 0.85 < np.mean(y_numbers < fitted.predict(X_numbers)) < 0.95


def test_loss_objects_equal_their_names():
    one, other = regressor(loss=losses.MSE()).fit(X_numbers, y_numbers), regressor().fit(X_numbers, y_numbers)
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))


@pytest.mark.parametrize("loss", [losses.CrossEntropy(), losses.BinaryCrossEntropy(), "mse", "log_loss", None], ids=repr)
def test_wrong_losses_raise(loss):
    with pytest.raises(ValueError, match="The 'loss' parameter of MLPRegressor must be one of"):
        regressor(loss=loss).fit(X_numbers, y_numbers)


LIKE_THE_NAME = LBFGS(tolerance_grad=1e-4, tolerance_change=2.220446049250313e-09, max_evaluations=15000)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_lbfgs_is_accepted_as_an_object(make):
    data = (X, y) if make is classifier else (X_numbers, y_numbers)
    by_name = make(solver="lbfgs", max_iter=30).fit(*data)
    fitted = make(solver=LIKE_THE_NAME, max_iter=30).fit(*data)
    for other in (fitted, pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(*data)):
        assert other.get_params()["solver"] == LIKE_THE_NAME
        assert other.n_iter_ == by_name.n_iter_
        for a, b in zip(other.coefs_, by_name.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    for solver in (LBFGS(1, 1e-4, 2.220446049250313e-09), LBFGS(10, 1.0), LBFGS(10, 0.0, 0.5), LBFGS(10, 0.0, 0.0, 3)):
        assert not np.array_equal(make(solver=solver, max_iter=30).fit(*data).coefs_[0], by_name.coefs_[0])
    assert make(solver=LBFGS(10, 0.0, 0.0), max_iter=7).fit(*data).n_iter_ == 7
    assert not hasattr(fitted, "partial_fit")
    with pytest.raises(ValueError, match=r"^X_val, y_val: .*got them for solver=LBFGS"):
        fitted.fit(*data, X_val=data[0], y_val=data[1])
    with pytest.raises(ValueError, match=r"^solver: expected one of scikit-learn's: 'lbfgs'.*got LBFGS"):
        fitted.to_sklearn()


@pytest.mark.parametrize("solver", ["adamw", "rmsprop", "adagrad", "lion", AdamW(0.01, weight_decay=0.1)], ids=repr)
def test_every_optimizer_is_accepted_as_a_solver(solver):
    rate = {"learning_rate_init": 0.01} if isinstance(solver, str) else {}
    fitted = classifier(solver=solver, max_iter=50, **rate).fit(X, y)
    assert fitted.loss_curve_[-1] < 0.8 * fitted.loss_curve_[0]


def test_lion_has_its_own_betas():
    by_name = classifier(solver="lion", learning_rate_init=0.01).fit(X, y)
    as_object = classifier(solver=Lion(0.01)).fit(X, y)
    np.testing.assert_array_equal(parameters_of(by_name), parameters_of(as_object))


def test_schedules_are_accepted():
    falls = classifier(solver="sgd", learning_rate=schedules.Exponential(0.1, 0.9)).fit(X, y)
    constant = classifier(solver="sgd", learning_rate=schedules.Exponential(0.1, 1.0)).fit(X, y)
    plain = classifier(solver="sgd", learning_rate_init=0.1).fit(X, y)
    np.testing.assert_array_equal(parameters_of(constant), parameters_of(plain))
    assert (parameters_of(falls) != parameters_of(plain)).any()


def test_dropout_is_accepted():
    plain, dropped = regressor().fit(X_numbers, y_numbers), regressor(dropout=[0.5, 0.0]).fit(X_numbers, y_numbers)
    assert dropped.network_.dropout == (0.5, 0.0)
    assert (parameters_of(plain) != parameters_of(dropped)).any()
    np.testing.assert_array_equal(dropped.predict(X_numbers), dropped.predict(X_numbers))


def test_gradients_can_be_clipped():
    free = regressor(solver="sgd", max_iter=1, momentum=0, batch_size=442, alpha=0.0).fit(X_numbers, y_numbers)
    start = regressor(solver="sgd", max_iter=1, momentum=0, batch_size=442, alpha=0.0, learning_rate_init=1e-300)
    start = parameters_of(start.fit(X_numbers, y_numbers))
    clipped = regressor(solver="sgd", max_iter=1, momentum=0, batch_size=442, alpha=0.0, clip_norm=0.01)
    clipped = parameters_of(clipped.fit(X_numbers, y_numbers))
    np.testing.assert_allclose(np.linalg.norm(clipped - start), 0.001 * 0.01, rtol=1e-3)
    assert np.linalg.norm(parameters_of(free) - start) > 0.001 * 0.02
    by_value = regressor(solver="sgd", max_iter=1, momentum=0, batch_size=442, alpha=0.0, clip_value=0.001)
    np.testing.assert_allclose(np.abs(parameters_of(by_value.fit(X_numbers, y_numbers)) - start).max(), 1e-6, rtol=1e-6)


# ---- Weights of classes ----


def test_class_weights_equal_sample_weights():
    weight = np.where(y == 2, 3.0, 1.0)
    by_class = classifier(class_weight={2: 3.0}).fit(X, y)
    by_sample = classifier().fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(parameters_of(by_class), parameters_of(by_sample))
    both = classifier(class_weight={2: 3.0}).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(parameters_of(both), parameters_of(classifier().fit(X, y, sample_weight=weight**2)))


def test_balanced_class_weights_are_those_of_scikit_learn():
    few = np.r_[:50, 50:60]
    plain, balanced = (classifier(class_weight=w, max_iter=20, learning_rate_init=0.01) for w in (None, "balanced"))
    probability = [e.fit(X[few], y[few]).predict_proba(X[few])[:, 1].mean() for e in (plain, balanced)]
    assert probability[1] > probability[0] + 0.05


# ---- Validation ----


@pytest.mark.parametrize("stops", [False, True])
def test_validation_data_can_be_given(stops):
    train, held = np.r_[:40, 50:90, 100:140], np.r_[40:50, 90:100, 140:150]
    fitted = classifier(early_stopping=stops).fit(X[train], y[train], X_val=X[held], y_val=y[held])
    assert len(fitted.validation_loss_curve_) == fitted.n_iter_
    plain = classifier().fit(X[train], y[train])
    if stops:
        assert fitted.best_validation_score_ == fitted.score(X[held], y[held]) == max(fitted.validation_scores_)
    else:
        np.testing.assert_array_equal(parameters_of(fitted), parameters_of(plain))
        np.testing.assert_allclose(
            fitted.validation_loss_curve_[-1], log_loss(y[held], fitted.predict_proba(X[held])), rtol=1e-9
        )


def test_the_validation_loss_curve_is_that_of_the_held_out_rows():
    fitted = regressor(early_stopping=True).fit(X_numbers, y_numbers)
    assert len(fitted.validation_loss_curve_) == len(fitted.validation_scores_) == fitted.n_iter_


def test_scores_are_those_of_scikit_learn():
    """fastnn's own accuracy and R² in the training loop equal scikit-learn's."""
    weight = np.random.default_rng(0).uniform(0, 1, len(X))
    fitted = classifier(early_stopping=True, max_iter=1).fit(X, y, weight, X_val=X, y_val=y, sample_weight_val=weight)
    assert fitted.validation_scores_[0] == accuracy_score(y, fitted.predict(X), sample_weight=weight)
    targets = np.column_stack([y_numbers, y_numbers**2, np.ones_like(y_numbers)])
    weight = np.random.default_rng(0).uniform(0, 1, len(X_numbers))
    fitted = regressor(early_stopping=True, max_iter=1)
    fitted.fit(X_numbers, targets, X_val=X_numbers, y_val=targets, sample_weight_val=weight)
    expected = r2_score(targets, fitted.predict(X_numbers), sample_weight=weight)
    np.testing.assert_allclose(fitted.validation_scores_[0], expected, rtol=1e-12)


def test_scorers_are_accepted():
    named = classifier(early_stopping=True, scoring="neg_log_loss").fit(X, y)
    called = classifier(early_stopping=True, scoring=lambda e, X, y: -log_loss(y, e.predict_proba(X))).fit(X, y)
    assert named.validation_scores_ == called.validation_scores_
    np.testing.assert_allclose(named.validation_scores_, -np.array(named.validation_loss_curve_), rtol=1e-9)


def test_wrong_validation_data_raise():
    for arguments in ({"X_val": X}, {"y_val": y}):
        with pytest.raises(ValueError, match="X_val, y_val: expected both or none.*got one of them"):
            classifier().fit(X, y, **arguments)
    with pytest.raises(ValueError, match="X_val, y_val: .*got them for solver='lbfgs'"):
        classifier(solver="lbfgs").fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="features"):
        classifier().fit(X, y, X_val=X[:, :2], y_val=y)
    with pytest.raises(ValueError, match="classes not in"):
        classifier().fit(X, y, X_val=X, y_val=y + 1)


# ---- Activations and derivatives ----


def test_hidden_activations_are_returned():
    fitted = classifier(activation="tanh").fit(X, y)
    first, second = fitted.hidden_activations(X)
    np.testing.assert_allclose(first, np.tanh(X @ fitted.coefs_[0] + fitted.intercepts_[0]), rtol=1e-12)
    np.testing.assert_allclose(second, np.tanh(first @ fitted.coefs_[1] + fitted.intercepts_[1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("estimator", "targets"),
    [
        (classifier(activation="tanh"), y),
        (classifier(activation="tanh"), y == 1),
        (classifier(activation="sin"), np.column_stack([y == 1, y > 0])),
        (regressor(activation="tanh"), X[:, 0]),
        (regressor(activation="gelu"), X[:, :3]),
        (regressor(loss="poisson", activation="tanh"), y.astype(float)),
    ],
)
def test_input_gradients_are_finite_differences(estimator, targets):
    """They are central differences of the outputs."""
    fitted = estimator.fit(X, targets)
    outputs = fitted._outputs(X)
    gradients = fitted.input_gradients(X)
    assert gradients.shape == ((len(X), 4) if outputs.shape[1] == 1 else (len(X), outputs.shape[1], 4))
    for feature in range(4):
        step = np.zeros(4)
        step[feature] = 1e-6
        expected = (fitted._outputs(X + step) - fitted._outputs(X - step)) / 2e-6
        np.testing.assert_allclose(gradients[..., feature].reshape(expected.shape), expected, rtol=1e-5, atol=1e-8)
    jacobian = fitted.network_.jacobian(X)
    np.testing.assert_array_equal(gradients, jacobian[:, 0] if outputs.shape[1] == 1 else jacobian)


# ---- Continuing ----


def test_partial_fit_accepts_multilabel_targets():
    labels = make_multilabel_classification(60, 5, n_classes=4, random_state=0)
    one, other = classifier(), classifier()
    for first in (0, 20, 40):
        rows = slice(first, first + 20)
        one.partial_fit(labels[0][rows], labels[1][rows])
        other.partial_fit(labels[0][rows], labels[1][rows], classes=np.arange(4))
    np.testing.assert_array_equal(parameters_of(one), parameters_of(other))
    assert one.predict(labels[0]).shape == (60, 4)


RESUMED = [
    {},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 2},
    {"early_stopping": True},
    {"dropout": 0.2},
    {"shuffle": False, "batch_size": 32},
]


@pytest.mark.parametrize("options", RESUMED, ids=repr)
@pytest.mark.parametrize("kept", [lambda e: e, lambda e: pickle.loads(pickle.dumps(e))], ids=["in memory", "pickled"])
def test_a_resumed_fit_equals_one_long_fit(options, kept):
    """Two fits of three epochs have the bits of one of six, even if the second is in another process."""
    options = {"resume": True, "warm_start": True, "max_iter": 6, "tol": 0.0} | options
    whole = classifier(**options).fit(X, y)
    parts = kept(classifier(**options | {"max_iter": 3}).fit(X, y)).fit(X, y)
    np.testing.assert_array_equal(parameters_of(parts), parameters_of(whole))
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.validation_scores_ == whole.validation_scores_
    assert parts.t_ == whole.t_


def test_a_fit_with_given_validation_data_can_be_resumed():
    options = {"resume": True, "warm_start": True, "early_stopping": True, "tol": 0.0}
    whole = classifier(**options, max_iter=6).fit(X, y, X_val=X[::3], y_val=y[::3])
    parts = classifier(**options, max_iter=3).fit(X, y, X_val=X[::3], y_val=y[::3]).fit(X, y, X_val=X[::3], y_val=y[::3])
    np.testing.assert_array_equal(parameters_of(parts), parameters_of(whole))


def test_partial_fit_trains_the_network_of_the_last_fit():
    fitted = classifier().fit(X, y).set_params(solver="lbfgs").fit(X, y)
    before = parameters_of(fitted)
    fitted.set_params(solver="adam").partial_fit(X, y)
    assert 0 < np.abs(parameters_of(fitted) - before).max() < 0.01


def test_warm_start_without_resume_makes_a_new_optimizer():
    options = {"warm_start": True, "max_iter": 3}
    resumed, plain = (classifier(resume=resume, **options).fit(X, y).fit(X, y) for resume in (True, False))
    assert (parameters_of(resumed) != parameters_of(plain)).any()


def test_hidden_layer_sizes_cannot_change_in_a_warm_start():
    fitted = classifier(warm_start=True).fit(X, y).set_params(hidden_layer_sizes=(5,))
    with pytest.raises(ValueError, match=r"hidden_layer_sizes: expected those of the fitted network.*got \[5\]"):
        fitted.fit(X, y)


# ---- Threads, progress ----


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_threads_change_no_bit(n_jobs):
    expected = regressor(batch_size=442).fit(X_numbers, y_numbers)
    got = regressor(batch_size=442, n_jobs=n_jobs).fit(X_numbers, y_numbers)
    np.testing.assert_array_equal(parameters_of(got), parameters_of(expected))


def test_progress_is_shown():
    file = io.StringIO()
    classifier(progress=ProgressBar(file)).fit(X, y)
    assert "epoch 8/8" in file.getvalue()


def test_lazy_updates_are_accepted():
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_matrix(X * (np.abs(X) > 1.5))
    lazy, regular = (classifier(batch_size=2, lazy_updates=option).fit(rows, y) for option in (True, False))
    assert (parameters_of(lazy) != parameters_of(regular)).any()
    np.testing.assert_array_equal(parameters_of(regular), parameters_of(classifier(batch_size=2).fit(rows.toarray(), y)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 1.0}, "The 'dropout' parameter of MLPClassifier must be a float in [0, 1), or a list of them. Got 1.0"),
        ({"clip_norm": 0.0}, "The 'clip_norm' parameter of MLPClassifier must be a float in (0, inf), or None. Got 0.0"),
        ({"n_jobs": 0}, "The 'n_jobs' parameter of MLPClassifier must be an int other than 0, or None. Got 0"),
        ({"solver": "adamx"}, "The 'solver' parameter of MLPClassifier must be one of 'lbfgs', 'sgd', 'adam', 'adagrad'"),
        ({"class_weight": "even"}, "The 'class_weight' parameter of MLPClassifier must be 'balanced', a dict"),
        ({"activation": ["tanh", "softmax"]}, "The 'activation' parameter of MLPClassifier must be one of 'logistic'"),
        ({"resume": 1}, "The 'resume' parameter of MLPClassifier must be True or False. Got 1"),
        ({"scoring": 3}, "The 'scoring' parameter of MLPClassifier must be the name of a score"),
    ],
)
def test_wrong_parameters_raise(options, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        classifier(**options).fit(X, y)
    assert str(caught.value).startswith(message)


def test_reaching_max_iter_gives_a_warning():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(8\) reached"):
        classifier().fit(X, y)


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=repr)
def test_resuming_without_a_kept_state_is_a_warm_start(options):
    plain = classifier(warm_start=True, **options).fit(X, y).fit(X, y)
    late = classifier(warm_start=True, **options).fit(X, y).set_params(resume=True)
    if options:  # the held-out rows are no longer known
        np.testing.assert_array_equal(parameters_of(late.fit(X, y)), parameters_of(plain))
    else:
        assert (parameters_of(late.fit(X, y)) != parameters_of(plain)).any()
