"""Several lanes in one daemon: each has its own pace, quota and trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.engine.engine import Engine
from byokd.errors import AccessDenied, KmsUnreachable, StoreError, Throttled
from byokd.facts.condition import OpenCondition
from byokd.facts.key import KeyRef, KeyState, LaneId
from byokd.facts.policy import Lane, LearnedPace, Quota
from byokd.ports import Kms, Store
from tests.kit.builders import ARN, OPERATIONS, desired, lane
from tests.kit.fake_kms import FakeKms
from tests.kit.memory_store import MemoryStore
from tests.kit.world import World, running

SLOW = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
SLOW["GetParametersForImport"] = Quota(per_second=0.001, burst=1)
"""Hardly any import a day."""
OTHER_REGION = "us-east-1"
OTHER = LaneId(f"111122223333/{OTHER_REGION}")


class TwoLanes(World):
    """A world with a second lane, in another Region, that has a KMS of its own."""

    def __init__(self, store: Store | None = None) -> None:
        super().__init__(store=store, open_kms=self._opened)
        self.opened: list[Lane] = []
        """What KMS was opened for, oldest first."""
        self.other_kms = FakeKms(self.clock)
        self.other = replace(self.lane, id=OTHER, name="other", region=OTHER_REGION)
        self.lanes: tuple[Lane, ...] = (self.lane, self.other)

    @asynccontextmanager
    async def _opened(self, which: Lane) -> AsyncIterator[Kms]:
        self.opened.append(which)
        yield self.kms if which.id == self.lane.id else self.other_kms

    def setup(self, **changes: Any) -> Any:
        return super().setup(**({"lanes": self.lanes} | changes))

    async def furnish(self) -> str:
        """One key in each lane; returns the other's ARN."""
        arn = ARN.replace("eu-central-1", OTHER_REGION)
        self.kms.create(ARN)
        self.other_kms.create(arn)
        self.source.materials["payments.key"] = bytes(32)
        elsewhere = desired(arn=arn, ref=KeyRef(arn), name=arn, lane=OTHER)  # type: ignore[arg-type]  # plain text
        await self.store.sync_fleet([desired(), elsewhere], now=self.clock.now())
        return arn


class FullDisk(MemoryStore):
    """A store that can be told to save no condition."""

    full = False

    async def save_conditions(self, conditions: Sequence[OpenCondition]) -> None:
        """See `ports.Store`."""
        if self.full:
            raise StoreError("The disk is full.")
        await super().save_conditions(conditions)


async def test_a_lane_that_hangs_slows_no_other() -> None:
    """Nothing that one account does not answer keeps another from its renewals."""
    world = TwoLanes()
    arn = await world.furnish()
    gate = world.kms.gate("DescribeKey")
    await world.start(rest=False)
    await _run_on()
    assert world.other_kms.state(arn) is KeyState.ENABLED
    assert world.kms.count("GetParametersForImport") == 0
    gate.set()
    await world.settle()
    assert world.kms.state(ARN) is KeyState.ENABLED
    await world.stop()


async def test_a_lane_that_cannot_be_reached_slows_no_other() -> None:
    """Its keys are told as not seen; the others live on."""
    world = TwoLanes()
    arn = await world.furnish()
    world.kms.fail("DescribeKey", *[KmsUnreachable("no route")] * 10_000)
    async with running(world):
        await world.pass_time(timedelta(days=100), step=timedelta(hours=6))
        assert world.other_kms.state(arn) is KeyState.ENABLED
        assert "raised could_not_look" in world.inbox.said


async def test_throttling_slows_its_own_lane_and_is_remembered() -> None:
    """The next daemon begins at the pace that this one has come down to, and the other lane never noticed."""
    world = TwoLanes()
    arn = await world.furnish()
    world.kms.fail("GetParametersForImport", *[Throttled("Rate exceeded")] * 10_000)
    async with running(world):
        await world.pass_time(timedelta(minutes=11), step=timedelta(seconds=20))
        assert world.other_kms.state(arn) is KeyState.ENABLED
    assert (await world.store.learned_paces(world.lane.id))["GetParametersForImport"].share < 0.5
    assert await world.store.learned_paces(OTHER) == {}


async def test_what_service_quotas_tells_takes_the_place_of_the_configured_pace() -> None:
    """An account whose quota was raised uses it from the first minute."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.25, burst=1)
    world = World(lane=lane(quotas=quotas, read_quotas=True, quota_share=0.5))
    world.kms.quotas = {"GetParametersForImport": 4.0}
    await _import_ten(world)
    assert await _seconds_to_import(world, 10) <= 6


async def test_quotas_that_cannot_be_read_leave_the_configured_pace() -> None:
    """A missing permission costs pace and nothing else."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.5, burst=1)
    world = World(lane=lane(quotas=quotas, read_quotas=True))
    world.kms.fail("ListServiceQuotas", AccessDenied("not allowed"))
    await _import_ten(world)
    assert 16 <= await _seconds_to_import(world, 10) <= 22


