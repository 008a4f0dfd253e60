"""The smallest worlds: a key or two, and nothing happens but what a test says."""

from __future__ import annotations

from typing import Any

from tests.sim.families import REGIONS
from tests.sim.lanes import LanePlan
from tests.sim.plan import DAY_S, HOUR_S, Event, KeyPlan, Plan


def small_key(**other: Any) -> KeyPlan:
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


def small_world(
    *events: Event, keys: tuple[KeyPlan, ...] = (small_key(),), days: float = 210.0, seed: int = 1, regions: int = 1
) -> Plan:
    """An account in so many Regions with these keys, and nothing but these events."""
    lanes = tuple(
        LanePlan(
            account="111122223333",
            region=region,
            per_second=0.5,
            real_per_second=0.5,
            in_flight=2,
            reserve=0.2,
            latency_s=0.3,
        )
        for region in REGIONS[:regions]
    )
    return Plan(
        seed=seed,
        lanes=lanes,
        keys=keys,
        events=events,
        stormy_s=days * DAY_S,
        notices_steps=True,
        safety_wake_s=3600,
    )


def small_family() -> tuple[KeyPlan, ...]:
    """A primary and a replica, with a second material in stock."""
    return small_key(imported=True, stock=1, primary=0), small_key(number=1, lane=1, stock=1, primary=0)
