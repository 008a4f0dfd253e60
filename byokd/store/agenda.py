"""What is due, and when something will be: the timer queue, the import queue, the conditions to tell, the outbox.

Each question is answered from an index in its order, so its cost does not grow with the fleet; a test reads the plans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    distinct,
    exists,
    func,
    not_,
    select,
    tuple_,
)

from byokd.decide.notices import LONGEST_RETRY, OVERTAKEN_AFTER
from byokd.facts.condition import ConditionKind, Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, Absent, KeyArn, KeyRef, LaneId
from byokd.facts.ledger import Import
from byokd.store.snapshots import chunks
from byokd.store.tables import conditions as told
from byokd.store.tables import imports as queue
from byokd.store.tables.conditions import conditions, notices, read_condition, read_notice
from byokd.store.tables.imports import imports, read_import
from byokd.store.tables.keys import MANAGED, keys
from byokd.store.times import NEVER_S, instant, instant_or_absent, seconds

_LANE: Final[BindParameter[Any]] = bindparam("lane")
_AFTER: Final[BindParameter[Any]] = bindparam("after")
_NOW: Final[BindParameter[Any]] = bindparam("now")
_LIMIT: Final[BindParameter[Any]] = bindparam("limit")

DUE: Final = (
    select(keys.c.ref)
    .where(MANAGED, keys.c.lane == _LANE, keys.c.due_at <= _NOW)
    .order_by(keys.c.due_at, keys.c.ref)
    .limit(_LIMIT)
)
NEXT_DUE_AT: Final = select(func.min(keys.c.due_at)).where(MANAGED, keys.c.lane == _LANE, keys.c.due_at > _AFTER)

OTHERS_KNOWN_AS: Final = select(keys.c.name).where(
    keys.c.arn == bindparam("arn"), keys.c.ref != bindparam("ref"), MANAGED
)

# The sum keeps the planner from the index by not_before: it would read the whole backlog and sort it by deadline.
READY_IMPORTS: Final = (
    select(imports)
    .where(imports.c.lane == _LANE, queue.WAITING, imports.c.not_before + 0 <= _NOW)
    .order_by(*queue.IN_TURN)
    .limit(_LIMIT)
)
NEXT_READY_AT: Final = select(func.min(imports.c.not_before)).where(
    imports.c.lane == _LANE, queue.WAITING, imports.c.not_before > _AFTER
)

TO_TELL: Final = (
    select(conditions)
    .where(told.TO_TELL, conditions.c.notify_at <= _NOW)
    .order_by(conditions.c.notify_at, conditions.c.id)
    .limit(_LIMIT)
)
NOTICES_OF: Final = (
    select(notices)
    .where(notices.c.condition_id.in_(bindparam("ids", expanding=True)))
    .order_by(notices.c.created_at, notices.c.id)
)
_earlier: Final = notices.alias("earlier")


def _waits(of: FromClause) -> ColumnElement[bool]:
    """Whether a notice waits for its time.

    One that was made later than now, or is to be tried again later than any is, is of a clock that was set back since,
    and so is the time that it waits for.
    """
    tried_ahead = and_(of.c.attempts > 0, of.c.not_before > _NOW + LONGEST_RETRY.total_seconds())
    return and_(of.c.not_before > _NOW, of.c.created_at <= _NOW, not_(tried_ahead))


_overtaken: Final = and_(
    _earlier.c.attempts >= OVERTAKEN_AFTER,
    _earlier.c.severity < notices.c.severity,
    notices.c.notice_kind != NoticeKind.RESOLVED.value,
)

OUTBOX: Final = (
    select(notices)
    .where(
        told.UNSENT,
        notices.c.channel == bindparam("channel"),
        not_(_waits(notices)),
        ~exists(
            select(_earlier.c.id).where(
                told.UNSENT_EARLIER,
                _earlier.c.subject == notices.c.subject,
                _earlier.c.kind == notices.c.kind,
                _earlier.c.channel == notices.c.channel,
                tuple_(_earlier.c.created_at, _earlier.c.id) < tuple_(notices.c.created_at, notices.c.id),
                _waits(_earlier),
                not_(_overtaken),
            )
        ),
    )
    .order_by(notices.c.created_at, notices.c.id)
    .limit(_LIMIT)
)
WAITING_BY_CHANNEL: Final = (
    select(notices.c.channel, func.count().label("waiting")).where(told.UNSENT).group_by(notices.c.channel)
)
DEADLINES: Final = select(keys.c.ref, keys.c.expiry).where(
    keys.c.ref.in_(bindparam("refs", expanding=True)), keys.c.expiry < NEVER_S
)
OPEN_IN_LANE: Final = (
    select(func.count(distinct(keys.c.ref)))
    .join_from(keys, conditions, conditions.c.subject == keys.c.ref)
    .where(
        MANAGED,
        keys.c.lane == _LANE,
        told.OPEN,
        conditions.c.kind == bindparam("kind"),
        conditions.c.severity >= bindparam("at_least"),
    )
)
NEXT_TO_TELL_AT: Final = select(func.min(conditions.c.notify_at)).where(told.TO_TELL)
NEXT_TO_SEND_AT: Final = select(func.min(notices.c.not_before)).where(told.UNSENT, notices.c.not_before > _AFTER)


def due(connection: Connection, lane: LaneId, *, now: datetime, limit: int) -> tuple[KeyRef, ...]:
    """Keys of the lane that are due, earliest first."""
    rows = connection.scalars(DUE, {"lane": lane, "now": seconds(now), "limit": limit})
    return tuple(KeyRef(ref) for ref in rows)


def next_due_at(connection: Connection, lane: LaneId, *, after: datetime) -> datetime | Absent:
    """When the lane's next key is due that is not due at `after`."""
    return _earliest(connection, NEXT_DUE_AT, lane=lane, after=seconds(after))


