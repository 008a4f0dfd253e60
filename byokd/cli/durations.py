"""Durations as a person says them: the two largest units that matter, none too fine for its size."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_DAYS_ALONE: Final = 10 * 86_400
"""From here on, hours say nothing more."""


def humane(seconds: int) -> str:
    """Whole seconds, 0 or more: `89 d`, `3 d 4 h`, `4 h 12 min`, `2 min 5 s`, `0 s`. Cut, never rounded up."""
    if seconds >= _DAYS_ALONE:
        return f"{seconds // 86_400} d"
    for (unit, size), (finer, smaller) in pairwise(_UNITS):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit}" + (f" {rest} {finer}" if rest else "")
    return f"{seconds} s"


def ago(seconds: int) -> str:
    """How long since: `3 h ago`; for a moment still to come, `in 3 h`."""
    return f"{humane(seconds)} ago" if seconds >= 0 else f"in {humane(-seconds)}"
