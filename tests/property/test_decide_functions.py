"""Laws of the functions that `decide` is made of, one by one: total, idempotent, and monotone in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.backoff import LONGEST_WITHOUT_STORE, retry_at, store_again
from byokd.decide.case import Loss, case
from byokd.decide.decide import decide, decided
from byokd.decide.intents import explain, settles_at
from byokd.decide.materials import applied, same_end
from byokd.decide.orders import SINCE, after_deciding, awaiting, before_deciding, stamped, without
from byokd.decide.several import about
from byokd.decide.transitions import compare
from byokd.decide.verdict import SOON, TAKEN_BACK, taken_back_at, wanted_expiry
from byokd.decide.window import share_of, window
from byokd.facts.condition import OpenCondition
from byokd.facts.key import ABSENT, NEVER, KeyRef, ObservedKey, View
from byokd.facts.ledger import Import, ImportState, OrderKind, OrderState, Tier
from byokd.facts.snapshot import (
    DeletionWanted,
    ImportWanted,
    OrderWanted,
    ProbeWanted,
    Reason,
    RotationWanted,
    Snapshot,
)
from tests.kit.builders import MATERIAL, observed, order, policy, running
from tests.kit.clock import START
from tests.kit.situations import LOOKS
from tests.kit.strategies import (
    conditions,
    moments,
    orders,
    policies,
    seconds,
    snapshots,
    spans,
    statements,
    views,
)

MINUTE = timedelta(minutes=1)
SEEN = observed()
LADDER = list(Tier)


@given(snapshots, moments, spans)
def test_a_case_only_gets_worse_with_time(it: Snapshot, now: Any, later: timedelta) -> None:
    """With nothing new seen, no deadline moves away, and what is lost is not found again."""
    first, second = case(it, now), case(it, now + later)

    assert LADDER.index(first.tier) <= LADDER.index(second.tier)
    if first.loss is not Loss.NONE:
        assert second.loss is not Loss.NONE


@given(snapshots, moments)
def test_what_people_take_back_is_seen_in_time(it: Snapshot, now: Any) -> None:
    """At the next look seven eighths of the time left are left, or 30 s have passed, and never more than two hours."""
    the = case(it, now)
    again = taken_back_at(the)

    assert now < again <= now + TAKEN_BACK
    if the.window is not None and the.window.valid_to > now:
        assert again <= now + max(SOON, (the.window.valid_to - now) / 8)


@given(snapshots, moments)
def test_what_is_asked_for_never_shortens_a_life(it: Snapshot, now: Any) -> None:
    """The ValidTo asked for lies ahead, and not before that of material which is there."""
    the = case(it, now)
    wanted = wanted_expiry(the)

    if wanted is not NEVER:
        assert wanted > now
        if the.loss is Loss.NONE and the.expiry is not ABSENT:
            assert the.expiry is not NEVER
            assert wanted >= the.expiry


WANTED = {
    DeletionWanted: {Reason.SUSPENDING},
    OrderWanted: {Reason.ROTATION_DUE},
    ProbeWanted: {Reason.PROBING},
    RotationWanted: {Reason.ROTATING},
}
"""Actions that one rule each asks for."""


@pytest.mark.parametrize("kind", LOOKS)
@settings(deadline=None, max_examples=20)
@given(st.data())
def test_every_action_has_a_reason_and_waits_for_nothing(kind: str, data: st.DataObject) -> None:
    """What is decided says why, and an import that is wanted names the order or the tier that asks for it."""
    it, now = data.draw(LOOKS[kind])
    decision = decide(it, now)
    it = it.turned_to(decision.place)

    assert isinstance(decision.reason, Reason)
    assert decision.message
    assert decision.reason in WANTED.get(type(decision.action), Reason)
    if isinstance(decision.action, ImportWanted):
        assert decision.action.reason is decision.reason
        assert not decision.cancel
        the = case(it, now)
        assert the.loss is not Loss.NONE or the.tier is not Tier.FRESH or decision.action.order_id is not ABSENT


@given(snapshots, moments)
def test_conditions_are_stated_once(it: Snapshot, now: Any) -> None:
    """A decision states each kind of condition at most once, with a sentence."""
    kinds = [each.kind for each in decide(it, now).conditions]

    assert len(kinds) == len(set(kinds))
    assert all(each.detail for each in decide(it, now).conditions)


@given(snapshots, moments)
def test_an_explained_import_stays_explained(it: Snapshot, now: Any) -> None:
    """Explaining is total and idempotent, and never takes back an outcome."""
    row = explain(it, now)
    if isinstance(row, Import):
        again = explain(replace(it, ledger=replace(it.ledger, open_import=row)), now)
        assert again == row
        assert row.state is not ImportState.RUNNING or row == it.ledger.open_import


@given(policies, moments, spans, st.booleans())
def test_settling_ends(rules: Any, since: Any, left: timedelta, answered: bool) -> None:
    """A sent import is waited for at least a moment, at most `settle_for`, and never most of the time left."""
    row = running(since=since, created_at=since, answered=answered, deadline=since + left)
    limit = settles_at(row, rules) - since

    assert timedelta(0) <= limit <= rules.settle_for
    if left > MINUTE:
        assert limit <= left / 8 + timedelta(seconds=1)


@given(moments, st.integers(min_value=-100, max_value=100))
def test_an_import_is_seen_within_five_seconds_of_what_was_asked(wanted: Any, off: int) -> None:
    """Neither a renewal's old ValidTo nor another import's may pass for the one that was asked for."""
    shown = wanted + timedelta(seconds=off)

    assert applied(observed(valid_to=shown), MATERIAL, wanted) is same_end(shown, wanted) is (abs(off) <= 5)
    assert not same_end(NEVER, wanted)
    assert not same_end(shown, ABSENT)
    assert same_end(NEVER, NEVER)


@given(st.integers(min_value=1, max_value=30), st.booleans(), seconds)
def test_backoff_grows_and_never_passes_an_hour(failures: int, emergency: bool, left: timedelta) -> None:
    """More failures never shorten the wait by more than its spread, and no wait is longer than an hour."""
    waits = [
        retry_at(who="k", failures=each, now=START, deadline=START + left, emergency=emergency) - START
        for each in (failures, failures + 1)
    ]

    assert waits[0] * 0.79 <= waits[1] + timedelta(seconds=1)
    assert max(waits) <= timedelta(seconds=300 if emergency else 3600)


@given(
    st.integers(1, 60), st.integers().map(str), st.one_of(st.just(ABSENT), spans), st.booleans(), st.integers(5, 86_400)
)
def test_backoff_doubles_from_five_seconds(failures: int, who: str, past: Any, emergency: bool, most_s: int) -> None:
    """Where no deadline lies ahead: in an emergency to the second, at most five minutes; else a fifth less at most."""
    longest, deadline = timedelta(seconds=most_s), ABSENT if past is ABSENT else START - past
    again = retry_at(who=who, failures=failures, now=START, deadline=deadline, emergency=emergency, longest=longest)
    whole = min(5 * 2 ** (failures - 1), most_s, 300 if emergency else float("inf"))
    assert (whole if emergency else int(0.8 * whole)) <= (again - START).total_seconds() <= whole
    assert not again.microsecond


@given(st.integers(11, 60), st.integers().map(str))
def test_keys_that_failed_together_do_not_return_together(failures: int, prefix: str) -> None:
    """Of an hour that all of them wait, a hundred keys come back over a fifth; the next time in another order."""
    waits = [
        [
            retry_at(who=f"{prefix}{key}", failures=count, now=START, deadline=ABSENT, emergency=False) - START
            for key in range(100)
        ]
        for count in (failures, failures + 1)
    ]
    assert all(max(each) - min(each) > 8 * MINUTE for each in waits)
    assert sorted(range(100), key=waits[0].__getitem__) != sorted(range(100), key=waits[1].__getitem__)


@given(st.integers(min_value=-3, max_value=10_000))
def test_a_store_that_fails_is_left_alone_for_longer_and_never_for_long(failures: int) -> None:
    """Each failure makes the wait longer, up to a minute."""
    assert timedelta(seconds=5) <= store_again(failures) <= store_again(failures + 1) <= LONGEST_WITHOUT_STORE


@given(orders, views, moments)
def test_orders_are_closed_once(them: Any, view: View, now: Any) -> None:
    """What was closed before deciding is not there to be closed again, and no hold in force is."""
    closed = before_deciding(them, view, now)
    gone = {each.id for each in closed}
    left = tuple(each for each in them if each.id not in gone)
    released = any(each.kind is OrderKind.RELEASE for each in them)

    assert all(each.state is not OrderState.OPEN for each in closed)
    for each in closed:
        if each.kind is OrderKind.HOLD and not released:
            assert isinstance(view, ObservedKey)
            assert each.until is not ABSENT
            assert each.until <= now
    held = any(each.kind is OrderKind.HOLD for each in left)
    assert all((each.state is OrderState.REFUSED) == held for each in closed if each.kind is OrderKind.RELEASE)
    assert before_deciding(left, view, now) == ()


@pytest.mark.parametrize(("ends", "kind"), [(OrderKind.RELEASE, OrderKind.HOLD), (OrderKind.RESUME, OrderKind.SUSPEND)])
def test_of_all_orders_about_a_second_each_is_closed_once(ends: OrderKind, kind: OrderKind) -> None:
    """Of two suspensions one was closed as resumed, and the next turn refused the resumption for the other."""
    each = [*product([ends], (-1, 0, 1), [ABSENT]), *product([kind], (-1, 0, 1), [ABSENT, START])]
    for three in product(each, repeat=3):
        them = tuple(
            order(which, id=name, created_at=START + timedelta(seconds=away), effective_at=at)
            for name, (which, away, at) in zip("123", three, strict=True)
        )
        assert before_deciding(without(them, before_deciding(them, SEEN, START)), SEEN, START) == (), three


@given(orders, moments)
def test_no_order_is_from_the_future(them: Any, now: Any) -> None:
    """One that is counts as given now, and is stamped once; nothing else of it changes."""
    anew = stamped(them, now)
    assert anew == tuple(replace(each, created_at=now) for each in them if each.created_at > now)
    assert stamped(anew, now) == ()


ACTS = (OrderKind.IMPORT, OrderKind.RESUME, OrderKind.ROTATE)


@given(snapshots, moments)
def test_what_a_decision_does_to_orders(it: Snapshot, now: Any) -> None:
    """Without an ended import it refuses what asks for action, saying why; holds and suspensions take effect, once."""
    decision = decide(it, now)
    closed = after_deciding(it.ledger.open_orders, reason=decision.reason, message=decision.message, now=now)

    for each in closed:
        if each.kind in (OrderKind.SUSPEND, OrderKind.HOLD):
            obeyed = Reason.HELD if each.kind is OrderKind.HOLD else Reason.SUSPENDED
            assert (decision.reason, each.state, each.effective_at) == (obeyed, OrderState.OPEN, now)
        else:
            assert each.kind in ACTS
            assert each.state is OrderState.REFUSED
            assert each.outcome
    left = [each for each in it.ledger.open_orders if each.kind not in ACTS]
    left = [each for each in closed if each.state is OrderState.OPEN] or left
    again = after_deciding(tuple(left), reason=decision.reason, message="", now=now)
    assert not again


@pytest.mark.parametrize(("ends", "kind"), [(OrderKind.RELEASE, OrderKind.HOLD), (OrderKind.RESUME, OrderKind.SUSPEND)])
@given(moments)
def test_of_one_second_what_was_ordered_last_counts(ends: OrderKind, kind: OrderKind, now: Any) -> None:
    """A script released a key and held it anew, and the hold was closed as released (seed 176)."""
    first, last = order(kind, id="1", created_at=now), order(kind, id="3", created_at=now)
    end = order(ends, id="2", created_at=now)
    closed = {each.id for each in before_deciding((last, end, first), SEEN, now)}
    assert (first.id in closed, last.id in closed) == (True, False)


@pytest.mark.parametrize(("ends", "kind"), [(OrderKind.RELEASE, OrderKind.HOLD), (OrderKind.RESUME, OrderKind.SUSPEND)])
@given(moments)
def test_what_was_ordered_before_the_clock_was_set_back_came_first(ends: OrderKind, kind: OrderKind, now: Any) -> None:
    """The clock was half a month ahead, and no resumption counted until that time had come (seed 2037)."""
    then = now + timedelta(days=15)
    ahead, end = order(kind, created_at=then, effective_at=then), order(ends, created_at=now)
    assert ahead.id in {each.id for each in before_deciding((end, ahead), SEEN, now)}
    both = replace(end, created_at=ahead.created_at - timedelta(hours=1))
    assert ahead.id not in {each.id for each in before_deciding((both, ahead), SEEN, now)}


@pytest.mark.parametrize(("ends", "kind"), [(OrderKind.RELEASE, OrderKind.HOLD), (OrderKind.RESUME, OrderKind.SUSPEND)])
@given(moments)
def test_what_is_in_force_is_ended_by_an_order_from_the_future(ends: OrderKind, kind: OrderKind, now: Any) -> None:
    """The clock was ahead by minutes when a key was resumed, and KMS put it right: the resumption was refused."""
    in_force = order(kind, id="1", created_at=now, effective_at=now)
    end = order(ends, id="2", created_at=now + timedelta(minutes=2))
    closed = {each.id: each.state for each in before_deciding((in_force, end), SEEN, now)}
    assert closed[in_force.id] is OrderState.DONE
    waits = replace(in_force, effective_at=ABSENT)
    assert in_force.id not in {each.id for each in before_deciding((waits, end), SEEN, now)}


@pytest.mark.parametrize(("suspended", "resumed"), [(15, 0), (0, 15), (15, -1), (1, 0)])
@given(moments)
def test_in_doubt_a_key_stays_suspended(suspended: int, resumed: int, now: Any) -> None:
    """Of an older resumption that no turn had closed, a kill switch was undone when the clock was set back."""
    suspension, resumption = (
        order(kind, id=name, created_at=now + timedelta(days=days))
        for kind, name, days in ((OrderKind.SUSPEND, "1", suspended), (OrderKind.RESUME, "2", resumed))
    )
    (closed,) = before_deciding((resumption, suspension), SEEN, now)
    assert (closed.id, closed.state, closed.outcome) == (resumption.id, OrderState.REFUSED, SINCE[OrderKind.RESUME])


@given(snapshots, moments, st.booleans())
def test_an_open_order_says_what_it_waits_for(it: Snapshot, now: Any, waited: bool) -> None:
    """As of this moment, in the words of a decision or of what a suspension left; nothing else of it is touched."""
    open_ = tuple(replace(each, outcome="before" if waited else "") for each in it.ledger.open_orders)
    it = replace(it, ledger=replace(it.ledger, open_orders=open_))
    said = [(case(at, now), decided(case(at, now))) for at in (it.turned_to(place) for place in it.places)]
    changed = {each.id: each for each in awaiting(open_, said)}

    messages = {about(each.place, len(said), each.message) for _, each in said} | {each.message for _, each in said}
    for each in changed.values():
        assert each.outcome in messages or each.outcome.startswith("left: ") or (waited and not each.outcome)
        assert replace(each, outcome=open_[0].outcome) in open_
    assert awaiting([changed.get(each.id, each) for each in open_], said) == ()


@given(statements, statements, moments)
def test_comparing_conditions_is_idempotent(before: Any, after: Any, now: Any) -> None:
    """Once what changed is on record, the record is what is true, in its words too, and nothing is left to change."""
    ids = count()
    known = [OpenCondition(id=str(next(ids)), subject="k", condition=each, since=now) for each in before]
    change = compare(known, after, now)
    gone = {each.id for each in change.resolved}
    changed = {each.id: each for each in (*change.changed, *change.reworded)}
    assert len(changed) == len(change.changed) + len(change.reworded)
    record = [changed.get(each.id, each) for each in known if each.id not in gone]
    record += [OpenCondition(id=str(next(ids)), subject="k", condition=each, since=now) for each in change.raised]
    again = compare(record, after, now)

    assert sorted(map(repr, after)) == sorted(repr(each.condition) for each in record)
    assert (again.raised, again.changed, again.reworded, again.resolved) == ((), (), (), ())


@given(conditions, st.text(max_size=9), moments)
def test_other_words_alone_are_no_news(before: Any, text: str, now: Any) -> None:
    """They are written down, as of when it began, and nothing else is said to have changed."""
    known = OpenCondition(id="1", subject="k", condition=before, since=now)
    after = replace(before, detail=text)
    change = compare([known], [after], now + timedelta(days=1))
    assert (change.raised, change.changed, change.resolved) == ((), (), ())
    assert change.reworded == (() if after == before else (replace(known, condition=after),))


@given(st.text(max_size=80))
def test_a_share_is_a_share(text: str) -> None:
    """The spread's hash gives a number in [0, 1), and the same one each time."""
    assert 0 <= share_of(text) < 1
    assert share_of(text) == share_of(text)


