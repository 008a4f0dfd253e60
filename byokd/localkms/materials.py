"""The rules of imported material: what an import, a deletion, an expiry and a rotation make of a key.

Every function takes a Key and returns the Key that follows, or refuses. The life of a material of a symmetric key::

    NEW import, first of the key ─────────────▶ CURRENT ──RotateKeyOnDemand of another──▶ NON_CURRENT
    NEW import, later ─▶ PENDING_ROTATION ──RotateKeyOnDemand──▶ CURRENT
                          └─deleted or expired: forgotten, another may take its place
    CURRENT, NON_CURRENT: deleted or expired ─▶ bytes gone, id kept ─▶ EXISTING import brings the same bytes back

Source: API reference of ImportKeyMaterial, DeleteImportedKeyMaterial, RotateKeyOnDemand and ListKeyRotations.
This file must not read a clock, decrypt anything or know how a request looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, KeyState, Material, MaterialState, material_id
from byokd.localkms.private_keys import canonical
from byokd.localkms.specs import SPECS, KeySpec

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


def material_within(plaintext: bytes, spec: KeySpec) -> bytes:
    """Unwrapped material in the form in which it is kept, once it has been checked against the key spec.

    Takes up to 5 ms for private keys: call it in a thread.

    Raises: Refusal with IncorrectKeyMaterialException for raw bytes of another length than the spec's, and for anything
    but a sound PKCS #8 private key of the spec's size or curve.
    """
    row = SPECS[spec]
    if row.raw:
        if len(plaintext) != row.size:
            raise Refusal(
                Fault.INCORRECT_KEY_MATERIAL, f"The key material of a {spec} key must be {row.size * 8} bits long."
            )
        return plaintext
    private = canonical(plaintext, row)
    if private is None:
        message = f"The key material is not a valid {spec} private key in PKCS #8 format."
        raise Refusal(Fault.INCORRECT_KEY_MATERIAL, message)
    return private


def imported(key: Key, given: Import) -> tuple[Key, str]:
    """The key with the material in it, and the material's id.

    A key whose last missing material comes in is Enabled, even if it was disabled: "when this operation is successful,
    the state of the KMS key changes to Enabled" (API reference; the documents leave a Disabled key open).

    Raises: Refusal with IncorrectKeyMaterialException for other bytes than expected, and for new material that the key
    already owns; KMSInvalidStateException for new material while another is pending rotation;
    ValidationException for an id given with new material.
    """
    new = given.new if given.new is not None else not key.materials
    if new and given.id is not None:
        raise Refusal(Fault.VALIDATION, "KeyMaterialId cannot be specified when ImportType is NEW_KEY_MATERIAL")
    identity = material_id(key.id, given.secret)
    owned = key.material(identity)
    if new:
        material = _newcomer(key, given, identity)
    elif owned is None or given.id not in (None, identity):
        raise Refusal(Fault.INCORRECT_KEY_MATERIAL, "The key material is not the same that was previously imported.")
    else:
        description = owned.description if given.description is None else given.description
        material = replace(owned, secret=given.secret, expires_at=given.expires_at, description=description)
    kept = replace(key, materials=_with(key.materials, material))
    whole = kept.state is not KeyState.PENDING_IMPORT and material.permanent
    return (replace(kept, disabled=False) if whole else kept), identity


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
        state=MaterialState.PENDING_ROTATION if key.materials else MaterialState.CURRENT,
        secret=given.secret,
        expires_at=given.expires_at,
        description=given.description,
    )


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


def lapsed(key: Key, now: float) -> Key:
    """The key at `now` (epoch seconds): without each material whose `ValidTo` has come, bound inclusive."""
    for material in key.materials:
        if material.expires_at is not None and material.expires_at <= now:
            key = without(key, material.id)
    return key


def rotated(key: Key, now: float) -> Key:
    """The key after its pending material has become current; `now` (epoch seconds) is the rotation date.

    AWS rotates in the background; here it is done when the answer leaves.

    Raises: Refusal with LimitExceededException beyond ROTATIONS_MAX, KMSInvalidStateException when nothing is pending.
    """
    if key.rotations >= ROTATIONS_MAX:
        raise Refusal(
            Fault.LIMIT_EXCEEDED,
            "The on-demand rotations limit has been reached for the given keyId. "
            f"No more on-demand rotations can be performed for this key: {key.arn}",
        )
    if key.pending is None:
        raise Refusal(Fault.INVALID_STATE, f"No available key material pending rotation for the key: {key.arn}.")
    turned = []
    for material in key.materials:
        match material.state:
            case MaterialState.PENDING_ROTATION | MaterialState.PENDING_MULTI_REGION:
                turned.append(replace(material, state=MaterialState.CURRENT, rotated_at=now))
            case MaterialState.CURRENT | MaterialState.NON_CURRENT:
                turned.append(replace(material, state=MaterialState.NON_CURRENT))
    return replace(key, rotations=key.rotations + 1, materials=tuple(turned))


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
