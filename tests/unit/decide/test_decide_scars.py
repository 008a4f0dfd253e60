"""Bugs of the policy that were found once, each with its story."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from byokd.decide.case import case
from byokd.decide.decide import decide, decided
from byokd.decide.intents import NOT_SEEN, explain
from byokd.decide.orders import after_deciding
from byokd.decide.transitions import of_material
from byokd.facts.condition import ConditionKind
from byokd.facts.key import ABSENT, NEVER, Expiry, KeyState
from byokd.facts.ledger import HistoryEvent, Import, ImportState, OrderKind, OrderState, Track, Unproved
from byokd.facts.policy import OnLoss
from byokd.facts.snapshot import ImportWanted, ProofWanted, Reason
from tests.kit.builders import DAY, desired, ledger, observed, order, policy, queued, running, snapshot
from tests.kit.clock import START

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def test_an_import_that_shows_late_is_adopted() -> None:
    """An import given up as not seen was cancelled when it did show, and left no fingerprint."""
    row = queued(attempts=1, started_at=START, state=ImportState.FAILED, outcome=NOT_SEEN)
    shown = snapshot(view=observed(at=START + HOUR, valid_to=row.expiry), ledger=ledger(open_import=row))

    explained = explain(shown, START + HOUR)

    assert isinstance(explained, Import)
    assert (explained.state, explained.outcome) == (ImportState.DONE, "adopted")


def test_a_failed_import_is_not_the_cause_of_what_someone_else_did() -> None:
    """The history named byokd's own import, which had failed, as the cause of a ValidTo that another had moved."""
    failed = ledger(open_import=queued(attempts=1, started_at=START, state=ImportState.FAILED, outcome="access_denied"))
    before = snapshot(ledger=failed)
    after = snapshot(view=observed(at=START + HOUR, valid_to=START + 80 * DAY), ledger=failed)

    (moved,) = of_material(before, case(after, START + HOUR))

    assert (moved.event, moved.cause) == (HistoryEvent.EXPIRY_CHANGED, "by someone else")


def test_an_import_order_waits_while_kms_makes_the_key() -> None:
    """Creating and Updating pass within seconds, and an order for such a key was refused for good."""
    orders = (order(OrderKind.IMPORT),)
    closed = {
        reason: after_deciding(orders, reason=reason, message="m", now=START)
        for reason in (Reason.NOT_READY, Reason.HANDS_OFF)
    }

    assert closed[Reason.NOT_READY] == ()
    assert [each.state for each in closed[Reason.HANDS_OFF]] == [OrderState.REFUSED]


def test_a_running_import_is_never_cancelled() -> None:
    """Only a look at the key tells what became of an import that was sent."""
    disabled = snapshot(
        view=observed(state=KeyState.DISABLED),
        ledger=ledger(open_import=queued(attempts=1, started_at=START, state=ImportState.RUNNING)),
    )

    assert decide(disabled, START).cancel == ""


def test_a_key_that_is_enabled_again_before_its_end_is_seen_in_time() -> None:
    """It was looked at when its emergency began and then at its ValidTo, where `look_every` is long, and lapsed."""
    seldom = desired(policy=policy(look_every=20 * DAY))
    for state in (KeyState.DISABLED, KeyState.PENDING_DELETION, KeyState.UNKNOWN):
        disabled = snapshot(desired=seldom, view=observed(state=state))
        for left in (25 * DAY, 10 * DAY, 4 * DAY, HOUR):
            now = START + 60 * DAY - left
            assert decide(disabled, now).wake_at <= now + left / 8


@pytest.mark.parametrize("ends", [START + 60 * DAY, NEVER], ids=["ends", "never ends"])
@pytest.mark.parametrize("state", [KeyState.DISABLED, KeyState.PENDING_DELETION, KeyState.UNKNOWN])
def test_a_key_that_is_enabled_again_is_seen_within_two_hours(state: KeyState, ends: Expiry) -> None:
    """It was enabled again and its material deleted days later, before the next look: KMS shows it PendingImport then.

    So it passed for one that people wanted disabled, and was not healed; the next of its materials lapsed meanwhile.
    """
    seldom = desired(policy=policy(look_every=7 * DAY))
    disabled = snapshot(desired=seldom, view=observed(state=state, valid_to=ends))

    assert decide(disabled, START).wake_at == START + 2 * HOUR


