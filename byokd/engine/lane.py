"""One lane at work: a loop that looks at what is due, and a loop that imports what is queued, at the lane's pace.

Both sleep until the store's next due time, a wake, or a minute has passed, and then read the wall clock again: a
suspended machine or a stepped clock costs a minute at most. Both take from the store only as much as can be worked on
at once, so memory does not grow with the fleet. A broken turn stays with its key, and a broken lane with its lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from byokd.engine.cycle import Cycle
from byokd.engine.gather import Gatherer
from byokd.engine.pace import IMPORT_PARAMETERS, Pace
from byokd.engine.progress import Progress
from byokd.engine.standing import Standing
from byokd.errors import ByokdError, LeaseLost
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import Absent, KeyRef
from byokd.facts.ledger import Import, Tier
from byokd.facts.policy import Lane
from byokd.facts.snapshot import Snapshot
from byokd.ports import Clock, Kms, NewId, OpenKms, Source, Store

log = structlog.get_logger("byokd.engine")

BATCH: Final = 64
"""Keys taken from the store at once for looking."""
AFTER_TROUBLE: Final = timedelta(seconds=5)
AFTER_DEFECT: Final = timedelta(minutes=1)
"""How long a key is left alone whose turn ended in an error that byokd does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """What a lane worker is told from outside."""

    node: str
    safety_wake: timedelta
    skew_threshold: timedelta


