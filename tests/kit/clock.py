"""Time that stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LONG_AGO = START - timedelta(days=3650)


class ManualClock:
    """A `Clock` that only `advance` and `step` move. Sleepers wake in the order of their times."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0
        self._moved = asyncio.Event()
        self._steps = 0
        self._ends: list[float] = []
        """When who sleeps wakes, monotonic seconds."""

    def now(self) -> datetime:
        """The wall time, whole seconds."""
        return self._now.replace(microsecond=0)

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._monotonic += seconds
        self._move(seconds)

    def first(self, within_s: float) -> float:
        """Seconds until the first sleeper wakes, so many at most."""
        return min([within_s, *(end - self._monotonic for end in self._ends if end > self._monotonic)])

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP does; monotonic time stays, and every `wait` ends."""
        self._steps += 1
        self._move(seconds)

    def _move(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """See `ports.Clock`."""
        end, steps = self._monotonic + cap_s, self._steps
        with self._sleeping(min(end, self._monotonic + (until - self._now).total_seconds())):
            await self._wait(event, until, end, steps)

    async def _wait(self, event: asyncio.Event, until: datetime, end: float, steps: int) -> None:
        while not event.is_set() and self._steps == steps and self._now < until and self._monotonic < end:
            moved = asyncio.ensure_future(self._moved.wait())
            woken = asyncio.ensure_future(event.wait())
            try:
                await asyncio.wait((moved, woken), return_when=asyncio.FIRST_COMPLETED)
            finally:
                moved.cancel()
                woken.cancel()

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        end = self._monotonic + seconds
        if seconds <= 0:
            await asyncio.sleep(0)
        with self._sleeping(end):
            while self._monotonic < end:
                await self._moved.wait()

    @contextmanager
    def _sleeping(self, end: float) -> Iterator[None]:
        self._ends.append(end)
        try:
            yield
        finally:
            self._ends.remove(end)
