"""Encryption under a key of either kind: AES-GCM with a header for symmetric keys, RSAES-OAEP for RSA keys.

A symmetric ciphertext names its key and material (ciphertexts.py) and is bound to an encryption context. An RSA
ciphertext is nothing but what RFC 8017 defines: whoever has the public key can make one, and it tells neither its key
nor its algorithm. OAEP uses the same hash for the label and for MGF1, and an empty label.

Source: API reference of Encrypt and Decrypt; messages as recorded from the service. This file must not know key states
or usages; whoever calls it has made sure that the key is usable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from byokd.localkms import ciphertexts
from byokd.localkms.arithmetic import off_the_loop
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key
from byokd.localkms.parsed_keys import private_key
from byokd.localkms.uses import check_algorithm, material_of

SYMMETRIC: Final = "SYMMETRIC_DEFAULT"
OAEP_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "RSAES_OAEP_SHA_1": hashes.SHA1(),
    "RSAES_OAEP_SHA_256": hashes.SHA256(),
}

Context = Mapping[str, str]


def check_terms(key: Key, algorithm: str, context: Context) -> None:
    """Let a key encrypt or decrypt by an algorithm within an encryption context.

    Raises: Refusal with InvalidKeyUsageException for an algorithm that its spec lacks, ValidationException for a
    context with an asymmetric key.
    """
    check_algorithm(key, algorithm)
    if context and algorithm != SYMMETRIC:
        message = "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
        raise Refusal(Fault.VALIDATION, message)


def check_plaintext(key: Key, algorithm: str, plaintext: bytes) -> None:
    """Let a plaintext of up to 4096 bytes (the service model's limit) be encrypted by an algorithm of the key.

    Raises: Refusal with ValidationException when it is longer than RSAES-OAEP can take: modulus - 2 hashes - 2 bytes.
    """
    if algorithm == SYMMETRIC:
        return
    most = _rsa(key).key_size // 8 - 2 * OAEP_HASHES[algorithm].digest_size - 2
    if len(plaintext) > most:
        message = f"Algorithm {algorithm} and key spec {key.spec} cannot encrypt data larger than {most} bytes."
        raise Refusal(Fault.VALIDATION, message)


def encrypt(key: Key, algorithm: str, plaintext: bytes, context: Context) -> bytes:
    """A ciphertext under the key's current material, of what passed `check_terms` and `check_plaintext`."""
    if algorithm == SYMMETRIC:
        return ciphertexts.encrypt(key, material_of(key), plaintext, context)
    return _rsa(key).public_key().encrypt(plaintext, _oaep(algorithm))


async def decrypt_rsa(key: Key, algorithm: str, blob: bytes) -> bytes:
    """The plaintext of an RSA ciphertext, found in a thread.

    Raises: Refusal with InvalidCiphertextException, without a message, whatever is wrong: other key, other hash, damage
    or a wrong length.
    """
    try:
        return await off_the_loop(_rsa(key).decrypt, blob, _oaep(algorithm))
    except ValueError:
        raise Refusal(Fault.INVALID_CIPHERTEXT) from None


def _rsa(key: Key) -> RSAPrivateKey:
    private = private_key(key)
    assert isinstance(private, RSAPrivateKey), "of the asymmetric keys, only RSA keys encrypt"
    return private


def _oaep(algorithm: str) -> OAEP:
    digest = OAEP_HASHES[algorithm]
    return OAEP(mgf=MGF1(digest), algorithm=digest, label=None)
