"""Which cryptographic operation a key admits, and by which algorithm.

The order of the checks is AWS's, as far as it was seen:

    the key exists ▸ its usage is the operation's ▸ its state admits it ▸ the algorithm is one of its spec's ▸ the rest

Sources: API reference of each operation and of InvalidKeyUsageException; messages as recorded from the service.
This file must not do any cryptography.
"""

from __future__ import annotations

from typing import Final

from byokd.localkms import states
from byokd.localkms.calls import Call
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, Material
from byokd.localkms.specs import SPECS, KeyUsage, Kind

USES: Final = {
    "Encrypt": KeyUsage.ENCRYPT_DECRYPT,
    "Decrypt": KeyUsage.ENCRYPT_DECRYPT,
    "ReEncrypt": KeyUsage.ENCRYPT_DECRYPT,
    "GenerateDataKey": KeyUsage.ENCRYPT_DECRYPT,
    "GenerateDataKeyWithoutPlaintext": KeyUsage.ENCRYPT_DECRYPT,
    "GenerateDataKeyPair": KeyUsage.ENCRYPT_DECRYPT,
    "GenerateDataKeyPairWithoutPlaintext": KeyUsage.ENCRYPT_DECRYPT,
    "Sign": KeyUsage.SIGN_VERIFY,
    "Verify": KeyUsage.SIGN_VERIFY,
    "GenerateMac": KeyUsage.GENERATE_VERIFY_MAC,
    "VerifyMac": KeyUsage.GENERATE_VERIFY_MAC,
    "DeriveSharedSecret": KeyUsage.KEY_AGREEMENT,
}


def usable(call: Call, member: str = "KeyId") -> Key:
    """The key that a member of the request names, by id, ARN or alias, if it admits the call's operation.

    Raises: Refusal with NotFoundException or AccessDeniedException when there is no such key for this caller, or as
    `admit`.
    """
    key = call.any_key(call.request[member], aliases=True)
    admit(call.operation, key)
    return key


def admit(operation: str, key: Key) -> None:
    """Let a cryptographic operation use a key.

    Raises: Refusal with InvalidKeyUsageException when the key is made for another use, or as the key-state table says.
    """
    if key.usage != USES[operation]:
        message = f"{key.arn} key usage is {key.usage} which is not valid for {operation}."
        raise Refusal(Fault.INVALID_KEY_USAGE, message)
    states.admit(operation, key)


def material_of(key: Key) -> Material:
    """The material that an admitted key works with."""
    assert key.current is not None, "the key-state table lets nobody use a key without its material"
    return key.current


def check_algorithm(key: Key, algorithm: str) -> None:
    """Let a key be used by an algorithm. Raises: Refusal with InvalidKeyUsageException for one its spec lacks."""
    if algorithm not in SPECS[key.spec].algorithms[key.usage]:
        message = f"Algorithm {algorithm} is incompatible with key spec {key.spec}."
        raise Refusal(Fault.INVALID_KEY_USAGE, message)


def check_protects_data_keys(key: Key) -> None:
    """Let data keys be encrypted under a key. Raises: Refusal with InvalidKeyUsageException unless it is symmetric."""
    if SPECS[key.spec].kind is not Kind.SYMMETRIC:
        raise Refusal(Fault.INVALID_KEY_USAGE, "You cannot generate a data key with an asymmetric CMK")


def refuse_recipient(call: Call) -> None:
    """Refuse to answer a Nitro enclave. Raises: Refusal with UnsupportedOperationException if one is to be answered."""
    if "Recipient" in call.request:
        raise Refusal(Fault.UNSUPPORTED_OPERATION, "Recipient is not supported.")
