"""The estimators in the workers of joblib, Dask and Ray: threads, pickles, and searches."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import fastnn
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Maximum iterations:sklearn.exceptions.ConvergenceWarning"),
    # Dask and Ray: of their own files, ports and versions.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Port .* is already in use:UserWarning"),
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 5))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
SEARCH = GridSearchCV(MLPClassifier((8,), max_iter=5, random_state=0), {"alpha": [1e-4, 1e-1]}, cv=2)


def threads_of_worker():
    """Return a function for workers, which cannot import this file: a function inside another one is sent with its code."""

    def threads():
        import os

        import fastnn

        return int(os.environ["OMP_NUM_THREADS"]), fastnn.get_num_threads()

    return threads


def scores(search):
    return search.fit(X, Y).cv_results_["mean_test_score"].tolist()


@pytest.fixture(scope="module")
def expected():
    return scores(clone(SEARCH))


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    paths = os.pathsep.join([str(os.path.dirname(os.path.dirname(fastnn.__file__))), os.path.dirname(__file__)])
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    register_ray()
    yield ray
    ray.shutdown()


# ---- Pickles and copies ----


@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True, "random_state": 1}, {"solver": "sgd"}])
def test_pickles_hold_weights_and_moments_only(make, options):
    rows = np.random.default_rng(0).normal(size=(20_000, 20))  # 3.2 MB
    estimator = make(hidden_layer_sizes=(100, 100), max_iter=1, **options).fit(rows, rows[:, 0] > 0)
    kept = estimator.network_.to_vector().nbytes * (2 if options.get("solver") == "sgd" else 3)
    kept *= 4 / 3 if options.get("early_stopping") else 1  # the parameters with the best score
    for one in (estimator, copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        assert len(pickle.dumps(one)) <= 1.1 * kept + 8192


def test_a_clone_and_set_params_touch_no_data():
    estimator = MLPClassifier((100, 100), max_iter=1).fit(X, Y)
    fresh = clone(estimator).set_params(alpha=0.5, hidden_layer_sizes=(3,))
    assert len(pickle.dumps(fresh)) < 2000
    assert fresh.fit(X, Y).coefs_[0].shape == (5, 3)


def test_partial_fit_by_keyword():
    first = MLPClassifier((4,), random_state=0).partial_fit(X=X, y=Y, classes=[0, 1])
    second = MLPClassifier((4,), random_state=0).partial_fit(X, Y, classes=[0, 1])
    assert first.network_.to_vector().tobytes() == second.network_.to_vector().tobytes()
    assert MLPRegressor(hidden_layer_sizes=(4,), random_state=0).partial_fit(X=X, y=X[:, 0]).n_iter_ == 1


# ---- joblib ----


def test_workers_of_joblib_take_their_threads():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        assert joblib.Parallel()(joblib.delayed(threads_of_worker())() for _ in range(2)) == [(1, 1)] * 2


# ---- Dask ----


def test_workers_of_dask_take_their_threads(client):
    assert list(client.run(threads_of_worker()).values()) == [(1, 1)] * 2


def test_a_search_on_dask(client, expected):
    with joblib.parallel_config("dask", scatter=[X, Y]):
        assert scores(clone(SEARCH)) == expected


def test_dask_ml_incremental(client):
    wrappers = pytest.importorskip("dask_ml.wrappers")
    import dask.array as da

    rows, classes = da.from_array(X, chunks=(60, 5)), da.from_array(Y, chunks=60)
    wrapped = wrappers.Incremental(MLPClassifier((8,), random_state=0), shuffle_blocks=False)
    wrapped.fit(rows, classes, classes=[0, 1])
    alone = MLPClassifier((8,), random_state=0)
    for start in range(0, 240, 60):
        alone.partial_fit(X[start : start + 60], Y[start : start + 60], classes=[0, 1])
    assert wrapped.estimator_.coefs_[0].tobytes() == alone.coefs_[0].tobytes()
    assert wrapped.predict(rows).compute().tolist() == alone.predict(X).tolist()


def test_dask_ml_hyperband(client):
    model_selection = pytest.importorskip("dask_ml.model_selection")
    import dask.array as da
    import dask.base

    if hasattr(dask.base, "_ensure_not_async"):
        pytest.skip("dask-ml 2025.1 calls dask.persist in a coroutine, which this version of Dask refuses")
    rows, classes = da.from_array(X, chunks=(60, 5)), da.from_array(Y, chunks=60)
    settings = {"alpha": [1e-4, 1e-3, 1e-2], "learning_rate_init": [0.001, 0.01, 0.1], "hidden_layer_sizes": [(4,), (16,)]}
    search = model_selection.HyperbandSearchCV(MLPClassifier(random_state=0), settings, max_iter=9, random_state=0)
    search.fit(rows, classes, classes=[0, 1])
    assert search.best_estimator_.predict(X).shape == (240,)
    assert 0.3 < search.best_score_ <= 1


# ---- Ray ----


def test_workers_of_ray_take_their_threads(ray):
    task = ray.remote(num_cpus=1)(threads_of_worker())
    assert ray.get([task.remote(), task.remote()]) == [(1, 1)] * 2


def test_a_search_on_ray(ray, expected):
    with joblib.parallel_config("ray", n_jobs=2):
        assert scores(clone(SEARCH)) == expected
