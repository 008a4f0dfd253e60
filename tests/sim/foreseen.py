"""What byokd said about its own future, held against what it then did.

In peace nothing is in the way, so every renewal has to come when the forecast of `byokd plan` has it. And where a
lane's pace cannot be enough, people have to hear so from the condition `slack_low`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from byokd.decide.admit import learned_of
from byokd.decide.forecast import Forecast, forecast
from byokd.facts.condition import ConditionKind
from byokd.facts.key import LaneId
from tests.sim.clocks import seconds
from tests.sim.fleet import SimKey
from tests.sim.model import ModelKms
from tests.sim.plan import HOUR_S, span
from tests.sim.world import World

EXACT_S: Final = 60.0
"""How far a renewal may be from its forecast where nobody waits for a token."""
SCARCE: Final = 0.25
"""Imports that an event leaves to each key in its life."""


class Foreseen:
    """The forecasts of one world's lanes, made when its peace began."""

    def __init__(self, world: World, ahead: tuple[Forecast, ...]) -> None:
        self._world = world
        self._ahead = ahead
        self._since_s = world.now_s

    def hold(self) -> None:
        """Write into the book every renewal that did not come when it was to be expected."""
        keys = {key.life.ref: key for key in self._world.keys}
        for ahead in self._ahead:
            # A queue is served in order, but one early look can let somebody else go first.
            slack_s = EXACT_S + 3 / ahead.per_second
            for each in ahead.renewals:
                key = keys[each.ref]
                if isinstance(each.renewed_at, datetime) and isinstance(each.valid_to, datetime):
                    self._held(key, seconds(each.renewed_at), slack_s)

    def _held(self, key: SimKey, expected_s: float, slack_s: float) -> None:
        if key.life.stock or key.life.several or expected_s + slack_s > self._world.now_s:
            return  # the forecast follows one material, and this world ends here
        came = [each.at_s for each in key.life.imports]
        if any(0 <= self._since_s - at_s < EXACT_S and abs(at_s - expected_s) <= slack_s for at_s in came):
            return  # it was on its way as the forecast was made, and not on record
        came_s = next((at_s for at_s in came if at_s > self._since_s), None)
        if came_s is None or abs(came_s - expected_s) > slack_s:
            when = "never" if came_s is None else span(came_s)
            text = f"renewed {when}, forecast {span(expected_s)} at {span(self._since_s)}"
            self._world.book.broken("foreseen", key.life.ref, text, at_s=expected_s)


async def look_ahead(world: World) -> None:
    """Have byokd look ahead, which it does by the calendar: that stands still in a world."""
    if world.engine is not None:
        await world.chore(world.engine.foresight.look())


async def foresee(world: World) -> Foreseen:
    """Make the forecast of each lane from what is on record."""
    ahead = []
    for kms in world.lanes:
        prospects = await world.memory.prospects(LaneId(kms.plan.id), limit=10_000)
        lane = world.lane(kms)
        learned = learned_of(lane.quotas, await world.memory.learned_paces(LaneId(kms.plan.id)))
        ahead.append(forecast(prospects, lane, world.host.now(), learned=learned))
    world.book.tell("*", "the forecast is made")
    return Foreseen(world, tuple(ahead))


def scarce_per_second(world: World, kms: ModelKms) -> float:
    """A pace at which no lane can keep its keys, whatever their leads are."""
    keys = [key for key in world.keys if key.lane is kms]
    return max(1e-9, SCARCE * len(keys) / max((key.plan.life_s for key in keys), default=1.0))


async def told_of_scarcity(world: World, kms: ModelKms) -> None:
    """Held a moment after a lane got too small a pace: most of its keys are to be renewed, and people hear of it."""
    engine, now_s = world.engine, world.now_s
    calm = not world.trouble.share and world.book.obstacles.calm(("*",), now_s - HOUR_S, now_s)
    if engine is None or not calm or world.lane(kms) not in engine.foresight.lanes:
        return
    keys = [key for key in world.keys if key.lane is kms]
    kept = [
        key
        for key in keys
        if key.tracked
        and not key.life.off_since
        and key.plan.heals_lapse
        and key.plan.heals_delete
        and not key.plan.never  # one renewal by byokd, for which a token is there at any pace, is the last
        and isinstance(key.life.shown, datetime)
    ]
    if len(kept) * 2 < len(keys) or not kept:
        return
    if not await world.chore(engine.foresight.look()):
        return
    told = await world.memory.open_conditions(f"lane:{kms.plan.id}")
    if not any(each.condition.kind is ConditionKind.SLACK_LOW for each in told):
        world.book.broken("slack is told", kms.plan.id, f"{kms.allowed_per_second:.2g}/s for {len(keys)} keys")
