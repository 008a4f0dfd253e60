"""The statements of small writes, prepared once, in the order in which a unit's rows are written.

`IN_ORDER` is that order, and it carries meaning: a renewal is counted while its import is still open, and conditions
come before the notices of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Dialect,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import UpdateBase

from byokd.errors import StoreError
from byokd.facts.ledger import ImportState, OrderState
from byokd.store.tables import conditions as told
from byokd.store.tables import imports as queue
from byokd.store.tables import orders as ordered
from byokd.store.tables.conditions import conditions, notices
from byokd.store.tables.history import history
from byokd.store.tables.imports import imports
from byokd.store.tables.keys import keys, materials
from byokd.store.tables.metadata import insert_new, upsert
from byokd.store.tables.orders import orders
from byokd.store.views import LEFT_CONFIG


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """One statement for many rows. With `must_hit`, each row has to find the row it changes."""

    statement: UpdateBase
    must_hit: bool = False


class Prepared:
    """A write as SQL text of one dialect, which Core builds once; what is left per row is to put the values in order.

    The codecs make values that drivers take as they are: texts, integers, truths and None.
    """

    def __init__(self, write: Write, dialect: Dialect) -> None:
        compiled = write.statement.compile(dialect=dialect)
        self._write = write
        self._sql = str(compiled)
        names = compiled.positiontup or ()
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._in_order = itemgetter(*names)

    def execute(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Execute for all rows. Raises: StoreError where one did not hit what it had to."""
        if self._constants:
            rows = [self._constants | row for row in rows]
        result = connection.exec_driver_sql(self._sql, [self._in_order(row) for row in rows])
        if self._write.must_hit and result.rowcount != len(rows):
            raise StoreError("A row that was to be changed is not on record.")


def _set(*columns: str) -> dict[str, Any]:
    return {column: bindparam(column) for column in columns}


_KNOWN: Final = (
    "seen", "proof", "pinned_arn", "fingerprint", "material", "last_expiry", "last_success_at", "lost_at",
    "tracks", "of_locator", "probe", "arn", "key_id", "state", "expiry", "tier", "reason", "message",
)  # fmt: skip

UPDATE_KEY: Final = Write(
    update(keys)
    .where(keys.c.ref == bindparam("of_ref"))
    # A key that left the config while byokd was at it is not looked at again.
    .values(_set(*_KNOWN) | {"due_at": case((keys.c.due_at.is_not(None), bindparam("due_at")), else_=null())}),
    must_hit=True,
)

WAKE: Final = Write(
    update(keys)
    .where(keys.c.ref == bindparam("of_ref"), keys.c.due_at > bindparam("wake_at"))
    .values(due_at=bindparam("wake_at"))
)

# Materials are written with every change and touched by few: rows that are as they should be stay untouched.
FORGET_MATERIALS: Final = Write(
    delete(materials).where(
        materials.c.ref == bindparam("of_ref"),
        cast(bindparam("shown"), Text).not_like(literal("%[") + materials.c.material_id + literal("]%")),
    )
)

UPSERT_MATERIAL: Final = Write(
    upsert(
        materials,
        where=lambda new: (
            (materials.c.state != new.state)
            | (materials.c.imported != new.imported)
            | (materials.c.expiry != new.expiry)
        ),
    )
)

COUNT_RENEWAL: Final = Write(
    update(keys)
    .where(
        keys.c.ref == bindparam("of_ref"),
        # Saving a row as done twice counts once.
        ~exists(select(imports.c.id).where(imports.c.id == bindparam("of_import"), queue.CLOSED)),
    )
    .values(renewals=keys.c.renewals + 1)
)

UPSERT_IMPORT: Final = Write(upsert(imports, fixed=("ref", "lane", "created_at"), where=lambda _: queue.OPEN))

INSERT_ORDER: Final = Write(insert_new(orders))

UPDATE_ORDER: Final = Write(
    update(orders)
    .where(orders.c.id == bindparam("of_order"), ordered.OPEN)
    .values(_set("state", "created_at", "effective_at", "closed_at", "outcome"))
)

# Other words alone are told to nobody: the time for its next notices stays. And what is over is not open again, which
# nobody would be told: whoever finds it true anew raises another one.
UPSERT_CONDITION: Final = Write(
    upsert(
        conditions,
        but=lambda new: {
            "notify_at": case(
                (
                    and_(
                        conditions.c.severity == new.severity,
                        conditions.c.stage == new.stage,
                        new.resolved_at.is_(None),
                    ),
                    conditions.c.notify_at,
                ),
                else_=new.notify_at,
            )
        },
        where=lambda _: told.OPEN,
    )
)

_WAITING_IN_THREAD: Final = and_(
    told.UNSENT,
    notices.c.subject == bindparam("of_subject"),
    notices.c.kind == bindparam("of_kind"),
    notices.c.channel == bindparam("of_channel"),
)

