"""The engine keeps to change windows, and serves its queue by rank."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from byokd.facts.key import KeyArn, KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import ChangeWindow, DesiredKey, Policy, Quota
from byokd.facts.snapshot import Reason
from tests.kit.builders import ARN, DAY, OPERATIONS, desired, lane, policy
from tests.kit.world import World, running

HOUR = timedelta(hours=1)
NIGHTS = ChangeWindow(cron="0 2 * * sat,sun", lasts=4 * HOUR, time_zone="Europe/Berlin")


async def test_a_renewal_happens_in_the_first_window_after_it_is_due() -> None:
    """Due on a Tuesday, renewed on the Saturday that follows, as the window opens."""
    world = World()
    await world.add(desired(policy=policy(windows=(NIGHTS,), renew_before=32 * DAY)))
    async with running(world):
        await world.pass_time(62 * DAY, step=HOUR)
        assert [f"{at:%a %H}" for at in _imported_at(world)] == ["Sun 12", "Sat 00"]


async def test_what_became_urgent_while_the_windows_passed_does_not_wait_for_the_next() -> None:
    """The daemon was down over every window; back on a Thursday, it renews what is urgent there and then."""
    world = World()
    await world.add(desired(policy=policy(windows=(NIGHTS,), renew_before=20 * DAY)))
    async with running(world):
        await world.pass_time(69 * DAY, step=12 * HOUR)
        assert len(_imported_at(world)) == 1
    world.clock.advance((12 * DAY).total_seconds())
    async with running(world):
        assert f"{_imported_at(world)[-1]:%a %H}" == "Thu 12"
        (_, row) = reversed(await world.imports())
        assert (row.reason, row.tier) == (Reason.RENEWAL_DUE.value, Tier.URGENT)


async def test_the_queue_is_served_by_priority_and_then_by_deadline() -> None:
    """Three fleets due at once at a slow pace: the important one first, whatever the deadlines are."""
    slow = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    slow["GetParametersForImport"] = Quota(per_second=0.25, burst=1)
    world = World(lane=lane(quotas=slow, reserve=0.0))
    policies = {
        0: policy(),
        1: policy(priority=-5, renew_before=20 * DAY),
        2: policy(priority=5, renew_before=40 * DAY),
    }
    keys = [_key(world, number, policies[number % 3]) for number in range(9)]
    await world.store.sync_fleet(keys, now=world.clock.now())
    async with running(world):
        await world.pass_time(timedelta(seconds=60), step=timedelta(seconds=1))
        asked = [call.key for call in world.kms.calls if call.operation == "GetParametersForImport"]
    order = [int(arn[-1]) % 3 for arn in asked]
    # The first began at once, when nobody waited yet.
    assert len(order) == 9
    assert order[1:] == sorted(order[1:], key=[2, 0, 1].index)


@pytest.mark.parametrize(("reserve", "left"), [(0.5, True), (0.0, False)])
async def test_a_key_in_an_emergency_finds_what_routine_work_has_left(reserve: float, left: bool) -> None:
    """Nine routine renewals would use up the whole burst, and a reserve keeps a part for the one that comes late."""
    renewed, late, _ = await _renewed_at(Quota(per_second=1e-7, burst=8), reserve)
    assert (late in renewed) == left


@pytest.mark.parametrize("reserve", [0.0, 0.2])
async def test_of_a_burst_of_one_a_key_in_a_hurry_has_the_next_token(reserve: float) -> None:
    """A token comes every three days or so, and routine renewals wait for it: with a reserve or none, rank decides."""
    renewed, late, urgent_at = await _renewed_at(Quota(per_second=1 / (80 * HOUR).total_seconds(), burst=1), reserve)
    before = [key for key, at in renewed.items() if at < urgent_at]
    assert len(before) == 3
    assert late not in before
    assert [*renewed][len(before)] == late


async def test_who_is_in_the_queue_goes_by_the_deadline_that_it_has_now() -> None:
    """Somebody imported material that ends sooner; the row kept its deadline for as long as its tier was the same."""
    world = World(lane=lane(reserve=0.0))
    keys = [_key(world, number, policy()) for number in range(4)]
    await world.store.sync_fleet(keys, now=world.clock.now())
    async with running(world):
        assert len(_imported_at(world)) == 4
    scarce = Quota(per_second=1 / (20 * HOUR).total_seconds(), burst=1)
    world.lane = replace(world.lane, quotas=world.lane.quotas | {"GetParametersForImport": scarce})
    world.clock.advance((61 * DAY).total_seconds())
    async with running(world):
        renewed = [call.key for call in world.kms.calls if call.operation == "ImportKeyMaterial"][4:]
        hurried = str(next(each.arn for each in reversed(keys) if str(each.arn) not in renewed))
        material = world.kms.key(hurried).materials[0]
        world.kms.put(hurried, materials=(replace(material, expiry=world.clock.now() + 20 * DAY),))
        await world.pass_time(2 * DAY, step=HOUR)
        renewed = [call.key for call in world.kms.calls if call.operation == "ImportKeyMaterial"][4:]
    assert renewed[1] == hurried


async def _renewed_at(quota: Quota, reserve: float) -> tuple[dict[str, datetime], str, datetime]:
    """Nine keys are due, and a tenth of less priority becomes urgent ten days later: who is renewed when, in order; the
    tenth; and that time."""
    world = World(lane=lane(reserve=0.0))
    keys = [_key(world, number, policy()) for number in range(1, 10)]
    unlike = policy(priority=-5, valid_for=75 * DAY, renew_before=8 * DAY, alert_before=(), renewal_floor=HOUR)
    late = _key(world, 0, unlike)
    began = world.clock.now()
    await world.store.sync_fleet([late, *keys], now=began)
    async with running(world):
        assert len(_imported_at(world)) == 10
    world.lane = replace(world.lane, quotas=world.lane.quotas | {"GetParametersForImport": quota}, reserve=reserve)
    world.clock.advance((61 * DAY).total_seconds())
    async with running(world):
        await world.pass_time(13 * DAY, step=HOUR)
        renewals = [call for call in world.kms.calls if call.operation == "ImportKeyMaterial"][10:]
    return {call.key: call.at for call in renewals}, str(late.arn), began + 71 * DAY


def _key(world: World, number: int, rules: Policy) -> DesiredKey:
    arn = KeyArn(ARN[:-1] + str(number))
    world.kms.create(arn)
    world.source.materials[f"{number}.key"] = bytes([number] * 32)
    return desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key", policy=rules)


def _imported_at(world: World) -> list[datetime]:
    return [call.at for call in world.kms.calls if call.operation == "ImportKeyMaterial"]