async def test_service_quotas_that_hang_keep_no_key_waiting() -> None:
    """The lane begins at its configured pace, and changes it when the answer comes after all."""
    world = World(lane=lane(quotas=SLOW, read_quotas=True))
    world.kms.quotas = {"GetParametersForImport": 4.0}
    gate = world.kms.gate("ListServiceQuotas")
    await _import_ten(world)
    async with running(world):
        assert world.kms.count("ImportKeyMaterial") == 1
        gate.set()
        await world.settle()
        await world.pass_time(timedelta(seconds=4), step=timedelta(seconds=1))
        assert world.kms.count("ImportKeyMaterial") == 10
        assert world.kms.count("ListServiceQuotas") == 1


async def test_quotas_that_could_not_be_read_are_asked_for_again() -> None:
    """A network that is late at boot costs minutes of pace and not a day."""
    world = World(lane=lane(quotas=SLOW, read_quotas=True))
    world.kms.quotas = {"GetParametersForImport": 100.0}
    world.kms.fail("ListServiceQuotas", KmsUnreachable("no route"))
    await _import_ten(world)
    async with running(world):
        await world.pass_time(timedelta(hours=2), step=timedelta(minutes=5))
        assert world.kms.count("ImportKeyMaterial") == 10


async def test_what_was_learned_of_another_quota_is_void() -> None:
    """Who raises per_second to the pace that was found out does not go four times as fast as that."""
    world = World(lane=lane(quotas=SLOW | {"GetParametersForImport": Quota(per_second=1, burst=1, ceiling=4)}))
    await _learn(world, LearnedPace(share=4.0, limit=4.0, limited_at=world.clock.now(), per_second=0.25))
    await _import_ten(world)
    assert 9 <= await _seconds_to_import(world, 10) <= 11


async def test_what_was_learned_of_the_account_s_own_quota_outlives_a_restart() -> None:
    """It is gone on with when Service Quotas has told the same figure again."""
    world = World(lane=lane(quotas=SLOW, read_quotas=True))
    world.kms.quotas = {"GetParametersForImport": 2.0}
    await _learn(world, LearnedPace(share=0.25, limit=1.0, limited_at=world.clock.now(), per_second=2.0))
    await _import_ten(world)
    assert 13 <= await _seconds_to_import(world, 10) <= 19


async def test_what_was_learned_a_moment_ago_is_kept_by_a_stop() -> None:
    """A restart minutes after ThrottlingException goes on as slowly as the daemon had become."""
    world = World()
    await world.add()
    world.kms.fail("GetParametersForImport", *[Throttled("Rate exceeded")] * 3)
    async with running(world):
        await world.pass_time(timedelta(seconds=40), step=timedelta(seconds=5))
        assert world.kms.state(ARN) is KeyState.ENABLED
    assert (await world.store.learned_paces(world.lane.id))["GetParametersForImport"].share < 0.5


async def test_a_lane_that_hangs_keeps_no_reload_from_another() -> None:
    """A lane that a reload brings begins at once, however long a changed one waits for its last call."""
    async with _hanging() as (world, engine, gate, arn):
        await engine.apply(world.setup(lanes=(_changed(world, 3), world.other)))
        await _run_on()
        assert world.other_kms.state(arn) is KeyState.ENABLED
        gate.set()
        await world.settle()
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_a_reload_repairs_the_one_before_while_a_lane_hangs() -> None:
    """It is heard at once, and the lane that hung goes on as the last one says, and never by two workers."""
    async with _hanging() as (world, engine, gate, _):
        await engine.apply(world.setup(lanes=(_changed(world, 3), world.other)))
        await engine.apply(world.setup(lanes=(_changed(world, 4),)))
        gate.set()
        await world.settle()
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert [each for each in world.opened if each.id == world.lane.id] == [world.lane, _changed(world, 4)]
        assert len(_lane_tasks()) == 1


@pytest.mark.parametrize("back", [False, True], ids=["gone", "gone and back"])
async def test_a_lane_that_left_the_config_while_it_hung(back: bool) -> None:
    """It ends with its last call; where the next reload has it again as it was, it goes on."""
    async with _hanging() as (world, engine, gate, _):
        await engine.apply(world.setup(lanes=()))
        if back:
            await engine.apply(world.setup(lanes=(world.lane,)))
        gate.set()
        await world.settle()
        world.clock.advance(7200)
        await world.settle()
        assert (world.kms.state(ARN) is KeyState.ENABLED) is back
        assert len(_lane_tasks()) == back


