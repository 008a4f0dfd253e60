"""What the database refuses, in byokd's words. The one place where errors of SQLite and SQLAlchemy are mapped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError, StatementError

from byokd.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull

_FAULTS: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_FULL: (StoreFull, "There is no space left for {path}."),
    sqlite3.SQLITE_BUSY: (StoreBusy, "Another process is writing to {path}."),
    sqlite3.SQLITE_LOCKED: (StoreBusy, "Another process is writing to {path}."),
    sqlite3.SQLITE_CORRUPT: (StoreCorrupt, "{path} is damaged."),
    sqlite3.SQLITE_NOTADB: (StoreCorrupt, "{path} is not a database."),
    sqlite3.SQLITE_READONLY: (StoreError, "{path} may not be written."),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "{path} cannot be opened: check that it exists, and its permissions."),
    sqlite3.SQLITE_IOERR: (StoreError, "The file system failed under {path}."),
}
_PRIMARY: Final = 0xFF
"""An extended result code holds the primary one in its lowest byte."""

GENERAL: Final = (StoreFull, StoreBusy, StoreCorrupt)
"""Faults of the database as a whole: whoever wrote, would have met them."""


@contextmanager
def mapped(path: Path) -> Iterator[None]:
    """Turn foreign errors into `StoreError`s about the database at `path`, with the cause kept."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise _fault(error, path) from error


def _fault(error: SQLAlchemyError | sqlite3.Error, path: Path) -> StoreError:
    origin = error.orig if isinstance(error, StatementError) else error
    code = getattr(origin, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        # SQLite could not grow the index of its log: to it an I/O error, to people a full disk.
        code = sqlite3.SQLITE_FULL
    if code is not None and code & _PRIMARY in _FAULTS:
        kind, sentence = _FAULTS[code & _PRIMARY]
        return kind(sentence.format(path=path))
    # Never the statement with its parameters, which the text of a StatementError would hold.
    return StoreError(f"{path} refused a request ({type(origin).__name__}: {origin}).")
