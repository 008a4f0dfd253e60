"""The times of a simulated world: what really is, what KMS reads, and what byokd's host believes.

loop.time()      monotonic seconds of the host; stands still while it is suspended
Times.true_s     seconds that have really passed, suspended or not
KmsClock.now()   true time: KMS is always right
HostClock.now()  true time, drifting, and off by what somebody set
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from tests.kit.clock import START

SIGNATURES_S: Final = 300.0
"""AWS refuses a signature that was made by a clock which is off by more (IAM user guide, "Signature Version 4")."""
_NEVER_EARLY_S = 1e-3
"""Added to every sleep until a wall time, so that rounding never wakes anybody a moment too soon."""


class Times:
    """True time."""

    def __init__(self, monotonic: Callable[[], float] | None = None) -> None:
        self.monotonic = monotonic or asyncio.get_running_loop().time
        """What the host's monotonic clock reads, in seconds; that of the loop, unless another is given."""
        self.suspended_s = 0.0

    @property
    def true_s(self) -> float:
        """Seconds since `START` that really passed."""
        return self.monotonic() + self.suspended_s


def at(true_s: float) -> datetime:
    """A moment of true time, whole seconds, as KMS counts."""
    return START + timedelta(seconds=int(true_s // 1))


def seconds(moment: datetime) -> float:
    """The true seconds of a moment."""
    return (moment - START).total_seconds()


class KmsClock:
    """A `Clock` that is right. Only `now` is ever asked of it."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._monotonic = times.monotonic
        self._cached = (-1, START)

    def now(self) -> datetime:
        """See `ports.Clock`."""
        second = int(self._times.true_s // 1)
        if self._cached[0] != second:
            self._cached = (second, START + timedelta(seconds=second))
        return self._cached[1]

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return self._monotonic()

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """KMS waits for nobody."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """KMS sleeps never."""
        raise NotImplementedError


class HostClock:
    """The `Clock` of byokd's host: `offset_s` off since somebody set it, and drifting by `drift` seconds a second.

    With `notices`, sleepers until a wall time are woken when the clock is set or the host resumes, as a timer with
    TFD_TIMER_CANCEL_ON_SET does; without, only their cap helps them.
    """

    def __init__(self, times: Times, *, notices: bool) -> None:
        self._times = times
        self.monotonic = times.monotonic
        """See `ports.Clock`."""
        self._notices = notices
        self._offset_s = 0.0
        self._drift = 0.0
        self._drifts_since_s = 0.0
        self.readings = [(0.0, 0.0, 0.0)]
        """Since when the host was how many seconds ahead, and gained how many each second."""
        self._cached = (0, START)
        self._sleepers: dict[asyncio.Future[bool], None] = {}

    @property
    def off_by_s(self) -> float:
        """How many seconds the host is ahead of the truth."""
        if not self._drift:
            return self._offset_s
        return self._offset_s + self._drift * (self._times.true_s - self._drifts_since_s)

    def set_off(self, offset_s: float) -> None:
        """Somebody sets the clock to so many seconds ahead of the truth."""
        self._offset_s, self._drifts_since_s = offset_s, self._times.true_s
        self.readings.append((self._drifts_since_s, offset_s, self._drift))
        self.moved()

    def drift(self, rate: float) -> None:
        """From now on the clock gains `rate` seconds each second."""
        self._offset_s, self._drifts_since_s = self.off_by_s, self._times.true_s
        self._drift = rate
        self.readings.append((self._drifts_since_s, self._offset_s, rate))

    def moved(self) -> None:
        """The wall clock is elsewhere at once: set, or resumed."""
        if self._notices:
            loop = asyncio.get_running_loop()
            for woken in self._sleepers:
                loop.call_soon(_wake, woken)

    def now(self) -> datetime:
        """See `ports.Clock`."""
        off_s = self.off_by_s if self._drift else self._offset_s
        second = int((self.monotonic() + self._times.suspended_s + off_s) // 1)
        if self._cached[0] != second:
            self._cached = (second, START + timedelta(seconds=second))
        return self._cached[1]

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """See `ports.Clock`.

        `asyncio.timeout` ends a wait by an error that rises through all who wait, and nearly every wait here ends so.
        """
        if event.is_set():
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        timer = loop.call_at(min(self._at_s(until), self.monotonic() + cap_s), _wake, woken)
        event._waiters.append(woken)
        self._sleepers[woken] = None
        try:
            await woken
        finally:
            timer.cancel()
            event._waiters.remove(woken)
            del self._sleepers[woken]

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        await asyncio.sleep(max(0.0, seconds))

    def _at_s(self, until: datetime) -> float:
        left = seconds(until) - self._times.true_s - self.off_by_s
        return self._times.monotonic() + max(0.0, left) + _NEVER_EARLY_S


def _wake(woken: asyncio.Future[bool]) -> None:
    if not woken.done():
        woken.set_result(True)
