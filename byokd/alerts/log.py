"""Alerts in byokd's own log, at the level that their severity asks for. Works when nothing else does."""

from __future__ import annotations

from typing import Any, Final, Protocol

import structlog

from byokd.alerts.render import document
from byokd.facts.condition import Message, Notice, NoticeKind, Severity

EVENT: Final = "alert"
"""The log event of every notice; the rest is in its fields."""


class Logger(Protocol):
    """What a log channel needs of structlog's loggers."""

    def info(self, event: str, /, **fields: Any) -> Any:
        """Log something to know."""

    def warning(self, event: str, /, **fields: Any) -> Any:
        """Log something to look at."""

    def error(self, event: str, /, **fields: Any) -> Any:
        """Log something to act on."""


class LogChannel:
    """A `Channel` that writes a log line for each notice, with the fields of `render.document`: a log is a record."""

    def __init__(self, name: str, *, logger: Logger | None = None) -> None:
        self.name = name
        self._logger = structlog.get_logger("byokd.alerts") if logger is None else logger

    async def deliver(self, message: Message) -> None:
        """See `ports.Channel`. Never fails."""
        for notice in message.notices:
            self._log(notice, document(Message(notices=(notice,), deadlines=message.deadlines)))

    def _log(self, notice: Notice, fields: dict[str, Any]) -> None:
        if notice.kind is NoticeKind.RESOLVED or notice.condition.severity is Severity.INFO:
            self._logger.info(EVENT, **fields)
        elif notice.condition.severity is Severity.WARNING:
            self._logger.warning(EVENT, **fields)
        else:
            self._logger.error(EVENT, **fields)
