"""The estimators of `fastnn.dask`: the same bits on any workers, lost workers, wrong data, and blockwise predictions."""

# ruff: noqa: E402
from __future__ import annotations

import contextlib
import os
import pickle
import signal
import uuid

import numpy as np
import pytest

pytest.importorskip("sklearn")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
import pandas as pd
from sklearn.base import clone

import fastnn.dask
import fastnn.sklearn
from fastnn.dask import MLPClassifier, MLPRegressor
from fastnn.dask._arguments import interval
from fastnn.dask._rounds import Schedule
from fastnn.embeddings import PBLD, Categorical

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Maximum iterations:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero encountered in log:RuntimeWarning"),
    # Dask: of its own files, ports and versions.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Port .* is already in use:UserWarning"),
]
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(1000, 4)).astype(np.float32)
CLASSES = np.where(ROWS[:, 0] + 0.5 * ROWS[:, 1] > 0, "yes", "no")
VALUES = ROWS[:, 0] - ROWS[:, 1]
LENGTHS = (300, 1, 249, 200, 250)
FAST = {"max_iter": 3, "random_state": 0, "tol": 0.0, "n_shards": 3, "batch_size": 32}


def blocks(array, lengths=LENGTHS):
    return da.from_array(array, chunks=(lengths, *array.shape[1:]))


def frames():
    frame = pd.DataFrame(ROWS, columns=list("abcd")).assign(target=CLASSES, value=VALUES)
    return dd.from_pandas(frame, npartitions=5)


X, Y, T = blocks(ROWS), blocks(CLASSES), blocks(VALUES)


def bits(estimator):
    return estimator.network_.to_vector().tobytes()


def cluster_of(n_workers, **options):
    return distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", **options)


@pytest.fixture(scope="module")
def client():
    with cluster_of(2, processes=False) as cluster, distributed.Client(cluster) as client:
        yield client


def classifier(**options):
    return MLPClassifier(**({"hidden_layer_sizes": (8,)} | FAST | options))


def regressor(**options):
    return MLPRegressor(**({"hidden_layer_sizes": (8,)} | FAST | options))


# ---- Bits ----


def deadly(folder):
    """Return rows that kill the worker which loads them: once, at some time in the first epoch."""

    def load(block):
        (folder / str(uuid.uuid4())).touch()
        if len(list(folder.iterdir())) > len(LENGTHS) + 2:
            with contextlib.suppress(FileExistsError):
                (folder / "killed").mkdir()
                os.kill(os.getpid(), signal.SIGKILL)
        return block

    return X.map_blocks(load, dtype=X.dtype, meta=np.empty((0, 0), X.dtype))


def test_the_bits_are_those_of_any_number_of_workers_and_of_a_lost_one(tmp_path):
    found = []
    with cluster_of(1) as cluster, distributed.Client(cluster) as client:
        for n_workers in (1, 2, 4):
            cluster.scale(n_workers)
            client.wait_for_workers(n_workers)
            found += [bits(classifier(sync_every=every).fit(X, Y)) for every in ("epoch", 3)]
        found.append(bits(classifier().fit(deadly(tmp_path), Y)))
    assert (tmp_path / "killed").exists()
    assert found[0] == found[2] == found[4] == found[6]
    assert found[1] == found[3] == found[5] != found[0]


@pytest.mark.parametrize("every", ["epoch", "2 epochs", 2, "7 batches"])
def test_one_shard_of_one_partition_and_a_constant_rate_are_plain_training(client, every):
    estimator = regressor(sync_every=every, shuffle=False, solver="sgd", max_iter=4)
    estimator.fit(X.rechunk((1000, 4)), T.rechunk(1000))
    alone = fastnn.sklearn.MLPRegressor(
        hidden_layer_sizes=(8,), max_iter=4, random_state=0, tol=0, batch_size=32, shuffle=False, solver="sgd"
    ).fit(ROWS, VALUES)
    assert bits(estimator) == bits(alone)
    assert estimator.loss_curve_ == pytest.approx(alone.loss_curve_)


