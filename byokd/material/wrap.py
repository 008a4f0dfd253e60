"""Wrapping key material under the public key that KMS gave, so that only KMS can read it.

    RSAES_OAEP_SHA_*          OAEP(public key, material)
    RSA_AES_KEY_WRAP_SHA_*    OAEP(public key, one-time AES-256 key) followed by AES-KWP(AES key, material)

OAEP uses the named hash for both the label and MGF1, with an empty label; AES-KWP is RFC 5649. The second form is for
material too long for OAEP, such as RSA private keys (developer guide, "Importing key material step 3: Encrypt the key
material").
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from byokd.errors import BadAnswer, MaterialInvalid
from byokd.facts.key import WrappingAlgorithm
from byokd.material.secret import Secret, forget

_KEY_BITS: Final = frozenset({2048, 3072, 4096})
_AES_KEY_BYTES: Final = 32


def wrap(material: Secret, *, public_key: bytes, algorithm: WrappingAlgorithm) -> bytes:
    """Encrypt material for ImportKeyMaterial.EncryptedKeyMaterial.

    `public_key` is the DER SubjectPublicKeyInfo of GetParametersForImport. The answer is as long as the RSA modulus;
    the RSA_AES forms add the material's length, rounded up to 8 bytes, and 8.

    Raises: BadAnswer if the public key is not RSA of 2048, 3072 or 4096 bits; MaterialInvalid if the material is empty,
    or too long for OAEP under this key.
    """
    key = _rsa(public_key)
    if not len(material):
        raise MaterialInvalid("the source gave no material at all")
    match algorithm:
        case WrappingAlgorithm.OAEP_SHA_1 | WrappingAlgorithm.OAEP_SHA_256:
            with material.immutable() as content:
                return _oaep(key, content, _digest(algorithm))
        case WrappingAlgorithm.RSA_AES_SHA_1 | WrappingAlgorithm.RSA_AES_SHA_256:
            aes_key = os.urandom(_AES_KEY_BYTES)
            try:
                with material.immutable() as content:
                    return _oaep(key, aes_key, _digest(algorithm)) + aes_key_wrap_with_padding(aes_key, content)
            finally:
                forget(aes_key)


def _oaep(key: rsa.RSAPublicKey, content: bytes, digest: hashes.HashAlgorithm) -> bytes:
    most = key.key_size // 8 - 2 * digest.digest_size - 2
    if len(content) > most:
        raise MaterialInvalid(
            f"{len(content)} bytes of material do not fit OAEP under RSA_{key.key_size}, which takes {most}; "
            "set an RSA_AES_KEY_WRAP algorithm or a larger wrapping key spec"
        )
    return key.encrypt(content, padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None))


def _digest(algorithm: WrappingAlgorithm) -> hashes.HashAlgorithm:
    if algorithm in {WrappingAlgorithm.OAEP_SHA_1, WrappingAlgorithm.RSA_AES_SHA_1}:
        # SHA-1 inside OAEP needs no collision resistance, and KMS offers it for old HSMs.
        return hashes.SHA1()
    return hashes.SHA256()


def _rsa(public_key: bytes) -> rsa.RSAPublicKey:
    try:
        key = load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadAnswer("the wrapping key from KMS is not a DER public key") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _KEY_BITS:
        raise BadAnswer("the wrapping key from KMS is not RSA of 2048, 3072 or 4096 bits")
    return key
