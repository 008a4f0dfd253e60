"""What a lane keeps on record when its work ends, and when it asks Service Quotas again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from byokd.engine.pace import Pace
from byokd.engine.time import EngineClock
from byokd.engine.upkeep import ASK_AGAIN_AFTER_S, ASK_QUOTAS_EVERY_S, Upkeep
from byokd.errors import KmsUnreachable, LeaseLost, StoreBusy
from byokd.facts.key import KeyArn, KeyRef, LaneId
from byokd.facts.policy import LearnedPace, Quota
from tests.kit.builders import ARN, DAY, OPERATIONS, desired, lane
from tests.kit.clock import LONG_AGO, START, ManualClock
from tests.kit.fake_kms import FakeKms
from tests.kit.memory_store import MemoryStore
from tests.kit.world import World, running

IMPORT_PARAMETERS = "GetParametersForImport"
CONFIGURED = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS} | {
    IMPORT_PARAMETERS: Quota(per_second=0.25, burst=1, ceiling=4)
}
LANE = lane(quotas=CONFIGURED, read_quotas=True)
TOLD = LearnedPace(share=0.25, limit=1.0, limited_at=START, per_second=2.0)
"""What an earlier daemon learned of the quota that Service Quotas told."""


class Flaky(MemoryStore):
    """A store that may be busy for whoever keeps a lane."""

    busy = False

    async def keep_lane(
        self, lane: LaneId, *, epoch: int, now: datetime, look_again: bool, paces: Mapping[str, LearnedPace]
    ) -> None:
        if self.busy:
            raise StoreBusy("database is locked")
        await super().keep_lane(lane, epoch=epoch, now=now, look_again=look_again, paces=paces)


class Desk:
    """One lane's upkeep, with what it works with."""

    def __init__(self) -> None:
        self.host = ManualClock()
        self.clock = EngineClock(self.host)
        self.kms = FakeKms(self.host)
        self.store = Flaky()
        self.begin()

    def begin(self) -> None:
        """As a new process does."""
        self.pace = Pace(LANE, self.clock)
        self.upkeep = Upkeep(
            LANE,
            store=self.store,
            pace=self.pace,
            clock=self.clock,
            new_id=lambda: "1",
            threshold=timedelta(seconds=30),
            told=lambda: None,
        )

    async def own(self) -> int:
        return await self.store.acquire_lane(LANE.id, node="test", now=self.clock.now())

    async def learned(self) -> Mapping[str, LearnedPace]:
        return await self.store.learned_paces(LANE.id)


# -- leaving ----------------------------------------------------------------------------------------------------------


async def _kept_ahead(desk: Desk) -> int:
    """The lane was kept under a clock a hundred days ahead, and its key looked at; then the clock is put right."""
    desk.host.step(100 * 86_400)
    await desk.store.sync_fleet([desired()], now=desk.clock.now())
    epoch = await desk.own()
    desk.host.step(-100 * 86_400)
    return epoch


async def test_a_lane_that_is_left_after_a_step_back_has_all_its_keys_looked_at() -> None:
    """The lease said that the clock had been ahead, and leaving the lane writes over it."""
    desk = Desk()
    await desk.upkeep.leave(await _kept_ahead(desk))
    assert await desk.store.next_due_at(LANE.id, after=LONG_AGO) == desk.host.now()


async def test_a_step_back_that_could_not_be_kept_is_made_up_for_by_leaving() -> None:
    """The store was busy at the one moment at which the lane was to be looked at again."""
    desk = Desk()
    epoch = await _kept_ahead(desk)
    desk.store.busy = True
    with pytest.raises(StoreBusy):
        await desk.upkeep.keep(epoch)
    desk.store.busy = False
    await desk.upkeep.leave(epoch)
    assert await desk.store.next_due_at(LANE.id, after=LONG_AGO) == desk.host.now()


async def test_a_lane_that_is_left_in_order_wakes_nobody() -> None:
    """A restart does not look at a whole fleet for nothing."""
    desk = Desk()
    await desk.store.sync_fleet([desired()], now=desk.clock.now() + DAY)
    await desk.upkeep.leave(await desk.own())
    assert await desk.store.next_due_at(LANE.id, after=LONG_AGO) == desk.host.now() + DAY


async def test_a_lane_is_left_though_its_store_is_busy() -> None:
    """What was learned since the last minute is lost, which the log says; the daemon ends all the same."""
    desk = Desk()
    epoch = await desk.own()
    desk.store.busy = True
    with capture_logs() as logged:
        await desk.upkeep.leave(epoch)
    assert [(each["event"], each["log_level"]) for each in logged] == [("pace_forgotten", "warning")]


async def test_a_lane_that_another_node_owns_is_not_written_of() -> None:
    """The new owner's lease and paces are its own."""
    desk = Desk()
    desk.pace.recall({IMPORT_PARAMETERS: TOLD})
    epoch = await desk.own()
    await desk.own()
    with pytest.raises(LeaseLost):
        await desk.upkeep.leave(epoch)
    assert await desk.learned() == {}


