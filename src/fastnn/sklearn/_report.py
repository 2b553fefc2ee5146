"""Counts of the effects of the patch in this process, and a report of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """The classes that were replaced, the fits by fastnn, and the fallbacks to scikit-learn, since the start of the process.

    Attributes
    ----------
    fastnn_version, sklearn_version : str
    active : bool
        Whether the classes are replaced now.
    replaced : mapping of str to tuple of str
        For each class, the modules in which the last effective `patch` replaced it.
    not_replaced : mapping of str to str
        For each class that is still scikit-learn's, the reason.
    fits : mapping of str to int
        For each class, the number of calls of `fit` and `partial_fit` that fastnn handled.
    fallbacks : mapping of (str, str) to int
        For each class and reason, the number of calls that scikit-learn handled.
    """

    fastnn_version: str
    sklearn_version: str
    active: bool
    replaced: Mapping[str, tuple[str, ...]]
    not_replaced: Mapping[str, str]
    fits: Mapping[str, int]
    fallbacks: Mapping[tuple[str, str], int]

    def __str__(self) -> str:
        tense = "" if self.active else ", not at present"
        lines = [f"fastnn {self.fastnn_version} in the place of scikit-learn {self.sklearn_version}{tense}"]
        for name, modules in self.replaced.items():
            lines.append(f"  {name}: {_times(self.fits.get(name, 0), 'fit')}; replaced in {', '.join(modules)}")
        for name, reason in self.not_replaced.items():
            lines.append(f"  {name}: not replaced: {reason}")
        for (name, reason), count in self.fallbacks.items():
            lines.append(f"  {name}: {_times(count, 'fit')} by scikit-learn: {reason}")
        return "\n".join(lines)


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


class Counts:
    """The counts of this process, which any thread may change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits: Counter[str] = Counter()
        self._fallbacks: Counter[tuple[str, str]] = Counter()

    def fit(self, name: str) -> None:
        """Count a fit by fastnn."""
        with self._lock:
            self._fits[name] += 1

    def fallback(self, name: str, reason: str) -> None:
        """Count a fit by scikit-learn."""
        with self._lock:
            self._fallbacks[name, reason] += 1

    def copies(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        """Return copies of the counts of fits and fallbacks."""
        with self._lock:
            return dict(self._fits), dict(self._fallbacks)
