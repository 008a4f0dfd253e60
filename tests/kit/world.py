"""The real engine in a world of fakes, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from byokd.decide.notices import Audience
from byokd.engine.engine import Engine, Setup
from byokd.facts.condition import Message, Notice, Severity
from byokd.facts.key import KeyRef
from byokd.facts.ledger import HistoryEntry, HistoryEvent, Import, Order, OrderKind
from byokd.facts.policy import DesiredKey, Lane
from byokd.facts.snapshot import Snapshot
from byokd.ports import Channel, Kms, OpenKms, Source, Store
from byokd.ports.estate import OpenEstate
from tests.kit.builders import ARN, desired, lane, order
from tests.kit.clock import ManualClock
from tests.kit.fake_kms import FakeKms
from tests.kit.fake_source import FakeSource
from tests.kit.memory_store import MemoryStore

MATERIAL_BYTES = bytes(range(32))
CALM = 40
"""Turns of the loop, all of them idle, after which nothing that time or a wake has set off is still on its way."""
BREATH_S = 0.001
"""Between two looks at an engine that is waiting for a thread, which would have to fight for the interpreter."""


class Inbox:
    """A channel that keeps what it is told."""

    name = "inbox"

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.notices: list[Notice] = []

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        self.messages.append(message)
        self.notices += message.notices

    @property
    def said(self) -> list[str]:
        """What was told, as `kind condition`."""
        return [f"{each.kind.value} {each.condition.kind.value}" for each in self.notices]


class World:
    """One lane with its keys, its source and its inbox; `engine` may be killed and started again."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        lane: Lane | None = None,
        clock: ManualClock | None = None,
        open_kms: OpenKms | None = None,
        open_estate: OpenEstate | None = None,
        source: Source | None = None,
        other_lanes: tuple[Lane, ...] = (),
    ) -> None:
        """Fakes, except for the real parts that are given."""
        self.other_lanes = other_lanes
        self.clock = clock or ManualClock()
        self.kms = FakeKms(self.clock)
        self.source = FakeSource()
        self.inbox = Inbox()
        self.channel: Channel = self.inbox
        self.gather_for = timedelta()
        self.lane = lane or _default_lane()
        self._ids = itertools.count(1)
        self.store: Store = store or MemoryStore()
        self.engine: Engine | None = None
        self._open_kms = open_kms or self._open_fake
        self._open_estate = open_estate
        self._source = source or self.source

    def new_id(self) -> str:
        """Ids that sort by their making."""
        return f"{next(self._ids):012d}"

    async def add(
        self, key: DesiredKey | None = None, *, material: bytes = MATERIAL_BYTES, create: bool = True
    ) -> KeyRef:
        """Put a key into the config, its material into the source and, if `create`, the key itself into KMS."""
        key = key or desired()
        if create:
            self.kms.create(str(key.arn))
        self.source.materials[key.locator] = material
        await self.store.sync_fleet([key], now=self.clock.now())
        return key.ref

    async def start(self, *, rest: bool = True, within_s: float = 20.0) -> None:
        """Start an engine on whatever the store holds, and let it come to `rest`."""
        self.engine = Engine(
            store=self.store,
            clock=self.clock,
            new_id=self.new_id,
            open_kms=self._open_kms,
            open_estate=self._open_estate,
            node="test",
        )
        await self.engine.apply(self.setup())
        if rest:
            await self.settle(within_s=within_s)

    def setup(self, **changes: Any) -> Setup:
        """What a config would come to."""
        values: dict[str, Any] = {
            "lanes": (self.lane, *self.other_lanes),
            "sources": {"files": self._source},
            "channels": {"inbox": self.channel},
            "audiences": (
                Audience(
                    channel="inbox",
                    min_severity=Severity.WARNING,
                    remind_every=timedelta(days=1),
                    gather_for=self.gather_for,
                ),
            ),
            "safety_wake": timedelta(hours=1),
            "skew_threshold": timedelta(seconds=30),
            "history_for": timedelta(days=400),
        }
        return Setup(**(values | changes))

    @asynccontextmanager
    async def _open_fake(self, _: Lane) -> AsyncIterator[Kms]:
        yield self.kms

    async def order(self, kind: OrderKind, *, wait: bool = True, **changes: Any) -> Order:
        """Give an order and, if `wait`, let the engine carry it out, as far as it can."""
        now = self.clock.now()
        new = order(kind, **({"id": self.new_id(), "created_at": now} | changes))
        await self.store.add_orders(
            [(new, HistoryEntry(at=now, ref=new.ref, event=HistoryEvent.ORDER_GIVEN, detail=kind.value))]
        )
        assert self.engine is not None
        self.engine.wake()
        if wait:
            await self.settle()
        return new

    async def stop(self) -> None:
        """Stop as SIGTERM does."""
        if self.engine is not None:
            await self.engine.stop()
            self.engine = None

    async def kill(self, *, servers: bool = True) -> None:
        """Stop as kill -9 does: nothing more is written, nothing finished. Without `servers`, a local KMS lives on."""
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not servers:
            tasks = [task for task in tasks if task.get_name().startswith(("lane ", "notify"))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.engine = None

    async def settle(self, *, within_s: float = 20.0, unless: asyncio.Event | None = None) -> None:
        """Let the engine run until only time or a wake can bring something new, or until something has happened."""
        assert self.engine is not None
        unless = unless or asyncio.Event()
        calm = busy = 0
        try:
            async with asyncio.timeout(within_s):
                while calm < CALM and not unless.is_set():
                    await asyncio.sleep(0 if busy < 200 else BREATH_S)
                    calm, busy = (calm + 1, 0) if self.engine.idle else (0, busy + 1)
        except TimeoutError:
            raise AssertionError(f"the engine did not come to rest within {within_s} s") from None

    async def pass_time(
        self, span: timedelta, *, step: timedelta = timedelta(minutes=30), within_s: float = 20.0
    ) -> None:
        """Let time pass in steps, the engine keeping up with each, and nobody woken late within one."""
        end = self.clock.now() + span
        while self.clock.now() < end:
            stop = self.clock.monotonic() + min(step, end - self.clock.now()).total_seconds()
            while (left_s := stop - self.clock.monotonic()) > 1e-6:
                self.clock.advance(self.clock.first(left_s))
                await self.settle(within_s=within_s)

    async def know(self, ref: KeyRef | None = None) -> Snapshot:
        """What is on record about a key."""
        (snapshot,) = await self.store.snapshots([ref or KeyRef(ARN)])
        return snapshot

    async def imports(self) -> Sequence[Import]:
        """Every row of the queue, newest first."""
        return await self.store.imports(only_open=False, limit=1000)

    async def history(self) -> list[str]:
        """What happened, oldest first."""
        entries: Sequence[HistoryEntry] = await self.store.history(None, limit=1000)
        return [entry.event.value for entry in reversed(entries)]


def _default_lane() -> Lane:
    return lane()


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    """A world whose engine runs inside the block."""
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
