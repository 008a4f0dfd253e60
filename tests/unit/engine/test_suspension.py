"""The kill switch: a suspended key loses its material at once, stays without, and comes back when it is resumed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from byokd.errors import AccessDenied, AnswerLost, KmsUnreachable, SourceUnreadable
from byokd.facts.change import KeyFilter
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import ABSENT, NEVER, KeyState, MaterialId, MaterialState
from byokd.facts.ledger import HistoryEntry, HistoryEvent, OrderKind, OrderState, Tier
from byokd.facts.policy import OnLoss
from tests.kit.builders import ARN, DAY, desired, order, policy
from tests.kit.fake_keys import Material
from tests.kit.world import World, running

DELETION = "DeleteImportedKeyMaterial"
MINUTE = timedelta(minutes=1)
OLDER = MaterialId("0a" * 32)


async def _world(**changes: object) -> World:
    world = World()
    await world.add(desired(policy=policy(**changes)) if changes else None)
    return world


def _with_an_older_material(world: World) -> None:
    """The key was rotated once, by hand."""
    older = Material(id=OLDER, fingerprint="older", expiry=NEVER, state=MaterialState.NON_CURRENT)
    world.kms.put(ARN, materials=(*world.kms.key(ARN).materials, older))


async def test_a_suspended_key_stays_without_material_until_it_is_resumed() -> None:
    """Nothing renews or heals it, for months; the resumption imports the same material and is done when it is seen."""
    async with running(await _world()) as world:
        before = world.kms.key(ARN).materials
        await world.order(OrderKind.SUSPEND)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT

        imports = world.kms.count("ImportKeyMaterial")
        await world.pass_time(200 * DAY, step=DAY)
        assert world.kms.count("ImportKeyMaterial") == imports
        assert world.kms.count(DELETION) == 1

        await world.order(OrderKind.RESUME)
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert [each.id for each in world.kms.key(ARN).materials] == [each.id for each in before]
        assert (await world.know()).ledger.open_orders == ()


async def test_a_suspended_key_is_counted_as_one_and_not_among_the_lapsed() -> None:
    """From the deletion on, past its ValidTo too; when it is to come back it is lapsed, and served as such."""
    async with running(await _world()) as world:
        await world.order(OrderKind.SUSPEND)
        assert (await world.store.counts()).by_tier == {"suspended": 1}
        await world.pass_time(200 * DAY, step=DAY)
        assert (await world.store.counts()).by_tier == {"suspended": 1}
        assert [line.tier for line in await world.store.list_keys(KeyFilter(tier="suspended"), limit=9)] == [
            "suspended"
        ]
        await world.order(OrderKind.RESUME)
        assert (await world.imports())[0].tier is Tier.LAPSED
        assert (await world.store.counts()).by_tier == {"fresh": 1}


async def test_people_hear_of_a_suspension_and_not_of_a_loss() -> None:
    """What was asked for is no emergency: no page says that somebody deleted the material."""
    async with running(await _world()) as world:
        await world.order(OrderKind.SUSPEND)
        await world.pass_time(100 * DAY, step=DAY)
        assert {each.condition.kind for each in world.inbox.notices} == {ConditionKind.SUSPENDED}
        assert {each.condition.severity for each in world.inbox.notices} == {Severity.WARNING}
        await world.order(OrderKind.RESUME)
        assert world.inbox.said[-1] == "resolved suspended"


async def test_a_key_that_is_being_resumed_says_so_and_what_it_waits_for() -> None:
    """It said "suspended, until resumed" for as long as its source could not produce the material."""
    async with running(await _world()) as world:
        await world.order(OrderKind.SUSPEND)
        world.source.failing[desired().locator] = SourceUnreadable("No such file or directory")
        await world.order(OrderKind.RESUME, why="rotated")
        await world.pass_time(6 * MINUTE, step=MINUTE)
        (told,) = (each for each in (await world.know()).conditions if each.condition.kind is ConditionKind.SUSPENDED)
        for part in ("operator has ordered it to be resumed (rotated)", "it waits: No such file or directory"):
            assert part in told.condition.detail
        assert world.inbox.said.count("raised suspended") == 2
        assert "raised source_unreadable" in world.inbox.said

        del world.source.failing[desired().locator]
        await world.pass_time(6 * MINUTE, step=MINUTE)
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert "resolved suspended" in world.inbox.said


async def test_a_resumption_that_meets_a_hold_is_carried_out_after_it() -> None:
    """It was refused and had ended the suspension: the key could not be resumed again, and nothing healed its loss."""
    async with running(await _world(on_lapse=OnLoss.REPORT, on_foreign_delete=OnLoss.REPORT)) as world:
        await world.order(OrderKind.SUSPEND)
        await world.order(OrderKind.HOLD, why="audit", until=world.clock.now() + 2 * DAY)
        await world.order(OrderKind.RESUME)
        await world.pass_time(DAY, step=6 * timedelta(hours=1))
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        known = await world.know()
        (waits,) = (each for each in known.ledger.open_orders if each.kind is OrderKind.RESUME)
        assert waits.outcome.startswith("held by operator until")
        assert {each.condition.kind for each in known.conditions} >= {ConditionKind.SUSPENDED, ConditionKind.HELD}

        await world.pass_time(2 * DAY, step=6 * timedelta(hours=1))
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert (await world.know()).ledger.open_orders == ()


async def test_a_resumption_of_a_key_that_is_to_be_deleted_waits_until_it_is_not() -> None:
    """It was refused and had ended the suspension: byokd told of its own deletion as somebody else's, for ever."""
    async with running(await _world(on_lapse=OnLoss.REPORT, on_foreign_delete=OnLoss.REPORT)) as world:
        await world.order(OrderKind.SUSPEND)
        world.kms.put(ARN, deletion_at=world.clock.now() + 30 * DAY)
        await world.pass_time(DAY, step=6 * timedelta(hours=1))
        await world.order(OrderKind.RESUME)
        known = {each.condition.kind: each.condition.detail for each in (await world.know()).conditions}
        assert "it waits: the key is PendingDeletion" in known[ConditionKind.SUSPENDED]
        assert ConditionKind.MATERIAL_DELETED not in known
        world.kms.put(ARN, deletion_at=ABSENT)
        await world.pass_time(60 * MINUTE, step=5 * MINUTE)
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_what_could_not_be_brought_back_is_left_and_cuts_nothing_off_less() -> None:
    """One material of two is enough: without it KMS refuses every use of the key. The other one is not lost for it."""
    async with running(await _world()) as world:
        _with_an_older_material(world)
        await world.order(OrderKind.SUSPEND)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        assert [each.expiry for each in world.kms.key(ARN).materials if each.id == OLDER] == [NEVER]
        known = await world.know()
        (told,) = (each.condition for each in known.conditions if each.condition.kind is ConditionKind.SUSPENDED)
        assert told.severity is Severity.WARNING
        assert f"material {OLDER[:12]}… (the config has no source for it)" in told.detail
        assert known.ledger.open_orders[0].effective_at is not ABSENT
        await world.order(OrderKind.RESUME)
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_a_key_of_which_nothing_could_be_brought_back_is_left_usable_and_told_critical() -> None:
    """Its source lost the material since the order was given, say: a second order may say that it is to be lost."""
    async with running(await _world()) as world:
        world.source.failing[desired().locator] = SourceUnreadable("No such file or directory")
        await world.pass_time(3 * DAY, step=6 * timedelta(hours=1))
        await world.order(OrderKind.SUSPEND)
        assert (world.kms.state(ARN), world.kms.count(DELETION)) == (KeyState.ENABLED, 0)
        (told,) = (each for each in (await world.know()).conditions if each.condition.kind is ConditionKind.SUSPENDED)
        assert told.condition.severity is Severity.CRITICAL
        for part in ("usable all the same", "its source does not produce it now", "--lose-material", "disable-key"):
            assert part in told.condition.detail
        await world.order(OrderKind.SUSPEND, lose=True)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT


