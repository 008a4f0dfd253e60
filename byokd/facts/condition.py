"""Conditions: things true about a key, a lane or the daemon that a person may need to know; and notices of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from byokd.facts.key import ABSENT, Absent, KeyRef, LaneId, lane_of


class Severity(IntEnum):
    """How loudly a condition is told."""

    INFO = 10
    WARNING = 20
    CRITICAL = 30


class ConditionKind(StrEnum):
    """The closed vocabulary of conditions; each has a runbook entry of the same name in `docs/runbook.md`."""

    EXPIRING = "expiring"
    OVERDUE = "overdue"
    LAPSED = "lapsed"
    MATERIAL_DELETED = "material_deleted"
    IMPORT_FAILING = "import_failing"
    IMPORT_REFUSED = "import_refused"
    SOURCE_UNREADABLE = "source_unreadable"
    SOURCE_UNSAFE = "source_unsafe"
    MATERIAL_INVALID = "material_invalid"
    MATERIAL_CHANGED = "material_changed"
    MATERIAL_DIFFERS = "material_differs"
    MATERIAL_UNMANAGED = "material_unmanaged"
    RELATIVES_UNMANAGED = "relatives_unmanaged"
    REPLICA_WITHOUT_PRIMARY = "replica_without_primary"
    REPLICA_MISSING = "replica_missing"
    ROTATION_UNFINISHED = "rotation_unfinished"
    ROTATIONS_LOW = "rotations_low"
    ROTATION_HINDERED = "rotation_hindered"
    PROBE_FAILED = "probe_failed"
    EXPIRY_DRIFT = "expiry_drift"
    COULD_NOT_LOOK = "could_not_look"
    KEY_NOT_FOUND = "key_not_found"
    ACCESS_DENIED = "access_denied"
    DEADLINES_HIDDEN = "deadlines_hidden"
    WRONG_ORIGIN = "wrong_origin"
    UNSUPPORTED_SPEC = "unsupported_spec"
    WRAPPING_REFUSED = "wrapping_refused"
    DISABLED = "disabled"
    PENDING_DELETION = "pending_deletion"
    UNAVAILABLE = "unavailable"
    HELD = "held"
    SUSPENDED = "suspended"
    ALIAS_MOVED = "alias_moved"
    DUPLICATE_KEY = "duplicate_key"
    SLACK_LOW = "slack_low"
    UNMANAGED_KEYS = "unmanaged_keys"
    DISCOVERY_FAILING = "discovery_failing"
    CLOCK_SKEW = "clock_skew"
    CONFIG_REJECTED = "config_rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is true now, as `decide` states it."""

    kind: ConditionKind
    severity: Severity
    detail: str
    """One sentence for a person; another one with the same severity and stage is no news."""
    stage: str = ""
    """Distinguishes steps of the same kind, e.g. the threshold crossed; a new stage is told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCondition:
    """A condition as the store keeps it: open until `resolved_at`."""

    id: str
    subject: str
    """A key's ref, `lane:<id>`, or `daemon`."""
    condition: Condition
    since: datetime
    resolved_at: datetime | Absent = ABSENT


class NoticeKind(StrEnum):
    """Why a notice is sent."""

    RAISED = "raised"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one channel is to be told of one condition, in the durable outbox until it is delivered."""

    id: str
    condition_id: str
    channel: str
    kind: NoticeKind
    subject: str
    condition: Condition
    since: datetime
    created_at: datetime
    not_before: datetime
    attempts: int = 0
    sent_at: datetime | Absent = ABSENT

    @property
    def lane(self) -> LaneId | Absent:
        """The lane of the key that it is about; ABSENT where it is about a lane as a whole, or the daemon."""
        about_key = self.subject != "daemon" and not self.subject.startswith("lane:")
        return lane_of(KeyRef(self.subject)) if about_key else ABSENT

    @property
    def thread(self) -> tuple[str, ConditionKind]:
        """What it is about to people, whichever condition on record: told in its order in each channel."""
        return self.subject, self.condition.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a channel hands over at once: a notice, or several that tell the same of different keys of a lane."""

    notices: tuple[Notice, ...]
    """One at least, oldest first."""
    deadlines: Mapping[str, datetime]
    """When the material of these keys ends, by subject; of keys for which that is known."""
    now_open: int | None = None
    """How many keys of the lane have such a condition now, of those that the channel is told of, be it told or not.

    None where it is no key's, or not counted.
    """
