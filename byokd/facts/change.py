"""What the engine writes about a key in one go, and what the store shows of keys to people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from byokd.facts.condition import OpenCondition, Severity
from byokd.facts.key import Absent, Expiry, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import HistoryEntry, Import, ImportState, Order, Tier
from byokd.facts.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One unit of durable writing about one key: all of it or nothing.

    `epoch` is that of the lane's lease; the store refuses the whole change when it is no longer the newest.
    """

    epoch: int
    snapshot: Snapshot
    """Replaces what is stored of view, proof and ledger. Its `conditions` and open orders are not written from here."""
    tier: Tier
    reason: str
    message: str
    due_at: datetime
    imports: tuple[Import, ...] = ()
    """Rows to insert or replace, by id."""
    orders: tuple[Order, ...] = ()
    """Those that were closed, or got further."""
    given: tuple[Order, ...] = ()
    """Those that byokd gave itself: rows to insert."""
    conditions: tuple[OpenCondition, ...] = ()
    """Raised, changed or resolved: rows to insert or replace, by id. Each becomes due for its notices."""
    reworded: tuple[OpenCondition, ...] = ()
    """Likewise those of which only the sentence is another one; they do not."""
    history: tuple[HistoryEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChange:
    """What taking over a config did to the fleet on record."""

    added: int
    changed: int
    removed: int
    unchanged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """One key in a list for people."""

    ref: KeyRef
    name: str
    fleet: str
    lane: LaneId
    arn: KeyArn | Absent
    state: str
    """The KMS key state last seen, `NeverLooked`, or `Blind`."""
    expiry: Expiry | Absent
    """Of the managed material; the last one seen where the material is gone."""
    started_at: datetime | Absent
    """When the present material was last imported by byokd."""
    tier: Tier
    reason: str
    message: str
    severity: Severity | Absent
    """The worst among the open conditions."""
    due_at: datetime
    import_state: ImportState | Absent
    """Of the open import, if there is one."""
    renewals: int
    """Imports done, adopted ones included."""
    role: str = ""
    """`primary` or `replica` for a multi-Region key that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """Which keys to list; empty strings do not filter."""

    fleet: str = ""
    lane: str = ""
    tier: str = ""
    text: str = ""
    """A part of name or ARN, case-insensitive."""
    condition: str = ""
    """The kind of a condition that is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCounts:
    """Figures over everything on record."""

    keys: int
    by_tier: dict[str, int]
    by_state: dict[str, int]
    queue: dict[str, int]
    """Open rows of the queue by state."""
    conditions: dict[str, int]
    """Open conditions by severity name, in lower case."""
    notices_waiting: int
