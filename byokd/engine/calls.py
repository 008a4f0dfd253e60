"""Calls to KMS outside of the turns of keys: each at the lane's pace, and again where the trouble passes.

A turn that fails is simply taken again later, with all that was learned on record. A search through a lane has no such
record, so it is patient with each call instead; not with a lane that has never answered, while people wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from byokd.engine.pace import Pace
from byokd.errors import BadAnswer, KmsError, KmsInternal, KmsUnreachable, Throttled
from byokd.ports import Clock

T = TypeVar("T")

WAITS_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""How long to wait after each failure of one call, seconds; the failure after the last is final."""
FIRST_WAITS_S: Final = (1.0,)
"""The same before the lane has answered at all: more likely nobody is there than this is a moment's trouble."""
SLOW_S: Final = 2.0
"""A connection that failed only after so long failed for its time limit, which a second try would wait for again."""
THROTTLED_MOST: Final = 100
"""Refusals of one call for its rate: each slows the lane down, so that this many take minutes."""
PASSING: Final = (KmsUnreachable, KmsInternal, BadAnswer)


async def each(work: Callable[[T], Awaitable[None]], items: Iterable[T], *, in_flight: int) -> None:
    """Work on items, so many at a time; the first error ends it."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


class Calls:
    """Makes calls at one lane's pace."""

    def __init__(self, pace: Pace, clock: Clock, *, hurried: bool = False) -> None:
        """`hurried`: somebody waits, and is told within one time limit of a lane that cannot be reached."""
        self._pace = pace
        self._clock = clock
        self._hurried = hurried
        self._answered = False

    async def make(
        self,
        operation: str,
        call: Callable[[], Awaitable[T]],
        *,
        passing: tuple[type[KmsError], ...] = PASSING,
    ) -> T:
        """The answer of a call, which may be made several times: for what changes nothing, or may be done twice.

        Raises: KmsError for what is not one of `passing`, or does not pass within a minute; of a lane that has not
        answered yet, where `hurried`, within seconds.
        """
        failures = throttled = 0
        while True:
            begin = self._clock.monotonic()
            try:
                async with self._pace.request(operation):
                    begin = self._clock.monotonic()
                    answer = await call()
                    self._answered = True
                    return answer
            except Throttled:
                self._answered = True
                throttled += 1
                if throttled > THROTTLED_MOST:
                    raise
            except passing as error:
                waits = self._waits(error, self._clock.monotonic() - begin)
                if failures >= len(waits):
                    raise
                await self._clock.sleep(waits[failures])
                failures += 1

    def _waits(self, error: KmsError, took_s: float) -> Sequence[float]:
        """How long to wait after each failure of this kind."""
        if not self._hurried or self._answered or not isinstance(error, KmsUnreachable):
            return WAITS_S
        return () if took_s > SLOW_S else FIRST_WAITS_S
