"""The whole of what `decide` sees, and the whole of what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from byokd.facts.condition import Condition, OpenCondition
from byokd.facts.key import Absent, Expiry, KeyArn, KeyRef, MaterialId, View
from byokd.facts.ledger import Ledger, Proof, Tier
from byokd.facts.policy import DesiredKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything known about one managed key at one moment. The store saves and loads it whole."""

    desired: DesiredKey
    view: View
    proof: Proof
    ledger: Ledger
    conditions: tuple[OpenCondition, ...] = ()
    """Those open now."""

    @property
    def ref(self) -> KeyRef:
        """The key's name for life."""
        return self.desired.ref

    @property
    def arn(self) -> KeyArn | Absent:
        """The ARN to call KMS with; ABSENT while an alias is not pinned yet."""
        return self.ledger.pinned_arn if isinstance(self.desired.arn, Absent) else self.desired.arn


class Reason(StrEnum):
    """Why a decision came out as it did. Closed; each with its sentence in `docs/reference/vocabulary.md`."""

    NEVER_LOOKED = "never_looked"
    COULD_NOT_LOOK = "could_not_look"
    KEY_NOT_FOUND = "key_not_found"
    WRONG_ORIGIN = "wrong_origin"
    UNSUPPORTED_SPEC = "unsupported_spec"
    NOT_READY = "not_ready"
    HANDS_OFF = "hands_off"
    HELD = "held"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    SETTLING = "settling"
    SOURCE_UNPROVED = "source_unproved"
    MATERIAL_CHANGED = "material_changed"
    MATERIAL_INVALID = "material_invalid"
    REFUSED = "refused"
    BACKING_OFF = "backing_off"
    FLOOR = "floor"
    REPORT_ONLY = "report_only"
    FIRST_IMPORT = "first_import"
    LAPSED = "lapsed"
    DELETED = "deleted"
    ORDERED = "ordered"
    WAITS_FOR_WINDOW = "waits_for_window"
    RENEWAL_DUE = "renewal_due"
    FRESH = "fresh"
    NEVER_EXPIRES = "never_expires"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWanted:
    """Bring this material to this expiry; `deadline` is when the key suffers without it."""

    material: MaterialId | Absent
    expiry: Expiry
    deadline: datetime
    tier: Tier
    reason: Reason
    order_id: str | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWanted:
    """Ask the source to prove that it can produce the material, without a call to KMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionWanted:
    """Delete these materials of the key: an operator suspended it. byokd deletes for no other reason."""

    materials: tuple[MaterialId | Absent, ...]
    """ABSENT stands for the one material of a key whose materials KMS does not name."""


Action = ImportWanted | ProofWanted | DeletionWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from a snapshot: at most one action, all conditions that are true, and when to look again."""

    reason: Reason
    message: str
    """One sentence for a person: what byokd does or waits for, and until when."""
    action: Action | Absent
    conditions: tuple[Condition, ...]
    tier: Tier
    wake_at: datetime
    """Strictly after the `now` of the decision."""
    cancel: str = ""
    """Not empty: an open import that is no longer wanted, and why."""
