"""Log lines: JSON for journald, pretty on a terminal, and never a secret.

    structlog (byokd) ─┐
                       ├─▶ level, time, name ─▶ redact ─▶ JSON or console ─▶ one stream
    logging (others) ──┘   WARNING and up

The last processor before rendering replaces every value that could be key material: bytes in any form, and objects of
a class named `Secret`. Nothing should ever get that far; this is the last defence, not the first. Exceptions are
rendered without the local variables of their frames, for the same reason.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED: Final = "[redacted]"
_MEANT_TO_BE_READ: Final = ("builtins", "botocore.exceptions")
"""Modules of others whose errors are told with their text. The SDK's parser, for one, repeats all of an answer that it
could not read, and one of STS has credentials in it."""
_REPEAT_S: Final = 300.0
"""A warning of somebody else's is written again after so long; a refused role makes one for every key of its lane."""
_REPEATED: Final = 1000
"""Of so many different ones the last time is known."""
_DEPTH: Final = 6
"""How deep nested values are looked through; what lies deeper is replaced whole."""


class Format(StrEnum):
    """How lines are written."""

    AUTO = "auto"
    """Console where the stream is a terminal, else JSON."""
    CONSOLE = "console"
    JSON = "json"


def configure(*, format: str = Format.AUTO, level: str = "info", stream: TextIO | None) -> None:  # noqa: A002
    """Send byokd's lines from `level` up, and everybody else's from WARNING up, to `stream`.

    `format` is one of `Format`, `level` one of debug, info, warning, error. None for `stream` hides all lines: the
    terminal view has the screen. May be called again; the last call counts.
    """
    handler = logging.NullHandler() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                *_renderers(Format(format), stream),
            ],
        )
    )
    handler.addFilter(_redact_arguments)
    handler.addFilter(_shorten_warnings)
    handler.addFilter(_Repeated())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("byokd").setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace everything in a line that could be material. A structlog processor."""
    return {name: value if name == "exc_info" else _clean(value, _DEPTH) for name, value in event.items()}


def _clean(value: Any, depth: int) -> Any:
    match value:
        case bytes() | bytearray() | memoryview():
            return REDACTED
        case _ if any(base.__name__ == "Secret" for base in type(value).__mro__):
            return REDACTED
        case None | str() | bool() | int() | float():
            return value
        case _ if depth == 0:
            return REDACTED
        case Mapping():
            return {_clean(name, depth - 1): _clean(each, depth - 1) for name, each in value.items()}
        case tuple():
            return tuple(_clean(each, depth - 1) for each in value)
        case list() | set() | frozenset():
            return [_clean(each, depth - 1) for each in value]
        case _:
            return value


def _redact_arguments(record: logging.LogRecord) -> bool:
    """Clean the arguments of others' lines before they are put into the text. A logging filter; keeps every line."""
    if record.args:
        record.args = _clean(record.args, _DEPTH)
    return True


def _shorten_warnings(record: logging.LogRecord) -> bool:
    """Tell others' warnings in one line. A logging filter; keeps every line.

    The SDK writes a traceback of fifty lines for each call that a refused role fails, which byokd tells by itself.
    """
    if record.exc_info and record.exc_info[1] and record.levelno < logging.ERROR and not _is_ours(record):
        error = record.exc_info[1]
        what = f": {error}" if type(error).__module__ in _MEANT_TO_BE_READ else ""
        told = " ".join(f"{record.getMessage()} {type(error).__name__}{what}".split())
        record.msg, record.args, record.exc_info = told, None, None
    return True


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == "byokd" or record.name.startswith("byokd.")


class _Repeated:
    """Leaves out others' warnings that were written in the minutes before. A logging filter; errors are all kept."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], float] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        if _is_ours(record) or record.levelno >= logging.ERROR:
            return True
        line = (record.name, record.getMessage())
        if 0 <= record.created - self._written.get(line, float("-inf")) < _REPEAT_S:
            return False
        if len(self._written) >= _REPEATED:
            self._written.clear()
        self._written[line] = record.created
        return True


def _shared() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers(format_: Format, stream: TextIO | None) -> list[Processor]:
    """The end of the chain; plain tracebacks in both, as others show the values of local variables."""
    terminal = stream is not None and stream.isatty()
    if format_ is Format.CONSOLE or (format_ is Format.AUTO and terminal):
        return [
            structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback),
        ]
    return [structlog.processors.format_exc_info, _leading, structlog.processors.JSONRenderer()]


def _leading(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What every line has comes first, so that the eye finds it."""
    return {name: event[name] for name in ("timestamp", "level", "event") if name in event} | dict(event)
