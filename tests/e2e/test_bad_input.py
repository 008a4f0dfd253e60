"""What tired operators, other people and broken sources bring about, over HTTP, on moved time.

Wrong rows of a manifest are in `test_create`, other material for other specs in `test_kinds_of_keys`, a suspension that
is cut short in `test_killed_flows`.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from byokd.errors import OrderRefused
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.ledger import HistoryEntry, HistoryEvent, OrderKind, OrderState
from tests.kit.builders import DAY, order
from tests.kit.real_parts import Site, ask, listed, rotated_by_hand, site
from tests.kit.world import running

pytestmark = pytest.mark.timeout(240)

MINUTE = timedelta(minutes=1)
ROTATIONS_MAX = 25


async def outcome(it: Site, kind: OrderKind) -> tuple[OrderState, str]:
    """How the newest order of a kind stands."""
    given = await it.world.store.orders(only_open=False, limit=9)
    return next((each.state, each.outcome) for each in given if each.kind is kind)


async def told(it: Site) -> dict[ConditionKind, Severity]:
    """The open conditions of the first key."""
    return {each.condition.kind: each.condition.severity for each in (await it.world.know(it.keys[0].ref)).conditions}


async def state(it: Site) -> str:
    """The first key's state, as KMS tells it."""
    seen: str = (await ask(it, "describe_key", KeyId=it.keys[0].ref))["KeyMetadata"]["KeyState"]
    return seen


async def test_a_rotation_beyond_the_budget(tmp_path: Path) -> None:
    """After 25 rotations KMS makes no more: the order is refused in KMS's words, and the key goes on living."""
    async with site(tmp_path, materials=ROTATIONS_MAX + 2) as it:
        key = it.keys[0]
        await rotated_by_hand(it, ROTATIONS_MAX)
        it.world.clock.advance(3600)  # an order takes a rotation of a moment ago for its own
        async with running(it.world):
            await it.world.order(OrderKind.ROTATE, ref=key.ref)
            await it.world.pass_time(10 * MINUTE, step=MINUTE)
            ended, why = await outcome(it, OrderKind.ROTATE)
            assert (ended, "rotations" in why) == (OrderState.REFUSED, True), why
            assert (await state(it), ConditionKind.ROTATIONS_LOW in await told(it)) == ("Enabled", True)


@pytest.mark.parametrize("content", ["old", "short"])
async def test_a_rotation_to_what_is_no_new_material(tmp_path: Path, content: str) -> None:
    """The source gives the old material where new was wanted, or bytes that the key does not take: nothing happens."""
    async with site(tmp_path, materials=2) as it:
        key = it.keys[0]
        if content == "old":
            shutil.copyfile(tmp_path / key.locators[0], tmp_path / key.locators[1])
        else:
            (tmp_path / key.locators[1]).write_bytes(bytes(31))
        async with running(it.world):
            await it.world.order(OrderKind.ROTATE, ref=key.ref)
            await it.world.pass_time(30 * MINUTE, step=MINUTE)
            assert await listed(it) == ["CURRENT"]
            assert await told(it) == {ConditionKind.MATERIAL_INVALID: Severity.CRITICAL}
            assert await state(it) == "Enabled"
            attempts = [row.attempts for row in await it.world.imports()]
            assert attempts == [1], "no token is spent on it"


async def test_a_key_that_aws_deleted(tmp_path: Path) -> None:
    """People see it coming and are told when it is gone; no order asks for a token, and each says what hinders it."""
    async with site(tmp_path) as it, running(it.world):
        await ask(it, "schedule_key_deletion", KeyId=it.keys[0].ref, PendingWindowInDays=7)
        await it.world.pass_time(2 * DAY, step=timedelta(hours=6))
        assert await told(it) == {ConditionKind.PENDING_DELETION: Severity.WARNING}
        await it.world.order(OrderKind.IMPORT, ref=it.keys[0].ref)
        assert (await outcome(it, OrderKind.IMPORT))[0] is OrderState.REFUSED
        await it.world.pass_time(6 * DAY, step=timedelta(hours=6))
        assert ConditionKind.KEY_NOT_FOUND in await told(it)
        for kind in (OrderKind.IMPORT, OrderKind.SUSPEND):
            await it.world.order(kind, ref=it.keys[0].ref)
            await it.world.pass_time(10 * MINUTE, step=MINUTE)
            how, why = await outcome(it, kind)
            assert (how, "NotFoundException" in why) == (OrderState.OPEN, True)
        assert len([row for row in await it.world.imports() if row.attempts]) == 1


