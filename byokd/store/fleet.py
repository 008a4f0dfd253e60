"""Taking over a config: the keys on record become those of the config, in one transaction.

The config streams through in chunks; each chunk is compared with what is on record of it, so that a known, unchanged
key costs one comparison and no write. Keys that are gone are searched for only when the numbers say there are some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Case, Connection, bindparam, case, delete, func, insert, null, select, update

from byokd.facts.change import FleetChange
from byokd.facts.key import NEVER_LOOKED, KeyRef
from byokd.facts.ledger import NOT_PROVED, HistoryEntry, HistoryEvent, ImportState, Ledger, OrderState, Track
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.store.codec import write_policy
from byokd.store.snapshots import chunks
from byokd.store.tables import conditions as told
from byokd.store.tables import imports as queue
from byokd.store.tables import orders as ordered
from byokd.store.tables.conditions import AT_ONCE, conditions
from byokd.store.tables.history import entry_values, history
from byokd.store.tables.imports import imports
from byokd.store.tables.keys import MANAGED, desired_values, keys, known_values, policies
from byokd.store.tables.metadata import insert_new
from byokd.store.tables.orders import orders
from byokd.store.tables.takeovers import takeovers
from byokd.store.times import seconds
from byokd.store.views import FIRST_MESSAGE, FIRST_REASON, FIRST_TIER, LEFT_CONFIG

CAUSE: Final = "config"
"""In history: why a key came or went."""


def earlier(at: BindParameter[Any]) -> Case[Any]:
    """A key's `due_at`, or `at` where that is earlier or the key was not due at all."""
    return case((keys.c.due_at < at, keys.c.due_at), else_=at)


_COMPARED: Final = ("lane", "name", "fleet", "source", "locator", "desired_arn", "policy_id", "further")
_REFS: Final[BindParameter[Any]] = bindparam("refs", expanding=True)
_ON_RECORD: Final = select(keys.c.ref, keys.c.pinned_arn, keys.c.due_at, *(keys.c[name] for name in _COMPARED)).where(
    keys.c.ref.in_(_REFS)
)

_ADD_POLICY: Final = insert_new(policies)
_CHANGE: Final = (
    update(keys)
    .where(keys.c.ref == bindparam("of_ref"))
    .values({name: bindparam(name) for name in (*_COMPARED, "arn", "key_id")} | {"due_at": earlier(bindparam("now"))})
)
_LEAVE: Final = update(keys).where(keys.c.ref.in_(_REFS)).values(due_at=null())
_CANCEL_IMPORTS: Final = (
    update(imports)
    .where(imports.c.ref.in_(_REFS), queue.OPEN)
    .values(state=ImportState.CANCELLED.value, finished_at=bindparam("now"), detail=LEFT_CONFIG)
)
_CANCEL_ORDERS: Final = (
    update(orders)
    .where(orders.c.ref.in_(_REFS), ordered.NOT_CLOSED)
    .values(state=OrderState.CANCELLED.value, closed_at=bindparam("now"), outcome=LEFT_CONFIG)
)
_RESOLVE: Final = (
    update(conditions)
    .where(conditions.c.subject.in_(_REFS), told.OPEN)
    .values(resolved_at=bindparam("now"), notify_at=AT_ONCE)
)


class _Sync:
    """One take-over under way: what was counted and met so far."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.met: set[KeyRef] = set()
        self.policies: set[str] = set()
        self.added = self.changed = self.unchanged = 0

    def take(self, chunk: list[DesiredKey]) -> None:
        """Compare one chunk of the config with what is on record, and write the difference."""
        on_record = {row.ref: row for row in self.connection.execute(_ON_RECORD, {"refs": [key.ref for key in chunk]})}
        new: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        tracked: list[HistoryEntry] = []
        for desired in chunk:
            row = on_record.get(desired.ref)
            values = desired_values(desired, pinned_arn=None if row is None else row.pinned_arn)
            if row is None:
                new.append(_first_values(desired) | values | {"due_at": seconds(self.now)})
            elif row.due_at is None or any(getattr(row, name) != values[name] for name in _COMPARED):
                changed.append(values | {"of_ref": desired.ref, "now": seconds(self.now)})
            else:
                self.unchanged += 1
                continue
            self._intern(desired)
            if row is None or row.due_at is None:
                tracked.append(_tracked(desired, self.now))
        self.added += len(tracked)
        self.changed += len(new) + len(changed) - len(tracked)
        for statement, rows in ((insert(keys), new), (_CHANGE, changed)):
            if rows:
                self.connection.execute(statement, rows)
        self._record(tracked)

    def remove_others(self) -> int:
        """Take every key that was not met out of the fleet; returns how many there were."""
        known = self.connection.scalar(select(func.count()).select_from(keys).where(MANAGED))
        if known == len(self.met):
            return 0
        refs = self.connection.scalars(select(keys.c.ref).where(MANAGED)).all()
        gone = [ref for ref in refs if ref not in self.met]
        for chunk in chunks(gone):
            parameters = {"refs": chunk, "now": seconds(self.now)}
            self.connection.execute(_LEAVE, {"refs": chunk})
            for statement in (_CANCEL_IMPORTS, _CANCEL_ORDERS, _RESOLVE):
                self.connection.execute(statement, parameters)
            self._record(
                HistoryEntry(
                    at=self.now, ref=KeyRef(ref), event=HistoryEvent.UNTRACKED, detail=LEFT_CONFIG, cause=CAUSE
                )
                for ref in chunk
            )
        return len(gone)

    def first_met(self, desired: Iterable[DesiredKey]) -> Iterator[DesiredKey]:
        """The keys of the config, each once."""
        for key in desired:
            if key.ref not in self.met:
                self.met.add(key.ref)
                yield key

    def _intern(self, desired: DesiredKey) -> None:
        identity, body = write_policy(desired.policy)
        if identity not in self.policies:
            self.policies.add(identity)
            self.connection.execute(_ADD_POLICY, {"id": identity, "body": body})

    def _record(self, entries: Iterable[HistoryEntry]) -> None:
        if rows := [entry_values(entry) for entry in entries]:
            self.connection.execute(insert(history), rows)


def taken_from(connection: Connection) -> str:
    """The digest of the config that the managed keys are those of; empty where it is not known."""
    return connection.scalar(select(takeovers.c.digest)) or ""


def sync_fleet(connection: Connection, desired: Iterable[DesiredKey], *, now: datetime, digest: str) -> FleetChange:
    """Make the managed keys those of `desired`, which `digest` names; the same key twice counts once."""
    connection.execute(delete(takeovers))
    if digest:
        connection.execute(insert(takeovers), {"digest": digest})
    sync = _Sync(connection, now)
    for chunk in chunks(sync.first_met(desired)):
        sync.take(chunk)
    removed = sync.remove_others()
    return FleetChange(added=sync.added, changed=sync.changed, removed=removed, unchanged=sync.unchanged)


def _first_values(desired: DesiredKey) -> dict[str, Any]:
    others = (Track(),) * len(desired.further)
    snapshot = Snapshot(desired=desired, view=NEVER_LOOKED, proof=NOT_PROVED, ledger=Ledger(), others=others)
    return known_values(snapshot) | {
        "tier": FIRST_TIER.value,
        "reason": FIRST_REASON.value,
        "message": FIRST_MESSAGE,
        "renewals": 0,
    }


def _tracked(desired: DesiredKey, now: datetime) -> HistoryEntry:
    detail = f"In the fleet {desired.fleet}, with material from {desired.source}."
    return HistoryEntry(at=now, ref=desired.ref, event=HistoryEvent.TRACKED, detail=detail, cause=CAUSE)
