"""What byokd itself did about a key and was told about it: imports, orders, holds, fingerprints, history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NewType

from byokd.facts.key import ABSENT, Absent, Expiry, KeyArn, KeyRef, LaneId, MaterialId
from byokd.facts.kinds import MaterialKind

Fingerprint = NewType("Fingerprint", str)
"""Keyed HMAC-SHA-256 of the material, in hex. Recognises material without revealing anything about it."""


# -- the source -------------------------------------------------------------------------------------------------------


class NotProved(StrEnum):
    """The source has not been asked yet."""

    NOT_PROVED = "not_proved"


NOT_PROVED: Final = NotProved.NOT_PROVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """The source produced the material at `at`."""

    at: datetime
    fingerprint: Fingerprint
    length: int
    """In bytes."""
    kind: MaterialKind = MaterialKind.BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproved:
    """The source could not produce usable material at `at`, and not since `since`."""

    since: datetime
    at: datetime
    code: str
    """`source_unreadable`, `source_unsafe`, `material_invalid` or `material_changed`."""
    message: str
    failures: int


Proof = Proved | Unproved | Literal[NotProved.NOT_PROVED]


# -- the queue --------------------------------------------------------------------------------------------------------

MOST_PRIORITY: Final = 100
"""The bound of a policy's priority, positive and negative."""


class ImportState(StrEnum):
    """States of a row of the import queue. A row leaves the first three exactly once."""

    QUEUED = "queued"
    """Waiting for the lane."""
    RUNNING = "running"
    """The intent is on disk and calls may have been made: only a look at the key tells what came of it."""
    FAILED = "failed"
    """Did not succeed; will be tried again at `not_before`."""
    DONE = "done"
    """The new `ValidTo` was seen."""
    REFUSED = "refused"
    """Will not be tried again; `outcome` says why. A person was told."""
    CANCELLED = "cancelled"
    """No longer needed, or no longer wanted."""

    @property
    def open(self) -> bool:
        """Whether the row still asks for something."""
        return self in (ImportState.QUEUED, ImportState.RUNNING, ImportState.FAILED)


class Tier(StrEnum):
    """How near a material's deadline is. Order matters: later members are nearer."""

    FRESH = "fresh"
    DUE = "due"
    URGENT = "urgent"
    EMERGENCY = "emergency"
    LAPSED = "lapsed"
    SUSPENDED = "suspended"
    """It is gone because an order wants it so, and has no deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One row of the queue: bring this material of this key to this expiry."""

    id: str
    """Sorts by creation time; made by the engine, never reused."""
    ref: KeyRef
    lane: LaneId
    material: MaterialId | Absent
    """ABSENT until KMS has named the material, at the first import."""
    state: ImportState
    reason: str
    """Why it was wanted: a member of `Reason`."""
    tier: Tier
    expiry: Expiry
    """The ValidTo asked for. A running row that KMS shows with this expiry has succeeded, whoever tells."""
    deadline: datetime
    """When the material ends without this import. The lane serves the earliest deadline first."""
    not_before: datetime
    attempts: int
    created_at: datetime
    started_at: datetime | Absent = ABSENT
    """When the last attempt's intent was written; readings older than this prove nothing about it."""
    answered: bool = False
    """Whether KMS confirmed the last attempt, so that only the reading is outstanding (settling)."""
    finished_at: datetime | Absent = ABSENT
    outcome: str = ""
    """An error code, `adopted`, or empty."""
    detail: str = ""
    order_id: str | Absent = ABSENT
    priority: int = 0
    """That of the key's policy."""

    @property
    def rank(self) -> int:
        """Which rows the lane serves first: the lower number; among equals, the earliest deadline."""
        return rank(self.tier, self.priority)

    @property
    def turn(self) -> tuple[int, datetime, str]:
        """Where it stands among the rows of its lane: the lower is served first, once `not_before` has come."""
        return self.rank, self.deadline, self.id


def rank(tier: Tier, priority: int) -> int:
    """Where a tier and a priority (`MOST_PRIORITY` at most, either way) stand in a lane's queue; lower goes first.

        lapsed, by priority  →  urgent and emergency, all alike  →  routine, by priority

    Between two keys that are near their deadlines the deadline alone decides: a priority must not lose a key that could
    have been saved. Where nothing more can be lost, or nothing yet, it does.
    """
    match tier:
        case Tier.LAPSED:
            return MOST_PRIORITY - priority
        case Tier.URGENT | Tier.EMERGENCY:
            return 10 * MOST_PRIORITY
        case Tier.FRESH | Tier.DUE | Tier.SUSPENDED:
            return 21 * MOST_PRIORITY - priority


# -- orders -----------------------------------------------------------------------------------------------------------


class OrderKind(StrEnum):
    """What an operator can ask for."""

    IMPORT = "import"
    """Import now, ahead of its time; with a `valid_to`, to that end of life, also an earlier one."""
    HOLD = "hold"
    """Leave the key alone."""
    RELEASE = "release"
    """End a hold."""
    SUSPEND = "suspend"
    """Delete the key's material, so that nothing can be decrypted, and keep it away."""
    RESUME = "resume"
    """End a suspension: bring the material back."""
    ROTATE = "rotate"
    """Give the key the next material of the config, and make it the current one."""


