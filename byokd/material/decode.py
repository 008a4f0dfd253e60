"""Material as people store it: raw bytes, hex, or base64.

Hex and base64 are read strictly, so that a truncated or half-edited file is refused instead of becoming another key.
White space before and after is tolerated there, because editors and `openssl` end files with a newline; raw material is
taken to the last byte, newline included.
"""

from __future__ import annotations

import binascii
from enum import StrEnum
from typing import Final

from byokd.errors import MaterialInvalid
from byokd.material.secret import Secret, forget

_WHITE_SPACE: Final = frozenset(b" \t\r\n")


class Encoding(StrEnum):
    """How a source writes material down."""

    RAW = "raw"
    HEX = "hex"
    """Two digits a byte, either case, nothing in between."""
    BASE64 = "base64"
    """RFC 4648 section 4, padded, on one line."""


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
