"""What stands between one process of byokd and its world, so that the process can die at any await.

Every call through a port passes the door before and after it is carried out. A crash closes the door at the n-th
passage: from then on nothing the process does has any effect, and whoever passes waits until it is cancelled. What a
dead process had in flight in KMS goes on there, as it does in life.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from byokd.errors import ChannelError, LeaseLost, SourceUnsafe, StoreBusy, StoreError, StoreFull
from byokd.facts.change import Change
from byokd.facts.condition import Message, Notice
from byokd.facts.key import LaneId, WrappingAlgorithm
from byokd.facts.policy import LearnedPace
from byokd.ports import MaterialProof, Sealed
from tests.kit.fake_source import FakeSource
from tests.sim.book import Book
from tests.sim.loop import virtual_sleep
from tests.sim.traffic import PARAMETERS

WRITES: Final = frozenset(
    (
        "sync_fleet",
        "acquire_lane",
        "save",
        "wake",
        "add_orders",
        "save_conditions",
        "save_notices",
        "tell_anew",
        "replace_notices",
    )
)
_FIRST: Final = {"import": "get_parameters", "rotation": "rotate_on_demand"}
"""From which call on a crash of this kind counts the passages."""


class Door:
    """The way between one process and the world."""

    def __init__(self, crashed: asyncio.Event) -> None:
        self.open = True
        self.watched = False
        """Whether the door is closed, or will be at some passage: else there is nothing to ask at one."""
        self._crashed = crashed
        self._passages: int | None = None
        self._first = ""

    def crash_after(self, passages: int, *, of: str = "any") -> None:
        """Die at the n-th passage from now, or from the next import or rotation on."""
        self.watched = True
        self._passages, self._first = passages, _FIRST.get(of, "")

    def crash_never(self) -> None:
        """Forget the passage at which to die."""
        self._passages, self.watched = None, not self.open

    def close(self) -> None:
        """The process is dead."""
        self.watched = True
        self.open = False

    def passable(self, name: str = "") -> bool:
        """Whether whoever comes now passes, or waits for ever. `name` is that of the port's method."""
        if self._passages is not None and self.open:
            if name == self._first:
                self._first = ""
            if not self._first:
                self._passages -= 1
                if self._passages <= 0:
                    self.open = False
                    self._crashed.set()
        return self.open

    def of(self, port: Any, *, before: Callable[[str], bool] | None = None) -> Any:
        """A port behind this door; `before` may refuse a call by raising, or let others go first."""
        return _Behind(self, port, before)


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


class _Behind:
    def __init__(self, door: Door, port: Any, before: Callable[[str], bool] | None) -> None:
        self._door, self._port, self._before = door, port, before

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(member):
            if callable(member):
                setattr(self, name, member)
            return member
        door, before = self._door, self._before

        async def call(*arguments: Any, **named: Any) -> Any:
            if door.watched and not door.passable(name):
                await _for_ever()
            if before is not None and before(name):
                await asyncio.sleep(0)
            answer = await member(*arguments, **named)
            if door.watched and not door.passable():
                await _for_ever()
            return answer

        setattr(self, name, call)
        return call


class StoreTrouble:
    """The disk's bad days."""

    def __init__(self, rng: random.Random) -> None:
        self.share = 0.0
        self.full = False
        self._rng = rng

    def strike(self, name: str) -> bool:
        """Whether the call takes a moment and lets others go first.

        Raises, on bad days: at writes where the disk is full, at any call where somebody holds the database.
        """
        if self.share and (name in WRITES or not self.full) and self._rng.random() < self.share:
            raise StoreFull("no space left") if self.full else StoreBusy("the database is locked")
        return self._rng.random() < 0.05


class WatchedStore:
    """The store, read over its shoulder by the book. Implements `ports.Store` by handing everything on."""

    def __init__(self, store: Any, book: Book) -> None:
        self._store, self._book = store, book

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def save(self, change: Change) -> None:
        """See `ports.Store`. Troubles come before the watch: what fails here has concluded what cannot be saved."""
        try:
            await self._store.save(change)
        except LeaseLost:
            raise
        except StoreError as error:
            self._book.broken("no defect", change.snapshot.ref, str(error))
            raise
        self._book.saved(change)

    async def keep_lane(self, lane: LaneId, *, paces: Mapping[str, LearnedPace], **kept: Any) -> None:
        """See `ports.Store`."""
        await self._store.keep_lane(lane, paces=paces, **kept)
        self._book.traffic.learned(lane, paces.get(PARAMETERS))

    async def save_conditions(self, conditions: Any) -> None:
        """See `ports.Store`."""
        await self._store.save_conditions(conditions)
        for each in conditions:
            self._book.stated(each)

    async def save_notices(self, condition_id: str, notices: Sequence[Notice], **decided: Any) -> None:
        """See `ports.Store`."""
        await self._store.save_notices(condition_id, notices, **decided)
        for each in notices:
            self._book.watch.noticed(each)


class SimSource(FakeSource):
    """A source whose materials go missing, change and hang; implements `ports.Source`."""

    def __init__(self) -> None:
        super().__init__()
        self._proofs: dict[bytes | None, MaterialProof] = {}
        """By material, of which a fingerprint is dear."""
        self.modes: dict[str, str] = {}
        """By locator: missing, changed, hang, unsafe or short."""
        self.released = asyncio.Event()
        """Set, and replaced, whenever a mode changes: what hangs looks again."""

    def change(self, locator: str, mode: str) -> None:
        """From now on, this is how the source is; an empty mode means well."""
        self.modes.pop(locator, None)
        if mode:
            self.modes[locator] = mode
        self.released.set()
        self.released = asyncio.Event()

    async def prove(self, locator: str) -> MaterialProof:
        """See `ports.Source`."""
        return await self._proof(locator)

    async def seal(self, locator: str, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """See `ports.Source`."""
        self.calls.clear()
        return await super().seal(locator, public_key=public_key, algorithm=algorithm)

    async def _proof(self, locator: str) -> MaterialProof:
        await virtual_sleep(0.002)
        while self.modes.get(locator) == "hang":
            await self.released.wait()
        match self.modes.get(locator):
            case "missing":
                return await FakeSource()._proof(locator)
            case "changed":
                return await FakeSource({locator: self.materials[locator][::-1]})._proof(locator)
            case "short":
                return await FakeSource({locator: self.materials[locator][:-1]})._proof(locator)
            case "unsafe":
                raise SourceUnsafe(f"{locator} can be read by others")
            case _:
                material = self.materials.get(locator)
                if material not in self._proofs:
                    self._proofs[material] = await super()._proof(locator)
                return self._proofs[material]


class SimChannel:
    """A channel that is down or hangs at times; implements `ports.Channel`."""

    name = "inbox"

    def __init__(self, book: Book) -> None:
        self.mode = ""
        self.reader: Callable[[Notice], None] = lambda notice: None
        """Who does what a notice asks for."""
        self._book = book

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`."""
        await virtual_sleep(0.05)
        if self.mode == "hang":
            await virtual_sleep(20.0)
        if self.mode:
            raise ChannelError("the receiver does not answer")
        for notice in message.notices:
            self._book.heard(notice)
            self.reader(notice)
