"""A rotation on demand: the next material goes into the key, becomes the current one, and the old ones stay alive."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.errors import AccessDenied, KeyNotFound, KmsInternal, RequestRefused
from byokd.facts.key import ABSENT, KeyState, MaterialId
from byokd.facts.ledger import ImportState, Order, OrderKind, OrderState
from byokd.facts.policy import OnLoss, Quota
from tests.kit.builders import ARN, DAY, desired, lane, policy
from tests.kit.fake_keys import Material
from tests.kit.fake_source import proof_of
from tests.kit.world import World, running
from tests.unit.engine.rotating import CURRENT, IMPORT, OLD, PENDING, ROTATION, STEPS, TROUBLE, a_world, states

MINUTE = timedelta(minutes=1)


async def newest(world: World) -> Order:
    """The order that was given last."""
    return (await world.store.orders(only_open=False, limit=1))[0]


async def test_the_next_material_becomes_the_current_one() -> None:
    """One order, one rotation; the third material stays in stock, and the two in KMS are renewed for months."""
    async with running(await a_world()) as world:
        assert states(world) == [CURRENT]
        await world.order(OrderKind.ROTATE)
        await world.pass_time(2 * MINUTE, step=timedelta(seconds=30))
        assert states(world) == [OLD, CURRENT]
        order = await newest(world)
        assert (order.state, order.outcome) == (OrderState.DONE, f"rotated to {world.kms.key(ARN).materials[1].id}")

        await world.pass_time(200 * DAY, step=DAY)
        assert states(world) == [OLD, CURRENT]
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert "material_lapsed" not in await world.history()


async def test_each_order_takes_one_more_out_of_stock() -> None:
    """When none is left, the next order is refused and says what is missing."""
    async with running(await a_world()) as world:
        for _ in range(3):
            await world.order(OrderKind.ROTATE)
            await world.pass_time(2 * MINUTE, step=timedelta(seconds=30))
        assert states(world) == [OLD, OLD, CURRENT]
        assert world.kms.count(ROTATION) == 2
        order = await newest(world)
        assert (order.state, order.outcome) == (
            OrderState.REFUSED,
            "the config has no further material for it to rotate to",
        )


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_the_next_start_finishes_the_rotation(step: str) -> None:
    """Whether the call was made or not: the order is the intent, and what KMS shows says how far it came."""
    world = await a_world()
    await world.start()
    gate = world.kms.gate(step)
    gate.clear()
    before = world.kms.count(step)
    await world.order(OrderKind.ROTATE, wait=False)
    while world.kms.count(step) == before:
        world.clock.advance(1)
        await asyncio.sleep(0)
    await world.kill()
    gate.set()

    async with running(world):
        await world.pass_time(20 * MINUTE, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        assert (await newest(world)).state is OrderState.DONE


CASES: dict[str, tuple[str, Any, bool]] = TROUBLE | {
    "KMS fails": (ROTATION, KmsInternal("KMSInternalException"), True),
}


@pytest.mark.parametrize("case", CASES)
async def test_trouble_delays_a_rotation_and_never_doubles_it(case: str) -> None:
    """It ends with the second material current, and the third still in stock."""
    step, error, applied = CASES[case]
    async with running(await a_world()) as world:
        world.kms.fail(step, error, applied=applied)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(20 * MINUTE, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        assert (await newest(world)).state is OrderState.DONE


@pytest.mark.parametrize(
    "error",
    [AccessDenied("kms:RotateKeyOnDemand is not allowed"), RequestRefused("LimitExceededException: the limit")],
    ids=["denied", "beyond the budget of a life"],
)
async def test_what_kms_refuses_is_on_the_order(error: Any) -> None:
    """A person reads there why, and nothing of it is tried on and on in silence."""
    async with running(await a_world()) as world:
        world.kms.fail(ROTATION, *[error] * 50)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(20 * MINUTE, step=MINUTE)
        assert states(world) == [CURRENT, PENDING]
        order = await newest(world)
        assert str(error) in order.outcome
        assert world.kms.count(ROTATION) <= 5


async def test_a_half_done_rotation_of_somebody_else_is_finished() -> None:
    """Another tool imported the next material and went away: the order goes on from there."""
    async with running(await a_world(2)) as world:
        await world.order(OrderKind.ROTATE)
        await world.pass_time(2 * MINUTE, step=timedelta(seconds=30))
        first, second = world.kms.key(ARN).materials
        world.kms.put(ARN, materials=(replace(first, state=CURRENT), replace(second, state=PENDING)))
        await world.pass_time(DAY, step=timedelta(hours=6))
        assert states(world) == [CURRENT, PENDING]  # nobody has asked for more
        world.clock.advance(120)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(2 * MINUTE, step=timedelta(seconds=30))
        assert states(world) == [OLD, CURRENT]
        assert len([row for row in await world.imports() if row.reason == "rotating"]) == 1


async def test_what_waited_and_was_deleted_is_imported_anew_though_not_at_once() -> None:
    """KMS forgets the name of such a material, and the record kept it: the new row of the queue was nobody's.

    As soon as that import had to wait, it stood in the way of its own second attempt, and the key was never looked at
    again: its other materials would have lapsed (seed 38).
    """
    async with running(await a_world(2)) as world:
        world.kms.fail(ROTATION, *[KmsInternal("5xx")] * 2)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(timedelta(seconds=10), step=timedelta(seconds=2))
        first, second = world.kms.key(ARN).materials
        assert second.state is PENDING
        world.kms.put(ARN, materials=(first,))
        world.kms.fail("GetParametersForImport", *[KmsInternal("5xx")] * 3)
        await world.pass_time(DAY, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        assert (await newest(world)).state is OrderState.DONE
        assert await world.store.imports(only_open=True, limit=9) == ()


async def test_what_kms_has_forgotten_has_no_end_any_more() -> None:
    """The record kept it, and a key with years of life was shown and forecast with an end that had passed."""
    async with running(await a_world(2)) as world:
        world.kms.fail(ROTATION, *[KmsInternal("5xx")] * 2)
        await world.order(OrderKind.ROTATE)
        first, second = world.kms.key(ARN).materials
        assert second.state is PENDING
        world.kms.put(ARN, materials=(first,))
        del world.source.materials["1.key"]
        await world.pass_time(timedelta(hours=1), step=MINUTE)
        known = await world.know()
        assert [each.last_expiry for each in known.turned_to(0).tracks] == [first.expiry, ABSENT]


async def test_nothing_is_rotated_to_what_cannot_be_proved() -> None:
    """The source lost the next material: a key rotated to it would die with its first ValidTo."""
    async with running(await a_world(2)) as world:
        del world.source.materials["1.key"]
        await world.pass_time(2 * DAY, step=timedelta(hours=6))
        await world.order(OrderKind.ROTATE)
        await world.pass_time(DAY, step=timedelta(hours=1))
        assert states(world) == [CURRENT]
        assert "raised source_unreadable" in world.inbox.said


async def test_an_order_says_what_it_waits_for_as_long_as_it_does() -> None:
    """Whoever listed the orders saw one that was open, and no word of the source that did not answer.

    What KMS had answered for a moment, on the other hand, stayed with the order until it was done.
    """
    async with running(await a_world(2)) as world:
        del world.source.materials["1.key"]
        await world.order(OrderKind.ROTATE)
        await world.pass_time(MINUTE, step=timedelta(seconds=10))
        assert (await newest(world)).outcome.startswith("material 2 of 2: ")
        world.kms.fail("DescribeKey", *[KeyNotFound("DescribeKey: NotFoundException")] * 3)
        told = []
        for _ in range(180):
            world.clock.advance(10)
            await world.settle()
            told.append((await newest(world)).outcome)
        assert any("NotFoundException" in each for each in told)
        assert told[-1].startswith("material 2 of 2: ")
        world.source.materials["1.key"] = b"\1" * 32
        await world.pass_time(timedelta(hours=1), step=MINUTE)
        order = await newest(world)
        assert (order.state, order.outcome) == (OrderState.DONE, f"rotated to {world.kms.key(ARN).materials[1].id}")
        assert states(world) == [OLD, CURRENT]


async def test_an_order_says_that_a_lost_key_is_only_reported() -> None:
    """By its policy byokd does not bring such a key back: a rotation waited for that, and nobody knew (seed 58)."""
    async with running(await a_world(2, on_foreign_delete=OnLoss.REPORT)) as world:
        world.kms.delete_material(ARN)
        await world.pass_time(DAY, step=timedelta(hours=6))
        await world.order(OrderKind.ROTATE)
        await world.pass_time(MINUTE, step=timedelta(seconds=10))
        order = await newest(world)
        assert (order.state, order.outcome) == (
            OrderState.OPEN,
            "material 1 of 2: material deleted; the policy says to report, not to heal",
        )


def rotated(world: World, materials: int) -> None:
    """A key that was rotated so often that all of its materials are in KMS, with ninety days of life."""
    held = []
    for place in range(materials):
        proof = proof_of(bytes([place]) * 32)
        state = CURRENT if place == materials - 1 else OLD
        name = MaterialId(hashlib.sha256(f"{ARN} {proof.fingerprint}".encode()).hexdigest())
        held.append(Material(id=name, fingerprint=proof.fingerprint, expiry=world.clock.now() + 90 * DAY, state=state))
    world.kms.put(ARN, materials=tuple(held))


@pytest.mark.parametrize("materials", [2, 26])
async def test_a_look_costs_the_same_however_many_materials_there_are(materials: int) -> None:
    """One reading serves them all; and a renewal of each is one import."""
    world = await a_world(materials)
    rotated(world, materials)
    async with running(world):
        world.kms.calls.clear()
        await world.pass_time(DAY, step=timedelta(hours=6))
        assert (world.kms.count("DescribeKey"), world.kms.count("ListKeyRotations")) == (4, 4)
        await world.pass_time(70 * DAY, step=DAY)
        assert world.kms.count(IMPORT) == materials
        assert "material_lapsed" not in await world.history()


async def test_what_waits_in_the_queue_keeps_no_drill_waiting() -> None:
    """One material's import waited for a token while the other's drill was due: the key was looked at every second."""
    rare = lane(quotas=lane().quotas | {"GetParametersForImport": Quota(per_second=1 / (5 * 86_400), burst=1)})
    world = World(lane=rare)
    await world.add(desired(locator="0.key", further=("1.key",)))
    for place in range(2):
        world.source.materials[f"{place}.key"] = bytes([place]) * 32
    rotated(world, 2)
    async with running(world):
        await world.pass_time(60 * DAY, step=DAY)
        assert world.kms.count(IMPORT) == 1
        before = world.kms.count("DescribeKey")
        await world.pass_time(2 * DAY, step=5 * MINUTE)
        assert world.kms.count(IMPORT) == 1
        assert world.kms.count("DescribeKey") - before <= 12


async def test_what_waits_in_the_queue_keeps_no_probe_waiting() -> None:
    """One material was imported while the other waited for a token: the key was looked at every second, not used."""
    rare = lane(quotas=lane().quotas | {"GetParametersForImport": Quota(per_second=1 / (5 * 86_400), burst=1)})
    world = World(lane=rare)
    await world.add(desired(locator="0.key", further=("1.key",), policy=policy(probe=True)))
    for place in range(2):
        world.source.materials[f"{place}.key"] = bytes([place]) * 32
    rotated(world, 2)
    async with running(world):
        await world.order(OrderKind.IMPORT)
        await world.pass_time(MINUTE, step=timedelta(seconds=1))
        assert (world.kms.count(IMPORT), world.kms.count("Encrypt")) == (1, 1)
        before = world.kms.count("DescribeKey")
        await world.pass_time(10 * MINUTE, step=timedelta(seconds=1))
        assert (world.kms.count(IMPORT), world.kms.count("DescribeKey")) == (1, before)


async def test_what_waits_in_the_queue_keeps_no_rotation_waiting() -> None:
    """One material waited for a token, and the one to be rotated to waited for it: 601 looks in ten minutes."""
    rare = lane(quotas=lane().quotas | {"GetParametersForImport": Quota(per_second=1 / (5 * 86_400), burst=1)})
    world = World(lane=rare)
    await world.add(desired(locator="0.key", further=("1.key", "2.key")))
    for place in range(3):
        world.source.materials[f"{place}.key"] = bytes([place]) * 32
    rotated(world, 3)
    old, current, following = world.kms.key(ARN).materials
    soon = world.clock.now() + 20 * DAY
    due = (replace(old, expiry=soon), replace(current, expiry=soon, state=CURRENT))
    world.kms.put(ARN, materials=(*due, replace(following, state=PENDING)))
    async with running(world):
        await world.pass_time(MINUTE, step=timedelta(seconds=1))
        assert world.kms.count(IMPORT) == 1
        before = world.kms.count("DescribeKey")
        await world.order(OrderKind.ROTATE)
        await world.pass_time(10 * MINUTE, step=timedelta(seconds=1))
        assert world.kms.count(IMPORT) == 1
        assert states(world) == [OLD, OLD, CURRENT]
        assert world.kms.count("DescribeKey") - before <= 12


async def test_what_is_not_urgent_has_no_token_of_the_reserve_beside_what_is() -> None:
    """One material was urgent and had no source; the other's import set out for the token kept for urgent ones, waited
    until there was one for it, and was broken off after half an hour."""
    rare = Quota(per_second=1 / (4 * 86_400), burst=2)
    world = World(lane=lane(quotas=lane().quotas | {"GetParametersForImport": rare}, reserve=0.5))
    await world.add(desired(locator="gone.key", further=("1.key",)))
    world.source.materials = {"1.key": bytes([1]) * 32}
    rotated(world, 2)
    old, current = world.kms.key(ARN).materials
    world.kms.put(ARN, materials=(replace(old, expiry=world.clock.now() + 10 * DAY), current))
    async with running(world):
        await world.order(OrderKind.IMPORT)
        await world.pass_time(2 * MINUTE, step=MINUTE)
        await world.order(OrderKind.IMPORT)
        rows = await world.imports()
        await world.kill()  # a stop would wait for whoever waits for its token
    assert [row.state for row in rows] == [ImportState.QUEUED, ImportState.DONE]


async def test_a_key_that_is_not_enabled_again_is_looked_at_seldom() -> None:
    """Its material was deleted amid a rotation, which its policy only reports: each half minute it was looked at."""
    async with running(await a_world(on_foreign_delete=OnLoss.REPORT)) as world:
        world.kms.fail(ROTATION, *[KmsInternal("KMSInternalException")] * 9)
        await world.order(OrderKind.ROTATE)
        await world.pass_time(5 * MINUTE, step=MINUTE)
        current, following = world.kms.key(ARN).materials
        world.kms.put(ARN, materials=(replace(current, expiry=ABSENT), following))
        await world.pass_time(DAY, step=10 * MINUTE)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        before = world.kms.count("DescribeKey")
        await world.pass_time(240 * MINUTE, step=timedelta(seconds=10))
        assert world.kms.count("DescribeKey") - before <= 12


async def test_a_held_key_is_not_rotated() -> None:
    """A hold is obeyed; the order says so."""
    async with running(await a_world()) as world:
        await world.order(OrderKind.HOLD)
        await world.order(OrderKind.ROTATE)
        assert states(world) == [CURRENT]
        assert (await newest(world)).state is OrderState.REFUSED
