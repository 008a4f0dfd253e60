"""What has to be true when all has been put right for a while."""

from __future__ import annotations

from typing import Final

from byokd.decide.decide import decide
from byokd.facts.condition import ConditionKind
from byokd.facts.key import Absent, KeyState
from tests.sim.plan import HOUR_S
from tests.sim.world import World

EXPECTED: Final = (ConditionKind.MATERIAL_UNMANAGED, ConditionKind.HELD)
OF_A_PERIOD: Final = (ConditionKind.ROTATION_HINDERED, ConditionKind.ROTATIONS_LOW)
"""Expected of keys with a period: their materials and their rotations run out in the end."""


async def all_is_well(world: World) -> None:
    """Held in the liveness phase: some time after everything was put right, nothing is left of the storm."""
    book, now = world.book, world.host.now()
    for key in world.keys:
        ref, state = key.life.ref, key.lane.state(key.arn)
        expiry = key.lane.managed_expiry(key.arn)
        expected = EXPECTED + OF_A_PERIOD if key.plan.rotate_every_s else EXPECTED
        if state is not KeyState.ENABLED or isinstance(expiry, Absent):
            book.broken("converges", ref, f"is {state.value}, ends {expiry}, long after all was put right")
        (known,) = await world.memory.snapshots([ref])
        said = {each.kind: each.detail for each in decide(known, now).conditions}
        for each in known.conditions:
            kind, told = each.condition.kind, each.condition.detail
            if said.get(kind, told) != told:
                book.broken("alerts are true", ref, f"{kind.value} says {told!r}, which is {said[kind]!r} by now")
            if kind not in expected:
                book.broken("alerts end", ref, f"{kind.value} is open: {told}")
        rows = await world.memory.imports(ref=ref, only_open=True, limit=10)
        if any(row.attempts > 2 for row in rows):
            book.broken("converges", ref, f"an import is open: {rows[0]}")
    unsent = await world.memory.outbox("inbox", now=now, limit=10)
    old = [notice for notice in unsent if (now - notice.created_at).total_seconds() > HOUR_S]
    if old:
        book.broken("alerts arrive", old[0].subject, f"{len(old)} notices are not delivered")
    for subject in ("daemon", *(f"lane:{lane.plan.id}" for lane in world.lanes)):
        for each in await world.memory.open_conditions(subject):
            book.broken("alerts end", subject, f"{each.condition.kind.value} is open")
    if world.engine is not None and (stalled := world.engine.stalled()):
        book.broken("alive", "*", f"{stalled} do nothing")
