"""What the fake KMS holds: keys and their materials."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from byokd.facts.key import (
    ABSENT,
    SYMMETRIC,
    Absent,
    Expiry,
    Family,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
)
from byokd.facts.relative import identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One material that a key owns. `expiry` is ABSENT when it was deleted; a past one has lapsed."""

    id: MaterialId
    fingerprint: str
    expiry: Expiry | Absent
    state: MaterialState = MaterialState.CURRENT
    rotated_at: datetime | Absent = ABSENT

    def expiry_at(self, now: datetime) -> Expiry | Absent:
        """The expiry, or ABSENT where the material is gone at `now`: unusable at `ValidTo`, inclusive."""
        return ABSENT if isinstance(self.expiry, datetime) and self.expiry <= now else self.expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key as KMS holds it."""

    arn: KeyArn
    spec: str = SYMMETRIC
    origin: str = "EXTERNAL"
    enabled: bool = True
    deletion_at: datetime | Absent = ABSENT
    materials: tuple[Material, ...] = ()
    family: Family | Absent = ABSENT
    created_at: datetime | Absent = ABSENT

    @property
    def pending(self) -> Material | None:
        """What waits for a rotation, of which there is one at most; it may be gone, where nobody has tidied up."""
        return next((each for each in self.materials if not each.state.permanent), None)

    def state(self, now: datetime) -> KeyState:
        """Enabled only when every permanent material is in (developer guide, "Importing key material")."""
        if not isinstance(self.deletion_at, Absent):
            # A primary's waiting period begins when its last replica is gone (API model, ScheduleKeyDeletion).
            waits = not isinstance(self.family, Absent) and self.family.primary == self.arn and self.family.replicas
            return KeyState.PENDING_REPLICA_DELETION if waits else KeyState.PENDING_DELETION
        permanent = [each.expiry_at(now) for each in self.materials if each.state.permanent]
        if self.origin == "EXTERNAL" and (not permanent or ABSENT in permanent):
            return KeyState.PENDING_IMPORT
        return KeyState.ENABLED if self.enabled else KeyState.DISABLED


def material_id(arn: str, fingerprint: str) -> MaterialId:
    """Derived from key and material, and the same in all Regions of a multi-Region key (docs/kms.md)."""
    named = ":".join(identity(KeyArn(arn))) or arn
    return MaterialId(hashlib.sha256(f"{named} {fingerprint}".encode()).hexdigest())
