"""The loop as a whole: what becomes of a key over time, in a world where anything may go wrong."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from byokd.errors import (
    AccessDenied,
    AnswerLost,
    CredentialsInvalid,
    KmsInternal,
    KmsUnreachable,
    SourceUnreadable,
    Throttled,
    TokenRefused,
)
from byokd.facts.condition import ConditionKind
from byokd.facts.key import ABSENT, Blind, KeyRef, KeyState, ObservedKey
from byokd.facts.ledger import ImportState, OrderKind
from byokd.facts.policy import OnLoss, Quota
from tests.kit.builders import ARN, DAY, OPERATIONS, desired, lane, policy
from tests.kit.world import World, running

HOUR = timedelta(hours=1)


async def test_a_virgin_key_comes_to_life_and_is_renewed_for_a_year() -> None:
    """First import at once, then a reimport in each last third, each with a token of its own, and never a lapse."""
    world = World()
    await world.add()
    async with running(world):
        assert world.kms.state(ARN) is KeyState.ENABLED
        for _ in range(365):
            await world.pass_time(DAY, step=6 * HOUR)
            assert world.kms.state(ARN) is KeyState.ENABLED

        calls = [call.operation for call in world.kms.calls]
        assert 6 <= world.kms.count("ImportKeyMaterial") <= 7
        assert world.kms.count("GetParametersForImport") == world.kms.count("ImportKeyMaterial")
        assert calls.index("GetParametersForImport") < calls.index("ImportKeyMaterial")
        tokens = [call.members["token"] for call in world.kms.calls if call.operation == "ImportKeyMaterial"]
        assert len(set(tokens)) == len(tokens)
        assert world.inbox.said == []


async def test_a_lapse_while_byokd_was_down_is_recorded_told_and_healed() -> None:
    """Stopped past a ValidTo and started again: the history says lapsed, people hear of it, and the key comes back."""
    world = World()
    await world.add()
    async with running(world):
        pass
    world.clock.advance(100 * 86400)
    assert world.kms.state(ARN) is KeyState.PENDING_IMPORT

    async with running(world):
        assert world.kms.state(ARN) is KeyState.ENABLED
        history = await world.history()
        assert "material_lapsed" in history
        assert history[-1] in ("import_done", "expiry_changed")
        assert "raised lapsed" in world.inbox.said
        assert "resolved lapsed" in world.inbox.said


async def test_a_lapse_is_seen_at_valid_to_itself_when_the_policy_only_reports() -> None:
    """byokd is awake at ValidTo, sees the key fall to PendingImport, says so and leaves it alone."""
    world = World()
    ref = await world.add(desired(policy=policy(on_lapse=OnLoss.REPORT)))
    async with running(world):
        world.source.failing["payments.key"] = SourceUnreadable("the disk is gone")
        await world.pass_time(90 * DAY, step=6 * HOUR)
        imports = world.kms.count("ImportKeyMaterial")

        assert world.kms.state(ARN) is KeyState.PENDING_IMPORT
        assert (await world.know(ref)).ledger.lost_at == world.clock.now()
        assert "raised lapsed" in world.inbox.said
        assert "raised expiring" in world.inbox.said

        del world.source.failing["payments.key"]
        await world.pass_time(DAY, step=HOUR)
        assert world.kms.count("ImportKeyMaterial") == imports


async def test_deleted_material_is_healed() -> None:
    """Somebody deletes the material: the next look notices, tells it apart from a lapse, and imports it again."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(2 * HOUR)
        world.kms.delete_material(ARN)
        await world.pass_time(7 * HOUR)

        assert world.kms.state(ARN) is KeyState.ENABLED
        assert "material_deleted" in await world.history()


async def test_a_lost_answer_is_adopted_without_a_second_import() -> None:
    """KMS applied the import and byokd never heard: looking finds out, and the row says adopted."""
    world = World()
    await world.add()
    world.kms.fail("ImportKeyMaterial", AnswerLost("connection reset"), applied=True)
    async with running(world):
        (row,) = await world.imports()
        assert (row.state, row.outcome) == (ImportState.DONE, "adopted")
        assert world.kms.count("ImportKeyMaterial") == 1
        assert (await world.know()).ledger.fingerprint is not ABSENT