def test_an_order_asks_a_source_again_at_once() -> None:
    """The file was repaired and an import ordered, and byokd still sat out the wait after the last failure."""
    failed = Unproved(since=START - HOUR, at=START, code="material_invalid", message="m", failures=8)
    ordered = ledger(open_orders=(order(OrderKind.IMPORT, created_at=START + SECOND),))

    assert decide(snapshot(proof=failed), START + 2 * SECOND).action is ABSENT
    assert decide(snapshot(proof=failed, ledger=ordered), START + 2 * SECOND).action == ProofWanted()
    once_more = replace(failed, at=START + 2 * SECOND)
    assert decide(snapshot(proof=once_more, ledger=ordered), START + 3 * SECOND).action is ABSENT


def test_an_order_is_heard_beside_an_older_one() -> None:
    """A resumption waited for its source; that was repaired, an import ordered, and only the older order counted."""
    failed = Unproved(since=START - HOUR, at=START, code="source_unreadable", message="m", failures=8)
    waiting = order(OrderKind.RESUME, created_at=START - HOUR)
    newer = order(OrderKind.IMPORT, created_at=START + SECOND)
    gone = {"view": observed(valid_to=ABSENT), "proof": failed}

    assert decide(snapshot(ledger=ledger(open_orders=(waiting,)), **gone), START + 2 * SECOND).action is ABSENT
    both = ledger(open_orders=(waiting, newer))
    assert decide(snapshot(ledger=both, **gone), START + 2 * SECOND).action == ProofWanted()


def test_an_ordered_rotation_asks_its_source_at_once() -> None:
    """The next material was put in its place and the rotation ordered, and an hour passed before anybody looked."""
    failed = Unproved(since=START - HOUR, at=START, code="source_unreadable", message="m", failures=8)
    stocked = snapshot(desired=desired(further=("2.key",)), others=(Track(proof=failed),))
    rotate = ledger(open_orders=(order(OrderKind.ROTATE, created_at=START + SECOND),))

    assert decide(stocked, START + 2 * SECOND).action is ABSENT
    assert decide(replace(stocked, ledger=rotate), START + 2 * SECOND).action == ProofWanted(places=(1,))


def test_a_source_that_fails_is_given_time_where_no_deadline_presses() -> None:
    """Material that never expires, or is gone, has its deadline "now"; an eighth of the time up to it had passed at
    each look, so that a source that failed was asked again by each, however often it had failed before.
    """
    failed = Unproved(since=START - DAY, at=START, code="material_invalid", message="m", failures=8)
    endless = snapshot(view=observed(valid_to=NEVER), proof=failed, ledger=ledger(last_expiry=NEVER))
    lapsed = snapshot(view=observed(valid_to=ABSENT), proof=failed, ledger=ledger(last_expiry=START - DAY))

    for it, wait in ((endless, timedelta(minutes=8)), (lapsed, timedelta(minutes=4))):
        assert decide(it, START + wait).action is ABSENT
        assert decide(it, decide(it, START).wake_at).action == ProofWanted()


def test_a_refusal_is_not_tried_again_by_every_look_at_a_lapsed_key() -> None:
    """What KMS had refused of a lapsed key was to wait an hour, and waited thirty seconds: tokens for nothing."""
    refused = queued(state=ImportState.REFUSED, finished_at=START, detail="not the material", outcome="refused")
    it = snapshot(view=observed(valid_to=ABSENT), ledger=ledger(last_expiry=START - DAY, refused_import=refused))

    for passed in (SECOND, timedelta(minutes=1), timedelta(minutes=59)):
        decision = decide(it, START + passed)
        assert (decision.reason, decision.action) == (Reason.REFUSED, ABSENT)
    assert isinstance(decide(it, START + HOUR).action, ImportWanted)


def test_what_does_not_show_in_seconds_is_asked_for_less_and_less() -> None:
    """An import that took two minutes to show was looked for every four seconds, thirty times over."""
    row = running(answered=True)
    looks, now = 0, START
    while now < START + 120 * SECOND:
        decision = decide(snapshot(view=observed(at=now), ledger=ledger(open_import=row)), now)
        assert decision.reason is Reason.SETTLING
        looks, now = looks + 1, decision.wake_at

    assert looks <= 12


