"""How texts for people write a moment down."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache


@lru_cache(maxsize=1024)  # each decision tells of one, and for weeks of the same
def in_words(at: datetime) -> str:
    """A moment, aware UTC, to the second: `2026-03-01 12:00:00Z`."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