@pytest.mark.parametrize("answers", [True, False])
async def test_a_stop_after_a_reload_that_met_a_lane_that_hangs(answers: bool) -> None:
    """It waits for the call in flight as long as it is given, begins no lane anew, and leaves nothing behind."""
    async with _hanging() as (world, engine, gate, _):
        await engine.apply(world.setup(lanes=(_changed(world, 3), world.other)))
        stopping = asyncio.create_task(engine.stop())
        await _run_on()
        assert not stopping.done()
        if answers:
            gate.set()
        else:
            stopping.cancel()
        await asyncio.wait([stopping])
        assert not _lane_tasks()
        assert _changed(world, 3) not in world.opened


async def test_what_is_said_of_lanes_that_left_the_config_is_cleared_when_the_store_can() -> None:
    """The store failed while two lanes left: the reload is in force, and both skews are resolved later."""
    store = FullDisk()
    world = TwoLanes(store)
    world.kms.clock_skew = world.other_kms.clock_skew = timedelta(hours=1)
    await world.furnish()
    async with running(world):
        assert world.engine is not None
        assert {each.subject for each in await store.open_conditions()} == {f"lane:{each.id}" for each in world.lanes}
        store.full = True
        await world.engine.apply(world.setup(lanes=()))
        await world.settle()
        await world.engine.foresight.look()
        assert not _lane_tasks()
        store.full = False
        await world.engine.foresight.look()
        assert not await store.open_conditions()


async def test_a_learned_pace_is_gone_on_with() -> None:
    """What was found to be allowed yesterday is used today, from the first minute."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.25, burst=1, ceiling=1)
    world = World(lane=lane(quotas=quotas))
    await _learn(world, LearnedPace(share=4.0, limit=4.0, limited_at=world.clock.now(), per_second=0.25))
    await _import_ten(world)
    assert await _seconds_to_import(world, 10) <= 11


async def test_a_queue_that_waits_teaches_and_one_that_is_empty_does_not() -> None:
    """Of the time in which imports wait in the queue, nearly all counts; of the day after it, nothing."""
    world = World(lane=lane(quotas=SLOW | {"GetParametersForImport": Quota(per_second=0.25, burst=1, ceiling=1)}))
    await _import_ten(world)
    seconds = await _seconds_to_import(world, 10)
    learned = (await world.store.learned_paces(world.lane.id))["GetParametersForImport"]
    assert 0.8 * seconds <= (learned.share - 1) * 1800 <= seconds + 1
    world.clock.advance(86_400)
    await _seconds_to_import(world, 10)
    assert (await world.store.learned_paces(world.lane.id))["GetParametersForImport"].share <= learned.share


@asynccontextmanager
async def _hanging() -> AsyncIterator[tuple[TwoLanes, Engine, asyncio.Event, str]]:
    """A world with one of its two lanes, in which a call hangs until the event is set; with the key of the other."""
    world = TwoLanes()
    arn = await world.furnish()
    gate = world.kms.gate("DescribeKey")
    world.lanes = (world.lane,)
    await world.start(rest=False)
    assert world.engine is not None
    await _run_on()
    try:
        async with asyncio.timeout(20):
            yield world, world.engine, gate, arn
    finally:
        gate.set()
        await world.stop()


def _changed(world: TwoLanes, in_flight: int) -> Lane:
    return replace(world.lane, max_in_flight=in_flight)


def _lane_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("lane ")]


async def _run_on() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


async def _learn(world: World, pace: LearnedPace) -> None:
    """What an earlier daemon left on record."""
    now, lane_id = world.clock.now(), world.lane.id
    epoch = await world.store.acquire_lane(lane_id, node="before", now=now)
    paces = {"GetParametersForImport": pace}
    await world.store.keep_lane(lane_id, epoch=epoch, now=now, look_again=False, paces=paces)


async def _import_ten(world: World) -> None:
    fleet = []
    for number in range(10):
        arn = f"{ARN[:-2]}{number:02d}"
        world.kms.create(arn)
        fleet.append(desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key"))  # type: ignore[arg-type]  # plain text
        world.source.materials[f"{number}.key"] = number.to_bytes(32, "big")
    await world.store.sync_fleet(fleet, now=world.clock.now())


async def _seconds_to_import(world: World, count: int) -> int:
    """How long the world's engine takes for so many imports."""
    async with running(world):
        began = world.clock.now()
        while world.kms.count("ImportKeyMaterial") < count:
            await world.pass_time(timedelta(seconds=1))
        return int((world.clock.now() - began).total_seconds())
