"""``python -m fuzz``: run random programs for a while; stop at the first difference and print how to repeat it."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator

import fastnn._core as core
from fuzz.compare import difference
from fuzz.programs import Outcome, Setting
from fuzz.workers import MAX_FALLBACK_WORK, Worker

FALLBACK = "portable"
# Settings for each instruction set. Time slices are so short that every step ends one, or as usual, or longer than the run.
SETTINGS = [Setting(1, 0.05), Setting(2, 1e-7), Setting(3, 10.0), Setting(7, 1e-3)]
TO_ROUNDING = Setting(to_rounding=True)


def main() -> int:
    """Run programs until the time is up; return 1 if the results of one of them differ."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="the first program's seed (default: from the clock)")
    parser.add_argument("--count", type=int, default=2**40, help="how many programs at most")
    options = parser.parse_args()
    first = time.time_ns() // 1000 % 10**9 if options.seed is None else options.seed
    names = [*core.usable_instruction_sets(), FALLBACK]
    print(f"{', '.join(names)}; {len(SETTINGS)} settings each; the first seed is {first}", flush=True)

    workers = [Worker(name) for name in names]
    end, done, calls = time.monotonic() + options.seconds, 0, 0
    try:
        for seed in itertools.count(first):
            if done == options.count or time.monotonic() > end:
                break
            outcomes = _outcomes(workers, seed)
            for what, run in _differences(outcomes):
                print(f"\nDIFFERENT: {what}\nThe program: python -m fuzz --count 1 --seed {seed}")
                print(*run.trace, sep="\n")
                return 1
            done += 1
            calls += len(outcomes[names[0]][0].trace)
    finally:
        for worker in workers:
            worker.close()
    print(f"{done} programs of {calls} lines: no difference")
    return 0


def _outcomes(workers: list[Worker], seed: int) -> dict[str, list[Outcome]]:
    """Run a program with all instruction sets at once; run it in the fallback under one setting, if it is small."""
    native = workers[:-1]
    for worker in native:
        worker.ask(seed, [*SETTINGS, TO_ROUNDING])
    outcomes = {worker.isa: worker.answer() for worker in native}
    if outcomes[native[0].isa][0].work < MAX_FALLBACK_WORK:
        workers[-1].ask(seed, [TO_ROUNDING])
        outcomes[FALLBACK] = workers[-1].answer()
    return outcomes


def _differences(outcomes: dict[str, list[Outcome]]) -> Iterator[tuple[str, Outcome]]:
    """Compare bits across threads, slices and instruction sets with fused multiply-add; compare the others to rounding."""
    best = next(iter(outcomes))
    for name, runs in outcomes.items():
        for setting, run in zip(SETTINGS, runs[:-1], strict=False):
            what = difference(runs[0], run, exact=True)
            if what:
                yield f"{name} under {setting}, beside {SETTINGS[0]}: {what}", run
        exact = name not in ("baseline", FALLBACK) and best != "baseline"
        at = 0 if exact else -1
        what = difference(outcomes[best][at], runs[at], exact)
        if what:
            yield f"{name} beside {best}: {what}", runs[at]


if __name__ == "__main__":
    sys.exit(main())
