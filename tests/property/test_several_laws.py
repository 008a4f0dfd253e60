"""Laws of keys with several materials: one decision out of many, names for all, and rotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.case import Loss, case
from byokd.decide.decide import decide, decided
from byokd.decide.intents import NOT_SEEN, explain, imported_last
from byokd.decide.materials import (
    TOLERANCE,
    hidden_behind,
    in_stock,
    is_stock,
    managed_expiry,
    managed_material,
    names,
    waiting,
)
from byokd.decide.orders import imported, rotated, rotated_at, without
from byokd.decide.rotation import ASK_AGAIN, cannot_rotate, rotates, waits_for_replicas
from byokd.decide.several import merged
from byokd.engine.record import conclude, on_record
from byokd.facts.key import ABSENT, Absent, KeyState, MaterialId, MaterialState, ObservedKey, View, last_seen
from byokd.facts.ledger import Import, ImportState, Order, OrderKind, OrderState, Remembered, Tier, rank
from byokd.facts.snapshot import Decision, DeletionWanted, ImportWanted, ProofWanted, Reason, RotationWanted, Snapshot
from byokd.store.tracks import with_rows
from tests.kit.builders import order, running
from tests.kit.clock import START
from tests.kit.situations import SITUATIONS, Look
from tests.kit.strategies import maybe_moments, moments, often, orders, rotated_readings, snapshots, views
from tests.kit.strategies import rotated as rotated_keys

LADDER = list(Tier)
quick = settings(deadline=None, max_examples=80)
kept = rotated_keys()


def _ordered(it: Snapshot, seen: ObservedKey, now: datetime, asked: datetime | Absent) -> Snapshot:
    """The key with an order to rotate, and with a view of it."""
    waiting = order(OrderKind.ROTATE, created_at=now, effective_at=asked)
    return replace(it, view=replace(seen, state=KeyState.ENABLED), ledger=replace(it.ledger, open_orders=(waiting,)))


rotating = st.one_of(kept, st.builds(_ordered, kept, rotated_readings(), moments, maybe_moments))

rotations_at = often(st.tuples(SITUATIONS["to be rotated"], st.just(START)), st.tuples(rotating, moments))
"""Keys that may be rotated, and when; mostly at once, but for a hold, a probe, or KMS that was asked just now."""


def _forgotten(it: Snapshot) -> Snapshot:
    """The key with its stock under a name: KMS has forgotten what waited for a rotation, if somebody deleted it."""
    place = next(iter(in_stock(it)), it.place)
    turned = it.turned_to(place)
    return replace(turned, ledger=replace(turned.ledger, material=MaterialId("ee" * 32)))


several = st.builds(
    lambda them: [replace(each, place=place) for place, each in enumerate(them)],
    st.lists(st.builds(decide, snapshots, moments), min_size=1, max_size=4),
)


@quick
@given(kept, rotated_readings(), moments, maybe_moments, st.booleans(), st.booleans())
def test_an_import_that_may_be_there_counts_as_the_last(
    it: Snapshot, seen: ObservedKey, sent: datetime, success: datetime | Absent, listed: bool, answered: bool
) -> None:
    """The later of the last success and of what KMS confirmed and cannot show; the success alone where it can."""
    row = replace(running(since=sent, answered=answered), state=ImportState.FAILED, outcome=NOT_SEEN)
    known = replace(it.ledger, open_import=row, last_success_at=success)
    last = imported_last(case(replace(it, view=replace(seen, materials_known=listed), ledger=known), sent))

    if listed or not answered or not it.others:
        assert last == success
    else:
        assert last == (sent if isinstance(success, Absent) else max(sent, success))


@quick
@given(kept)
def test_what_is_remembered_of_a_material_is_what_its_ledger_says(it: Snapshot) -> None:
    """It is the same whether the key is turned to the material for it or not."""
    for place in it.places:
        known, at_hand = it.remembered(place), it.turned_to(place).ledger
        assert all(getattr(known, each.name) == getattr(at_hand, each.name) for each in fields(Remembered))


@quick
@given(kept, moments)
def test_a_key_with_several_materials_does_one_thing_and_tells_all(it: Snapshot, now: datetime) -> None:
    """One action and one time to wake, the earliest; every condition of any material is stated, once."""
    each = [decided(case(it.turned_to(place), now)) for place in it.places]
    one = merged(each)

    assert now < one.wake_at <= min(single.wake_at for single in each)
    assert {told.kind for told in one.conditions} == {told.kind for single in each for told in single.conditions}
    assert len({told.kind for told in one.conditions}) == len(one.conditions)
    assert LADDER.index(one.tier) == max(LADDER.index(single.tier) for single in each)
    assert one.reason is each[one.place].reason


@quick
@given(kept, orders, moments)
def test_an_order_to_import_ends_when_all_that_is_needed_was_imported(
    it: Snapshot, them: tuple[Order, ...], now: datetime
) -> None:
    """Not sooner, and not one for which a material is to end at another time; what is left asks for an import."""
    needed = [case(it.turned_to(place), now) for place in it.places]
    closed = imported(them, needed, now)

    for done in closed:
        assert done.kind in (OrderKind.IMPORT, OrderKind.RESUME)
        assert done.state is OrderState.DONE
        for each in needed:
            assert each.loss is Loss.NONE
            assert each.snapshot.ledger.last_success_at >= done.created_at  # type: ignore[operator]  # it has one
    assert imported(without(them, closed), needed, now) == ()
    assert imported(them, (), now) == ()


@quick
@given(several)
def test_what_is_merged_is_as_bad_as_its_worst(them: Sequence[Decision]) -> None:
    """A condition is as severe as it is for any material; whoever needs nothing is not put before who does.

    Of imports, the one goes first that the lane's queue has first.
    """
    one = merged(them)
    for told in one.conditions:
        severities = [each.severity for single in them for each in single.conditions if each.kind is told.kind]
        assert told.severity == max(severities)

    assert (one.action is ABSENT) is all(single.action is ABSENT for single in them)
    if isinstance(one.action, ImportWanted):
        wanted = [single.action for single in them if isinstance(single.action, ImportWanted)]
        assert _place_in_queue(one.action) == min(map(_place_in_queue, wanted))
        assert not any(isinstance(single.action, DeletionWanted) for single in them)
    if isinstance(one.action, ProofWanted):
        places = tuple(single.place for single in them if isinstance(single.action, ProofWanted))
        assert one.action.places == places


def _place_in_queue(wanted: ImportWanted) -> tuple[int, datetime]:
    return rank(wanted.tier, 0), wanted.deadline


@quick
@given(several.map(lambda them: them[:1]))
def test_one_material_is_no_special_case(them: Sequence[Decision]) -> None:
    """The decision about a single one is the decision."""
    assert merged(them) == them[0]


@quick
@given(kept, moments)
def test_which_material_is_at_hand_does_not_matter(it: Snapshot, now: datetime) -> None:
    """Turned to any of its materials, a key is the same key."""
    for place in it.places:
        turned = it.turned_to(place)
        assert turned.tracks == it.tracks
        assert names(turned) == names(it)
        assert decide(turned, now) == decide(it, now)


@quick
@given(kept)
def test_no_two_materials_bear_one_name(it: Snapshot) -> None:
    """What KMS lists is given to one material each; who gets none is in stock, where the key has others."""
    known = names(it)
    given_names = [each for each in known if each is not ABSENT]

    assert len(known) == len(it.places)
    assert len(given_names) == len(set(given_names))
    for place in it.places:
        turned = it.turned_to(place)
        assert managed_material(turned) == known[place]
        seen = last_seen(it.view)
        assert not it.others or (place in in_stock(it)) == (
            isinstance(seen, ObservedKey) and is_stock(seen, place, known[place])
        )
        if place in in_stock(it):
            assert known[place] is ABSENT
            assert case(turned, START).loss is Loss.STOCK


@quick
@given(kept, st.sampled_from(range(4)), st.timedeltas(timedelta(0), timedelta(days=400)), st.booleans())
def test_the_end_of_one_material_is_not_taken_for_that_of_another(
    it: Snapshot, place: int, later: timedelta, confirmed: bool
) -> None:
    """A key that does not list its materials shows the earliest end: whose it is on record, it is for that one alone.

    Unless KMS confirmed an import of that one since. Where it lists them, what is listed counts.
    """
    seen = last_seen(it.view)
    if not it.others or not isinstance(seen, ObservedKey) or not isinstance(seen.expiry, datetime):
        return
    hidden = replace(seen, state=KeyState.ENABLED, materials=(), materials_known=False)
    turned = replace(it, view=hidden).turned_to(place % len(it.places))
    ends, row = seen.expiry + TOLERANCE + later + timedelta(seconds=1), running(answered=True)
    first, *rest = turned.others
    first = replace(first, last_expiry=seen.expiry, open_import=row if confirmed else ABSENT)
    rest = [replace(each, last_expiry=ends) for each in rest]
    turned = replace(turned, others=(first, *rest), ledger=replace(turned.ledger, last_expiry=ends))

    assert hidden_behind(turned, hidden, ends) is not confirmed
    assert managed_expiry(turned, hidden, managed_material(turned)) == (seen.expiry if confirmed else ends)
    for answered in (False, True):  # what KMS confirmed may be hidden; what it did not answer may not have arrived
        sent = running(answered=answered, expiry=ends, since=hidden.at)
        explained = explain(replace(turned, ledger=replace(turned.ledger, open_import=sent)), hidden.at)
        done = answered and not confirmed and turned.place not in in_stock(turned)
        assert isinstance(explained, Import)
        assert (explained.state is ImportState.DONE) is done
    for last in (ABSENT, seen.expiry, seen.expiry - later):
        sooner = replace(turned, ledger=replace(turned.ledger, last_expiry=last))
        assert managed_expiry(sooner, hidden, managed_material(sooner)) == seen.expiry
    for name in names(it):
        listed = [each.expiry for each in seen.materials if each.material_id == name and each.imported]
        if seen.materials_known and listed:
            assert managed_expiry(it, seen, name) == listed[0]


def _from_the_store(it: Snapshot) -> Snapshot:
    """The snapshot as the store would give it, which finds out anew which material a row is of."""
    rows = it.open_imports
    for place in it.places:
        it = it.turned_to(place)
        it = replace(it, ledger=replace(it.ledger, open_import=ABSENT, refused_import=ABSENT))
    return with_rows(it, rows)


@quick
@given(st.one_of(rotating, rotating.map(_forgotten)), moments)
def test_a_row_of_the_queue_comes_back_to_its_material(it: Snapshot, now: datetime) -> None:
    """Whatever is concluded of a key: a row that nobody knows again would stand in the way of the next for ever."""
    ids, known = count(1), _from_the_store(it)
    change, _ = conclude(before=known, after=known, orders=(), now=now, epoch=1, new_id=lambda: f"{next(ids):012}")
    saved = on_record(change).turned_to(0)
    again = _from_the_store(saved)
    assert [each.open_import for each in again.tracks] == [each.open_import for each in saved.tracks]


@quick
@given(rotations_at)
def test_kms_is_asked_to_rotate_only_where_somebody_ordered_it(look: Look) -> None:
    """With an open order, to what waits for it in KMS, on a key that is Enabled, held by nobody and not suspended."""
    it, now = look
    decision = decide(it, now)
    if isinstance(decision.action, RotationWanted):
        (ordered,) = (each for each in it.ledger.open_orders if each.id == decision.action.order_id)
        seen = it.view
        assert ordered.kind is OrderKind.ROTATE
        assert isinstance(seen, ObservedKey)
        assert seen.state is KeyState.ENABLED
        assert [each.state for each in seen.materials if not each.state.permanent] == [MaterialState.PENDING_ROTATION]
        assert it.ledger.suspension is ABSENT
        assert case(it, now).hold is ABSENT
        for kind in (OrderKind.HOLD, OrderKind.SUSPEND):
            both = replace(it.ledger, open_orders=(*it.ledger.open_orders, order(kind, created_at=now)))
            assert not isinstance(decide(replace(it, ledger=both), now).action, RotationWanted)


@quick
@given(rotations_at)
def test_a_rotation_says_what_it_waits_for(look: Look) -> None:
    """Both rules pass without an order, and with one never speak of one material at once."""
    it, now = look
    for place in it.places:
        the = case(it.turned_to(place), now)
        verdicts = [rotates(the), cannot_rotate(the)]
        if the.rotation is None:
            assert verdicts == [None, None]
        assert None in verdicts
        waits = waits_for_replicas(the)
        for verdict in verdicts:
            if verdict is not None:
                assert (verdict.reason is Reason.WAITS_FOR_REPLICAS) == bool(waits)
                assert verdict.reason in (Reason.ROTATING, Reason.WAITS_FOR_REPLICAS, Reason.CANNOT_ROTATE)
                assert verdict.message


@quick
@given(rotations_at)
def test_kms_is_not_asked_twice_in_a_row(look: Look) -> None:
    """Who was asked just now is waited for."""
    it, now = look
    decision = decide(it, now)
    if isinstance(decision.action, RotationWanted):
        asked = tuple(
            replace(each, effective_at=now) if each.id == decision.action.order_id else each
            for each in it.ledger.open_orders
        )
        after = replace(it, ledger=replace(it.ledger, open_orders=asked))
        for passed in (timedelta(0), ASK_AGAIN - timedelta(seconds=1)):
            assert not isinstance(decide(after, now + passed).action, RotationWanted)


@quick
@given(orders, st.one_of(views, rotated_readings()), st.one_of(views, rotated_readings()), moments)
def test_an_order_to_rotate_is_carried_out_once(them: tuple[Order, ...], was: View, view: View, now: datetime) -> None:
    """Only such orders are closed, as done, and those where a rotation is seen; closed orders are not there any more.

    A rotation is seen by its time, or by what waited in the reading before and is current now.
    """
    ordered = (*them, order(OrderKind.ROTATE, id="one more", created_at=now))
    closed = rotated(ordered, view, now, was=was)
    before = last_seen(was)
    waited = waiting(before) if isinstance(before, ObservedKey) else None
    became = waited is not None and isinstance(view, ObservedKey) and waited.material_id == view.current_material

    assert rotated_at(view) is not ABSENT or became or closed == ()
    assert all((each.kind, each.state, each.closed_at) == (OrderKind.ROTATE, OrderState.DONE, now) for each in closed)
    left = without(ordered, closed)
    assert rotated(left, view, now, was=was) == ()
    assert len(left) + len(closed) == len(ordered)
