"""Multi-Region keys of simulated worlds, drawn: who has replicas where, and what befalls their rotations.

In some of the worlds with several lanes these are the Regions of one account. Each family is a primary, which has its
material already, and a replica in one or two other lanes, to be imported into. Orders to rotate are for the primary,
and half of what befalls a family befalls it while it is rotated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.sim.lanes import LanePlan
    from tests.sim.plan import KeyPlan

DAY_S: Final = 86400.0
HOUR_S: Final = 3600.0
REGIONS: Final = ("eu-central-1", "us-east-1", "eu-west-1")
WORLDS: Final = 0.5
"""The share of the worlds with several lanes that has families."""
OUTAGES: Final = ("refuse", "hang", "5xx", "denied", "throttled", "credentials")

Drawn = dict[str, Any]


def related(
    rng: random.Random, lanes: tuple[LanePlan, ...], keys: tuple[KeyPlan, ...]
) -> tuple[tuple[LanePlan, ...], tuple[KeyPlan, ...]]:
    """The lanes and keys of a world, in some worlds with families among them."""
    if len(lanes) < 2 or rng.random() >= WORLDS:
        return lanes, keys
    regions = rng.sample(REGIONS, len(lanes))
    lanes = tuple(
        replace(lane, account=lanes[0].account, region=region) for lane, region in zip(lanes, regions, strict=True)
    )
    grown, able = list(keys), [key for key in keys if not key.other_material]
    for key in rng.sample(able, min(len(able), rng.randint(1, 2))):
        stock = 0 if key.hmac else rng.randint(1, 3)
        # What nobody heals would be waited for by a rotation for months, which would be simulated for nothing.
        kept = replace(key, imported=True, stock=stock, heals_lapse=True, heals_delete=True)
        primary = grown[key.number] = replace(kept, primary=key.number)
        away = [number for number in range(len(lanes)) if number != key.lane]
        for lane in rng.sample(away, rng.randint(1, len(away))):
            like = primary if rng.random() < 0.7 else _shorter(primary, rng.uniform(0.5, 0.9))
            grown.append(replace(like, number=len(grown), lane=lane, imported=False))
    return lanes, tuple(grown)


def _shorter(key: KeyPlan, share: float) -> KeyPlan:
    """A replica with a policy of its own."""
    spans = ("life_s", "lead_s", "spread_s", "look_s", "drill_s", "floor_s")
    scaled: Drawn = {name: int(getattr(key, name) * share) for name in spans}
    return replace(key, **scaled, alerts_s=tuple(int(each * share) for each in key.alerts_s))


def rotations(rng: random.Random, keys: tuple[KeyPlan, ...], stormy_s: float) -> list[Drawn]:
    """Orders to rotate the primaries, with what befalls their families meanwhile."""
    drawn: list[Drawn] = []
    for primary in keys:
        family = [key for key in keys if key.primary == primary.number]
        if not family or not primary.stock:
            continue
        for _ in range(rng.randint(1, primary.stock + 1)):
            at_s = rng.uniform(0, stormy_s * 0.9)
            drawn.append(_event("rotate", at_s, primary.number))
            for _ in range(rng.choice((0, 1, 1, 2, 3))):
                befalls = rng.choices(tuple(_BEFALLS), tuple(_BEFALLS.values()))[0]
                drawn.append(befalls(rng, at_s, rng.choice(family)))
    return drawn


def _event(kind: str, at_s: float, who: int, span_s: float = 0.0, **how: Any) -> Drawn:
    return {"at_s": max(0.0, at_s), "kind": kind, "span_s": span_s, "who": who, "how": how}


def _for(rng: random.Random, longest_s: float) -> float:
    return math.exp(rng.uniform(math.log(20), math.log(longest_s)))


def _out(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    """A Region is out, for up to days."""
    how = {"mode": rng.choice(OUTAGES), "share": rng.choice((1.0, 1.0, 0.7)), "of": "all"}
    return _event("outage", at_s + rng.uniform(-HOUR_S, 60), key.lane, _for(rng, 2 * DAY_S) + HOUR_S, **how)


def _killed(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    """The process dies at some await of the rotation, at times more than once."""
    how = {"calls": rng.randint(1, 60), "of": "any", "again": rng.choice((0, 0, 1, 3))}
    return _event("crash", at_s + rng.choice((0.0, 0.0, 2.0, 20.0)), key.number, _for(rng, 2 * HOUR_S), **how)


def _answers(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    how = {"mode": rng.choice(("lost_before", "lost_applied", "lost_late", "token")), "share": rng.choice((0.5, 1.0))}
    return _event("answers", at_s - 60, key.lane, 60 + _for(rng, HOUR_S), **how)


def _behind(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    return _event("stale", at_s - 60, key.lane, 60 + _for(rng, HOUR_S), lag_s=rng.choice((2, 8, 30, 110)))


def _deleted(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    """Somebody deletes what a member has, or what waits there for its rotation."""
    kind = rng.choice(("delete_material", "delete_waiting", "delete_waiting"))
    return _event(kind, at_s + _for(rng, 6 * HOUR_S) * rng.choice((-0.1, 1.0)), key.number)


def _people(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    """Somebody has other plans with one member."""
    kind = rng.choice(("schedule_deletion", "disable", "hold", "suspend_key", "untrack"))
    how = {"until": rng.random() < 0.5} if kind == "hold" else {}
    return _event(kind, at_s + rng.uniform(-2 * HOUR_S, 60), key.number, _for(rng, DAY_S) + HOUR_S, **how)


def _ending(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    """What a member has ends in the middle of the rotation."""
    return _event("import_by_hand", at_s - 60, key.number, life=rng.uniform(60, HOUR_S) / key.life_s)


def _source(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    how = {"mode": rng.choice(("missing", "hang", "unsafe")), "all": False}
    return _event("source", at_s - 60, key.number, _for(rng, DAY_S), **how)


def _by_hand(rng: random.Random, at_s: float, key: KeyPlan) -> Drawn:
    """People rotate the family by hand as well, or begin to."""
    assert key.primary is not None
    return _event("rotate_by_hand", at_s + rng.uniform(-HOUR_S, HOUR_S), key.primary, steps=rng.randint(1, 5))


_BEFALLS: Final[dict[Callable[[random.Random, float, KeyPlan], Drawn], int]] = {
    _out: 4,
    _killed: 5,
    _answers: 2,
    _behind: 2,
    _deleted: 3,
    _people: 3,
    _ending: 2,
    _source: 2,
    _by_hand: 2,
}
