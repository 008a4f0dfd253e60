"""What a KMS key is: immutable values, and what follows from them.

A Key is a complete description of one KMS key at one moment; every change makes a new one. Its state is not stored but
follows from its facts, in this order:

    a deletion date is set            ─▶ PendingDeletion
    a permanent material is missing   ─▶ PendingImport      (also when there never was one)
    an operator disabled it           ─▶ Disabled
    otherwise                         ─▶ Enabled

A symmetric key owns materials, oldest first: NON_CURRENT ones, at most one CURRENT, at most one PENDING_ROTATION. All
but the last are associated with the key for ever, whether their bytes are in (`secret`) or not, and the key works only
when all of them are in (https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-import-key-material.html).
A material whose bytes are gone keeps its id, by which a reimport is recognised.

This file must not know HTTP, clocks or storage. `secret` holds key material: it is excluded from repr and leaves a Key
only for a cipher or, sealed, for the journal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from byokd.localkms.signatures import Caller

SYMMETRIC_BYTES: Final = 32  # SYMMETRIC_DEFAULT is AES-256 everywhere but in China


class Origin(StrEnum):
    """Where a key's material comes from."""

    AWS_KMS = "AWS_KMS"
    EXTERNAL = "EXTERNAL"


class KeyState(StrEnum):
    """The key states that a single-Region key can be in, as DescribeKey spells them."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_IMPORT = "PendingImport"
    PENDING_DELETION = "PendingDeletion"


class MaterialState(StrEnum):
    """What a key does with one of its materials, as ListKeyRotations spells it."""

    CURRENT = "CURRENT"
    NON_CURRENT = "NON_CURRENT"
    PENDING_ROTATION = "PENDING_ROTATION"


class ExpirationModel(StrEnum):
    """Whether imported material ends by itself."""

    EXPIRES = "KEY_MATERIAL_EXPIRES"
    DOES_NOT_EXPIRE = "KEY_MATERIAL_DOES_NOT_EXPIRE"

    @classmethod
    def of(cls, expires_at: float | None) -> ExpirationModel:
        """The model that goes with an expiry date or its absence."""
        return cls.DOES_NOT_EXPIRE if expires_at is None else cls.EXPIRES


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One key material of a key, present or to be imported again."""

    id: str
    state: MaterialState
    secret: bytes | None = field(repr=False)
    """The bytes. None: deleted or expired, waiting for a reimport."""
    expires_at: float | None = None
    """`ValidTo` in epoch seconds. None: never, or the bytes are gone."""
    description: str | None = None
    rotated_at: float | None = None
    """When a rotation made it current, epoch seconds. None: the first material, or not rotated in yet."""

    @property
    def permanent(self) -> bool:
        """Whether the key depends on it for ever; a pending material may still be replaced."""
        return self.state is not MaterialState.PENDING_ROTATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One KMS key. Times are epoch seconds."""

    id: str
    owner: Caller
    origin: Origin
    created_at: float
    spec: str = "SYMMETRIC_DEFAULT"
    usage: str = "ENCRYPT_DECRYPT"
    description: str = ""
    disabled: bool = False
    deletion_at: float | None = None
    """When the key will be deleted. None: not scheduled."""
    rotations: int = 0
    """On-demand rotations begun in the key's life; bounded by materials.ROTATIONS_MAX."""
    materials: tuple[Material, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """Sorted by tag key."""

    @property
    def arn(self) -> str:
        """The key ARN."""
        return arn_of(self.owner, f"key/{self.id}")

    @property
    def state(self) -> KeyState:
        """The key state that follows from everything else; see the module's text."""
        if self.deletion_at is not None:
            return KeyState.PENDING_DELETION
        permanent = [material for material in self.materials if material.permanent]
        if not permanent or any(material.secret is None for material in permanent):
            return KeyState.PENDING_IMPORT
        return KeyState.DISABLED if self.disabled else KeyState.ENABLED

    @property
    def current(self) -> Material | None:
        """The material that encrypts. None: nothing was ever imported."""
        return next((material for material in self.materials if material.state is MaterialState.CURRENT), None)

    @property
    def pending(self) -> Material | None:
        """The material imported for the next rotation, if any."""
        return next((material for material in self.materials if not material.permanent), None)

    def material(self, material_id: str) -> Material | None:
        """The material of that id, present or not; None when the key does not own it."""
        return next((material for material in self.materials if material.id == material_id), None)

    @property
    def due_at(self) -> float | None:
        """The next moment at which the key changes by itself: an expiry or its deletion. None: never."""
        moments = [material.expires_at for material in self.materials if material.expires_at is not None]
        if self.deletion_at is not None:
            moments.append(self.deletion_at)
        return min(moments, default=None)


def arn_of(owner: Caller, resource: str) -> str:
    """The ARN of a resource such as `key/<id>` or `alias/<name>` of an account and Region."""
    if owner.region.startswith("cn-"):
        partition = "aws-cn"
    elif owner.region.startswith("us-gov-"):
        partition = "aws-us-gov"
    else:
        partition = "aws"
    return f"arn:{partition}:kms:{owner.region}:{owner.account}:{resource}"


def material_id(key_id: str, secret: bytes) -> str:
    """The KeyMaterialId: 64 hex digits that depend on key id and material alone, so the same bytes differ between keys.

    Source: API reference of ImportKeyMaterial, parameter KeyMaterialId. AWS does not publish its hash; this one is
    ours.
    """
    return hashlib.sha256(b"kms key material\0" + key_id.encode() + b"\0" + secret).hexdigest()
