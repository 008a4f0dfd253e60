"""How times are written: whole seconds since 1970 in UTC, as integers, so that indexes are small and SQL is portable.

Two forms, in columns and in JSON alike:

* an *instant* that may be absent is NULL when it is ABSENT;
* an *expiry* is never NULL, because keys are sorted by it: NEVER and ABSENT are the two numbers just after the last
  second a datetime can hold, so both sort behind every real deadline.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from byokd.facts.key import ABSENT, NEVER, Absent, Expiry, Never

NEVER_S: Final = 253_402_300_800
"""10000-01-01T00:00:00Z: material that does not expire."""
ABSENT_S: Final = NEVER_S + 1
"""There is no expiry, because there is no material."""


def seconds(at: datetime) -> int:
    """An instant as it is stored; a fraction of a second is cut off."""
    return int(at.timestamp())


def instant(stored: int) -> datetime:
    """The stored instant, aware, in UTC."""
    return datetime.fromtimestamp(stored, UTC)


def seconds_or_null(at: datetime | Absent) -> int | None:
    """An instant that may be absent, as it is stored."""
    return None if isinstance(at, Absent) else int(at.timestamp())


def instant_or_absent(stored: int | None) -> datetime | Absent:
    """The stored instant, or ABSENT."""
    return ABSENT if stored is None else datetime.fromtimestamp(stored, UTC)


def expiry_seconds(expiry: Expiry | Absent) -> int:
    """An expiry as it is stored."""
    match expiry:
        case datetime():
            return int(expiry.timestamp())
        case Never():
            return NEVER_S
        case Absent():
            return ABSENT_S


def expiry(stored: int) -> Expiry:
    """The stored expiry, where there must be one. Raises: ValueError for the mark of absence."""
    if stored >= ABSENT_S:
        raise ValueError("There is no expiry where there must be one.")
    return NEVER if stored == NEVER_S else datetime.fromtimestamp(stored, UTC)


def expiry_or_absent(stored: int) -> Expiry | Absent:
    """The stored expiry, or ABSENT."""
    return ABSENT if stored == ABSENT_S else expiry(stored)
