"""From BER to DER: one way of writing instead of many. Source: ITU-T X.690 (02/2021), 8.1 and 10.

    indefinite length, ended by 00 00       ─▶ definite length
    a length in more octets than it needs   ─▶ in as few as it needs
    an OCTET STRING in pieces               ─▶ in one

That is all in which a PKCS #8 private key can differ. What the content octets say is left as it is. This file must not
let a byte of its input into an error.
"""

from __future__ import annotations

from typing import Final

CONSTRUCTED: Final = 0x20
SEQUENCE: Final = 0x30
OCTET_STRING: Final = 0x04
INDEFINITE: Final = 0x80
END_OF_CONTENTS: Final = 0x00
DEPTH_MAX: Final = 16
"""Deeper than any private key goes, and shallow enough for whoever reads it next."""


class NotBerError(ValueError):
    """What was to be read is not one BER element."""


def der(ber: bytes) -> bytes:
    """One BER element as DER. Raises: NotBerError if it is none, has trailing bytes, or is nested too deep."""
    try:
        element, end = _element(ber, 0, DEPTH_MAX)
    except IndexError:
        raise NotBerError("it ends too early") from None
    if end != len(ber):
        raise NotBerError("something follows it")
    return element


def _element(ber: bytes, at: int, depth: int) -> tuple[bytes, int]:
    """The element at an offset as DER, and where it ends. Raises: IndexError, NotBerError."""
    tag = ber[at]
    if not depth or tag & 0x1F == 0x1F:  # tags of several octets: PKCS #8 has none
        raise NotBerError("it is nothing that a private key consists of")
    length, start = _length(ber, at + 1)
    if not tag & CONSTRUCTED:
        if length is None or start + length > len(ber):
            raise NotBerError("a length does not fit")
        content, end = ber[start : start + length], start + length
    else:
        pieces, end = _pieces(ber, start, length, depth)
        if tag == OCTET_STRING | CONSTRUCTED:
            tag, pieces = OCTET_STRING, [_content(piece) for piece in pieces]
        content = b"".join(pieces)
    return bytes([tag]) + _written(len(content)) + content, end


def _pieces(ber: bytes, at: int, length: int | None, depth: int) -> tuple[list[bytes], int]:
    """The elements within a constructed one, each as DER, and where it ends."""
    pieces: list[bytes] = []
    end = None if length is None else at + length
    while at != end:
        if end is None and ber[at] == END_OF_CONTENTS:
            if ber[at + 1]:
                raise NotBerError("a length does not fit")
            return pieces, at + 2
        piece, at = _element(ber, at, depth - 1)
        if end is not None and at > end:
            raise NotBerError("a length does not fit")
        pieces.append(piece)
    return pieces, at


def _content(piece: bytes) -> bytes:
    """The content of a piece of an OCTET STRING, which is one itself."""
    if piece[0] != OCTET_STRING:
        raise NotBerError("an octet string has other pieces")
    _, start = _length(piece, 1)
    return piece[start:]


def _length(ber: bytes, at: int) -> tuple[int | None, int]:
    """The length that stands at an offset, None where it is indefinite, and where the content starts."""
    first = ber[at]
    if first == INDEFINITE:
        return None, at + 1
    if first < INDEFINITE:
        return first, at + 1
    octets = ber[at + 1 : at + 1 + first - INDEFINITE]
    return int.from_bytes(octets), at + 1 + first - INDEFINITE


def _written(length: int) -> bytes:
    if length < INDEFINITE:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([INDEFINITE + len(octets)]) + octets