def others_known_as(connection: Connection, arn: KeyArn, ref: KeyRef) -> tuple[str, ...]:
    """Names of other keys in the config with this ARN."""
    return tuple(connection.scalars(OTHERS_KNOWN_AS, {"arn": arn, "ref": ref}))


def ready_imports(connection: Connection, lane: LaneId, *, now: datetime, limit: int) -> tuple[Import, ...]:
    """Rows that the lane may take up, by rank and then earliest deadline."""
    rows = connection.execute(READY_IMPORTS, {"lane": lane, "now": seconds(now), "limit": limit})
    return tuple(read_import(row) for row in rows)


def next_ready_at(connection: Connection, lane: LaneId, *, after: datetime) -> datetime | Absent:
    """When the lane may take up its next row that it may not take up at `after`."""
    return _earliest(connection, NEXT_READY_AT, lane=lane, after=seconds(after))


def conditions_to_tell(
    connection: Connection, *, now: datetime, limit: int
) -> tuple[tuple[OpenCondition, tuple[Notice, ...]], ...]:
    """Conditions whose notices are to be decided, with those there are."""
    due_now = [read_condition(row) for row in connection.execute(TO_TELL, {"now": seconds(now), "limit": limit})]
    notices_of: defaultdict[str, list[Notice]] = defaultdict(list)
    if due_now:
        for row in connection.execute(NOTICES_OF, {"ids": [condition.id for condition in due_now]}):
            notices_of[row.condition_id].append(read_notice(row))
    return tuple((condition, tuple(notices_of[condition.id])) for condition in due_now)


def outbox(connection: Connection, channel: str, *, now: datetime, limit: int) -> tuple[Notice, ...]:
    """Undelivered notices of a channel that may be tried, oldest first."""
    rows = connection.execute(OUTBOX, {"channel": channel, "now": seconds(now), "limit": limit})
    return tuple(read_notice(row) for row in rows)


def waiting_by_channel(connection: Connection) -> dict[str, int]:
    """How many notices each channel has still to be told."""
    return {row.channel: row.waiting for row in connection.execute(WAITING_BY_CHANNEL)}


def deadlines(connection: Connection, subjects: Sequence[str]) -> dict[str, datetime]:
    """When the material of these keys ends, of those for which that is known."""
    found = (row for refs in chunks(subjects) for row in connection.execute(DEADLINES, {"refs": refs}).all())
    return {row.ref: instant(row.expiry) for row in found}


def count_open(connection: Connection, kind: ConditionKind, lane: LaneId, *, at_least: Severity) -> int:
    """How many keys of the lane have an open condition of this kind, and as severe."""
    return connection.scalar(OPEN_IN_LANE, {"kind": kind.value, "lane": lane, "at_least": int(at_least)}) or 0


def next_notify_at(connection: Connection, *, after: datetime) -> datetime | Absent:
    """When the next condition is due, or a notice that is not due at `after`."""
    times = (_earliest(connection, NEXT_TO_TELL_AT), _earliest(connection, NEXT_TO_SEND_AT, after=seconds(after)))
    return min((at for at in times if not isinstance(at, Absent)), default=ABSENT)


def _earliest(connection: Connection, question: Select[Any], **parameters: Any) -> datetime | Absent:
    return instant_or_absent(connection.scalar(question, parameters))
