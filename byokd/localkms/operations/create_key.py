"""CreateKey. Source: API reference of CreateKey.

On offer: every key spec of specs.py, of a single Region or as the primary of a multi-Region key; Origin EXTERNAL (born
PendingImport) or AWS_KMS (born with material). Specs and origins that AWS has beyond that are refused as unsupported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.fresh_keys import fresh_material
from byokd.localkms.keys import Key, MultiRegion, Origin
from byokd.localkms.materials import generated
from byokd.localkms.names import new_key_id
from byokd.localkms.operations.describe_key import metadata
from byokd.localkms.operations.tags import check_tags
from byokd.localkms.policies import check_policy
from byokd.localkms.signatures import Caller
from byokd.localkms.specs import SPECS, KeySpec, KeyUsage

KEYS_MAX: Final = 100_000
"""Keys of an account in a Region (guide, page on resource quotas)."""


async def create_key(call: Call) -> Answer:
    """Create a key and describe it.

    Raises: Refusal with ValidationException for KeySpec beside its old name, a missing KeyUsage and one that the spec
    does not have, TagException for bad tags, UnsupportedOperationException for what is not on offer.
    """
    request = call.request
    spec = _spec(request)
    usage = _usage(request, spec)
    origin = _origin(request)
    tags = {tag["TagKey"]: tag["TagValue"] for tag in request.get("Tags", ())}
    check_tags(request.get("Tags", ()), tags)
    multi_region = bool(request.get("MultiRegion"))
    key = Key(
        id=new_key_id(multi_region=multi_region),
        owner=call.caller,
        origin=origin,
        spec=spec,
        usage=usage,
        created_at=round(call.now, 3),
        description=request.get("Description", ""),
        tags=tuple(sorted(tags.items())),
        policy=check_policy(request, call.caller),
        multi_region=MultiRegion(call.caller.region) if multi_region else None,
    )
    if origin is Origin.AWS_KMS:
        key = generated(key, await fresh_material(spec))
    check_room(call, call.caller)
    call.keyring.put(key)
    return {"KeyMetadata": metadata(key)}


def check_room(call: Call, owner: Caller) -> None:
    """Let one more key of an account and Region pass. Raises: Refusal with LimitExceededException beyond KEYS_MAX."""
    if len(call.keyring.key_ids(owner)) >= KEYS_MAX:
        raise Refusal(Fault.LIMIT_EXCEEDED, f"An account can have at most {KEYS_MAX} KMS keys in a Region.")


def _spec(request: Mapping[str, Any]) -> KeySpec:
    if "KeySpec" in request and "CustomerMasterKeySpec" in request:
        raise Refusal(
            Fault.VALIDATION,
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
            "CustomerMasterKeySpec is deprecated.",
        )
    spec = request.get("KeySpec", request.get("CustomerMasterKeySpec", KeySpec.SYMMETRIC_DEFAULT))
    if spec not in tuple(KeySpec):
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"KeySpec {spec} is not supported.")
    return KeySpec(spec)


def _usage(request: Mapping[str, Any], spec: KeySpec) -> KeyUsage:
    usage = request.get("KeyUsage", SPECS[spec].default_usage)
    if usage is None:
        message = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
        raise Refusal(Fault.VALIDATION, message)
    if usage not in SPECS[spec].algorithms:
        raise Refusal(Fault.VALIDATION, f"KeyUsage {usage} is not compatible with KeySpec {spec}")
    return KeyUsage(usage)


def _origin(request: Mapping[str, Any]) -> Origin:
    if "CustomKeyStoreId" in request:
        raise Refusal(Fault.CUSTOM_KEY_STORE_NOT_FOUND, f"Custom key store '{request['CustomKeyStoreId']}' not found.")
    origin = request.get("Origin", Origin.AWS_KMS)
    if origin not in tuple(Origin):
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"Origin {origin} is not supported.")
    return Origin(origin)