@given(policies, moments, st.text(max_size=20))
def test_the_spread_only_brings_forward(rules: Any, valid_to: Any, name: str) -> None:
    """Whatever the key, renewal begins no later than `renew_before` says and no earlier than its spread allows."""
    begins = window(KeyRef(name), rules, valid_to).renew_at

    assert valid_to - rules.renew_before - rules.spread <= begins <= valid_to - rules.renew_before


@given(policies, moments)
def test_at_a_boundary_the_later_tier_has_begun(rules: Any, valid_to: Any) -> None:
    """A second before it has not; and at its ValidTo, to the second, a material has lapsed."""
    frame = window(KeyRef("k"), rules, valid_to)
    begins = dict(zip(LADDER[1:5], frame.boundaries, strict=True))
    for at in (each - timedelta(seconds=early) for each in frame.boundaries for early in (0, 1)):
        assert frame.tier(at) is [Tier.FRESH, *(tier for tier in begins if begins[tier] <= at)][-1]
    assert frame.tier(valid_to) is Tier.LAPSED


SECONDS = {
    "half of the lead, and a share of the life": (timedelta(seconds=2000), timedelta(seconds=500), 250, 100),
    "neither in whole seconds": (timedelta(seconds=2013), timedelta(seconds=501), 250, 101),
    "an emergency that is longer than half the lead": (timedelta(seconds=2000), timedelta(seconds=150), 100, 100),
    "a life of which the share is no second": (timedelta(seconds=9), timedelta(seconds=4), 2, 1),
    "no end: three leads are taken for a life": (NEVER, timedelta(seconds=500), 250, 75),
}


@pytest.mark.parametrize(("life", "lead", "urgent_s", "emergency_s"), SECONDS.values(), ids=SECONDS)
def test_the_tiers_lie_where_the_policy_puts_them(life: Any, lead: timedelta, urgent_s: int, emergency_s: int) -> None:
    """So many seconds before its ValidTo a material is urgent, and an emergency."""
    frame = window(KeyRef("k"), policy(valid_for=life, renew_before=lead, emergency_share=0.05), START)
    assert frame.boundaries == tuple(START - timedelta(seconds=n) for n in (lead.seconds, urgent_s, emergency_s, 0))


@given(policies, moments)
def test_the_spread_is_used_from_end_to_end(rules: Any, valid_to: Any) -> None:
    """A hundred keys that end together begin over nearly all of it, and those of one key at another time each year."""
    rules = replace(rules, spread=timedelta(days=1))
    keys = [window(KeyRef(f"{number}"), rules, valid_to).renew_at for number in range(100)]
    years = [window(KeyRef("k"), rules, valid_to + timedelta(days=number)) for number in range(100)]
    shares = [each.valid_to - each.renew_at for each in years]
    assert min(max(keys) - min(keys), max(shares) - min(shares)) > timedelta(hours=18)
