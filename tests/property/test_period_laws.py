"""Laws of rotation by period: never before its end, never where something is in the way, and every reason is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.case import case
from byokd.decide.decide import decide
from byokd.decide.period import (
    current_since,
    in_the_way,
    may_rotate,
    moments,
    period_ends,
    rotated_first,
    rotates_at,
    rotation_due,
    taken_back,
)
from byokd.decide.rotation import (
    ASK_AGAIN,
    FEW_ROTATIONS,
    ROTATIONS,
    asked_again_at,
    few_left,
    obstacle,
    rotations_left,
)
from byokd.decide.transitions import of_order
from byokd.decide.windows import openings
from byokd.facts.condition import ConditionKind
from byokd.facts.key import ABSENT, NEVER, SYMMETRIC, Absent, KeyRef, KeyState, ObservedKey, last_seen
from byokd.facts.ledger import BY_PERIOD, HistoryEvent, Order, OrderKind, OrderState, Proved, Tier
from byokd.facts.snapshot import OrderWanted, Snapshot
from tests.kit.builders import by_period, observed, order, snapshot
from tests.kit.clock import START
from tests.kit.memory_prospects import prospect
from tests.kit.strategies import any_snapshots, maybe_moments, orders, rotated_readings
from tests.kit.strategies import moments as times
from tests.kit.strategies import rotated as rotated_keys

quick = settings(deadline=None, max_examples=100)
days = st.integers(1, 500).map(lambda n: timedelta(days=n))
periods = st.one_of(st.just(NEVER), days)


def _periodic(
    it: Snapshot, every: timedelta, begun_at: datetime | Absent, seen: ObservedKey | None, given: Order | None
) -> Snapshot:
    """The key with a period, perhaps with a view of it that is fit to be rotated, perhaps with an order by period."""
    rules = replace(it.desired.policy, rotate_every=every)
    view = it.view if seen is None else replace(seen, state=KeyState.ENABLED)
    view = replace(view, begun_at=begun_at) if isinstance(view, ObservedKey) else view
    open_orders = it.ledger.open_orders if given is None else (*it.ledger.open_orders, given)
    return replace(
        it,
        desired=replace(it.desired, policy=rules),
        view=view,
        ledger=replace(it.ledger, open_orders=open_orders),
    )


given_orders = st.builds(
    lambda made, at, outcome: order(
        OrderKind.ROTATE, id="by period", by=BY_PERIOD, created_at=made, effective_at=at, outcome=outcome
    ),
    times,
    maybe_moments,
    st.sampled_from(["", "refused"]),
)
periodic = st.builds(
    _periodic,
    st.one_of(any_snapshots, rotated_keys()),
    periods,
    maybe_moments,
    st.one_of(st.none(), rotated_readings()),
    st.one_of(st.none(), given_orders),
)
due = st.builds(
    lambda every, late: snapshot(**by_period(START - every - late, every)),
    days,
    st.integers(0, 30).map(lambda n: timedelta(days=n)),
)
"""Keys whose period is over at `START`, and nothing in the way."""
looks = st.one_of(st.tuples(periodic, times), st.tuples(due, st.just(START)))


@quick
@given(due)
def test_a_key_whose_period_is_over_is_ordered_to_be_rotated(it: Snapshot) -> None:
    """At once, where nothing is in the way."""
    assert isinstance(decide(it, START).action, OrderWanted)


@quick
@given(looks)
def test_an_order_is_given_at_the_end_of_a_period_alone(look: tuple[Snapshot, datetime]) -> None:
    """Of an Enabled symmetric key that nobody holds and that is no replica, to a material whose source has it."""
    it, now = look
    decision = decide(it, now)
    assert now < decision.wake_at
    if isinstance(decision.action, OrderWanted):
        the, since, seen = case(it.turned_to(decision.place), now), current_since(it), it.view
        assert isinstance(seen, ObservedKey)
        assert isinstance(since, datetime)
        assert isinstance(it.desired.policy.rotate_every, timedelta)
        assert since + it.desired.policy.rotate_every <= now
        assert (seen.state, seen.spec, seen.role in ("", "primary")) == (KeyState.ENABLED, SYMMETRIC, True)
        assert the.hold is ABSENT
        assert the.rotation is None
        assert the.suspended_by is None
        assert isinstance(the.snapshot.proof, Proved)
        assert obstacle(the) is None
        assert rotations_left(seen) > 0


@quick
@given(looks)
def test_the_order_that_is_given_is_one_that_can_be_carried_out(look: tuple[Snapshot, datetime]) -> None:
    """Nothing takes it back at once, and nobody asks for a second."""
    it, now = look
    decision = decide(it, now)
    if isinstance(decision.action, OrderWanted):
        new = order(OrderKind.ROTATE, id="new", by=BY_PERIOD, created_at=now, why=decision.action.why)
        after = replace(it, ledger=replace(it.ledger, open_orders=(*it.ledger.open_orders, new)))
        assert taken_back(after, now) == ()
        assert not isinstance(decide(after, now).action, OrderWanted)


@quick
@given(st.lists(periodic, max_size=8), times, st.integers(0, 9))
def test_the_first_rotations_of_a_fleet_are_the_first(them: list[Snapshot], now: datetime, limit: int) -> None:
    """Those that come first when each is asked, however many windows there are; who has no period is none of them."""
    keys = [replace(it, desired=replace(it.desired, ref=KeyRef(f"{place}"))) for place, it in enumerate(them)]
    found = rotated_first([prospect(it, Tier.FRESH, "fresh") for it in keys], now, limit=limit)
    ends = sorted((rotates_at(case(it, now)), it.ref) for it in keys if period_ends(it) is not None)
    assert found == tuple(ref for _, ref in ends[:limit])


@quick
@given(periodic, times)
def test_a_period_waits_for_its_end_and_for_a_window(it: Snapshot, now: datetime) -> None:
    """What is said of a key's rotation is at the end of its period at the earliest, and in a change window."""
    for place in it.places:
        the = case(it.turned_to(place), now)
        ends = period_ends(the.snapshot)
        if ends is None:
            assert not may_rotate(the)
            assert moments(the) == ()
            assert rotation_due(the) is None
            continue
        at = rotates_at(the)
        assert at >= max(ends, now)
        opened = next(openings(the.policy.windows, since=at, until=at), None)
        if the.policy.windows and opened is None:  # closed for longer than a year: looked for again then
            assert at == max(ends, now) + timedelta(days=366)
        else:
            assert rotates_at(case(it.turned_to(place), at)) == at
        assert (rotation_due(the) is not None) == (may_rotate(the) and at <= now)
        assert ends in moments(the)
        assert not may_rotate(the) or at in moments(the)


