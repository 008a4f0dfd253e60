"""The time that the engine goes by: the host's clock, put right by what KMS says, and watched for steps.

KMS deletes material by its own clock, and its `Date` headers tell that clock to the second. Where the host's differs by
more than the threshold, every time the engine reads is put right by the difference, so that deadlines are judged as KMS
judges them. People are told: a host with a wrong clock has other troubles, and beyond five minutes AWS refuses its
signatures (IAM user guide, "Signature Version 4").

There is one host and so there is one correction. Where lanes disagree (a local KMS with a clock of its own beside AWS),
the smallest difference is believed. What was measured a day before the newest measurement tells nothing about today.

A step of the host's clock is seen against the monotonic one. It makes what was measured before void; and a step back
makes every time on record that lies in the future suspect, so lanes look at everything again (`steps_back`). Each
step is one line of the log.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from byokd.facts.key import LaneId
from byokd.ports import Clock, Skew

log = structlog.get_logger("byokd.engine")

BELIEVED_UP_TO: Final = timedelta(days=1)
"""A difference beyond this is told and not believed: something else than the host's clock is wrong."""
STEP_S: Final = 5.0
"""Wall and monotonic time that drift apart by so much at once were set apart; time services slew what is less."""
MEASURED_FOR_S: Final = 86_400.0
"""How long a measurement counts beside newer ones of other lanes: clocks drift, and a lane may be cut off for weeks."""
AGREEMENT: Final = timedelta(seconds=2)
"""A `Date` header knows whole seconds: a measurement this near to the last one is the same."""


def _nobody() -> None:
    """Nobody asks to be told."""


class EngineClock:
    """Implements `ports.Clock` over another one."""

    def __init__(self, host: Clock, *, was_set: Callable[[], None] = _nobody) -> None:
        """`was_set` is called when a step was seen, within a reading of the time."""
        self._host = host
        self._was_set = was_set
        self._skews: dict[LaneId, Skew] = {}
        self.correction = timedelta(0)
        """What is added to the host's time now."""
        self.steps_back = 0
        """How often the host's clock was seen to step back."""
        self._apart_s = host.now().timestamp() - host.monotonic()
        self._stepped_at = -math.inf

    def now(self) -> datetime:
        """Wall time as KMS has it: aware UTC, whole seconds."""
        return self._watch() + self.correction

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return self._host.monotonic()

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        """See `ports.Clock`."""
        await self._host.wait(event, until=until - self.correction, cap_s=cap_s)

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        await self._host.sleep(seconds)

    def learn(self, lane: LaneId, skew: Skew, *, threshold: timedelta) -> bool:
        """Take in what a lane measured, and return whether that is still true: a step makes void what came before it.

        Up to `threshold`, nothing is put right.
        """
        self._watch()
        if skew.at <= self._stepped_at:
            return False
        self._skews[lane] = skew
        newest = max(each.at for each in self._skews.values())
        least = min((each.by for each in self._skews.values() if newest - each.at < MEASURED_FOR_S), key=abs)
        if not threshold < abs(least) <= BELIEVED_UP_TO:
            self.correction = timedelta(0)
        elif abs(least - self.correction) > AGREEMENT:
            self.correction = least
        return True

    def knows(self, lane: LaneId, skew: Skew) -> bool:
        """Whether what a lane measured is no news: each turn asks, and `learn` looks at what all lanes measured."""
        self._watch()
        known = self._skews.get(lane)
        return known is not None and abs(known.by - skew.by) <= AGREEMENT

    def forget(self, lane: LaneId) -> None:
        """The lane measures no more."""
        self._skews.pop(lane, None)

    def _watch(self) -> datetime:
        """The host's time, after a look at whether it was set."""
        now = self._host.now()
        apart_s = now.timestamp() - self._host.monotonic()
        moved_s, self._apart_s = apart_s - self._apart_s, apart_s
        if abs(moved_s) > STEP_S:
            self._skews.clear()
            self.correction = timedelta(0)
            self._stepped_at = self._host.monotonic()
            log.warning("clock_set", by_s=round(moved_s), to=now.isoformat())
            self.steps_back += moved_s < 0
            self._was_set()
        return now
