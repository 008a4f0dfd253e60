"""Encrypt, Decrypt and GenerateDataKey under symmetric keys. Source: API reference of each; recorded answers.

Grant tokens are accepted and not looked at. Answers for Nitro enclaves (Recipient) are not on offer.
"""

from __future__ import annotations

import os
from typing import Final

from byokd.localkms import ciphertexts, states
from byokd.localkms.calls import Answer, Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, arn_of

ALGORITHM: Final = "SYMMETRIC_DEFAULT"
DATA_KEY_BYTES: Final = {"AES_128": 16, "AES_256": 32}


async def encrypt(call: Call) -> Answer:
    """Encrypt up to 4096 bytes under the current material. Raises: Refusal as the key-state table says."""
    key = _usable(call)
    blob = _encrypted(call, key, call.request["Plaintext"])
    return {"KeyId": key.arn, "CiphertextBlob": blob, "EncryptionAlgorithm": ALGORITHM}


async def decrypt(call: Call) -> Answer:
    """Decrypt under whichever of the key's materials made the ciphertext; KeyId may be left out.

    Raises: Refusal as the key-state table says, or with InvalidCiphertextException (without a message),
    IncorrectKeyException for another key's ciphertext, AccessDeniedException when its key is not there,
    ValidationException without a ciphertext.
    """
    if "CiphertextBlob" not in call.request:
        raise Refusal(Fault.VALIDATION, "CiphertextBlob must be specified")
    ciphertext = ciphertexts.parse(call.request["CiphertextBlob"])
    if "KeyId" in call.request:
        key = _usable(call)
        if ciphertext.key_id != key.id:
            message = "The key ID in the request does not identify a CMK that can perform this operation."
            raise Refusal(Fault.INCORRECT_KEY, message)
    else:
        key = _named_by(ciphertext, call)
    plaintext = ciphertexts.decrypt(key, ciphertext, call.request.get("EncryptionContext", {}))
    call.finish_dry_run()
    return {
        "KeyId": key.arn,
        "Plaintext": plaintext,
        "EncryptionAlgorithm": ALGORITHM,
        "KeyMaterialId": ciphertext.material_id,
    }


async def generate_data_key(call: Call) -> Answer:
    """A random data key, plain and encrypted.

    Raises: Refusal as the key-state table says, or with ValidationException unless exactly one of KeySpec and
    NumberOfBytes is given.
    """
    if ("KeySpec" in call.request) == ("NumberOfBytes" in call.request):
        raise Refusal(Fault.VALIDATION, "Please specify either number of bytes or key spec.")
    key = _usable(call)
    length = call.request.get("NumberOfBytes") or DATA_KEY_BYTES[call.request["KeySpec"]]
    plaintext = os.urandom(length)
    blob = _encrypted(call, key, plaintext)
    assert key.current is not None
    return {"KeyId": key.arn, "CiphertextBlob": blob, "Plaintext": plaintext, "KeyMaterialId": key.current.id}


def _usable(call: Call) -> Key:
    key = call.key(aliases=True)
    _check_options(call, key)
    return key


def _named_by(ciphertext: ciphertexts.Ciphertext, call: Call) -> Key:
    key = call.keyring.key(arn_of(call.caller, f"key/{ciphertext.key_id}"))
    if key is None:
        raise Refusal(
            Fault.ACCESS_DENIED,
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
            "or you are not allowed to access.",
        )
    states.admit(call.operation, key)
    _check_options(call, key)
    return key


def _check_options(call: Call, key: Key) -> None:
    algorithm = call.request.get("EncryptionAlgorithm", ALGORITHM)
    if algorithm != ALGORITHM:
        raise Refusal(Fault.INVALID_KEY_USAGE, f"{algorithm} is not valid for {key.arn}, whose key spec is {key.spec}.")
    if "Recipient" in call.request:
        raise Refusal(Fault.UNSUPPORTED_OPERATION, "Recipient is not supported.")


def _encrypted(call: Call, key: Key, plaintext: bytes) -> bytes:
    call.finish_dry_run()
    assert key.current is not None, "an Enabled key has a current material"
    return ciphertexts.encrypt(key, key.current, plaintext, call.request.get("EncryptionContext", {}))