@quick
@given(periodic, times, orders)
def test_only_orders_by_period_are_taken_back(it: Snapshot, now: datetime, others: tuple[Order, ...]) -> None:
    """As cancelled, with a reason, and exactly where it is known that no period is over; what people ordered stays."""
    it = replace(it, ledger=replace(it.ledger, open_orders=(*it.ledger.open_orders, *others)))
    back, ends = taken_back(it, now), period_ends(it)
    given = [each.id for each in it.ledger.open_orders if each.by_period]
    seen = last_seen(it.view)
    listed = isinstance(seen, ObservedKey) and seen.materials_known
    unknown = it.desired.policy.rotate_every is not NEVER and not listed
    assert [each.id for each in back] == ([] if unknown or (ends is not None and ends <= now) else given)
    assert all((each.state, each.closed_at) == (OrderState.CANCELLED, now) and each.outcome for each in back)


@quick
@given(periodic, times)
def test_what_hinders_a_rotation_is_told_while_it_does(it: Snapshot, now: datetime) -> None:
    """Only of keys with a period; once the period is over, each key is told of, ordered to be rotated, or may be."""
    told = [each for each in decide(it, now).conditions if each.kind is ConditionKind.ROTATION_HINDERED]
    the = case(it.turned_to(0), now)
    assert the.policy.rotate_every is not NEVER or told == []
    ends = period_ends(it)
    if told == [] and ends is not None and ends <= now and the.rotation is None and not the.suspended_by:
        assert obstacle(the) is None


@quick
@given(periodic, times)
def test_what_is_in_the_way_does_not_wait_for_the_end_of_a_period(it: Snapshot, now: datetime) -> None:
    """The same however long that is; where nothing is, a rotation is left, and something to rotate to."""
    the = case(it.turned_to(0), now)
    if the.seen is None:
        return
    why = in_the_way(the)
    assert why is not None or (obstacle(the) is None and rotations_left(the.seen) > 0)
    rules = replace(it.desired.policy, rotate_every=timedelta(days=9999))
    later = replace(it, desired=replace(it.desired, policy=rules))
    assert in_the_way(case(later.turned_to(0), now)) == why


@quick
@given(st.integers(0, 30), st.integers(1, 3))
def test_the_budget_of_a_life_is_counted(rotations: int, others: int) -> None:
    """By what KMS lists, beside materials that the key was not rotated to; few are told, with how many."""
    (first,) = observed().materials
    seen = observed(materials=(first,) * others + (replace(first, rotated_at=START),) * rotations)
    assert rotations_left(seen) == ROTATIONS - rotations
    few = few_left(seen)
    assert (few is not None) == (rotations >= ROTATIONS - FEW_ROTATIONS)
    if few is not None:
        assert few.stage == f"{max(0, ROTATIONS - rotations)} left"


@quick
@given(given_orders, times)
def test_kms_is_asked_again_in_an_hour_at_most(given: Order, at: datetime) -> None:
    """Later where it refused what nobody waits for."""
    assert at + ASK_AGAIN <= asked_again_at(given, at) <= at + timedelta(hours=1)
    person = replace(given, by="operator")
    assert asked_again_at(person, at) == at + ASK_AGAIN


@quick
@given(orders)
def test_an_order_has_its_line(them: tuple[Order, ...]) -> None:
    """Who gave it, and what it is."""
    for each in them:
        line = of_order(each)
        assert (line.at, line.ref, line.cause) == (each.created_at, each.ref, f"order of {each.by}")
        assert line.event is HistoryEvent.ORDER_GIVEN
        assert line.detail.startswith(each.kind.value)
