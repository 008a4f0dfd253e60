"""Manifests: keys that are to be made, as CSV (RFC 4180, in UTF-8) with a header row. Every wrong row is told.

    alias,spec,description,replicas,policy,material,tag:team
    alias/payments-1,,Card data,us|ie,,payments-1.key,payments
    alias/tokens,HMAC_256,,,policies/tokens.json,,books

Only `alias` is needed: it is the row's name, and nothing but it says later which key a row was made into.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from byokd.config.documents import read_text
from byokd.config.names import parse_name
from byokd.config.problems import Place, Problems, Unfit, did_you_mean, quoted
from byokd.config.sources import checked_locator
from byokd.facts.estate import NewKey
from byokd.facts.key import ABSENT, SYMMETRIC, Absent
from byokd.facts.kinds import KINDS, MaterialKind

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterator

T = TypeVar("T")

MAX_BYTES: Final = 64 * 1024 * 1024
COLUMNS: Final = ("alias", "spec", "description", "multi_region", "replicas", "policy", "material")
TAG: Final = "tag:"
"""A column of this name and a tag's name holds the tag's values; an empty cell means no such tag."""
TAGS_MAX: Final = 49
"""KMS takes 50 on a key (developer guide, "Tagging keys"), of which one is byokd's."""
POLICY_BYTES: Final = 32_768
"""The longest key policy (developer guide, "Resource quotas")."""
DESCRIPTION_CHARS: Final = 8192
_TAG_NAME: Final = re.compile(r"[\w\s.:/=+@-]{1,128}")
_TAG_VALUE: Final = re.compile(r"[\w\s.:/=+@-]{0,256}")
_SPECS: Final = tuple(spec for spec, kind in KINDS.items() if kind.material is MaterialKind.BYTES)
"""What an asymmetric key is used for would have to be said as well: those are made elsewhere, and adopted."""
_FLAGS: Final = {"": False, "false": False, "true": True}


class ManifestRow(NamedTuple):
    """One key that is to be made, and where it is written."""

    place: Place
    key: NewKey


def read_manifest(file: Path, problems: Problems) -> list[ManifestRow]:
    """The rows that can be made, in their order; every problem of the others is noted."""
    text = read_text(file, Place(str(file), 0), "", problems, max_bytes=MAX_BYTES)
    if text is None:
        return []
    manifest = _Manifest(file, problems)
    rows: list[ManifestRow] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = tuple(each.strip() for each in next(reader, []))
        if manifest.knows(columns):
            rows = list(manifest.rows(reader, columns))
    except csv.Error as error:
        problems.add(Place(str(file), reader.line_num), "", f"is not CSV: {error}", "see RFC 4180")
    if not rows and not problems:
        problems.add(Place(str(file), 1), "", "has no rows", "one for each key that is to be made")
    return rows


