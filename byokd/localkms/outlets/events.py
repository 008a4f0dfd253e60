"""EventBridge's events about KMS keys, member for member as in the developer guide.

    {"version": "0", "id": …, "detail-type": …, "source": "aws.kms", "account": …, "time": …, "region": …,
     "resources": [<key ARN>], "detail": {"key-id": <key id>}}

An event comes after the fact, and best effort: there is none that says that an expiry is near.
Source: https://docs.aws.amazon.com/kms/latest/developerguide/kms-events.html. Pure.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from byokd.localkms.keys import Key

EXPIRATION: Final = "KMS Imported Key Material Expiration"
ROTATION: Final = "KMS CMK Rotation"
DELETION: Final = "KMS CMK Deletion"

Event = dict[str, Any]


def expiration(key: Key, at: float) -> Event:
    """Imported material of the key has expired and was deleted, at `at` in epoch seconds."""
    return _event(EXPIRATION, key, at)


def rotation(key: Key, previous: str, at: float) -> Event:
    """Another material of the key has become current in place of `previous`, at `at` in epoch seconds."""
    assert key.current is not None, "a rotation leaves a current material"
    event = _event(ROTATION, key, at)
    event["detail"] |= {
        "key-origin": str(key.origin),
        "rotation-type": "AUTOMATIC" if key.current.automatic else "ON_DEMAND",
        "previous-key-material-id": previous,
        "current-key-material-id": key.current.id,
    }
    return event


def deletion(key: Key, at: float) -> Event:
    """The waiting period of the key is over and it was deleted, at `at` in epoch seconds."""
    return _event(DELETION, key, at)


def _event(kind: str, key: Key, at: float) -> Event:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": "aws.kms",
        "account": key.owner.account,
        "time": utc(at),
        "region": key.owner.region,
        "resources": [key.arn],
        "detail": {"key-id": key.id},
    }


def utc(at: float) -> str:
    """A moment (epoch seconds) as AWS writes it in its records: whole seconds, UTC."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
