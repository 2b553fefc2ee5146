"""What the patch did in this process: counts, and their account in words."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """What was replaced, what fastnn has fitted, and what fell back to scikit-learn; counted from the start of the process.

    Attributes
    ----------
    fastnn_version, sklearn_version : str
    active : bool
        Whether the classes are replaced at present.
    replaced : mapping of str to tuple of str
        By class: the modules whose names were made fastnn's, by the last `patch` that did anything.
    not_replaced : mapping of str to str
        By class: why it is still scikit-learn's.
    fits : mapping of str to int
        By class: calls of `fit` and `partial_fit` that fastnn has done.
    fallbacks : mapping of (str, str) to int
        By class and reason: calls that scikit-learn has got.
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
    """Counts of this process, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits: Counter[str] = Counter()
        self._fallbacks: Counter[tuple[str, str]] = Counter()

    def fit(self, name: str) -> None:
        """Count a fit of fastnn's."""
        with self._lock:
            self._fits[name] += 1

    def fallback(self, name: str, reason: str) -> None:
        """Count a fit of scikit-learn's."""
        with self._lock:
            self._fallbacks[name, reason] += 1

    def copies(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        """Return the fits and the fallbacks."""
        with self._lock:
            return dict(self._fits), dict(self._fallbacks)
