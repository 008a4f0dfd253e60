"""Bugs that were found once, each with its story. None of them may come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from byokd.decide.decide import decide
from byokd.errors import AccessDenied, ChannelError, KmsUnreachable, RequestRefused, SourceUnreadable, StoreFull
from byokd.facts.change import Change
from byokd.facts.condition import Message
from byokd.facts.key import ABSENT, KeyRef, KeyState
from byokd.facts.ledger import HistoryEntry, HistoryEvent, ImportState, OrderKind
from byokd.facts.policy import OnLoss, Quota
from byokd.facts.snapshot import Reason
from tests.kit.builders import (
    ARN,
    DAY,
    OPERATIONS,
    desired,
    lane,
    ledger,
    observed,
    order,
    policy,
    queued,
    snapshot,
)
from tests.kit.clock import START
from tests.kit.fake_source import FakeSource
from tests.kit.memory_store import MemoryStore
from tests.kit.world import World, running

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def _paced(per_second: float) -> Any:
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    return lane(quotas=quotas | {"GetParametersForImport": Quota(per_second=per_second, burst=1)}, reserve=0.0)


async def _turns(count: int = 300) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _numbered(number: int, **changes: Any) -> Any:
    arn = f"{ARN[:-2]}{number:02d}"
    return desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key", policy=policy(**changes))  # type: ignore[arg-type]  # plain text


async def test_first_import_takes_only_the_bytes_that_were_proved() -> None:
    """A source with other bytes at each reading would have given KMS material that nobody can ever produce again."""

    class Fickle(FakeSource):
        reading = 0

        async def _proof(self, locator: str) -> Any:
            Fickle.reading += 1
            self.materials[locator] = Fickle.reading.to_bytes(32, "big")
            return await super()._proof(locator)

    world = World(source=Fickle())
    await world.add()
    async with running(world):
        assert world.kms.count("ImportKeyMaterial") == 0
        assert "raised import_refused" in world.inbox.said


async def test_a_key_renamed_from_arn_to_alias_is_renewed_on() -> None:
    """The entry that left the config was taken for a rival, and the new one stayed blind until the key lapsed."""
    world = World()
    await world.add()
    world.kms.aliases["alias/payments"] = desired().arn  # type: ignore[assignment]  # an ARN
    async with running(world):
        ref = KeyRef("111122223333/eu-central-1/alias/payments")
        alias = replace(desired(ref=ref, name="alias/payments"), arn=ABSENT)
        await world.add(alias, create=False)
        await world.pass_time(85 * DAY, step=6 * HOUR)
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_a_key_about_to_lapse_goes_before_virgin_ones() -> None:
    """Forty new keys stood in the queue before one that had minutes left, since a virgin key's deadline was `now`."""
    world = World(lane=_paced(0.25))
    old = _numbered(0, valid_for=2 * HOUR, renew_before=HOUR, renewal_floor=MINUTE)
    world.kms.create(str(old.arn))
    world.source.materials["0.key"] = bytes(32)
    await world.store.sync_fleet([old], now=world.clock.now())
    async with running(world):
        world.source.failing["0.key"] = SourceUnreadable("unplugged")
        await world.pass_time(2 * HOUR - 2 * MINUTE, step=5 * MINUTE)
        fleet = [old, *(_numbered(number) for number in range(1, 41))]
        for number, each in enumerate(fleet[1:], 1):
            world.kms.create(str(each.arn))
            world.source.materials[each.locator] = number.to_bytes(32, "big")
        await world.store.sync_fleet(fleet, now=world.clock.now())
        del world.source.failing["0.key"]
        world.engine.wake()  # type: ignore[union-attr]  # it runs
        await world.pass_time(3 * MINUTE, step=timedelta(seconds=2))
        assert "material_lapsed" not in await world.history()