async def test_every_material_that_the_key_needs_is_deleted_by_its_id() -> None:
    """A call without an id deletes the current material alone (API model, DeleteImportedKeyMaterial)."""
    async with running(await _world()) as world:
        _with_an_older_material(world)
        await world.order(OrderKind.SUSPEND, lose=True)
        current = (await world.know()).ledger.material
        deleted = [call.members["material"] for call in world.kms.calls if call.operation == DELETION]
        assert set(deleted) == {OLDER, current}


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("error", [AnswerLost("no answer"), KmsUnreachable("no route")])
async def test_a_suspension_that_loses_its_connection_half_way_is_finished(error: Exception, applied: bool) -> None:
    """Of two materials one was deleted, or both, when the connection broke: the next look finds out what is left."""
    async with running(await _world()) as world:
        _with_an_older_material(world)
        world.kms.fail(DELETION, error, applied=applied)  # type: ignore[arg-type]  # one of byokd's
        await world.order(OrderKind.SUSPEND, lose=True)
        await world.pass_time(2 * MINUTE, step=MINUTE)
        assert all(each.expiry is ABSENT for each in world.kms.key(ARN).materials)
        (order,) = (await world.know()).ledger.open_orders
        assert order.effective_at is not ABSENT
        assert order.outcome == ""


