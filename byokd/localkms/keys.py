"""What a KMS key is: immutable values, and what follows from them.

A Key is a complete description of one KMS key at one moment; every change makes a new one. Its state is not stored but
follows from its facts, in this order:

    a deletion date is set              ─▶ PendingDeletion
    it waits for its replicas to go     ─▶ PendingReplicaDeletion    (a primary scheduled for deletion)
    a transition is under way           ─▶ Creating, Updating        (a new replica; a change of the primary)
    a permanent material is missing     ─▶ PendingImport             (also when there never was one)
    an operator disabled it             ─▶ Disabled
    otherwise                           ─▶ Enabled

A symmetric key owns materials, oldest first: NON_CURRENT ones, at most one CURRENT, at most one pending rotation. All
but the last are associated with the key for ever, whether their bytes are in (`secret`) or not, and the key works only
when all of them are in (https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-import-key-material.html).
A material whose bytes are gone keeps its id, by which a reimport is recognised. Keys of other specs own one material.

Multi-Region keys of a family are separate Keys in separate Regions that share an id and one MultiRegion value; what an
operation on one of them does to the others is in families.py.

This file must not know HTTP, clocks or storage. `secret` holds key material: it is excluded from repr and leaves a Key
only for a cipher or, sealed, for the journal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from byokd.localkms.signatures import Caller
from byokd.localkms.specs import KeySpec, KeyUsage

CHINA: Final = "aws-cn"
"""The partition of the China Regions, where some rules of imports differ."""


class Origin(StrEnum):
    """Where a key's material comes from."""

    AWS_KMS = "AWS_KMS"
    EXTERNAL = "EXTERNAL"


class KeyState(StrEnum):
    """The key states, as DescribeKey spells them."""

    CREATING = "Creating"
    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_IMPORT = "PendingImport"
    PENDING_DELETION = "PendingDeletion"
    PENDING_REPLICA_DELETION = "PendingReplicaDeletion"
    UPDATING = "Updating"
    UNAVAILABLE = "Unavailable"
    """Of keys in custom key stores, which are not on offer: no key here is ever in it."""


class MaterialState(StrEnum):
    """What a key does with one of its materials, as ListKeyRotations spells it."""

    CURRENT = "CURRENT"
    NON_CURRENT = "NON_CURRENT"
    PENDING_ROTATION = "PENDING_ROTATION"
    PENDING_MULTI_REGION = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"


PERMANENT: Final = frozenset({MaterialState.CURRENT, MaterialState.NON_CURRENT})
"""The states of material that a key depends on for ever; pending material may still be replaced."""


class ExpirationModel(StrEnum):
    """Whether imported material ends by itself."""

    EXPIRES = "KEY_MATERIAL_EXPIRES"
    DOES_NOT_EXPIRE = "KEY_MATERIAL_DOES_NOT_EXPIRE"

    @classmethod
    def of(cls, expires_at: float | None) -> ExpirationModel:
        """The model that goes with an expiry date or its absence."""
        return cls.DOES_NOT_EXPIRE if expires_at is None else cls.EXPIRES


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class Material:
    """One key material of a key, present or to be imported again."""

    id: str
    state: MaterialState
    secret: bytes | None = field(repr=False)
    """Raw bytes or PKCS #8 DER, as the key's spec says (specs.py). None: deleted or expired, waiting for a reimport."""
    expires_at: float | None = None
    """`ValidTo` in epoch seconds. None: never, or the bytes are gone."""
    description: str | None = None
    rotated_at: float | None = None
    """When a rotation made it current, epoch seconds. None: the first material, or not rotated in yet."""
    automatic: bool = False
    """Whether that rotation was a scheduled one."""

    @property
    def permanent(self) -> bool:
        """Whether the key depends on it for ever; a pending material may still be replaced."""
        return self.state in PERMANENT


class MultiRegion(NamedTuple):
    """The relation of multi-Region keys. All keys of a family have the same id and share one value of this."""

    primary: str
    """The Region of the primary key."""
    replicas: tuple[str, ...] = ()
    """The Regions of the replica keys, sorted."""


class Transition(NamedTuple):
    """A transient key state, Creating or Updating, that ends by itself."""

    state: KeyState
    until: float
    """Epoch seconds."""


class Rotation(NamedTuple):
    """An on-demand rotation in progress. Times are epoch seconds."""

    started_at: float
    done_at: float