def test_a_refusal_near_the_deadline_is_tried_again_before_it() -> None:
    """A refusal waited a flat hour, also with forty minutes left."""
    ends = START + 60 * DAY
    row = queued(state=ImportState.REFUSED, finished_at=ends - 40 * MINUTE, detail="a proxy said 418")
    decision = decide(snapshot(ledger=ledger(refused_import=row)), ends - 39 * MINUTE)

    assert decision.reason is Reason.REFUSED
    assert decision.wake_at < ends - 30 * MINUTE


async def test_the_longest_life_leaves_room_for_the_clock_of_kms() -> None:
    """With valid_for = 365d, a host ten seconds ahead of KMS asked for more than 365 days and was refused."""
    world = World()
    await world.add(desired(policy=policy(valid_for=365 * DAY)))
    async with running(world):
        (row,) = await world.imports()
        assert row.expiry <= world.clock.now() + 365 * DAY - MINUTE  # type: ignore[operator]  # it expires


async def test_hidden_rotations_do_not_stop_a_renewal() -> None:
    """An endpoint that refuses ListKeyRotations made the key blind, though DescribeKey told its deadline."""
    world = World()
    await world.add()
    async with running(world):
        world.kms.fail("ListKeyRotations", *[RequestRefused("ValidationException")] * 1000)
        await world.pass_time(100 * DAY, step=6 * HOUR)
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_a_look_that_fails_half_way_keeps_what_it_was_told() -> None:
    """DescribeKey told of a ValidTo 3 hours ahead, and that was forgotten when ListKeyRotations failed after it.

    byokd went on to look once an hour, as if months were left.
    """
    world = World()
    await world.add()
    async with running(world):
        world.kms.fail("ListKeyRotations", *[KmsUnreachable("no route")] * 1000)
        await world.pass_time(DAY, step=HOUR)
        (material,) = world.kms.key(ARN).materials
        end = world.clock.now() + 3 * HOUR
        world.kms.put(ARN, materials=(replace(material, expiry=end),))
        await world.pass_time(2 * HOUR + 45 * MINUTE, step=MINUTE)
        world.kms.heal("ListKeyRotations")
        await world.pass_time(5 * MINUTE, step=MINUTE)
        renewed = world.kms.key(ARN).materials[0].expiry
        assert isinstance(renewed, datetime)
        assert renewed > end


def test_what_was_deleted_on_purpose_stays_deleted_at_its_old_valid_to() -> None:
    """With on_foreign_delete = report, the old ValidTo's passing turned the deletion into a lapse, and healed it."""
    gone = snapshot(
        desired=desired(policy=policy(on_foreign_delete=OnLoss.REPORT)),
        view=observed(valid_to=ABSENT),
        ledger=ledger(lost_at=START + DAY),
    )
    assert decide(gone, START + 61 * DAY).reason is Reason.REPORT_ONLY


async def test_an_overdue_drill_of_a_disabled_key_is_no_reason_to_look() -> None:
    """A drill that could not run was always in the past, and the key was looked at every second."""
    world = World()
    await world.add()
    async with running(world):
        world.kms.put(ARN, enabled=False)
        await world.pass_time(2 * DAY, step=6 * HOUR)
        before = world.kms.count("DescribeKey")
        await world.pass_time(MINUTE, step=timedelta(seconds=1))
        assert world.kms.count("DescribeKey") - before <= 1


async def test_a_full_disk_at_the_intent_does_not_make_the_lane_spin() -> None:
    """A key that was left alone after store trouble stayed filtered out, and the loop asked for it without end."""

    class Full(MemoryStore):
        saves = 0
        reads = 0

        async def save(self, change: Change) -> None:
            Full.saves += 1
            if Full.saves == 1:  # the first look goes straight on to its import
                raise StoreFull("no space left")
            await super().save(change)

        async def ready_imports(self, *arguments: Any, **named: Any) -> Any:
            Full.reads += 1
            return await super().ready_imports(*arguments, **named)

    world = World(store=Full())
    await world.add()
    async with running(world):
        assert world.kms.count("GetParametersForImport") == 0
        await world.pass_time(MINUTE, step=timedelta(seconds=5))
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert Full.reads < 100


