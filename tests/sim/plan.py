"""What will happen in a world, as data drawn from its seed before anything happens.

A plan is a fleet and a list of events. Each event stands for itself: taking some out leaves the others as they were,
so that a failing plan can be shrunk to the few that matter.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.sim.aimed import aimed
from tests.sim.families import related, rotations
from tests.sim.lanes import LanePlan, lane, narrowed
from tests.sim.windows import WindowPlan

DAY_S: Final = 86400.0
HOUR_S: Final = 3600.0
LIVES_S: Final = (6 * HOUR_S, 3 * DAY_S, 14 * DAY_S, 30 * DAY_S, 90 * DAY_S, 180 * DAY_S, 330 * DAY_S)
_LIFE_WEIGHTS: Final = (1, 1, 2, 3, 4, 6, 8)
_FLEETS: Final = ((2, 14), (15, 40), (60, 200))
"""From how many keys to how many: those that are looked at one by one, and those that make a queue."""
_FLEET_WEIGHTS: Final = (6, 3, 2)
LIVES_PER_WORLD: Final = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan:
    """One key: its life and its policy. All spans in seconds."""

    number: int
    lane: int
    life_s: int
    lead_s: int
    emergency_share: float
    spread_s: int
    floor_s: int
    look_s: int
    drill_s: int
    settle_s: int
    alerts_s: tuple[int, ...]
    heals_lapse: bool
    heals_delete: bool
    by_alias: bool
    hmac: bool
    imported: bool
    """Whether somebody imported its material by hand before byokd came."""
    other_material: bool
    """Whether it owns a second, older material that byokd has no source for."""
    window: WindowPlan | None = None
    """When its routine renewals may begin; None: at any time."""
    priority: int = 0
    never: bool = False
    """Whether its material is imported never to end."""
    stock: int = 0
    """How many further materials its source has, for as many rotations."""
    primary: int | None = None
    """Of a multi-Region key: which key is the primary, itself or another; None for a single-Region key."""
    rotate_every_s: int = 0
    """How long a material is its current one before byokd rotates it by itself; 0: for ever."""

    probe: bool = False
    """Whether its policy wants it used once after each import."""

    @property
    def root(self) -> int:
        """The key whose material it has: its own, or its primary's."""
        return self.number if self.primary is None else self.primary

    @property
    def is_replica(self) -> bool:
        """Whether another key is its primary."""
        return self.root != self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that befalls the world at `at_s`, and is over `span_s` later. `who` is a key or a lane by number."""

    number: int
    at_s: float
    kind: str
    span_s: float = 0.0
    who: int = 0
    how: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        how = "".join(f" {name}={value}" for name, value in self.how.items())
        return f"#{self.number:<3} {span(self.at_s):>12}  {self.kind} {self.who} for {span(self.span_s)}{how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A world to be."""

    seed: int
    lanes: tuple[LanePlan, ...]
    keys: tuple[KeyPlan, ...]
    events: tuple[Event, ...]
    stormy_s: float
    """How long the safety phase lasts."""
    notices_steps: bool
    safety_wake_s: int

    def only(self, numbers: frozenset[int]) -> Plan:
        """The same world with some of its events alone."""
        events = tuple(event for event in self.events if event.number in numbers)
        return Plan(**{name: getattr(self, name) for name in self.__slots__} | {"events": events})


def span(seconds: float) -> str:
    """A span in words."""
    days, rest = divmod(int(seconds), int(DAY_S))
    hours, rest = divmod(rest, int(HOUR_S))
    text = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    return f"{days}d {text}" if days else text


