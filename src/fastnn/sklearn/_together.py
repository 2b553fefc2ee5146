"""The training of several estimators at once, each with the bits of being trained alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from fastnn._many.runs import Member, run_members
from fastnn._progress import ProgressBar
from fastnn.sklearn._lbfgs import SearchFit
from fastnn.sklearn._stochastic import BatchFit


def train_together(fits: Sequence[BatchFit | SearchFit], n_threads: int | None, progress: ProgressBar | None = None) -> None:
    """Train all estimators by one native call, and those with the solver L-BFGS one after the other before it.

    A divergence ends the training of its estimator alone; the end of that fit raises the error.

    Parameters
    ----------
    fits : sequence
        The fits, which have begun. The caller ends them.
    n_threads : int, optional
        The number of threads, by default as many as the work justifies.
    progress : ProgressBar, optional
        A progress bar for all.
    """
    batches = []
    for fit in fits:
        if isinstance(fit, BatchFit):
            batches.append(fit)
        else:
            fit.run()
    try:
        with ExitStack() as stack:
            pairs = []
            for fit in batches:
                running = fit.running()
                stack.enter_context(running.hold())
                stack.callback(running.end)
                pairs.append((fit, Member(running)))
            run_members([member for _, member in pairs], n_threads, progress)
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for fit in batches:
            fit.note_end()
    for fit, member in pairs:
        if member.diverged is not None:
            fit.note_divergence()
        elif interrupted and not member.over:
            fit.note_interrupt()
