"""What the tests of rotations share: a key with further materials in stock, and what may go wrong on the way."""

from __future__ import annotations

from typing import Any

from byokd.errors import AnswerLost, KmsUnreachable
from byokd.facts.key import MaterialState
from tests.kit.builders import ARN, desired, policy
from tests.kit.world import World

ROTATION, IMPORT = "RotateKeyOnDemand", "ImportKeyMaterial"
STEPS = ("GetParametersForImport", IMPORT, ROTATION)
CURRENT, OLD, PENDING = MaterialState.CURRENT, MaterialState.NON_CURRENT, MaterialState.PENDING_ROTATION

TROUBLE: dict[str, tuple[str, Any, bool]] = {
    "the import's answer is lost, and it was applied": (IMPORT, AnswerLost("no answer"), True),
    "the import's answer is lost, and it was not": (IMPORT, AnswerLost("no answer"), False),
    "the rotation's answer is lost, and it was applied": (ROTATION, AnswerLost("no answer"), True),
    "the rotation's answer is lost, and it was not": (ROTATION, AnswerLost("no answer"), False),
    "no way to KMS": (ROTATION, KmsUnreachable("no route"), False),
}
"""Which call fails once, with what, and whether KMS does it all the same."""


async def a_world(materials: int = 3, **changes: Any) -> World:
    """A key with so many materials in the config, of which KMS gets the first at once; `changes` are its policy's."""
    world = World()
    names = [f"{place}.key" for place in range(materials)]
    await world.add(desired(locator=names[0], further=tuple(names[1:]), policy=policy(**changes)))
    for place, name in enumerate(names):
        world.source.materials[name] = bytes([place]) * 32
    return world


def states(world: World) -> list[MaterialState]:
    """Of the key's materials in KMS, oldest first."""
    return [each.state for each in world.kms.key(ARN).materials]
