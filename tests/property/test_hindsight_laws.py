"""Laws of looking back: why a decision came out as it did, and what was known at a moment that has passed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.case import case
from byokd.decide.decide import decide, decided, ruling
from byokd.decide.recall import Turn, as_of, attempt, brought_by, expiries, in_config, lost, states
from byokd.decide.replay import NotKnown, Replayed, replay
from byokd.decide.rules import RULES
from byokd.decide.several import leading, precedence
from byokd.decide.transitions import show_expiry
from byokd.decide.why import explained, why
from byokd.facts.condition import OpenCondition
from byokd.facts.key import ABSENT, KeyRef, KeyState
from byokd.facts.ledger import HistoryEntry, HistoryEvent, OrderState
from byokd.facts.past import Past
from byokd.facts.snapshot import Snapshot
from tests.kit.builders import ARN
from tests.kit.clock import START
from tests.kit.strategies import (
    any_snapshots,
    conditions,
    maybe_moments,
    moments,
    orders,
    refusals,
    rows,
    spans,
)
from tests.kit.strategies import (
    expiries as ends,
)

quick = settings(deadline=None, max_examples=60)
SECOND = timedelta(seconds=1)

# -- why --------------------------------------------------------------------------------------------------------------


@quick
@given(any_snapshots, moments)
def test_an_explanation_explains_the_decision(it: Snapshot, now: datetime) -> None:
    """What is explained is what was decided, by the first rule that speaks; and everything is said in words."""
    found = why(it, now)
    assert found.decision == decide(it, now)
    assert bool(found.goes_first) is bool(it.others)
    for place, each in enumerate(found.materials):
        the = case(it.turned_to(place), now)
        rule, verdict = ruling(the)
        assert each == explained(the)
        assert each.decision == decided(the)
        assert (each.rule, each.verdict) == (rule.__name__, verdict)
        assert each.says
        assert each.mind.waits_for or each.mind.ways
        assert each.behind is None or each.decision.action is ABSENT
        assert not any(earlier(the) for earlier in RULES[: RULES.index(rule)])


@quick
@given(any_snapshots, moments)
def test_who_leads_is_the_most_pressing(it: Snapshot, now: datetime) -> None:
    """One of those that there are, and none of the others has precedence over it."""
    each = [decided(case(it.turned_to(place), now)) for place in it.places]
    first = leading(each)

    assert first in each
    assert precedence(first) == min(precedence(other) for other in each)
    assert leading([first, *each]) == first


# -- what was ---------------------------------------------------------------------------------------------------------

details = st.one_of(
    st.text(max_size=20),
    st.builds(lambda a, b: f"{a} → {b}", st.sampled_from([*KeyState, "not seen before"]), st.sampled_from(KeyState)),
    st.builds(lambda a, b: f"{show_expiry(a)} → {show_expiry(b)}", ends, ends),
    st.builds(lambda n, a, b: f"material {n}: {show_expiry(a)} → {show_expiry(b)}", st.integers(0, 5), ends, ends),
    st.integers(0, 99).map(lambda n: f"to never, attempt {n}"),
)
lines = st.builds(
    lambda at, event, detail, cause: HistoryEntry(at=at, ref=KeyRef(ARN), event=event, detail=detail, cause=cause),
    moments,
    st.sampled_from(HistoryEvent),
    details,
    st.sampled_from(["", "by someone else", "import 000000000001", "import 000000000001: fresh", "import "]),
)
histories = st.lists(lines, max_size=10).map(lambda them: tuple(sorted(them, key=lambda each: each.at)))


@given(histories, st.integers(0, 5), moments)
def test_any_history_can_be_read(history: tuple[HistoryEntry, ...], place: int, at: datetime) -> None:
    """Lines that are not of a known form tell nothing; none makes it raise; and what is told is told in order."""
    for turns in (in_config(history), states(history), expiries(history, place), lost(history, place)):
        known: list[Turn[Any]] = list(turns)
        assert [turn.at for turn in known] == sorted(turn.at for turn in known)
        was = as_of(known, at, "now")
        assert was.since is ABSENT or was.since <= at
    assert set(brought_by(history, range(place)).values()) <= set(range(place))
    assert all(attempt(each)[0] >= 0 for each in history)


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 3)), max_size=8), st.integers(-10, 8000))
def test_what_was_is_what_had_been_written_down(steps: list[tuple[int, int]], asked: int) -> None:
    """Of a thing that changed so and so, the value at any moment is that of the last change before it."""
    at, value, turns, truth = START, 0, [], 0
    for gap, new in steps:
        at += timedelta(seconds=gap)
        turns.append(Turn(at=at, before=value, after=new, cause=""))
        value = new
        if at <= START + timedelta(seconds=asked):
            truth = new
    moment = START + timedelta(seconds=asked)

    assert as_of(turns, moment, value).value == truth
    # What was forgotten at the beginning changes nothing about what came after it.
    kept = [turn for turn in turns if turn.at > moment]
    assert as_of(kept, moment, value).value == truth


opened = st.builds(
    lambda told, since, closed: OpenCondition(id="c", subject=ARN, condition=told, since=since, resolved_at=closed),
    conditions,
    moments,
    maybe_moments,
)
pasts = st.builds(
    lambda it, history, imports, them, told, closed: Past(
        snapshot=it,
        line=ABSENT,
        history=history,
        imports=tuple(replace(each, id=f"{number:012}") for number, each in enumerate(imports)),
        orders=tuple(replace(each, state=OrderState.DONE, closed_at=closed) for each in them),
        conditions=tuple(told),
        known_from=history[0].at if history else ABSENT,
    ),
    any_snapshots,
    histories,
    st.lists(st.one_of(rows, refusals), max_size=3),
    orders,
    st.lists(opened, max_size=4),
    maybe_moments,
)


@quick
@given(pasts, moments, spans)
def test_any_past_is_rebuilt_or_is_said_not_to_be_known(past: Past, at: datetime, later: timedelta) -> None:
    """No record makes it raise, nothing in what is rebuilt is younger than then, and it can be decided on."""
    found = replay(past, at)
    if isinstance(found, NotKnown):
        assert found.why
        return
    assert isinstance(found, Replayed)
    assert found.assumed
    assert replay(past, at) == found
    it = found.snapshot
    assert it.places == past.snapshot.places
    assert all(each.created_at <= at for each in it.ledger.open_orders)
    assert all(each.since <= at for each in it.conditions)
    assert all(each.last_success_at is ABSENT or each.last_success_at <= at for each in it.tracks)
    assert decide(it, at).wake_at > at
