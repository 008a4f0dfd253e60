"""Several lanes in one daemon: each has its own pace, quota and trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from byokd.errors import AccessDenied, KmsUnreachable, Throttled
from byokd.facts.key import KeyRef, KeyState, LaneId
from byokd.facts.policy import Lane, LearnedPace, Quota
from byokd.ports import Kms
from tests.kit.builders import ARN, OPERATIONS, desired, lane
from tests.kit.fake_kms import FakeKms
from tests.kit.world import World, running

SLOW = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
SLOW["GetParametersForImport"] = Quota(per_second=0.001, burst=1)
"""Hardly any import a day."""
OTHER_REGION = "us-east-1"
OTHER = LaneId(f"111122223333/{OTHER_REGION}")


class TwoLanes(World):
    """A world with a second lane, in another Region, that has a KMS of its own."""

    def __init__(self) -> None:
        super().__init__(open_kms=self._opened)
        self.other_kms = FakeKms(self.clock)
        self.other = replace(self.lane, id=OTHER, name="other", region=OTHER_REGION)
        self.lanes: tuple[Lane, ...] = (self.lane, self.other)

    @asynccontextmanager
    async def _opened(self, which: Lane) -> AsyncIterator[Kms]:
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


async def test_a_lane_that_hangs_slows_no_other() -> None:
    """Nothing that one account does not answer keeps another from its renewals."""
    world = TwoLanes()
    arn = await world.furnish()
    gate = world.kms.gate("DescribeKey")
    await world.start(rest=False)
    for _ in range(300):
        await asyncio.sleep(0)
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
    world = TwoLanes()
    arn = await world.furnish()
    gate = world.kms.gate("DescribeKey")
    world.lanes = (world.lane,)
    await world.start(rest=False)
    for _ in range(100):
        await asyncio.sleep(0)
    assert world.engine is not None
    changed = replace(world.lane, max_in_flight=3)
    reload = asyncio.create_task(world.engine.apply(world.setup(lanes=(changed, world.other))))
    for _ in range(300):
        await asyncio.sleep(0)
    assert world.other_kms.state(arn) is KeyState.ENABLED
    assert not reload.done()
    gate.set()
    await reload
    await world.settle()
    assert world.kms.state(ARN) is KeyState.ENABLED
    await world.stop()


async def test_a_learned_pace_is_gone_on_with() -> None:
    """What was found to be allowed yesterday is used today, from the first minute."""
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    quotas["GetParametersForImport"] = Quota(per_second=0.25, burst=1, ceiling=1)
    world = World(lane=lane(quotas=quotas))
    await _learn(world, LearnedPace(share=4.0, limit=4.0, limited_at=world.clock.now(), per_second=0.25))
    await _import_ten(world)
    assert await _seconds_to_import(world, 10) <= 11


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
            world.clock.advance(1)
            await world.settle()
        return int((world.clock.now() - began).total_seconds())
