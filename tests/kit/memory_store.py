"""The store in memory: the same contract as SQLite's, without a disk to lose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from byokd.errors import LeaseLost
from byokd.facts.change import Change, FleetChange, FleetCounts, KeyFilter, KeyLine
from byokd.facts.condition import Notice, OpenCondition
from byokd.facts.key import ABSENT, NEVER_LOOKED, Absent, Blind, KeyRef, LaneId, NeverLooked
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

_READY = (ImportState.QUEUED, ImportState.FAILED)


@dataclass(slots=True)
class _Row:
    snapshot: Snapshot
    due_at: datetime
    managed: bool = True
    tier: Tier = Tier.FRESH
    reason: str = ""
    message: str = ""


@dataclass(slots=True)
class MemoryStore:
    """Implements `ports.Store`."""

    rows: dict[KeyRef, _Row] = field(default_factory=dict)
    epochs: dict[LaneId, int] = field(default_factory=dict)
    queue: dict[str, Import] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    entries: list[HistoryEntry] = field(default_factory=list)
    conditions: dict[str, OpenCondition] = field(default_factory=dict)
    tell_at: dict[str, datetime | Absent] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)

    async def sync_fleet(self, desired: Iterable[DesiredKey], *, now: datetime) -> FleetChange:
        """See `ports.Store`."""
        added = changed = unchanged = removed = 0
        wanted = {each.ref: each for each in desired}
        for ref, each in wanted.items():
            row = self.rows.get(ref)
            if row is None:
                ledger = Ledger(pinned_arn=each.arn)
                snapshot = Snapshot(desired=each, view=NEVER_LOOKED, proof=NOT_PROVED, ledger=ledger)
                self.rows[ref] = _Row(snapshot=snapshot, due_at=now)
                self.entries.append(HistoryEntry(at=now, ref=ref, event=HistoryEvent.TRACKED, detail=each.name))
                added += 1
            elif not row.managed or row.snapshot.desired != each:
                added, changed = added + (not row.managed), changed + row.managed
                row.snapshot, row.due_at, row.managed = replace(row.snapshot, desired=each), now, True
            else:
                unchanged += 1
        for ref, row in self.rows.items():
            if row.managed and ref not in wanted:
                row.managed = False
                removed += 1
                self._let_go(ref, now)
        return FleetChange(added=added, changed=changed, removed=removed, unchanged=unchanged)

    def _let_go(self, ref: KeyRef, now: datetime) -> None:
        self.entries.append(HistoryEntry(at=now, ref=ref, event=HistoryEvent.UNTRACKED, detail="left the config"))
        for row in self.queue.values():
            if row.ref == ref and row.state.open:
                self.queue[row.id] = replace(row, state=ImportState.CANCELLED, finished_at=now)
        for order in self.orders.values():
            if order.ref == ref and order.state is OrderState.OPEN:
                self.orders[order.id] = replace(order, state=OrderState.CANCELLED, closed_at=now)
        for each in self.conditions.values():
            if each.subject == ref and isinstance(each.resolved_at, Absent):
                self._put_condition(replace(each, resolved_at=now))

    async def acquire_lane(self, lane: LaneId, *, node: str, now: datetime) -> int:
        """See `ports.Store`."""
        self.epochs[lane] = self.epochs.get(lane, 0) + 1
        for each in self.queue.values():
            if each.lane == lane and each.state is ImportState.RUNNING:
                self.rows[each.ref].due_at = min(self.rows[each.ref].due_at, now)
        return self.epochs[lane]

    async def due(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[KeyRef, ...]:
        """See `ports.Store`."""
        mine = [(row.due_at, ref) for ref, row in self._of(lane) if row.due_at <= now]
        return tuple(ref for _, ref in sorted(mine)[:limit])

    async def next_due_at(self, lane: LaneId) -> datetime | Absent:
        """See `ports.Store`."""
        return min((row.due_at for _, row in self._of(lane)), default=ABSENT)

    async def ready_imports(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[Import, ...]:
        """See `ports.Store`."""
        rows = [each for each in self._waiting(lane) if each.not_before <= now]
        return tuple(sorted(rows, key=lambda each: (each.deadline, each.id))[:limit])

    async def next_ready_at(self, lane: LaneId) -> datetime | Absent:
        """See `ports.Store`."""
        return min((each.not_before for each in self._waiting(lane)), default=ABSENT)

    async def snapshots(self, refs: Sequence[KeyRef]) -> tuple[Snapshot, ...]:
        """See `ports.Store`."""
        return tuple(self._snapshot(ref) for ref in refs if ref in self.rows and self.rows[ref].managed)

    async def save(self, change: Change) -> None:
        """See `ports.Store`."""
        snapshot = change.snapshot
        if self.epochs.get(snapshot.desired.lane) != change.epoch:
            raise LeaseLost(f"epoch {change.epoch} of {snapshot.desired.lane} is over")
        row = self.rows[snapshot.ref]
        row.snapshot = replace(snapshot, desired=row.snapshot.desired)
        row.due_at, row.tier, row.reason, row.message = change.due_at, change.tier, change.reason, change.message
        self.queue.update({each.id: each for each in change.imports})
        self.orders.update({each.id: each for each in change.closed_orders})
        for each in change.conditions:
            self._put_condition(each)
        self.entries.extend(change.history)

    async def wake(self, refs: Sequence[KeyRef], *, at: datetime) -> None:
        """See `ports.Store`."""
        for ref in refs:
            if ref in self.rows:
                self.rows[ref].due_at = min(self.rows[ref].due_at, at)

    async def add_order(self, order: Order, entry: HistoryEntry) -> None:
        """See `ports.Store`."""
        self.orders[order.id] = order
        self.entries.append(entry)
        await self.wake([order.ref], at=order.created_at)

    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        """See `ports.Store`."""
        found = [
            each
            for each in self.conditions.values()
            if isinstance(each.resolved_at, Absent) and subject in ("", each.subject)
        ]
        return tuple(sorted(found, key=lambda each: (-each.condition.severity, each.id)))

    async def save_conditions(self, conditions: Sequence[OpenCondition]) -> None:
        """See `ports.Store`."""
        for each in conditions:
            self._put_condition(each)

    async def conditions_to_tell(
        self, *, now: datetime, limit: int
    ) -> tuple[tuple[OpenCondition, tuple[Notice, ...]], ...]:
        """See `ports.Store`."""
        due = [each for each in self.conditions.values() if not _later(self.tell_at[each.id], now)][:limit]
        return tuple((each, tuple(n for n in self.notices.values() if n.condition_id == each.id)) for each in due)

    async def save_notices(
        self, condition_id: str, notices: Sequence[Notice], *, decided_for: OpenCondition, again_at: datetime | Absent
    ) -> None:
        """See `ports.Store`."""
        self.notices.update({each.id: each for each in notices})
        if self.conditions[condition_id] == decided_for:
            self.tell_at[condition_id] = again_at

    async def outbox(self, *, now: datetime, limit: int) -> tuple[Notice, ...]:
        """See `ports.Store`."""
        waiting = [
            each for each in self.notices.values() if isinstance(each.sent_at, Absent) and each.not_before <= now
        ]
        return tuple(sorted(waiting, key=lambda each: (each.created_at, each.id))[:limit])

    async def save_notice(self, notice: Notice) -> None:
        """See `ports.Store`."""
        self.notices[notice.id] = notice

    async def next_notify_at(self) -> datetime | Absent:
        """See `ports.Store`."""
        times = [at for at in self.tell_at.values() if not isinstance(at, Absent)]
        times += [each.not_before for each in self.notices.values() if isinstance(each.sent_at, Absent)]
        return min(times, default=ABSENT)

    async def find(self, name: str) -> tuple[KeyRef, ...]:
        """See `ports.Store`."""
        found = []
        for ref, row in self.rows.items():
            arn = row.snapshot.arn
            names = {ref, row.snapshot.desired.name, arn, "" if isinstance(arn, Absent) else arn.rpartition("/")[2]}
            if row.managed and name in names:
                found.append(ref)
        return tuple(found[:10])

    async def list_keys(self, which: KeyFilter, *, limit: int, after: str = "") -> tuple[KeyLine, ...]:
        """See `ports.Store`."""
        lines = [self._line(ref) for ref, row in self.rows.items() if row.managed]
        lines = [
            line
            for line in lines
            if which.fleet in ("", line.fleet)
            and which.lane in ("", line.lane)
            and which.tier in ("", line.tier.value)
            and which.text.lower() in f"{line.name} {line.arn}".lower()
        ]
        keyed = sorted(lines, key=_position)
        return tuple(line for line in keyed if _position(line) > after)[:limit]

    async def imports(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Import, ...]:
        """See `ports.Store`."""
        rows = [each for each in self.queue.values() if ref in (None, each.ref) and (each.state.open or not only_open)]
        if only_open:
            return tuple(sorted(rows, key=lambda each: (each.deadline, each.id))[:limit])
        return tuple(sorted(rows, key=lambda each: each.id, reverse=True)[:limit])

    async def history(self, ref: KeyRef | None, *, limit: int) -> tuple[HistoryEntry, ...]:
        """See `ports.Store`."""
        mine = [each for each in self.entries if ref in (None, each.ref)]
        return tuple(reversed(mine[-limit:]))

    async def counts(self) -> FleetCounts:
        """See `ports.Store`."""
        lines = [self._line(ref) for ref, row in self.rows.items() if row.managed]
        return FleetCounts(
            keys=len(lines),
            by_tier=_tally(line.tier.value for line in lines),
            by_state=_tally(line.state for line in lines),
            queue=_tally(each.state.value for each in self.queue.values() if each.state.open),
            conditions=_tally(each.condition.severity.name.lower() for each in await self.open_conditions()),
            notices_waiting=sum(isinstance(each.sent_at, Absent) for each in self.notices.values()),
        )

    async def prune(self, *, before: datetime, limit: int) -> int:
        """See `ports.Store`."""
        old = [each for each in self.entries if each.at < before][:limit]
        self.entries = [each for each in self.entries if each not in old]
        return len(old)

    def _of(self, lane: LaneId) -> list[tuple[KeyRef, _Row]]:
        return [(ref, row) for ref, row in self.rows.items() if row.managed and row.snapshot.desired.lane == lane]

    def _waiting(self, lane: LaneId) -> list[Import]:
        return [each for each in self.queue.values() if each.lane == lane and each.state in _READY]

    def _put_condition(self, condition: OpenCondition) -> None:
        self.conditions[condition.id] = condition
        self.tell_at[condition.id] = condition.since

    def _snapshot(self, ref: KeyRef) -> Snapshot:
        row = self.rows[ref]
        mine = [each for each in self.queue.values() if each.ref == ref]
        done = max((each.id for each in mine if each.state is ImportState.DONE), default="")
        refused = [each for each in mine if each.state is ImportState.REFUSED and each.id > done]
        ledger = replace(
            row.snapshot.ledger,
            open_import=next((each for each in mine if each.state.open), ABSENT),
            refused_import=max(refused, key=lambda each: each.id) if refused else ABSENT,
            open_orders=tuple(
                sorted(
                    (each for each in self.orders.values() if each.ref == ref and each.state is OrderState.OPEN),
                    key=lambda each: each.id,
                )
            ),
        )
        conditions = [
            each for each in self.conditions.values() if each.subject == ref and isinstance(each.resolved_at, Absent)
        ]
        return replace(row.snapshot, ledger=ledger, conditions=tuple(conditions))

    def _line(self, ref: KeyRef) -> KeyLine:
        snapshot, row = self._snapshot(ref), self.rows[ref]
        view, ledger = snapshot.view, snapshot.ledger
        done = [each for each in self.queue.values() if each.ref == ref and each.state is ImportState.DONE]
        state = "NeverLooked" if isinstance(view, NeverLooked) else "Blind" if isinstance(view, Blind) else view.state
        return KeyLine(
            ref=ref,
            name=snapshot.desired.name,
            fleet=snapshot.desired.fleet,
            lane=snapshot.desired.lane,
            arn=snapshot.arn,
            state=str(state),
            expiry=ledger.last_expiry,
            started_at=ledger.last_success_at,
            tier=row.tier,
            reason=row.reason,
            message=row.message,
            severity=max((each.condition.severity for each in snapshot.conditions), default=ABSENT),
            due_at=row.due_at,
            import_state=ABSENT if isinstance(ledger.open_import, Absent) else ledger.open_import.state,
            renewals=len(done),
        )


def _later(at: datetime | Absent, now: datetime) -> bool:
    return isinstance(at, Absent) or at > now


def _position(line: KeyLine) -> str:
    when = line.expiry.isoformat() if isinstance(line.expiry, datetime) else f"~{line.expiry}"
    return f"{when} {line.ref}"


def _tally(values: Iterable[str]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for value in values:
        tally[value] = tally.get(value, 0) + 1
    return tally
