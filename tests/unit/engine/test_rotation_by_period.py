"""A rotation by period: byokd gives the order itself, once for each period, and never before its end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.errors import AccessDenied, KmsInternal, RequestRefused
from byokd.facts.condition import ConditionKind
from byokd.facts.key import KeyState
from byokd.facts.ledger import BY_PERIOD, Order, OrderKind, OrderState
from byokd.facts.policy import ChangeWindow
from tests.kit.builders import ARN, DAY, desired, policy
from tests.kit.clock import START
from tests.kit.world import World, running
from tests.unit.engine import rotating
from tests.unit.engine.rotating import CURRENT, IMPORT, OLD, PENDING, ROTATION, STEPS, TROUBLE, states

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
EVERY = 60 * DAY
HINDERED = "raised rotation_hindered"


async def a_world(materials: int = 3, **changes: Any) -> World:
    """A key with a period and so many materials."""
    return await rotating.a_world(materials, **{"rotate_every": EVERY} | changes)


async def orders(world: World) -> list[Order]:
    """All orders to rotate, oldest first."""
    return [
        each for each in reversed(await world.store.orders(only_open=False, limit=99)) if each.kind is OrderKind.ROTATE
    ]


async def until_due(world: World, *, before: timedelta = HOUR) -> None:
    """Wait until shortly before the period ends."""
    await world.pass_time(EVERY - before - (world.clock.now() - START), step=DAY)


async def test_each_period_ends_with_one_rotation() -> None:
    """Two in stock, two rotations: each at the end of its period; then people hear what is missing, ahead of time."""
    async with running(await a_world()) as world:
        await until_due(world)
        assert (states(world), await orders(world)) == ([CURRENT], [])
        await world.pass_time(HOUR + 10 * MINUTE, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        (order,) = await orders(world)
        assert (order.by, order.state) == (BY_PERIOD, OrderState.DONE)
        assert order.created_at >= START + EVERY
        history = await world.history()
        assert "order_given" in history
        assert "order_closed" in history

        await world.pass_time(EVERY + HOUR, step=6 * HOUR)
        assert states(world) == [OLD, OLD, CURRENT]
        assert world.kms.count(ROTATION) == 2
        assert HINDERED not in world.inbox.said
        await world.pass_time(EVERY * 3 / 4 - DAY, step=DAY)
        assert HINDERED not in world.inbox.said
        await world.pass_time(2 * DAY, step=HOUR)
        assert HINDERED in world.inbox.said

        await world.pass_time(100 * DAY, step=DAY)
        assert states(world) == [OLD, OLD, CURRENT]
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert "material_lapsed" not in await world.history()


async def test_without_a_period_nothing_is_rotated() -> None:
    """Off is off, whatever is in stock."""
    world = World()
    await world.add(desired(locator="0.key", further=("1.key",)))
    world.source.materials |= {f"{place}.key": bytes([place]) * 32 for place in range(2)}
    async with running(world):
        await world.pass_time(400 * DAY, step=DAY)
        assert states(world) == [CURRENT]
        assert await orders(world) == []


async def test_a_rotation_by_hand_begins_a_new_period() -> None:
    """Who rotates on demand, or somebody else does, is not rotated after by the old period."""
    async with running(await a_world()) as world:
        await world.pass_time(40 * DAY, step=DAY)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(5 * MINUTE, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        await world.pass_time(EVERY - HOUR, step=DAY)
        assert states(world) == [OLD, CURRENT]
        await world.pass_time(2 * HOUR, step=MINUTE * 10)
        assert states(world) == [OLD, OLD, CURRENT]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_the_next_start_finishes_it(step: str) -> None:
    """Whether the call was made or not: one order, one rotation."""
    world = await a_world()
    await world.start()
    await until_due(world)
    gate = world.kms.gate(step)
    gate.clear()
    before = world.kms.count(step)
    while world.kms.count(step) == before:
        world.clock.advance(10)
        for _ in range(20):
            await asyncio.sleep(0)
    await world.kill()
    gate.set()

    async with running(world):
        await world.pass_time(HOUR, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        assert [each.state for each in await orders(world)] == [OrderState.DONE]


CASES: dict[str, tuple[str, Any, bool]] = TROUBLE | {
    "not allowed": (ROTATION, AccessDenied("kms:RotateKeyOnDemand is not allowed"), False),
    "refused": (ROTATION, RequestRefused("LimitExceededException: the limit"), False),
}


@pytest.mark.parametrize("case", CASES)
async def test_trouble_delays_it_and_never_doubles_it(case: str) -> None:
    """The second material is current, the third still in stock, and the order did not change hands."""
    step, error, applied = CASES[case]
    async with running(await a_world()) as world:
        await until_due(world)
        world.kms.fail(step, error, applied=applied)
        await world.pass_time(4 * HOUR, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        assert [each.state for each in await orders(world)] == [OrderState.DONE]


async def test_what_kms_refuses_for_good_is_told() -> None:
    """Asked seldom, since nobody waits; people hear after a day, and the key lives on."""
    async with running(await a_world()) as world:
        await until_due(world)
        world.kms.fail(ROTATION, *[RequestRefused("LimitExceededException: the limit")] * 500)
        await world.pass_time(3 * DAY, step=10 * MINUTE)
        assert states(world) == [CURRENT, PENDING]
        assert world.kms.count(ROTATION) <= 3 * 24
        assert HINDERED in world.inbox.said
        (order,) = await orders(world)
        assert (order.state, "LimitExceeded" in order.outcome) == (OrderState.OPEN, True)


async def test_what_kms_refuses_for_good_is_looked_at_seldom() -> None:
    """The key was looked at every half minute for as long as it was not rotated, though KMS was asked once an hour."""
    async with running(await a_world()) as world:
        await until_due(world)
        world.kms.fail(ROTATION, *[AccessDenied("kms:RotateKeyOnDemand is not allowed")] * 500)
        await world.pass_time(DAY, step=10 * MINUTE)
        before = world.kms.count("DescribeKey")
        await world.pass_time(4 * HOUR, step=timedelta(seconds=10))
        assert world.kms.count("DescribeKey") - before <= 12


async def test_a_reading_from_before_a_rotation_makes_no_second() -> None:
    """KMS is eventually consistent: what an old reading shows as due has been done."""
    async with running(await a_world()) as world:
        await until_due(world)
        await world.pass_time(HOUR + 10 * MINUTE, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        for _ in range(5):
            world.kms.lag(ARN, reads=2)
            await world.pass_time(6 * HOUR, step=HOUR)
        await world.pass_time(DAY, step=HOUR)
        assert states(world) == [OLD, CURRENT]
        done, *further = await orders(world)
        assert done.state is OrderState.DONE
        assert {each.state for each in further} == {OrderState.CANCELLED}


async def test_the_next_material_that_cannot_be_had_is_told_ahead() -> None:
    """A quarter of the period before its end, and nothing is rotated until it is there."""
    async with running(await a_world(2)) as world:
        await world.pass_time(10 * DAY, step=DAY)
        del world.source.materials["1.key"]
        await world.pass_time(EVERY - 10 * DAY - 14 * DAY, step=DAY)
        assert HINDERED in world.inbox.said
        await world.pass_time(20 * DAY, step=DAY)
        assert (states(world), await orders(world)) == ([CURRENT], [])
        world.source.materials["1.key"] = b"\1" * 32
        await world.pass_time(2 * DAY, step=HOUR)
        assert states(world) == [OLD, CURRENT]
        assert "resolved rotation_hindered" in world.inbox.said


@pytest.mark.parametrize("wrong", [b"\0" * 32, b"\1" * 16], ids=["a copy of the present one", "of another length"])
async def test_a_next_material_that_is_none_is_told_ahead(wrong: bytes) -> None:
    """The source answers, so nothing was told before the period ended; and then the order waited for ever."""
    async with running(await a_world(2)) as world:
        await world.pass_time(10 * DAY, step=DAY)
        world.source.materials["1.key"] = wrong
        await world.pass_time(EVERY - 24 * DAY, step=DAY)
        assert HINDERED in world.inbox.said
        world.source.materials["1.key"] = b"\1" * 32
        await world.pass_time(20 * DAY, step=HOUR)
        assert states(world) == [OLD, CURRENT]
        assert "resolved rotation_hindered" in world.inbox.said


async def test_it_begins_in_a_change_window() -> None:
    """The period ends at noon, and the window opens at two at night."""
    window = ChangeWindow(cron="0 2 * * *", lasts=HOUR, time_zone="UTC")
    async with running(await a_world(windows=(window,))) as world:
        await until_due(world)
        await world.pass_time(13 * HOUR, step=10 * MINUTE)
        assert (states(world), await orders(world)) == ([CURRENT], [])
        await world.pass_time(4 * HOUR, step=10 * MINUTE)
        assert states(world) == [OLD, CURRENT]
        (order,) = await orders(world)
        assert order.created_at.hour == 2


HANDS_OFF: dict[str, Any] = {
    "held": OrderKind.HOLD,
    "suspended": OrderKind.SUSPEND,
    "Disabled": {"enabled": False},
    "pending deletion": {"deletion_at": START + 100 * DAY},
}


@pytest.mark.parametrize("case", HANDS_OFF)
async def test_hands_off_what_people_did_on_purpose(case: str) -> None:
    """Nothing is ordered while it lasts, and no order is left behind."""
    async with running(await a_world()) as world:
        await until_due(world, before=2 * DAY)
        done = HANDS_OFF[case]
        if isinstance(done, OrderKind):
            await world.order(done)
        else:
            world.kms.put(ARN, **done)
        await world.pass_time(4 * DAY, step=HOUR)
        assert await orders(world) == []
        assert CURRENT in states(world)
        assert world.kms.count(ROTATION) == 0
        if done is OrderKind.HOLD:
            await world.order(OrderKind.RELEASE)
            await world.pass_time(HOUR, step=MINUTE)
            assert states(world) == [OLD, CURRENT]


async def test_a_half_done_rotation_of_somebody_else_is_finished_at_the_end_of_the_period() -> None:
    """What waits in KMS is rotated to, not brought in again."""
    async with running(await a_world(2)) as world:
        await world.pass_time(DAY, step=HOUR)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(5 * MINUTE, step=MINUTE)
        first, second = world.kms.key(ARN).materials
        back = replace(second, state=PENDING, rotated_at=first.rotated_at)
        world.kms.put(ARN, materials=(replace(first, state=CURRENT), back))
        await until_due(world)
        assert states(world) == [CURRENT, PENDING]
        await world.pass_time(2 * HOUR, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        assert len([row for row in await world.imports() if row.reason == "rotating"]) == 1


async def test_the_period_of_a_key_that_was_made_long_before_begins_with_its_material() -> None:
    """KMS keeps no date of a first material: the look that showed it first counts, not the day the key was made."""
    async with running(await a_world()) as world:
        assert states(world) == [CURRENT]
        world.kms.put(ARN, created_at=START - 400 * DAY)
        await world.pass_time(EVERY - HOUR, step=DAY)
        assert states(world) == [CURRENT]


async def test_a_key_that_had_material_before_byokd_came_counts_from_its_making() -> None:
    """The best that KMS tells: it is due at once."""
    async with running(await a_world()) as world:
        (first,) = world.kms.key(ARN).materials
    later = World()
    await later.add(desired(locator="0.key", further=("1.key",), policy=policy(rotate_every=EVERY)))
    later.source.materials |= {f"{place}.key": bytes([place]) * 32 for place in range(2)}
    later.kms.put(ARN, materials=(first,), created_at=START - EVERY)
    async with running(later):
        await later.pass_time(HOUR, step=MINUTE)
        assert states(later) == [OLD, CURRENT]


async def test_a_period_that_is_taken_out_takes_its_order_back() -> None:
    """As long as KMS has not rotated: an order stands for what the policy asks for now."""
    async with running(await a_world()) as world:
        await until_due(world)
        world.kms.fail(ROTATION, *[AccessDenied("no")] * 500)
        await world.pass_time(2 * HOUR, step=MINUTE)
        (order,) = await orders(world)
        assert order.state is OrderState.OPEN
        before = (await world.know()).desired
        longer = replace(before, policy=replace(before.policy, rotate_every=400 * DAY))
        await world.store.sync_fleet([longer], now=world.clock.now())
        await world.pass_time(DAY, step=HOUR)
        (order,) = await orders(world)
        assert order.state is OrderState.CANCELLED
        assert "its period ends at" in order.outcome


async def test_a_key_that_cannot_be_rotated_says_so_at_once() -> None:
    """Only symmetric keys are; the others live on."""
    world = World()
    await world.add(desired(policy=policy(rotate_every=EVERY)), create=False)
    world.kms.create(ARN, spec="HMAC_256")
    async with running(world):
        await world.pass_time(DAY, step=HOUR)
        assert HINDERED in world.inbox.said
        assert await orders(world) == []


async def test_an_order_that_gets_nowhere_says_why() -> None:
    """After a day people read "ordered, and not done:" and nothing more, where KMS had not been asked to rotate yet."""
    async with running(await a_world()) as world:
        await until_due(world)
        world.kms.fail(IMPORT, *[KmsInternal("no")] * 500)
        await world.pass_time(2 * DAY, step=10 * MINUTE)
        known = (await world.know()).conditions
        (told,) = [each.condition for each in known if each.condition.kind is ConditionKind.ROTATION_HINDERED]
        assert "ordered, and not done: material 2 of 3: no" in told.detail


async def test_a_look_that_cannot_list_the_materials_takes_no_order_back() -> None:
    """It was cancelled because "rotate_every does not ask for it", which nobody could know, and given once more."""
    async with running(await a_world()) as world:
        await until_due(world)
        world.kms.fail(ROTATION, *[AccessDenied("no")] * 500)
        await world.pass_time(HOUR, step=MINUTE)
        world.kms.fail("ListKeyRotations", *[AccessDenied("kms:ListKeyRotations is not allowed")] * 3)
        await world.pass_time(2 * HOUR, step=10 * MINUTE)
        assert OrderState.CANCELLED not in {each.state for each in await orders(world)}