async def test_a_lost_request_is_sent_again_with_a_fresh_token() -> None:
    """Nothing was applied: after a short while the import counts as failed, and the next one succeeds."""
    world = World()
    await world.add()
    world.kms.fail("ImportKeyMaterial", AnswerLost("connection reset"))
    async with running(world):
        await world.pass_time(timedelta(minutes=2), step=timedelta(seconds=5))

        assert world.kms.state(ARN) is KeyState.ENABLED
        assert world.kms.count("GetParametersForImport") == 2
        assert (await world.imports())[0].state is ImportState.DONE


async def test_an_import_that_shows_late_settles() -> None:
    """KMS confirmed, but its readings lag behind: byokd waits for the reading and does not import twice."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(59 * DAY + 23 * HOUR, step=HOUR)
        gate = world.kms.gate("ImportKeyMaterial")
        await _advance_while_busy(world, 2 * HOUR)
        world.kms.lag(ARN, reads=4)
        gate.set()
        await world.pass_time(timedelta(minutes=1), step=timedelta(seconds=2))

        assert world.kms.count("ImportKeyMaterial") == 2
        assert (await world.imports())[0].state is ImportState.DONE


@pytest.mark.parametrize("error", [KmsInternal("500"), KmsUnreachable("no route"), TokenRefused("expired")])
async def test_what_passes_is_tried_again(error: Exception) -> None:
    """Trouble that passes costs time and nothing else."""
    world = World()
    await world.add()
    world.kms.fail("ImportKeyMaterial", error)  # type: ignore[arg-type]  # each is a KmsError
    async with running(world):
        await world.pass_time(timedelta(minutes=1), step=timedelta(seconds=5))
        assert world.kms.state(ARN) is KeyState.ENABLED


async def test_a_fresh_token_that_is_long_in_coming_is_waited_for_in_the_queue() -> None:
    """Of a lane of an import an hour a turn waited for its second token until it was broken off as a defect."""
    slow = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    slow |= {"GetParametersForImport": Quota(per_second=1 / 3600, burst=1.0)}
    world = World(lane=lane(quotas=slow))
    await world.add()
    world.kms.fail("ImportKeyMaterial", TokenRefused("expired"))
    async with running(world):
        (row,) = await world.imports()
        assert row.state is ImportState.FAILED
        await world.pass_time(2 * HOUR, step=timedelta(minutes=5))
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert world.kms.count("GetParametersForImport") == 2


async def test_throttling_slows_the_lane_and_counts_no_attempt() -> None:
    """A throttled request is the lane's business: the row's attempts do not grow."""
    world = World()
    await world.add()
    world.kms.fail("GetParametersForImport", Throttled("slow down"), Throttled("slow down"))
    async with running(world):
        await world.pass_time(timedelta(minutes=1), step=timedelta(seconds=1))
        (row,) = await world.imports()
        assert (row.state, row.attempts) == (ImportState.DONE, 1)


async def test_other_material_never_reaches_kms() -> None:
    """The source gives other bytes than were imported: refused before any call to AWS, and people hear of it."""
    world = World()
    await world.add()
    async with running(world):
        world.source.materials["payments.key"] = bytes(32)
        await world.pass_time(70 * DAY, step=6 * HOUR)

        assert world.kms.count("GetParametersForImport") == 1
        assert "raised material_changed" in world.inbox.said


async def test_a_hold_keeps_byokd_away_until_it_is_released() -> None:
    """A hold is obeyed; the release lets the renewal through."""
    world = World()
    await world.add()
    async with running(world):
        await world.order(OrderKind.HOLD)
        await world.pass_time(85 * DAY, step=6 * HOUR)
        assert world.kms.count("ImportKeyMaterial") == 1
        assert "raised held" in world.inbox.said

        await world.order(OrderKind.RELEASE)
        await world.settle()
        assert world.kms.count("ImportKeyMaterial") == 2
        assert (await world.know()).ledger.open_orders == ()


async def test_a_hold_is_not_ended_by_a_clock_that_kms_refuses() -> None:
    """The host's clock was three weeks ahead for an hour, and the hold was over for good: the key was imported into."""
    world = World()
    await world.add()
    async with running(world):
        until = world.clock.now() + 80 * DAY
        await world.order(OrderKind.HOLD, until=until)
        await world.pass_time(65 * DAY, step=6 * HOUR)
        world.kms.fail("DescribeKey", *[CredentialsInvalid("signature not yet current")] * 9)
        world.clock.step((21 * DAY).total_seconds())
        for _ in range(2):  # as the refusals last for the hour
            world.clock.advance(1800)
            await world.settle()
        assert isinstance((await world.know()).view, Blind)
        world.clock.step(-(21 * DAY).total_seconds())

        await world.pass_time(14 * DAY, step=6 * HOUR)
        assert world.kms.count("ImportKeyMaterial") == 1
        await world.pass_time(2 * DAY, step=6 * HOUR)
        assert world.kms.count("ImportKeyMaterial") == 2


