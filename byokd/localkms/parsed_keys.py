"""The private keys in use, parsed: once, not for every request.

The material of an RSA or elliptic curve key is its private key as PKCS #8 DER, validated when it came in; the public
key follows from it. Parsing it again costs an elliptic curve key as much as the operation it is wanted for, and an RSA
key its prepared blinding, so the parsed keys lately used are kept, each no longer than its Material exists: what has
expired or was deleted is not to be found here either.

RSA primes are not proven again: that takes 250 ms (RSA_4096), and the import has done it. Parsing belongs on the event
loop, RSA private-key operations (0.2 to 2 ms) in a thread.
"""

from __future__ import annotations

from typing import Final, cast
from weakref import WeakKeyDictionary

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from byokd.localkms.keys import Key, Material
from byokd.localkms.specs import PrivateKey
from byokd.localkms.uses import material_of

PARSED_MAX: Final = 1024
"""Parsed keys kept at a time, some kilobytes each; beyond it the one parsed first goes."""

_parsed: WeakKeyDictionary[Material, PrivateKey] = WeakKeyDictionary()


def private_key(key: Key) -> PrivateKey:
    """The private key of an asymmetric KMS key whose material is in. Call it on the event loop only."""
    material = material_of(key)
    private = _parsed.get(material)
    if private is None:
        private = _parse(material)
        if len(_parsed) >= PARSED_MAX:
            _parsed.pop(next(iter(_parsed)), None)
        _parsed[material] = private
    return private


def public_der(key: Key) -> bytes:
    """The public key of an asymmetric KMS key whose material is in, as DER SubjectPublicKeyInfo (RFC 5280)."""
    return private_key(key).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _parse(material: Material) -> PrivateKey:
    assert material.secret is not None, "the key-state table lets nobody use a key without its material"
    return cast(PrivateKey, load_der_private_key(material.secret, password=None, unsafe_skip_rsa_key_validation=True))
