"""What a forecast needs to know of one key: small, so that a hundred thousand of them fit into memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from byokd.facts.key import Absent, Expiry, KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One key as the record has it; nothing in here is newer than the last look."""

    ref: KeyRef
    name: str
    fleet: str
    policy: Policy
    """Keys of one policy share the object."""
    state: str
    """The KMS key state last seen, `NeverLooked`, or `Blind`."""
    expiry: Expiry | Absent
    """Of the managed material, of several the earliest; the last one seen where the material is gone."""
    tier: Tier
    """That of the last decision."""
    reason: str
    """That of the last decision: a member of `Reason`."""
    further: tuple[Expiry, ...] = ()
    """When its other materials end, none of them earlier; those that were never imported are none yet."""

    @property
    def materials(self) -> Iterator[Prospect]:
        """The key once for each material of it, as if it had no other; its tier is that of the earliest."""
        yield self
        for expiry in self.further:
            yield replace(self, expiry=expiry, tier=Tier.FRESH, further=())
