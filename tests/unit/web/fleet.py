"""A small fleet on record: fresh, urgent with a failed import, lapsed, and never ending."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from byokd.facts.change import Change
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, NEVER, Expiry, KeyArn, KeyRef
from byokd.facts.ledger import HistoryEntry, HistoryEvent, ImportState, Ledger, Tier
from byokd.facts.snapshot import Snapshot
from byokd.ports import Store
from tests.kit import builders
from tests.kit.builders import DAY, LANE_ID
from tests.kit.clock import START
from tests.kit.memory_store import MemoryStore

FRESH = builders.ARN
LAPSED = KeyArn(FRESH[:-1] + "2")
LASTING = KeyArn(FRESH[:-1] + "3")
LEDGER = KeyRef(f"{LANE_ID}/alias/ledger")


async def furnished() -> MemoryStore:
    """A store with four keys, one open import, two conditions and some history."""
    store = MemoryStore()
    await store.sync_fleet([key.desired for key in _KEYS.values()], now=START - 40 * DAY)
    await decide(store, FRESH, Tier.FRESH, "fresh", "renews at 2026-04-01T12:00:00Z")
    await decide(store, LEDGER, Tier.URGENT, "backing_off", "tries again at 2026-03-01T12:05:00Z", imports=(_FAILED,))
    await decide(store, LAPSED, Tier.LAPSED, "held", "a hold of operator is in force", history=(_PASSED,))
    await decide(store, LASTING, Tier.FRESH, "never_expires", "the material never expires")
    await store.save_conditions([CLOCK_SKEW, HAS_LAPSED])
    return store


async def decide(
    store: Store, ref: str, tier: Tier, reason: str, message: str, *, ledger: Ledger | None = None, **more: Any
) -> None:
    """Put on record what was decided about a key, and perhaps what is remembered of it."""
    epoch = await store.acquire_lane(LANE_ID, node="test", now=START)
    key = _KEYS[KeyRef(ref)]
    key = key if ledger is None else replace(key, ledger=ledger)
    change = Change(epoch=epoch, snapshot=key, tier=tier, reason=reason, message=message, due_at=START + DAY, **more)
    await store.save(change)


def _key(arn: KeyArn, expiry: Expiry, *, alias: str = "") -> Snapshot:
    desired = builders.desired(arn=arn)
    if alias:
        desired = replace(desired, ref=KeyRef(f"{LANE_ID}/{alias}"), name=alias, arn=ABSENT, fleet="books")
    ledger = builders.ledger(pinned_arn=arn, last_expiry=expiry)
    if expiry is NEVER:
        ledger = replace(ledger, fingerprint=ABSENT)  # adopted as it was: byokd has imported nothing into it
    return builders.snapshot(desired=desired, view=builders.observed(valid_to=expiry, arn=arn), ledger=ledger)


def _condition(name: str, subject: str, kind: ConditionKind, severity: Severity) -> OpenCondition:
    condition = Condition(kind=kind, severity=severity, detail=f"{kind.value} since two hours")
    return OpenCondition(id=name, subject=subject, condition=condition, since=START - timedelta(hours=2))


CLOCK_SKEW = _condition("c2", "daemon", ConditionKind.CLOCK_SKEW, Severity.WARNING)
HAS_LAPSED = _condition("c1", LAPSED, ConditionKind.LAPSED, Severity.CRITICAL)
_KEYS = {
    KeyRef(FRESH): _key(FRESH, START + 60 * DAY),
    LEDGER: _key(KeyArn(FRESH[:-1] + "4"), START + timedelta(hours=30), alias="alias/ledger"),
    KeyRef(LAPSED): _key(LAPSED, START - timedelta(hours=2)),
    KeyRef(LASTING): _key(LASTING, NEVER),
}
_FAILED = builders.queued(
    ref=LEDGER,
    state=ImportState.FAILED,
    attempts=2,
    deadline=START + timedelta(hours=30),
    not_before=START + timedelta(minutes=5),
    outcome="throttled",
    detail="too many requests",
)
_PASSED = HistoryEntry(
    at=START,
    ref=KeyRef(LAPSED),
    event=HistoryEvent.MATERIAL_LAPSED,
    detail="ValidTo has passed",
    cause="seen at a look",
)
