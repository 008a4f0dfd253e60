"""A notice as a line for people and as a document for programs. The same words in every channel.

The document, version 1; a member is added without a new version, and never changes its meaning::

    version    1
    id         of the notice; delivery is at least once, so a receiver drops an id that it has seen
    kind       raised, reminder or resolved
    severity   info, warning or critical
    condition  what is true, a word of `ConditionKind`; the runbook has an entry of that name
    subject    the key's ref, `lane:<id>`, or `daemon`
    detail     one sentence for a person
    since      when the condition began, RFC 3339 in UTC
    stage      the step of the condition, such as the threshold crossed; may be empty
    runbook    where to read what to do
    line       all of that in one line for a person
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from byokd.facts.condition import ConditionKind, Notice, NoticeKind

VERSION: Final = 1


def document(notice: Notice) -> dict[str, str | int]:
    """The notice as JSON members, in the order of the module's description."""
    return {
        "version": VERSION,
        "id": notice.id,
        "kind": notice.kind.value,
        "severity": notice.condition.severity.name.lower(),
        "condition": notice.condition.kind.value,
        "subject": notice.subject,
        "detail": notice.condition.detail,
        "since": _moment(notice.since),
        "stage": notice.condition.stage,
        "runbook": runbook(notice.condition.kind),
        "line": line(notice),
    }


def line(notice: Notice) -> str:
    """One line for a person: how bad, what, about which key, since when, and where to read on."""
    told = " ".join(notice.condition.detail.split())
    return (
        f"{_word(notice)} {notice.condition.kind} {notice.subject}: {told} "
        f"(since {_moment(notice.since)}; {runbook(notice.condition.kind)})"
    )


def runbook(kind: ConditionKind) -> str:
    """Where to read what to do about a condition."""
    return f"docs/runbook.md#{kind.value}"


def _word(notice: Notice) -> str:
    match notice.kind:
        case NoticeKind.RAISED:
            return notice.condition.severity.name
        case NoticeKind.REMINDER:
            return f"STILL {notice.condition.severity.name}"
        case NoticeKind.RESOLVED:
            return "RESOLVED"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
