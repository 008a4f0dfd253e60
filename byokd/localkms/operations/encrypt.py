"""Encrypt. Source: API reference of Encrypt; recorded answers. Grant tokens are accepted and not looked at."""

from __future__ import annotations

from byokd.localkms import encryption
from byokd.localkms.calls import Answer, Call
from byokd.localkms.encryption import SYMMETRIC, check_plaintext, check_terms
from byokd.localkms.uses import usable


async def encrypt(call: Call) -> Answer:
    """Encrypt up to 4096 bytes, fewer under an RSA key, with the key's current material.

    Raises: Refusal as uses.usable, encryption.check_terms and encryption.check_plaintext say.
    """
    key = usable(call)
    algorithm = call.request.get("EncryptionAlgorithm", SYMMETRIC)
    plaintext, context = call.request["Plaintext"], call.request.get("EncryptionContext", {})
    check_terms(key, algorithm, context)
    check_plaintext(key, algorithm, plaintext)
    call.finish_dry_run()
    blob = encryption.encrypt(key, algorithm, plaintext, context)
    return {"KeyId": key.arn, "CiphertextBlob": blob, "EncryptionAlgorithm": algorithm}