def test_persisted_data_and_frames_of_unknown_lengths_give_the_same_bits(client):
    expected = bits(classifier().fit(X, Y))
    assert bits(classifier().fit(*client.persist([X, Y]))) == expected
    unknown = X.map_blocks(lambda block: block, chunks=((np.nan,) * 5, (4,)), dtype=X.dtype)
    assert bits(classifier().fit(unknown, Y)) == expected
    frame = dd.from_delayed([client.submit(pd.DataFrame, ROWS[a:b]) for a, b in _ranges()])
    assert bits(classifier().fit(frame, Y)) == expected


def _ranges():
    ends = np.cumsum(LENGTHS).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def test_the_schedule_visits_each_batch_once():
    schedule = Schedule([100, 0, 33, 7, 64], 2, interval(2), 10, 5, True)
    seen = [
        (part.partition, batch)
        for shards in schedule.rounds(0, 1, lambda epoch: 0.1)
        for parts in shards
        for part in parts
        for batch in range(part.first, part.last)
    ]
    assert sorted(seen) == [(p, b) for p, n in ((0, 10), (2, 4), (3, 1), (4, 7)) for b in range(n)]


# ---- Results ----


def test_a_classifier_learns_and_predicts_in_blocks(client):
    estimator = classifier(max_iter=30, learning_rate_init=0.01).fit(X, Y)
    assert estimator.classes_.tolist() == ["no", "yes"]
    assert estimator.n_features_in_ == 4
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 30
    assert estimator.score(X, Y) > 0.95
    local = estimator.to_local()
    assert type(local) is fastnn.sklearn.MLPClassifier
    assert local.score(ROWS, CLASSES) == estimator.score(X, Y)
    labels, probabilities = estimator.predict(X), estimator.predict_proba(X)
    assert labels.chunks == Y.chunks
    assert probabilities.dtype == np.float32
    assert labels.compute().tolist() == local.predict(ROWS).tolist()
    assert probabilities.compute().tobytes() == local.predict_proba(ROWS).tobytes()
    assert np.allclose(estimator.predict_log_proba(X).compute(), local.predict_log_proba(ROWS))


def test_a_regressor_on_frames(client):
    frame = frames()
    inputs = frame[["a", "b", "c", "d"]]
    estimator = regressor(max_iter=40, learning_rate_init=0.01).fit(inputs, frame["value"])
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert estimator.score(inputs, frame["value"]) > 0.95
    table = inputs.compute()
    assert estimator.to_local().score(table, VALUES) == pytest.approx(estimator.score(inputs, frame["value"]))
    predicted = estimator.predict(inputs)
    assert isinstance(predicted, da.Array)
    assert predicted.compute().tobytes() == estimator.to_local().predict(table).tobytes()


def test_classes_are_those_of_all_partitions_together(client):
    order = np.argsort(CLASSES, kind="stable")  # most partitions have one class
    estimator = classifier(class_weight="balanced").fit(blocks(ROWS[order]), blocks(CLASSES[order]))
    assert estimator.classes_.tolist() == ["no", "yes"]
    assert estimator.to_local().class_weight == "balanced"
    three = np.repeat([0, 1, 2], [400, 300, 300])
    assert classifier().fit(X, blocks(three)).predict_proba(X).compute().shape == (1000, 3)


def test_several_targets(client):
    both = np.stack([VALUES, -VALUES], axis=1)
    estimator = regressor().fit(X, blocks(both))
    assert estimator.predict(X).compute().shape == (1000, 2)
    labels = (both > 0).astype(int)
    several = classifier(class_weight="balanced").fit(X, blocks(labels))
    assert several.predict(X).compute().shape == (1000, 2)
    assert several.score(X, blocks(labels)) == several.to_local().score(ROWS, labels)


def test_weights_count(client):
    weight = np.where(np.arange(1000) < 500, 1.0, 0.0)
    first, second = classifier().fit(X, Y, blocks(weight)), classifier().fit(X, Y)
    assert bits(first) != bits(second)
    spoiled = ROWS.copy()
    spoiled[600:] = 7
    assert bits(classifier().fit(blocks(spoiled), Y, sample_weight=blocks(weight))) == bits(first)
    estimator = regressor().fit(X, T)
    assert estimator.score(X, T, blocks(weight)) == pytest.approx(estimator.to_local().score(ROWS, VALUES, weight))


