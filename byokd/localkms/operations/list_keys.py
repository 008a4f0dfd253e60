"""ListKeys. Source: API reference of ListKeys (Limit 1 to 1000, default 100)."""

from __future__ import annotations

from byokd.localkms.calls import Answer, Call
from byokd.localkms.keys import arn_of
from byokd.localkms.pages import page


async def list_keys(call: Call) -> Answer:
    """A page of the caller's keys in this Region, sorted by id. Raises: Refusal with InvalidMarkerException."""
    ids, closing = page(call.keyring.key_ids(call.caller), call.request, default=100, most=1000)
    return {"Keys": [{"KeyId": id_, "KeyArn": arn_of(call.caller, f"key/{id_}")} for id_ in ids], **closing}
