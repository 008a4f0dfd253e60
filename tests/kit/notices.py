"""A notice to tell, alone or with others."""

from __future__ import annotations

from datetime import UTC, datetime

from byokd.facts.condition import Condition, ConditionKind, Message, Notice, NoticeKind, Severity

SINCE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def a_notice(
    *,
    kind: NoticeKind = NoticeKind.RAISED,
    severity: Severity = Severity.CRITICAL,
    detail: str = "The material ends in 3 days and was not renewed.",
) -> Notice:
    """A notice of a key that is about to expire."""
    return Notice(
        id="n-1",
        condition_id="c-1",
        channel="pager",
        kind=kind,
        subject=KEY,
        condition=Condition(kind=ConditionKind.EXPIRING, severity=severity, detail=detail, stage="3d"),
        since=SINCE,
        created_at=SINCE,
        not_before=SINCE,
    )


def alone(notice: Notice, deadline: datetime | None = None) -> Message:
    """A notice as a message of its own."""
    return Message(notices=(notice,), deadlines={} if deadline is None else {notice.subject: deadline})
