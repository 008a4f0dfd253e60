"""GenerateDataKey and GenerateDataKeyWithoutPlaintext. Source: API reference of both; recorded answers.

Grant tokens are accepted and not looked at.
"""

from __future__ import annotations

import os
from typing import Any, Final

from byokd.localkms.calls import Answer, Call
from byokd.localkms.encryption import SYMMETRIC, encrypt
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.uses import check_protects_data_keys, material_of, refuse_recipient, usable

DATA_KEY_BYTES: Final = {"AES_128": 16, "AES_256": 32}


async def generate_data_key(call: Call) -> Answer:
    """A random data key of 1 to 1024 bytes, plain and encrypted. Raises: as `_generated`."""
    plaintext, answer = _generated(call)
    return answer | {"Plaintext": plaintext}


async def generate_data_key_without_plaintext(call: Call) -> Answer:
    """A random data key of 1 to 1024 bytes, encrypted only. Raises: as `_generated`."""
    return _generated(call)[1]


def _generated(call: Call) -> tuple[bytes, dict[str, Any]]:
    """A data key, and the answer but for its plaintext.

    Raises: Refusal with ValidationException unless exactly one of KeySpec and NumberOfBytes is given,
    InvalidKeyUsageException for a key that is not symmetric, UnsupportedOperationException for a Recipient, or as
    uses.usable.
    """
    if ("KeySpec" in call.request) == ("NumberOfBytes" in call.request):
        raise Refusal(Fault.VALIDATION, "Please specify either number of bytes or key spec.")
    key = usable(call)
    check_protects_data_keys(key)
    refuse_recipient(call)
    call.finish_dry_run()
    plaintext = os.urandom(call.request.get("NumberOfBytes") or DATA_KEY_BYTES[call.request["KeySpec"]])
    blob = encrypt(key, SYMMETRIC, plaintext, call.request.get("EncryptionContext", {}))
    return plaintext, {"KeyId": key.arn, "CiphertextBlob": blob, "KeyMaterialId": material_of(key).id}
