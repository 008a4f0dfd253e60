"""CloudTrail's records about KMS: what was called, by whom, with what, and how it ended. Pure.

What CloudTrail leaves out is left out by the service model and not by a list of names: every blob (plaintext, wrapped
material, import tokens, ciphertexts) and whatever the model calls sensitive; besides, grant tokens and the answers of
reads. Sources: https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html and the examples
under it; https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.model import ListShape, MapShape, Shape, StructureShape

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key
from byokd.localkms.model import service_model
from byokd.localkms.outlets.events import utc
from byokd.localkms.policies import root_of
from byokd.localkms.signatures import Caller

VERSION: Final = "1.11"
UNTOLD: Final = frozenset({"GrantToken", "GrantTokens"})
"""Members that are neither blobs nor sensitive by the model, and yet open something."""
CHANGES: Final = (
    "Cancel",
    "Create",
    "Delete",
    "Disable",
    "Enable",
    "Import",
    "Put",
    "Replicate",
    "Retire",
    "Revoke",
    "Rotate",
    "Schedule",
    "Tag",
    "Untag",
    "Update",
)
"""How the names of operations begin that change something; to CloudTrail all others, Encrypt too, are read-only."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One call of a known operation, at its end."""

    operation: str
    caller: Caller
    access_key_id: str
    request_id: str
    """What the answer carries as `x-amzn-RequestId`."""
    at: float
    """When it arrived, epoch seconds."""
    request: Mapping[str, Any] = field(repr=False)
    """Its members as the model reads them; empty where they could not be read."""
    answer: Mapping[str, Any] | None = field(default=None, repr=False)
    refusal: Refusal | None = None
    key_arn: str | None = None
    """The key that it was about."""
    source: str = ""
    """The client's address."""
    user_agent: str = ""
    mishap: str = ""
    """What the local KMS broke on the way, by the name of its rate; empty: nothing."""


def of_call(call: Ended) -> Record:
    """The record of a call."""
    writes = call.operation.startswith(CHANGES)
    model = service_model().operation_model(call.operation)
    record: Record = {
        "eventVersion": VERSION,
        "userIdentity": {
            "type": "Root",
            "principalId": call.caller.account,
            "arn": root_of(call.caller),
            "accountId": call.caller.account,
            "accessKeyId": call.access_key_id,
        },
        "eventTime": utc(call.at),
        "eventSource": "kms.amazonaws.com",
        "eventName": call.operation,
        "awsRegion": call.caller.region,
        "sourceIPAddress": call.source,
        "userAgent": call.user_agent,
    }
    if call.refusal is not None:
        record["errorCode"] = "AccessDenied" if call.refusal.fault is Fault.ACCESS_DENIED else str(call.refusal.fault)
        record["errorMessage"] = call.refusal.message
    record |= {
        "requestParameters": _told(model.input_shape, call.request) or None,
        "responseElements": _response(model.output_shape, call) if writes and call.refusal is None else None,
        "requestID": call.request_id,
        "eventID": str(uuid.uuid4()),
        "readOnly": not writes,
    }
    if call.key_arn is not None:
        record["resources"] = [_resource(call.key_arn, call.key_arn.split(":")[4])]
    record |= {
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": call.caller.account,
        "eventCategory": "Management",
    }
    if call.mishap:
        record["additionalEventData"] = {"mishap": call.mishap}
    return record


def of_expiry(key: Key, material_id: str, at: float) -> Record:
    """KMS has deleted a material that expired, at `at` in epoch seconds: DeleteExpiredKeyMaterial."""
    return _of_kms("DeleteExpiredKeyMaterial", key, at, {"keyId": key.id, "keyMaterialId": material_id})


def of_deletion(key: Key, at: float) -> Record:
    """KMS has deleted a key whose waiting period was over, at `at` in epoch seconds: DeleteKey."""
    return _of_kms("DeleteKey", key, at, {"keyId": key.id})


def of_rotation(key: Key, previous: str, at: float) -> Record:
    """Another material of the key has become current in place of `previous`, at `at` in epoch seconds: RotateKey."""
    assert key.current is not None, "a rotation leaves a current material"
    details = {
        "rotationType": "AUTOMATIC" if key.current.automatic else "ON_DEMAND",
        "keyOrigin": str(key.origin),
        "previousKeyMaterialId": previous,
        "currentKeyMaterialId": key.current.id,
        "keyId": key.id,
    }
    return _of_kms("RotateKey", key, at, details)


def _of_kms(event: str, key: Key, at: float, details: dict[str, str]) -> Record:
    return {
        "eventVersion": VERSION,
        "userIdentity": {"accountId": key.owner.account, "invokedBy": "AWS Internal"},
        "eventTime": utc(at),
        "eventSource": "kms.amazonaws.com",
        "eventName": event,
        "awsRegion": key.owner.region,
        "sourceIPAddress": "AWS Internal",
        "userAgent": "AWS Internal",
        "requestParameters": None,
        "responseElements": None,
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "resources": [_resource(key.arn, key.owner.account)],
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "recipientAccountId": key.owner.account,
        "serviceEventDetails": details,
        "eventCategory": "Management",
    }


def _resource(arn: str, account: str) -> dict[str, str]:
    return {"accountId": account, "type": "AWS::KMS::Key", "ARN": arn}


def _response(shape: Shape | None, call: Ended) -> Any:
    """A write's answer. Since December 2022 it names the key, also where the API answers nothing."""
    named = {} if call.key_arn is None or call.operation == "CreateKey" else {"keyId": call.key_arn}
    answered = {} if shape is None or call.answer is None else _told(shape, call.answer)
    return named | answered or None


def _told(shape: Any, value: Any) -> Any:
    """A value in CloudTrail's notation, without what must not be told."""
    match shape:
        case StructureShape():
            return {
                name[0].lower() + name[1:]: _told(member, value[name])
                for name, member in shape.members.items()
                if name in value and _may_be_told(name, member)
            }
        case ListShape():
            return [_told(shape.member, each) for each in value]
        case MapShape():
            return {name: _told(shape.value, each) for name, each in value.items()}
        case _ if shape.type_name == "timestamp":
            return _date(value)
        case _:
            return value


def _date(at: float) -> str:
    """A moment as CloudTrail writes it within parameters: `Jan 5, 2027, 8:00:00 AM`."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return str(at)  # beyond the calendar: asked for, and refused
    return f"{moment:%b} {moment.day}, {moment.year}, {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def _may_be_told(name: str, shape: Shape) -> bool:
    return name not in UNTOLD and shape.type_name != "blob" and not shape.metadata.get("sensitive")