def draw(seed: int) -> Plan:
    """The plan of a seed; always the same."""
    rng = random.Random(seed)
    life_s = rng.choices(LIVES_S, _LIFE_WEIGHTS)[0]
    lanes = tuple(lane(rng, number) for number in range(rng.choice((1, 1, 2, 3))))
    few, many = rng.choices(_FLEETS, _FLEET_WEIGHTS)[0]
    keys = tuple(_key(rng, number, len(lanes), life_s) for number in range(rng.randint(few, many)))
    # What came later is drawn apart, so that the seeds that are known mean what they meant, and more.
    more = random.Random(f"{seed} wishes")
    keys = tuple(_wished(more, key) for key in keys)
    regions = random.Random(f"{seed} families")
    lanes, keys = related(regions, lanes, keys)
    lanes = narrowed(seed, lanes)
    stormy_s = life_s * LIVES_PER_WORLD
    count = rng.randint(4, 40)
    notices_steps = rng.random() < 0.7
    drawn = [_event(rng, _KINDS, lanes, keys, life_s, stormy_s) for _ in range(count)]
    drawn += [_event(more, _ORDERS, lanes, keys, life_s, stormy_s) for _ in range(more.randint(0, 6))]
    rotating = random.Random(f"{seed} rotations")
    keys = tuple(_stocked(rotating, key) for key in keys)
    drawn += [_rotation(rotating, keys, stormy_s) for key in keys if key.stock for _ in range(rotating.randint(0, 3))]
    drawn += rotations(regions, keys, stormy_s)
    hurrying = random.Random(f"{seed} hurries")
    drawn += [_hurry(hurrying, keys, stormy_s) for _ in range(hurrying.randint(0, 3))]
    probing = random.Random(f"{seed} probes")
    keys = tuple(replace(key, probe=probing.random() < 0.1) for key in keys)
    drawn += [_impostor(probing, key, stormy_s) for key in keys if key.probe and probing.random() < 0.5]
    periodic = random.Random(f"{seed} periods")
    keys = tuple(_periodic(periodic, key) for key in keys)
    drawn += aimed(seed, lanes, keys, drawn, stormy_s)
    events = sorted(drawn, key=lambda each: each["at_s"])
    return Plan(
        seed=seed,
        lanes=lanes,
        keys=keys,
        events=tuple(Event(number=number, **event) for number, event in enumerate(events)),
        stormy_s=stormy_s,
        notices_steps=notices_steps,
        # Where the clock tells of its steps, nobody need wake for them: a wake that was lost stays lost, for up to half
        # of a life, and shows.
        safety_wake_s=max(60, int(life_s / rng.choice((2, 20) if notices_steps else (300,)))),
    )


def _key(rng: random.Random, number: int, lanes: int, life_s: float) -> KeyPlan:
    life = int(min(life_s * rng.uniform(0.6, 1.1), 364 * DAY_S))
    lead = int(life * rng.uniform(0.2, 0.5))
    often = rng.choice((2, 4, 8))
    hmac, imported = rng.random() < 0.2, rng.random() < 0.4
    return KeyPlan(
        number=number,
        lane=rng.randrange(lanes),
        life_s=life,
        lead_s=lead,
        emergency_share=min(rng.choice((0.02, 0.05, 0.1)), DAY_S / life),
        spread_s=int(life * rng.choice((0.0, 0.0, 0.05))),
        floor_s=int(min(HOUR_S, life / 50)),
        look_s=int(life / often),
        drill_s=int(life / often),
        settle_s=120,
        alerts_s=tuple(int(lead * share) for share in (0.9, 0.6, 0.35, 0.2, 0.08)),
        heals_lapse=rng.random() < 0.9,
        heals_delete=rng.random() < 0.8,
        by_alias=rng.random() < 0.25,
        hmac=hmac,
        imported=imported,
        other_material=imported and not hmac and rng.random() < 0.1,
    )


def _wished(rng: random.Random, key: KeyPlan) -> KeyPlan:
    """The key with what its owners want of it."""
    window = None
    if rng.random() < 0.2 and key.lead_s > 4 * DAY_S:
        weekly = rng.random() < 0.3 and key.lead_s > 30 * DAY_S
        window = WindowPlan(
            hour=rng.randrange(24),
            lasts_s=int(rng.choice((1, 4, 8)) * HOUR_S),
            weekday=rng.randrange(7) if weekly else None,
        )
    priority, never = rng.choice((0, 0, 0, -10, 10, 100)), rng.random() < 0.06
    drill_s = key.drill_s * rng.choice((1, 1, 2, 3))
    return replace(key, window=window, priority=priority, never=never, drill_s=drill_s)


