"""Sign and Verify. Source: API reference of both; recorded answers. What each algorithm does is in localkms/signing.py.

Verification uses the public key that follows from the private one. Grant tokens are accepted and not looked at.
"""

from __future__ import annotations

from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key
from byokd.localkms.parsed_keys import private_key
from byokd.localkms.signing import check_message, is_signature, signature
from byokd.localkms.uses import check_algorithm, usable


async def sign(call: Call) -> Answer:
    """Sign a message of 1 to 4096 bytes, or its digest. Raises: as `_signing_key`."""
    key, algorithm, message_type = _signing_key(call)
    call.finish_dry_run()
    made = await signature(private_key(key), algorithm, call.request["Message"], message_type)
    return {"KeyId": key.arn, "Signature": made, "SigningAlgorithm": algorithm}


async def verify(call: Call) -> Answer:
    """Verify a signature. A dry run verifies it too: it asks whether the request would succeed.

    Raises: Refusal as `_signing_key`, or with KMSInvalidSignatureException (without a message).
    """
    key, algorithm, message_type = _signing_key(call)
    request = call.request
    if not await is_signature(private_key(key), algorithm, request["Message"], message_type, request["Signature"]):
        raise Refusal(Fault.KMS_INVALID_SIGNATURE)
    call.finish_dry_run()
    return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": algorithm}


def _signing_key(call: Call) -> tuple[Key, str, str]:
    """The key, its algorithm and the message's type.

    Raises: Refusal as uses.usable, uses.check_algorithm and signing.check_message say.
    """
    key = usable(call)
    algorithm, message_type = call.request["SigningAlgorithm"], call.request.get("MessageType", "RAW")
    check_algorithm(key, algorithm)
    check_message(algorithm, call.request["Message"], message_type)
    return key, algorithm, message_type
