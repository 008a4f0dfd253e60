"""What every `ports.Store` promises about conditions, notices, and forgetting."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from byokd.decide.notices import OVERTAKEN_AFTER
from byokd.errors import StoreError
from byokd.facts.condition import ConditionKind, Notice, NoticeKind, Severity
from byokd.facts.key import ABSENT, NEVER, Absent
from byokd.facts.ledger import (
    ImportState,
    OrderKind,
    OrderState,
)
from byokd.ports import Store
from tests.kit.builders import DAY, LANE_ID, observed, order
from tests.kit.clock import START
from tests.kit.store_fleet import (
    HOUR,
    KEY,
    OTHER_LANE,
    REF,
    Fleet,
    a_key,
    condition,
    done,
    entry,
    notice,
    row,
)


def of_severity(name: str, *, severity: Severity = Severity.WARNING, **changes: Any) -> Notice:
    """A notice of a condition that was as severe."""
    return notice(name, condition=condition(severity=severity).condition, **changes)


# -- conditions and notices -------------------------------------------------------------------------------------------


async def test_open_conditions_come_worst_first_and_resolved_ones_are_gone(store: Store) -> None:
    """Conditions belong to keys, lanes or the daemon, and are replaced by id."""
    mild = condition("a", subject="daemon", severity=Severity.INFO)
    bad = condition("b", subject="lane:x", severity=Severity.CRITICAL)
    older = condition("c", subject="daemon", severity=Severity.INFO, since=START - DAY)
    await store.save_conditions([mild, bad, older])
    assert await store.open_conditions() == (bad, older, mild)
    assert await store.open_conditions("daemon") == (older, mild)
    await store.save_conditions([replace(bad, resolved_at=START)])
    assert await store.open_conditions() == (older, mild)
    await store.save_conditions([])


async def test_a_condition_is_told_when_it_changes_and_when_it_was_said_to_be_told_again(store: Store) -> None:
    """Deciding about a condition rests it until its time, or until it changes."""
    assert await store.next_notify_at(after=START) is ABSENT
    await store.save_conditions([condition()])
    assert await store.conditions_to_tell(now=START, limit=9) == ((condition(), ()),)
    assert await store.conditions_to_tell(now=START, limit=0) == ()

    await store.save_notices("c1", [notice()], decided_for=condition(), again_at=START + DAY)
    assert await store.conditions_to_tell(now=START + DAY - timedelta(seconds=1), limit=9) == ()
    assert await store.conditions_to_tell(now=START + DAY, limit=9) == ((condition(), (notice(),)),)

    await store.save_notices("c1", [], decided_for=condition(), again_at=ABSENT)
    assert await store.conditions_to_tell(now=START + 9 * DAY, limit=9) == ()

    resolved = condition(resolved_at=START + DAY)
    await store.save_conditions([resolved])
    assert await store.conditions_to_tell(now=START, limit=9) == ((resolved, (notice(),)),)


async def test_a_condition_that_changed_while_being_decided_about_stays_due(store: Store) -> None:
    """The notices are kept, and the change is not lost."""
    await store.save_conditions([condition()])
    worse = condition(severity=Severity.CRITICAL)
    await store.save_conditions([worse])
    await store.save_notices("c1", [notice()], decided_for=condition(), again_at=ABSENT)
    assert await store.conditions_to_tell(now=START, limit=9) == ((worse, (notice(),)),)


async def test_the_outbox_gives_undelivered_notices_oldest_first(store: Store) -> None:
    """A notice is offered from its time on, until it is saved as sent."""
    await store.save_conditions([condition()])
    late = notice("n1", created_at=START - HOUR + timedelta(seconds=1))
    early = notice("n2", created_at=START - HOUR)
    backing_off = notice("n3", not_before=START + DAY)
    await store.save_notices("c1", [late, early, backing_off], decided_for=condition(), again_at=ABSENT)
    assert await store.outbox("log", now=START, limit=9) == (early, late)
    assert await store.outbox("log", now=START, limit=1) == (early,)
    assert await store.outbox("log", now=START + DAY, limit=9) == (early, late, backing_off)
    assert await store.next_notify_at(after=START - DAY) == START
    assert await store.next_notify_at(after=START) == START + DAY
    assert (await store.counts()).notices_waiting == 3
    await store.replace_notices([replace(each, attempts=1, sent_at=START) for each in (early, late)])
    assert await store.outbox("log", now=START, limit=9) == ()
    assert await store.next_notify_at(after=START) == START + DAY
    assert (await store.counts()).notices_waiting == 1


async def test_the_outbox_gives_what_a_clock_that_was_ahead_has_put_off(store: Store) -> None:
    """A notice that was made later than now may wait for a time that has become far away."""
    await store.save_conditions([condition()])
    ahead = notice(created_at=START + DAY, not_before=START + 2 * DAY)
    await store.save_notices("c1", [ahead], decided_for=condition(), again_at=ABSENT)
    assert await store.outbox("log", now=START, limit=9) == (ahead,)
    assert await store.outbox("log", now=START + DAY, limit=9) == ()


async def test_the_outbox_gives_what_was_tried_while_the_clock_was_ahead(store: Store) -> None:
    """No notice waits for longer than a quarter of an hour to be tried again; one that seems to is due."""
    await store.save_conditions([condition()])
    tried = notice(attempts=1, not_before=START + timedelta(hours=4))
    await store.save_notices("c1", [tried], decided_for=condition(), again_at=ABSENT)
    assert await store.outbox("log", now=START, limit=9) == (tried,)
    assert await store.outbox("log", now=START + timedelta(hours=3, minutes=50), limit=9) == ()


async def test_nothing_is_offered_before_what_is_older_about_the_same(store: Store) -> None:
    """Of one channel, subject and kind; another condition of them is the same thing again."""
    await store.save_conditions([condition(), condition("c2")])
    waits = notice("n1", not_before=START + DAY)
    again = notice("n2", "c2", created_at=START + HOUR, not_before=START + 2 * DAY)
    others = [
        notice("n3", subject="daemon", created_at=START + HOUR),
        notice("n4", channel="pager", created_at=START + HOUR),
        notice("n5", condition=replace(waits.condition, kind=ConditionKind.LAPSED), created_at=START + HOUR),
    ]
    for each in (waits, again, *others):
        await store.save_notices("c1", [each], decided_for=condition(), again_at=ABSENT)
    await store.replace_notices([again := replace(again, not_before=START + HOUR)])
    assert await store.outbox("log", now=START + HOUR, limit=9) == (others[0], others[2])
    assert await store.outbox("pager", now=START + HOUR, limit=9) == (others[1],)
    assert await store.outbox("log", now=START + DAY, limit=9) == (waits, again, others[0], others[2])
    await store.replace_notices([replace(waits, sent_at=START)])
    assert await store.outbox("log", now=START + HOUR, limit=9) == (again, others[0], others[2])


@pytest.mark.parametrize(
    ("waits", "comes", "offered"),
    [
        ({}, {}, True),
        ({"attempts": OVERTAKEN_AFTER - 1}, {}, False),
        ({}, {"severity": Severity.WARNING}, False),
        ({"severity": Severity.CRITICAL}, {}, False),
        ({}, {"kind": NoticeKind.RESOLVED}, False),
        ({"kind": NoticeKind.RESOLVED}, {}, True),
    ],
)
async def test_what_is_worse_does_not_wait_for_what_failed_again_and_again(
    store: Store, waits: dict[str, Any], comes: dict[str, Any], offered: bool
) -> None:
    """A receiver that takes no warnings gets what is critical; that it is over comes after what it ends, always."""
    await store.save_conditions([condition()])
    first: dict[str, Any] = {"attempts": OVERTAKEN_AFTER}
    second: dict[str, Any] = {"severity": Severity.CRITICAL, "created_at": START + HOUR}
    warning, critical = of_severity("n1", **first | waits), of_severity("n2", **second | comes)
    await store.save_notices("c1", [warning, critical], decided_for=condition(), again_at=ABSENT)
    await store.replace_notices([warning := replace(warning, not_before=START + 2 * HOUR)])
    soon = START + 2 * HOUR - timedelta(seconds=1)
    assert await store.outbox("log", now=soon, limit=9) == ((critical,) if offered else ())
    assert await store.outbox("log", now=START + 2 * HOUR, limit=9) == (warning, critical)


async def test_what_was_overtaken_is_closed_with_what_waits_behind_it(store: Store) -> None:
    """In the write that records what was taken, or it would be told after that; and nothing else is."""
    await store.save_conditions([condition()])
    refused = of_severity("n1", attempts=OVERTAKEN_AFTER)
    behind = of_severity("n2", created_at=START + timedelta(seconds=1))
    worse = of_severity("n3", severity=Severity.CRITICAL, created_at=START + DAY)
    later = of_severity("n4", severity=Severity.CRITICAL, created_at=START + DAY, kind=NoticeKind.RESOLVED)
    elsewhere = replace(refused, id="n5", channel="pager")
    other = replace(refused, id="n6", subject="daemon")
    them = [refused, behind, worse, later, elsewhere, other]
    await store.save_notices("c1", them, decided_for=condition(), again_at=ABSENT)
    await store.replace_notices([worse := replace(worse, attempts=1)])
    assert await store.outbox("log", now=START + DAY, limit=9) == (refused, other, behind, worse, later)
    # The clock was set back: what was taken was made no later than now.
    await store.replace_notices([replace(worse, created_at=START - DAY, sent_at=START - DAY)])
    assert await store.outbox("log", now=START + DAY, limit=9) == (other, later)
    assert await store.outbox("pager", now=START + DAY, limit=9) == (elsewhere,)
    await store.replace_notices([replace(later, sent_at=START + DAY)])
    assert await store.waiting_by_channel() == {"log": 1, "pager": 1}


async def test_what_is_new_comes_after_what_waits_whatever_the_clock_said(store: Store) -> None:
    """The clock was set back while a resolution waited; told last, it would end what has begun again."""
    await store.save_conditions([condition(), condition("c2")])
    over = notice("n1", kind=NoticeKind.RESOLVED, created_at=START + HOUR, not_before=START + 2 * HOUR)
    await store.save_notices("c1", [over], decided_for=condition(), again_at=ABSENT)
    again = notice("n0", "c2", created_at=START, not_before=START)
    await store.save_notices("c2", [again], decided_for=condition("c2"), again_at=ABSENT)
    assert [each.id for each in await store.outbox("log", now=START, limit=9)] == ["n1", "n0"]


async def test_what_was_told_was_made_before_what_is_new_whatever_the_clock_said(store: Store) -> None:
    """Or the notice of a clock that was ahead would be the last one for a day, and what came after it no news."""
    await store.save_conditions([condition(), condition("c2")])
    ahead = notice("n1", created_at=START + DAY, sent_at=START + DAY)
    elsewhere = notice("n2", channel="pager", created_at=START + DAY, sent_at=START + DAY)
    other = notice("n3", "c2", created_at=START + DAY, sent_at=START + DAY)
    await store.save_notices("c1", [ahead, elsewhere, other], decided_for=condition(), again_at=START)
    again = notice("n0")
    await store.save_notices("c1", [again], decided_for=condition(), again_at=START)
    ahead = replace(ahead, created_at=START - timedelta(seconds=1))
    told = {each.id: notices for each, notices in await store.conditions_to_tell(now=START, limit=9)}
    assert told == {"c1": (ahead, again, elsewhere), "c2": (other,)}


async def test_what_is_new_brings_forward_what_waits_about_the_same(store: Store) -> None:
    """In the write that brings it, to its own time, and never back; what is no older is left alone."""
    await store.save_conditions([condition(), condition("c2")])
    waits = notice("n1", not_before=START + DAY)
    soon = notice("n2", not_before=START + timedelta(minutes=1))
    elsewhere = notice("n3", channel="pager", not_before=START + DAY)
    await store.save_notices("c1", [waits, soon, elsewhere], decided_for=condition(), again_at=ABSENT)
    over = notice("n4", "c2", kind=NoticeKind.RESOLVED, created_at=START + timedelta(seconds=1))
    both = [over, replace(over, id="n5", kind=NoticeKind.RAISED, not_before=START + HOUR)]
    await store.save_notices("c2", both[1:], decided_for=condition("c2"), again_at=ABSENT)
    assert await store.outbox("log", now=START + HOUR, limit=1) == (replace(waits, not_before=soon.not_before),)
    await store.save_notices("c2", both[:1], decided_for=condition("c2"), again_at=ABSENT)
    assert await store.outbox("log", now=over.created_at, limit=9) == (
        replace(waits, not_before=START),
        replace(soon, not_before=START),
        over,
    )
    assert await store.waiting_by_channel() == {"log": 4, "pager": 1}


async def test_a_channel_that_is_new_is_told_of_what_is_open(store: Store) -> None:
    """Conditions that it heard nothing of become due again, as far as it wants to hear of them."""
    them = [condition(), condition("c2"), condition("c3", severity=Severity.INFO), condition("c4", resolved_at=START)]
    await store.save_conditions(them)
    for each in them:
        mine = [notice(f"of {each.id}", each.id)] if each.id != "c2" else []
        await store.save_notices(each.id, mine, decided_for=each, again_at=ABSENT)
    assert await store.conditions_to_tell(now=START, limit=9) == ()
    await store.tell_anew("log", at_least=Severity.INFO, by=START + DAY)
    assert [each.id for each, _ in await store.conditions_to_tell(now=START, limit=9)] == ["c2"]
    await store.tell_anew("pager", at_least=Severity.WARNING, by=START + DAY)
    assert [each.id for each, _ in await store.conditions_to_tell(now=START, limit=9)] == ["c1", "c2"]


async def test_a_channel_that_comes_back_is_told_of_what_got_worse(store: Store) -> None:
    """It had heard of the condition as it was before the channel left the config."""
    worse = condition(severity=Severity.CRITICAL)
    await store.save_conditions([worse])
    heard = notice(condition=replace(worse.condition, severity=Severity.WARNING), sent_at=START)
    await store.save_notices("c1", [heard], decided_for=worse, again_at=ABSENT)
    assert await store.conditions_to_tell(now=START, limit=9) == ()
    await store.tell_anew("log", at_least=Severity.INFO, by=START + DAY)
    assert [each.id for each, _ in await store.conditions_to_tell(now=START, limit=9)] == ["c1"]


async def test_what_was_to_be_told_again_at_a_time_that_is_too_far_away_is_decided_anew(store: Store) -> None:
    """No reminder is put off for longer than a channel waits between two; the clock was set back since."""
    them = [condition(), condition("c2"), condition("c3", severity=Severity.INFO), condition("c4")]
    await store.save_conditions(them)
    times: tuple[datetime | Absent, ...] = (START + DAY, START + DAY + HOUR, START + 9 * DAY, ABSENT)
    for each, again_at in zip(them, times, strict=True):
        mine = notice(f"of {each.id}", each.id, condition=each.condition)
        await store.save_notices(each.id, [mine], decided_for=each, again_at=again_at)
    await store.tell_anew("log", at_least=Severity.WARNING, by=START + DAY)
    assert [each.id for each, _ in await store.conditions_to_tell(now=START, limit=9)] == ["c2"]


async def test_a_notice_saved_twice_as_new_is_one_and_an_unknown_one_an_error(store: Store) -> None:
    """Deciding again after a lost answer does not undo a delivery; what is not on record cannot be replaced."""
    await store.save_conditions([condition()])
    await store.save_notices("c1", [notice()], decided_for=condition(), again_at=ABSENT)
    await store.replace_notices([notice(sent_at=START)])
    await store.save_notices("c1", [notice()], decided_for=condition(), again_at=ABSENT)
    assert await store.outbox("log", now=START, limit=9) == ()
    with pytest.raises(StoreError):
        await store.replace_notices([notice("n2")])
    with pytest.raises(StoreError):
        await store.save_notices("c2", [notice("n3", "c2")], decided_for=condition("c2"), again_at=ABSENT)


async def test_notices_are_replaced_all_or_none(store: Store) -> None:
    """One message tells of many notices, and counts as delivered for all of them."""
    await store.save_conditions([condition()])
    await store.save_notices("c1", [notice("n1"), notice("n2")], decided_for=condition(), again_at=ABSENT)
    sent = [replace(notice(each), attempts=1, sent_at=START) for each in ("n1", "n2")]
    with pytest.raises(StoreError):
        await store.replace_notices([*sent, notice("n3")])
    assert await store.outbox("log", now=START, limit=9) == (notice("n1"), notice("n2"))
    await store.replace_notices(sent)
    await store.replace_notices([])
    assert await store.outbox("log", now=START, limit=9) == ()


async def test_deadlines_are_those_that_keys_have(fleet: Fleet) -> None:
    """A key without a deadline, one that is not on record and what is no key at all have none."""
    others = [a_key(2), a_key(3)]
    await fleet.store.sync_fleet([KEY, *others], now=START)
    await fleet.save(view=observed(expiry=START + DAY))
    await fleet.save(others[0], view=observed(expiry=NEVER))
    asked = [REF, *(each.ref for each in others), "lane:x", "daemon"]
    assert await fleet.store.deadlines(asked) == {REF: START + DAY}
    assert await fleet.store.deadlines([]) == {}


async def test_open_conditions_are_counted_by_lane(fleet: Fleet) -> None:
    """Keys of the lane that are in the config and have it now: not those that had it, nor the lane itself."""
    left, elsewhere = a_key(2), a_key(3, lane=OTHER_LANE)
    others = [left, elsewhere, a_key(4), a_key(5)]
    await fleet.store.sync_fleet([KEY, *others], now=START)
    await fleet.store.save_conditions([condition(f"c{each.ref[-1]}", subject=each.ref) for each in others[:3]])
    await fleet.store.save_conditions([condition("c5", subject=others[3].ref, resolved_at=START), condition()])
    await fleet.store.save_conditions([condition("c6", subject=f"lane:{LANE_ID}")])
    await fleet.store.sync_fleet([KEY, *others[1:]], now=START)
    assert await fleet.store.count_open(ConditionKind.EXPIRING, LANE_ID, at_least=Severity.INFO) == 2
    assert await fleet.store.count_open(ConditionKind.EXPIRING, OTHER_LANE, at_least=Severity.INFO) == 1
    assert await fleet.store.count_open(ConditionKind.LAPSED, LANE_ID, at_least=Severity.INFO) == 0
    await fleet.store.save_conditions([condition(severity=Severity.INFO)])
    assert await fleet.store.count_open(ConditionKind.EXPIRING, LANE_ID, at_least=Severity.WARNING) == 1


async def test_the_next_telling_is_the_earlier_of_condition_and_notice(store: Store) -> None:
    """One sleep serves both halves of the alert loop."""
    await store.save_conditions([condition()])
    at_once = await store.next_notify_at(after=START)
    assert isinstance(at_once, datetime)
    assert at_once <= START
    later = notice(not_before=START + 2 * HOUR)
    await store.save_notices("c1", [later], decided_for=condition(), again_at=START + HOUR)
    assert await store.next_notify_at(after=START) == START + HOUR
    await store.save_notices("c1", [], decided_for=condition(), again_at=START + DAY)
    assert await store.next_notify_at(after=START) == START + 2 * HOUR


# -- pruning ----------------------------------------------------------------------------------------------------------


async def test_pruning_forgets_what_ended_before_the_time_and_keeps_the_rest(fleet: Fleet) -> None:
    """History, closed imports, closed orders, resolved conditions and sent notices go; the bound is exclusive."""
    old, kept = START + HOUR, START + DAY
    hold = order(OrderKind.HOLD, ref=REF)
    await fleet.store.add_orders([(hold, entry(at=kept))])
    await fleet.save(
        imports=(done(1), replace(done(2), finished_at=kept)),
        orders=(replace(hold, state=OrderState.DONE, closed_at=old),),
        conditions=(condition("c1", resolved_at=old), condition("c2", resolved_at=kept)),
        history=(entry(at=old),),
    )
    for name, about in (("n1", "c1"), ("n2", "c2")):
        decided_for = condition(about, resolved_at=old if about == "c1" else kept)
        await fleet.store.save_notices(about, [notice(name, about)], decided_for=decided_for, again_at=ABSENT)
        await fleet.store.replace_notices([notice(name, about, sent_at=decided_for.resolved_at)])

    # TRACKED, one more line, one import, one order, one notice, one condition.
    assert await fleet.store.prune(before=kept, limit=100) == 6
    assert await fleet.store.prune(before=kept, limit=100) == 0
    assert [each.id for each in await fleet.store.imports(only_open=False, limit=9)] == [row(2).id]
    assert [each.at for each in await fleet.store.history(None, limit=9)] == [kept]


async def test_pruning_keeps_what_decisions_rest_on(fleet: Fleet) -> None:
    """Open rows, a refusal in force, what was told of an open condition, and what is not told yet stay, however old."""
    refused = row(1, state=ImportState.REFUSED, finished_at=START)
    await fleet.store.add_orders([(order(OrderKind.HOLD, ref=REF), entry(at=START + 99 * DAY))])
    unsent = condition("unsent", resolved_at=START)
    await fleet.save(
        imports=(refused, row(2)), conditions=(condition(), unsent, condition("untold", resolved_at=START))
    )
    await fleet.store.save_notices("c1", [notice()], decided_for=condition(), again_at=ABSENT)
    await fleet.store.replace_notices([notice(sent_at=START)])
    await fleet.store.save_notices("unsent", [notice("n2", "unsent")], decided_for=unsent, again_at=ABSENT)

    assert await fleet.store.prune(before=START + 9 * DAY, limit=100) == 1  # the line TRACKED

    known = await fleet.read()
    assert (known.ledger.refused_import, known.ledger.open_import) == (refused, row(2))
    assert len(known.ledger.open_orders) == 1
    assert await fleet.store.outbox("log", now=START, limit=9) == (notice("n2", "unsent"),)
    told = await fleet.store.conditions_to_tell(now=START, limit=9)
    assert [each.id for each, _ in told] == ["untold"]
    worse = condition(severity=Severity.CRITICAL)
    await fleet.store.save_conditions([worse])
    assert (worse, (notice(sent_at=START),)) in await fleet.store.conditions_to_tell(now=START, limit=9)


async def test_pruning_takes_no_more_than_asked_of_each_kind(fleet: Fleet) -> None:
    """No write waits long for a chore; the oldest go first."""
    lines = tuple(entry(at=START + number * HOUR) for number in (3, 1, 2))
    await fleet.save(history=lines, imports=(done(1), done(2)))
    assert await fleet.store.prune(before=START + DAY, limit=1) == 2
    assert await fleet.store.prune(before=START + DAY, limit=2) == 3
    assert [each.at for each in await fleet.store.history(None, limit=9)] == [START + 3 * HOUR]
