"""``python -m fastnn``: the command line."""

from __future__ import annotations

from fastnn._cli import main

if __name__ == "__main__":
    raise SystemExit(main())