async def test_a_lost_lease_leaves_no_key_busy() -> None:
    """Turns that never began when the lease was lost kept their keys busy, until the lane had no room left."""
    world = World(lane=lane(max_in_flight=2))
    fleet = [_numbered(number) for number in range(6)]
    for number, each in enumerate(fleet):
        world.kms.create(str(each.arn))
        world.source.materials[each.locator] = number.to_bytes(32, "big")
    await world.store.sync_fleet(fleet, now=world.clock.now())
    gate = world.kms.gate("DescribeKey")
    await world.start(rest=False)
    await _turns()
    await world.store.acquire_lane(world.lane.id, node="another", now=world.clock.now())
    gate.set()
    await world.pass_time(DAY, step=HOUR)
    assert all(world.kms.state(str(each.arn)) is KeyState.ENABLED for each in fleet)
    await world.stop()


async def test_an_order_given_during_the_keys_turn_is_carried_out() -> None:
    """The turn had read the key before the order, and its write put the key's next look off for hours."""
    world = World()
    await world.add()
    async with running(world):
        gate = world.kms.gate("DescribeKey")
        world.clock.advance(6 * 3600)
        await _turns()
        now = world.clock.now()
        new = order(OrderKind.IMPORT, created_at=now)
        await world.store.add_orders(
            [(new, HistoryEntry(at=now, ref=new.ref, event=HistoryEvent.ORDER_GIVEN, detail="import"))]
        )
        world.engine.wake()  # type: ignore[union-attr]  # it runs
        gate.set()
        await world.settle()
        assert world.kms.count("ImportKeyMaterial") == 2


async def test_a_long_rest_is_not_a_stall() -> None:
    """With a safety wake of an hour, an idle engine looked stalled, and the watchdog would have killed it."""
    world = World()
    await world.add()
    async with running(world):
        world.clock.advance(200)
        await world.settle()
        world.clock.advance(1600)
        assert world.engine.stalled() == ()  # type: ignore[union-attr]  # it runs


async def test_a_hung_channel_neither_stalls_nor_silences() -> None:
    """Ten notices to a webhook that answers nothing took ten time-outs in a row, and looked like a stall."""

    class Hung:
        name = "inbox"

        async def deliver(self, message: Message) -> None:
            await world.clock.sleep(20)
            raise ChannelError("no answer in time")

    world = World()
    world.channel = Hung()
    fleet = [_numbered(number) for number in range(10)]
    for each in fleet:
        world.kms.create(str(each.arn))
        world.source.failing[each.locator] = SourceUnreadable("unplugged")
    await world.store.sync_fleet(fleet, now=world.clock.now())
    await world.start(rest=False)
    for _ in range(200):
        world.clock.advance(1)
        await _turns(20)
        assert "notify" not in world.engine.stalled()  # type: ignore[union-attr]  # it runs
    await world.kill()


async def test_a_defect_in_a_channel_ends_nothing() -> None:
    """An error that was no ChannelError ended the notifier, and with it the daemon, again at each start."""

    class Broken:
        name = "inbox"
        asked = 0

        async def deliver(self, message: Message) -> None:
            Broken.asked += 1
            raise ZeroDivisionError

    world = World()
    world.channel = Broken()
    await world.add()
    with capture_logs() as logged:  # unseen, each traceback would be painted in colours: a quarter of a second
        async with running(world):
            world.source.materials["payments.key"] = bytes(32)
            await world.pass_time(3 * DAY, step=HOUR)
            assert world.kms.state(ARN) is KeyState.ENABLED
    assert Broken.asked == sum(line["event"] == "channel_defect" for line in logged) > 1


