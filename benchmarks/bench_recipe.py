"""The steps of docs/numpy.md, from plain NumPy to a native loop; the page quotes these times."""

from __future__ import annotations

import pytest
from recipe.jobs import JOBS, LAST, STEPS, check


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("job", JOBS)
def test_recipe(contest, n_threads, job, step):
    check(job, step)
    made = JOBS[job]
    contest(
        job,
        step,
        made.work(step),
        None if step == LAST else made.work(LAST),
        table="recipe: µs an update, 1 thread",
        row=job,
        per=made.updates(step),
        anchor_per=made.updates(LAST),
    )