class Schedule(NamedTuple):
    """Automatic rotation, switched on."""

    period_days: int
    next_at: float
    """Epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One KMS key. Times are epoch seconds."""

    id: str
    owner: Caller
    origin: Origin
    created_at: float
    spec: KeySpec = KeySpec.SYMMETRIC_DEFAULT
    usage: KeyUsage = KeyUsage.ENCRYPT_DECRYPT
    description: str = ""
    disabled: bool = False
    deletion_at: float | None = None
    """When the key will be deleted. None: not scheduled, or not known yet."""
    deletion_window_days: int | None = None
    """How long a primary with replicas will wait for its deletion once the last of them is deleted. None: it won't."""
    rotations: int = 0
    """On-demand rotations begun in the key's life; bounded by materials.ROTATIONS_MAX."""
    materials: tuple[Material, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """Sorted by tag key."""
    policy: str | None = None
    """The key policy, a JSON text. None: the default one."""
    multi_region: MultiRegion | None = None
    """None: a single-Region key."""
    transition: Transition | None = None
    """A new replica, or a change of the primary, is still being worked on. None: not so."""
    rotation: Rotation | None = None
    """A rotation on demand that has not finished; a family's is its primary's. None: there is none."""
    schedule: Schedule | None = None
    """Automatic rotation, the same in a whole family. None: switched off."""

    @property
    def arn(self) -> str:
        """The key ARN."""
        return arn_of(self.owner, f"key/{self.id}")

    @property
    def state(self) -> KeyState:
        """The key state that follows from everything else; see the module's text."""
        if self.deletion_at is not None:
            return KeyState.PENDING_DELETION
        if self.deletion_window_days is not None:
            return KeyState.PENDING_REPLICA_DELETION
        return self.settled_state if self.transition is None else self.transition.state

    @property
    def settled_state(self) -> KeyState:
        """The state of a key of which no deletion is scheduled, once it is neither Creating nor Updating any more."""
        if not self.whole:
            return KeyState.PENDING_IMPORT
        return KeyState.DISABLED if self.disabled else KeyState.ENABLED

    @property
    def whole(self) -> bool:
        """Whether all its permanent materials are in, and at least one."""
        owned = False
        for material in self.materials:
            if material.permanent:
                if material.secret is None:
                    return False
                owned = True
        return owned

    @property
    def current(self) -> Material | None:
        """The material that encrypts. None: nothing was ever imported."""
        return next((material for material in self.materials if material.state is MaterialState.CURRENT), None)

    @property
    def pending(self) -> Material | None:
        """The material imported for the next rotation, if any."""
        return next((material for material in self.materials if not material.permanent), None)

    @property
    def primary(self) -> bool:
        """Whether it is the primary of a family of multi-Region keys."""
        return self.multi_region is not None and self.multi_region.primary == self.owner.region

    @property
    def replica(self) -> bool:
        """Whether it is a replica in a family of multi-Region keys."""
        return self.multi_region is not None and self.multi_region.primary != self.owner.region

    def material(self, material_id: str) -> Material | None:
        """The material of that id, present or not; None when the key does not own it."""
        return next((material for material in self.materials if material.id == material_id), None)

    @property
    def due_at(self) -> float | None:
        """The next moment at which the key changes by itself, as aging.py has it. None: never."""
        moments = [material.expires_at for material in self.materials if material.expires_at is not None]
        if self.deletion_at is not None:
            moments.append(self.deletion_at)
        if self.transition is not None:
            moments.append(self.transition.until)
        if self.rotation is not None:
            moments.append(self.rotation.done_at)
        if self.schedule is not None and not self.replica and self.state is KeyState.ENABLED:
            moments.append(self.schedule.next_at)
        return min(moments, default=None)


def arn_of(owner: Caller, resource: str) -> str:
    """The ARN of a resource such as `key/<id>` or `alias/<name>` of an account and Region."""
    return f"{_beginning(owner)}{resource}"


@lru_cache(maxsize=1024)
def _beginning(owner: Caller) -> str:
    return f"arn:{partition_of(owner.region)}:kms:{owner.region}:{owner.account}:"


@lru_cache(maxsize=256)
def partition_of(region: str) -> str:
    """The partition that a Region belongs to."""
    if region.startswith("cn-"):
        return CHINA
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def material_id(key_id: str, secret: bytes) -> str:
    """The KeyMaterialId: 64 hex digits that depend on key id and material alone, so the same bytes differ between keys.

    Source: API reference of ImportKeyMaterial, parameter KeyMaterialId. AWS does not publish its hash; this one is
    ours.
    """
    return hashlib.sha256(b"kms key material\0" + key_id.encode() + b"\0" + secret).hexdigest()
