"""Key lists: fleets of thousands as CSV (RFC 4180, in UTF-8), with a header row.

    key,material,valid_for
    arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab,a.key,
    alias/payments-2,b.key,30d

The text is read once, when the config is loaded, and kept: a file edited later changes nothing until the next load, and
100,000 rows are 10 MB as text but many times that as objects. So rows are parsed as they are asked for.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from byokd.config.policy import PolicySettings
from byokd.config.problems import Place, Problems, did_you_mean, quoted

MAX_BYTES: Final = 256 * 1024 * 1024
COLUMNS: Final = ("key", "material", "replicas", *(name for name in PolicySettings.model_fields if name != "windows"))
"""Windows are tables, which a cell cannot hold: they stand in the fleet."""

SEVERAL: Final = "|"
"""Between several values in one cell: materials, or replicas. A manifest's cells are written likewise."""

_OF_THE_KEY: Final = ("key", "material", "replicas")
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")


class Row(NamedTuple):
    """One row."""

    line: int
    key: str
    material: str | None
    replicas: str
    policy: tuple[str, ...]
    """The cells of `KeyList.policy_columns`, as written; few rows differ, so that equal ones can be judged once."""


@dataclass(frozen=True, slots=True)
class KeyList:
    """The text of one list, and what its columns mean."""

    file: Path
    text: str
    columns: tuple[str, ...]

    @property
    def policy_columns(self) -> tuple[str, ...]:
        """The columns that say something about the policy, in order."""
        return tuple(each for each in self.columns if each not in _OF_THE_KEY)

    def rows(self, where: str, problems: Problems) -> Iterator[Row]:
        """The rows that have as many cells as the header; empty lines are passed over."""
        key_at = self.columns.index("key")
        material_at, replicas_at = (
            self.columns.index(name) if name in self.columns else None for name in ("material", "replicas")
        )
        policy_at = [index for index, name in enumerate(self.columns) if name not in _OF_THE_KEY]
        reader = csv.reader(_lines(self.text), strict=True)
        try:
            next(reader)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(self.columns):
                    what = f"has {len(cells)} cells, the header {len(self.columns)}"
                    problems.add(Place(str(self.file), reader.line_num), where, what, "one cell for each column")
                    continue
                material = cells[material_at].strip() if material_at is not None else ""
                replicas = cells[replicas_at].strip() if replicas_at is not None else ""
                policy = tuple(cells[index].strip() for index in policy_at)
                yield Row(reader.line_num, cells[key_at].strip(), material or None, replicas, policy)
        except csv.Error as error:
            problems.add(Place(str(self.file), reader.line_num), where, f"is not CSV: {error}", "see RFC 4180")


def policy_settings(columns: tuple[str, ...], cells: tuple[str, ...]) -> dict[str, str | int | list[str]]:
    """What a row says about its policy, as it would be said in TOML. Empty cells say nothing."""
    written: dict[str, str | int | list[str]] = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
    if isinstance(thresholds := written.get("alert_before"), str):
        written["alert_before"] = thresholds.split()
    if isinstance(priority := written.get("priority"), str) and _WHOLE.fullmatch(priority):
        written["priority"] = int(priority)
    return written


def read_header(file: Path, text: str, where: str, problems: Problems) -> KeyList | None:
    """The list in a file's text; None with the problem noted where its header cannot be made out."""
    reader = csv.reader(_lines(text), strict=True)
    try:
        columns = tuple(each.strip() for each in next(reader, []))
    except csv.Error as error:
        problems.add(Place(str(file), 1), where, f"is not CSV: {error}", "see RFC 4180")
        return None
    place = Place(str(file), 1)
    before = len(problems)
    if "key" not in columns:
        hint = "separate columns by commas" if ";" in text[:200].partition("\n")[0] else "the first row is key,material"
        problems.add(place, where, "has no column named key", hint)
        return None
    for name in columns:
        if name not in COLUMNS:
            problems.add(place, where, f"unknown column {quoted(name)}", did_you_mean(name, COLUMNS))
        elif columns.count(name) > 1:
            problems.add(place, where, f"has column {name} more than once", "keep one of them")
    return KeyList(file, text, columns) if len(problems) == before else None


def _lines(text: str) -> Iterator[str]:
    """The text line by line, without a copy of the whole."""
    return (match[0] for match in _LINE.finditer(text))