# What waits was made before what is new, and so was what is told of the same condition, whatever the clock said then.
_LATER: Final = notices.c.created_at > bindparam("new_created_at")
MADE_BEFORE: Final = Write(
    update(notices).where(_WAITING_IN_THREAD, _LATER).values(created_at=bindparam("just_before"))
)
TOLD_BEFORE: Final = Write(
    update(notices)
    .where(notices.c.condition_id == bindparam("of_condition"), notices.c.channel == bindparam("of_channel"), _LATER)
    .values(created_at=bindparam("just_before"))
)

INSERT_NOTICE: Final = Write(insert_new(notices))

# People are told in order: what waits about the same comes no later than what is new.
HASTEN: Final = Write(
    update(notices)
    .where(
        _WAITING_IN_THREAD,
        tuple_(notices.c.created_at, notices.c.id) < tuple_(bindparam("new_created_at"), bindparam("new_id")),
        notices.c.not_before > bindparam("at"),
    )
    .values(not_before=bindparam("at"))
)

TELL_ANEW: Final = Write(
    update(conditions)
    .where(
        told.OPEN,
        # Without it the planner would read the years of conditions that are over.
        conditions.c.subject > "",
        conditions.c.severity >= bindparam("at_least"),
        or_(
            conditions.c.notify_at > bindparam("by"),
            ~exists(
                select(notices.c.id).where(
                    notices.c.condition_id == conditions.c.id,
                    notices.c.channel == bindparam("of_channel"),
                    notices.c.severity >= conditions.c.severity,
                    notices.c.stage == conditions.c.stage,
                )
            ),
        ),
    )
    .values(notify_at=told.AT_ONCE)
)

DECIDE_AGAIN: Final = Write(
    update(conditions)
    .where(
        conditions.c.id == bindparam("of_condition"),
        conditions.c.subject == bindparam("was_subject"),
        conditions.c.kind == bindparam("was_kind"),
        conditions.c.severity == bindparam("was_severity"),
        conditions.c.stage == bindparam("was_stage"),
        conditions.c.since == bindparam("was_since"),
        conditions.c.resolved_at.is_not_distinct_from(bindparam("was_resolved_at")),
    )
    .values(notify_at=bindparam("again_at"))
)

_taken: Final = notices.alias("taken")

# What a channel took closes what it has overtaken, and what waits behind that; by the order in which it was offered.
OVERTAKE: Final = Write(
    update(notices)
    .where(
        _WAITING_IN_THREAD,
        exists(
            select(_taken.c.id).where(
                _taken.c.id == bindparam("by_notice"),
                tuple_(notices.c.created_at, notices.c.id) < tuple_(_taken.c.created_at, _taken.c.id),
            )
        ),
    )
    .values(sent_at=bindparam("at"))
)

UPDATE_NOTICE: Final = Write(
    update(notices)
    .where(notices.c.id == bindparam("of_notice"))
    .values(_set(*(c.name for c in notices.c if c.name != "id"))),
    must_hit=True,
)

INSERT_HISTORY: Final = Write(insert(history).values(_set(*(c.name for c in history.c if c.name != "id"))))

IN_ORDER: Final = (
    UPDATE_KEY,
    WAKE,
    FORGET_MATERIALS,
    UPSERT_MATERIAL,
    COUNT_RENEWAL,
    UPSERT_IMPORT,
    INSERT_ORDER,
    UPDATE_ORDER,
    UPSERT_CONDITION,
    MADE_BEFORE,
    TOLD_BEFORE,
    INSERT_NOTICE,
    HASTEN,
    TELL_ANEW,
    DECIDE_AGAIN,
    OVERTAKE,
    UPDATE_NOTICE,
    INSERT_HISTORY,
)

# A key can leave the config while byokd is working on it: what the work leaves open is closed again, as of its start.

REMOVED: Final = select(keys.c.ref).where(keys.c.ref.in_(bindparam("refs", expanding=True)), keys.c.due_at.is_(None))

CLOSE_REMOVED: Final = (
    update(imports)
    .where(imports.c.ref.in_(bindparam("refs", expanding=True)), queue.OPEN)
    .values(
        state=ImportState.CANCELLED.value,
        finished_at=func.coalesce(imports.c.started_at, imports.c.created_at),
        detail=LEFT_CONFIG,
    ),
    update(orders)
    .where(orders.c.ref.in_(bindparam("refs", expanding=True)), ordered.NOT_CLOSED)
    .values(state=OrderState.CANCELLED.value, closed_at=orders.c.created_at, outcome=LEFT_CONFIG),
    update(conditions)
    .where(conditions.c.subject.in_(bindparam("refs", expanding=True)), told.OPEN)
    .values(resolved_at=conditions.c.since),
)
