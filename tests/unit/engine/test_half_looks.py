"""Looks that failed, mostly by half: DescribeKey answered, and ListKeyRotations did not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from byokd.errors import AccessDenied, AnswerLost, KmsUnreachable
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import ABSENT, Blind, KeyState
from byokd.facts.ledger import OrderKind, OrderState
from byokd.facts.policy import OnLoss
from tests.kit.builders import ARN, DAY, desired, policy
from tests.kit.world import World, running
from tests.unit.engine.rotating import CURRENT, OLD, ROTATION, a_world, states

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def no_list(world: World) -> None:
    """From now on ListKeyRotations fails."""
    world.kms.fail("ListKeyRotations", *[KmsUnreachable("no route")] * 10_000)


async def open_now(world: World) -> dict[ConditionKind, Severity]:
    """The conditions of the key that are open."""
    return {each.condition.kind: each.condition.severity for each in (await world.know()).conditions}


def lose(world: World, place: int = 0) -> None:
    """Somebody deletes the material at `place`."""
    materials = list(world.kms.key(ARN).materials)
    materials[place] = replace(materials[place], expiry=ABSENT)
    world.kms.put(ARN, materials=tuple(materials))


async def test_what_is_gone_is_told_though_the_list_fails() -> None:
    """DescribeKey said PendingImport, and people heard no more than that byokd could not look, as a warning."""
    world = World()
    await world.add(desired(policy=policy(on_foreign_delete=OnLoss.REPORT)))
    async with running(world):
        await world.pass_time(HOUR)
        imported = world.kms.count("ImportKeyMaterial")
        no_list(world)
        lose(world)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        await world.pass_time(7 * HOUR, step=10 * MINUTE)
        assert (await open_now(world))[ConditionKind.MATERIAL_DELETED] is Severity.CRITICAL
        assert ConditionKind.DEADLINES_HIDDEN not in await open_now(world)
        gone = (await world.know()).ledger

        # Its old ValidTo's passing makes no lapse of a deletion, which would be healed.
        await world.pass_time(95 * DAY, step=6 * HOUR)
        world.kms.heal("ListKeyRotations")
        await world.pass_time(HOUR, step=5 * MINUTE)
        known = await world.know()
        assert (known.ledger.last_expiry, known.ledger.lost_at) == (gone.last_expiry, gone.lost_at)
        assert (await world.history()).count("material_deleted") == 1
        assert "material_lapsed" not in await world.history()
        assert world.kms.count("ImportKeyMaterial") == imported


async def test_what_lapsed_by_a_new_end_is_told_though_the_list_fails() -> None:
    """DescribeKey's ValidTo passed, and byokd went by the later one of the list before."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(HOUR)
        no_list(world)
        (material,) = world.kms.key(ARN).materials
        world.kms.put(ARN, materials=(replace(material, expiry=world.clock.now() + 8 * HOUR),))
        await world.pass_time(9 * HOUR, step=5 * MINUTE)
        assert (await open_now(world))[ConditionKind.LAPSED] is Severity.CRITICAL

        world.kms.heal("ListKeyRotations")
        await world.pass_time(HOUR, step=5 * MINUTE)
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert await open_now(world) == {}


async def test_what_is_back_is_seen_though_the_list_fails() -> None:
    """What somebody else has imported meanwhile is told no longer as gone, and nothing remembers a loss."""
    world = World()
    await world.add(desired(policy=policy(on_foreign_delete=OnLoss.REPORT)))
    async with running(world):
        await world.pass_time(HOUR)
        (material,) = world.kms.key(ARN).materials
        no_list(world)
        lose(world)
        await world.pass_time(7 * HOUR, step=10 * MINUTE)
        world.kms.put(ARN, materials=(material,))
        await world.pass_time(HOUR, step=10 * MINUTE)
        assert list(await open_now(world)) == [ConditionKind.COULD_NOT_LOOK]
        known = await world.know()
        assert isinstance(known.view, Blind)
        assert (known.ledger.lost_at, known.ledger.last_expiry) == (ABSENT, material.expiry)


async def test_of_several_none_is_taken_for_the_one_that_is_missing() -> None:
    """DescribeKey does not say which: none is told as lapsed or deleted until the list does, and then that one."""
    async with running(await a_world()) as world:
        await world.order(OrderKind.ROTATE)
        await world.pass_time(HOUR, step=MINUTE)
        assert states(world) == [OLD, CURRENT]
        no_list(world)
        lose(world)
        await world.pass_time(7 * HOUR, step=10 * MINUTE)
        known = await world.know()
        assert isinstance(known.view, Blind)
        assert all(track.lost_at is ABSENT for track in known.tracks)
        assert list(await open_now(world)) == [ConditionKind.COULD_NOT_LOOK]

        world.kms.heal("ListKeyRotations")
        await world.pass_time(HOUR, step=MINUTE)
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert (await world.history()).count("material_deleted") == 1


async def test_an_order_that_kms_took_is_not_refused_while_the_list_is() -> None:
    """KMS was at it when ListKeyRotations was denied for some minutes: "refused", it said of a key that was rotated."""
    async with running(await a_world()) as world:
        world.kms.fail(ROTATION, AnswerLost("no answer"))  # nor was it done, yet
        await world.order(OrderKind.ROTATE)
        while not world.kms.count(ROTATION):
            await world.pass_time(timedelta(seconds=1), step=timedelta(seconds=1))
        world.kms.fail("ListKeyRotations", *[AccessDenied("kms:ListKeyRotations is not allowed")] * 10_000)
        await world.pass_time(30 * MINUTE, step=MINUTE)
        known = await world.know()
        assert [each.state for each in known.ledger.open_orders] == [OrderState.OPEN]
        world.kms.heal("ListKeyRotations")
        await world.pass_time(10 * MINUTE, step=MINUTE)
        assert (await world.store.orders(only_open=False, limit=1))[0].state is OrderState.DONE
        assert states(world) == [OLD, CURRENT]


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_lapse_that_nobody_saw_is_not_in_the_history(by_hand: bool) -> None:
    """Nobody could look when the `ValidTo` on record passed; "material_lapsed" said the history all the same.

    Somebody else had imported the material in time. People are told of what may be, and that it may be otherwise; the
    history, of what was seen.
    """
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(HOUR)
        (material,) = world.kms.key(ARN).materials
        assert isinstance(material.expiry, datetime)
        world.kms.fail("DescribeKey", *[KmsUnreachable("no route")] * 10_000)
        await world.pass_time(material.expiry - world.clock.now() - DAY, step=6 * HOUR)
        if by_hand:
            world.kms.put(ARN, materials=(replace(material, expiry=material.expiry + 60 * DAY),))
        await world.pass_time(2 * DAY, step=HOUR)
        lapsed = next(each for each in (await world.know()).conditions if each.condition.kind is ConditionKind.LAPSED)
        assert lapsed.condition.severity is Severity.CRITICAL
        assert "unless somebody has imported it since" in lapsed.condition.detail
        assert "material_lapsed" not in await world.history()
        assert (await world.know()).ledger.lost_at is ABSENT

        world.kms.heal("DescribeKey")
        await world.pass_time(HOUR, step=5 * MINUTE)
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert await open_now(world) == {}
        assert (await world.history()).count("material_lapsed") == (0 if by_hand else 1)