async def test_a_daemon_killed_during_a_deletion_goes_on_where_it_stopped() -> None:
    """The order is the intent: whoever starts after the crash finds it and looks what is left to delete."""
    world = await _world()
    await world.start()
    _with_an_older_material(world)
    gate = world.kms.gate(DELETION)
    await world.order(OrderKind.SUSPEND, lose=True, wait=False)
    while not world.kms.count(DELETION):
        await asyncio.sleep(0)
    await world.kill()
    gate.set()
    async with running(world):
        await world.pass_time(2 * MINUTE, step=MINUTE)
        assert all(each.expiry is ABSENT for each in world.kms.key(ARN).materials)


async def test_a_deletion_that_is_not_allowed_is_told_at_once_and_tried_again() -> None:
    """Somebody counts on the key being cut off: a suspension that does not work is worse than none.

    The log says so once, and did at each of two tries in a minute, for as long as it was not allowed.
    """
    with capture_logs() as lines:
        async with running(await _world()) as world:
            world.kms.fail(DELETION, *[AccessDenied("kms:DeleteImportedKeyMaterial is not allowed")] * 3)
            await world.order(OrderKind.SUSPEND)
            told = world.inbox.notices[-1].condition
            assert (told.kind, told.severity) == (ConditionKind.SUSPENDED, Severity.CRITICAL)
            assert "usable all the same" in told.detail
            assert "not allowed" in told.detail
            await world.pass_time(3 * MINUTE, step=MINUTE)
            assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
            assert (await world.know()).conditions[0].condition.severity is Severity.WARNING
    assert [line["event"] for line in lines].count("deletion_failed") == 1


async def test_material_that_people_bring_back_by_hand_is_told_and_left() -> None:
    """Whoever imported into a suspended key did it on purpose; a second suspension deletes again."""
    async with running(await _world()) as world:
        materials = world.kms.key(ARN).materials
        await world.order(OrderKind.SUSPEND)
        world.kms.put(ARN, materials=materials)
        await world.pass_time(2 * DAY, step=6 * timedelta(hours=1))
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert world.kms.count(DELETION) == 1
        (found,) = (each for each in (await world.know()).conditions if each.condition.kind is ConditionKind.SUSPENDED)
        assert found.condition.severity is Severity.CRITICAL

        await world.order(OrderKind.SUSPEND)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT


async def test_a_suspension_passes_over_a_hold() -> None:
    """A hold protects a key from byokd's own doing; cutting it off is the operator's."""
    async with running(await _world()) as world:
        await world.order(OrderKind.HOLD)
        await world.order(OrderKind.SUSPEND)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT


async def test_resuming_does_not_enable_a_key_that_was_disabled() -> None:
    """An import enables a key; one that was Disabled when it was suspended stays without material until ordered."""
    async with running(await _world()) as world:
        world.kms.put(ARN, enabled=False)
        await world.pass_time(DAY, step=DAY)
        await world.order(OrderKind.SUSPEND)
        await world.order(OrderKind.RESUME)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        await world.order(OrderKind.IMPORT)
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_resuming_heals_also_where_the_policy_only_reports() -> None:
    """The policy speaks of losses that nobody asked for."""
    world = await _world(on_lapse=OnLoss.REPORT, on_foreign_delete=OnLoss.REPORT)
    async with running(world):
        await world.order(OrderKind.SUSPEND)
        await world.order(OrderKind.RESUME)
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_an_import_ordered_for_a_suspended_key_is_refused() -> None:
    """Two orders that contradict each other: the kill switch is in force until it is taken back."""
    async with running(await _world()) as world:
        await world.order(OrderKind.SUSPEND)
        await world.order(OrderKind.IMPORT)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        assert [each.kind for each in (await world.know()).ledger.open_orders] == [OrderKind.SUSPEND]


async def test_the_history_names_who_suspended_the_key() -> None:
    """Nobody looks for an attacker where a colleague pulled the switch."""
    async with running(await _world()) as world:
        await world.order(OrderKind.SUSPEND)
        causes = {each.cause for each in await world.store.history(None, limit=100)}
        assert "suspended by operator" in causes
        assert "deleted by someone else" not in causes


async def test_a_key_without_ids_for_its_material_is_suspended_too() -> None:
    """HMAC keys have one material and no KeyMaterialId."""
    world = World()
    world.kms.create(ARN, spec="HMAC_256")
    await world.add(create=False)
    async with running(world):
        assert world.kms.state(ARN) is KeyState.ENABLED
        await world.order(OrderKind.SUSPEND)
        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT


async def test_an_order_may_shorten_a_life_and_end_it_never() -> None:
    """byokd shortens nothing by itself, and does what it is told."""
    async with running(await _world()) as world:
        soon = world.clock.now() + 40 * DAY
        await world.order(OrderKind.IMPORT, valid_to=soon)
        assert world.kms.key(ARN).materials[0].expiry == soon
        await world.pass_time(MINUTE)
        await world.order(OrderKind.IMPORT, valid_to=NEVER)
        assert world.kms.key(ARN).materials[0].expiry is NEVER


