"""Ciphertexts of symmetric keys. They name the key and material that made them, so Decrypt need not be told either.

    01 ‖ length of key id ‖ key id ‖ material id (32) ‖ nonce (12) ‖ AES-256-GCM(material, plaintext) with tag

Everything before the nonce, and the encryption context as JSON with sorted names, is authenticated. So another key with
the same bytes cannot decrypt it. AWS does not publish its format; clients must not look inside either.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.keys import Key, Material

VERSION: Final = 1
MATERIAL_ID_BYTES: Final = 32
NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ciphertext:
    """A ciphertext taken apart, not yet decrypted."""

    key_id: str
    material_id: str
    header: bytes = field(repr=False)
    body: bytes = field(repr=False)
    """Nonce, ciphertext and tag."""


def encrypt(key: Key, material: Material, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """A ciphertext of the plaintext under a material that is in."""
    assert material.secret is not None, "an Enabled key has all its material"
    name = key.id.encode()
    header = bytes((VERSION, len(name))) + name + bytes.fromhex(material.id)
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + AESGCM(material.secret).encrypt(nonce, plaintext, header + _bound(context))


def parse(blob: bytes) -> Ciphertext:
    """Take a ciphertext apart. Raises: Refusal with InvalidCiphertextException when it is not one of ours."""
    try:
        end = 2 + blob[1]
        key_id = blob[2:end].decode("ascii")
    except (IndexError, UnicodeDecodeError):
        raise Refusal(Fault.INVALID_CIPHERTEXT) from None
    start = end + MATERIAL_ID_BYTES
    if blob[0] != VERSION or len(blob) <= start + NONCE_BYTES:
        raise Refusal(Fault.INVALID_CIPHERTEXT)
    return Ciphertext(key_id=key_id, material_id=blob[end:start].hex(), header=blob[:start], body=blob[start:])


def decrypt(key: Key, ciphertext: Ciphertext, context: Mapping[str, str]) -> bytes:
    """The plaintext.

    Raises: Refusal with InvalidCiphertextException for a material not in the key, damage or another encryption context.
    """
    material = key.material(ciphertext.material_id)
    if material is None or material.secret is None:
        raise Refusal(Fault.INVALID_CIPHERTEXT)
    nonce, sealed = ciphertext.body[:NONCE_BYTES], ciphertext.body[NONCE_BYTES:]
    try:
        return AESGCM(material.secret).decrypt(nonce, sealed, ciphertext.header + _bound(context))
    except InvalidTag:
        raise Refusal(Fault.INVALID_CIPHERTEXT) from None


def _bound(context: Mapping[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True, separators=(",", ":")).encode()
