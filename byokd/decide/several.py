"""One decision about a key with several materials, from a decision about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from byokd.facts.condition import Condition, ConditionKind
from byokd.facts.key import Absent
from byokd.facts.ledger import Tier, rank
from byokd.facts.snapshot import (
    Decision,
    DeletionWanted,
    ImportWanted,
    OrderWanted,
    ProbeWanted,
    ProofWanted,
    Reason,
    RotationWanted,
)


class Precedence(IntEnum):
    """Which decision goes first, by what it wants done; `byokd.decide.why` has a sentence for each."""

    DELETION = 0
    ORDER = 1
    IMPORT = 2
    ROTATION = 3
    PROBE = 4
    PROOF = 5
    WAITING = 6
    NOTHING = 7


_TIERS: Final = tuple(Tier)
_OF_THE_KEY: Final = (ConditionKind.ROTATIONS_LOW, ConditionKind.ROTATION_HINDERED, ConditionKind.PROBE_FAILED)
"""Said once, of a key's first material, and true of the key."""
_WAITS: Final = (Reason.ROTATING, Reason.WAITS_FOR_REPLICAS, Reason.BACKING_OFF, Reason.REFUSED)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


def merged(decisions: Sequence[Decision]) -> Decision:
    """What to do first, everything that people need to know, and the earliest moment to look again.

    The most urgent goes first, then the nearest deadline: a key lives only as long as all that it needs are there.
    """
    if len(decisions) == 1:
        return decisions[0]
    first = leading(decisions)
    alike = len({(each.reason, each.message) for each in decisions}) == 1  # a hold, say, is the whole key's
    action = first.action
    if isinstance(action, ProofWanted):
        action = ProofWanted(places=tuple(each.place for each in decisions if isinstance(each.action, ProofWanted)))
    return replace(
        first,
        message=first.message if alike else about(first.place, len(decisions), first.message),
        action=action,
        conditions=_all_true(decisions),
        tier=max((each.tier for each in decisions), key=_TIERS.index),
        wake_at=min(each.wake_at for each in decisions),
        parts=tuple(decisions),
    )


def leading(decisions: Sequence[Decision]) -> Decision:
    """The decision that is the whole key's: by precedence, then the tier, the nearest deadline, the older material."""
    return min(decisions, key=_pressing)


def precedence(decision: Decision) -> Precedence:
    """Where a decision stands among those about the key's other materials."""
    match decision.action:
        case DeletionWanted():
            return Precedence.DELETION
        case OrderWanted():
            return Precedence.ORDER
        case ImportWanted():
            return Precedence.IMPORT
        case RotationWanted():
            return Precedence.ROTATION
        case ProbeWanted():
            return Precedence.PROBE
        case ProofWanted():
            return Precedence.PROOF
        case Absent():
            # What waits for something is worth telling before what is at peace.
            return Precedence.WAITING if decision.reason in _WAITS else Precedence.NOTHING


def _pressing(decision: Decision) -> tuple[int, int, datetime, int]:
    stands = precedence(decision)
    if isinstance(decision.action, ImportWanted):
        # As in the lane's queue: who gives its turn there to one that has longer to wait is called again at once.
        return stands, rank(decision.action.tier, 0), decision.action.deadline, decision.place
    nearness = _TIERS.index(decision.tier) if stands >= Precedence.PROOF else 0
    return stands, -nearness, _LATEST, decision.place


def _all_true(decisions: Sequence[Decision]) -> tuple[Condition, ...]:
    """Each kind once, as bad as it is for any material; what is not true of all says of which it is."""
    found: dict[ConditionKind, list[tuple[Decision, Condition]]] = {}
    for decision in decisions:
        for condition in decision.conditions:
            found.setdefault(condition.kind, []).append((decision, condition))
    return tuple(_worst(each, len(decisions)) for each in found.values())


def _worst(stated: Sequence[tuple[Decision, Condition]], materials: int) -> Condition:
    decision, condition = max(stated, key=lambda each: each[1].severity)
    of_all = len(stated) == materials and len({each.detail for _, each in stated}) == 1
    if of_all or condition.kind in _OF_THE_KEY:
        return condition
    return replace(condition, detail=about(decision.place, materials, condition.detail))


def about(place: int, materials: int, text: str) -> str:
    """A text that is true of one material, which it names where the key has several."""
    return text if materials == 1 else f"material {place + 1} of {materials}: {text}"
