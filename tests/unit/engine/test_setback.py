"""A store that takes nothing is left alone for longer each time, and asked again within a minute when it works."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from byokd.engine.setback import Setback
from byokd.errors import StoreFull
from byokd.facts.change import Change
from byokd.facts.key import KeyArn, KeyRef, KeyState
from tests.kit.builders import ARN, desired, lane
from tests.kit.clock import ManualClock
from tests.kit.memory_store import MemoryStore
from tests.kit.world import CALM, World, running


class Disk(MemoryStore):
    """A store whose disk may be full."""

    full = False

    async def save(self, change: Change) -> None:
        if self.full:
            raise StoreFull("no space left on device")
        await super().save(change)


async def test_a_full_disk_is_not_asked_every_five_seconds() -> None:
    """A key whose record could not be written was looked at again every five seconds, for as long as that took."""
    disk = Disk()
    world = World(store=disk)
    await world.add()
    disk.full = True
    async with running(world):
        await world.pass_time(timedelta(minutes=10), step=timedelta(seconds=1))
        assert world.kms.count("DescribeKey") <= 16
        assert world.kms.count("GetParametersForImport") == 0
        disk.full = False
        await world.pass_time(timedelta(seconds=61), step=timedelta(seconds=1))
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_a_clock_that_is_set_back_while_the_disk_is_full_keeps_no_key_waiting() -> None:
    """The key was left alone until a time that the clock, seven hours ahead, had shown; it lapsed meanwhile."""
    disk = Disk()
    world = World(store=disk)
    await world.add()
    async with running(world):
        await world.pass_time(timedelta(seconds=10), step=timedelta(seconds=1))
        disk.full = True
        world.clock.step(7 * 3600)
        await world.pass_time(timedelta(minutes=4), step=timedelta(seconds=1))
        world.clock.step(-7 * 3600)
        disk.full = False
        looks = world.kms.count("DescribeKey")
        await world.pass_time(timedelta(minutes=3), step=timedelta(seconds=1))
        assert world.kms.count("DescribeKey") > looks


MANY = 100


class Counting(ManualClock):
    """A clock that counts for how long anybody waits for nothing."""

    waits = 0

    async def wait(self, event: asyncio.Event, *, until: datetime, cap_s: float = 60.0) -> None:
        self.waits += cap_s <= 0
        assert self.waits < MANY, "a loop turns in a circle"
        await super().wait(event, until=until, cap_s=cap_s)


async def test_a_key_whose_time_has_come_waits_for_room_like_any_other() -> None:
    """Of a lane whose only turn hung, the loop went round and round once a key that was left alone was due again."""
    disk, clock = Disk(), Counting()
    world = World(store=disk, clock=clock, lane=lane(max_in_flight=1))
    await world.add()
    disk.full = True
    async with running(world):
        other = ARN.replace("0001", "0002")
        await world.add(desired(ref=KeyRef(other), name="other", arn=KeyArn(other)))
        gate = world.kms.gate("DescribeKey")
        assert world.engine is not None
        world.engine.wake()
        for _ in range(60 * CALM):  # the engine does not come to rest while a turn hangs
            clock.advance(1 / CALM)
            await asyncio.sleep(0)
        assert clock.waits < MANY
        gate.set()


def test_failures_that_come_together_count_as_one() -> None:
    """Sixteen turns that meet the same full disk are one setback; the next round is another."""
    clock = ManualClock()
    setback = Setback(clock)
    assert {setback.failed() for _ in range(16)} == {timedelta(seconds=5)}
    clock.advance(5)
    assert {setback.failed() for _ in range(16)} == {timedelta(seconds=10)}


def test_what_worked_for_long_begins_anew() -> None:
    """Nobody remembers yesterday's trouble, whether something worked since or nobody tried."""
    clock = ManualClock()
    setback = Setback(clock)
    waits = []
    for _ in range(6):
        waits.append(setback.failed().total_seconds())
        clock.advance(waits[-1])
    assert waits == [5, 10, 20, 40, 60, 60]
    setback.worked()
    assert setback.failed() == timedelta(seconds=5)
    clock.advance(5)
    assert setback.failed() == timedelta(seconds=10)
    clock.advance(600)
    assert setback.failed() == timedelta(seconds=5)