class _Manifest:
    """One reading of one manifest."""

    def __init__(self, file: Path, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._first: dict[str, int] = {}
        self._policies: dict[str, str] = {}

    def knows(self, columns: tuple[str, ...]) -> bool:
        """Whether the header makes sense; else its problems are noted."""
        place, before = Place(str(self._file), 1), len(self._problems)
        if "alias" not in columns:
            self._problems.add(place, "", "has no column named alias", f"columns: {', '.join(COLUMNS)}, {TAG}NAME")
            return False
        for name in dict.fromkeys(columns):
            if columns.count(name) > 1:
                self._problems.add(place, name, "stands there more than once", "keep one of them")
            if name.startswith(TAG):
                self._try(place, name, _tag_name, name.removeprefix(TAG))
            elif name not in COLUMNS:
                self._problems.add(place, name, "unknown column", did_you_mean(name, (*COLUMNS, f"{TAG}NAME")))
        if sum(name.startswith(TAG) for name in columns) > TAGS_MAX:
            self._problems.add(place, TAG, f"more than {TAGS_MAX} tags", "KMS takes 50, one of which is byokd's")
        return len(self._problems) == before

    def rows(self, reader: Reader, columns: tuple[str, ...]) -> Iterator[ManifestRow]:
        """The rows that have no problem."""
        for cells in reader:
            place = Place(str(self._file), reader.line_num)
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                what = f"has {len(cells)} cells, the header {len(columns)}"
                self._problems.add(place, "", what, "one cell for each column")
                continue
            row = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
            if (key := self._key(place, row)) is not None:
                yield ManifestRow(place, key)

    def _key(self, place: Place, row: Mapping[str, str]) -> NewKey | None:
        before = len(self._problems)
        alias = self._try(place, "alias", _alias, row["alias"]) or row["alias"]
        if (first := self._first.setdefault(alias, place.line)) != place.line:
            self._problems.add(place, "alias", f"{quoted(alias)} stands in line {first} already", "keep one of them")
        spec = self._try(place, "spec", _spec, row.get("spec", ""))
        multi_region = self._try(place, "multi_region", _flag, row.get("multi_region", ""))
        replicas = tuple(each.strip() for each in row.get("replicas", "").split("|") if each.strip())
        if replicas and row.get("multi_region") == "false":
            what = "only a multi-Region key has replicas"
            self._problems.add(place, "replicas", what, "leave multi_region empty, or write true")
        description = self._try(place, "description", _description, row.get("description", ""))
        policy = self._try(place, "policy", self._policy, row.get("policy", ""))
        material = self._try(place, "material", _material, row.get("material", ""))
        tags = {name.removeprefix(TAG): value for name, value in row.items() if name.startswith(TAG) and value}
        for name, value in tags.items():
            self._try(place, f"{TAG}{name}", _tag_value, value)
        if len(self._problems) > before:
            return None
        return NewKey(
            alias=alias,
            spec=spec or SYMMETRIC,
            description=description or "",
            tags=tags,
            policy=policy or ABSENT,
            multi_region=bool(multi_region or replicas),
            replicas=replicas,
            material=material or ABSENT,
        )

    def _policy(self, written: str) -> str | Absent:
        """The policy in a file, whose path starts at the manifest's directory; each file is read once."""
        if not written:
            return ABSENT
        if written not in self._policies:
            self._policies[written] = policy_in(self._file.parent / written)
        return self._policies[written]

    def _try(self, place: Place, column: str, what: Callable[[str], T], cell: str) -> T | None:
        """What a cell says, or None with the problem noted."""
        try:
            return what(cell)
        except Unfit as unfit:
            self._problems.add(place, column, unfit.what, unfit.hint)
            return None


def _alias(cell: str) -> str:
    if not parse_name(cell).is_alias:
        raise Unfit(f"{quoted(cell)} is not an alias", "write alias/NAME: the key itself does not exist yet")
    return cell


def _spec(cell: str) -> str:
    if cell and cell not in _SPECS:
        raise Unfit(f"{quoted(cell)} is no spec that byokd makes keys of", did_you_mean(cell, _SPECS))
    return cell or SYMMETRIC


def _flag(cell: str) -> bool:
    if cell not in _FLAGS:
        raise Unfit(f"{quoted(cell)} is neither true nor false", "write true, false or nothing")
    return _FLAGS[cell]


def _description(cell: str) -> str:
    if len(cell) > DESCRIPTION_CHARS:
        raise Unfit("is too long", f"at most {DESCRIPTION_CHARS} characters")
    return cell


def _material(cell: str) -> str:
    return checked_locator(cell) if cell else ""


def _tag_name(name: str) -> str:
    if not _TAG_NAME.fullmatch(name) or name.lower().startswith(("aws:", "byokd:")):
        raise Unfit("cannot be a tag", "1 to 128 letters, digits, spaces or . : / = + @ _ -; not aws: or byokd:")
    return name


def _tag_value(value: str) -> str:
    if not _TAG_VALUE.fullmatch(value):
        raise Unfit(f"{quoted(value)} cannot be a tag's value", "up to 256 letters, digits, spaces or . : / = + @ _ -")
    return value


def policy_in(file: Path) -> str:
    """The key policy in a file. Raises: Unfit."""
    noted = Problems()
    text = read_text(file, Place(str(file), 0), "", noted, max_bytes=POLICY_BYTES)
    if text is None:
        problem = next(iter(noted))
        raise Unfit(problem.what, problem.hint)
    try:
        policy = json.loads(text)
    except ValueError as error:
        raise Unfit(f"{file} is not JSON: {error}", "a key policy, as KMS takes it") from error
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise Unfit(f"{file} is not a key policy", "a JSON object with a Statement")
    return text
