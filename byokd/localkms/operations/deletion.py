"""ScheduleKeyDeletion and CancelKeyDeletion. Source: API reference of both; key-state table.

Cancelling leaves a key Disabled. A key whose material is not in, or lapsed meanwhile, is PendingImport then: no text
says so of this case, but a Disabled key could be enabled without material otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.families import DAY_S
from byokd.localkms.model import broken, invalid

WINDOW_DAYS_MIN: Final = 7
WINDOW_DAYS_MAX: Final = 30


async def schedule_key_deletion(call: Call) -> Answer:
    """Let a key be deleted after 7 to 30 days, 30 if not said; of a primary, after its last replica is deleted.

    Raises: Refusal with ValidationException for another window, or as the key-state table says.
    """
    days = call.request.get("PendingWindowInDays", WINDOW_DAYS_MAX)
    if days < WINDOW_DAYS_MIN:
        raise invalid(broken(days, "pendingWindowInDays", f"have value greater than or equal to {WINDOW_DAYS_MIN}"))
    if days > WINDOW_DAYS_MAX:
        raise invalid(broken(days, "pendingWindowInDays", f"have value less than or equal to {WINDOW_DAYS_MAX}"))
    key = call.key()
    if key.primary and call.keyring.relatives(key):
        key = replace(key, deletion_window_days=days)
    else:
        key = replace(key, deletion_at=round(call.now, 3) + days * DAY_S)
    call.keyring.put(key)
    answer = {"KeyId": key.arn, "KeyState": key.state, "PendingWindowInDays": days}
    return answer if key.deletion_at is None else answer | {"DeletionDate": key.deletion_at}


async def cancel_key_deletion(call: Call) -> Answer:
    """Keep a key after all. Raises: Refusal as the key-state table says."""
    key = replace(call.key(), deletion_at=None, deletion_window_days=None, disabled=True)
    call.keyring.put(key)
    return {"KeyId": key.arn}
