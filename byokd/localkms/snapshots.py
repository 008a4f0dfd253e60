"""Snapshots: a whole state as one JSON document, to be put back later.

    {"format": "byokd local KMS", "schema": 2, "proof": …, "tables": {"keys": [[arn, document], …], …}}

A snapshot holds what the journal holds, rows as they are on disk: material and wrapping keys in it stay sealed, so it
tells nobody anything and can be restored only where the same key file is, or, for a state in memory, in the process
that made it. This file must not open anything but the proof.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final

from byokd.localkms.errors import StateError
from byokd.localkms.persistence import PROOF, SCHEMA_VERSION, TABLES, Row
from byokd.localkms.seal import BrokenSealError, Seal

FORMAT: Final = "byokd local KMS"


def written(tables: dict[str, list[Row]], seal: Seal) -> bytes:
    """The snapshot of a state's rows."""
    proof = b64encode(seal.close(PROOF, b"")).decode()
    snapshot = {"format": FORMAT, "schema": SCHEMA_VERSION, "proof": proof, "tables": tables}
    return json.dumps(snapshot, default=_blob, separators=(",", ":")).encode()


def read(snapshot: bytes, seal: Seal) -> dict[str, list[Row]]:
    """The rows of a snapshot.

    Raises: StateError when it is none, is damaged, is of another version, or was sealed under another key.
    """
    try:
        document = json.loads(snapshot, object_hook=_unblobbed)
    except (ValueError, RecursionError):
        raise StateError("This is no snapshot of a local KMS: it is not valid JSON.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StateError("This is no snapshot of a local KMS.")
    if document.get("schema") != SCHEMA_VERSION:
        message = f"The snapshot has schema {document.get('schema')}; this version restores schema {SCHEMA_VERSION}."
        raise StateError(message)
    try:
        seal.open(PROOF, b64decode(document["proof"]))
    except BrokenSealError:
        message = "The snapshot was sealed under another key file; it can be restored only beside that one."
        raise StateError(message) from None
    except (KeyError, TypeError, ValueError):
        raise StateError("The snapshot is damaged.") from None
    return {table: _rows(document, table, columns) for table, columns in TABLES.items()}


def _rows(document: dict[str, Any], table: str, columns: int) -> list[Row]:
    tables = document.get("tables")
    rows = tables.get(table) if isinstance(tables, dict) else None
    if not isinstance(rows, list):
        raise StateError(f"The snapshot is damaged: it has no {table}.")
    for row in rows:
        if not (isinstance(row, list) and len(row) == columns and all(isinstance(cell, str | bytes) for cell in row)):
            raise StateError(f"The snapshot is damaged: a row of {table} is malformed.")
    return [tuple(row) for row in rows]


def _blob(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def _unblobbed(value: dict[str, Any]) -> object:
    if value.keys() == {"base64"} and isinstance(value["base64"], str):
        return b64decode(value["base64"], validate=True)
    return value