async def test_an_order_imports_now() -> None:
    """An operator's order imports a key that is not due, and is closed as done."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(2 * HOUR)
        await world.order(OrderKind.IMPORT)
        await world.settle()

        assert world.kms.count("ImportKeyMaterial") == 2
        assert (await world.know()).ledger.open_orders == ()
        assert "order_closed" in await world.history()


async def test_an_order_for_a_disabled_key_is_refused() -> None:
    """A Disabled key is not imported into, not even by order; the order says why it was refused."""
    world = World()
    await world.add()
    async with running(world):
        world.kms.put(ARN, enabled=False)
        await world.order(OrderKind.IMPORT)
        await world.settle()

        assert world.kms.count("ImportKeyMaterial") == 1
        assert (await world.know()).ledger.open_orders == ()


async def test_denied_access_is_told_and_forgotten_when_it_comes_back() -> None:
    """While byokd may not look it says so; when it may again, that is resolved."""
    world = World()
    await world.add()
    async with running(world):
        world.kms.fail("DescribeKey", *[AccessDenied("not allowed")] * 5)
        await world.pass_time(DAY, step=timedelta(minutes=5))

        assert "raised access_denied" in world.inbox.said
        assert "resolved access_denied" in world.inbox.said
        assert isinstance((await world.know()).view, ObservedKey)


async def test_a_key_named_twice_is_found_out() -> None:
    """An alias that resolves to a key which the config names by ARN as well is not managed a second time."""
    world = World()
    world.kms.create(ARN, alias="alias/payments")
    world.source.materials["payments.key"] = bytes(range(32))
    alias = desired(ref=KeyRef("111122223333/eu-central-1/alias/payments"), name="alias/payments")
    alias = replace(alias, arn=ABSENT)
    await world.store.sync_fleet([desired(), alias], now=world.clock.now())
    async with running(world):
        await world.pass_time(timedelta(minutes=5), step=timedelta(seconds=10))
        view = (await world.know(alias.ref)).view
        assert isinstance(view, Blind)
        assert view.code == "duplicate_key"
        assert "raised duplicate_key" in world.inbox.said
        assert world.kms.count("ImportKeyMaterial") == 1


async def test_credentials_of_another_account_are_not_used() -> None:
    """An alias that leads into another account than the lane's is not imported into."""
    world = World()
    elsewhere = ARN.replace("111122223333", "999999999999")
    world.kms.create(elsewhere, alias="alias/payments")
    ref = KeyRef("111122223333/eu-central-1/alias/payments")
    await world.add(replace(desired(ref=ref, name="alias/payments"), arn=ABSENT), create=False)
    async with running(world):
        view = (await world.know(ref)).view
        assert isinstance(view, Blind)
        assert view.code == "credentials_invalid"
        assert world.kms.count("GetParametersForImport") == 0


