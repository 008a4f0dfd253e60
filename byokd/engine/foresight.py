"""Looking ahead: the forecast of each lane, made anew now and then, and the condition that follows from it.

Off the deadline path: nothing that a key needs depends on it. What it says is for people, weeks before it would hurt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from byokd.decide.admit import learned_of
from byokd.decide.advice import slack_condition, slowed
from byokd.decide.forecast import Forecast, forecast, steps_ahead
from byokd.engine.standing import Standing
from byokd.errors import ByokdError
from byokd.facts.condition import ConditionKind
from byokd.facts.key import LaneId
from byokd.facts.policy import Lane
from byokd.facts.prospect import Prospect
from byokd.ports import Clock, NewId, Store

log = structlog.get_logger("byokd.foresight")

PAGE: Final = 2000
"""Keys read at once."""
SAMPLED: Final = 10_000
"""Of a lane with more keys, every so-many-th is taken, at so much slower a pace: memory shall not grow so far."""
AT_ONCE: Final = 500
"""A forecast of more renewals takes long enough to be made in a thread, so that the lanes are not held up."""
AT_LEAST_APART: Final = 500
"""So many times as long as it took, a lane's forecast is not made again: what is weeks ahead need not cost more."""
_OF_LANES: Final = (ConditionKind.SLACK_LOW, ConditionKind.CLOCK_SKEW)
"""What is said of a lane, and ends with it; the survey's is the survey's."""


def takes_long(prospects: Sequence[Prospect], now: datetime) -> bool:
    """Whether a forecast of these keys would hold the lanes up: for a few of a day beside one of a year, a second."""
    return len(prospects) > AT_ONCE or steps_ahead(prospects, now) > AT_ONCE


class Foresight:
    """Keeps the condition `slack_low` of each lane true. Raises nothing: what goes wrong is logged."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        new_id: NewId,
        told: Callable[[], None],
        as_used: Callable[[Lane], Lane],
    ) -> None:
        """`told` is called when a condition was raised, changed or resolved; `as_used` gives a lane its real quotas."""
        self._as_used = as_used
        self.lanes: tuple[Lane, ...] = ()
        """Those of the running config."""
        self._next_s: dict[LaneId, float] = {}
        """When a lane's forecast is worth its cost again, monotonic seconds."""
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._told = told

    async def look(self, *, anew: bool = False) -> None:
        """Make every lane's forecast and say what follows from it.

        Without `anew`, those of large fleets are left as they are for a while: a million keys take 12 s of CPU.
        """
        for lane in map(self._as_used, self.lanes):
            began_s = self._clock.monotonic()
            if not anew and began_s < self._next_s.get(lane.id, began_s):
                continue
            try:
                await self._look(lane)
                took_s = self._clock.monotonic() - began_s
                self._next_s[lane.id] = began_s + AT_LEAST_APART * took_s
            except ByokdError as error:
                log.error("forecast_failed", lane=lane.name, error=error.code, why=str(error))
        try:
            await self._forget_others()
        except ByokdError as error:
            log.error("forecast_failed", error=error.code, why=str(error))

    async def _look(self, lane: Lane) -> None:
        prospects, every = await self._sample(lane)
        learned = learned_of(lane.quotas, await self._store.learned_paces(lane.id))
        now = self._clock.now()

        def look_ahead() -> Forecast:
            return forecast(prospects, slowed(lane, every), now, learned=learned)

        ahead = await asyncio.to_thread(look_ahead) if takes_long(prospects, now) else look_ahead()
        condition = slack_condition(ahead, lane.min_slack, every=every)
        if condition is not None:
            log.warning("slack_low", lane=lane.name, stage=condition.stage, detail=condition.detail)
        standing = Standing(
            f"lane:{lane.id}", store=self._store, clock=self._clock, new_id=self._new_id, told=self._told
        )
        await standing.state(condition or ConditionKind.SLACK_LOW)

    async def _sample(self, lane: Lane) -> tuple[list[Prospect], int]:
        """The lane's keys, or every so-many-th of them, and how many-th."""
        sample: list[Prospect] = []
        every, seen, after = 1, 0, ""
        while page := await self._store.prospects(lane.id, limit=PAGE, after=after):
            after = page[-1].ref
            for each in page:
                if seen % every == 0:
                    sample.append(each)
                seen += 1
            while len(sample) > SAMPLED:
                sample = sample[::2]
                every *= 2
        return sample, every

    async def _forget_others(self) -> None:
        """Of lanes that left the config nothing is said any more. Asked each time: the store may have failed."""
        self._next_s = {lane.id: self._next_s[lane.id] for lane in self.lanes if lane.id in self._next_s}
        known = {f"lane:{lane.id}" for lane in self.lanes}
        now = self._clock.now()
        gone = [
            replace(each, resolved_at=now)
            for each in await self._store.open_conditions()
            if each.condition.kind in _OF_LANES and each.subject not in known
        ]
        if gone:
            await self._store.save_conditions(gone)
            self._told()
