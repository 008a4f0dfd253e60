"""DescribeKey, and the KeyMetadata that CreateKey answers too. Source: API reference of KeyMetadata; recorded answers.

ExpirationModel and ValidTo speak of the permanent materials that are in: ValidTo is the earliest among them, and both
are absent when none is in. CurrentKeyMaterialId is told for symmetric encryption keys only and stays when its bytes are
gone; a replica that is Creating has none yet. The pending material does not show here.
"""

from __future__ import annotations

from typing import Any, Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.keys import ExpirationModel, Key, KeyState, MultiRegion, Origin, arn_of
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import SPECS, KeyUsage

ALGORITHMS: Final = {
    KeyUsage.ENCRYPT_DECRYPT: "EncryptionAlgorithms",
    KeyUsage.SIGN_VERIFY: "SigningAlgorithms",
    KeyUsage.GENERATE_VERIFY_MAC: "MacAlgorithms",
    KeyUsage.KEY_AGREEMENT: "KeyAgreementAlgorithms",
}
"""Under which member the algorithms of a key are told; the others are absent."""


async def describe_key(call: Call) -> Answer:
    """Describe a key, in any state; aliases may name it."""
    return {"KeyMetadata": metadata(call.key(aliases=True))}


def metadata(key: Key) -> dict[str, Any]:
    """The KeyMetadata of a key."""
    spec = SPECS[key.spec]
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
        ALGORITHMS[key.usage]: spec.algorithms[key.usage],
        "MultiRegion": key.multi_region is not None,
    }
    if key.multi_region is not None:
        told["MultiRegionConfiguration"] = _family(key, key.multi_region)
    if key.deletion_at is not None:
        told["DeletionDate"] = key.deletion_at
    elif key.deletion_window_days is not None:
        told["PendingDeletionWindowInDays"] = key.deletion_window_days
    if key.current is not None and spec.rotates and state is not KeyState.CREATING:
        told["CurrentKeyMaterialId"] = key.current.id
    if key.origin is Origin.EXTERNAL:
        told |= _expiry(key)
    return told


def _family(key: Key, family: MultiRegion) -> dict[str, Any]:
    def entry(region: str) -> dict[str, str]:
        return {"Arn": arn_of(Caller(key.owner.account, region), f"key/{key.id}"), "Region": region}

    return {
        "MultiRegionKeyType": "PRIMARY" if key.primary else "REPLICA",
        "PrimaryKey": entry(family.primary),
        "ReplicaKeys": [entry(region) for region in family.replicas],
    }


def _expiry(key: Key) -> dict[str, Any]:
    present = [material.expires_at for material in key.materials if material.permanent and material.secret is not None]
    if not present:
        return {}
    earliest = min((moment for moment in present if moment is not None), default=None)
    if earliest is None:
        return {"ExpirationModel": ExpirationModel.DOES_NOT_EXPIRE}
    return {"ExpirationModel": ExpirationModel.EXPIRES, "ValidTo": earliest}
