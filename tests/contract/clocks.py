"""The clocks that the contract of `ports.Clock` is held over: each with a way to let its time pass, and to set it.

The local KMS has a clock of another port, and the simulator's KMS one that is read and never waited on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from byokd.clock import SystemClock
from byokd.engine.time import EngineClock
from byokd.facts.key import LaneId
from byokd.ports import Clock, Skew
from tests.kit.clock import START, ManualClock
from tests.kit.timers import ring, watched_timers
from tests.kit.world import CALM
from tests.sim.clocks import HostClock, Times

HOUR = timedelta(hours=1)
PATIENCE_S = 20.0
"""Real seconds after which a wait of hundredths is given up."""


class Timepiece(Protocol):
    """A clock, and the hands that move it."""

    hears: bool
    """Whether it is noticed that somebody set it."""

    @property
    def clock(self) -> Clock:
        """The clock."""

    def reads(self) -> datetime:
        """What the wall clock reads, with its fraction of a second."""

    def set_back(self) -> None:
        """Somebody sets it back by an hour; of the machine's own, it is only told that somebody did."""

    async def end(self, waits: Awaitable[Any]) -> None:
        """Let time pass until all this has ended."""

    def sleepers(self) -> int:
        """How many waits the clock still knows of."""


async def _calm(waiting: asyncio.Future[Any]) -> bool:
    """Whether it has ended, once all has happened that happens before time moves on."""
    for _ in range(CALM):
        await asyncio.sleep(0)
    return waiting.done()


async def _really(waits: Awaitable[Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await waits


class SystemPiece:
    """`SystemClock`, watched; its time is that of the machine."""

    hears = True

    def __init__(self) -> None:
        self.clock = SystemClock()

    def reads(self) -> datetime:
        return datetime.now(UTC)

    def set_back(self) -> None:
        (timer,) = watched_timers()
        ring(timer)

    async def end(self, waits: Awaitable[Any]) -> None:
        await _really(waits)

    def sleepers(self) -> int:
        return len(self.clock._waits)


class HostPiece:
    """The simulator's `HostClock`, on a loop whose time is real."""

    def __init__(self, *, hears: bool) -> None:
        self.hears = hears
        self.times = Times()
        self.clock = HostClock(self.times, notices=hears)
        self.clock.set_off(-7.25)

    def reads(self) -> datetime:
        return START + timedelta(seconds=self.times.true_s + self.clock.off_by_s)

    def set_back(self) -> None:
        self.clock.set_off(self.clock.off_by_s - HOUR.total_seconds())

    async def end(self, waits: Awaitable[Any]) -> None:
        await _really(waits)

    def sleepers(self) -> int:
        return len(self.clock._sleepers)


class ManualPiece:
    """`ManualClock`: time passes from one sleeper to the next."""

    hears = True

    def __init__(self) -> None:
        self.manual = ManualClock(START + timedelta(seconds=0.25))
        self.clock: Clock = self.manual

    def reads(self) -> datetime:
        return self.manual._now

    def set_back(self) -> None:
        self.manual.step(-HOUR.total_seconds())

    async def end(self, waits: Awaitable[Any]) -> None:
        waiting = asyncio.ensure_future(waits)
        while not await _calm(waiting):
            self.manual.advance(self.manual.first(HOUR.total_seconds()))
        await waiting

    def sleepers(self) -> int:
        return len(self.manual._ends)


class EnginePiece(ManualPiece):
    """`EngineClock` over a `ManualClock` that KMS is half an hour ahead of."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = self.engine = EngineClock(self.manual)
        ahead = Skew(by=HOUR / 2, at=self.manual.monotonic())
        assert self.engine.learn(LaneId("111122223333/eu-central-1"), ahead, threshold=timedelta(seconds=30))
        assert self.engine.correction == HOUR / 2

    def reads(self) -> datetime:
        return self.manual._now + self.engine.correction


@contextmanager
def timepiece(name: str) -> Iterator[Timepiece]:
    """An implementation of `ports.Clock`, by name; needs a running loop."""
    match name:
        case "system":
            piece = SystemPiece()
            with piece.clock.watching() as watched:
                assert watched
                yield piece
        case "manual":
            yield ManualPiece()
        case "engine":
            yield EnginePiece()
        case "host":
            yield HostPiece(hears=True)
        case _:
            yield HostPiece(hears=False)
