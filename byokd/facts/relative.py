"""What one key of a multi-Region key knows of the others, in other lanes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from byokd.facts.key import ABSENT, Absent, KeyArn, KeyRef, LaneId, NeverLooked, View, last_seen, region_of

MULTI_REGION: Final = "mrk-"
"""How the id of every multi-Region key begins, the same in all its Regions (API model, ReplicateKey)."""


def identity(arn: KeyArn) -> tuple[str, ...]:
    """What the ARNs of one multi-Region key have in common: all but the Region; empty for a single-Region key."""
    parts = arn.split(":")
    named = len(parts) > 5 and parts[5].startswith(f"key/{MULTI_REGION}")
    return (*parts[:3], *parts[4:]) if named else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Another key of the config that belongs to the same multi-Region key, as its own last turn left it on record.

    It is a reading like any other, only older: what it does not show may have happened since.
    """

    ref: KeyRef
    lane: LaneId
    name: str
    arn: KeyArn
    view: View
    message: str
    """Of its last decision."""
    rotates: bool = False
    """Whether an order to rotate it is open."""

    @property
    def region(self) -> str:
        """The Region it is in, by which people tell it from the others."""
        return region_of(self.arn)

    def holds(self, material: str, *, since: datetime | Absent = ABSENT) -> bool:
        """Whether it was seen with this material imported, at `since` or later."""
        seen = last_seen(self.view)
        if isinstance(seen, NeverLooked) or (isinstance(since, datetime) and seen.at < since):
            return False
        return any(each.material_id == material and each.imported for each in seen.materials)
