"""Hands off: a key that people have put aside is looked at, and otherwise left alone.

By an import as by a rotation, and by a probe too: whoever holds a key, disables it or takes it out of the config wants
nothing done with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tests.sim.plan import span

if TYPE_CHECKING:
    from tests.sim.life import Life
    from tests.sim.obstacles import Obstacles

OF_ANY_KEY: Final = ("DescribeKey", "ListKeyRotations", "DeleteImportedKeyMaterial")
"""What may be sent of a key all the same: looks. Of deletions another law says when."""
GRACE_S: Final = 90.0
"""A turn that looked before somebody disabled a key or held it may still be under way for so long."""
STORM_S: Final = 1800.0
"""The same where a source hangs, readings are stale or requests wait for the pace."""


def disobeyed(life: Life, state: str, obstacles: Obstacles, now_s: float) -> Iterator[str]:
    """For which reasons a key in this state in KMS should be left alone now, and since when byokd has to know."""
    for why, since_s in life.off_since.items():
        if why == "held" and now_s >= life.held_until_s - 2:
            continue  # it ends in this very second
        if why == "disabled" and state == "PendingImport":
            continue  # KMS shows that its material is gone, and not any more that it was disabled
        if now_s - since_s > _grace_s(life, why, since_s, obstacles, now_s):
            yield f"{why} since {span(since_s)}"


def _grace_s(life: Life, why: str, since_s: float, obstacles: Obstacles, now_s: float) -> float:
    """For how long a turn from before may still be under way; what byokd emptied for a suspension, it knows of."""
    if why == "suspended" and life.emptied_s >= since_s:
        return 0.0
    return GRACE_S if obstacles.calm(("*", life.lane, life.ref), since_s - 100, now_s) else STORM_S
