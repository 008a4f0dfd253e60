"""Alerts in the log."""

from __future__ import annotations

from typing import Any

import pytest

from byokd.alerts.log import LogChannel
from byokd.alerts.render import document
from byokd.facts.condition import NoticeKind, Severity
from tests.unit.alerts.notices import a_notice


class Kept:
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, /, **fields: Any) -> None:
        self.lines.append(("error", event, fields))


@pytest.mark.parametrize(
    ("kind", "severity", "level"),
    [
        (NoticeKind.RAISED, Severity.INFO, "info"),
        (NoticeKind.RAISED, Severity.WARNING, "warning"),
        (NoticeKind.REMINDER, Severity.CRITICAL, "error"),
        (NoticeKind.RESOLVED, Severity.CRITICAL, "info"),
    ],
)
async def test_level(kind: NoticeKind, severity: Severity, level: str) -> None:
    """The level follows from the severity; good news is never an error."""
    kept = Kept()
    notice = a_notice(kind=kind, severity=severity)
    await LogChannel("log", logger=kept).deliver(notice)
    assert kept.lines == [(level, "alert", document(notice))]