async def test_a_replica_without_its_primary(tmp_path: Path) -> None:
    """The config names the replica alone: it is kept alive, and people hear that nobody keeps its primary."""
    async with site(tmp_path, replicas=("us-east-1",)) as it:
        it.keys = it.keys[1:]
        await it.world.store.sync_fleet(it.keys, now=it.world.clock.now())
        async with running(it.world):
            await it.world.pass_time(10 * MINUTE, step=MINUTE)
            assert await told(it) == {ConditionKind.REPLICA_WITHOUT_PRIMARY: Severity.WARNING}
            await it.world.order(OrderKind.ROTATE, ref=it.keys[0].ref)
            await it.world.pass_time(10 * MINUTE, step=MINUTE)
            ended, why = await outcome(it, OrderKind.ROTATE)
            assert (ended, "is rotated with its primary" in why) == (OrderState.REFUSED, True)


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [
        (OrderKind.SUSPEND, OrderKind.RESUME, "Enabled"),
        (OrderKind.SUSPEND, OrderKind.ROTATE, "PendingImport"),
        (OrderKind.ROTATE, OrderKind.SUSPEND, "PendingImport"),
        (OrderKind.HOLD, OrderKind.SUSPEND, "PendingImport"),
        (OrderKind.HOLD, OrderKind.ROTATE, "Enabled"),
        (OrderKind.IMPORT, OrderKind.SUSPEND, "PendingImport"),
        (OrderKind.SUSPEND, OrderKind.IMPORT, "PendingImport"),
    ],
)
async def test_two_orders_that_contradict_each_other(
    tmp_path: Path, first: OrderKind, second: OrderKind, ends: str
) -> None:
    """Given in one moment: the key comes to rest as the stronger one says, and no order is left without an end."""
    async with site(tmp_path, materials=2) as it, running(it.world):
        ref = it.keys[0].ref
        await it.world.order(first, ref=ref, wait=False)
        await it.world.order(second, ref=ref)
        await it.world.pass_time(10 * MINUTE, step=MINUTE)
        assert await state(it) == ends
        left = {each.kind for each in (await it.world.know(ref)).ledger.open_orders}
        assert left <= {OrderKind.HOLD, OrderKind.SUSPEND}
        assert (OrderKind.SUSPEND in left) == (ends == "PendingImport")


async def test_an_order_for_a_key_that_left_the_config(tmp_path: Path) -> None:
    """Nobody would carry it out: it is not taken, and one that was open imports nothing any more."""
    async with site(tmp_path) as it:
        ref = it.keys[0].ref
        async with running(it.world):
            done = len(await it.world.imports())
            await it.world.order(OrderKind.HOLD, ref=ref)
            await it.world.store.sync_fleet([], now=it.world.clock.now())
            assert (await outcome(it, OrderKind.HOLD))[0] is OrderState.CANCELLED
            new = order(OrderKind.IMPORT, ref=ref, id="999999999999", created_at=it.world.clock.now())
            entry = HistoryEntry(at=it.world.clock.now(), ref=ref, event=HistoryEvent.ORDER_GIVEN, detail="import")
            with pytest.raises(OrderRefused, match="is not a key of the config"):
                await it.world.store.add_orders([(new, entry)])
            await it.world.pass_time(100 * DAY, step=4 * DAY)
            assert len(await it.world.imports()) == done
