"""When a material is due: the tiers between an import and its `ValidTo`.

    imported                renew_at        urgent_at   emergency_at   ValidTo
       |------- fresh ---------|---- due ------|--urgent----|-emergency---|--- lapsed
                               <----------- renew_before ----------------->
                                               <-- half of renew_before -->
                                                            <-- emergency_share of life -->

Each boundary belongs to the later tier: at `renew_at` a material is due, at `ValidTo` it has lapsed (AWS does not say
how soon after ValidTo the material is gone, so byokd counts the key as unusable from that second on). The spread moves
`renew_at` earlier by a share that is fixed for one key and one `ValidTo`; nothing ever moves it later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from byokd.facts.key import NEVER, KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import Policy

_UNIT = float(1 << 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The boundaries of one material's life. All inclusive: at the boundary the later tier has begun."""

    renew_at: datetime
    urgent_at: datetime
    emergency_at: datetime
    valid_to: datetime

    def tier(self, now: datetime) -> Tier:
        """The tier at `now`."""
        if now >= self.valid_to:
            return Tier.LAPSED
        if now >= self.emergency_at:
            return Tier.EMERGENCY
        if now >= self.urgent_at:
            return Tier.URGENT
        return Tier.DUE if now >= self.renew_at else Tier.FRESH

    @property
    def boundaries(self) -> tuple[datetime, ...]:
        """When another tier begins."""
        return self.renew_at, self.urgent_at, self.emergency_at, self.valid_to


def window(ref: KeyRef, policy: Policy, valid_to: datetime) -> Window:
    """The window of a material that ends at `valid_to`, whole seconds.

    Life is the policy's `valid_for`, whoever imported the material: one that somebody else gave a shorter life is then
    due at once, which is the safe side. Where the policy wants no expiry, `renew_before` alone counts.
    """
    life = 3 * policy.renew_before if policy.valid_for is NEVER else policy.valid_for
    return _window(ref, life, policy.renew_before, policy.spread, policy.emergency_share, valid_to)


@lru_cache(maxsize=1024)  # a turn asks several times
def _window(
    ref: KeyRef, life: timedelta, lead: timedelta, spread: timedelta, emergency_share: float, valid_to: datetime
) -> Window:
    if spread:
        spread = timedelta(seconds=int(share_of(f"{ref}|{valid_to.isoformat()}") * spread.total_seconds()))
    emergency = timedelta(seconds=max(1, round(life.total_seconds() * emergency_share)))
    half = timedelta(seconds=int(lead.total_seconds() / 2))
    return Window(
        renew_at=valid_to - lead - spread,
        urgent_at=valid_to - max(half, emergency),
        emergency_at=valid_to - emergency,
        valid_to=valid_to,
    )


def share_of(text: str) -> float:
    """A number in [0, 1), the same for the same text on every node and in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / _UNIT
