"""One decision about a key with several materials, from a decision about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from byokd.facts.condition import Condition, ConditionKind
from byokd.facts.ledger import Tier
from byokd.facts.snapshot import Decision, DeletionWanted, ImportWanted, ProofWanted, Reason, RotationWanted

_TIERS: Final = tuple(Tier)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


def merged(decisions: Sequence[Decision], now: datetime) -> Decision:
    """What to do first, everything that people need to know, and the earliest moment to look again.

    The nearest deadline goes first: a key lives only as long as all that it needs are there.
    """
    if len(decisions) == 1:
        return decisions[0]
    first = min(decisions, key=_pressing)
    wake_at = min(each.wake_at for each in decisions)
    action = first.action
    if unproved := tuple(each.place for each in decisions if isinstance(each.action, ProofWanted)):
        action = ProofWanted(places=unproved) if isinstance(action, ProofWanted) else action
        wake_at = min(wake_at, now + timedelta(seconds=1))  # a turn that acts on one has not asked for the others
    return replace(
        first,
        message=_about(first, len(decisions), first.message),
        action=action,
        conditions=_all_true(decisions),
        tier=max((each.tier for each in decisions), key=_TIERS.index),
        wake_at=wake_at,
    )


def _pressing(decision: Decision) -> tuple[int, datetime, int, int]:
    match decision.action:
        case DeletionWanted():
            return 0, _LATEST, 0, decision.place
        case ImportWanted(deadline=deadline):
            return 1, deadline, 0, decision.place
        case RotationWanted():
            return 2, _LATEST, 0, decision.place
        case ProofWanted():
            return 3, _LATEST, -_TIERS.index(decision.tier), decision.place
        case _:
            # What waits for something is worth telling before what is at peace.
            at_peace = decision.reason not in (Reason.ROTATING, Reason.WAITS_FOR_REPLICAS)
            return 4 + at_peace, _LATEST, -_TIERS.index(decision.tier), decision.place


def _all_true(decisions: Sequence[Decision]) -> tuple[Condition, ...]:
    """Each kind once, as bad as it is for any material; what is not true of all says of which it is."""
    found: dict[ConditionKind, list[tuple[Decision, Condition]]] = {}
    for decision in decisions:
        for condition in decision.conditions:
            found.setdefault(condition.kind, []).append((decision, condition))
    return tuple(_worst(each, len(decisions)) for each in found.values())


def _worst(stated: Sequence[tuple[Decision, Condition]], materials: int) -> Condition:
    decision, condition = max(stated, key=lambda each: each[1].severity)
    if len(stated) == materials and len({each.detail for _, each in stated}) == 1:
        return condition
    return replace(condition, detail=_about(decision, materials, condition.detail))


def _about(decision: Decision, materials: int, text: str) -> str:
    return f"material {decision.place + 1} of {materials}: {text}"
