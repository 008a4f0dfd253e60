"""The rules of material: what an import, a deletion, an expiry and a rotation make of one key.

Every function takes a Key and returns the Key that follows, or refuses. What also happens to its relatives, where it is
a multi-Region key, is in families.py. The life of a material of a symmetric encryption key::

    NEW import, first of the key ────────────────────────▶ CURRENT ──rotation of another──▶ NON_CURRENT
    NEW import, later ─▶ PENDING_MULTI_REGION_IMPORT_AND_ROTATION      (a primary with replicas that lack it)
                          ▼ imported into every replica
                         PENDING_ROTATION ──rotation────▶ CURRENT
                          └─deleted or expired: forgotten, another may take its place
    CURRENT, NON_CURRENT: deleted or expired ─▶ bytes gone, id kept ─▶ EXISTING import brings the same bytes back

Keys of all other specs own one material for life: CURRENT from its first import, or from birth.

Source: API reference of ImportKeyMaterial, DeleteImportedKeyMaterial, RotateKeyOnDemand and ListKeyRotations.
This file must not read a clock, decrypt anything or know how a request looks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import CHINA, Key, Material, MaterialState, material_id
from byokd.localkms.private_keys import canonical
from byokd.localkms.specs import SPECS, KeySpec, Kind

CHINA_SYMMETRIC_BYTES: Final = 16
"""In China Regions symmetric keys have 128 bits (API reference of CreateKey). Which cipher they use nobody can see."""
ROTATIONS_MAX: Final = 25
"""On-demand rotations in a key's life (API reference of RotateKeyOnDemand; copies of the guide also say 10 and 50)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Unwrapped material on its way into a key, and the terms it was sent with."""

    secret: bytes = field(repr=False)
    expires_at: float | None
    new: bool | None
    """NEW_KEY_MATERIAL, EXISTING_KEY_MATERIAL, or None: not said."""
    id: str | None = None
    """The KeyMaterialId that the caller expects. None: not said."""
    description: str | None = None
    """None: keep the one of the last import of this material."""


def material_within(plaintext: bytes, spec: KeySpec, partition: str) -> bytes:
    """Unwrapped material in the form in which it is kept, once it has been checked against the spec in its partition.

    Takes up to 5 ms for private keys: call it in a thread.

    Raises: Refusal with IncorrectKeyMaterialException for raw bytes of another length than the spec's, and for anything
    but a sound PKCS #8 private key of the spec's size or curve.
    """
    row = SPECS[spec]
    if row.raw:
        size = CHINA_SYMMETRIC_BYTES if partition == CHINA and row.kind is Kind.SYMMETRIC else row.size
        if len(plaintext) != size:
            raise Refusal(
                Fault.INCORRECT_KEY_MATERIAL, f"The key material of a {spec} key must be {size * 8} bits long."
            )
        return plaintext
    private = canonical(plaintext, row)
    if private is None:
        message = f"The key material is not a valid {spec} private key in PKCS #8 format."
        raise Refusal(Fault.INCORRECT_KEY_MATERIAL, message)
    return private


def imported(key: Key, given: Import, *, promised: Collection[Material] = ()) -> tuple[Key, str]:
    """The key with the material in it, and the material's id.

    `promised` are materials, without bytes, that the key does not own yet and takes as existing ones: for a replica,
    what is pending in its primary.

    A key whose last missing material comes in is Enabled, even if it was disabled: "when this operation is successful,
    the state of the KMS key changes to Enabled" (API reference; the documents leave a Disabled key open).

    Raises: Refusal with IncorrectKeyMaterialException for other bytes than expected, and for new material that the key
    already owns; KMSInvalidStateException for new material while another is pending rotation; ValidationException for
    an id given with new material; UnsupportedOperationException for new material given to a replica, and for a type, an
    id or a description of material given to anything but a symmetric encryption key.
    """
    identity = material_id(key.id, given.secret)
    owned = next((each for each in (*key.materials, *promised) if each.id == identity), None)
    if _is_new(key, given):
        material = _newcomer(key, given, identity)
    elif owned is None or given.id not in (None, identity):
        raise Refusal(Fault.INCORRECT_KEY_MATERIAL, "The key material is not the same that was previously imported.")
    else:
        description = owned.description if given.description is None else given.description
        material = replace(owned, secret=given.secret, expires_at=given.expires_at, description=description)
    kept = replace(key, materials=_with(key.materials, material))
    enables = key.disabled and kept.whole and material.permanent
    return (replace(kept, disabled=False) if enables else kept), identity