def test_empty_partitions_are_passed_over(client):
    holes = (300, 0, 1, 249, 200, 0, 250)
    sparse = [da.concatenate([blocks(one), blocks(one)[:0]]) for one in (ROWS, CLASSES)]
    assert classifier().fit(*sparse).n_iter_ == 3
    rows, classes = (
        da.concatenate([da.from_array(one[:0], chunks=one[:0].shape) if not n else da.from_array(part, chunks=part.shape)
                        for n, part in zip(holes, np.split(one, np.cumsum(holes)[:-1]), strict=True)])
        for one in (ROWS, CLASSES)
    )  # fmt: skip
    estimator = classifier().fit(rows, classes)
    assert estimator.predict(rows).compute().shape == (1000,)


# ---- Stopping ----


def test_early_stopping_keeps_the_best_parameters(client):
    estimator = classifier(early_stopping=True, n_iter_no_change=2, max_iter=200, tol=1e-3, learning_rate_init=0.01)
    estimator.fit(X, Y, eval_set=[(X, Y)])
    assert estimator.n_iter_ < 200
    assert max(estimator.validation_scores_) == estimator.best_validation_score_ == estimator.score(X, Y)
    again = clone(estimator).fit(X, Y, X_val=X, y_val=Y)
    assert bits(again) == bits(estimator)
    plain = classifier().fit(X, Y, X_val=X, y_val=Y)
    assert len(plain.validation_loss_curve_) == 3


def test_the_loss_stops_training(client):
    assert classifier(tol=10.0, n_iter_no_change=2, max_iter=50).fit(X, Y).n_iter_ == 4


@pytest.mark.parametrize("rate", ["invscaling", "adaptive"])
def test_rates_fall(client, rate):
    fitted = regressor(solver="sgd", learning_rate=rate, max_iter=20, tol=10.0, n_iter_no_change=1).fit(X, T)
    assert fitted.to_local()._learning_rate < 0.001


@pytest.mark.parametrize("options", [{"dropout": 0.2}, {"clip_norm": 0.1}, {"solver": "adamw"}, {"n_jobs": 1}])
def test_other_parameters_count(client, options):
    changed, plain = regressor(**options).fit(X, T), regressor().fit(X, T)
    assert (bits(changed) == bits(plain)) is (options == {"n_jobs": 1})


# ---- The client, copies and pickles ----


def test_pickles_have_no_client_and_little_else(client):
    estimator = classifier(client=client).fit(X, Y)
    assert estimator.client is client
    copy = pickle.loads(pickle.dumps(estimator))
    assert copy.get_params()["client"] is None
    assert copy.client is client  # Dask's current one
    assert bits(copy) == bits(estimator)
    local = estimator.to_local()
    assert len(pickle.dumps(estimator)) < len(pickle.dumps(local)) + 500
    assert len(pickle.dumps(local)) < 3 * local.network_.to_vector().nbytes + 12_000
    assert clone(estimator).get_params()["client"] is client


def test_parameters_are_those_of_the_local_estimators():
    for ours, local in ((MLPClassifier, fastnn.sklearn.MLPClassifier), (MLPRegressor, fastnn.sklearn.MLPRegressor)):
        assert ours().get_params().keys() - local().get_params().keys() == {"client", "sync_every", "n_shards"}
        assert local().get_params().items() <= ours().get_params().items()
        assert type(ours(alpha=0.5).to_local()) is local
        assert ours(alpha=0.5).to_local().alpha == 0.5


def test_embeddings_of_codes_train(client):
    codes = blocks(np.column_stack([ROWS[:, :3], RNG.integers(0, 5, len(ROWS))]).astype(np.float32))
    options = FAST | {"embeddings": [PBLD(0, n_frequencies=3), Categorical(3, n_categories=5)], "dropout": 0.1}
    fitted = [MLPRegressor(hidden_layer_sizes=(8,), **options, dropout_factor=0.5).fit(codes, T) for _ in range(2)]
    assert bits(fitted[0]) == bits(fitted[1])
    assert len(fitted[0].network_.embeddings) == 2
    local = fitted[0].to_local()
    np.testing.assert_array_equal(fitted[0].predict(codes).compute(), local.predict(codes.compute()))


