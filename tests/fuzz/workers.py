"""Processes that run programs, each with one implementation of the kernels."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from fuzz.programs import Outcome, Setting, run

# The fallback takes seconds for a program of this many multiply-adds.
MAX_FALLBACK_WORK = 2e7


class Worker:
    """A process with FASTNN_ISA set. The fallback runs in plain NumPy, since Numba would compile for minutes."""

    def __init__(self, isa: str) -> None:
        self.isa = isa
        environment = {**os.environ, "FASTNN_ISA": isa, "NUMBA_DISABLE_JIT": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        # The standard output of a process that runs `serve` carries only its answers.
        command = [sys.executable, "-W", "error", "-c", "from fuzz.workers import serve; serve()"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def ask(self, seed: int, settings: list[Setting]) -> None:
        """Start a program under each of the settings."""
        pickle.dump((seed, settings), self.process.stdin)
        self.process.stdin.flush()

    def answer(self) -> list[Outcome]:
        """Return the outcomes of the program, in the order of the settings."""
        try:
            return pickle.load(self.process.stdout)
        except EOFError:
            raise RuntimeError(f"the process of {self.isa} ended with {self.process.wait()}") from None

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve() -> None:
    """Run the programs that arrive on the standard input, until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            seed, settings = pickle.load(sys.stdin.buffer)
        except EOFError:
            break
        answer: Any = [run(seed, setting) for setting in settings]
        pickle.dump(answer, answers)
        answers.flush()
    answers.close()
