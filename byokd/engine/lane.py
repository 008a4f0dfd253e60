"""One lane at work: a loop that looks at what is due, and a loop that imports what is queued, at the lane's pace.

    due_at ──▶ look ──▶ nothing to do ─────────────────────────────▶ record
                 └────▶ an import ─┬─ nobody waits, a token is near ─▶ sets out ─┐
                                   └─ else into the queue ─┐                     │
    not_before ──▶ earliest deadline ─▶ a token is near ───┴─────────▶ sets out ─┤
                     look again, record ◀─ import ◀─ a token ◀─ prove, intent ◀──┘

Both sleep until the store's next due time or a wake, for `safety_wake` at most, and read the wall clock again. A clock
that is set and a machine that resumes end the sleep at once, or within a minute where nothing tells of them. Both begin
turns as room comes free and wait for none of them, so a turn that hangs delays nobody else. Both take from the store
only as much as there is room for, so memory does not grow with the fleet. A broken turn stays with its key, and a
broken lane with its lane.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from byokd.engine.cycle import Cycle
from byokd.engine.gather import Gatherer
from byokd.engine.pace import Pace
from byokd.engine.progress import Progress
from byokd.engine.setback import Setback
from byokd.engine.time import EngineClock
from byokd.engine.turns import Doorway, Turns
from byokd.engine.upkeep import Upkeep
from byokd.errors import ByokdError, LeaseLost
from byokd.facts.key import ABSENT, Absent, KeyRef, LaneId
from byokd.facts.ledger import Import, Tier
from byokd.facts.policy import Lane
from byokd.facts.snapshot import Decision, ImportWanted, Reason, Snapshot
from byokd.ports import Kms, NewId, OpenKms, Source, Store

log = structlog.get_logger("byokd.engine")

Turn = Callable[[Snapshot], Awaitable[Decision]]

AFTER_DEFECT: Final = timedelta(minutes=1)
"""How long a key is left alone whose turn ended in an error that byokd does not know."""
CALLS_PER_TURN: Final = 20
"""More calls to KMS than a turn ever makes; a turn that outlasts them all, and `TURN_SLACK`, is broken off."""
TURN_SLACK: Final = timedelta(minutes=30)
"""For what a turn waits for beside KMS: its source, twice at most, and the lane's pace."""
_PUT_OFF: Final = (Reason.BACKING_OFF, Reason.WAITS_FOR_WINDOW)
"""Reasons for which a row of the queue has got a time of its own."""


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
        clock: EngineClock,
        new_id: NewId,
        progress: Progress,
        settings: LaneSettings,
        doorway: Doorway,
        told: Callable[[], None],
        woke: Callable[[Iterable[LaneId]], None],
    ) -> None:
        """`doorway` is the same for all lanes; `told` and `woke` as for `Cycle`."""
        self.lane = lane
        self._doorway = doorway
        self._open_kms = open_kms
        self._store = store
        self._sources = sources
        self._clock = clock
        self._new_id = new_id
        self._progress = progress
        self._settings = settings
        self._told = told
        self._woke = woke
        self._pace = Pace(lane, clock, waiting=progress.waiting)
        self._upkeep = Upkeep(
            lane, store=store, pace=self._pace, clock=clock, new_id=new_id, threshold=settings.skew_threshold, told=told
        )
        self._looks = asyncio.Event()
        self._imports = asyncio.Event()
        self._ahead: deque[Import] = deque()
        self._stale = True
        """Whether the queue changed since `_ahead` was read."""
        self._queue_empty = False
        """Whether it is known that nobody waits in the queue."""
        self._crowded_out: dict[asyncio.Event, None] = {}
        """Loops that wait for room, in the order in which they came: a set's order differs from process to process."""
        self._looks_until: datetime | None = None
        self._turns = Turns(lane.max_in_flight)
        self._setback = Setback(clock)
        self._turn_limit_s = (CALLS_PER_TURN * lane.call_timeout + TURN_SLACK).total_seconds()
        self._stopping = False
        self._ended = asyncio.Event()
        self._turned_back = asyncio.Event()
        """Set when whoever is first may set out sooner than was reckoned, and at the end."""

    @property
    def pace(self) -> Pace:
        """The lane's pace, for whoever else calls its KMS."""
        return self._pace

    def wake(self) -> None:
        """Look at the store again now."""
        self._turns.wake_all()
        self._looks.set()
        self._queue_changed()

    def stop(self) -> None:
        """Begin nothing new; `run` returns when what is in flight has ended."""
        self._stopping = True
        self._ended.set()
        self._turned_back.set()
        self.wake()

    async def run(self) -> None:
        """Work until stopped. A lost lease is taken anew, and everything looked at again."""
        loops = [f"{self.lane.name}/{loop}" for loop in ("looks", "imports")]
        for loop in loops:
            self._progress.expect(loop)
        try:
            async with self._open_kms(self.lane) as kms:
                await self._upkeep.begin()
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
            measure=self._upkeep.measure,
            straight_on=self._straight_on,
            woke=self._woke,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_loop(cycle, kms, group, epoch))
                group.create_task(self._import_loop(cycle, group))
            await self._upkeep.leave(epoch)
        except* LeaseLost as lost:
            log.warning("lease_lost", lane=self.lane.name, why=str(lost.exceptions[0]))
        finally:
            # The group has ended, turns that never began included: nobody works on anything any more.
            self._turns.clear()
            self._pace.all_turned_back()
            self._queue_changed()

    async def _acquire(self) -> int | None:
        while not self._stopping:
            try:
                return await self._store.acquire_lane(self.lane.id, node=self._settings.node, now=self._clock.now())
            except ByokdError as error:
                await self._trouble("looks", error)
        return None

    # -- looking ------------------------------------------------------------------------------------------------------

    async def _look_loop(self, cycle: Cycle, kms: Kms, group: asyncio.TaskGroup, epoch: int) -> None:
        while not self._stopping:
            self._looks.clear()
            self._looks_until = None  # until it rests, whatever a turn brings may be news
            self._crowded_out.pop(self._looks, None)
            try:
                await self._upkeep.keep(epoch)
                if self._upkeep.quotas_due:
                    group.create_task(self._ask_quotas(kms))
                again = await self._look_at_due(cycle, group)
                await self._upkeep.check_clock(kms)
            except LeaseLost:
                raise
            except ByokdError as error:
                await self._trouble("looks", error)
                continue
            await self._rest("looks", self._looks, again)

    async def _ask_quotas(self, kms: Kms) -> None:
        """Beside everything else: no key waits for a figure."""
        if await self._upkeep.ask_quotas(kms):
            self._turned_back.set()  # who waits for a token may have it sooner

    async def _look_at_due(self, cycle: Cycle, group: asyncio.TaskGroup) -> datetime | Absent:
        """Begin looking at what is due, as far as there is room; returns when more is due, ABSENT for want of room."""
        room = self._room_for_looks
        if self._turns.pays(room):
            now = self._clock.now()
            self._turns.forgive(self._clock.monotonic())
            due = await self._store.due(self.lane.id, now=now, limit=room + self._turns.taken)
            refs = [ref for ref in due if self._turns.free(ref)][:room]
            await self._begin(cycle.look, group, refs, loop="looks")
            self._turns.looks_wait = len(refs) == room
            if not self._turns.looks_wait:
                self._let_in()  # imports may have the room that was left to looks
                return await self._store.next_due_at(self.lane.id, after=now)
        self._crowded_out[self._looks] = None
        return ABSENT

    @property
    def _room_for_looks(self) -> int:
        return self._turns.room_for_looks(beside=0 if self._queue_empty else self._pace.abreast)

    def _straight_on(self, ref: KeyRef, tier: Tier) -> bool:
        """Whether an import that a look has just found due may set out at once; if so, it has.

        Not while anybody waits in the queue, who may have an earlier deadline, nor in the room that looks wait for.
        """
        if not self._queue_empty or self._turns.looks_want_room or self._stopping or self._pace.wait(tier):
            return False
        self._pace.set_out(ref)
        return True

    # -- importing ----------------------------------------------------------------------------------------------------

    async def _import_loop(self, cycle: Cycle, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._imports.clear()
            self._crowded_out.pop(self._imports, None)
            self._turned_back.clear()
            try:
                again = await self._read_ahead()
                if not self._ahead:
                    await self._rest("imports", self._imports, again)
                elif not self._turns.room_for_imports:
                    self._crowded_out[self._imports] = None
                    await self._rest("imports", self._imports, ABSENT)
                elif wait := self._pace.wait(self._ahead[0].tier):
                    await self._pause("imports", wait, self._turned_back)
                    # Somebody with an earlier deadline may have come meanwhile.
                else:
                    await self._begin(cycle.perform, group, self._setting_out(), loop="imports")
            except ByokdError as error:
                await self._trouble("imports", error)

    def _setting_out(self) -> list[KeyRef]:
        """Those at the head of the queue for whom there is room, and soon a token."""
        refs: list[KeyRef] = []
        while self._ahead and len(refs) < self._turns.room_for_imports and not self._pace.wait(self._ahead[0].tier):
            row = self._ahead.popleft()
            # Else its turn came another way since the row was read, or another material of the key goes first: its row
            # is read again when that turn is over.
            if self._turns.free(row.ref) and row.ref not in refs:
                refs.append(row.ref)
                self._pace.set_out(row.ref)
        return refs

    async def _read_ahead(self) -> datetime | Absent:
        """Fill `_ahead` with the earliest deadlines; returns when there is more, ABSENT if that was not asked.

        Whatever is new in the queue makes what was read before stale. Rows are read for several turns at once: a turn
        asks again whether its import is wanted, so a row read early does no harm.
        """
        if self._ahead and not self._stale:
            return ABSENT
        self._stale = False
        now = self._clock.now()
        self._turns.forgive(self._clock.monotonic())
        limit = self.lane.max_in_flight + self._turns.taken
        rows = await self._store.ready_imports(self.lane.id, now=now, limit=limit)
        self._ahead = deque(row for row in rows if self._turns.free(row.ref))
        self._queue_empty = not (self._ahead or self._stale)
        return ABSENT if self._ahead else await self._store.next_ready_at(self.lane.id, after=now)

    # -- both ---------------------------------------------------------------------------------------------------------

    async def _begin(self, turn: Turn, group: asyncio.TaskGroup, refs: list[KeyRef], *, loop: str) -> None:
        """Begin the turns of these keys."""
        if not refs:
            return
        self._progress.moved(f"{self.lane.name}/{loop}")
        for ref in refs:
            self._turns.begin(ref, look=loop == "looks")
        left = set(refs)
        try:
            for snapshot in await self._store.snapshots(refs):
                left.discard(snapshot.ref)
                group.create_task(self._guarded(turn, snapshot))
        finally:
            # A key that left the config meanwhile has no snapshot any more.
            for ref in left:
                self._ended_turn(ref)

    async def _guarded(self, turn: Turn, snapshot: Snapshot) -> None:
        """Run one key's turn so that whatever befalls it stays with this key."""
        ref = snapshot.ref
        self._progress.begin()
        try:
            await self._doorway.enter()
            async with asyncio.timeout(self._turn_limit_s):
                self._learn(await turn(snapshot))
            self._setback.worked()
            if self._turns.woken(ref):
                await self._store.wake([ref], at=self._clock.now())
                self._looks.set()
        except LeaseLost:
            raise
        except ByokdError as error:
            log.error("turn_failed", key=ref, error=error.code, why=str(error), step=error.step)
            self._leave_alone(ref, self._setback.failed())
        except Exception:
            log.exception("turn_defect", key=ref)
            self._leave_alone(ref, AFTER_DEFECT)
        finally:
            self._ended_turn(ref)
            self._progress.end()
            self._let_in()

    def _ended_turn(self, ref: KeyRef) -> None:
        self._turns.end(ref)
        if self._pace.turned_back(ref):
            self._turned_back.set()

    def _let_in(self) -> None:
        """Wake the loops that wait for room.

        Imports take any that there is: they come one by one, at the lane's pace, and a token that finds none waiting is
        lost. Looks come in numbers, and wait until it pays.
        """
        if not self._crowded_out:
            return
        pays = {
            self._looks: self._turns.pays(self._room_for_looks),
            self._imports: self._turns.room_for_imports > 0,
        }
        for event in [each for each in self._crowded_out if pays[each]]:
            del self._crowded_out[event]
            event.set()

    def _learn(self, decision: Decision) -> None:
        """Wake the loops for what a turn brought; a loop that sleeps past it would be late."""
        if self._looks_until is None or decision.wake_at < self._looks_until:
            self._looks.set()
        if isinstance(decision.action, ImportWanted) or decision.reason in _PUT_OFF:
            self._queue_changed()
            if self._ahead and self._pace.sooner(decision.tier, than=self._ahead[0].tier):
                self._turned_back.set()  # the loop may be waiting for a token that routine work gets much later

    def _queue_changed(self) -> None:
        self._stale = True
        self._queue_empty = False
        self._imports.set()

    def _leave_alone(self, ref: KeyRef, span: timedelta) -> None:
        self._turns.leave_alone(ref, self._clock.monotonic() + span.total_seconds())
        self._looks.set()
        self._queue_changed()

    async def _rest(self, loop: str, event: asyncio.Event, soonest: datetime | Absent) -> None:
        cap = self._settings.safety_wake
        cap_s = cap.total_seconds()
        until = self._clock.now() + cap
        if isinstance(soonest, datetime):
            until = min(until, soonest)
        # Who waits for room takes nobody in, be it forgiven or not, and is woken when there is room.
        if event not in self._crowded_out and (forgiven_s := self._turns.first_forgiven_s) is not None:
            cap_s = max(0.0, min(cap_s, forgiven_s - self._clock.monotonic()))
        if event is self._looks:
            self._looks_until = until
        with self._progress.resting(f"{self.lane.name}/{loop}", cap_s):
            await self._clock.wait(event, until=until, cap_s=cap_s)

    async def _pause(self, loop: str, seconds: float, event: asyncio.Event) -> None:
        """Wait, unless the event comes first."""
        name = f"{self.lane.name}/{loop}"
        with self._progress.resting(name, seconds):
            await self._clock.wait(event, until=self._clock.now() + timedelta(seconds=seconds + 1), cap_s=seconds)

    async def _trouble(self, loop: str, error: ByokdError) -> None:
        log.error("lane_trouble", lane=self.lane.name, error=error.code, why=str(error), step=error.step)
        await self._pause(loop, self._setback.failed().total_seconds(), self._ended)
