"""Conditions, and the outbox of notices about them.

`conditions.notify_at` is when notices are to be decided: 0, hence at once, whenever a condition is written with more
than another sentence; NULL when only such a change can make it due again. A notice keeps the condition as it was when
the notice was made.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ForeignKey, Integer, Row, Table, Text, text

from byokd.facts.condition import Condition, ConditionKind, Notice, NoticeKind, OpenCondition, Severity
from byokd.store.tables.metadata import METADATA, Seconds, partial_index
from byokd.store.times import instant, instant_or_absent, seconds, seconds_or_null

OPEN: Final = text("conditions.resolved_at IS NULL")
RESOLVED: Final = text("conditions.resolved_at IS NOT NULL")
TO_TELL: Final = text("conditions.notify_at IS NOT NULL")
UNSENT: Final = text("notices.sent_at IS NULL")
UNSENT_EARLIER: Final = text("earlier.sent_at IS NULL")
"""Of notices under another name."""
SENT: Final = text("notices.sent_at IS NOT NULL")

AT_ONCE: Final = 0
"""As `notify_at`."""

conditions: Final = Table(
    "conditions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("since", Seconds, nullable=False),
    Column("resolved_at", Seconds),
    Column("notify_at", Seconds),
)

partial_index("ix_conditions_open", conditions.c.subject, where=OPEN)
partial_index("ix_conditions_resolved", conditions.c.resolved_at, conditions.c.id, where=RESOLVED)
partial_index("ix_conditions_to_tell", conditions.c.notify_at, conditions.c.id, where=TO_TELL)

notices: Final = Table(
    "notices",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("condition_id", Text, ForeignKey("conditions.id"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("notice_kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("since", Seconds, nullable=False),
    Column("created_at", Seconds, nullable=False),
    Column("not_before", Seconds, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Seconds),
)

partial_index("ix_notices_unsent", notices.c.channel, notices.c.created_at, notices.c.id, where=UNSENT)
partial_index(
    "ix_notices_unsent_about",
    notices.c.subject,
    notices.c.kind,
    notices.c.channel,
    # Without them the planner would rather read all that the channel was not told yet.
    notices.c.created_at,
    notices.c.id,
    where=UNSENT,
)
partial_index("ix_notices_by_not_before", notices.c.not_before, where=UNSENT)
partial_index("ix_notices_sent", notices.c.sent_at, notices.c.id, where=SENT)


def condition_values(condition: OpenCondition) -> dict[str, Any]:
    """The columns of a condition, due for its notices at once."""
    return {
        "id": condition.id,
        "subject": condition.subject,
        **_told_values(condition.condition),
        "since": seconds(condition.since),
        "resolved_at": seconds_or_null(condition.resolved_at),
        "notify_at": AT_ONCE,
    }


def read_condition(row: Row[Any]) -> OpenCondition:
    """The condition that `condition_values` wrote."""
    return OpenCondition(
        id=row.id,
        subject=row.subject,
        condition=_read_told(row),
        since=instant(row.since),
        resolved_at=instant_or_absent(row.resolved_at),
    )


def notice_values(notice: Notice) -> dict[str, Any]:
    """The columns of a notice."""
    return {
        "id": notice.id,
        "condition_id": notice.condition_id,
        "channel": notice.channel,
        "notice_kind": notice.kind.value,
        "subject": notice.subject,
        **_told_values(notice.condition),
        "since": seconds(notice.since),
        "created_at": seconds(notice.created_at),
        "not_before": seconds(notice.not_before),
        "attempts": notice.attempts,
        "sent_at": seconds_or_null(notice.sent_at),
    }


def read_notice(row: Row[Any]) -> Notice:
    """The notice that `notice_values` wrote."""
    return Notice(
        id=row.id,
        condition_id=row.condition_id,
        channel=row.channel,
        kind=NoticeKind(row.notice_kind),
        subject=row.subject,
        condition=_read_told(row),
        since=instant(row.since),
        created_at=instant(row.created_at),
        not_before=instant(row.not_before),
        attempts=row.attempts,
        sent_at=instant_or_absent(row.sent_at),
    )


def _told_values(condition: Condition) -> dict[str, Any]:
    return {
        "kind": condition.kind.value,
        "severity": int(condition.severity),
        "detail": condition.detail,
        "stage": condition.stage,
    }


def _read_told(row: Row[Any]) -> Condition:
    return Condition(kind=ConditionKind(row.kind), severity=Severity(row.severity), detail=row.detail, stage=row.stage)
