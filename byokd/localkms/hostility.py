"""What a caller may choose about a local KMS's misbehaviour. Plain values, cheap to import.

Each setting is on by default, at its documented value: a client that works here has met throttling, stale answers and
lost connections. FRIENDLY turns all of it off, for tests of something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostility:
    """How a local KMS misbehaves."""

    seed: int = 0
    """What its randomness starts from: the same requests in the same order meet the same weather."""


FRIENDLY: Final = Hostility()
"""No hostility at all."""
