"""The programs in examples/, in short form."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Return a function that imports a program by name."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def test_ppo_learns(example):
    ppo = example("ppo")
    before, after = (ppo.episode_lengths(ppo.train(iterations)).mean() for iterations in (0, 12))
    assert after > max(100, 3 * before)


def test_the_gradient_of_ppo_is_that_of_its_objective(example):
    ppo = example("ppo")
    rng = np.random.default_rng(0)
    logits, actions, advantages = rng.normal(size=(50, 2)), rng.integers(0, 2, 50), rng.normal(size=50)
    old = ppo.ops.log_softmax(logits + rng.normal(0, 0.2, logits.shape))[np.arange(50), actions]

    def objective(logits):
        log_p = ppo.ops.log_softmax(logits)
        ratio = np.exp(log_p[np.arange(50), actions] - old)
        surrogate = np.minimum(ratio * advantages, np.clip(ratio, 1 - ppo.CLIP, 1 + ppo.CLIP) * advantages)
        entropy = -(np.exp(log_p) * log_p).sum(axis=1)
        return -surrogate.mean() - ppo.ENTROPY_WEIGHT * entropy.mean()

    gradient, h = ppo.policy_gradient(logits, actions, advantages, old), 1e-6
    for i, j in np.ndindex(logits.shape):
        change = np.zeros_like(logits)
        change[i, j] = h
        difference = (objective(logits + change) - objective(logits - change)) / (2 * h)
        assert gradient[i, j] == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_evolution_balances_the_pole(example):
    evolution = example("evolution")
    policy, generations = evolution.evolve(100)
    assert 1 < generations < 100
    assert evolution.episode_lengths(policy).mean() > 400
    assert evolution.centered_ranks(np.array([3.0, 1.0, 3.0, 7.0, 0.0])).tolist() == [0.125, -0.25, 0.125, 0.5, -0.5]


def test_intervals_cover_their_shares(example):
    for promised, share in example("intervals").main(n=1000, n_members=2, epochs=100).items():
        assert share == pytest.approx(promised, abs=0.08)


def test_forecasts_have_the_shares_of_their_quantiles(example):
    forecast = example("forecast")
    for q, share in zip(forecast.QUANTILES, forecast.main(), strict=True):
        assert share == pytest.approx(q, abs=0.06)


@pytest.mark.filterwarnings("ignore:.*Maximum iterations")
def test_training_on_dask_learns(example):
    distributed = pytest.importorskip("distributed")
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"):
        assert example("on_dask").main(n_partitions=4, rows_per_partition=3000, epochs=25) > 0.85


def test_realmlp_predicts_numbers_and_classes(example):
    pytest.importorskip("pandas")
    explained, right = example("realmlp").main(n=1000, epochs=64)
    assert explained > 0.9
    assert right > 0.75


@pytest.mark.filterwarnings("error")
def test_realmlp_takes_missing_values_and_new_categories(example):
    pd, realmlp = pytest.importorskip("pandas"), example("realmlp")
    rng, n = np.random.default_rng(0), 400
    towns = np.array([f"town {i}" for i in range(20)])
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "rooms": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "absent": np.nan,
            "constant": 1.0,
            "kind": "flat",
            "nothing": pd.Series([None] * n, dtype=object),
            "town": pd.Series(towns[rng.integers(0, 20, n)], dtype=object),
            "color": pd.Categorical(np.array(["red", "blue"])[rng.integers(0, 2, n)]),
            "new": rng.random(n) < 0.5,
        }
    )
    frame.loc[::5, ["rooms", "town"]] = None
    y = 2 * frame["size"].fillna(0).to_numpy() + frame["new"].to_numpy()
    others = frame[300:].assign(color="green", kind="house")
    others.loc[300:320, "town"] = "elsewhere"
    for target in (y, np.where(y > 0.5, "large", "small"), y > 0.5):
        predict = realmlp.fit(frame[:200], target[:200], frame[200:300], target[200:300], epochs=32)
        found, wanted = predict(others), target[300:]
        assert found.shape == (100,)
        right = np.mean(found == wanted) if target is not y else 1 - np.mean((found - wanted) ** 2) / np.var(wanted)
        assert right > 0.8


@pytest.mark.parametrize("names", [["size"], ["town"], ["town", "color"]])
def test_realmlp_takes_columns_of_one_kind(example, names):
    pd, realmlp = pytest.importorskip("pandas"), example("realmlp")
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 20, 300)
    frame = pd.DataFrame({"size": numbers / 20, "town": [f"town {i}" for i in numbers], "color": "red"})[names]
    y = numbers > 9
    right = realmlp.fit(frame[:200], y[:200], frame[200:], y[200:], epochs=64)(frame[200:]) == y[200:]
    assert right.mean() > 0.95


def test_realmlp_takes_classes_that_only_the_validation_has(example):
    pd, realmlp = pytest.importorskip("pandas"), example("realmlp")
    frame = pd.DataFrame({"size": np.linspace(-1, 1, 60)})
    y = np.where(frame["size"] > 0, "large", "small").astype(object)
    y[-1] = "rare"
    assert (realmlp.fit(frame[::2], y[::2], frame[1::2], y[1::2], epochs=16)(frame[::2]) == y[::2]).mean() > 0.9


def test_networks_of_positions_learn_a_picture(example):
    siren = example("siren")
    positions, colors = siren.picture(32)
    assert positions.shape == (1024, 2)
    assert 0 <= colors.min() < colors.max() <= 1
    units = siren.siren().hidden_activations(positions)
    assert [round(a.std(), 1) for a in units[1:]] == [0.7, 0.7]  # as those of sines of many phases
    for model in (siren.siren(), siren.periodic()):
        _, epochs, reached = siren.fit(model, positions, colors, target=25.0, most_epochs=200)
        assert reached >= 25.0
        assert epochs < 200


def test_a_shared_ensemble_predicts_better_than_one_network(example):
    errors = example("shared_ensemble").main(n=600, most_epochs=100)
    assert errors[32] < 0.9 * errors[1] < 0.4
