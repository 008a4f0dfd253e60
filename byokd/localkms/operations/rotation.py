"""RotateKeyOnDemand, ListKeyRotations and GetKeyRotationStatus. Source: API reference of each.

AWS rotates in the background and asks clients to poll; here a rotation has finished when the answer leaves. Automatic
rotation does not exist here. ListKeyRotations lists the oldest material first.
"""

from __future__ import annotations

from typing import Any

from byokd.localkms.calls import Answer, Call
from byokd.localkms.keys import ExpirationModel, Key, Material, Origin
from byokd.localkms.materials import generated, rotated
from byokd.localkms.pages import page
from byokd.localkms.specs import fresh_secret


async def rotate_key_on_demand(call: Call) -> Answer:
    """Make the pending material current (EXTERNAL), or a fresh one (AWS_KMS).

    Raises: Refusal as the key-state table says, with LimitExceededException, or KMSInvalidStateException when nothing
    is pending.
    """
    key = call.key()
    if key.origin is Origin.AWS_KMS:
        key = generated(key, fresh_secret(key.spec))
    call.keyring.put(rotated(key, round(call.now, 3)))
    return {"KeyId": key.arn}


async def get_key_rotation_status(call: Call) -> Answer:
    """Automatic rotation is never on, and an on-demand rotation is never seen in progress."""
    return {"KeyId": call.key().arn, "KeyRotationEnabled": False}


async def list_key_rotations(call: Call) -> Answer:
    """A page of a key's rotated materials; with ALL_KEY_MATERIAL also of the first and the pending one.

    Raises: Refusal with InvalidMarkerException.
    """
    key = call.key()
    everything = call.request.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL"
    materials = [each for each in key.materials if everything or each.rotated_at is not None]
    by_age = {f"{age:04}": material for age, material in enumerate(materials)}
    ages, closing = page(list(by_age), call.request, default=100, most=1000)
    return {"Rotations": [_entry(key, by_age[age]) for age in ages], **closing}


def _entry(key: Key, material: Material) -> dict[str, Any]:
    entry: dict[str, Any] = {"KeyId": key.id, "KeyMaterialId": material.id, "KeyMaterialState": material.state}
    if material.rotated_at is not None:
        entry |= {"RotationDate": material.rotated_at, "RotationType": "ON_DEMAND"}
    if key.origin is not Origin.EXTERNAL:
        return entry
    if material.description is not None:
        entry["KeyMaterialDescription"] = material.description
    if material.secret is None:
        return entry | {"ImportState": "PENDING_IMPORT"}
    entry |= {"ImportState": "IMPORTED", "ExpirationModel": ExpirationModel.of(material.expires_at)}
    if material.expires_at is not None:
        entry["ValidTo"] = material.expires_at
    return entry
