"""What keys of the fake KMS make of a message."""

from __future__ import annotations

import hashlib

from byokd.facts.uses import Use


def mark(fingerprint: str, use: Use, message: bytes) -> bytes:
    """What the material of this fingerprint makes of a message."""
    return hashlib.sha256(f"{fingerprint} {use.algorithm}".encode() + message).digest()
