"""How long the things take that AWS does in the background. Plain values, cheap to import.

AWS says "a few seconds" of a new replica and of a change of the primary, and "a slight delay" of a rotation (API
reference of ReplicateKey, UpdatePrimaryRegion and GetKeyRotationStatus). Time here is the local KMS's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that pass before something is done. 0: it is done before the next request is looked at."""

    creating_s: float = 2.0
    """How long a new replica is Creating."""

    updating_s: float = 2.0
    """How long the old and the new primary are Updating."""

    rotating_s: float = 2.0
    """How long a rotation on demand is in progress."""


PACE: Final = Pace()
"""A few seconds each, as AWS says."""

AT_ONCE: Final = Pace(creating_s=0.0, updating_s=0.0, rotating_s=0.0)
"""Nothing is ever seen half done, but in the answer of the very operation that began it."""
