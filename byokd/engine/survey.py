"""The survey: now and then, each lane that asks for it is searched for keys that nobody manages, and people are told.

A chore, off the deadline path. It goes at the pace of its lane, beside the looks of the lane's own keys: of each quota
it holds at most as many tokens as it has calls in flight, so that a look never waits long for it.

What the last search found is held against the fleet again when the config changes, without another call to KMS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from byokd.decide.unmanaged import failing_condition, hidden_condition, still_unmanaged, unmanaged_condition
from byokd.engine.calls import Calls
from byokd.engine.discovery import Discovery
from byokd.engine.pace import Pace
from byokd.engine.standing import Standing
from byokd.errors import ByokdError
from byokd.facts.condition import Condition, ConditionKind
from byokd.facts.estate import Found, Managed, Wanted
from byokd.facts.key import Absent, KeyArn, KeyRef, LaneId
from byokd.facts.policy import Lane
from byokd.ports import Clock, NewId, Store
from byokd.ports.estate import OpenEstate

log = structlog.get_logger("byokd.survey")

IN_FLIGHT: Final = 4
"""Calls of a survey at the same time: nobody waits for it."""
AGAIN_AFTER_TROUBLE: Final = timedelta(hours=1)
PAGE: Final = 2000
"""Keys read from the store at once."""
_KINDS: Final = (ConditionKind.UNMANAGED_KEYS, ConditionKind.DISCOVERY_FAILING)


class Survey:
    """Keeps the conditions `unmanaged_keys` and `discovery_failing` of lanes true. Raises nothing."""

    def __init__(
        self,
        *,
        open_estate: OpenEstate,
        pace_of: Callable[[LaneId], Pace | None],
        store: Store,
        clock: Clock,
        new_id: NewId,
        told: Callable[[], None],
    ) -> None:
        """`pace_of` gives the pace of a lane that is running; `told` is called when a condition changed."""
        self._open_estate = open_estate
        self._pace_of = pace_of
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._told = told
        self._lanes: dict[LaneId, Lane] = {}
        self._due_at: dict[LaneId, float] = {}
        """Monotonic seconds; a lane that is not in here is due."""
        self._found: dict[LaneId, Found] = {}
        self._running: dict[LaneId, asyncio.Task[None]] = {}
        self._changed = False

    def apply(self, lanes: tuple[Lane, ...]) -> None:
        """Go by these lanes from now on, and hold what was found against the fleet anew."""
        wanted = {lane.id: lane for lane in lanes if not isinstance(lane.discover_every, Absent)}
        for gone in self._lanes.keys() - wanted.keys():
            self._found.pop(gone, None)
            self._due_at.pop(gone, None)
        self._lanes = wanted
        self._changed = True

    async def look(self) -> None:
        """Begin the surveys that are due, and say anew what follows from earlier ones where the config changed."""
        changed, self._changed = self._changed, False
        for lane in self._lanes.values():
            if lane.id in self._running:
                continue
            if self._clock.monotonic() >= self._due_at.get(lane.id, 0.0):
                task = asyncio.create_task(self._guarded(lane), name=f"survey {lane.name}")
                self._running[lane.id] = task
                task.add_done_callback(partial(self._ended, lane.id))
            elif changed and (found := self._found.get(lane.id)):
                await self._safely(lane, self._say(lane, found))
        if changed:
            await self._forget_others()

    async def finished(self) -> None:
        """Wait for the surveys that are under way."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def stop(self) -> None:
        """Break off what is under way: the next start searches anew."""
        for task in self._running.values():
            task.cancel()

    def _ended(self, lane_id: LaneId, task: asyncio.Task[None]) -> None:
        self._running.pop(lane_id, None)
        if lane_id not in self._lanes:
            self._changed = True  # what it was just saying as its lane left is forgotten at the next look
        if not task.cancelled() and (defect := task.exception()) is not None:
            log.error("survey_defect", lane=lane_id, error=repr(defect))

    async def _guarded(self, lane: Lane) -> None:
        """One survey, after which the next one has its time."""
        assert not isinstance(lane.discover_every, Absent), "only lanes that ask for it are surveyed"
        begin = self._clock.monotonic()
        self._due_at[lane.id] = begin + min(lane.discover_every, AGAIN_AFTER_TROUBLE).total_seconds()
        if await self._safely(lane, self._survey(lane)) and lane.id in self._lanes:
            self._due_at[lane.id] = begin + lane.discover_every.total_seconds()

    async def _safely(self, lane: Lane, work: Coroutine[object, object, None]) -> bool:
        """Whether it went well; what did not is logged and told."""
        try:
            await work
        except ByokdError as error:
            log.error("survey_failed", lane=lane.name, error=error.code, why=str(error))
            try:
                await self._state(lane, failing_condition(f"{error}"))
            except ByokdError as second:
                log.error("survey_untold", lane=lane.name, error=second.code, why=str(second))
            return False
        return True

    async def _survey(self, lane: Lane) -> None:
        pace = self._pace_of(lane.id)
        if pace is None:
            return  # the lane left the config, and has ended
        async with self._open_estate(lane) as estate:
            in_flight = min(IN_FLIGHT, lane.max_in_flight)
            discovery = Discovery(estate, Calls(pace, self._clock), self._clock, in_flight=in_flight)
            found = await discovery.find(Wanted(), await self._managed(lane.id))
        if lane.id not in self._lanes:
            return  # it left the config meanwhile
        self._found[lane.id] = found
        log.info("surveyed", lane=lane.name, keys=len(found.keys), looked_at=found.looked_at)
        await self._state(lane, hidden_condition(found) or ConditionKind.DISCOVERY_FAILING)
        await self._say(lane, found)

    async def _say(self, lane: Lane, found: Found) -> None:
        keys = still_unmanaged(found, await self._managed(lane.id))
        condition = unmanaged_condition(keys, self._clock.now())
        await self._state(lane, condition or ConditionKind.UNMANAGED_KEYS)

    async def _managed(self, lane: LaneId) -> Managed:
        """The fleet on record. A key that is named by alias counts by that, and by the key that it was pinned to."""
        by_arn: dict[KeyArn, str] = {}
        by_alias: dict[str, str] = {}
        after = ""
        while page := await self._store.prospects(lane, limit=PAGE, after=after):
            after = page[-1].ref
            aliases = {each.ref: each for each in page if not each.ref.startswith("arn:")}
            by_arn |= {KeyArn(each.ref): each.fleet for each in page if each.ref not in aliases}
            by_alias |= {each.name: each.fleet for each in aliases.values()}
            for snapshot in await self._store.snapshots([KeyRef(ref) for ref in aliases]) if aliases else ():
                if not isinstance(snapshot.arn, Absent):
                    by_arn[snapshot.arn] = snapshot.desired.fleet
        return Managed(by_arn=by_arn, by_alias=by_alias)

    async def _state(self, lane: Lane, what: Condition | ConditionKind) -> None:
        if lane.id not in self._lanes:
            return  # `_forget_others` has been, or is about to come
        subject = f"lane:{lane.id}"
        standing = Standing(subject, store=self._store, clock=self._clock, new_id=self._new_id, told=self._told)
        await standing.state(what)

    async def _forget_others(self) -> None:
        """Of a lane that is not surveyed any more nothing is said."""
        known = {f"lane:{lane_id}" for lane_id in self._lanes}
        try:
            gone = [
                replace(each, resolved_at=self._clock.now())
                for each in await self._store.open_conditions()
                if each.condition.kind in _KINDS and each.subject not in known
            ]
            if gone:
                await self._store.save_conditions(gone)
                self._told()
        except ByokdError as error:
            log.error("survey_untold", error=error.code, why=str(error))