def test_a_closed_client_is_refused():
    with distributed.Client(processes=False, dashboard_address=":0", n_workers=1) as client:
        pass
    with pytest.raises(ValueError, match="client: expected a running client"):
        classifier(client=client).fit(X, Y)


def test_a_missing_client_is_named():
    if distributed.client._get_global_client() is None:
        with pytest.raises(ValueError, match="client: expected a client"):
            classifier().fit(X, Y)


# ---- Wrong use ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lbfgs"}, "solver: expected a solver that trains by epochs"),
        ({"warm_start": True}, "warm_start: expected False"),
        ({"averaging": "ema"}, "averaging: expected None"),
        ({"categorical_features": [1]}, "categorical_features: expected None"),
        ({"categorical_features": np.array([True, False, False, False])}, "categorical_features: expected None"),
        ({"drop_last": True}, "drop_last: expected False"),
        ({"progress": True}, "progress: expected False"),
        ({"scoring": "f1"}, "scoring: expected the default None"),
        ({"early_stopping": True}, "early_stopping: expected X_val and y_val"),
        ({"sync_every": 0}, "sync_every: expected"),
        ({"sync_every": "hour"}, "sync_every: expected"),
        ({"n_shards": 0}, "n_shards: expected an int >= 1"),
        ({"alpha": -1.0}, "'alpha' parameter"),
    ],
)
def test_parameters_that_it_cannot_honour_are_refused(client, options, message):
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(X, Y)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((ROWS, Y), "X: expected a Dask array or dataframe, got ndarray"),
        ((X, CLASSES), "y: expected a Dask array or dataframe, got ndarray"),
        ((X[:, 0], Y), "X: expected 2 dimensions, got 1"),
        ((X, Y[:-1]), "y: expected 1000 rows"),
        ((X, blocks(np.full(1000, "one"))), "y: expected at least two classes"),
        ((X, Y, X), "sample_weight: expected 1 dimension"),
        ((X, Y, Y[:10]), "sample_weight: expected 1000 rows"),
        ((X, Y, blocks(np.zeros(1000))), "at least one row whose weight is not 0"),
        ((da.where(X > 2, np.nan, X), Y), "X, y, partition 0: Input X contains NaN"),
        ((X, blocks(VALUES)), "X, y, partition 0: Unknown label type"),
    ],
)
def test_wrong_data_is_refused(client, data, message):
    estimator = classifier()
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(*data)
    assert not hasattr(estimator, "network_")


def test_partitions_that_disagree_are_refused(client):
    def stacked(second):
        parts = [ROWS[:500], second]
        lazy = [da.from_delayed(client.submit(np.asarray, part), (np.nan, 4), dtype=np.float32) for part in parts]
        return da.concatenate(lazy)

    halves = blocks(CLASSES, (500, 500))
    with pytest.raises(ValueError, match="expected columns: 4 in every partition, as in partition 0, got 3 in"):
        classifier().fit(stacked(ROWS[500:, :3]), halves)
    with pytest.raises(ValueError, match="expected dtype float32 in every partition"):
        classifier().fit(stacked(ROWS[500:].astype(np.float64)), halves)
    with pytest.raises(ValueError, match="partition 1: expected the same number of rows"):
        classifier().fit(stacked(ROWS[600:]), halves)
    with pytest.raises(ValueError, match="y: expected 2 partitions"):
        classifier().fit(stacked(ROWS[500:]), Y)
    with pytest.raises(ValueError, match="X_val, y_val: expected columns and targets"):
        classifier().fit(X, Y, X_val=X[:, :2], y_val=Y)


def test_divergence_is_reported(client):
    with pytest.raises(ValueError, match="non-finite"):
        regressor(solver="sgd", learning_rate_init=1e30).fit(X, T)


def test_predictions_of_other_columns_are_refused(client):
    estimator = regressor().fit(X, T)
    with pytest.raises(ValueError, match="X: expected 4 columns"):
        estimator.predict(X[:, :2])
    with pytest.raises(TypeError, match="X: expected a Dask array"):
        estimator.predict(ROWS)
    with pytest.raises(ValueError, match="not fitted"):
        regressor().predict(X)
