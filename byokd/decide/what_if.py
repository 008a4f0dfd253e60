"""Fleets that do not exist yet: so many keys, so long valid, so early renewed, at such a quota.

paced    imported one after the other at the lane's pace, the last one now: as byokd would have done it
at once  all with the same `ValidTo`: as somebody would have done it by hand, or by another program

A lane that is too slow for a paced fleet would have lost the first keys before the last one was there, and the question
is what would have been enough. So none is imagined to be due yet: they were imported as much faster as that takes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from byokd.facts.key import NEVER, KeyRef
from byokd.facts.ledger import Tier
from byokd.facts.policy import Policy
from byokd.facts.prospect import Prospect

NAME: Final = "what-if"
"""Of the fleet, and of its lane."""


def imagined_keys(
    count: int, policy: Policy, now: datetime, *, per_second: float, at_once: bool
) -> tuple[Prospect, ...]:
    """So many keys of one policy, imported at `per_second` or faster up to `now`, or all at once at `now`."""
    life = 3 * policy.renew_before if policy.valid_for is NEVER else policy.valid_for
    fresh_s = (life - policy.renew_before - policy.spread).total_seconds()
    apart_s = 0.0 if at_once else min(1 / per_second, max(0.0, fresh_s) / max(1, count))
    return tuple(
        Prospect(
            ref=KeyRef(f"key-{number + 1:07}"),
            name=f"key-{number + 1:07}",
            fleet=NAME,
            policy=policy,
            state="Enabled",
            expiry=now + life - timedelta(seconds=int((count - 1 - number) * apart_s)),
            tier=Tier.FRESH,
            reason="fresh",
        )
        for number in range(count)
    )