def test_a_nearer_end_that_only_one_answer_shows_is_looked_at_again_in_time() -> None:
    """Somebody moved the ValidTo to 4 hours from now. DescribeKey showed it, and ListKeyRotations the one before.

    byokd believed the list until its next look a day later.
    """
    seen = observed(valid_to=START + 300 * DAY)
    torn = snapshot(view=replace(seen, expiry=START + 4 * HOUR))

    assert decide(torn, START).wake_at == START + HOUR / 2
    assert decide(snapshot(view=seen), START).wake_at > START + 4 * HOUR


def test_two_answers_that_differ_for_good_are_no_reason_to_look_every_second() -> None:
    """Were it not the earliest of all, what DescribeKey shows would have every key looked at again and again."""
    for shown in (START + 200 * DAY, START - 4 * HOUR):
        torn = snapshot(view=replace(observed(valid_to=START + 300 * DAY), expiry=shown))

        assert decide(torn, START).wake_at == START + HOUR


def test_a_missing_material_that_only_one_answer_shows_is_looked_at_again_soon() -> None:
    """Somebody deleted the material. DescribeKey said PendingImport, and the list was from before.

    byokd believed the list, told nobody and healed nothing until its next look, a quarter of a day later.
    """
    torn = snapshot(view=observed(state=KeyState.PENDING_IMPORT, expiry=ABSENT))
    wait = decide(torn, START).wake_at - START

    # Nor every second, should the two differ for good.
    assert wait == timedelta(minutes=5)
    for agreed in (observed(), observed(valid_to=ABSENT)):
        report = desired(policy=policy(on_foreign_delete=OnLoss.REPORT))
        assert decide(snapshot(desired=report, view=agreed), START).wake_at == START + 6 * HOUR


def test_what_cannot_be_seen_apart_from_other_materials_is_not_imported_again_at_once() -> None:
    """ListKeyRotations was denied, and the key's ValidTo was that of its other material: "its ValidTo did not move".

    KMS had taken the import, and got the same once more 164 s later.
    """
    confirmed = replace(running(answered=True), state=ImportState.FAILED, outcome=NOT_SEEN)
    hidden = replace(observed(valid_to=START + 20 * DAY), materials=(), materials_known=False)
    for view, others, reason in (
        (hidden, (Track(),), Reason.FLOOR),
        (hidden, (), Reason.RENEWAL_DUE),
        (observed(valid_to=START + 20 * DAY), (Track(),), Reason.RENEWAL_DUE),
    ):
        it = snapshot(view=view, ledger=ledger(open_import=confirmed), others=others)
        assert decided(case(it, START + 180 * SECOND)).reason is reason
        assert decided(case(it, START + HOUR + 60 * SECOND)).reason is Reason.RENEWAL_DUE


def test_the_end_of_another_material_is_not_taken_for_that_of_one_that_never_ends() -> None:
    """ListKeyRotations was denied now and then, and what never ends was imported again every few minutes.

    Each denied look took the key's earliest ValidTo for that of every material, and each allowed one knew better.
    """
    ends = START + HOUR
    hidden = replace(observed(valid_to=ends), materials=(), materials_known=False)
    known = ledger(last_expiry=NEVER, last_success_at=START - DAY)
    for other, reason in (
        (Track(last_expiry=ends), Reason.NEVER_EXPIRES),
        (Track(last_expiry=ends, open_import=running(answered=True)), Reason.RENEWAL_DUE),  # and still it ends then
        (Track(last_expiry=ends + DAY), Reason.RENEWAL_DUE),
    ):
        it = snapshot(view=hidden, ledger=known, others=(other,))
        assert decided(case(it, START)).reason is reason


@pytest.mark.parametrize("rotates", [False, True])
def test_what_kms_has_forgotten_is_refused_no_more(rotates: bool) -> None:
    """It ended while it waited for its rotation, its renewal refused: `import_refused` stood for as long as its key."""
    row = queued(material=ABSENT, state=ImportState.REFUSED, finished_at=START - HOUR, detail="no")
    orders = (order(OrderKind.ROTATE, created_at=START - 2 * HOUR),) if rotates else ()
    it = snapshot(
        desired=desired(further=("2.key",)),
        ledger=ledger(open_orders=orders),
        others=(Track(refused_import=row),),
    )
    told = [each for each in decide(it, START).conditions if each.kind is ConditionKind.IMPORT_REFUSED]
    assert [each.detail for each in told] == (["material 2 of 2: no"] if rotates else [])