class LaneWorker:
    """Owns one lane: its epoch, its pace, its KMS client. Ends by cancellation, between two writes."""

    def __init__(
        self,
        *,
        lane: Lane,
        open_kms: OpenKms,
        store: Store,
        sources: Mapping[str, Source],
        clock: Clock,
        new_id: NewId,
        progress: Progress,
        settings: LaneSettings,
        told: Callable[[], None],
    ) -> None:
        self.lane = lane
        self._open_kms = open_kms
        self._store = store
        self._sources = sources
        self._clock = clock
        self._new_id = new_id
        self._progress = progress
        self._settings = settings
        self._told = told
        self._pace = Pace(lane, clock)
        self._standing = Standing(f"lane:{lane.id}", store=store, clock=clock, new_id=new_id)
        self._looks = asyncio.Event()
        self._imports = asyncio.Event()
        self._busy: set[KeyRef] = set()
        self._left_alone: dict[KeyRef, datetime] = {}
        self._stopping = False

    def wake(self) -> None:
        """Look at the store again now."""
        self._looks.set()
        self._imports.set()

    def stop(self) -> None:
        """Begin nothing new; `run` returns when what is in flight has ended."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Work until stopped. A lost lease is taken anew, and everything looked at again."""
        loops = [f"{self.lane.name}/{loop}" for loop in ("looks", "imports")]
        for loop in loops:
            self._progress.expect(loop)
        try:
            async with self._open_kms(self.lane) as kms:
                while not self._stopping:
                    await self._own(kms)
        finally:
            for loop in loops:
                self._progress.forget(loop)

    async def _own(self, kms: Kms) -> None:
        """Work under one lease."""
        cycle = Cycle(
            kms=kms,
            pace=self._pace,
            store=self._store,
            gather=Gatherer(kms=kms, pace=self._pace, store=self._store, sources=self._sources, clock=self._clock),
            clock=self._clock,
            new_id=self._new_id,
            epoch=await self._acquire(),
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_loop(cycle, kms))
                group.create_task(self._import_loop(cycle))
        except* LeaseLost as lost:
            log.warning("lease_lost", lane=self.lane.name, why=str(lost.exceptions[0]))

    async def _acquire(self) -> int:
        while True:
            try:
                return await self._store.acquire_lane(self.lane.id, node=self._settings.node, now=self._clock.now())
            except ByokdError as error:
                await self._trouble(error)

    # -- looking ------------------------------------------------------------------------------------------------------

    async def _look_loop(self, cycle: Cycle, kms: Kms) -> None:
        while not self._stopping:
            self._looks.clear()
            try:
                turns = await self._due()
                if turns:
                    await self._look_at(cycle, turns)
                await self._check_clock(kms)
                again = await self._store.next_due_at(self.lane.id)
            except LeaseLost:
                raise
            except ByokdError as error:
                await self._trouble(error)
                continue
            await self._rest("looks", self._looks, again)

    async def _due(self) -> tuple[Snapshot, ...]:
        now = self._clock.now()
        self._left_alone = {ref: until for ref, until in self._left_alone.items() if until > now}
        refs = await self._store.due(self.lane.id, now=now, limit=BATCH + len(self._busy) + len(self._left_alone))
        free = [ref for ref in refs if ref not in self._busy and ref not in self._left_alone][:BATCH]
        return await self._store.snapshots(free) if free else ()

    async def _look_at(self, cycle: Cycle, turns: tuple[Snapshot, ...]) -> None:
        slots = asyncio.Semaphore(self.lane.max_in_flight)

        async def turn(snapshot: Snapshot) -> None:
            async with slots:
                await self._guarded(snapshot.ref, cycle.look(snapshot))

        # An import may have taken a key since it was read; its own look at the end serves for both.
        mine = [each for each in turns if each.ref not in self._busy]
        self._busy.update(each.ref for each in mine)
        async with asyncio.TaskGroup() as group:
            for each in mine:
                group.create_task(turn(each))
        self._imports.set()

    # -- importing ----------------------------------------------------------------------------------------------------

    async def _import_loop(self, cycle: Cycle) -> None:
        token = False
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                self._imports.clear()
                try:
                    rows = await self._ready()
                    again = await self._store.next_ready_at(self.lane.id)
                except ByokdError as error:
                    await self._trouble(error)
                    continue
                if not rows:
                    await self._rest("imports", self._imports, again if not self._busy else None)
                    continue
                if not token:
                    token = True
                    if wait := self._pace.reserve(IMPORT_PARAMETERS, self._cost(rows[0])):
                        await self._pause(wait)
                        continue  # somebody with an earlier deadline may have come meanwhile
                for row in rows:
                    if not token and not self._pace.ready(IMPORT_PARAMETERS):
                        break
                    if not token:
                        self._pace.reserve(IMPORT_PARAMETERS, self._cost(row))
                    token = False
                    self._busy.add(row.ref)
                    group.create_task(self._guarded(row.ref, self._perform(cycle, row)))

    async def _ready(self) -> tuple[Import, ...]:
        slots = self.lane.max_in_flight - len(self._busy)
        if slots <= 0:
            return ()
        rows = await self._store.ready_imports(
            self.lane.id, now=self._clock.now(), limit=slots + len(self._busy) + len(self._left_alone)
        )
        return tuple(row for row in rows if row.ref not in self._busy and row.ref not in self._left_alone)[:slots]

    def _cost(self, row: Import) -> float:
        # The reserve: routine work leaves a share of the pace to what is urgent.
        routine = row.tier in (Tier.FRESH, Tier.DUE)
        return 1 / (1 - self.lane.reserve) if routine else 1.0

    async def _perform(self, cycle: Cycle, row: Import) -> None:
        for snapshot in await self._store.snapshots([row.ref]):
            await cycle.perform(snapshot, row)

    # -- both ---------------------------------------------------------------------------------------------------------

    async def _guarded(self, ref: KeyRef, turn: Coroutine[object, object, object]) -> None:
        """Run one key's turn so that whatever befalls it stays with this key."""
        self._progress.begin()
        try:
            await turn
        except LeaseLost:
            raise
        except ByokdError as error:
            log.error("turn_failed", key=ref, error=error.code, why=str(error), step=error.step)
            self._left_alone[ref] = self._clock.now() + AFTER_TROUBLE
        except Exception:
            log.exception("turn_defect", key=ref)
            self._left_alone[ref] = self._clock.now() + AFTER_DEFECT
        finally:
            self._busy.discard(ref)
            self._progress.end()
            self.wake()
            self._told()

    async def _check_clock(self, kms: Kms) -> None:
        skew = kms.skew()
        if isinstance(skew, Absent):
            return
        seconds = int(skew.total_seconds())
        off = abs(skew) > self._settings.skew_threshold
        text = f"the clock of KMS in {self.lane.region} reads {abs(seconds)} s {'later' if seconds > 0 else 'earlier'}"
        await self._standing.state(
            Condition(
                kind=ConditionKind.CLOCK_SKEW,
                severity=Severity.CRITICAL,
                detail=f"{text} than this host's: deadlines are judged wrongly until the host's clock is right",
            )
            if off
            else ConditionKind.CLOCK_SKEW
        )

    async def _rest(self, loop: str, event: asyncio.Event, until: datetime | Absent | None) -> None:
        cap = self._settings.safety_wake
        latest = self._clock.now() + cap
        left_alone = min(self._left_alone.values(), default=latest)
        target = until if isinstance(until, datetime) else latest
        if target <= self._clock.now():
            # What is due now is being worked on, or is left alone for a while: its end wakes this loop.
            target = left_alone if self._left_alone else latest
        with self._progress.resting(f"{self.lane.name}/{loop}"):
            await self._clock.wait(event, until=min(target, latest), cap_s=cap.total_seconds())

    async def _pause(self, seconds: float) -> None:
        with self._progress.resting(f"{self.lane.name}/imports"):
            await self._clock.sleep(seconds)

    async def _trouble(self, error: ByokdError) -> None:
        log.error("lane_trouble", lane=self.lane.name, error=error.code, why=str(error), step=error.step)
        await self._pause(AFTER_TROUBLE.total_seconds())