def _is_new(key: Key, given: Import) -> bool:
    """Whether an import brings new material: as it says, else if the key owns none. A replica never takes new."""
    new = given.new if given.new is not None else not key.materials and not key.replica
    if not SPECS[key.spec].rotates and (given.new, given.id, given.description) != (None, None, None):
        raise Refusal(
            Fault.UNSUPPORTED_OPERATION,
            "ImportType, KeyMaterialId and KeyMaterialDescription are valid for symmetric encryption keys only.",
        )
    if new and given.id is not None:
        raise Refusal(Fault.VALIDATION, "KeyMaterialId cannot be specified when ImportType is NEW_KEY_MATERIAL")
    if new and key.replica:
        raise Refusal(
            Fault.UNSUPPORTED_OPERATION,
            f"{key.arn} is not a multi-region primary key. Import new key material into the primary key first.",
        )
    return new


def _newcomer(key: Key, given: Import, identity: str) -> Material:
    if key.material(identity) is not None:
        raise Refusal(Fault.INCORRECT_KEY_MATERIAL, "The key material is already associated with the KMS key.")
    if key.pending is not None:
        raise Refusal(
            Fault.INVALID_STATE,
            f"New key material (id: {identity}) cannot be imported into KMS key {key.arn}, "
            f"because another key material (id: {key.pending.id}) is pending rotation.",
        )
    return Material(
        id=identity,
        state=_pending_state(key) if key.materials else MaterialState.CURRENT,
        secret=given.secret,
        expires_at=given.expires_at,
        description=given.description,
    )


def _pending_state(key: Key) -> MaterialState:
    """How material that is pending in a key begins; families.py moves that of a primary on."""
    awaits = key.primary and key.multi_region is not None and key.multi_region.replicas
    return MaterialState.PENDING_MULTI_REGION if awaits else MaterialState.PENDING_ROTATION


def without(key: Key, identity: str) -> Key:
    """The key after the bytes of one of its materials are gone, by deletion or expiry.

    A permanent material keeps its place; the key is then PendingImport whether it was Enabled or Disabled (unless
    PendingDeletion). A pending one is forgotten. Nothing happens to a material whose bytes are not there.
    """
    material = key.material(identity)
    if material is None or material.secret is None:
        return key
    if not material.permanent:
        return replace(key, materials=tuple(each for each in key.materials if each.id != identity))
    gone = replace(material, secret=None, expires_at=None)
    return replace(key, disabled=False, materials=_with(key.materials, gone))


def rotated(key: Key, to: Material, now: float, *, automatic: bool = False) -> Key:
    """The key after a material has become current; `now` (epoch seconds) is the rotation date.

    `to` is the pending material of this key or, if this is a replica, of its primary. A replica that does not hold its
    bytes is PendingImport then, for the material is from now on one of those that it depends on.
    """
    own = key.material(to.id) or replace(to, secret=None, expires_at=None, description=None)
    turned = [
        replace(each, state=MaterialState.NON_CURRENT) if each.permanent else each
        for each in key.materials
        if each.id != to.id
    ]
    turned.append(replace(own, state=MaterialState.CURRENT, rotated_at=now, automatic=automatic))
    return replace(key, materials=tuple(turned))


def generated(key: Key, secret: bytes) -> Key:
    """An AWS_KMS key with fresh material: current in a new key, in an old one pending the rotation that follows."""
    state = MaterialState.PENDING_ROTATION if key.materials else MaterialState.CURRENT
    fresh = Material(id=material_id(key.id, secret), state=state, secret=secret)
    return replace(key, materials=(*key.materials, fresh))


def _with(materials: tuple[Material, ...], material: Material) -> tuple[Material, ...]:
    """The materials with one replaced in its place, or added as the youngest."""
    if any(each.id == material.id for each in materials):
        return tuple(material if each.id == material.id else each for each in materials)
    return (*materials, material)
