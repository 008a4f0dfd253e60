"""Snapshots for many keys in four queries, and one more for the relatives of multi-Region keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import BindParameter, Connection, Select, bindparam, exists, select, union_all

from byokd.facts.condition import OpenCondition
from byokd.facts.key import KeyRef
from byokd.facts.ledger import Import, ImportState, Order
from byokd.facts.snapshot import Snapshot
from byokd.store.relatives import others, read_families
from byokd.store.tables import conditions as told
from byokd.store.tables import imports as queue
from byokd.store.tables import orders as ordered
from byokd.store.tables.conditions import conditions, read_condition
from byokd.store.tables.imports import imports, read_import
from byokd.store.tables.keys import MANAGED, keys, policies, read_snapshot
from byokd.store.tables.orders import orders, read_order

T = TypeVar("T")

REFS_PER_QUERY: Final = 500
"""Databases bound the parameters of a statement; past a few hundred, more per query gains nothing."""

_REFS: Final[BindParameter[Any]] = bindparam("refs", expanding=True)

ON_RECORD: Final = (
    select(keys, policies.c.body).join(policies, policies.c.id == keys.c.policy_id).where(keys.c.ref.in_(_REFS))
)
KEYS: Final = ON_RECORD.where(MANAGED)

_later: Final = imports.alias("later")
IN_FORCE: Final = (imports.c.state == ImportState.REFUSED.value) & ~exists(
    select(_later.c.id).where(
        _later.c.ref == imports.c.ref,
        (_later.c.material == imports.c.material) | (imports.c.material == ""),
        _later.c.state == ImportState.DONE.value,
        _later.c.id > imports.c.id,
    )
)
"""Refused rows that no done row of the same material came after."""

IMPORTS: Final = union_all(
    select(imports).where(imports.c.ref.in_(_REFS), queue.OPEN),
    select(imports).where(imports.c.ref.in_(_REFS), IN_FORCE),
)

ORDERS: Final = select(orders).where(orders.c.ref.in_(_REFS), ordered.OPEN).order_by(orders.c.created_at, orders.c.id)

CONDITIONS: Final = (
    select(conditions)
    .where(conditions.c.subject.in_(_REFS), told.OPEN)
    .order_by(conditions.c.severity.desc(), conditions.c.since, conditions.c.id)
)


def chunks(items: Iterable[T], size: int = REFS_PER_QUERY) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk


def read_snapshots(connection: Connection, refs: Sequence[KeyRef]) -> dict[KeyRef, Snapshot]:
    """What is known of these keys; those that are not in the config are left out."""
    found: dict[KeyRef, Snapshot] = {}
    for chunk in chunks(refs):
        found.update(_read_chunk(connection, {"refs": chunk}, KEYS))
    return found


def read_on_record(connection: Connection, ref: KeyRef) -> Snapshot:
    """What is on record of a key, whether it is in the config or not. Raises: KeyError for one that never was."""
    return dict(_read_chunk(connection, {"refs": [ref]}, ON_RECORD))[ref]


def _read_chunk(connection: Connection, refs: dict[str, Any], which: Select[Any]) -> Iterator[tuple[KeyRef, Snapshot]]:
    rows_of: defaultdict[str, list[Import]] = defaultdict(list)
    for row in connection.execute(IMPORTS, refs).all():
        rows_of[row.ref].append(read_import(row))
    orders_of: defaultdict[str, list[Order]] = defaultdict(list)
    for row in connection.execute(ORDERS, refs).all():
        orders_of[row.ref].append(read_order(row))
    conditions_of: defaultdict[str, list[OpenCondition]] = defaultdict(list)
    for row in connection.execute(CONDITIONS, refs).all():
        conditions_of[row.subject].append(read_condition(row))
    # All rows at once: fetching them one by one gives the interpreter lock away for each.
    rows = connection.execute(which, refs).all()
    families = read_families(connection, (row.arn for row in rows))
    for row in rows:
        ref = KeyRef(row.ref)
        snapshot = read_snapshot(
            row,
            imports=rows_of[ref],
            open_orders=tuple(orders_of[ref]),
            conditions=tuple(conditions_of[ref]),
        )
        relatives = others(families, row.arn, ref)
        yield ref, replace(snapshot, relatives=relatives) if relatives else snapshot