async def test_an_order_that_comes_while_an_import_is_tried_again_is_done_by_it() -> None:
    """Seconds after the import that both had asked for, the material was imported once more (seed 2103)."""
    async with running(await _world()) as world:
        await world.order(OrderKind.SUSPEND)
        world.kms.fail("ImportKeyMaterial", KmsUnreachable("refused"))
        await world.order(OrderKind.RESUME)
        before = world.kms.count("ImportKeyMaterial")
        await world.pass_time(timedelta(seconds=2))
        await world.order(OrderKind.IMPORT)
        await world.pass_time(MINUTE)
        assert world.kms.count("ImportKeyMaterial") == before + 1
        assert (await world.know()).ledger.open_orders == ()


async def test_an_end_of_life_is_not_done_by_an_import_to_another() -> None:
    """Given together with an older order that wanted none: the import for that one closed both."""
    async with running(await _world()) as world:
        soon = world.clock.now() + 40 * DAY
        now = world.clock.now()
        for name, valid_to in (("1", ABSENT), ("2", soon)):
            one = order(OrderKind.IMPORT, id=name, created_at=now, valid_to=valid_to)
            entry = HistoryEntry(at=now, ref=one.ref, event=HistoryEvent.ORDER_GIVEN, detail="import")
            await world.store.add_orders([(one, entry)])
        world.engine.wake()  # type: ignore[union-attr]  # it runs
        await world.pass_time(10 * MINUTE)
        assert world.kms.key(ARN).materials[0].expiry == soon
        assert (await world.know()).ledger.open_orders == ()


async def test_an_end_of_life_that_passed_while_the_order_waited_is_refused() -> None:
    """A held key kept the order open until its end of life lay in the past; KMS would have refused it."""
    async with running(await _world()) as world:
        imports = world.kms.count("ImportKeyMaterial")
        now = world.clock.now()
        await world.order(OrderKind.IMPORT, valid_to=now)
        assert world.kms.count("ImportKeyMaterial") == imports
        assert (await world.know()).ledger.open_orders == ()


async def test_an_order_that_meets_an_import_of_one_of_several_materials_is_answered() -> None:
    """Given in the second in which an import ended, it was open for ever: done by that one, and closed by none."""
    world = World()
    world.source.materials["next.key"] = bytes([1]) * 32
    await world.add(desired(further=("next.key",)))
    async with running(world):
        await world.order(OrderKind.RESUME)
        assert (await world.know()).ledger.open_orders == ()


async def test_an_end_of_life_that_was_ordered_during_an_import_is_given() -> None:
    """An import on its way to another ValidTo ended after the order, and passed for the one that was asked for."""
    world = World()
    world.source.materials["next.key"] = bytes([1]) * 32
    await world.add(desired(further=("next.key",)))
    soon = world.clock.now() + 40 * DAY
    async with running(world):
        await world.order(OrderKind.IMPORT, valid_to=soon)
        await world.pass_time(timedelta(hours=2), step=5 * MINUTE)
        assert [each.expiry for each in world.kms.key(ARN).materials] == [soon]
        assert (await world.know()).ledger.open_orders == ()


@pytest.mark.parametrize("kind", [OrderKind.IMPORT, OrderKind.RESUME])
async def test_an_order_from_before_the_clock_was_set_back_is_carried_out_once(kind: OrderKind) -> None:
    """Stamped an hour ahead, nothing that was done for it had been done since: it was imported for all that hour."""
    world = World()
    world.source.materials["next.key"] = bytes([1]) * 32
    await world.add(desired(further=("next.key",)))
    async with running(world):
        imports = world.kms.count("ImportKeyMaterial")
        await world.order(kind, created_at=world.clock.now() + timedelta(hours=1), wait=False)
        await world.store.wake([desired().ref], at=world.clock.now())
        await world.pass_time(timedelta(hours=2), step=5 * MINUTE)
        assert world.kms.count("ImportKeyMaterial") == imports + 1
        assert (await world.know()).ledger.open_orders == ()


async def test_a_rotation_from_before_the_clock_was_set_back_is_ordered_once() -> None:
    """KMS's RotationDate came before the order's, which was refused, or would have rotated to the next one in stock."""
    world = World()
    locators = ("next.key", "last.key")
    world.source.materials |= {each: bytes([number]) * 32 for number, each in enumerate(locators, 1)}
    await world.add(desired(further=locators))
    async with running(world):
        await world.order(OrderKind.ROTATE, created_at=world.clock.now() + timedelta(hours=1), wait=False)
        await world.store.wake([desired().ref], at=world.clock.now())
        await world.pass_time(timedelta(hours=3), step=5 * MINUTE)
        assert world.kms.count("RotateKeyOnDemand") == 1
        (order,) = await world.store.orders(ref=desired().ref, only_open=False, limit=9)
        assert order.state is OrderState.DONE
