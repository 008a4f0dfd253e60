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
