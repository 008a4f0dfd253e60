"""The store in dictionaries: the same promises as `byokd.store`, without a disk, for simulations of many key-years.

It passes the contract suite of the real one. Everything it holds is an immutable fact, so nothing that a caller keeps
can change under it, and each method runs from start to end without giving others a turn: that is its transaction.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from byokd.errors import LeaseLost, StoreError
from byokd.facts.change import Change, FleetChange, FleetCounts, KeyFilter, KeyLine
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import ABSENT, NEVER_LOOKED, Absent, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import (
    NOT_PROVED,
    HistoryEntry,
    HistoryEvent,
    Import,
    ImportState,
    Ledger,
    OrderState,
    Track,
)
from byokd.facts.policy import DesiredKey, LearnedPace
from byokd.facts.prospect import Prospect
from byokd.facts.relative import Relative, identity
from byokd.facts.snapshot import Snapshot
from byokd.store.times import expiry_seconds
from byokd.store.tracks import rearranged, with_rows
from byokd.store.views import (
    LEFT_CONFIG,
    meanings,
    read_cursor,
    shown_expiry,
    shown_role,
    shown_state,
)
from tests.kit.memory_key import Key
from tests.kit.memory_orders import MemoryOrders
from tests.kit.memory_outbox import MemoryOutbox
from tests.kit.memory_past import MemoryPast
from tests.kit.memory_prospects import prospect
from tests.kit.memory_pruning import prune_rows
from tests.kit.memory_relatives import relatives

WAITING = (ImportState.QUEUED, ImportState.FAILED)


class MemoryStore(MemoryOrders, MemoryOutbox, MemoryPast):
    """See `ports.Store`."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[KeyRef, Key] = {}
        self._taken_from = ""
        self._epochs: dict[LaneId, int] = {}
        self._paces: dict[LaneId, dict[str, LearnedPace]] = {}
        self._kept_at: dict[LaneId, datetime] = {}
        # Per lane, a heap of (due_at, ref); an entry counts only while it is what the key says.
        self._agenda: defaultdict[LaneId, list[tuple[datetime, KeyRef]]] = defaultdict(list)
        self._waiting: defaultdict[LaneId, dict[str, Import]] = defaultdict(dict)
        self._history: list[HistoryEntry] = []

    # The fleet.

    async def taken_from(self) -> str:
        return self._taken_from

    async def sync_fleet(self, desired: Iterable[DesiredKey], *, now: datetime, digest: str = "") -> FleetChange:
        counted: Counter[str] = Counter()
        wanted = {each.ref: each for each in desired}
        self._taken_from = digest
        for ref, each in wanted.items():
            key = self._keys.get(ref)
            if key is None:
                others = (Track(),) * len(each.further)
                first = Snapshot(desired=each, view=NEVER_LOOKED, proof=NOT_PROVED, ledger=Ledger(), others=others)
                key = self._keys[ref] = Key(known=first, due_at=ABSENT, managed=False)
            elif key.managed and key.known.desired == each:
                counted["unchanged"] += 1
                continue
            counted["changed" if key.managed else "added"] += 1
            if not key.managed:
                detail = f"In the fleet {each.fleet}, with material from {each.source}."
                self._record(now, ref, HistoryEvent.TRACKED, detail)
            key.managed = True
            key.known = rearranged(key.known, each)
            self._set_due(key, now if isinstance(key.due_at, Absent) else min(key.due_at, now))
        for ref, key in self._keys.items():
            if key.managed and ref not in wanted:
                counted["removed"] += 1
                self._remove(ref, key, now)
        return FleetChange(**{name: counted[name] for name in ("added", "changed", "removed", "unchanged")})

    async def acquire_lane(self, lane: LaneId, *, node: str, now: datetime) -> int:
        self._epochs[lane] = self._epochs.get(lane, 0) + 1
        set_back = lane in self._kept_at and self._kept_at[lane] > now
        self._kept_at[lane] = now
        for key in self._keys.values():
            running = any(row.lane == lane and row.state is ImportState.RUNNING for row in key.opened.values())
            if running or (set_back and key.known.desired.lane == lane):
                self._wake(key, now)
        return self._epochs[lane]

    async def keep_lane(
        self, lane: LaneId, *, epoch: int, now: datetime, look_again: bool, paces: Mapping[str, LearnedPace]
    ) -> None:
        if self._epochs.get(lane) != epoch:
            raise LeaseLost(f"Another node owns the lane {lane} now.")
        self._kept_at[lane] = now
        self._paces[lane] = dict(paces)
        if look_again:
            for key in self._keys.values():
                if key.known.desired.lane == lane:
                    self._wake(key, now)

    async def learned_paces(self, lane: LaneId) -> Mapping[str, LearnedPace]:
        return self._paces.get(lane, {})

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

    async def next_due_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
        agenda, passed = self._agenda[lane], []
        while (first := self._first(lane)) is not None and first[0] <= after:
            passed.append(heapq.heappop(agenda))
        for entry in passed:
            heapq.heappush(agenda, entry)
        return ABSENT if first is None else first[0]

    async def ready_imports(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[Import, ...]:
        ready = [row for row in self._waiting[lane].values() if row.not_before <= now]
        return tuple(heapq.nsmallest(limit, ready, key=lambda row: row.turn)) if ready else ()

    async def next_ready_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
        later = (row.not_before for row in self._waiting[lane].values() if row.not_before > after)
        return min(later, default=ABSENT)

    async def snapshots(self, refs: Sequence[KeyRef]) -> tuple[Snapshot, ...]:
        found = [self._snapshot(ref, key) for ref in refs if (key := self._keys.get(ref)) is not None and key.managed]
        return tuple([await self._with_relatives(each) for each in found])

    async def _with_relatives(self, snapshot: Snapshot) -> Snapshot:
        arn = snapshot.arn
        found = () if isinstance(arn, Absent) or not identity(arn) else await self.relatives(arn, snapshot.ref)
        return snapshot if found == snapshot.relatives else replace(snapshot, relatives=found)

    async def others_known_as(self, arn: KeyArn, ref: KeyRef) -> tuple[str, ...]:
        others = (key.known for other, key in self._keys.items() if key.managed and other != ref)
        return tuple(known.desired.name for known in others if known.arn == arn)

    async def relatives(self, arn: KeyArn, ref: KeyRef) -> tuple[Relative, ...]:
        managed = (key for key in self._keys.values() if key.managed and key.known.ref != ref)
        return relatives(((key.known, key.message, tuple(key.orders.values())) for key in managed), arn)

    async def save(self, change: Change) -> None:
        snapshot = change.snapshot
        lane, ref = snapshot.desired.lane, snapshot.ref
        if self._epochs.get(lane) != change.epoch:
            raise LeaseLost(f"Another node owns the lane {lane} now.")
        key = self._keys.get(ref)
        if key is None:
            raise StoreError("A row that was to be changed is not on record.")
        key.check_unique(change.imports)
        key.known = rearranged(snapshot, key.known.desired)
        key.tier, key.reason, key.message = change.tier, change.reason, change.message
        if key.managed:
            self._set_due(key, change.due_at)
        for row in change.imports:
            self._put_import(key, row)
        for order in change.given:
            key.orders.setdefault(order.id, order)
        for order in change.orders:
            stored = key.orders.get(order.id)
            if stored is not None and stored.state is OrderState.OPEN:
                key.orders[order.id] = order
        for condition in (*change.conditions, *change.reworded):
            self.put_condition(condition)
        self._history += change.history
        if not key.managed:
            self._close(ref, key)

    async def wake(self, refs: Sequence[KeyRef], *, at: datetime) -> None:
        for ref in refs:
            if ref in self._keys:
                self._wake(self._keys[ref], at)

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
            if key.managed and _matches(line := self._line(ref, key), which) and self._has(ref, which.condition)
        ]
        start = read_cursor(after) if after else (-(2**63), KeyRef(""))
        return tuple(line for *at, line in sorted(lines, key=lambda each: each[:2]) if tuple(at) > start)[:limit]

    async def imports(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Import, ...]:
        keys = self._keys.values() if ref is None else filter(None, (self._keys.get(ref),))
        rows = [row for key in keys for row in (key.opened if only_open else key.imports).values()]
        if only_open:
            rows.sort(key=lambda row: row.turn)
        else:
            rows.sort(key=lambda row: row.id, reverse=True)
        return tuple(rows[:limit])

    async def history(self, ref: KeyRef | None, *, limit: int) -> tuple[HistoryEntry, ...]:
        return tuple([entry for entry in reversed(self._history) if ref in (None, entry.ref)][:limit])

    async def prospects(self, lane: LaneId, *, limit: int, after: str = "") -> tuple[Prospect, ...]:
        found = ((ref, key) for ref, key in self._keys.items() if key.managed and key.known.desired.lane == lane)
        page = heapq.nsmallest(limit, ((ref, key) for ref, key in found if ref > after), key=lambda each: each[0])
        return tuple(prospect(key.known, key.tier, key.reason) for _, key in page)

    async def deadlines(self, subjects: Sequence[str]) -> dict[str, datetime]:
        known = {ref: self._keys[KeyRef(ref)].known for ref in subjects if ref in self._keys}
        ends = {ref: shown_expiry(each) for ref, each in known.items()}
        return {ref: at for ref, at in ends.items() if isinstance(at, datetime)}

    async def count_open(self, kind: ConditionKind, lane: LaneId, *, at_least: Severity) -> int:
        mine = (ref for ref, key in self._keys.items() if key.managed and key.known.desired.lane == lane)
        told = ((each.condition for each in self.open_of(ref)) for ref in mine)
        return sum(any(each.kind is kind and each.severity >= at_least for each in those) for those in told)

    async def counts(self) -> FleetCounts:
        managed = [key for key in self._keys.values() if key.managed]
        rows = [row for key in self._keys.values() for row in key.opened.values()]
        conditions, unsent = self.figures()
        return FleetCounts(
            keys=len(managed),
            by_tier=dict(Counter(key.tier.value for key in managed)),
            by_state=dict(Counter(shown_state(key.known.view) for key in managed)),
            queue=dict(Counter(row.state.value for row in rows)),
            conditions=conditions,
            notices_waiting=unsent,
        )

    # Chores.

    async def prune(self, *, before: datetime, limit: int) -> int:
        gone = 0
        lines = sorted((entry.at, i) for i, entry in enumerate(self._history) if entry.at < before)[:limit]
        indexes = {i for _, i in lines}
        self._history = [entry for i, entry in enumerate(self._history) if i not in indexes]
        gone += len(lines)
        kept = {row.id for key in self._keys.values() for row in key.in_force}
        imports = [key.imports for key in self._keys.values()]
        gone += prune_rows(imports, lambda row: row.finished_at, kept, before=before, limit=limit)
        orders = [key.orders for key in self._keys.values()]
        gone += prune_rows(orders, lambda order: order.closed_at, (), before=before, limit=limit)
        return gone + self.prune_told(before=before, limit=limit)

    # Inside.

    def _first(self, lane: LaneId) -> tuple[datetime, KeyRef] | None:
        agenda = self._agenda[lane]
        while agenda:
            due_at, ref = agenda[0]
            if self._keys[ref].due_at == due_at and self._keys[ref].known.desired.lane == lane:
                return agenda[0]
            heapq.heappop(agenda)
        return None

    def _set_due(self, key: Key, at: datetime) -> None:
        key.due_at = at
        heapq.heappush(self._agenda[key.known.desired.lane], (at, key.known.ref))

    def _wake(self, key: Key, at: datetime) -> None:
        if not isinstance(key.due_at, Absent) and key.due_at > at:
            self._set_due(key, at)

    def _record(self, now: datetime, ref: KeyRef, event: HistoryEvent, detail: str) -> None:
        self._history.append(HistoryEntry(at=now, ref=ref, event=event, detail=detail, cause="config"))

    def _remove(self, ref: KeyRef, key: Key, now: datetime) -> None:
        key.managed, key.due_at = False, ABSENT
        self._close(ref, key, now)
        self._record(now, ref, HistoryEvent.UNTRACKED, LEFT_CONFIG)

    def _close(self, ref: KeyRef, key: Key, now: datetime | Absent = ABSENT) -> None:
        """Close the open rows of a key that left the config, as of `now` or of when they began."""
        for row in tuple(key.opened.values()):
            began = row.created_at if isinstance(row.started_at, Absent) else row.started_at
            ended = began if isinstance(now, Absent) else now
            self._put_import(key, replace(row, state=ImportState.CANCELLED, finished_at=ended, detail=LEFT_CONFIG))
        for order in key.orders.values():
            if order.closed_at is ABSENT:
                at = order.created_at if isinstance(now, Absent) else now
                key.orders[order.id] = replace(order, state=OrderState.CANCELLED, closed_at=at, outcome=LEFT_CONFIG)
        self.resolve_all(ref, now)

    def _put_import(self, key: Key, row: Import) -> None:
        stored = key.imports.get(row.id)
        if stored is not None and not stored.state.open:
            return
        key.put(row)
        self._waiting[row.lane].pop(row.id, None)
        if row.state in WAITING:
            self._waiting[row.lane][row.id] = row

    def _snapshot(self, ref: KeyRef, key: Key) -> Snapshot:
        orders = (order for order in key.orders.values() if order.state is OrderState.OPEN)
        by_age = tuple(sorted(orders, key=lambda order: (order.created_at, order.id)))
        known, conditions = key.known, self.open_of(ref)
        rows = (*key.opened.values(), *key.in_force)
        rowless = not rows and not known.open_imports and known.ledger.refused_import is ABSENT
        if rowless and known.ledger.open_orders == by_age and known.conditions == conditions:
            return known  # nothing of it lives elsewhere: nearly always, and copies are dear
        ledger = replace(known.ledger, open_orders=by_age)
        return with_rows(replace(known, ledger=ledger, conditions=conditions), rows)

    def _line(self, ref: KeyRef, key: Key) -> KeyLine:
        desired, opened = key.known.desired, key.open_import
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
            severity=max((each.condition.severity for each in self.open_of(ref)), default=ABSENT),
            due_at=key.due_at,
            import_state=ABSENT if isinstance(opened, Absent) else opened.state,
            renewals=key.renewals,
            role=shown_role(key.known.view),
        )


def _matches(line: KeyLine, which: KeyFilter) -> bool:
    arn = "" if isinstance(line.arn, Absent) else line.arn
    return (
        which.fleet in ("", line.fleet)
        and which.lane in ("", line.lane)
        and which.tier in ("", line.tier.value)
        and (which.text.lower() in line.name.lower() or which.text.lower() in arn.lower())
    )
