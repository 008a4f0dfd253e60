"""What a forecast needs to know of one key: small, so that a hundred thousand of them fit into memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from byokd.facts.key import (
    ABSENT,
    NEVER,
    SYMMETRIC,
    Absent,
    Expiry,
    KeyRef,
    MaterialState,
    ObservedKey,
    View,
    last_seen,
)
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
    period_ends: datetime | Absent = ABSENT
    """When its policy asks for its next rotation: see `period_ends_at`."""

    @property
    def materials(self) -> Iterator[Prospect]:
        """The key once for each material of it, as if it had no other; its tier is that of the earliest."""
        yield self
        for expiry in self.further:
            yield replace(self, expiry=expiry, tier=Tier.FRESH, further=())


def current_since(view: View) -> datetime | Absent:
    """Since when the key's current material is it, as KMS tells it; ABSENT where it has none, or that is not known.

    Of a key's first material KMS keeps no date: see `ObservedKey.begun_at`.
    """
    seen = last_seen(view)
    if not isinstance(seen, ObservedKey) or not seen.materials_known:
        return ABSENT
    current = next((each for each in seen.materials if each.state is MaterialState.CURRENT), None)
    if current is None:
        return ABSENT
    return seen.begun_at if isinstance(current.rotated_at, Absent) else current.rotated_at


def period_ends_at(policy: Policy, view: View) -> datetime | Absent:
    """When a policy asks for a key's next rotation; ABSENT where it does not, and of a replica, whose primary counts.

    A material that became current in the future did so before the clock was set back: its period begins then.
    """
    every, seen = policy.rotate_every, last_seen(view)
    if every is NEVER or not isinstance(seen, ObservedKey) or seen.spec != SYMMETRIC or seen.role == "replica":
        return ABSENT
    since = current_since(view)
    return ABSENT if isinstance(since, Absent) else since + every
