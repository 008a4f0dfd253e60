"""What byokd would write to its log."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from byokd import logs


@contextmanager
def logging_restored() -> Iterator[None]:
    """Logging may be configured within; afterwards it is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("byokd").setLevel(logging.NOTSET)
        structlog.reset_defaults()


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """The lines that are written within, as JSON."""
    stream = io.StringIO()
    with logging_restored():
        logs.configure(stream=stream)
        yield stream
