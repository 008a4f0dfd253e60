"""What a forecast needs of a key that the store in memory holds."""

from __future__ import annotations

from byokd.facts.ledger import Tier
from byokd.facts.prospect import Prospect
from byokd.facts.snapshot import Snapshot
from byokd.store.views import shown_expiry, shown_state


def prospect(known: Snapshot, tier: Tier, reason: str) -> Prospect:
    """A key as it stands, with its last decision."""
    return Prospect(
        ref=known.ref,
        name=known.desired.name,
        fleet=known.desired.fleet,
        policy=known.desired.policy,
        state=shown_state(known.view),
        expiry=shown_expiry(known),
        tier=tier,
        reason=reason,
    )
