"""GenerateRandom. Source: API reference of GenerateRandom; recorded answers. There are no custom key stores here."""

from __future__ import annotations

import os

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.uses import refuse_recipient


async def generate_random(call: Call) -> Answer:
    """1 to 1024 random bytes.

    Raises: Refusal with ValidationException unless NumberOfBytes is given, CustomKeyStoreNotFoundException when they
    are to come from a custom key store, UnsupportedOperationException for a Recipient.
    """
    if "NumberOfBytes" not in call.request:
        raise Refusal(Fault.VALIDATION, "NumberOfBytes is required.")
    if "CustomKeyStoreId" in call.request:
        raise Refusal(Fault.CUSTOM_KEY_STORE_NOT_FOUND)
    refuse_recipient(call)
    return {"Plaintext": os.urandom(call.request["NumberOfBytes"])}
