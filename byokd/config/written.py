"""How a manifest is written down: CSV (RFC 4180) with a header row, or TOML where the file's name ends in .toml.

    alias,spec,tag:team          [[keys]]
    alias/a,HMAC_256,pay         alias = "alias/a"
                                 spec = "HMAC_256"
                                 tags = { team = "pay" }

Both come to the same: rows of cells, as text. What a cell means is `manifest`'s to judge.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from byokd.config.documents import parse, read_text
from byokd.config.key_list import SEVERAL
from byokd.config.locate import locate
from byokd.config.problems import Place, Problems, did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 64 * 1024 * 1024
COLUMNS: Final = (
    "alias",
    "spec",
    "usage",
    "description",
    "multi_region",
    "replicas",
    "policy",
    "material",
)
TAG: Final = "tag:"
"""A column of this name and a tag's name holds the tag's values; an empty cell means no such tag."""
KEYS: Final = "keys"
"""The one table of a manifest in TOML."""
TAGS: Final = "tags"
_TAG_NAME: Final = re.compile(r"[\w\s.:/=+@-]{1,128}")


class Row(NamedTuple):
    """One key as it is written; what is not said is empty."""

    place: Place
    cells: Mapping[str, str]
    tags: Mapping[str, str]


def read_rows(file: Path, problems: Problems) -> Iterator[Row]:
    """Every row that can be read, in their order; what cannot be is noted."""
    text = read_text(file, Place(str(file), 0), "", problems, max_bytes=MAX_BYTES)
    if text is None:
        return iter(())
    return _of_toml(file, text, problems) if file.suffix == ".toml" else _of_csv(file, text, problems)


# -- CSV --------------------------------------------------------------------------------------------------------------


def _of_csv(file: Path, text: str, problems: Problems) -> Iterator[Row]:
    """No row at all where the text is no CSV: whoever leaves wrong rows out would else lose all that follow, unsaid."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(cells, reader.line_num) for cells in reader]
    except csv.Error as error:
        problems.add(Place(str(file), reader.line_num), "", f"is not CSV: {error}", "see RFC 4180")
        return
    columns = tuple(each.strip() for each in lines[0][0]) if lines else ()
    if not _knows(columns, Place(str(file), 1), problems):
        return
    for cells, number in lines[1:]:
        place = Place(str(file), number)
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            what = f"has {len(cells)} cells, the header {len(columns)}"
            problems.add(place, "", what, "one cell for each column")
            continue
        row = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
        tags = {name.removeprefix(TAG): cell for name, cell in row.items() if name.startswith(TAG) and cell}
        yield Row(place, {name: cell for name, cell in row.items() if not name.startswith(TAG)}, tags)


def _knows(columns: tuple[str, ...], place: Place, problems: Problems) -> bool:
    """Whether the header makes sense; else its problems are noted."""
    before = len(problems)
    if "alias" not in columns:
        problems.add(place, "", "has no column named alias", f"columns: {', '.join(COLUMNS)}, {TAG}NAME")
        return False
    for name in dict.fromkeys(columns):
        if columns.count(name) > 1:
            problems.add(place, name, "stands there more than once", "keep one of them")
        if name.startswith(TAG):
            _check_tag(name, place, problems)
        elif name not in COLUMNS:
            problems.add(place, name, "unknown column", did_you_mean(name, (*COLUMNS, f"{TAG}NAME")))
    return len(problems) == before


# -- TOML -------------------------------------------------------------------------------------------------------------


def _of_toml(file: Path, text: str, problems: Problems) -> Iterator[Row]:
    try:
        if (data := parse(file, text, problems)) is None:
            return
        lines = locate(text.replace("\r\n", "\n"))
    except RecursionError:
        problems.add(Place(str(file), 0), "", "is nested too deeply", "no key needs more than three levels")
        return
    for name in data:
        if name != KEYS:
            place = Place(str(file), lines.get((name,), 0))
            problems.add(place, name, "unknown table", f"a manifest has one [[{KEYS}]] for each key")
    listed = data.get(KEYS, [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        problems.add(Place(str(file), lines.get((KEYS,), 0)), KEYS, "is not a list of keys", f"write [[{KEYS}]]")
        return
    for index, written in enumerate(listed):
        place = Place(str(file), lines.get((KEYS, index), 0))
        before = len(problems)
        cells = {name: _cell(name, value, place, problems) for name, value in written.items() if name != TAGS}
        tags = _tags(written.get(TAGS, {}), place, problems)
        if "alias" not in cells:
            problems.add(place, "alias", "is missing", "it names the key")
        if len(problems) == before:
            yield Row(place, cells, tags)


def _cell(name: str, value: Any, place: Place, problems: Problems) -> str:
    """One setting of a key as the cell that would say the same."""
    if name not in COLUMNS:
        problems.add(place, name, "unknown setting", did_you_mean(name, (*COLUMNS, TAGS)))
    elif name == "multi_region" and isinstance(value, bool):
        return "true" if value else "false"
    elif name == "replicas" and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return SEVERAL.join(value)
    elif name in ("multi_region", "replicas") or not isinstance(value, str):
        wanted = {"multi_region": "true or false", "replicas": "a list of lanes, in quotes"}.get(name, "text in quotes")
        problems.add(place, name, f"{quoted(str(value))} is of another type", f"write {wanted}")
    else:
        return value
    return ""


def _tags(value: Any, place: Place, problems: Problems) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        problems.add(place, TAGS, "is no table of text", 'tags = { team = "payments" }')
        return {}
    for name in value:
        _check_tag(f"{TAG}{name}", place, problems)
    return value


def _check_tag(column: str, place: Place, problems: Problems) -> None:
    name = column.removeprefix(TAG)
    if not _TAG_NAME.fullmatch(name) or name.lower().startswith(("aws:", "byokd:")):
        hint = "1 to 128 letters, digits, spaces or . : / = + @ _ -; not aws: or byokd:"
        problems.add(place, column, "cannot be a tag", hint)
