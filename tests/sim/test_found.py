"""Bugs that the simulator found in byokd, each as the shortest world that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from byokd.facts.condition import ConditionKind
from tests.sim.plan import DAY_S, HOUR_S, Event, KeyPlan, LanePlan, Plan
from tests.sim.run import run
from tests.sim.windows import WindowPlan

pytestmark = pytest.mark.timeout(300)


def _key(**other: Any) -> KeyPlan:
    """A key that lives for 30 days and is renewed 10 days before its end; `other` is different."""
    usual: dict[str, Any] = {
        "number": 0,
        "lane": 0,
        "life_s": int(30 * DAY_S),
        "lead_s": int(10 * DAY_S),
        "emergency_share": 0.03,
        "spread_s": 0,
        "floor_s": int(HOUR_S),
        "look_s": int(1.3 * DAY_S),
        "drill_s": int(1.3 * DAY_S),
        "settle_s": 120,
        "alerts_s": tuple(int(days * DAY_S) for days in (9, 6, 4, 2, 0.8)),
        "heals_lapse": True,
        "heals_delete": True,
        "by_alias": False,
        "hmac": False,
        "imported": False,
        "other_material": False,
    }
    return KeyPlan(**usual | other)


def _world(*events: Event, keys: tuple[KeyPlan, ...] = (_key(),), days: float = 210.0, seed: int = 1) -> Plan:
    """A lane with these keys, and nothing but these events."""
    lane = LanePlan(
        account="111122223333",
        region="eu-central-1",
        per_second=0.5,
        real_per_second=0.5,
        in_flight=2,
        reserve=0.2,
        latency_s=0.3,
    )
    return Plan(
        seed=seed,
        lanes=(lane,),
        keys=keys,
        events=events,
        stormy_s=days * DAY_S,
        notices_steps=True,
        safety_wake_s=3600,
    )


def test_a_source_that_hangs_is_told() -> None:
    """A turn that waited for its source never came to its conditions: the key lapsed, and nobody had been told."""
    hangs = Event(number=0, at_s=1 * DAY_S, kind="source", span_s=30 * DAY_S, how={"mode": "hang", "all": True})
    verdict = run(_world(hangs, keys=(_key(imported=True), _key(number=1))))

    assert verdict.ok, verdict.violations[0]
    told = {each.condition.condition.kind for each in verdict.book.told.values() if each.heard}
    assert ConditionKind.SOURCE_UNREADABLE in told


def test_an_order_is_carried_out_once_where_readings_are_behind() -> None:
    """Readings lagged 30 s; the look that saw an ordered import done took the order for another one, six times over."""
    stale = Event(number=0, at_s=9.4 * DAY_S, kind="stale", span_s=1.6 * DAY_S, how={"lag_s": 30})
    orders = (Event(number=1 + hour, at_s=9.5 * DAY_S + hour * HOUR_S, kind="order") for hour in range(6))
    verdict = run(_world(stale, *orders, days=21.0))

    assert verdict.ok, verdict.violations[0]
    (life,) = verdict.book.lives.values()
    ends = [each.at_s for each in life.imports if 9.5 * DAY_S <= each.at_s < 10 * DAY_S]
    assert len(ends) == 6, "one import for each order"


def test_a_key_that_waits_for_its_window_alarms_nobody() -> None:
    """A weekly window opened days after the renewal was due, and people were told meanwhile that nothing was done."""
    weekly = WindowPlan(hour=2, lasts_s=4 * 3600, weekday=3)
    verdict = run(
        _world(keys=tuple(_key(number=number, life_s=int((30 + number) * DAY_S), window=weekly) for number in range(4)))
    )

    assert verdict.ok, verdict.violations[0]
    told = {each.condition.condition.kind for each in verdict.book.told.values()}
    assert ConditionKind.EXPIRING not in told
