"""How long to wait after a failure: longer each time, but never so long that the deadline suffers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from byokd.decide.window import share_of
from byokd.facts.key import Absent

FIRST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(hours=1)
LONGEST_IN_EMERGENCY: Final = timedelta(minutes=5)
SHORTEST: Final = timedelta(seconds=1)
EIGHTH: Final = 8
"""What the time left to a deadline is divided by: nothing that can wait waits for longer than that part of it."""
LONGEST_WITHOUT_STORE: Final = timedelta(minutes=1)
"""The longest wait for a store that fails: nothing is renewed until it works again, so it is not left for long."""


def retry_at(
    *,
    who: str,
    failures: int,
    now: datetime,
    deadline: datetime | Absent,
    emergency: bool,
    longest: timedelta = LONGEST,
) -> datetime:
    """When to try again after `failures` failures in a row (at least 1), strictly after `now`.

    Doubles from 5 s to `longest`, with up to a fifth taken off by a hash of `who` and the count, so that keys that
    failed together do not return together. Never waits longer than an eighth of the time left to `deadline`. In an
    `emergency`, and after the deadline, it waits five minutes at most and nothing is taken off: an emergency may last
    for weeks, where a life is a year, and a fleet whose source is gone must not ask KMS for ever as if each second
    counted.
    """
    wait = _doubled(failures, longest)
    if emergency:
        wait = min(wait, LONGEST_IN_EMERGENCY)
    else:
        wait *= 1 - share_of(f"{who}|{failures}") / 5
    if not isinstance(deadline, Absent) and deadline > now:
        wait = min(wait, (deadline - now) / EIGHTH)
    return now + timedelta(seconds=max(SHORTEST.total_seconds(), round(wait.total_seconds())))


def store_again(failures: int) -> timedelta:
    """How long to leave a store alone that failed so often in a row (at least 1): from 5 s, doubling, to a minute."""
    return _doubled(failures, LONGEST_WITHOUT_STORE)


def _doubled(failures: int, most: timedelta) -> timedelta:
    return min(FIRST * (1 << min(max(failures, 1) - 1, 20)), most)
