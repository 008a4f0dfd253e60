"""What the store still knows of a key's life: enough to say what byokd knew, and what it decided, at a moment of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from byokd.facts.change import KeyLine
from byokd.facts.condition import OpenCondition
from byokd.facts.key import Absent, Expiry, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import HistoryEntry, Import, Order
from byokd.facts.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """All about one key, of today and before."""

    snapshot: Snapshot
    """As on record now; of a key that left the config, as it was then."""
    line: KeyLine | Absent
    """What the last decision left on record; ABSENT where the key is not in the config."""
    history: tuple[HistoryEntry, ...]
    """In the order of writing."""
    imports: tuple[Import, ...]
    """Open and closed, oldest first."""
    orders: tuple[Order, ...]
    """Open and closed, oldest first."""
    conditions: tuple[OpenCondition, ...]
    """Those that were open at the moment asked about, oldest first."""
    known_from: datetime | Absent
    """Whatever happened at this moment or later is all there; ABSENT where the store holds no history at all."""
    skews: tuple[OpenCondition, ...] = ()
    """What was told of the host's clock at the moment asked about, by the key's lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A key that left the config while its material lives: it ends one day, and nobody here renews it."""

    ref: KeyRef
    name: str
    fleet: str
    """The one that it was in."""
    lane: LaneId
    arn: KeyArn
    expiry: Expiry
    """As last seen."""
    left_at: datetime | Absent
    """ABSENT where that is no longer on record."""
