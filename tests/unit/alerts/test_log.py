"""Alerts in the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from byokd.alerts.log import LogChannel
from byokd.alerts.render import document
from byokd.facts.condition import Message, NoticeKind, Severity
from tests.kit.notices import a_notice, alone


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
    await LogChannel("log", logger=kept).deliver(alone(notice))
    assert kept.lines == [(level, "alert", document(alone(notice)))]


async def test_many() -> None:
    """The log is a record: it has a line for each notice, however they are told."""
    kept = Kept()
    notices = tuple(replace(a_notice(), id=f"n-{number}") for number in range(5))
    await LogChannel("log", logger=kept).deliver(Message(notices=notices, deadlines={}))
    assert [fields["id"] for _, _, fields in kept.lines] == [notice.id for notice in notices]
