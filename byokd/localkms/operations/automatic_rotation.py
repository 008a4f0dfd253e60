"""EnableKeyRotation, DisableKeyRotation and GetKeyRotationStatus. Source: API reference of each.

Automatic rotation is for symmetric encryption keys of Origin AWS_KMS, and of a family it is the primary's to switch.
The keyring rotates them at their time; a Disabled key waits until it is enabled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.families import DAY_S, primary_only
from byokd.localkms.keys import KeyState, Schedule

PERIOD_DAYS: Final = 365


async def enable_key_rotation(call: Call) -> Answer:
    """Rotate a key every so many days from now on, 365 if not said; also to change the period.

    Raises: Refusal as the key-state table says, or with UnsupportedOperationException for a replica.
    """
    days = call.request.get("RotationPeriodInDays", PERIOD_DAYS)
    _set(call, Schedule(days, round(call.now, 3) + days * DAY_S))
    return None


async def disable_key_rotation(call: Call) -> Answer:
    """Rotate a key no more. Raises: as enable_key_rotation."""
    _set(call, None)
    return None


async def get_key_rotation_status(call: Call) -> Answer:
    """Whether and when a key rotates by itself, and since when a rotation on demand is in progress.

    While a key is pending deletion, its status is false.

    Raises: Refusal with UnsupportedOperationException for a key that does not rotate.
    """
    key = call.key()
    answer: dict[str, object] = {"KeyId": key.arn, "KeyRotationEnabled": False}
    doomed = key.state in (KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION)
    if key.schedule is not None and not doomed:
        answer |= {
            "KeyRotationEnabled": True,
            "RotationPeriodInDays": key.schedule.period_days,
            "NextRotationDate": key.schedule.next_at,
        }
    if key.rotation is not None:
        answer["OnDemandRotationStartDate"] = key.rotation.started_at
    return answer


def _set(call: Call, schedule: Schedule | None) -> None:
    key = call.key()
    if key.replica:
        primary_only(key)
    call.keyring.put(*(replace(each, schedule=schedule) for each in (key, *call.keyring.relatives(key))))
