"""What people ask: which key is meant, the list of keys, the queue, the history, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql.elements import TextClause

from byokd.facts.change import FleetCounts, KeyFilter, KeyLine
from byokd.facts.condition import OpenCondition, Severity
from byokd.facts.key import ABSENT, NEVER, Absent, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import HistoryEntry, Import, Order, Tier
from byokd.facts.prospect import Prospect, period_ends_at
from byokd.facts.relative import MULTI_REGION
from byokd.store.codec import read_policy, read_view
from byokd.store.tables import conditions as told
from byokd.store.tables import imports as queue
from byokd.store.tables import orders as ordered
from byokd.store.tables.conditions import conditions, notices, read_condition
from byokd.store.tables.history import history, read_entry
from byokd.store.tables.imports import imports, read_import
from byokd.store.tables.keys import MANAGED, keys, policies
from byokd.store.tables.orders import orders, read_order
from byokd.store.times import expiry_or_absent, instant, instant_or_absent
from byokd.store.tracks import further_expiries, open_import_of
from byokd.store.views import meanings, read_cursor, shown_role

FOUND_AT_MOST: Final = 10
"""Of keys that a person may mean: more would not be a choice."""

_NAMES: Final[BindParameter[Any]] = bindparam("names", expanding=True)

# A query for each index: one OR over four columns is a scan where the planner thinks little of the indexes.
FIND: Final = tuple(
    select(keys.c.ref, keys.c.due_at)
    .where(column.in_(_NAMES))
    .order_by(keys.c.due_at.is_(None), keys.c.ref)
    .limit(FOUND_AT_MOST)
    for column in (keys.c.ref, keys.c.arn, keys.c.key_id, keys.c.name)
)

PROSPECTS: Final = (
    select(
        keys.c.ref,
        keys.c.name,
        keys.c.fleet,
        keys.c.state,
        keys.c.expiry,
        keys.c.last_expiry,
        keys.c.tracks,
        keys.c.seen,
        keys.c.tier,
        keys.c.reason,
        policies.c.body,
    )
    .join(policies, policies.c.id == keys.c.policy_id)
    .where(MANAGED, keys.c.lane == bindparam("lane"), keys.c.ref > bindparam("after"))
    .order_by(keys.c.ref)
    .limit(bindparam("limit"))
)

_REFS: Final[BindParameter[Any]] = bindparam("refs", expanding=True)
_WORST: Final = (
    select(conditions.c.subject, func.max(conditions.c.severity))
    .where(conditions.c.subject.in_(_REFS), told.OPEN)
    .group_by(conditions.c.subject)
)
_OPEN_OF: Final = select(imports).where(imports.c.ref.in_(_REFS), queue.OPEN)

KEYS_COUNTED: Final = select(keys.c.tier, keys.c.state, func.count()).where(MANAGED).group_by(keys.c.tier, keys.c.state)
_QUEUE: Final = select(imports.c.state, func.count().label("rows")).where(queue.OPEN).group_by(imports.c.state)
_SEVERITIES: Final = (
    select(conditions.c.severity, func.count().label("rows")).where(told.OPEN).group_by(conditions.c.severity)
)
_UNSENT: Final = select(func.count()).select_from(notices).where(told.UNSENT)

_WORST_FIRST: Final = (conditions.c.severity.desc(), conditions.c.since, conditions.c.id)


def find(connection: Connection, name: str) -> tuple[KeyRef, ...]:
    """Keys that `name` may mean; those in the config first."""
    names = {"names": list(meanings(name))}
    found = {(row.due_at is None, row.ref) for each in FIND for row in connection.execute(each, names)}
    return tuple(KeyRef(ref) for _, ref in sorted(found)[:FOUND_AT_MOST])


def page(which: KeyFilter, *, limit: int, after: str) -> Select[Any]:
    """The query for one page of the list of keys."""
    wanted: list[ColumnElement[bool] | TextClause] = [MANAGED]
    if which.fleet:
        wanted.append(keys.c.fleet == which.fleet)
    if which.lane:
        wanted.append(keys.c.lane == which.lane)
    if which.tier:
        wanted.append(keys.c.tier == which.tier)
    if which.text:
        text = which.text.lower()
        wanted.append(
            or_(
                func.lower(keys.c.name).contains(text, autoescape=True),
                func.lower(keys.c.arn).contains(text, autoescape=True),
            )
        )
    if which.condition:
        is_open = (conditions.c.subject == keys.c.ref) & (conditions.c.kind == which.condition)
        wanted.append(exists(select(conditions.c.id).where(is_open, told.OPEN)))
    if after:
        wanted.append(tuple_(keys.c.expiry, keys.c.ref) > tuple_(*read_cursor(after)))
    return select(keys).where(and_(*wanted)).order_by(keys.c.expiry, keys.c.ref).limit(limit)


def list_keys(connection: Connection, which: KeyFilter, *, limit: int, after: str) -> tuple[KeyLine, ...]:
    """One page of the list of keys, by time left."""
    return _lines(connection, connection.execute(page(which, limit=limit, after=after)).all())


def read_line(connection: Connection, row: Row[Any]) -> KeyLine:
    """The line of one key in the list, from its row; it is in the config."""
    return _lines(connection, [row])[0]


def _lines(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[KeyLine, ...]:
    refs = {"refs": [row.ref for row in rows]}
    worst: dict[str, int] = {}
    opened: dict[str, list[Import]] = {}
    if rows:
        worst.update((subject, severity) for subject, severity in connection.execute(_WORST, refs))
        for row in connection.execute(_OPEN_OF, refs):
            opened.setdefault(row.ref, []).append(read_import(row))
    return tuple(_line(row, worst.get(row.ref), open_import_of(opened.get(row.ref, ()), row.material)) for row in rows)


def _line(row: Row[Any], worst: int | None, open_import: Import | Absent) -> KeyLine:
    return KeyLine(
        ref=KeyRef(row.ref),
        name=row.name,
        fleet=row.fleet,
        lane=LaneId(row.lane),
        arn=ABSENT if row.arn is None else KeyArn(row.arn),
        state=row.state,
        expiry=expiry_or_absent(row.expiry),
        started_at=instant_or_absent(row.last_success_at),
        tier=Tier(row.tier),
        reason=row.reason,
        message=row.message,
        severity=ABSENT if worst is None else Severity(worst),
        due_at=instant(row.due_at),
        import_state=ABSENT if isinstance(open_import, Absent) else open_import.state,
        renewals=row.renewals,
        # A view is a document, and only a multi-Region key's is worth reading for a list.
        role=shown_role(read_view(row.seen)) if (row.key_id or "").startswith(MULTI_REGION) else "",
    )


def prospects(connection: Connection, lane: LaneId, *, limit: int, after: str) -> tuple[Prospect, ...]:
    """What a forecast needs of some keys of a lane."""
    rows = connection.execute(PROSPECTS, {"lane": lane, "after": after, "limit": limit}).all()
    return tuple(
        Prospect(
            ref=KeyRef(row.ref),
            name=row.name,
            fleet=row.fleet,
            policy=(policy := read_policy(row.body)),
            state=row.state,
            expiry=expiry_or_absent(row.expiry),
            tier=Tier(row.tier),
            reason=row.reason,
            further=further_expiries(row.last_expiry, row.tracks),
            # A view is a document: it is read only where that matters.
            period_ends=ABSENT if policy.rotate_every is NEVER else period_ends_at(policy, read_view(row.seen)),
        )
        for row in rows
    )


def list_imports(connection: Connection, *, ref: KeyRef | None, only_open: bool, limit: int) -> tuple[Import, ...]:
    """Rows of the queue: open ones as they will be served, else newest first."""
    rows = select(imports).limit(limit)
    if ref is not None:
        rows = rows.where(imports.c.ref == ref)
    rows = rows.where(queue.OPEN).order_by(*queue.IN_TURN) if only_open else rows.order_by(imports.c.id.desc())
    return tuple(read_import(row) for row in connection.execute(rows))


def find_order(connection: Connection, order_id: str) -> Order | Absent:
    """The order with this id."""
    row = connection.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    return ABSENT if row is None else read_order(row)


def list_orders(connection: Connection, *, ref: KeyRef | None, only_open: bool, limit: int) -> tuple[Order, ...]:
    """Orders, the newest first."""
    return tuple(read_order(row) for row in connection.execute(orders_page(ref=ref, only_open=only_open, limit=limit)))


def orders_page(*, ref: KeyRef | None, only_open: bool, limit: int) -> Select[Any]:
    """The question that `list_orders` asks."""
    rows = select(orders).order_by(orders.c.id.desc()).limit(limit)
    if ref is not None:
        rows = rows.where(orders.c.ref == ref)
    if only_open:
        rows = rows.where(ordered.NOT_CLOSED)
    return rows


def list_history(connection: Connection, ref: KeyRef | None, *, limit: int) -> tuple[HistoryEntry, ...]:
    """Lines of history, the one written last first."""
    lines = select(history).order_by(history.c.id.desc()).limit(limit)
    if ref is not None:
        lines = lines.where(history.c.ref == ref)
    return tuple(read_entry(row) for row in connection.execute(lines))


def open_conditions(connection: Connection, subject: str) -> tuple[OpenCondition, ...]:
    """Open conditions, worst first, of one subject or of all."""
    wanted = select(conditions).where(told.OPEN).order_by(*_WORST_FIRST)
    if subject:
        wanted = wanted.where(conditions.c.subject == subject)
    return tuple(read_condition(row) for row in connection.execute(wanted))


def counts(connection: Connection) -> FleetCounts:
    """The figures, each from an index alone."""
    by_tier: dict[str, int] = {}
    by_state: dict[str, int] = {}
    for tier, state, count in connection.execute(KEYS_COUNTED):
        by_tier[tier] = by_tier.get(tier, 0) + count
        by_state[state] = by_state.get(state, 0) + count
    return FleetCounts(
        keys=sum(by_tier.values()),
        by_tier=by_tier,
        by_state=by_state,
        queue={row.state: row.rows for row in connection.execute(_QUEUE)},
        conditions={Severity(row.severity).name.lower(): row.rows for row in connection.execute(_SEVERITIES)},
        notices_waiting=connection.scalar(_UNSENT) or 0,
    )
