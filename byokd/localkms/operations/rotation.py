"""RotateKeyOnDemand and ListKeyRotations. Source: API reference of each.

AWS rotates in the background and asks clients to poll, and so does this: the rotation is in progress for
`Pace.rotating_s`, GetKeyRotationStatus tells since when, and until it is done the old material stays current.
ListKeyRotations lists the oldest material first.
"""

from __future__ import annotations

from typing import Any

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.families import begin_rotation
from byokd.localkms.keys import ExpirationModel, Key, Material, Origin
from byokd.localkms.pages import page
from byokd.localkms.specs import SPECS


async def rotate_key_on_demand(call: Call) -> Answer:
    """Begin to make the pending material current (EXTERNAL), or a fresh one (AWS_KMS), in the whole family.

    Raises: Refusal as the key-state table and families.begin_rotation say.
    """
    key = call.key()
    now = round(call.now, 3)
    begun = begin_rotation(key, call.keyring.relatives(key), now=now, done_at=now + call.pace.rotating_s)
    call.keyring.put(*begun)
    return {"KeyId": key.arn}


async def list_key_rotations(call: Call) -> Answer:
    """A page of a key's rotated materials; with ALL_KEY_MATERIAL also of the first and the pending one.

    Raises: Refusal with InvalidMarkerException, or with UnsupportedOperationException for IncludeKeyMaterial on a key
    that does not rotate.
    """
    key = call.key()
    if "IncludeKeyMaterial" in call.request and not SPECS[key.spec].rotates:
        message = f"{key.arn} key spec is {key.spec} which is not valid for IncludeKeyMaterial."
        raise Refusal(Fault.UNSUPPORTED_OPERATION, message)
    everything = call.request.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL"
    materials = [each for each in key.materials if everything or each.rotated_at is not None]
    by_age = {f"{age:04}": material for age, material in enumerate(materials)}
    ages, closing = page(list(by_age), call.request, default=100, most=1000)
    return {"Rotations": [_entry(key, by_age[age]) for age in ages], **closing}


def _entry(key: Key, material: Material) -> dict[str, Any]:
    entry: dict[str, Any] = {"KeyId": key.id, "KeyMaterialId": material.id, "KeyMaterialState": material.state}
    if material.rotated_at is not None:
        how = "AUTOMATIC" if material.automatic else "ON_DEMAND"
        entry |= {"RotationDate": material.rotated_at, "RotationType": how}
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
