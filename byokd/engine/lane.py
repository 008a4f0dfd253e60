"""One lane at work: a loop that looks at what is due, and a loop that imports what is queued, at the lane's pace.

Both sleep until the store's next due time, a wake, or a minute has passed, and then read the wall clock again: a
suspended machine or a stepped clock costs a minute at most. Both take from the store only as much as can be worked on
at once, so memory does not grow with the fleet. A broken turn stays with its key, and a broken lane with its lane.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
from byokd.facts.snapshot import Decision, ImportWanted, Reason, Snapshot
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
        self._ahead: deque[Import] = deque()
        self._stale = True
        self._worthwhile = max(1, lane.max_in_flight // 8)
        """Free slots for which it pays to read from the store."""
        self._looks_until: datetime | None = None
        self._busy: set[KeyRef] = set()
        self._woken_while_busy: set[KeyRef] = set()
        self._left_alone: dict[KeyRef, datetime] = {}
        self._stopping = False
        self._ended = asyncio.Event()

    def wake(self) -> None:
        """Look at the store again now."""
        # A turn in progress read its key before this; what it writes would put off what woke us.
        self._woken_while_busy |= self._busy
        self._looks.set()
        self._queue_changed()

    def stop(self) -> None:
        """Begin nothing new; `run` returns when what is in flight has ended."""
        self._stopping = True
        self._ended.set()
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
        epoch = await self._acquire()
        if epoch is None:
            return
        cycle = Cycle(
            kms=kms,
            pace=self._pace,
            store=self._store,
            gather=Gatherer(kms=kms, pace=self._pace, store=self._store, sources=self._sources, clock=self._clock),
            clock=self._clock,
            new_id=self._new_id,
            epoch=epoch,
            told=self._told,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_loop(cycle, kms))
                group.create_task(self._import_loop(cycle))
        except* LeaseLost as lost:
            log.warning("lease_lost", lane=self.lane.name, why=str(lost.exceptions[0]))
        finally:
            # The group has ended, turns that never began included: nobody works on anything any more.
            self._busy.clear()
            self._queue_changed()

    async def _acquire(self) -> int | None:
        while not self._stopping:
            try:
                return await self._store.acquire_lane(self.lane.id, node=self._settings.node, now=self._clock.now())
            except ByokdError as error:
                await self._trouble("looks", error)
        return None

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
                await self._trouble("looks", error)
                continue
            # A batch may not have been all; each turn moved its key's due time, so this comes to an end.
            if not turns:
                await self._rest("looks", self._looks, again)

    async def _due(self) -> tuple[Snapshot, ...]:
        now = self._clock.now()
        self._forgive(now)
        refs = await self._store.due(self.lane.id, now=now, limit=BATCH + len(self._busy) + len(self._left_alone))
        free = [ref for ref in refs if ref not in self._busy and ref not in self._left_alone][:BATCH]
        return await self._store.snapshots(free) if free else ()

    def _forgive(self, now: datetime) -> None:
        self._left_alone = {ref: until for ref, until in self._left_alone.items() if until > now}

    async def _look_at(self, cycle: Cycle, turns: tuple[Snapshot, ...]) -> None:
        slots = asyncio.Semaphore(self.lane.max_in_flight)

        async def turn(snapshot: Snapshot) -> None:
            async with slots:
                if self._stopping:
                    self._busy.discard(snapshot.ref)
                    return
                self._progress.moved(f"{self.lane.name}/looks")
                await self._guarded(snapshot.ref, cycle.look(snapshot))

        # An import may have taken a key since it was read; its own look at the end serves for both.
        mine = [each for each in turns if each.ref not in self._busy]
        self._busy.update(each.ref for each in mine)
        async with asyncio.TaskGroup() as group:
            for each in mine:
                group.create_task(turn(each))

    # -- importing ----------------------------------------------------------------------------------------------------

    async def _import_loop(self, cycle: Cycle) -> None:
        token = False
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                try:
                    again = await self._read_ahead()
                except ByokdError as error:
                    await self._trouble("imports", error)
                    continue
                if not self._ahead or self._slots < self._worthwhile:
                    # A turn that ends wakes this loop; until then there is no room.
                    await self._rest("imports", self._imports, again if not self._ahead else None)
                    continue
                if not token:
                    token = True
                    if wait := self._pace.reserve(IMPORT_PARAMETERS, self._cost(self._ahead[0])):
                        await self._pause("imports", wait)
                        continue  # somebody with an earlier deadline may have come meanwhile
                refs = []
                while self._ahead and self._slots and (token or self._pace.ready(IMPORT_PARAMETERS)):
                    row = self._ahead.popleft()
                    if row.ref in self._busy or row.ref in self._left_alone:
                        continue  # its turn came another way since the row was read
                    if not token:
                        self._pace.reserve(IMPORT_PARAMETERS, self._cost(row))
                    token = False
                    self._busy.add(row.ref)
                    refs.append(row.ref)
                if refs:
                    await self._begin(cycle, group, refs)

    @property
    def _slots(self) -> int:
        return max(0, self.lane.max_in_flight - len(self._busy))

    def _cost(self, row: Import) -> float:
        # The reserve: routine work leaves a share of the pace to what is urgent.
        routine = row.tier in (Tier.FRESH, Tier.DUE)
        return 1 / (1 - self.lane.reserve) if routine else 1.0

    async def _read_ahead(self) -> datetime | Absent | None:
        """Fill `_ahead` with the earliest deadlines; returns when there is more, None if that was not asked.

        Whatever is new in the queue makes what was read before stale. Rows are read for several turns at once: a turn
        asks again whether its import is wanted, so a row read early does no harm.
        """
        self._imports.clear()
        if self._ahead and not self._stale:
            return None
        self._stale = False
        self._forgive(self._clock.now())
        rows = await self._store.ready_imports(
            self.lane.id, now=self._clock.now(), limit=self.lane.max_in_flight + len(self._busy) + len(self._left_alone)
        )
        self._ahead = deque(row for row in rows if row.ref not in self._busy and row.ref not in self._left_alone)
        return None if self._ahead else await self._store.next_ready_at(self.lane.id)

    async def _begin(self, cycle: Cycle, group: asyncio.TaskGroup, refs: list[KeyRef]) -> None:
        try:
            snapshots = await self._store.snapshots(refs)
        except ByokdError as error:
            self._busy.difference_update(refs)
            await self._trouble("imports", error)
            return
        for snapshot in snapshots:
            group.create_task(self._guarded(snapshot.ref, cycle.perform(snapshot)))
        # A key that left the config meanwhile has no snapshot any more.
        self._busy.difference_update(set(refs) - {snapshot.ref for snapshot in snapshots})

    # -- both ---------------------------------------------------------------------------------------------------------

    async def _guarded(self, ref: KeyRef, turn: Coroutine[object, object, Decision]) -> None:
        """Run one key's turn so that whatever befalls it stays with this key."""
        self._progress.begin()
        try:
            self._learn(await turn)
            if ref in self._woken_while_busy:
                await self._store.wake([ref], at=self._clock.now())
                self._looks.set()
        except LeaseLost:
            raise
        except ByokdError as error:
            log.error("turn_failed", key=ref, error=error.code, why=str(error), step=error.step)
            self._leave_alone(ref, AFTER_TROUBLE)
        except Exception:
            log.exception("turn_defect", key=ref)
            self._leave_alone(ref, AFTER_DEFECT)
        finally:
            self._busy.discard(ref)
            self._woken_while_busy.discard(ref)
            self._progress.end()
            if self._slots >= self._worthwhile or not self._busy:
                self._imports.set()

    def _learn(self, decision: Decision) -> None:
        """Wake the loops for what a turn brought; a loop that sleeps past it would be late."""
        if self._looks_until is None or decision.wake_at < self._looks_until:
            self._looks.set()
        if isinstance(decision.action, ImportWanted) or decision.reason is Reason.BACKING_OFF:
            self._queue_changed()

    def _queue_changed(self) -> None:
        self._stale = True
        self._imports.set()

    def _leave_alone(self, ref: KeyRef, span: timedelta) -> None:
        self._left_alone[ref] = self._clock.now() + span
        self._looks.set()
        self._queue_changed()

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

    async def _rest(self, loop: str, event: asyncio.Event, soonest: datetime | Absent | None) -> None:
        cap = self._settings.safety_wake
        latest = self._clock.now() + cap
        left_alone = min(self._left_alone.values(), default=latest)
        target = soonest if isinstance(soonest, datetime) else latest
        if target <= self._clock.now():
            # What is due now is being worked on, or is left alone for a while: its end wakes this loop.
            target = left_alone if self._left_alone else latest
        until = min(target, latest)
        if event is self._looks:
            self._looks_until = until
        with self._progress.resting(f"{self.lane.name}/{loop}", cap.total_seconds()):
            await self._clock.wait(event, until=until, cap_s=cap.total_seconds())

    async def _pause(self, loop: str, seconds: float) -> None:
        """Wait, unless the end comes first."""
        name = f"{self.lane.name}/{loop}"
        with self._progress.resting(name, seconds):
            await self._clock.wait(self._ended, until=self._clock.now() + timedelta(seconds=seconds + 1), cap_s=seconds)

    async def _trouble(self, loop: str, error: ByokdError) -> None:
        log.error("lane_trouble", lane=self.lane.name, error=error.code, why=str(error), step=error.step)
        await self._pause(loop, AFTER_TROUBLE.total_seconds())