def _stocked(rng: random.Random, key: KeyPlan) -> KeyPlan:
    stocked = rng.random() < 0.15 and not key.hmac and not key.other_material and key.primary is None
    return replace(key, stock=rng.randint(1, 2)) if stocked else key


def _periodic(rng: random.Random, key: KeyPlan) -> KeyPlan:
    every_s = int(key.life_s * rng.uniform(0.7, 2.5))
    return replace(key, rotate_every_s=every_s) if key.stock and key.primary is None and rng.random() < 0.5 else key


def _rotation(rng: random.Random, keys: tuple[KeyPlan, ...], stormy_s: float) -> dict[str, Any]:
    """An order to rotate: mostly of a key that can be, at times of one that cannot."""
    able = [key.number for key in keys if key.stock]
    who = rng.choice(able) if rng.random() < 0.8 else rng.randrange(len(keys))
    return {"at_s": rng.uniform(0, stormy_s * 0.99), "kind": "rotate", "span_s": 0.0, "who": who, "how": {}}


def _hurry(rng: random.Random, keys: tuple[KeyPlan, ...], stormy_s: float) -> dict[str, Any]:
    """A deadline that is hours away at once, while what byokd would do about it fails."""
    span_s = rng.uniform(1, 8) * HOUR_S
    how = {
        "of": rng.choice(("import", "parameters", "describe", "source", "hold")),
        "life_s": int(span_s * rng.uniform(0.8, 1.5)),
    }
    who = rng.randrange(len(keys))
    return {"at_s": rng.uniform(0.05, 0.99) * stormy_s, "kind": "hurry", "span_s": span_s, "who": who, "how": how}


def _impostor(rng: random.Random, key: KeyPlan, stormy_s: float) -> dict[str, Any]:
    """A key that does not know what it made, for longer than one of its imports is apart from the next."""
    span_s = key.life_s * rng.uniform(0.3, 1.0)
    return {"at_s": rng.uniform(0, stormy_s), "kind": "impostor", "span_s": span_s, "who": key.number, "how": {}}


_ORDERS: Final = {"suspend_key": 3, "renew": 1}
_KINDS: Final = {
    "outage": 6,
    "others": 4,
    "quota": 1,
    "answers": 4,
    "stale": 3,
    "store": 3,
    "crash": 6,
    "stop": 1,
    "step": 3,
    "drift": 1,
    "suspend": 2,
    "source": 5,
    "disable": 3,
    "delete_material": 2,
    "schedule_deletion": 1,
    "import_by_hand": 2,
    "hold": 2,
    "order": 2,
    "policy": 2,
    "untrack": 1,
    "lane_settings": 2,
    "source_gone": 1,
    "channel": 2,
    "alias": 1,
    "lease": 1,
    "prune": 1,
    "meddle": 2,
}
OF_A_LANE: Final = ("outage", "others", "quota", "answers", "stale", "lane_settings", "lease", "renew")


