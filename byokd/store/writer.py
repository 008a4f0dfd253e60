"""The one writer: it commits whatever waits in one transaction, and tells each caller what became of its part.

A *unit* is one caller's rows, all or nothing. The writer takes every unit that waits and merges the rows of each
statement into one execution, in the order of `writes.IN_ORDER`. Two units about the same subject (a key) must not be
merged that way, or the second one's first statement would overtake the first one's last: they go into successive
*layers* of the same transaction::

    units   A(key 1)  B(key 2)  C(key 1)          layer 1: A+B      layer 2: C          COMMIT

Leases are checked inside the transaction: a unit whose epoch is not the newest is left out and answered `LeaseLost`.

When the transaction fails for a reason that may lie in one unit, each unit gets a transaction of its own, so that a
bad one spoils nothing but itself. When the database as a whole is at fault (full, busy, damaged), all are answered so.

A *job* is a function over the connection that is a whole transaction: taking over a config, pruning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, bindparam, select

from byokd.errors import LeaseLost
from byokd.facts.key import KeyRef, LaneId
from byokd.store.batches import Batches
from byokd.store.faults import GENERAL, mapped
from byokd.store.link import Link
from byokd.store.tables.leases import leases
from byokd.store.writes import CLOSE_REMOVED, IN_ORDER, REMOVED, Prepared, Write

T = TypeVar("T")
Rows = list[dict[str, Any]]
Job = Callable[[Connection], Any]

UNITS_PER_COMMIT: Final = 500
"""Bounds how long one commit can make the others wait; past a few dozen, larger groups gain nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Under which ownership a unit is written."""

    lane: LaneId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unit:
    """One caller's rows by statement; all of them are written, or none."""

    subjects: frozenset[str]
    """What the rows are about. Units that share a subject are written in the order in which they came."""
    rows: Mapping[Write, Rows]
    lease: Lease | None = None
    opens: KeyRef | None = None
    """A key of which the rows may leave something open, which only a key in the config may have."""


_EPOCHS: Final = (
    select(leases.c.lane, leases.c.epoch)
    .where(leases.c.lane.in_(bindparam("lanes", expanding=True)))
    # Where writers are many (PostgreSQL), ownership must not change hands before the commit. SQLite has one writer.
    .with_for_update(read=True)
)


class Writer:
    """Writes through one link. `commits` counts the durable commits so far."""

    def __init__(self, link: Link, *, limit: int = UNITS_PER_COMMIT) -> None:
        self._link = link
        self._batches: Batches[Unit | Job, Any] = Batches(self._write, limit=limit)
        self._prepared = {write: Prepared(write, link.dialect) for write in IN_ORDER}
        self.commits = 0

    async def write(self, unit: Unit) -> None:
        """Return when the unit is on disk. Raises: LeaseLost, or another StoreError."""
        await self._batches.ask(unit)

    async def do(self, job: Callable[[Connection], T]) -> T:
        """Run a job in a transaction of its own; return when it is on disk. Raises: StoreError, and what it raises."""
        return cast("T", await self._batches.ask(job))

    async def settle(self) -> None:
        """Return when nothing waits any more."""
        await self._batches.settle()

    async def _write(self, taken: Sequence[Unit | Job]) -> Sequence[Any]:
        return await self._link.run(lambda connection: self._write_all(connection, taken))

    def _write_all(self, connection: Connection, taken: Sequence[Unit | Job]) -> list[Any]:
        answers: list[Any] = []
        for are_units, group in groupby(taken, key=lambda each: isinstance(each, Unit)):
            if are_units:
                answers += self._write_units(connection, cast("list[Unit]", list(group)))
            else:
                answers += [self._attempt(connection, cast("Job", job)) for job in group]
        return answers

    def _write_units(self, connection: Connection, units: list[Unit]) -> list[Exception | None]:
        together = self._attempt(connection, lambda connection: self._write_layers(connection, units))
        if not isinstance(together, Exception):
            return cast("list[Exception | None]", together)
        if isinstance(together, GENERAL) or len(units) == 1:
            return [together] * len(units)
        return [answer for unit in units for answer in self._write_units(connection, [unit])]

    def _attempt(self, connection: Connection, job: Job) -> Any:
        """What the job returned, once committed; or what it raised, once rolled back."""
        try:
            with mapped(self._link.path), connection.begin():
                answer = job(connection)
        except Exception as error:  # noqa: BLE001 - it becomes the caller's answer, who raises it
            return error
        self.commits += 1
        return answer

    def _write_layers(self, connection: Connection, units: list[Unit]) -> list[Exception | None]:
        epochs = _newest_epochs(connection, units)
        answers: list[Exception | None] = []
        layers: list[dict[Write, Rows]] = []
        depth: dict[str, int] = {}
        opened: set[KeyRef] = set()
        for unit in units:
            if unit.lease is not None and epochs.get(unit.lease.lane) != unit.lease.epoch:
                answers.append(LeaseLost(f"Another node owns the lane {unit.lease.lane} now."))
                continue
            answers.append(None)
            layer = max((depth.get(subject, 0) for subject in unit.subjects), default=0)
            depth.update(dict.fromkeys(unit.subjects, layer + 1))
            if layer == len(layers):
                layers.append({write: [] for write in IN_ORDER})
            for write, rows in unit.rows.items():
                layers[layer][write] += rows
            if unit.opens is not None:
                opened.add(unit.opens)
        for merged in layers:
            for write, rows in merged.items():
                if rows:
                    self._prepared[write].execute(connection, rows)
        _close_removed(connection, opened)
        return answers


def _newest_epochs(connection: Connection, units: list[Unit]) -> dict[str, int]:
    lanes = {unit.lease.lane for unit in units if unit.lease is not None}
    if not lanes:
        return {}
    return {row.lane: row.epoch for row in connection.execute(_EPOCHS, {"lanes": sorted(lanes)})}


def _close_removed(connection: Connection, opened: set[KeyRef]) -> None:
    removed = connection.scalars(REMOVED, {"refs": sorted(opened)}).all() if opened else ()
    if removed:
        for statement in CLOSE_REMOVED:
            connection.execute(statement, {"refs": removed})
