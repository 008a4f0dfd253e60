"""Laws of what is written down: changes in a key's history, and what becomes of orders and imports."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.case import case
from byokd.decide.conditions import CHECKS
from byokd.decide.decide import decided
from byokd.decide.materials import present
from byokd.decide.orders import answered
from byokd.decide.rules import RULES
from byokd.decide.transitions import of_import, of_key, of_material, show_expiry
from byokd.decide.verdict import wanted
from byokd.facts.key import ABSENT, Absent, ObservedKey
from byokd.facts.ledger import Import, ImportState, Order, OrderKind, OrderState
from byokd.facts.snapshot import ImportWanted, Reason, Snapshot
from tests.kit.builders import MATERIAL
from tests.kit.strategies import MATERIALS, any_snapshots, expiries, moments, orders, rows, some_readings

quick = settings(deadline=None, max_examples=80)
ended = st.builds(
    lambda row, state, outcome, order_id: replace(row, state=state, outcome=outcome, order_id=order_id),
    rows,
    st.sampled_from(ImportState),
    st.sampled_from(["", "adopted", "throttled"]),
    st.sampled_from([ABSENT, "order 0", "order 1"]),
)


@quick
@given(any_snapshots, any_snapshots, moments)
def test_what_did_not_change_is_not_written_down(before: Snapshot, after: Snapshot, now: datetime) -> None:
    """A reading that is on record already has no line; every line names the key and the time, and says something."""
    same = case(before, now)
    known = replace(before, ledger=replace(before.ledger, lost_at=now))
    assert list(of_key(before, same)) == []
    assert list(of_material(known, case(known, now))) == []

    if len(after.places) != len(before.places):
        return
    for entry in (*of_key(before, case(after, now)), *of_material(before, case(after, now))):
        assert (entry.ref, entry.at) == (before.ref, now)
        assert entry.detail


@given(ended, ended, moments)
def test_each_step_of_an_import_leaves_one_line(before: Import, after: Import, now: datetime) -> None:
    """And no step leaves none."""
    assert of_import(before, before, now) is None
    assert of_import(ABSENT, after, now) is not None
    entry = of_import(before, after, now)
    assert (entry is None) is (before.state is after.state and before.attempts == after.attempts)
    assert entry is None or entry.cause.startswith(f"import {after.id}")


@given(expiries)
def test_an_expiry_has_words(expiry: object) -> None:
    """Also where there is none."""
    text = show_expiry(expiry)  # type: ignore[arg-type]  # strategies have no types
    assert text in ("never", "none") or text.endswith("Z")


@given(orders, ended, moments)
def test_an_import_answers_who_asked_for_one(them: tuple[Order, ...], row: Import, now: datetime) -> None:
    """Only orders to import are closed, only by an import that ended, and not by one that began before them."""
    closed = answered(them, row, now)
    left = tuple(each for each in them if each.id not in {done.id for done in closed})

    for each in closed:
        assert each.kind in (OrderKind.IMPORT, OrderKind.RESUME)
        assert each.state is (OrderState.DONE if row.state is ImportState.DONE else OrderState.REFUSED)
        began = row.created_at if isinstance(row.started_at, Absent) else row.started_at
        assert row.order_id == each.id or (each.created_at <= began and each.valid_to in (ABSENT, row.expiry))
    assert closed == () or row.state in (ImportState.DONE, ImportState.REFUSED)
    assert answered(left, row, now) == ()


@quick
@given(any_snapshots, moments)
def test_a_rule_speaks_in_whole_sentences_or_not_at_all(it: Snapshot, now: datetime) -> None:
    """Every rule by itself is total, whether its turn would have come or not; the last one always speaks."""
    the = case(it, now)
    verdicts = [rule(the) for rule in RULES]

    assert verdicts[-1] is not None
    for verdict in verdicts:
        if verdict is not None:
            assert verdict.reason in Reason
            assert verdict.message


@quick
@given(any_snapshots, moments)
def test_a_check_is_total_under_every_verdict(it: Snapshot, now: datetime) -> None:
    """Whatever was decided, each condition is true or not, and says so in words."""
    the = case(it, now)
    verdicts = [verdict for rule in RULES if (verdict := rule(the)) is not None]
    for check in CHECKS:
        for verdict in (verdicts[0], verdicts[-1]):
            told = check(the, verdict)
            assert told is None or told.detail


@quick
@given(any_snapshots, moments)
def test_somebody_is_awake_when_a_threshold_is_crossed(it: Snapshot, now: datetime) -> None:
    """A key is looked at when its next tier begins, and when people may have to be told that its end is near."""
    the = case(it, now)
    moments = () if the.window is None else the.window.boundaries
    moments += () if the.window is None else tuple(the.window.valid_to - each for each in the.policy.alert_before)

    assert now < decided(the).wake_at
    assert all(decided(the).wake_at <= each for each in moments if each > now)


@quick
@given(any_snapshots, moments, orders)
def test_what_is_wanted_is_what_the_case_says(it: Snapshot, now: datetime, them: tuple[Order, ...]) -> None:
    """An import for an order bears its name; its ValidTo lies ahead unless the order says when."""
    the = case(it, now)
    for order in (None, *them):
        action = wanted(the, Reason.ORDERED, "because", order=order).action
        assert isinstance(action, ImportWanted)
        assert action.order_id == (ABSENT if order is None else order.id)
        assert (action.material, action.deadline, action.tier) == (the.material, the.deadline, the.tier)


@given(any_snapshots, moments, moments)
def test_who_was_imported_since_then_was_so_since_before(it: Snapshot, now: datetime, then: datetime) -> None:
    """Asked about an earlier moment, the answer is never no where it was yes."""
    first, second = sorted((now, then))
    the = case(it, now)
    assert the.imported_since(first) or not the.imported_since(second)
    assert not the.imported_since(now + timedelta(seconds=1))


@given(some_readings)
def test_what_is_listed_is_there_or_not(seen: ObservedKey) -> None:
    """A list that names the material tells; where it does not, the key's state does."""
    names: tuple[Any, ...] = (MATERIAL, *MATERIALS, ABSENT)
    for material in names:
        listed = [each.imported for each in seen.materials if each.material_id == material]
        assert present(seen, material) is (listed[0] if listed else seen.state.value != "PendingImport")
