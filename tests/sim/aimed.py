"""Events of simulated worlds that are drawn to meet: what each of them would hit by itself once in hundreds of worlds.

Each kind of meeting has a stream of chance of its own, so that another one changes nothing in what a seed means so far.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.sim.lanes import LanePlan
    from tests.sim.plan import KeyPlan

HOUR_S: Final = 3600.0
HEARD_AT_ONCE: Final = ("disable", "suspend_key", "source", "delete_material")
Drawn = dict[str, Any]


def aimed(
    seed: int, lanes: tuple[LanePlan, ...], keys: tuple[KeyPlan, ...], drawn: list[Drawn], stormy_s: float
) -> list[Drawn]:
    """What is aimed at the keys and lanes of a world, and at what was drawn for it so far."""
    more: list[Drawn] = []
    rng = random.Random(f"{seed} standstills")
    for _ in range(rng.randint(0, 2)):
        more += _standstill(rng, rng.choice(keys), stormy_s)
    rng, told = random.Random(f"{seed} deaf"), [each for each in drawn if each["kind"] in HEARD_AT_ONCE]
    more += [_deaf(rng, rng.choice(told)) for _ in range(rng.randint(0, 2)) if told]
    rng, rotated = random.Random(f"{seed} turning"), _rotations(keys, drawn)
    more += [_killed(rng, rng.choice(rotated)) for _ in range(rng.randint(0, 1)) if rotated]
    more += [_ahead(rng, rng.choice(rotated)) for _ in range(rng.randint(0, 1)) if rotated]
    rng = random.Random(f"{seed} scarce")
    more += [_scarce(rng, rng.randrange(len(lanes)), stormy_s) for _ in range(rng.randint(0, 1))]
    rng = random.Random(f"{seed} slowed")
    for _ in range(rng.randint(0, 1)):
        more += _slowed(rng, rng.randrange(len(lanes)), rng.uniform(0.1, 0.9) * stormy_s)
    rng = random.Random(f"{seed} rushes")
    more += [_rush(rng, rng.choice(keys), stormy_s) for _ in range(rng.randint(0, 2))]
    rng, able = random.Random(f"{seed} kept"), [key for key in keys if key.stock and not key.is_replica]
    for _ in range(rng.randint(0, 2) if able else 0):
        more += _kept(rng, rng.choice(able), stormy_s)
    rng, failing = random.Random(f"{seed} tried"), [each for each in drawn if each["kind"] == "impostor"]
    for _ in range(rng.randint(0, 2) if failing else 0):
        more += _tried(rng, rng.choice(failing))
    rng = random.Random(f"{seed} frozen")
    for _ in range(rng.randint(0, 1)):
        more += _frozen(rng, rng.randrange(len(lanes)), rng.uniform(0.05, 0.95) * stormy_s)
    rng = random.Random(f"{seed} wrong clocks")
    more += [_wrong_clock(rng, rng.choice(keys), stormy_s) for _ in range(rng.randint(0, 1))]
    rng = random.Random(f"{seed} refusals")
    more += [_refused(rng, rng.choice(keys), stormy_s) for _ in range(rng.randint(0, 2))]
    rng, named = random.Random(f"{seed} aliases"), [key for key in keys if key.by_alias]
    more += [_moved(rng, rng.choice(named), stormy_s) for _ in range(rng.randint(0, 1)) if named]
    return [each for each in more if 0 <= each["at_s"] < stormy_s * 0.99]


def _rotations(keys: tuple[KeyPlan, ...], drawn: list[Drawn]) -> list[Drawn]:
    """The first order to rotate each key that can be rotated: later ones may find nothing to rotate to."""
    able = {key.number for key in keys if key.stock and not key.is_replica}
    orders = sorted((each for each in drawn if each["kind"] == "rotate"), key=lambda each: -each["at_s"])
    return list({each["who"]: each for each in orders if each["who"] in able}.values())


def _event(kind: str, at_s: float, who: int, span_s: float, **how: Any) -> Drawn:
    return {"at_s": at_s, "kind": kind, "span_s": span_s, "who": who, "how": how}


def _standstill(rng: random.Random, key: KeyPlan, stormy_s: float) -> list[Drawn]:
    """Somebody keeps byokd from a key, and what that has comes to its end meanwhile."""
    kind, at_s = rng.choice(("hold", "hold", "suspend_key")), rng.uniform(0.05, 0.9) * stormy_s
    span_s, before_s = HOUR_S + key.look_s * rng.uniform(2, 4), rng.uniform(0.6, 1.0) * HOUR_S
    life_s = span_s * rng.uniform(0.7, 1.2) - before_s
    how = {"until": rng.random() < 0.5} if kind == "hold" else {}
    return [
        _event(kind, at_s, key.number, span_s, **how),
        _event("import_by_hand", at_s + before_s, key.number, 0.0, life=life_s / key.life_s),
    ]


def _kept(rng: random.Random, key: KeyPlan, stormy_s: float) -> list[Drawn]:
    """A rotation is ordered while somebody keeps byokd from the key, and nothing but that order is wanting."""
    kind, at_s = rng.choice(("hold", "hold", "disable")), rng.uniform(0.05, 0.6) * stormy_s
    how = {"until": rng.random() < 0.5} if kind == "hold" else {}
    return [
        _event("rotate_by_hand", at_s - 60, key.number, 0.0, steps=1),
        _event(kind, at_s, key.number, rng.uniform(6, 24) * HOUR_S, **how),
        _event("rotate", at_s + rng.uniform(1, 4) * HOUR_S, key.number, 0.0),
    ]


def _tried(rng: random.Random, impostor: Drawn) -> list[Drawn]:
    """A key is held whose probe has failed just now, and would be made again in minutes."""
    at_s = impostor["at_s"] + rng.uniform(0.1, 0.8) * impostor["span_s"]
    return [
        _event("order", at_s, impostor["who"], 0.0),
        _event("hold", at_s + rng.uniform(60, 600), impostor["who"], rng.uniform(3, 24) * HOUR_S, until=False),
    ]


def _deaf(rng: random.Random, told: Drawn) -> Drawn:
    """Nobody can be told of something when it happens."""
    mode, span_s = rng.choice(("down", "hang")), rng.uniform(1, 12) * HOUR_S
    return _event("channel", told["at_s"] - 60, told["who"], span_s, mode=mode)


def _killed(rng: random.Random, rotated: Drawn) -> Drawn:
    """The process dies between KMS's rotation and its record."""
    return _event(
        "crash",
        rotated["at_s"] - 1,
        rotated["who"],
        rng.uniform(10, HOUR_S),
        calls=rng.randint(2, 5),
        of="rotation",
        again=0,
    )


