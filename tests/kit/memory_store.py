"""The store in dictionaries: the same promises as `byokd.store`, without a disk, for simulations of many key-years.

It passes the contract suite of the real one. Everything it holds is an immutable fact, so nothing that a caller keeps
can change under it, and each method runs from start to end without giving others a turn: that is its transaction.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from byokd.errors import LeaseLost, OrderRefused, StoreError
from byokd.facts.change import Change, FleetChange, FleetCounts, KeyFilter, KeyLine
from byokd.facts.condition import Notice, OpenCondition
from byokd.facts.key import ABSENT, NEVER_LOOKED, Absent, KeyRef, LaneId
from byokd.facts.ledger import (
    NOT_PROVED,
    HistoryEntry,
    HistoryEvent,
    Import,
    ImportState,
    Ledger,
    Order,
    OrderState,
    Tier,
)
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.store.times import expiry_seconds
from byokd.store.views import (
    FIRST_MESSAGE,
    FIRST_REASON,
    FIRST_TIER,
    LEFT_CONFIG,
    meanings,
    read_cursor,
    shown_expiry,
    shown_state,
)

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
WAITING = (ImportState.QUEUED, ImportState.FAILED)


@dataclass
class _Key:
    """A key on record. `known` holds what was saved; its rows (imports, orders, conditions) live elsewhere."""

    known: Snapshot
    due_at: datetime | Absent
    managed: bool = True
    tier: Tier = FIRST_TIER
    reason: str = FIRST_REASON
    message: str = FIRST_MESSAGE
    renewals: int = 0
    imports: dict[str, Import] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)


class MemoryStore:
    """See `ports.Store`."""

    def __init__(self) -> None:
        self._keys: dict[KeyRef, _Key] = {}
        self._epochs: dict[LaneId, int] = {}
        # Per lane, a heap of (due_at, ref); an entry counts only while it is what the key says.
        self._agenda: defaultdict[LaneId, list[tuple[datetime, KeyRef]]] = defaultdict(list)
        self._waiting: defaultdict[LaneId, dict[str, Import]] = defaultdict(dict)
        self._conditions: dict[str, OpenCondition] = {}
        self._open: defaultdict[str, dict[str, OpenCondition]] = defaultdict(dict)
        self._notify_at: dict[str, datetime] = {}
        self._notices: dict[str, Notice] = {}
        self._history: list[HistoryEntry] = []

    # The fleet.

    async def sync_fleet(self, desired: Iterable[DesiredKey], *, now: datetime) -> FleetChange:
        counted: Counter[str] = Counter()
        wanted = {each.ref: each for each in desired}
        for ref, each in wanted.items():
            key = self._keys.get(ref)
            if key is None:
                first = Snapshot(desired=each, view=NEVER_LOOKED, proof=NOT_PROVED, ledger=Ledger())
                key = self._keys[ref] = _Key(known=first, due_at=ABSENT, managed=False)
            elif key.managed and key.known.desired == each:
                counted["unchanged"] += 1
                continue
            counted["changed" if key.managed else "added"] += 1
            if not key.managed:
                detail = f"In the fleet {each.fleet}, with material from {each.source}."
                self._record(now, ref, HistoryEvent.TRACKED, detail)
            key.managed = True
            key.known = replace(key.known, desired=each)
            self._set_due(key, now if isinstance(key.due_at, Absent) else min(key.due_at, now))
        for ref, key in self._keys.items():
            if key.managed and ref not in wanted:
                counted["removed"] += 1
                self._remove(ref, key, now)
        return FleetChange(**{name: counted[name] for name in ("added", "changed", "removed", "unchanged")})

    async def acquire_lane(self, lane: LaneId, *, node: str, now: datetime) -> int:
        self._epochs[lane] = self._epochs.get(lane, 0) + 1
        for key in self._keys.values():
            if any(row.lane == lane and row.state is ImportState.RUNNING for row in key.imports.values()):
                self._wake(key, now)
        return self._epochs[lane]

    # The timer queue and the import queue of one lane.

    async def due(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[KeyRef, ...]:
        agenda = self._agenda[lane]
        taken: list[tuple[datetime, KeyRef]] = []
        while len(taken) < limit and (first := self._first(lane)) is not None and first[0] <= now:
            if not taken or taken[-1] != first:  # the same time may have been set twice
                taken.append(first)
            heapq.heappop(agenda)
        for entry in taken:
            heapq.heappush(agenda, entry)
        return tuple(ref for _, ref in taken)

    async def next_due_at(self, lane: LaneId) -> datetime | Absent:
        first = self._first(lane)
        return ABSENT if first is None else first[0]

    async def ready_imports(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[Import, ...]:
        ready = (row for row in self._waiting[lane].values() if row.not_before <= now)
        return tuple(heapq.nsmallest(limit, ready, key=lambda row: (row.deadline, row.id)))

    async def next_ready_at(self, lane: LaneId) -> datetime | Absent:
        return min((row.not_before for row in self._waiting[lane].values()), default=ABSENT)

    async def snapshots(self, refs: Sequence[KeyRef]) -> tuple[Snapshot, ...]:
        return tuple(
            self._snapshot(ref, key) for ref in refs if (key := self._keys.get(ref)) is not None and key.managed
        )

    async def save(self, change: Change) -> None:
        snapshot = change.snapshot
        lane, ref = snapshot.desired.lane, snapshot.ref
        if self._epochs.get(lane) != change.epoch:
            raise LeaseLost(f"Another node owns the lane {lane} now.")
        key = self._keys.get(ref)
        if key is None:
            raise StoreError("A row that was to be changed is not on record.")
        self._check_unique(key, change.imports)
        key.known = replace(snapshot, desired=key.known.desired)
        key.tier, key.reason, key.message = change.tier, change.reason, change.message
        if key.managed:
            self._set_due(key, change.due_at)
        for row in change.imports:
            self._put_import(key, row)
        for order in change.closed_orders:
            if order.id in key.orders:
                key.orders[order.id] = order
        for condition in change.conditions:
            self._put_condition(condition)
        self._history += change.history
        if not key.managed:
            self._close(ref, key)

    async def wake(self, refs: Sequence[KeyRef], *, at: datetime) -> None:
        for ref in refs:
            if ref in self._keys:
                self._wake(self._keys[ref], at)

    # Orders.

    async def add_order(self, order: Order, entry: HistoryEntry) -> None:
        key = self._keys.get(order.ref)
        if key is None or not key.managed:
            raise OrderRefused(f"{order.ref} is not a key of the config.")
        key.orders[order.id] = order
        self._history.append(entry)
        self._wake(key, order.created_at)

    # Conditions of lanes and the daemon, and the outbox.

    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        subjects = (subject,) if subject else tuple(self._open)
        return tuple(sorted((each for of in subjects for each in self._open[of].values()), key=_worst_first))

    async def save_conditions(self, conditions: Sequence[OpenCondition]) -> None:
        for each in conditions:
            self._put_condition(each)

    async def conditions_to_tell(
        self, *, now: datetime, limit: int
    ) -> tuple[tuple[OpenCondition, tuple[Notice, ...]], ...]:
        due = sorted((at, ref) for ref, at in self._notify_at.items() if at <= now)[:limit]
        return tuple((self._conditions[ref], self._notices_of(ref)) for _, ref in due)

    async def save_notices(
        self, condition_id: str, notices: Sequence[Notice], *, decided_for: OpenCondition, again_at: datetime | Absent
    ) -> None:
        if any(notice.condition_id not in self._conditions for notice in notices):
            raise StoreError("A notice of a condition that is not on record.")
        for notice in notices:
            self._notices.setdefault(notice.id, notice)
        if self._conditions.get(condition_id) == decided_for:
            self._notify_at.pop(condition_id, None)
            if not isinstance(again_at, Absent):
                self._notify_at[condition_id] = again_at

    async def outbox(self, *, now: datetime, limit: int) -> tuple[Notice, ...]:
        ready = (notice for notice in self._unsent() if notice.not_before <= now)
        return tuple(heapq.nsmallest(limit, ready, key=lambda notice: (notice.created_at, notice.id)))

    async def save_notice(self, notice: Notice) -> None:
        if notice.id not in self._notices:
            raise StoreError("A row that was to be changed is not on record.")
        self._notices[notice.id] = notice

    async def next_notify_at(self) -> datetime | Absent:
        times = [*self._notify_at.values(), *(notice.not_before for notice in self._unsent())]
        return min(times, default=ABSENT)

    # For people.

    async def find(self, name: str) -> tuple[KeyRef, ...]:
        names = set(meanings(name))
        found = []
        for ref, key in self._keys.items():
            arn = key.known.arn
            key_id = "" if isinstance(arn, Absent) else arn.rpartition("/")[2]
            if names & {ref, arn, key_id, key.known.desired.name}:
                found.append((not key.managed, ref))
        return tuple(ref for _, ref in sorted(found)[:10])

    async def list_keys(self, which: KeyFilter, *, limit: int, after: str = "") -> tuple[KeyLine, ...]:
        lines = [
            (expiry_seconds(line.expiry), line.ref, line)
            for ref, key in self._keys.items()
            if key.managed and _matches(line := self._line(ref, key), which)
        ]
        start = read_cursor(after) if after else (-(2**63), KeyRef(""))
        return tuple(line for *at, line in sorted(lines, key=lambda each: each[:2]) if tuple(at) > start)[:limit]

    async def imports(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Import, ...]:
        keys = self._keys.values() if ref is None else filter(None, (self._keys.get(ref),))
        rows = [row for key in keys for row in key.imports.values() if row.state.open or not only_open]
        rows.sort(key=lambda row: row.id, reverse=not only_open)
        if only_open:
            rows.sort(key=lambda row: row.deadline)
        return tuple(rows[:limit])

    async def history(self, ref: KeyRef | None, *, limit: int) -> tuple[HistoryEntry, ...]:
        return tuple([entry for entry in reversed(self._history) if ref in (None, entry.ref)][:limit])

    async def counts(self) -> FleetCounts:
        managed = [key for key in self._keys.values() if key.managed]
        rows = [row for key in self._keys.values() for row in key.imports.values()]
        opened = [each for of in self._open.values() for each in of.values()]
        return FleetCounts(
            keys=len(managed),
            by_tier=dict(Counter(key.tier.value for key in managed)),
            by_state=dict(Counter(shown_state(key.known.view) for key in managed)),
            queue=dict(Counter(row.state.value for row in rows if row.state.open)),
            conditions=dict(Counter(each.condition.severity.name.lower() for each in opened)),
            notices_waiting=len(self._unsent()),
        )

    # Chores.

    async def prune(self, *, before: datetime, limit: int) -> int:
        gone = 0
        lines = sorted((entry.at, i) for i, entry in enumerate(self._history) if entry.at < before)[:limit]
        indexes = {i for _, i in lines}
        self._history = [entry for i, entry in enumerate(self._history) if i not in indexes]
        gone += len(lines)
        for kind in ("imports", "orders"):
            tables: list[dict[str, Any]] = [getattr(key, kind) for key in self._keys.values()]
            kept = {refused.id for key in self._keys.values() if not isinstance(refused := _in_force(key), Absent)}
            gone += _prune(tables, lambda row: row.finished_at if isinstance(row, Import) else row.closed_at, kept,
                           before=before, limit=limit)  # fmt: skip
        opened = {notice.id for notice in self._notices.values() if self._is_open(notice.condition_id)}
        gone += _prune([self._notices], lambda notice: notice.sent_at, opened, before=before, limit=limit)
        kept = {notice.condition_id for notice in self._notices.values()} | set(self._notify_at)
        return gone + _prune([self._conditions], lambda each: each.resolved_at, kept, before=before, limit=limit)

    # Inside.

    def _first(self, lane: LaneId) -> tuple[datetime, KeyRef] | None:
        agenda = self._agenda[lane]
        while agenda:
            due_at, ref = agenda[0]
            if self._keys[ref].due_at == due_at and self._keys[ref].known.desired.lane == lane:
                return agenda[0]
            heapq.heappop(agenda)
        return None

    def _set_due(self, key: _Key, at: datetime) -> None:
        key.due_at = at
        heapq.heappush(self._agenda[key.known.desired.lane], (at, key.known.ref))

    def _wake(self, key: _Key, at: datetime) -> None:
        if not isinstance(key.due_at, Absent) and key.due_at > at:
            self._set_due(key, at)

    def _record(self, now: datetime, ref: KeyRef, event: HistoryEvent, detail: str) -> None:
        self._history.append(HistoryEntry(at=now, ref=ref, event=event, detail=detail, cause="config"))

    def _remove(self, ref: KeyRef, key: _Key, now: datetime) -> None:
        key.managed, key.due_at = False, ABSENT
        self._close(ref, key, now)
        for order in key.orders.values():
            if order.state is OrderState.OPEN:
                key.orders[order.id] = replace(order, state=OrderState.CANCELLED, closed_at=now, outcome=LEFT_CONFIG)
        self._record(now, ref, HistoryEvent.UNTRACKED, LEFT_CONFIG)

    def _close(self, ref: KeyRef, key: _Key, now: datetime | Absent = ABSENT) -> None:
        """Close the open imports and conditions of a key that left the config, as of `now` or of when they began."""
        for row in tuple(key.imports.values()):
            if row.state.open:
                began = row.created_at if isinstance(row.started_at, Absent) else row.started_at
                ended = began if isinstance(now, Absent) else now
                self._put_import(key, replace(row, state=ImportState.CANCELLED, finished_at=ended, detail=LEFT_CONFIG))
        for condition in tuple(self._open[ref].values()):
            self._put_condition(replace(condition, resolved_at=condition.since if isinstance(now, Absent) else now))

    def _check_unique(self, key: _Key, rows: Sequence[Import]) -> None:
        after = {**key.imports, **{row.id: row for row in rows}}
        opened = Counter(row.material for row in after.values() if row.state.open)
        if any(count > 1 for count in opened.values()):
            raise StoreError("There would be two open imports of one material.")

    def _put_import(self, key: _Key, row: Import) -> None:
        stored = key.imports.get(row.id)
        if stored is not None and not stored.state.open:
            return
        key.imports[row.id] = row
        key.renewals += row.state is ImportState.DONE
        self._waiting[row.lane].pop(row.id, None)
        if row.state in WAITING:
            self._waiting[row.lane][row.id] = row

    def _put_condition(self, condition: OpenCondition) -> None:
        self._conditions[condition.id] = condition
        self._notify_at[condition.id] = AT_ONCE
        self._open[condition.subject].pop(condition.id, None)
        if isinstance(condition.resolved_at, Absent):
            self._open[condition.subject][condition.id] = condition

    def _is_open(self, condition_id: str) -> bool:
        return isinstance(self._conditions[condition_id].resolved_at, Absent)

    def _notices_of(self, condition_id: str) -> tuple[Notice, ...]:
        notices = (notice for notice in self._notices.values() if notice.condition_id == condition_id)
        return tuple(sorted(notices, key=lambda notice: (notice.created_at, notice.id)))

    def _unsent(self) -> list[Notice]:
        return [notice for notice in self._notices.values() if isinstance(notice.sent_at, Absent)]

    def _snapshot(self, ref: KeyRef, key: _Key) -> Snapshot:
        orders = (order for order in key.orders.values() if order.state is OrderState.OPEN)
        ledger = replace(
            key.known.ledger,
            open_import=_open_import(key),
            refused_import=_in_force(key),
            open_orders=tuple(sorted(orders, key=lambda order: (order.created_at, order.id))),
        )
        conditions = tuple(sorted(self._open[ref].values(), key=_worst_first)) if self._open[ref] else ()
        return replace(key.known, ledger=ledger, conditions=conditions)

    def _line(self, ref: KeyRef, key: _Key) -> KeyLine:
        desired, opened = key.known.desired, _open_import(key)
        assert not isinstance(key.due_at, Absent), "a managed key is always due some time"
        return KeyLine(
            ref=ref,
            name=desired.name,
            fleet=desired.fleet,
            lane=desired.lane,
            arn=key.known.arn,
            state=shown_state(key.known.view),
            expiry=shown_expiry(key.known),
            started_at=key.known.ledger.last_success_at,
            tier=key.tier,
            reason=key.reason,
            message=key.message,
            severity=max((each.condition.severity for each in self._open[ref].values()), default=ABSENT),
            due_at=key.due_at,
            import_state=ABSENT if isinstance(opened, Absent) else opened.state,
            renewals=key.renewals,
        )


def _worst_first(condition: OpenCondition) -> tuple[int, datetime, str]:
    return -condition.condition.severity, condition.since, condition.id


def _open_import(key: _Key) -> Import | Absent:
    managed = key.known.ledger.material
    opened = (row for row in key.imports.values() if row.state.open)
    return max(opened, key=lambda row: (row.material == managed, row.id), default=ABSENT)


def _in_force(key: _Key) -> Import | Absent:
    """The newest refused row, unless a done one came after it."""
    ended = (row for row in key.imports.values() if row.state in (ImportState.REFUSED, ImportState.DONE))
    newest = max(ended, key=lambda row: row.id, default=ABSENT)
    return newest if isinstance(newest, Absent) or newest.state is ImportState.REFUSED else ABSENT


def _matches(line: KeyLine, which: KeyFilter) -> bool:
    arn = "" if isinstance(line.arn, Absent) else line.arn
    return (
        which.fleet in ("", line.fleet)
        and which.lane in ("", line.lane)
        and which.tier in ("", line.tier.value)
        and (which.text.lower() in line.name.lower() or which.text.lower() in arn.lower())
    )


def _prune(tables: Sequence[dict[str, Any]], ended_at: Any, kept: set[str], *, before: datetime, limit: int) -> int:
    """Delete at most `limit` rows that ended before `before`, oldest first; returns how many there were."""
    old = sorted(
        (ended, row.id, i)
        for i, table in enumerate(tables)
        for row in table.values()
        if not isinstance(ended := ended_at(row), Absent) and ended < before and row.id not in kept
    )[:limit]
    for _, row_id, i in old:
        del tables[i][row_id]
    return len(old)
