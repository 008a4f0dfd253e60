"""How a notice reads, for people and for programs."""

from __future__ import annotations

import pytest

from byokd.alerts.render import document, line
from byokd.facts.condition import NoticeKind, Severity
from tests.unit.alerts.notices import KEY, a_notice


def test_document() -> None:
    """The document has the members of version 1, which receivers rely on."""
    assert document(a_notice()) == {
        "version": 1,
        "id": "n-1",
        "kind": "raised",
        "severity": "critical",
        "condition": "expiring",
        "subject": KEY,
        "detail": "The material ends in 3 days and was not renewed.",
        "since": "2026-03-01T12:00:00Z",
        "stage": "3d",
        "runbook": "docs/runbook.md#expiring",
        "line": line(a_notice()),
    }


@pytest.mark.parametrize(
    ("kind", "severity", "begins"),
    [
        (NoticeKind.RAISED, Severity.CRITICAL, f"CRITICAL expiring {KEY}: The material ends"),
        (NoticeKind.REMINDER, Severity.WARNING, f"STILL WARNING expiring {KEY}: "),
        (NoticeKind.RESOLVED, Severity.CRITICAL, f"RESOLVED expiring {KEY}: "),
    ],
)
def test_line(kind: NoticeKind, severity: Severity, begins: str) -> None:
    """A line begins with how bad it is, and ends with since when and what to do."""
    told = line(a_notice(kind=kind, severity=severity))
    assert told.startswith(begins)
    assert told.endswith("(since 2026-03-01T12:00:00Z; docs/runbook.md#expiring)")


def test_one_line() -> None:
    """A detail of several lines does not forge further log lines."""
    assert "\n" not in line(a_notice(detail="first\nCRITICAL forged"))