def _event(
    rng: random.Random,
    kinds: dict[str, int],
    lanes: tuple[LanePlan, ...],
    keys: tuple[KeyPlan, ...],
    life_s: float,
    stormy_s: float,
) -> dict[str, Any]:
    kind = rng.choices(tuple(kinds), tuple(kinds.values()))[0]
    who = rng.randrange(len(lanes)) if kind in OF_A_LANE else rng.randrange(len(keys))
    key = keys[rng.randrange(len(keys)) if kind in OF_A_LANE else who]
    # Half of all trouble comes where it hurts: in the last part of a life.
    at_s = rng.uniform(0, stormy_s)
    if rng.random() < 0.5:
        lives = rng.randint(0, int(LIVES_PER_WORLD) - 1)
        at_s = lives * (key.life_s - key.lead_s) + key.life_s - key.lead_s * rng.random() ** 2 * 1.05
    # In an emergency byokd tries every 30 s: months of that would be simulated for nothing.
    quiet = kind in (
        "disable",
        "hold",
        "suspend_key",
        "schedule_deletion",
        "policy",
        "untrack",
        "crash",
        "stop",
        "suspend",
    )
    longest = life_s * 0.6 if quiet else min(life_s * 0.6, rng.choice((0.5, 1, 3)) * DAY_S)
    if kind in ("store", "others", "quota"):
        longest = 0.2 * DAY_S
    span_s = math.exp(rng.uniform(math.log(10), math.log(longest)))
    how = _HOW.get(kind, lambda _, __: {})(rng, key)
    if kind in ("answers", "stale"):
        # Imports are rare: what befalls them alone has to last, or it befalls nobody. Of many keys some are always due.
        span_s = life_s * rng.uniform(0.05, 0.6) * min(1.0, 10 / len(keys))
        if how.get("share") == 1.0:
            span_s = min(span_s, DAY_S)
    if how.get("mode") == "changed":
        # What comes and goes between two drills is seen by nobody.
        span_s = min(life_s * rng.uniform(0.05, 0.3), 10 * DAY_S)
    return {"at_s": min(at_s, stormy_s * 0.99), "kind": kind, "span_s": span_s, "who": who, "how": how}


def _step(rng: random.Random, key: KeyPlan) -> dict[str, Any]:
    size = math.exp(rng.uniform(math.log(2), math.log(key.life_s * 1.2)))
    return {"by_s": int(size) * rng.choice((-1, 1))}


_HOW: Final = {
    "outage": lambda rng, _: {
        "mode": rng.choice(
            ("refuse", "hang", "5xx", "denied", "credentials", "garbage", "not_found", "throttled", "refused")
        ),
        "share": rng.choice((1.0, 1.0, 1.0, 0.7, 0.3)),
        "of": rng.choice(("all", "all", "import", "parameters", "describe", "rotations")),
    },
    "others": lambda rng, _: {"share": rng.choice((0.3, 0.5, 0.8, 1.0))},
    "quota": lambda rng, _: {"times": rng.choice((0.3, 0.5, 3.0))},
    "answers": lambda rng, _: {
        "mode": rng.choice(("lost_before", "lost_applied", "lost_late", "slow", "token", "hollow", "tardy")),
        "share": rng.choice((0.2, 0.5, 1.0)),
    },
    "stale": lambda rng, _: {"lag_s": rng.choice((2, 8, 30, 110, 300, 900))},
    "store": lambda rng, _: {"share": rng.choice((0.05, 0.3, 1.0)), "full": rng.random() < 0.5},
    "crash": lambda rng, _: {
        "calls": rng.randint(1, 12),
        "of": rng.choice(("any", "import", "import")),
        "again": rng.choice((0, 0, 1, 3)),
    },
    "step": _step,
    "drift": lambda rng, _: {"rate": rng.choice((-5e-5, 2e-5, 1e-4, 1e-3))},
    "source": lambda rng, _: {
        "mode": rng.choice(("missing", "missing", "changed", "hang", "unsafe", "short")),
        "all": rng.random() < 0.3,
    },
    "import_by_hand": lambda rng, key: {"life": rng.choice((0.02, 0.1, 0.5, 1.0))},
    "hold": lambda rng, _: {"until": rng.random() < 0.5},
    "policy": lambda rng, _: {"life": rng.choice((0.5, 0.8, 1.0)), "lead": rng.choice((0.2, 0.4, 0.6))},
    "lane_settings": lambda rng, _: {"times": rng.choice((0.5, 1.0, 0.0))},
    "channel": lambda rng, _: {"mode": rng.choice(("down", "hang"))},
}
