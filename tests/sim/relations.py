"""The laws about multi-Region keys and rotations, held against KMS itself.

That a replica is never asked to rotate, nor a primary before every replica has the material, is in `book`: it is held
when the request is sent.
"""

from __future__ import annotations

from typing import Final

from byokd.facts.ledger import OrderKind, OrderState
from tests.sim.laws import HEAL_S
from tests.sim.world import World

SAYS_WHY_S: Final = 600.0
"""How long an order to rotate may wait before it says for what, where nothing is in byokd's way."""


def families_agree(world: World) -> None:
    """Long after all was put right, the members of a family have the same materials, and the same one is current."""
    for primary in world.keys:
        if primary.plan.primary != primary.plan.number:
            continue
        owned = {
            key.life.lane: frozenset(each for each in _owned(world, key.plan.number))
            for key in world.members(primary.plan.number)
        }
        if len(set(owned.values())) > 1:
            world.book.broken("one family", primary.life.ref, f"its members have different materials: {owned}")


def _owned(world: World, number: int) -> set[tuple[str, str]]:
    key = world.keys[number]
    return {(each.id[:8], each.state.value) for each in key.lane.key(key.arn).materials}


async def rotations_say_why(world: World) -> None:
    """A rotation that was ordered is done, refused, or says what it waits for."""
    for key in world.keys:
        scopes = world.book.scopes(key.life)
        for order in await world.memory.orders(ref=key.life.ref, only_open=True, limit=100):
            if order.kind is not OrderKind.ROTATE or order.state is not OrderState.OPEN or order.outcome:
                continue
            asked = world.book.watch.orders[order.id]
            free = world.book.obstacles.free(scopes, asked.at_s, world.alive_until_s)
            if any(b - a > HEAL_S + SAYS_WHY_S + key.plan.look_s for a, b in free):
                world.book.broken(
                    "rotates", key.life.ref, f"ordered at {order.created_at}, and nobody knows why it waits"
                )
