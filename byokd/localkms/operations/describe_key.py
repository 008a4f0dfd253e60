"""DescribeKey, and the KeyMetadata that CreateKey answers too. Source: API reference of KeyMetadata; recorded answers.

ExpirationModel and ValidTo speak of the permanent materials that are in: ValidTo is the earliest among them, and both
are absent when none is in. CurrentKeyMaterialId stays when its bytes are gone. The pending material does not show here.
"""

from __future__ import annotations

from typing import Any

from byokd.localkms.calls import Answer, Call
from byokd.localkms.keys import ExpirationModel, Key, KeyState, Origin


async def describe_key(call: Call) -> Answer:
    """Describe a key, in any state; aliases may name it."""
    return {"KeyMetadata": metadata(call.key(aliases=True))}


def metadata(key: Key) -> dict[str, Any]:
    """The KeyMetadata of a key."""
    state = key.state
    told: dict[str, Any] = {
        "AWSAccountId": key.owner.account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": key.created_at,
        "Enabled": state is KeyState.ENABLED,
        "Description": key.description,
        "KeyUsage": key.usage,
        "KeyState": state,
        "Origin": key.origin,
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec,
        "KeySpec": key.spec,
        "EncryptionAlgorithms": [key.spec],
        "MultiRegion": False,
    }
    if key.deletion_at is not None:
        told["DeletionDate"] = key.deletion_at
    if key.current is not None:
        told["CurrentKeyMaterialId"] = key.current.id
    if key.origin is Origin.EXTERNAL:
        told |= _expiry(key)
    return told


def _expiry(key: Key) -> dict[str, Any]:
    present = [material.expires_at for material in key.materials if material.permanent and material.secret is not None]
    if not present:
        return {}
    earliest = min((moment for moment in present if moment is not None), default=None)
    if earliest is None:
        return {"ExpirationModel": ExpirationModel.DOES_NOT_EXPIRE}
    return {"ExpirationModel": ExpirationModel.EXPIRES, "ValidTo": earliest}