async def test_an_order_does_not_wait_for_the_end_of_a_backoff() -> None:
    """An operator who has mended the cause orders an import, and it happens now."""
    world = World()
    await world.add()
    world.kms.fail("ImportKeyMaterial", *[KmsInternal("500")] * 6)
    async with running(world):
        await world.pass_time(timedelta(minutes=6), step=timedelta(seconds=10))
        before = world.kms.count("ImportKeyMaterial")
        await world.order(OrderKind.IMPORT)
        assert world.kms.count("ImportKeyMaterial") == before + 1


async def test_a_queued_import_of_a_key_that_cannot_be_seen_burns_no_quota() -> None:
    """KMS stops answering between the look and the import: the row waits for the next look, and does not spin."""
    world = World()
    await world.add()
    async with running(world):
        await world.pass_time(59 * DAY + 23 * HOUR, step=6 * HOUR)
        world.kms.fail("ListKeyRotations", *[KmsUnreachable("no route")] * 50)
        before = len(world.kms.calls)
        await world.pass_time(timedelta(minutes=10), step=timedelta(seconds=10))
        assert len(world.kms.calls) - before < 30


async def test_a_clock_that_is_off_is_told() -> None:
    """The Date of KMS's answers and the host's clock disagree by an hour."""
    world = World()
    await world.add()
    world.kms.clock_skew = timedelta(hours=1)
    async with running(world):
        await world.settle()
        conditions = await world.store.open_conditions("lane:" + world.lane.id)
        assert [each.condition.kind for each in conditions] == [ConditionKind.CLOCK_SKEW]


async def test_the_earliest_deadline_is_served_first_at_the_lanes_pace() -> None:
    """With one token in four seconds, a queue is worked off in the order of deadlines, and no faster."""
    slow = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    slow["GetParametersForImport"] = Quota(per_second=0.25, burst=1)
    world = World(lane=lane(quotas=slow, reserve=0.0))
    keys = []
    for number in range(6):
        arn = ARN[:-1] + str(number)
        world.kms.create(arn)
        world.source.materials[f"{number}.key"] = bytes([number] * 32)
        keys.append(desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key"))  # type: ignore[arg-type]  # plain text
    await world.store.sync_fleet(keys, now=world.clock.now())
    async with running(world):
        await world.pass_time(timedelta(seconds=30), step=timedelta(seconds=1))
        at = [call.at for call in world.kms.calls if call.operation == "GetParametersForImport"]
        assert len(at) == 6
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(at)]
        assert all(4 <= gap <= 5 for gap in gaps)


async def test_a_fleet_larger_than_a_batch_comes_to_life_at_once() -> None:
    """Two hundred keys are due at once: batch after batch, none waits for the next safety wake."""
    world = World()
    keys = []
    for number in range(200):
        arn = f"{ARN[:-4]}{number:04d}"
        world.kms.create(arn)
        world.source.materials[f"{number}.key"] = number.to_bytes(32, "big")
        keys.append(desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key"))  # type: ignore[arg-type]  # plain text
    await world.store.sync_fleet(keys, now=world.clock.now())
    async with running(world):
        assert world.kms.count("ImportKeyMaterial") == 200
        assert world.kms.count("DescribeKey") == 400


STEPS = ("DescribeKey", "GetParametersForImport", "ImportKeyMaterial")


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_the_next_start_ends_in_one_correct_state(step: str) -> None:
    """Killed while a call was on its way: after the restart the key is alive, with one open story and no loose ends."""
    world = World()
    await world.add()
    gate = world.kms.gate(step)
    world_start = _start_without_rest(world)
    await world_start
    await world.kill()
    gate.set()

    async with running(world):
        await world.pass_time(timedelta(minutes=2), step=timedelta(seconds=5))
        assert world.kms.state(ARN) is KeyState.ENABLED
        rows = await world.imports()
        assert [row.state for row in rows] == [ImportState.DONE]


async def _start_without_rest(world: World) -> None:
    with contextlib.suppress(AssertionError):
        await world.start(within_s=0.5)


async def _advance_while_busy(world: World, span: timedelta) -> None:
    with contextlib.suppress(AssertionError):
        await world.pass_time(span, step=span, within_s=0.5)
