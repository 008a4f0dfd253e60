"""Manifests: keys that are to be made, as CSV or TOML (see `written`). Every wrong row is told.

    alias,spec,usage,description,replicas,policy,material,tag:team
    alias/payments-1,,,Card data,us|ie,,payments-1.key,payments
    alias/tokens,HMAC_256,,,,policies/tokens.json,,books
    alias/invoices,RSA_2048,SIGN_VERIFY,,,,invoices.pem,books

Only `alias` is needed: it is the row's name, and nothing but it says later which key a row was made into.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, TypeVar

from byokd.config.documents import read_text
from byokd.config.key_list import SEVERAL
from byokd.config.names import parse_name
from byokd.config.problems import Place, Problems, Unfit, did_you_mean, quoted
from byokd.config.sources import checked_locator
from byokd.config.written import TAG, Row, read_rows
from byokd.facts.estate import NewKey
from byokd.facts.key import ABSENT, SYMMETRIC, Absent
from byokd.facts.kinds import KINDS
from byokd.facts.uses import KeyUsage, usages_of

T = TypeVar("T")
P = ParamSpec("P")

TAGS_MAX: Final = 49
"""KMS takes 50 on a key (developer guide, "Tagging keys"), of which one is byokd's."""
POLICY_BYTES: Final = 32_768
"""The longest key policy (developer guide, "Resource quotas")."""
DESCRIPTION_CHARS: Final = 8192
_TAG_VALUE: Final = re.compile(r"[\w\s.:/=+@-]{0,256}")
_SPECS: Final = tuple(KINDS)
_FLAGS: Final = {"": False, "false": False, "true": True}


class ManifestRow(NamedTuple):
    """One key that is to be made, and where it is written."""

    place: Place
    key: NewKey


def read_manifest(file: Path, problems: Problems) -> list[ManifestRow]:
    """The rows that can be made, in their order; every problem of the others is noted."""
    manifest = _Manifest(file, problems)
    rows = [ManifestRow(row.place, key) for row in read_rows(file, problems) if (key := manifest.key(row)) is not None]
    if not rows and not problems:
        problems.add(Place(str(file), 1), "", "has no rows", "one for each key that is to be made")
    return rows


class _Manifest:
    """One reading of one manifest."""

    def __init__(self, file: Path, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._first: dict[str, Place] = {}
        self._policies: dict[str, str] = {}

    def key(self, written: Row) -> NewKey | None:
        """What a row says; None with its problems noted."""
        place, row, before = written.place, written.cells, len(self._problems)
        alias = self._try(place, "alias", _alias, row["alias"]) or row["alias"]
        if (first := self._first.setdefault(alias, place)) is not place:
            what = f"{quoted(alias)} stands in line {first.line} already"
            self._problems.add(place, "alias", what, "keep one of them")
        spec = self._try(place, "spec", _spec, row.get("spec", ""))
        usage = self._try(place, "usage", _usage, row.get("usage", ""), spec) if spec else None
        multi_region = self._try(place, "multi_region", _flag, row.get("multi_region", ""))
        replicas = tuple(each.strip() for each in row.get("replicas", "").split(SEVERAL) if each.strip())
        if replicas and row.get("multi_region") == "false":
            what = "only a multi-Region key has replicas"
            self._problems.add(place, "replicas", what, "leave multi_region empty, or write true")
        description = self._try(place, "description", _description, row.get("description", ""))
        policy = self._try(place, "policy", self._policy, row.get("policy", ""))
        material = self._try(place, "material", _material, row.get("material", ""))
        if len(written.tags) > TAGS_MAX:
            self._problems.add(place, TAG, f"more than {TAGS_MAX} tags", "KMS takes 50, one of which is byokd's")
        for name, value in written.tags.items():
            self._try(place, f"{TAG}{name}", _tag_value, value)
        if len(self._problems) > before:
            return None
        return NewKey(
            alias=alias,
            spec=spec or SYMMETRIC,
            usage=usage or KeyUsage.ENCRYPT_DECRYPT,
            description=description or "",
            tags=written.tags,
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

    def _try(self, place: Place, column: str, what: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What a cell says, or None with the problem noted."""
        try:
            return what(*args, **kwargs)
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


def _usage(cell: str, spec: str) -> KeyUsage:
    """The one use that a key of the spec has, or the one that is said where it may have several: it is for life."""
    known = usages_of(spec)
    if cell not in known and (cell or len(known) > 1):
        what = f"{quoted(cell)} is no use of a key of spec {spec}" if cell else "is empty, and a key has one for life"
        raise Unfit(what, f"write {' or '.join(known)}")
    return KeyUsage(cell or known[0])


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


def _tag_value(value: str) -> None:
    if not _TAG_VALUE.fullmatch(value):
        raise Unfit(f"{quoted(value)} cannot be a tag's value", "up to 256 letters, digits, spaces or . : / = + @ _ -")


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