async def test_a_clock_put_right_during_a_stop_leaves_nobody_asleep() -> None:
    """A stop that waited for DescribeKey left the other key due in a hundred days, past its end."""
    world = World()
    other = KeyArn(f"{ARN[:-2]}02")
    world.kms.create(ARN)
    world.kms.create(other)
    world.source.materials["payments.key"] = bytes(32)
    keys = [desired(), desired(arn=other, ref=KeyRef(other), name=other)]
    world.clock.step(100 * 86_400)
    await world.store.sync_fleet(keys, now=world.clock.now())
    await world.start()
    gate = world.kms.gate("DescribeKey")
    await world.store.wake([KeyRef(ARN)], at=world.clock.now())
    assert world.engine is not None
    world.engine.wake()
    await _turns_of_the_loop()
    stop = asyncio.create_task(world.stop())
    await _turns_of_the_loop()
    assert not stop.done()
    world.clock.step(-100 * 86_400)
    gate.set()
    await stop
    async with running(world):
        due = await world.store.due(world.lane.id, now=world.clock.now() + 2 * DAY, limit=10)
        assert set(due) == {KeyRef(ARN), KeyRef(other)}


async def _turns_of_the_loop() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


# -- Service Quotas ---------------------------------------------------------------------------------------------------


async def test_a_question_that_was_broken_off_is_asked_again_in_a_quarter_of_an_hour() -> None:
    """A lease that is lost meanwhile ends it: the lane kept its configured pace for a day."""
    desk = Desk()
    desk.kms.gate("ListServiceQuotas")
    asking = asyncio.create_task(desk.upkeep.ask_quotas(desk.kms))
    await asyncio.sleep(0)
    assert not desk.upkeep.quotas_due
    asking.cancel()
    await asyncio.wait([asking])
    desk.host.advance(ASK_AGAIN_AFTER_S)
    assert desk.upkeep.quotas_due


async def test_a_question_that_was_answered_is_asked_again_in_a_day() -> None:
    """A quota is not raised every day."""
    desk = Desk()
    desk.kms.quotas = {IMPORT_PARAMETERS: 2.0}
    assert await desk.upkeep.ask_quotas(desk.kms)
    desk.host.advance(ASK_QUOTAS_EVERY_S - 1)
    assert not desk.upkeep.quotas_due
    desk.host.advance(1)
    assert desk.upkeep.quotas_due
    assert not await desk.upkeep.ask_quotas(desk.kms)


async def test_what_was_learned_of_a_quota_that_is_not_told_yet_stays_on_record() -> None:
    """Service Quotas cannot be reached, the lane is kept and left, and the next process has it still."""
    desk = Desk()
    await _learned_before(desk)
    desk.kms.fail("ListServiceQuotas", KmsUnreachable("no route"))
    with capture_logs():
        assert not await desk.upkeep.ask_quotas(desk.kms)
    epoch = await desk.own()
    desk.host.advance(660)
    await desk.upkeep.keep(epoch)
    await desk.upkeep.leave(epoch)
    assert await desk.learned() == {IMPORT_PARAMETERS: TOLD}

    desk.begin()
    await desk.upkeep.begin()
    desk.kms.quotas = {IMPORT_PARAMETERS: 2.0}
    await desk.upkeep.ask_quotas(desk.kms)
    assert desk.pace.known()[IMPORT_PARAMETERS].share == pytest.approx(TOLD.share, abs=0.01)


async def test_what_a_lane_finds_out_meanwhile_comes_first() -> None:
    """There is one record for each operation: it is of the quota that the lane goes by."""
    desk = Desk()
    desk.pace.recall({IMPORT_PARAMETERS: TOLD})
    desk.pace.refused(IMPORT_PARAMETERS, desk.host.monotonic())
    assert desk.pace.known()[IMPORT_PARAMETERS].per_second == 0.25


async def test_what_was_learned_of_a_quota_is_forgotten_when_another_is_told() -> None:
    """It says nothing about that, and would stay on record for good."""
    desk = Desk()
    await _learned_before(desk)
    desk.kms.quotas = {IMPORT_PARAMETERS: 3.0}
    await desk.upkeep.ask_quotas(desk.kms)
    await desk.upkeep.keep(await desk.own())
    assert await desk.learned() == {}


async def test_without_service_quotas_what_was_learned_of_another_quota_is_forgotten() -> None:
    """Nobody will tell that quota again."""
    clock = ManualClock()
    pace = Pace(lane(quotas=CONFIGURED), clock)
    pace.recall({IMPORT_PARAMETERS: TOLD})
    assert pace.known() == {}


async def _learned_before(desk: Desk) -> None:
    """By an earlier process, and gone on with by this one."""
    epoch = await desk.own()
    await desk.store.keep_lane(
        LANE.id, epoch=epoch, now=desk.clock.now(), look_again=False, paces={IMPORT_PARAMETERS: TOLD}
    )
    await desk.upkeep.begin()


@pytest.mark.parametrize("figure", [0.0, -1.0, float("nan"), 1e-9, float("inf"), 1e300], ids=str)
async def test_a_quota_that_cannot_be_is_told_and_not_believed(figure: float) -> None:
    """It was passed over without a line, or taken for no limit: nobody knew why a lane was so slow, or so fast."""
    desk = Desk()
    desk.kms.quotas = {IMPORT_PARAMETERS: figure, "ImportKeyMaterial": 20.0, "DescribeKey": figure}
    with capture_logs() as lines:
        assert await desk.upkeep.ask_quotas(desk.kms)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("quota_not_believed", "warning")
    assert (line["lane"], line["operation"], line["told"]) == (LANE.name, IMPORT_PARAMETERS, str(figure))
    assert line["per_second"] == 0.25
    assert "read_quotas" in line["step"]
    assert desk.pace.quotas[IMPORT_PARAMETERS] == CONFIGURED[IMPORT_PARAMETERS]
    assert desk.pace.quotas["ImportKeyMaterial"].per_second == 20.0
