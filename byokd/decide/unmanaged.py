"""What people are told of keys that nobody manages: by how near the nearest of their deadlines is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from byokd.decide.adoption import dying
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.estate import Found, FoundKey, Managed
from byokd.facts.moment import in_words

NEAR: Final = timedelta(days=7)
"""From here on it is critical: somebody has to find the material first."""


def still_unmanaged(found: Found, managed: Managed) -> list[FoundKey]:
    """The keys of a search that nobody manages by now, nearest deadline first; without those about to be deleted."""
    return [
        key for key in found.keys if not dying(key) and not isinstance(managed.fleet_of(key.seen.arn, key.aliases), str)
    ]


def unmanaged_condition(keys: list[FoundKey], now: datetime) -> Condition | None:
    """The condition that the keys of a lane come to; None where there are none."""
    if not keys:
        return None
    many = len(keys) != 1
    text = f"{len(keys)} key{'s' if many else ''} with imported material {'are' if many else 'is'} in no fleet"
    lost = sum(key.lost for key in keys)
    if lost:
        text += f", {lost} of them without their material already"
    ends = [(key.seen.expiry, key.name) for key in keys if isinstance(key.seen.expiry, datetime)]
    if not ends:
        return _condition(Severity.WARNING if lost else Severity.INFO, text, "lost" if lost else "")
    ends_at, name = min(ends)
    text += f"; the nearest deadline is {in_words(ends_at)} ({name})"
    if ends_at - now <= NEAR:
        return _condition(Severity.CRITICAL, text, "near")
    return _condition(Severity.WARNING, text, "ending")


def failing_condition(why: str) -> Condition:
    """Keys that nobody manages could not be looked for."""
    detail = f"keys that nobody manages could not be looked for: {why}"
    return Condition(kind=ConditionKind.DISCOVERY_FAILING, severity=Severity.WARNING, detail=detail)


def hidden_condition(found: Found) -> Condition | None:
    """Some keys may not be looked at, so that nobody knows whether they have imported material."""
    if not found.unseen:
        return None
    first = found.unseen[0]
    beside = f", nor {len(found.unseen) - 1} more" if len(found.unseen) > 1 else ""
    return failing_condition(f"{first.arn} may not be looked at{beside}: {first.why}")


def _condition(severity: Severity, detail: str, stage: str) -> Condition:
    return Condition(kind=ConditionKind.UNMANAGED_KEYS, severity=severity, detail=detail, stage=stage)
