"""EnableKey and DisableKey. Source: API reference of both; key-state table."""

from __future__ import annotations

from dataclasses import replace

from byokd.localkms.calls import Answer, Call


async def enable_key(call: Call) -> Answer:
    """Make a Disabled key Enabled; an Enabled one stays so. Raises: Refusal as the key-state table says."""
    call.keyring.put(replace(call.key(), disabled=False))
    return None


async def disable_key(call: Call) -> Answer:
    """Make an Enabled key Disabled; a Disabled one stays so. Raises: Refusal as the key-state table says."""
    call.keyring.put(replace(call.key(), disabled=True))
    return None
