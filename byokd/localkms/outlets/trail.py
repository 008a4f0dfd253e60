"""The trail: CloudTrail's records in a file, one JSON object a line, each written before the answer leaves.

The file is opened for appending with mode 0600 and never holds secrets (see records.py). When it has grown beyond its
limit it becomes `<trail>.1`, in place of an older one. A disk that refuses costs records, never requests: that is said
once in the log, and again when it has recovered and fails anew.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from byokd.localkms.outlets.records import Record

log = logging.getLogger(__name__)


class Trail:
    """Appends to one file. Opened at construction, so that a path that cannot be written fails at start."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Raises: OSError when the file cannot be opened for writing."""
        self._path = path
        self._max_bytes = max_bytes
        self._failing = False
        self._open()

    def write(self, record: Record) -> None:
        """Append a record."""
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            if self._size + len(line) > self._max_bytes:
                self._begin_anew()
            os.write(self._descriptor, line)  # one write, so that a reader never sees lines mixed
        except OSError:
            if not self._failing:
                log.exception("the trail %s cannot be written; records are lost until it can", self._path)
            self._failing = True
        else:
            self._size += len(line)
            self._failing = False

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _begin_anew(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        old = self._descriptor
        self._open()
        os.close(old)
