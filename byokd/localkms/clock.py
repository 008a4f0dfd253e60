"""The only reader of real time in the local KMS.

Everything else is told what time it is: the wire reads `now()` once per request and hands it down, the expiry task
reads it once per round. A test or a time-lapse brings its own Clock.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Wall time as the local KMS sees it."""

    def now(self) -> float:
        """Seconds since the epoch, UTC, with a fraction."""

    async def sleep_until(self, when: float) -> None:
        """Return around `when` (epoch seconds). May return early or late: callers look at `now()` again."""


def real_now() -> float:
    """Seconds since the epoch, UTC, by the machine's own clock: what clients sign their requests with."""
    return time.time()


@dataclass(frozen=True, slots=True)
class WallClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch, UTC, with a fraction."""
        return time.time()

    async def sleep_until(self, when: float) -> None:
        """Sleep for what lies between now and `when`. A step of the clock meanwhile goes unnoticed."""
        await asyncio.sleep(max(0.0, when - time.time()))
