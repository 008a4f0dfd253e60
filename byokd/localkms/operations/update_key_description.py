"""UpdateKeyDescription. Source: API reference; key-state table."""

from __future__ import annotations

from dataclasses import replace

from byokd.localkms.calls import Answer, Call


async def update_key_description(call: Call) -> Answer:
    """Replace the description of a key. Raises: Refusal as the key-state table says."""
    call.keyring.put(replace(call.key(), description=call.request["Description"]))
    return None