async def test_failing_imports_are_one_condition_and_not_many() -> None:
    """Each attempt resolved the condition and each failure raised it anew: two notices every half minute."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(59 * DAY, step=6 * HOUR)
        world.kms.fail("GetParametersForImport", *[AccessDenied("not allowed")] * 10_000)
        await world.pass_time(30 * DAY, step=6 * HOUR)
        world.inbox.notices.clear()
        await world.pass_time(10 * MINUTE, step=timedelta(seconds=5))
        assert [said for said in world.inbox.said if "import_failing" in said] == []


async def test_stop_does_not_wait_for_a_token() -> None:
    """At one token in a hundred seconds, SIGTERM waited for the next one."""
    world = World(lane=_paced(0.01))
    fleet = [_numbered(number) for number in range(3)]
    for number, each in enumerate(fleet):
        world.kms.create(str(each.arn))
        world.source.materials[each.locator] = number.to_bytes(32, "big")
    await world.store.sync_fleet(fleet, now=world.clock.now())
    await world.start()
    async with asyncio.timeout(5):
        await world.stop()


async def test_a_key_that_people_disabled_is_not_enabled_by_healing_it() -> None:
    """Its material lapsed while it was Disabled, KMS showed it PendingImport, and the import enabled it again."""
    world = World()
    await world.add()
    async with running(world):
        world.kms.put(ARN, enabled=False)
        await world.pass_time(100 * DAY, step=12 * HOUR)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        assert "raised lapsed" in world.inbox.said
        now = world.clock.now()
        asked = order(OrderKind.IMPORT, created_at=now)
        given = HistoryEntry(at=now, ref=asked.ref, event=HistoryEvent.ORDER_GIVEN, detail="import")
        await world.store.add_orders([(asked, given)])
        world.engine.wake()  # type: ignore[union-attr]  # it runs
        await world.pass_time(MINUTE, step=timedelta(seconds=5))
        assert world.kms.count("ImportKeyMaterial") == 2


async def test_an_order_is_carried_out_once_where_readings_are_behind() -> None:
    """The look that saw its import done took the order, still open, for another one; and again, seconds apart."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(2 * HOUR)
        world.kms.lag(ARN, reads=4)
        await world.order(OrderKind.IMPORT)
        await world.pass_time(10 * MINUTE, step=timedelta(seconds=5))
        assert world.kms.count("ImportKeyMaterial") == 2
        assert (await world.know()).ledger.open_orders == ()


async def test_an_order_that_is_done_leaves_no_second_row_in_the_queue() -> None:
    """A row was queued for an order that the same turn closed, and cancelled by the next one."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(2 * HOUR)
        await world.order(OrderKind.IMPORT)
        assert [row.state for row in await world.imports()] == [ImportState.DONE] * 2


async def test_an_order_waits_where_its_own_attempt_failed() -> None:
    """An order passed over every wait, also over the one after its own failure: it tried again at each look."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(2 * HOUR)
        world.kms.fail("GetParametersForImport", *[AccessDenied("not allowed")] * 100)
        await world.order(OrderKind.IMPORT)
        await world.pass_time(HOUR, step=timedelta(seconds=5))
        assert 3 < world.kms.count("GetParametersForImport") < 20


async def test_an_import_that_fails_goes_by_the_deadline_that_there_is() -> None:
    """Somebody had moved it: attempts came ever faster towards the old one, and then far too seldom (seed 7040)."""
    world = World()
    await world.add(_numbered(1, valid_for=8 * HOUR, renew_before=4 * HOUR, renewal_floor=MINUTE))
    arn = _numbered(1).arn
    async with running(world):
        world.kms.fail("GetParametersForImport", *[KmsUnreachable("away")] * 400)
        await world.order(OrderKind.IMPORT, ref=KeyRef(arn))
        await world.pass_time(2 * HOUR, step=5 * MINUTE)
        (material,) = world.kms.key(arn).materials
        world.kms.put(arn, materials=(replace(material, expiry=world.clock.now() + 12 * HOUR),))
        await world.pass_time(5 * HOUR, step=5 * MINUTE)
        tried = world.kms.count("GetParametersForImport")
        await world.pass_time(HOUR, step=timedelta(seconds=10))
        assert 1 <= world.kms.count("GetParametersForImport") - tried <= 4
