"""What a forecast needs of a key that the store in memory holds."""

from __future__ import annotations

from byokd.facts.key import Absent
from byokd.facts.ledger import Tier
from byokd.facts.prospect import Prospect, period_ends_at
from byokd.facts.snapshot import Snapshot
from byokd.store.times import expiry_seconds
from byokd.store.views import shown_expiry, shown_state


def prospect(known: Snapshot, tier: Tier, reason: str) -> Prospect:
    """A key as it stands, with its last decision."""
    tracks = known.turned_to(0).tracks
    ends = [each.last_expiry for each in tracks if not isinstance(each.last_expiry, Absent)]
    return Prospect(
        ref=known.ref,
        name=known.desired.name,
        fleet=known.desired.fleet,
        policy=known.desired.policy,
        state=shown_state(known.view),
        expiry=shown_expiry(known),
        tier=tier,
        reason=reason,
        further=tuple(sorted(ends, key=expiry_seconds)[1:]),
        period_ends=period_ends_at(known.desired.policy, known.view),
    )