def _ahead(rng: random.Random, rotated: Drawn) -> Drawn:
    """The host's clock is ahead, by as much as AWS lets pass, when a rotation is ordered."""
    return _event("step", rotated["at_s"] - HOUR_S, rotated["who"], 4 * HOUR_S, by_s=rng.randint(90, 280))


def _wrong_clock(rng: random.Random, key: KeyPlan, stormy_s: float) -> Drawn:
    """The host's clock is off by what AWS lets pass, for as long as a key lives: what KMS tells puts it right."""
    by_s = rng.randint(130, 280) * rng.choice((-1, 1))
    return _event("step", rng.uniform(0.05, 0.8) * stormy_s, key.number, key.life_s, by_s=by_s)


def _scarce(rng: random.Random, lane: int, stormy_s: float) -> Drawn:
    """A lane's pace is too small for its keys, for long enough to be told of it."""
    return _event("lane_settings", rng.uniform(0.1, 0.9) * stormy_s, lane, rng.uniform(0.3, 4) * HOUR_S, times=0.0)


def _rush(rng: random.Random, key: KeyPlan, stormy_s: float) -> Drawn:
    """A whole lane is to be imported within a tenth of a lead, or some hours."""
    span_s = min(rng.uniform(0.5, 4) * HOUR_S, 0.1 * key.lead_s)
    return _event("rush", rng.uniform(0.05, 0.95) * stormy_s, key.lane, span_s, every=rng.choice((3, 5, 9)))


def _frozen(rng: random.Random, lane: int, at_s: float) -> list[Drawn]:
    """The process is stopped while requests stand in line, and all that they waited for is over as it goes on.

    For less than the half hour after which a turn is broken off and told as a defect: of a stop, rightly so.
    """
    return [
        _event("renew", at_s, lane, 0.0),
        _event("freeze", at_s + rng.uniform(5, 120), lane, rng.choice((10, 60, 600)) * rng.uniform(0.5, 1.5)),
    ]


def _moved(rng: random.Random, key: KeyPlan, stormy_s: float) -> Drawn:
    """An alias names another key until byokd has looked, and for some hours more."""
    return _event("alias", rng.uniform(0.05, 0.8) * stormy_s, key.number, key.look_s * rng.uniform(1, 2) + 6 * HOUR_S)


def _refused(rng: random.Random, key: KeyPlan, stormy_s: float) -> Drawn:
    """A deadline is hours away at once, and until then KMS refuses the imports of its lane for good."""
    span_s, of = rng.uniform(4, 10) * HOUR_S, rng.choice(("import", "parameters"))
    life_s = int(span_s * rng.uniform(0.8, 1.5))
    return _event("hurry", rng.uniform(0.05, 0.95) * stormy_s, key.number, span_s, of=of, mode="refused", life_s=life_s)


def _slowed(rng: random.Random, lane: int, at_s: float) -> list[Drawn]:
    """The process dies while others leave a lane no room, and comes back to a queue and all the room there is."""
    down_s = rng.uniform(40, 120)
    return [
        _event("others", at_s, lane, 900.0, share=1.0),
        _event("renew", at_s + 30, lane, 0.0),
        _event("crash", at_s + 880, lane, down_s, calls=1, of="any", again=0),
    ]
