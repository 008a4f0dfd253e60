"""Material as people store it: raw bytes, hex, base64, or a private key in PEM.

All but raw bytes are read strictly, so that a truncated or half-edited file is refused instead of becoming another key.
White space before and after is tolerated there, because editors and `openssl` end files with a newline; raw material is
taken to the last byte, newline included.
"""

from __future__ import annotations

import binascii
import re
from enum import StrEnum
from typing import Final

from byokd.errors import MaterialInvalid
from byokd.material.secret import Secret, forget, wipe

_WHITE_SPACE: Final = frozenset(b" \t\r\n")
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s]+)-----END \1-----")
_OTHER_LABELS: Final = {
    b"RSA PRIVATE KEY": "of a PKCS #1 private key",
    b"EC PRIVATE KEY": "of a SEC 1 private key",
    b"ENCRYPTED PRIVATE KEY": "of an encrypted private key",
    b"OPENSSH PRIVATE KEY": "of an OpenSSH private key",
    b"PUBLIC KEY": "of a public key",
}
"""What stands there by mistake, by its label."""


class Encoding(StrEnum):
    """How a source writes material down."""

    RAW = "raw"
    HEX = "hex"
    """Two digits a byte, either case, nothing in between."""
    BASE64 = "base64"
    """RFC 4648 section 4, padded, on one line."""
    PEM = "pem"
    """RFC 7468: one private key as PKCS #8, `-----BEGIN PRIVATE KEY-----`, with nothing before or after it."""


def decode(encoded: Secret, encoding: Encoding) -> Secret:
    """A new secret with the material itself. `encoded` stays the caller's to wipe.

    Raises: MaterialInvalid if there is nothing, or not in that encoding; the text says so without any of the content.
    """
    view = encoded.view if encoding is Encoding.RAW else _trimmed(encoded.view)
    if not view:
        raise MaterialInvalid("the source gave no material at all")
    match encoding:
        case Encoding.RAW:
            return Secret(bytearray(view))
        case Encoding.HEX | Encoding.BASE64:
            return _from_text(view, encoding)
        case Encoding.PEM:
            return _from_pem(view)


def _from_pem(text: memoryview) -> Secret:
    found = _PEM.fullmatch(text)
    if found is None:
        raise MaterialInvalid("what the source gave is not one PEM block with nothing around it")
    label = bytes(text[slice(*found.span(1))])
    if label != b"PRIVATE KEY":
        what = _OTHER_LABELS.get(label, "of something else")
        raise MaterialInvalid(
            f"what the source gave is PEM {what}, not a PKCS #8 private key; `openssl pkcs8 -topk8 -nocrypt` writes one"
        )
    lines = bytearray(text[slice(*found.span(2))])
    joined = lines.translate(None, b" \t\r\n")
    try:
        return _from_text(memoryview(joined), Encoding.BASE64)
    finally:
        wipe(lines)
        wipe(joined)


def _from_text(text: memoryview, encoding: Encoding) -> Secret:
    try:
        content = binascii.a2b_hex(text) if encoding is Encoding.HEX else binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        # The cause is left out: it tells where in the material the odd character stands.
        raise MaterialInvalid(f"what the source gave is not {encoding}") from None
    try:
        return Secret(bytearray(content))
    finally:
        forget(content)


def _trimmed(text: memoryview) -> memoryview:
    start, end = 0, len(text)
    while start < end and text[start] in _WHITE_SPACE:
        start += 1
    while end > start and text[end - 1] in _WHITE_SPACE:
        end -= 1
    return text[start:end]
