"""CreateKey. Source: API reference of CreateKey.

On offer: symmetric encryption keys of a single Region, Origin EXTERNAL (born PendingImport) or AWS_KMS (born with
material, so that refusals can be tested). Anything else that the API has is refused as unsupported. A key policy is
accepted and not kept.
"""

from __future__ import annotations

import os

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import SYMMETRIC_BYTES, Key, Origin
from byokd.localkms.materials import generated
from byokd.localkms.names import new_key_id
from byokd.localkms.operations.describe_key import metadata
from byokd.localkms.operations.tags import check_tags


async def create_key(call: Call) -> Answer:
    """Create a key and describe it.

    Raises: Refusal with ValidationException for KeySpec beside its old name and for a missing KeyUsage, TagException
    for bad tags, UnsupportedOperationException for what is not on offer.
    """
    _check_kind(call)
    tags = {tag["TagKey"]: tag["TagValue"] for tag in call.request.get("Tags", ())}
    check_tags(call.request.get("Tags", ()), tags)
    key = Key(
        id=new_key_id(),
        owner=call.caller,
        origin=Origin(call.request.get("Origin", Origin.AWS_KMS)),
        created_at=round(call.now, 3),
        description=call.request.get("Description", ""),
        tags=tuple(sorted(tags.items())),
    )
    if key.origin is Origin.AWS_KMS:
        key = generated(key, os.urandom(SYMMETRIC_BYTES))
    call.keyring.put(key)
    return {"KeyMetadata": metadata(key)}


def _check_kind(call: Call) -> None:
    request = call.request
    if "KeySpec" in request and "CustomerMasterKeySpec" in request:
        raise Refusal(
            Fault.VALIDATION,
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
            "CustomerMasterKeySpec is deprecated.",
        )
    spec = request.get("KeySpec", request.get("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"))
    if spec != "SYMMETRIC_DEFAULT":
        if "KeyUsage" not in request:
            message = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
            raise Refusal(Fault.VALIDATION, message)
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"KeySpec {spec} is not supported.")
    usage = request.get("KeyUsage", "ENCRYPT_DECRYPT")
    if usage != "ENCRYPT_DECRYPT":
        raise Refusal(Fault.VALIDATION, f"The operation failed because the KeyUsage value of the KMS key is {usage}.")
    if request.get("MultiRegion"):
        raise Refusal(Fault.UNSUPPORTED_OPERATION, "Multi-Region keys are not supported.")
    origin = request.get("Origin", Origin.AWS_KMS)
    if origin not in tuple(Origin):
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"Origin {origin} is not supported.")
