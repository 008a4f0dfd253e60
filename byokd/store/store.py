"""The `Store` port over one writer and two readers, so that a person's slow question never holds up the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from byokd.errors import StoreError
from byokd.facts.change import Change, FleetChange, FleetCounts, KeyFilter, KeyLine
from byokd.facts.condition import ConditionKind, Notice, OpenCondition, Severity
from byokd.facts.key import Absent, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import HistoryEntry, Import, Order
from byokd.facts.past import LeftBehind, Past
from byokd.facts.policy import DesiredKey, LearnedPace
from byokd.facts.prospect import Prospect
from byokd.facts.relative import Relative
from byokd.facts.snapshot import Snapshot
from byokd.store import agenda, changes, lanes, lists, ordering
from byokd.store.batches import Batches
from byokd.store.fleet import sync_fleet, taken_from
from byokd.store.past import list_left_behind, read_past
from byokd.store.pruning import prune
from byokd.store.reader import Reader
from byokd.store.relatives import others, read_families
from byokd.store.snapshots import REFS_PER_QUERY, read_snapshots
from byokd.store.writer import Writer


class SqlStore:
    """See `ports.Store` for what each method promises. Opened by `open_store` or `open_reader`."""

    def __init__(self, *, writer: Writer | None, reader: Reader, people: Reader) -> None:
        """`writer` is None where the store may only be read."""
        self._own_writer: Final = writer
        self._reader = reader
        self._people = people
        self._snapshots = Batches(self._read_snapshots, limit=REFS_PER_QUERY)

    @property
    def commits(self) -> int:
        """Durable commits so far."""
        return self._writer.commits

    async def settle(self) -> None:
        """Return when nothing is being written or read any more."""
        await self._snapshots.settle()
        for part in (self._own_writer, self._reader, self._people):
            if part is not None:
                await part.settle()

    @property
    def _writer(self) -> Writer:
        if self._own_writer is None:
            raise StoreError("This store was opened to be read only.")
        return self._own_writer

    # The fleet.

    async def taken_from(self) -> str:
        """See `ports.Store`."""
        return await self._reader.read(taken_from)

    async def sync_fleet(self, desired: Iterable[DesiredKey], *, now: datetime, digest: str = "") -> FleetChange:
        """See `ports.Store`. `desired` is consumed in the writer's thread."""
        return await self._writer.do(lambda connection: sync_fleet(connection, desired, now=now, digest=digest))

    async def acquire_lane(self, lane: LaneId, *, node: str, now: datetime) -> int:
        """See `ports.Store`."""
        return await self._writer.do(lambda connection: lanes.acquire(connection, lane, node=node, now=now))

    async def keep_lane(
        self, lane: LaneId, *, epoch: int, now: datetime, look_again: bool, paces: Mapping[str, LearnedPace]
    ) -> None:
        """See `ports.Store`."""
        await self._writer.do(
            lambda connection: lanes.keep(connection, lane, epoch=epoch, now=now, look_again=look_again, paces=paces)
        )

    async def learned_paces(self, lane: LaneId) -> dict[str, LearnedPace]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: lanes.learned(connection, lane))

    # The timer queue and the import queue of one lane.

    async def due(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[KeyRef, ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.due(connection, lane, now=now, limit=limit))

    async def next_due_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.next_due_at(connection, lane, after=after))

    async def ready_imports(self, lane: LaneId, *, now: datetime, limit: int) -> tuple[Import, ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.ready_imports(connection, lane, now=now, limit=limit))

    async def next_ready_at(self, lane: LaneId, *, after: datetime) -> datetime | Absent:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.next_ready_at(connection, lane, after=after))

    async def snapshots(self, refs: Sequence[KeyRef]) -> tuple[Snapshot, ...]:
        """See `ports.Store`. Callers that ask at the same time share the queries."""
        return await self._snapshots.ask(tuple(refs))

    async def others_known_as(self, arn: KeyArn, ref: KeyRef) -> tuple[str, ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.others_known_as(connection, arn, ref))

    async def relatives(self, arn: KeyArn, ref: KeyRef) -> tuple[Relative, ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: others(read_families(connection, [arn]), arn, ref))

    async def save(self, change: Change) -> None:
        """See `ports.Store`."""
        await self._writer.write(changes.change_unit(change))

    async def wake(self, refs: Sequence[KeyRef], *, at: datetime) -> None:
        """See `ports.Store`."""
        if refs:
            await self._writer.write(changes.wake_unit(refs, at))

    # Orders.

    async def add_orders(self, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
        """See `ports.Store`."""
        await self._writer.do(lambda connection: ordering.add_orders(connection, given))

    async def approve_orders(self, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
        """See `ports.Store`."""
        await self._writer.do(lambda connection: ordering.approve_orders(connection, given))

    async def cancel_order(self, order: Order, entry: HistoryEntry) -> None:
        """See `ports.Store`."""
        await self._writer.do(lambda connection: ordering.cancel_order(connection, order, entry))

    async def order(self, order_id: str) -> Order | Absent:
        """See `ports.Store`."""
        return await self._people.read(lambda connection: lists.find_order(connection, order_id))

    async def orders(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Order, ...]:
        """See `ports.Store`."""
        return await self._people.read(
            lambda connection: lists.list_orders(connection, ref=ref, only_open=only_open, limit=limit)
        )

    # Conditions of lanes and the daemon, and the outbox.

    async def open_conditions(self, subject: str = "") -> tuple[OpenCondition, ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: lists.open_conditions(connection, subject))

    async def save_conditions(self, conditions: Sequence[OpenCondition]) -> None:
        """See `ports.Store`."""
        if conditions:
            await self._writer.write(changes.conditions_unit(conditions))

    async def conditions_to_tell(
        self, *, now: datetime, limit: int
    ) -> tuple[tuple[OpenCondition, tuple[Notice, ...]], ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.conditions_to_tell(connection, now=now, limit=limit))

    async def save_notices(
        self, condition_id: str, notices: Sequence[Notice], *, decided_for: OpenCondition, again_at: datetime | Absent
    ) -> None:
        """See `ports.Store`."""
        await self._writer.write(
            changes.notices_unit(condition_id, notices, decided_for=decided_for, again_at=again_at)
        )

    async def tell_anew(self, channel: str, *, at_least: Severity, by: datetime) -> None:
        """See `ports.Store`."""
        await self._writer.write(changes.tell_anew_unit(channel, at_least, by))

    async def outbox(self, channel: str, *, now: datetime, limit: int) -> tuple[Notice, ...]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.outbox(connection, channel, now=now, limit=limit))

    async def waiting_by_channel(self) -> dict[str, int]:
        """See `ports.Store`."""
        return await self._reader.read(agenda.waiting_by_channel)

    async def replace_notices(self, notices: Sequence[Notice]) -> None:
        """See `ports.Store`."""
        if notices:
            await self._writer.write(changes.replacement_unit(notices))

    async def deadlines(self, subjects: Sequence[str]) -> dict[str, datetime]:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.deadlines(connection, subjects))

    async def next_notify_at(self, *, after: datetime) -> datetime | Absent:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.next_notify_at(connection, after=after))

    async def count_open(self, kind: ConditionKind, lane: LaneId, *, at_least: Severity) -> int:
        """See `ports.Store`."""
        return await self._reader.read(lambda connection: agenda.count_open(connection, kind, lane, at_least=at_least))

    # For people.

    async def find(self, name: str) -> tuple[KeyRef, ...]:
        """See `ports.Store`."""
        return await self._people.read(lambda connection: lists.find(connection, name))

    async def list_keys(self, which: KeyFilter, *, limit: int, after: str = "") -> tuple[KeyLine, ...]:
        """See `ports.Store`. Raises: OperatorError for an `after` that is no cursor."""
        return await self._people.read(lambda connection: lists.list_keys(connection, which, limit=limit, after=after))

    async def imports(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Import, ...]:
        """See `ports.Store`."""
        return await self._people.read(
            lambda connection: lists.list_imports(connection, ref=ref, only_open=only_open, limit=limit)
        )

    async def history(self, ref: KeyRef | None, *, limit: int) -> tuple[HistoryEntry, ...]:
        """See `ports.Store`."""
        return await self._people.read(lambda connection: lists.list_history(connection, ref, limit=limit))

    async def past(self, ref: KeyRef, *, at: datetime, limit: int = 10_000) -> Past | None:
        """See `ports.Store`."""
        return await self._people.read(lambda connection: read_past(connection, ref, at=at, limit=limit))

    async def left_behind(self, *, now: datetime, limit: int) -> tuple[LeftBehind, ...]:
        """See `ports.Store`."""
        return await self._people.read(lambda connection: list_left_behind(connection, now=now, limit=limit))

    async def prospects(self, lane: LaneId, *, limit: int, after: str = "") -> tuple[Prospect, ...]:
        """See `ports.Store`."""
        return await self._people.read(lambda connection: lists.prospects(connection, lane, limit=limit, after=after))

    async def counts(self) -> FleetCounts:
        """See `ports.Store`."""
        return await self._people.read(lists.counts)

    # Chores.

    async def prune(self, *, before: datetime, limit: int) -> int:
        """See `ports.Store`."""
        return await self._writer.do(lambda connection: prune(connection, before=before, limit=limit))

    async def _read_snapshots(self, asked: Sequence[tuple[KeyRef, ...]]) -> Sequence[tuple[Snapshot, ...]]:
        refs = sorted({ref for each in asked for ref in each})

        def question(connection: Connection) -> dict[KeyRef, Snapshot]:
            return read_snapshots(connection, refs)

        found = await self._reader.read(question)
        return [tuple(found[ref] for ref in each if ref in found) for each in asked]
