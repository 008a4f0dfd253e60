"""What AWS calls a key, its state and its origin; AWS's own words, from the KMS API model (KeyMetadata)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, Literal, NewType

KeyRef = NewType("KeyRef", str)
"""byokd's name for a key for life: the ARN where the config tells it, else `<lane>/alias/<name>`."""

KeyArn = NewType("KeyArn", str)
LaneId = NewType("LaneId", str)
"""`<account>/<region>`, e.g. `111122223333/eu-central-1`."""

MaterialId = NewType("MaterialId", str)
"""KMS's KeyMaterialId: 64 hex digits derived from key id and material; symmetric keys only."""


class KeyState(StrEnum):
    """KeyMetadata.KeyState. A state that AWS adds later reads as UNKNOWN, which is hands-off."""

    CREATING = "Creating"
    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_DELETION = "PendingDeletion"
    PENDING_IMPORT = "PendingImport"
    PENDING_REPLICA_DELETION = "PendingReplicaDeletion"
    UNAVAILABLE = "Unavailable"
    UPDATING = "Updating"
    UNKNOWN = "Unknown"


class MaterialState(StrEnum):
    """RotationsListEntry.KeyMaterialState."""

    CURRENT = "CURRENT"
    NON_CURRENT = "NON_CURRENT"
    PENDING_ROTATION = "PENDING_ROTATION"
    PENDING_MULTI_REGION = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"

    @property
    def permanent(self) -> bool:
        """Whether the key needs this material to be Enabled (API model, ImportKeyMaterial)."""
        return self in _PERMANENT


_PERMANENT: Final = (MaterialState.CURRENT, MaterialState.NON_CURRENT)


class Never(Enum):
    """The expiry of material imported with ExpirationModel KEY_MATERIAL_DOES_NOT_EXPIRE."""

    NEVER = "never"


class Absent(Enum):
    """There is no such thing, and that is known: no material, hence no expiry; no order; no hold."""

    ABSENT = "absent"


NEVER: Final = Never.NEVER
ABSENT: Final = Absent.ABSENT

Expiry = datetime | Literal[Never.NEVER]
"""When material ends: a ValidTo (the key counts as unusable at it, inclusive), or never."""


class WrappingAlgorithm(StrEnum):
    """GetParametersForImport.WrappingAlgorithm, without the retired RSAES_PKCS1_V1_5 and the Chinese SM2PKE."""

    OAEP_SHA_1 = "RSAES_OAEP_SHA_1"
    OAEP_SHA_256 = "RSAES_OAEP_SHA_256"
    RSA_AES_SHA_1 = "RSA_AES_KEY_WRAP_SHA_1"
    RSA_AES_SHA_256 = "RSA_AES_KEY_WRAP_SHA_256"


class WrappingKeySpec(StrEnum):
    """GetParametersForImport.WrappingKeySpec."""

    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"


SYMMETRIC: Final = "SYMMETRIC_DEFAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedMaterial:
    """One entry of ListKeyRotations with IncludeKeyMaterial=ALL_KEY_MATERIAL."""

    material_id: MaterialId
    state: MaterialState
    imported: bool
    expiry: Expiry | Absent
    """ABSENT where the material is not imported."""
    rotated_at: datetime | Absent = ABSENT
    """When the key was rotated to it; ABSENT for the key's first material, and for one that waits for its rotation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """KeyMetadata.MultiRegionConfiguration: the keys of one multi-Region key, one in each of its Regions.

    They share key id, spec and materials; each has its own imports, expiries, state and aliases (developer guide,
    "Multi-Region keys").
    """

    primary: KeyArn
    replicas: tuple[KeyArn, ...] = ()
    """In alphabetical order."""

    @property
    def members(self) -> tuple[KeyArn, ...]:
        """The primary first."""
        return (self.primary, *self.replicas)


def region_of(arn: KeyArn) -> str:
    """The Region that an ARN names."""
    return arn.split(":")[3]


def lane_of(ref: KeyRef) -> LaneId:
    """The lane that a key's ref names."""
    if ref.startswith("arn:"):
        _, _, _, region, account, _ = ref.split(":", 5)
        return LaneId(f"{account}/{region}")
    return LaneId(ref.partition("/alias/")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedKey:
    """What KMS said about a key at `at`.

    `expiry` is DescribeKey's: the earliest over the permanently associated materials (API model, KeyMetadata.ValidTo).
    `materials` is empty where the key cannot rotate (HMAC, asymmetric) or ListKeyRotations was not allowed;
    `materials_known` tells the two from a symmetric key that really has none yet.
    """

    at: datetime
    arn: KeyArn
    state: KeyState
    origin: str
    spec: str
    expiry: Expiry | Absent
    current_material: MaterialId | Absent
    materials: tuple[ObservedMaterial, ...] = ()
    materials_known: bool = True
    deletion_at: datetime | Absent = ABSENT
    was_disabled: bool = False
    """Whether a key that is PendingImport was Disabled when its material was last seen: an import would enable it."""
    alias_target: KeyArn | Absent = ABSENT
    """For a key named by alias: where the alias points now, which may be another key than the one pinned."""
    usage: str = ""
    """KeyUsage; empty in readings from before it was read."""
    family: Family | Absent = ABSENT
    """ABSENT for a single-Region key."""
    begun_at: datetime | Absent = ABSENT
    """Since when the key's first material is in it: the look that first showed it, where the one before showed none;
    else KMS's CreationDate, which is earlier. ABSENT in readings from before it was read."""

    @property
    def role(self) -> str:
        """`primary` or `replica` for a multi-Region key, empty for any other."""
        if isinstance(self.family, Absent):
            return ""
        return "primary" if self.arn == self.family.primary else "replica"

    def expiry_of(self, material: MaterialId | Absent) -> Expiry | Absent:
        """The expiry of one material; the whole key's where that material is not listed or not known."""
        for each in self.materials:
            if each.material_id == material:
                return each.expiry
        return self.expiry


class NeverLooked(Enum):
    """byokd has not seen this key yet."""

    NEVER_LOOKED = "never_looked"


NEVER_LOOKED: Final = NeverLooked.NEVER_LOOKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """The last look failed. `since` is when looking began to fail, `last` what was seen before that."""

    since: datetime
    at: datetime
    code: str
    """The `code` of the error (see `byokd.errors`), e.g. `access_denied` or `key_not_found`."""
    message: str
    failures: int
    last: ObservedKey | Literal[NeverLooked.NEVER_LOOKED]


View = ObservedKey | Blind | Literal[NeverLooked.NEVER_LOOKED]


def last_seen(view: View) -> ObservedKey | Literal[NeverLooked.NEVER_LOOKED]:
    """The newest reading there is, however old; callers that need a fresh one match on the type of the view."""
    return view.last if isinstance(view, Blind) else view
