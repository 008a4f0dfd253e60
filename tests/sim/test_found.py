"""Bugs that the simulator found in byokd, each as the shortest world that shows it."""

from __future__ import annotations

from dataclasses import replace

from byokd.facts.condition import ConditionKind
from tests.sim.plan import DAY_S, Event, Plan, draw
from tests.sim.run import run


def _calm(seed: int, *events: Event) -> Plan:
    """The fleet of a seed, and nothing but these events."""
    return replace(draw(seed), events=events)


def test_a_source_that_hangs_is_told() -> None:
    """A turn that waited for its source never came to its conditions: the key lapsed, and nobody had been told."""
    plan = _calm(
        3, Event(number=0, at_s=1 * DAY_S, kind="source", span_s=30 * DAY_S, how={"mode": "hang", "all": True})
    )

    verdict = run(plan)

    assert verdict.ok, verdict.violations[0]
    told = {each.condition.condition.kind for each in verdict.book.told.values() if each.heard}
    assert ConditionKind.SOURCE_UNREADABLE in told


def test_an_order_is_carried_out_once_where_readings_are_behind() -> None:
    """Readings lagged 30 s; the look that saw an ordered import done took the order for another one, six times over."""
    drawn = draw(508365244)
    verdict = run(replace(drawn, events=tuple(event for event in drawn.events if event.number in (15, 19))))

    assert verdict.ok, verdict.violations[0]
    assert {event.kind for event in verdict.plan.events} == {"stale", "order"}