class OrderState(StrEnum):
    """An order is open until byokd has carried it out, refused it, or it was cancelled."""

    PROPOSED = "proposed"
    """Not in force: a second person must approve it first."""
    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"


BY_PERIOD: Final = "byokd by period"
"""Who gave an order that follows from `rotate_every`: no Unix user is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row, not an event: it stays true until it is closed.

    A hold is open for as long as it holds, and a suspension until the key is resumed.
    """

    id: str
    ref: KeyRef
    kind: OrderKind
    state: OrderState
    by: str
    """Who asked: the Unix user at the socket; and who approved it, where somebody had to."""
    why: str
    created_at: datetime
    until: datetime | Absent = ABSENT
    """End of a hold; ABSENT holds until released."""
    valid_to: Expiry | Absent = ABSENT
    """The expiry that an import is to have; ABSENT leaves it to the policy."""
    effective_at: datetime | Absent = ABSENT
    """When a turn first obeyed a hold, the material of a suspended key was seen gone, or KMS was last asked to rotate;
    ABSENT until then."""
    closed_at: datetime | Absent = ABSENT
    outcome: str = ""
    """How it ended; of an open order, what hinders it."""
    lose: bool = False
    """Of a suspension, whether it also deletes material that byokd could not bring back."""

    @property
    def by_period(self) -> bool:
        """Whether byokd gave it itself, since the policy's `rotate_every` was over."""
        return self.by == BY_PERIOD


# -- the ledger -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """byokd's memory of one material of a key: what KMS calls it, what became of it, and what is asked for it."""

    fingerprint: Fingerprint | Absent = ABSENT
    """Of the material at its first import by byokd. Never changes."""
    material: MaterialId | Absent = ABSENT
    """The KeyMaterialId of that material, once KMS has told it."""
    last_expiry: Expiry | Absent = ABSENT
    """The last expiry seen while the material was there; tells a lapse from a deletion by someone else."""
    last_success_at: datetime | Absent = ABSENT
    lost_at: datetime | Absent = ABSENT
    """When byokd first saw the material gone; ABSENT while it is there."""
    open_import: Import | Absent = ABSENT
    refused_import: Import | Absent = ABSENT
    """The newest refused row, until a later row is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track(Remembered):
    """A material that is not at hand (see `Snapshot`), with what its source proved."""

    proof: Proof = NOT_PROVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of using the key after an import."""

    of: datetime
    """Which import: the `last_success_at` of its material."""
    at: datetime
    """When it was last tried."""
    failures: int = 0
    """In a row."""
    code: str = ""
    """Of the error; empty where the key works."""
    message: str = ""

    @property
    def works(self) -> bool:
        """Whether the key did what it is for."""
        return not self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger(Remembered):
    """byokd's own memory of one key, and of that material of it which is at hand."""

    pinned_arn: KeyArn | Absent = ABSENT
    """The ARN that the key's alias meant when it was first resolved; for other keys, the ARN."""
    open_orders: tuple[Order, ...] = ()
    """Of the whole key, oldest first."""
    probe: Probe | Absent = ABSENT
    """Of the whole key, where its policy asks for probes."""

    @property
    def hold(self) -> Order | Absent:
        """The hold in force, without regard to `until`."""
        return next((order for order in self.open_orders if order.kind is OrderKind.HOLD), ABSENT)

    @property
    def suspension(self) -> Order | Absent:
        """The suspension in force: the newest, which may be to do again what somebody undid."""
        for order in reversed(self.open_orders):
            if order.kind is OrderKind.SUSPEND:
                return order
        return ABSENT


# -- history ----------------------------------------------------------------------------------------------------------


class HistoryEvent(StrEnum):
    """The closed vocabulary of a key's history, each with its sentence in `docs/reference/vocabulary.md`."""

    TRACKED = "tracked"
    UNTRACKED = "untracked"
    PINNED = "pinned"
    STATE_CHANGED = "state_changed"
    EXPIRY_CHANGED = "expiry_changed"
    MATERIAL_LAPSED = "material_lapsed"
    MATERIAL_DELETED = "material_deleted"
    IMPORT_QUEUED = "import_queued"
    IMPORT_STARTED = "import_started"
    IMPORT_DONE = "import_done"
    IMPORT_ADOPTED = "import_adopted"
    IMPORT_FAILED = "import_failed"
    IMPORT_REFUSED = "import_refused"
    IMPORT_CANCELLED = "import_cancelled"
    KEY_PROBED = "key_probed"
    PROBE_FAILED = "probe_failed"
    ORDER_PROPOSED = "order_proposed"
    ORDER_GIVEN = "order_given"
    ORDER_CLOSED = "order_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of a key's life: a state transition in KMS, an import's outcome, an order, a pin."""

    at: datetime
    ref: KeyRef
    event: HistoryEvent
    detail: str
    cause: str = ""
