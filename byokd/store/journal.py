"""The journal of new keys: one JSON line for each step, appended and synced before the next call to KMS.

It lies beside the manifest and belongs to one lane. A line that a kill cut short is cut off: what it was about to say
had not begun. A file lock keeps a second process away, which would make every key twice.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from byokd.errors import StoreBusy, StoreCorrupt, StoreError
from byokd.facts.estate import Stage, Step
from byokd.facts.key import ABSENT, Absent, KeyArn, LaneId

_FORMAT = 1


@contextmanager
def open_journal(path: Path, lane: LaneId) -> Iterator[FileJournal]:
    """The journal at `path`, which is made where there is none, until the block is left.

    Raises: StoreBusy where another process has it open, StoreCorrupt where it is none or of another lane, StoreError.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the journal {path} cannot be opened: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield FileJournal(path, descriptor, lane)
    except BlockingIOError as error:
        raise StoreBusy(f"another process is at work with the journal {path}") from error
    finally:
        os.close(descriptor)


class Sketch:
    """A journal that is forgotten; implements `ports.Journal` for dry runs."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = dict(steps)

    def steps(self) -> Mapping[str, Step]:
        """See `ports.Journal`."""
        return self._steps

    def note(self, step: Step) -> None:
        """See `ports.Journal`, but for the disk."""
        self._steps[step.alias] = step


class FileJournal:
    """Implements `ports.Journal`; opened by `open_journal`."""

    def __init__(self, path: Path, descriptor: int, lane: LaneId) -> None:
        self._path = path
        self._file = descriptor
        self._steps: dict[str, Step] = {}
        lines = self._whole_lines()
        if not lines:
            self._append({"byokd_journal": _FORMAT, "lane": lane})
            return
        head = self._read(lines[0])
        if head.get("byokd_journal") != _FORMAT:
            raise StoreCorrupt(f"{path} is no journal of byokd create")
        if head.get("lane") != lane:
            raise StoreCorrupt(f"the journal {path} is of lane {head.get('lane')}, not of {lane}")
        for line in lines[1:]:
            step = self._step(self._read(line))
            self._steps[step.alias] = step

    def steps(self) -> Mapping[str, Step]:
        """See `ports.Journal`."""
        return self._steps

    def note(self, step: Step) -> None:
        """See `ports.Journal`."""
        written = {"alias": step.alias, "stage": step.stage.value, "at": step.at.isoformat()}
        self._append(written | ({} if isinstance(step.arn, Absent) else {"arn": step.arn}))
        self._steps[step.alias] = step

    def _append(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line).encode() + b"\n"
        try:
            if os.write(self._file, text) != len(text):
                raise StoreError(f"the journal {self._path} was not written whole: is the disk full?")
            os.fsync(self._file)
        except OSError as error:
            raise StoreError(f"the journal {self._path} cannot be written: {error.strerror or error}") from error

    def _whole_lines(self) -> list[bytes]:
        """What is written there; the place to write is after it."""
        content = b""
        while part := os.read(self._file, 1 << 20):
            content += part
        whole = content.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)
        return content[:whole].splitlines()

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            read = json.loads(line)
        except ValueError as error:
            raise StoreCorrupt(f"{self._path} is no journal of byokd create, or a damaged one") from error
        return read if isinstance(read, dict) else {}

    def _step(self, read: Mapping[str, Any]) -> Step:
        try:
            return Step(
                alias=str(read["alias"]),
                stage=Stage(read["stage"]),
                at=datetime.fromisoformat(read["at"]),
                arn=KeyArn(read["arn"]) if "arn" in read else ABSENT,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreCorrupt(f"{self._path} is no journal of byokd create, or a damaged one") from error
