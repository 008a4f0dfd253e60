"""All that is on record about one key, of today and before, as of one moment of the store."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, exists, func, select

from byokd.facts.condition import ConditionKind, OpenCondition
from byokd.facts.key import ABSENT, Absent, KeyArn, KeyRef, KeyState, LaneId
from byokd.facts.ledger import HistoryEvent
from byokd.facts.past import LeftBehind, Past
from byokd.store.lists import list_history, list_imports, list_orders, read_line
from byokd.store.snapshots import read_on_record
from byokd.store.tables import conditions as told
from byokd.store.tables.conditions import conditions, read_condition
from byokd.store.tables.history import history
from byokd.store.tables.keys import keys
from byokd.store.times import ABSENT_S, expiry, instant_or_absent, seconds

_KEY: Final = select(keys).where(keys.c.ref == bindparam("ref"))
_OLDEST: Final = select(func.min(history.c.at))
_RAISED: Final = select(conditions).where(
    conditions.c.subject == bindparam("ref"), conditions.c.since <= bindparam("at")
)
# A query for each partial index: the open ones of the key; of all that were resolved, those that were so later.
CONDITIONS: Final = (
    _RAISED.where(told.OPEN),
    _RAISED.where(told.RESOLVED, conditions.c.resolved_at > bindparam("at")),
)


_managed: Final = keys.alias("managed")
_LEFT_AT: Final = (
    select(func.max(history.c.at))
    .where(history.c.ref == keys.c.ref, history.c.event == HistoryEvent.UNTRACKED.value)
    .scalar_subquery()
)
# It may have come back under another name: as an ARN in place of an alias.
_CAME_BACK: Final = exists(select(_managed.c.ref).where(_managed.c.arn == keys.c.arn, _managed.c.due_at.is_not(None)))
LEFT_BEHIND: Final = (
    select(keys, _LEFT_AT.label("left_at"))
    .where(
        keys.c.due_at.is_(None),
        keys.c.arn.is_not(None),
        keys.c.expiry > bindparam("now"),
        keys.c.expiry < ABSENT_S,
        keys.c.state == KeyState.ENABLED.value,
        ~_CAME_BACK,
    )
    .order_by(keys.c.expiry, keys.c.ref)
    .limit(bindparam("limit"))
)


def list_left_behind(connection: Connection, *, now: datetime, limit: int) -> tuple[LeftBehind, ...]:
    """Keys that left the config while their material lives, the nearest end first."""
    return tuple(
        LeftBehind(
            ref=KeyRef(row.ref),
            name=row.name,
            fleet=row.fleet,
            lane=LaneId(row.lane),
            arn=KeyArn(row.arn),
            expiry=expiry(row.expiry),
            left_at=instant_or_absent(row.left_at),
        )
        for row in connection.execute(LEFT_BEHIND, {"now": seconds(now), "limit": limit})
    )


def read_past(connection: Connection, ref: KeyRef, *, at: datetime, limit: int) -> Past | None:
    """The past of a key, of each kind of row the newest `limit`; None for a key that was never on record."""
    row = connection.execute(_KEY, {"ref": ref}).one_or_none()
    if row is None:
        return None
    told_of = list_history(connection, ref, limit=limit)
    imports = list_imports(connection, ref=ref, only_open=False, limit=limit)
    orders = list_orders(connection, ref=ref, only_open=False, limit=limit)
    of_lane = _told_of(connection, f"lane:{row.lane}", at)
    begins = [instant_or_absent(connection.scalar(_OLDEST))]
    # Where older rows were left out, what is there is whole from the oldest of them on.
    begins += [told_of[-1].at] if len(told_of) == limit else []
    begins += [imports[-1].created_at] if len(imports) == limit else []
    begins += [orders[-1].created_at] if len(orders) == limit else []
    return Past(
        snapshot=read_on_record(connection, ref),
        line=ABSENT if row.due_at is None else read_line(connection, row),
        history=told_of[::-1],
        imports=imports[::-1],
        orders=orders[::-1],
        conditions=_told_of(connection, ref, at),
        known_from=_latest(begins),
        skews=tuple(each for each in of_lane if each.condition.kind is ConditionKind.CLOCK_SKEW),
    )


def _told_of(connection: Connection, subject: str, at: datetime) -> tuple[OpenCondition, ...]:
    """The conditions that were open at a moment, oldest first."""
    row = {"ref": subject, "at": seconds(at)}
    raised = [read_condition(each) for query in CONDITIONS for each in connection.execute(query, row)]
    return tuple(sorted(raised, key=lambda each: (each.since, each.id)))


def _latest(moments: list[datetime | Absent]) -> datetime | Absent:
    return max((at for at in moments if isinstance(at, datetime)), default=ABSENT)
