"""Races of whole training steps on one thread: a contestant is a function of a case that returns a step and its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from libraries import Work, torch_on

Contestant = Callable[[Any], tuple[Work, Any]]


def race(contest: Any, name: str, case: Any, contestant: str, contestants: Mapping[str, Contestant], *, table: str) -> None:
    """Time the step of a contestant beside that of fastnn. The case has its text and the operations of a step, `flop`."""
    step, _ = contestants[contestant](case)
    anchor = None if contestant == "fastnn" else contestants["fastnn"](case)[0]
    contest(f"{name}, {case}", contestant, step, anchor, table=table, row=str(case), flop=case.flop)


def assert_same_predictions(ours: tuple[Work, Any], theirs: tuple[Work, Any], X: np.ndarray, atol: float = 1e-3) -> None:
    """Make some steps with fastnn and with PyTorch, and compare the predictions of their models for X.

    Each is a step and its models: one, or a list of them. Those of PyTorch are called.
    """
    for _ in range(5):
        ours[0]()
        theirs[0]()
    torch = torch_on(1)
    for model, module in zip(_listed(ours[1]), _listed(theirs[1]), strict=True):
        with torch.no_grad():
            wanted = module(torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(model.predict(X), wanted, rtol=1e-3, atol=atol)


def _listed(models: Any) -> Sequence[Any]:
    return models if isinstance(models, list) else [models]
