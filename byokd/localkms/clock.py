"""The only reader of real time in the local KMS.

Everything else is told what time it is: the wire reads `now()` once per request and hands it down, the expiry task
reads it once per round. A test brings its own Clock; a server in a process of its own keeps a WallClock, which may run
faster than real time and be stepped forward::

    now = real time + lead                     the lead grows by (rate - 1) a second, and by every step

The lead is kept with the state, so that a restart does not turn time back under keys that have lived ahead of it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol, runtime_checkable

MAX_SLEEP_S: Final = 60.0
"""Real seconds after which a sleeper looks again: catches a machine that was suspended, or whose clock was set."""
MAX_SLEEP_RATED_S: Final = 1.0
"""The same for a clock that runs at another rate: where its lead is written down, little of it is lost in a crash."""


class Clock(Protocol):
    """Wall time as the local KMS sees it."""

    def now(self) -> float:
        """Seconds since the epoch, UTC, with a fraction."""

    async def sleep_until(self, when: float) -> None:
        """Return around `when` (epoch seconds). May return early or late: callers look at `now()` again."""


@runtime_checkable
class MovableClock(Clock, Protocol):
    """A clock that can be ahead of real time, and be moved."""

    @property
    def rate(self) -> float:
        """Its seconds in one real second."""

    @property
    def lead_s(self) -> float:
        """How far it is ahead of real time, seconds."""

    def lead_by(self, seconds: float) -> None:
        """Be this far ahead of real time. Moves time back, too: only for a state that is replaced as a whole."""

    def advance(self, seconds: float) -> None:
        """Step forward and wake whoever sleeps. Raises: ValueError for a step back, or beyond the year 9999."""


def real_now() -> float:
    """Seconds since the epoch, UTC, by the machine's own clock: what clients sign their requests with."""
    return time.time()


class WallClock:
    """The machine's own clock; with a rate or after steps, one ahead of it. Used from one event loop."""

    END: Final = 253_402_300_799.0
    """The last second of the year 9999: no date of Python's, and none of HTTP's, is later."""

    def __init__(self, rate: float = 1.0) -> None:
        """`rate` is its seconds in one real second, above 0: 86400 lets a day pass in a second.

        Raises: ValueError for another rate.
        """
        if not 0 < rate <= 1e9:
            raise ValueError(f"The rate of a clock must be above 0 and at most 1e9, not {rate:g}.")
        self._rate = rate
        self._set_at = time.time()
        self._lead_s = 0.0
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def rate(self) -> float:
        """See MovableClock."""
        return self._rate

    @property
    def lead_s(self) -> float:
        """See MovableClock."""
        return self._lead_at(time.time())

    def now(self) -> float:
        """Seconds since the epoch, UTC, with a fraction."""
        real = time.time()
        return min(real + self._lead_at(real), self.END)

    def lead_by(self, seconds: float) -> None:
        """See MovableClock."""
        self._set_at = time.time()
        self._lead_s = seconds
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    def advance(self, seconds: float) -> None:
        """See MovableClock."""
        if not (seconds >= 0 and self.now() + seconds < self.END):  # also what is not a number
            raise ValueError("Time steps forward only, and not beyond the year 9999.")
        self.lead_by(self.lead_s + seconds)

    async def sleep_until(self, when: float) -> None:
        """Sleep for what lies between now and `when`, at most a minute, or until time is stepped."""
        longest = MAX_SLEEP_S if self._rate == 1.0 else MAX_SLEEP_RATED_S
        seconds = min(max(0.0, (when - self.now()) / self._rate), longest)
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        try:
            async with asyncio.timeout(seconds):
                await sleeper
        except TimeoutError:
            pass
        finally:
            self._sleepers.discard(sleeper)

    def _lead_at(self, real: float) -> float:
        return self._lead_s + (real - self._set_at) * (self._rate - 1.0) if self._rate != 1.0 else self._lead_s
