"""A simulated world: the real engine on virtual time, a KMS for each lane, and the events of a plan.

    plan ──▶ events ──▶ weather, sources, people, clocks, crashes
                              │
    ModelKms ◀── door ── Engine ── door ──▶ store, channel
        │                                     │
        └──────────────▶  book  ◀─────────────┘ ──▶ laws

First the safety phase: events come and go, laws hold all the same. Then everything is put right, and the liveness
phase begins: within a span that follows from the policies, all must be well again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from byokd.decide.notices import Audience
from byokd.engine.engine import Engine, Setup
from byokd.facts.condition import Severity
from byokd.facts.key import (
    ABSENT,
    Absent,
    LaneId,
)
from byokd.facts.ledger import HistoryEntry, HistoryEvent, Order, OrderKind, OrderState
from byokd.facts.policy import Lane
from byokd.ports import Kms
from tests.kit.builders import lane as base_lane
from tests.kit.memory_store import MemoryStore
from tests.sim.book import Book
from tests.sim.clocks import HostClock, Times, at
from tests.sim.doors import Door, SimChannel, SimSource, StoreTrouble, WatchedStore
from tests.sim.fleet import Fleet, SimKey
from tests.sim.model import ModelKms
from tests.sim.plan import Plan
from tests.sim.traffic import PARAMETERS

REMIND: Final = timedelta(days=2)


class World(Fleet):
    """Built inside a running virtual loop."""

    def __init__(self, plan: Plan, *, store: Any = None, rng: random.Random | None = None) -> None:
        self.plan = plan
        self.rng = rng or random.Random(f"{plan.seed} in the making")
        self.times = Times()
        self.host = HostClock(self.times, notices=plan.notices_steps)
        self.book = Book(lambda: self.times.true_s, lambda: self.host.off_by_s)
        self.source = SimSource()
        self.channel = SimChannel(self.book)
        self.trouble = StoreTrouble(random.Random(f"{plan.seed} disk"))
        self.memory: Any = store if store is not None else MemoryStore()
        self.store: Any = WatchedStore(self.memory, self.book)
        self.lanes = [
            ModelKms(each, self.times, self.host, random.Random(f"{plan.seed} {each.id}"), self.book)
            for each in plan.lanes
        ]
        self.in_flight = {lane.plan.id: lane.plan.in_flight for lane in self.lanes}
        for lane in self.lanes:
            lane.regions = {each.plan.region: each for each in self.lanes if each.plan.account == lane.plan.account}
        self.keys = []
        self._make_keys()
        self.sources_gone = False
        self.crashed = asyncio.Event()
        self.door = Door(self.crashed)
        self.engine: Engine | None = None
        self._ids = itertools.count(1)
        self._queue: list[tuple[float, int, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._order = itertools.count()
        self._waiting: asyncio.Future[Any] | None = None
        self._down_since: float | None = None

    # -- time ---------------------------------------------------------------------------------------------------------

    def at(self, when_s: float, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let something happen at a true time."""
        heapq.heappush(self._queue, (when_s, next(self._order), what))
        if self._waiting is not None:
            self._waiting.cancel()  # for something later, it may be

    async def run_until(self, end_s: float) -> None:
        """Let time pass until `end_s`, with all that is to happen meanwhile."""
        while True:
            if self.crashed.is_set():
                self.crashed.clear()
                await self.died()
            if self._queue and self._queue[0][0] <= min(self.now_s, end_s):
                _, _, what = heapq.heappop(self._queue)
                await what()
                continue
            upto = min(end_s, self._queue[0][0]) if self._queue else end_s
            if self.now_s >= end_s - 1e-6:
                return
            self._waiting = asyncio.ensure_future(self.crashed.wait())
            await asyncio.wait((self._waiting,), timeout=max(1e-4, upto - self.now_s))
            self._waiting.cancel()

    # -- the process --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start a process of byokd on whatever the store holds."""
        if self.engine is not None:
            return
        self.door = Door(self.crashed)
        store = self.door.of(self.store, before=self.trouble.strike)
        for lane in self.lanes:
            self.book.restarted(lane.plan.id, lane.allowed)
            learned = await self.memory.learned_paces(LaneId(lane.plan.id))
            # What was learned of another quota says nothing about this one.
            if (pace := learned.get(PARAMETERS)) is not None and pace.per_second == lane.allowed_per_second:
                self.book.watch.recalls(lane.plan.id, pace.share)
        for life in self.book.lives.values():
            life.read = life.shown = None
        self.engine = Engine(store=store, clock=self.host, new_id=self.new_id, open_kms=self._lane_begins, node="sim")
        self.up()
        self.book.tell("*", "byokd starts")
        await self.reload()

    async def reload(self) -> None:
        """Let the engine take over what the config is now."""
        if self.engine is not None:
            await self.engine.apply(self.setup())
            if self.engine._chores is not None:
                self.engine._chores._scheduler.pause()  # a calendar goes by real time; the world has its own

    async def chore(self, what: Coroutine[Any, Any, Any]) -> bool:
        """Have byokd do what its calendar does: whether it came to the end. A crash in the middle takes it along."""
        doing, gone = asyncio.ensure_future(what), asyncio.ensure_future(self.crashed.wait())
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not doing.done():
            doing.cancel()
            return False
        doing.result()
        return True

    def up(self) -> None:
        """byokd runs again."""
        if self._down_since is not None:
            self.book.obstacles.add("*", self._down_since, self.now_s, "byokd is down")
            self.book.obstacles.add("voice", self._down_since, self.now_s, "byokd is down")
            self._down_since = None

    def down(self) -> None:
        """byokd does not run any more."""
        self.engine = None
        if self._down_since is None:
            self._down_since = self.now_s

    @property
    def alive_until_s(self) -> float:
        """Up to when byokd has run: now, or when it went down."""
        return self.now_s if self._down_since is None else self._down_since

    async def stop(self) -> None:
        """As SIGTERM does; what does not end in 90 s is killed, as systemd would."""
        if self.engine is None:
            return
        ending = asyncio.ensure_future(self.engine.stop())
        await asyncio.wait((ending,), timeout=90.0)
        ending.cancel()
        await self.kill()

    async def kill(self) -> None:
        """As kill -9 does: whatever was in flight is gone, and writes nothing more."""
        self.door.close()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine and not _outlives(task)]
        tasks.sort(key=lambda task: (len(task.get_name()), task.get_name()))
        if self.engine is not None and self.engine._chores is not None:
            self.engine._chores.stop()
        while tasks:
            for task in tasks:
                task.cancel()
            # A lane whose lease was lost in the same moment goes on: a TaskGroup raises the error, which is handled.
            await asyncio.wait(tasks, timeout=1.0)
            tasks = [task for task in tasks if not task.done()]
        self.down()

    async def died(self) -> None:
        """A crash came true: the process is gone, and comes back after a while."""
        self.book.tell("*", "byokd is killed")
        again_s, passages = self.comeback_s, self.again
        await self.kill()

        async def back() -> None:
            await self.start()
            if passages and not self.at_peace:
                self.again = passages - 1
                self.door.crash_after(self.rng.randint(1, 40))

        self.at(self.now_s + again_s, back)

    comeback_s = 10.0
    again = 0
    at_peace = False

    async def make_peace(self) -> None:
        """No more crashes: one that the storm prepared and that nothing has set off yet would come in the peace."""
        self.at_peace = True
        self.door.crash_never()
        await self.start()

    def new_id(self) -> str:
        """Ids that sort by their making."""
        return f"{next(self._ids):012d}"

    def setup(self) -> Setup:
        """What the config comes to now."""
        return Setup(
            lanes=tuple(self.lane(lane) for lane in self.lanes),
            sources={} if self.sources_gone else {"files": self.door.of(self.source)},
            channels={"inbox": self.door.of(self.channel)},
            audiences=(
                Audience(
                    channel="inbox", min_severity=Severity.WARNING, remind_every=REMIND, gather_for=timedelta(hours=1)
                ),
            ),
            safety_wake=timedelta(seconds=self.plan.safety_wake_s),
            skew_threshold=timedelta(seconds=30),
            history_for=timedelta(days=4000),
        )

    def lane(self, kms: ModelKms) -> Lane:
        """A lane of the config."""
        return base_lane(
            id=LaneId(kms.plan.id),
            name=kms.plan.id,
            account=kms.plan.account,
            region=kms.plan.region,
            max_in_flight=self.in_flight[kms.plan.id],
            quotas=dict(kms.allowed),
            reserve=kms.plan.reserve,
        )

    @asynccontextmanager
    async def _lane_begins(self, lane: Lane) -> AsyncIterator[Kms]:
        """A lane whose settings changed begins anew when its last turns have ended, which is later than the reload."""
        self.book.traffic.restarted(lane.id, dict(lane.quotas))
        async with self._open_kms(lane) as kms:
            yield kms

    @asynccontextmanager
    async def _open_kms(self, lane: Lane) -> AsyncIterator[Kms]:
        kms = next(kms for kms in self.lanes if kms.plan.id == lane.id)
        kms.opened()
        yield self.door.of(kms)

    # -- orders and the config ----------------------------------------------------------------------------------------

    async def sync(self) -> None:
        """Make the fleet on record that of the config; a broken disk is tried again until it works."""
        wanted = [key.desired for key in self.keys if key.tracked]
        await self.memory.sync_fleet(wanted, now=self.host.now())
        await self.reload()

    async def order(self, key: SimKey, kind: OrderKind, *, until_s: float | None = None) -> None:
        """An operator orders something; the daemon stamps it, by the clock that it goes by."""
        now = self.host.now() if self.engine is None else self.engine.clock.now()
        order = Order(
            id=self.new_id(),
            ref=key.desired.ref,
            kind=kind,
            state=OrderState.OPEN,
            by="operator",
            why="simulated",
            created_at=now,
            until=ABSENT if until_s is None else at(until_s) + (now - at(self.now_s)),
            lose=kind is OrderKind.SUSPEND,
        )
        entry = HistoryEntry(at=now, ref=order.ref, event=HistoryEvent.ORDER_GIVEN, detail=kind.value)
        if key.tracked:
            await self.memory.add_orders([(order, entry)])
            self.book.ordered(order, empty=isinstance(key.lane.managed_expiry(key.arn), Absent))
            if self.engine is not None:
                self.engine.wake()


def _outlives(task: asyncio.Task[Any]) -> bool:
    """Whether a task is not the process's own: a request that KMS has already, or the database at work."""
    code = getattr(task.get_coro(), "cr_code", None)
    return task.get_name() == "late request" or (code is not None and "/byokd/store/" in code.co_filename)
