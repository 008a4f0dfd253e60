"""The whole of what `decide` sees, and the whole of what it says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from byokd.facts.condition import Condition, OpenCondition
from byokd.facts.key import Absent, Expiry, KeyArn, KeyRef, MaterialId, View
from byokd.facts.ledger import Import, Ledger, Proof, Remembered, Tier, Track
from byokd.facts.policy import DesiredKey
from byokd.facts.relative import Relative

_OF_A_MATERIAL = tuple(each.name for each in fields(Remembered))
"""What the ledger says of the material at hand."""
_OF_THE_KEY = tuple(each.name for each in fields(Ledger) if each.name not in _OF_A_MATERIAL)
"""What it says of the whole key."""
_values_of, _shared_of = attrgetter(*_OF_A_MATERIAL), attrgetter(*_OF_THE_KEY)


def _remembered(of: Remembered) -> dict[str, Any]:
    return dict(zip(_OF_A_MATERIAL, _values_of(of), strict=True))


def _shared(of: Ledger) -> dict[str, Any]:
    return dict(zip(_OF_THE_KEY, _shared_of(of), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything known about one managed key at one moment. The store saves and loads it whole.

    A key may own several materials, one for each rotation. A snapshot has one of them at hand, of which `proof` and
    `ledger` speak, so that whatever deals with a material need not know that there are others:

        places  0       1       2        3             config: a locator for each, oldest first
                kept    kept    kept     in stock      KMS has those that it needs; the rest wait for a rotation
                others  others  at hand  others
    """

    desired: DesiredKey
    view: View
    proof: Proof
    """Of the material at hand."""
    ledger: Ledger
    conditions: tuple[OpenCondition, ...] = ()
    """Those open now."""
    place: int = 0
    """Which of `desired.locators` is the material at hand."""
    others: tuple[Track, ...] = ()
    """The other materials, in their order."""
    relatives: tuple[Relative, ...] = ()
    """The other keys of the config that belong to the same multi-Region key. Written by their own turns only."""

    @property
    def places(self) -> range:
        """One for each material, the oldest first."""
        return range(len(self.others) + 1)

    @property
    def locator(self) -> str:
        """Where the source finds the material at hand."""
        return self.desired.locators[self.place]

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What is remembered of each material, in order."""
        own = Track(proof=self.proof, **_remembered(self.ledger))
        return (*self.others[: self.place], own, *self.others[self.place :])

    def remembered(self, place: int) -> Remembered:
        """What is on record of one material."""
        if place == self.place:
            return self.ledger
        return self.others[place if place < self.place else place - 1]

    @property
    def open_imports(self) -> tuple[Import, ...]:
        """The open rows of all materials."""
        rows = [self.ledger.open_import, *[each.open_import for each in self.others]]
        return tuple([row for row in rows if not isinstance(row, Absent)])

    def turned_to(self, place: int) -> Snapshot:
        """The same with another material at hand. Raises: IndexError where the key has no such place."""
        if place == self.place:
            return self
        tracks = self.tracks
        at_hand = tracks[place]
        # A turn does this for each material, several times; `replace` would take half as long again.
        return Snapshot(
            desired=self.desired,
            view=self.view,
            proof=at_hand.proof,
            ledger=Ledger(**_shared(self.ledger), **_remembered(at_hand)),
            conditions=self.conditions,
            place=place,
            others=tracks[:place] + tracks[place + 1 :],
            relatives=self.relatives,
        )

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
    WRAPPING_REFUSED = "wrapping_refused"
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
    IN_STOCK = "in_stock"
    FIRST_IMPORT = "first_import"
    LAPSED = "lapsed"
    DELETED = "deleted"
    ORDERED = "ordered"
    ROTATION_DUE = "rotation_due"
    ROTATING = "rotating"
    WAITS_FOR_REPLICAS = "waits_for_replicas"
    CANNOT_ROTATE = "cannot_rotate"
    WAITS_FOR_WINDOW = "waits_for_window"
    RENEWAL_DUE = "renewal_due"
    PROBING = "probing"
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

    places: tuple[int, ...] = (0,)
    """Which of the key's materials are to be proved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionWanted:
    """Delete these materials of the key: an operator suspended it. byokd deletes for no other reason."""

    materials: tuple[MaterialId | Absent, ...]
    """ABSENT stands for the one material of a key whose materials KMS does not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationWanted:
    """Ask KMS to make the material current that waits for it: a rotation was ordered."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWanted:
    """Give an order to rotate, as an operator would: the policy asks for one by period."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeWanted:
    """Use the key once, as it is meant to be used: the policy asks for it after each import."""


Action = ImportWanted | ProofWanted | DeletionWanted | RotationWanted | OrderWanted | ProbeWanted


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
    place: int = 0
    """Which of the key's materials the decision is about; of several, the one that needs byokd first."""
    parts: tuple[Decision, ...] = ()
    """Of a key with several materials, what was decided about each, in order."""
