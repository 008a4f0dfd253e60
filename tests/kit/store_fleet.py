"""A store with a key in it and its lane owned, and rows to put into it, for tests of the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from byokd.facts.change import Change
from byokd.facts.condition import Condition, ConditionKind, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, NEVER_LOOKED, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import (
    HistoryEntry,
    HistoryEvent,
    Import,
    ImportState,
    Ledger,
    Tier,
)
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.ports import Store
from tests.kit.builders import DAY, LANE_ID, desired, queued, snapshot
from tests.kit.clock import START

HOUR = timedelta(hours=1)
OTHER_LANE = LaneId("111122223333/us-east-1")


def a_key(number: int, **changes: Any) -> DesiredKey:
    arn = KeyArn(f"arn:aws:kms:eu-central-1:111122223333:key/{number:04}")
    return desired(ref=KeyRef(arn), arn=arn, name=arn, **changes)


KEY = a_key(1)
REF = KEY.ref
ALIAS = replace(KEY, ref=KeyRef(f"{LANE_ID}/alias/orders"), name="alias/orders", arn=ABSENT)


class Fleet:
    """A store with keys in it, one lane owned."""

    def __init__(self, store: Store, epoch: int) -> None:
        self.store = store
        self.epoch = epoch

    async def read(self, ref: KeyRef = REF) -> Snapshot:
        (found,) = await self.store.snapshots([ref])
        return found

    async def save(self, key: DesiredKey = KEY, **changes: Any) -> None:
        """Save a change of a key about which nothing else is known."""
        await self.store.save(self.change(key, **changes))

    def change(self, key: DesiredKey = KEY, **changes: Any) -> Change:
        known = Snapshot(
            desired=key,
            view=changes.pop("view", NEVER_LOOKED),
            proof=snapshot().proof,
            ledger=changes.pop("ledger", Ledger()),
        )
        first = Change(
            epoch=self.epoch, snapshot=known, tier=Tier.FRESH, reason="fresh", message="Fine.", due_at=START + DAY
        )
        return replace(first, **changes)

    async def due(self, *, now: datetime, limit: int = 100) -> tuple[KeyRef, ...]:
        return await self.store.due(LANE_ID, now=now, limit=limit)

    async def events(self, ref: KeyRef = REF) -> list[HistoryEvent]:
        """Oldest first."""
        return [entry.event for entry in reversed(await self.store.history(ref, limit=100))]


async def with_a_key(store: Store) -> Fleet:
    """Put one key into a store and own its lane."""
    await store.sync_fleet([KEY], now=START)
    return Fleet(store, await store.acquire_lane(LANE_ID, node="one", now=START))


def row(number: int = 1, **changes: Any) -> Import:
    return queued(**{"id": f"{number:012}", "ref": REF} | changes)


def done(number: int = 1, **changes: Any) -> Import:
    return row(number, state=ImportState.DONE, finished_at=START + HOUR, **changes)


def condition(
    name: str = "c1", *, subject: str = REF, severity: Severity = Severity.WARNING, **changes: Any
) -> OpenCondition:
    told = Condition(kind=ConditionKind.EXPIRING, severity=severity, detail="Thirty days left.", stage="30d")
    return replace(OpenCondition(id=name, subject=subject, condition=told, since=START), **changes)


def notice(name: str = "n1", about: str = "c1", **changes: Any) -> Notice:
    base = Notice(
        id=name,
        condition_id=about,
        channel="log",
        kind=NoticeKind.RAISED,
        subject=REF,
        condition=condition().condition,
        since=START,
        created_at=START,
        not_before=START,
    )
    return replace(base, **changes)


def entry(event: HistoryEvent = HistoryEvent.STATE_CHANGED, *, at: datetime = START, **changes: Any) -> HistoryEntry:
    return replace(HistoryEntry(at=at, ref=REF, event=event, detail="Enabled", cause="look"), **changes)
