"""Reading the files: bounded, decoded, parsed, merged into one document, with the place of every setting.

    byokd.toml ──┐
    conf.d/10.toml ──┼─▶ tables merge, arrays of tables append, a setting given twice is a problem ─▶ Document
    conf.d/20.toml ──┘

Files of `conf.d` are taken in the order of their names, which only shows in the order of keys.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, file_digest
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from byokd.config.locate import Path as SettingPath
from byokd.config.locate import locate
from byokd.config.problems import Place, Problems

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of one TOML file; a fleet of this size belongs into a key list."""
MAX_FILES: Final = 1000
"""In `conf.d`."""
DIGEST_BYTES: Final = 32

_TOML_LINE: Final = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


@dataclass(slots=True)
class Document:
    """All files as one: the merged data, and where each setting stands."""

    main: Path
    data: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    places: dict[SettingPath, Place] = field(default_factory=dict)
    drafts: Mapping[Path, str] = field(default_factory=dict)
    """Files that are not there yet, by absolute path, and what would stand in them."""
    digests: dict[Path, bytes] = field(default_factory=dict)
    """Of each file that was read: a hash of what it held then."""

    def text(self, file: Path, place: Place, where: str, problems: Problems, *, max_bytes: int) -> str | None:
        """A file's text, or its draft's; None with the problem noted at `place`."""
        if (draft := self.drafts.get(file)) is None:
            content = read_content(file, place, where, problems, max_bytes=max_bytes)
        else:
            content = draft.encode()
            if len(content) > max_bytes:
                problems.add(place, where, f"{file} would be larger than {max_bytes} bytes", "write a key list in CSV")
                return None
        if content is None:
            return None
        self.digests[file] = blake2b(content, digest_size=DIGEST_BYTES).digest()
        return _decoded(content, file, where, problems)

    def digest(self, file: Path) -> bytes:
        """A hash of what a file holds: of what was read of it, else of what it holds now; empty where it has nothing.

        Costs no memory, however large the file.
        """
        if (known := self.digests.get(file)) is not None:
            return known
        try:
            with _opened(file) as stream:
                regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
                return file_digest(stream, lambda: blake2b(digest_size=DIGEST_BYTES)).digest() if regular else b""
        except OSError:
            return b""

    def place(self, path: SettingPath) -> Place:
        """Where a setting stands; for one that is not written, the table that it would stand in."""
        for length in range(len(path), 0, -1):
            if place := self.places.get(path[:length]):
                return place
        return Place(str(self.main), 0)


def read_documents(main: Path, problems: Problems, drafts: Mapping[Path, str]) -> Document:
    """Read the main file, those beside it, and drafts of more. What cannot be read is noted and left out."""
    document = Document(main=main, drafts=drafts)
    drafted = [file for file in drafts if file.suffix == ".toml"]
    for file in (main, *_drop_ins(main.parent / "conf.d", problems), *drafted):
        document.files.append(file)
        text = document.text(file, Place(str(file), 0), "", problems, max_bytes=MAX_BYTES)
        if text is None:
            continue
        try:
            if (data := parse(file, text, problems)) is not None:
                _merge(document, file, data, locate(text.replace("\r\n", "\n")), problems)
        except RecursionError:
            problems.add(Place(str(file), 0), "", "is nested too deeply", "no setting needs more than six levels")
    return document


def dotted(path: SettingPath) -> str:
    """A setting's path for people: `fleets.payments.keys[3].valid_for`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_text(file: Path, place: Place, where: str, problems: Problems, *, max_bytes: int) -> str | None:
    """A whole file in UTF-8, or None with the problem noted at `place`."""
    content = read_content(file, place, where, problems, max_bytes=max_bytes)
    return None if content is None else _decoded(content, file, where, problems)


def read_content(file: Path, place: Place, where: str, problems: Problems, *, max_bytes: int) -> bytes | None:
    """A whole file, or None with the problem noted at `place`."""
    try:
        with _opened(file) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                problems.add(place, where, f"{file} is not a file", "name a file")
                return None
            content = stream.read(max_bytes + 1)
    except OSError as error:
        problems.add(place, where, f"{file} cannot be read: {error.strerror}", "check path and permissions")
        return None
    if len(content) > max_bytes:
        problems.add(place, where, f"{file} is larger than {max_bytes} bytes", "split it")
        return None
    return content


def _opened(file: Path) -> BufferedReader:
    # Not to block on a FIFO: what is not a file is told, not waited for.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor has no Path


def _decoded(content: bytes, file: Path, where: str, problems: Problems) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(Place(str(file), line), where, "is not UTF-8", "save the file in UTF-8")
        return None


def _drop_ins(directory: Path, problems: Problems) -> list[Path]:
    try:
        files = sorted(each for each in directory.iterdir() if each.suffix == ".toml" and each.name[0] != ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.add(
            Place(str(directory), 0), "", f"cannot be read: {error.strerror}", "conf.d is a directory of *.toml"
        )
        return []
    if len(files) > MAX_FILES:
        problems.add(Place(str(directory), 0), "", f"holds more than {MAX_FILES} files", "join some of them")
    return files[:MAX_FILES]


def parse(file: Path, text: str, problems: Problems) -> dict[str, Any] | None:
    """The data of a TOML file's text, or None with the problem noted. Raises: RecursionError if nested too deeply."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_LINE.search(str(error))
        line = int(match["line"] or text.count("\n") + 1) if match else 0
        what = str(error)[: match.start()] if match else str(error)
        problems.add(Place(str(file), line), "", f"is not TOML: {what}", "see https://toml.io")
        return None


def _merge(
    document: Document, file: Path, data: Mapping[str, Any], lines: Mapping[SettingPath, int], problems: Problems
) -> None:
    """Add one file's data to the document."""

    def add(into: dict[str, Any], new: Mapping[str, Any], here: SettingPath) -> None:
        for name, value in new.items():
            path = (*here, name)
            place = Place(str(file), lines.get(path, 0))
            present = into.get(name)
            if name not in into:
                into[name] = value
                note(path, path, value)
            elif isinstance(present, dict) and isinstance(value, dict):
                add(present, value, path)
            elif isinstance(present, list) and isinstance(value, list) and _are_tables([*present, *value]):
                for index, each in enumerate(value, start=len(present)):
                    note((*path, index), (*path, index - len(present)), each)
                into[name] = [*present, *value]
            else:
                problems.add(place, dotted(path), f"is given already in {document.place(path)}", "keep one of the two")

    def note(path: SettingPath, local: SettingPath, value: object) -> None:
        """Note the places of a setting and of all below it; `local` is its path within the file alone."""
        document.places[path] = Place(str(file), lines.get(local, 0))
        below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in below:
            note((*path, key), (*local, key), each)

    add(document.data, data, ())


def _are_tables(values: list[Any]) -> bool:
    return all(isinstance(each, dict) for each in values)
