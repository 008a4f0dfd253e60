"""GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext. Source: API reference of both.

Every request gets a pair of its own, so an RSA pair takes as long as it takes to make; see fresh_keys.py.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from byokd.localkms.calls import Answer, Call
from byokd.localkms.encryption import SYMMETRIC, encrypt
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.fresh_keys import fresh_pair
from byokd.localkms.specs import KeySpec, PrivateKey, pkcs8
from byokd.localkms.uses import check_protects_data_keys, material_of, refuse_recipient, usable


async def generate_data_key_pair(call: Call) -> Answer:
    """A fresh key pair: its public key, its private key plain and encrypted. Raises: as `_generated`."""
    private, answer = await _generated(call)
    return answer | {"PrivateKeyPlaintext": private}


async def generate_data_key_pair_without_plaintext(call: Call) -> Answer:
    """A fresh key pair: its public key, its private key encrypted only. Raises: as `_generated`."""
    return (await _generated(call))[1]


async def _generated(call: Call) -> tuple[bytes, dict[str, Any]]:
    """A pair's private key as PKCS #8 DER, and the answer but for that.

    Raises: Refusal with InvalidKeyUsageException for a key that is not symmetric, UnsupportedOperationException for SM2
    (China) and for a Recipient, or as uses.usable.
    """
    key = usable(call)
    check_protects_data_keys(key)
    wanted = call.request["KeyPairSpec"]
    if wanted not in tuple(KeySpec):
        raise Refusal(Fault.UNSUPPORTED_OPERATION, f"KeyPairSpec {wanted} is not supported.")
    refuse_recipient(call)
    call.finish_dry_run()
    pair = await fresh_pair(KeySpec(wanted))
    key = usable(call)  # other requests ran while an RSA pair was made: the key may have changed, or be gone
    private = pkcs8(pair)
    return private, {
        "PrivateKeyCiphertextBlob": encrypt(key, SYMMETRIC, private, call.request.get("EncryptionContext", {})),
        "PublicKey": _public(pair),
        "KeyId": key.arn,
        "KeyPairSpec": wanted,
        "KeyMaterialId": material_of(key).id,
    }


def _public(pair: PrivateKey) -> bytes:
    return pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
