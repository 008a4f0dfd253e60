"""From a document to settings: pydantic judges, bad settings are set aside, and the rest goes on.

A setting with a problem is taken out of the data and the rest is judged again, until it stands. So everything that is
wrong comes to light at once, also what only shows later across settings. Where a required setting is missing, its whole
table goes; what is missing only because it was taken out is not told again.

Key entries (`[[fleets.*.keys]]`) are judged one by one: a list of thousands must not be judged again for each bad one.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from byokd.config.documents import Document, dotted
from byokd.config.locate import Path as SettingPath
from byokd.config.outline import Outline
from byokd.config.problems import Problems, Unfit, did_you_mean, quoted
from byokd.config.schema import ConfigFile, KeySettings, PolicySettings

_Model = TypeVar("_Model", bound=BaseModel)

KeyEntries = dict[str, list[tuple[SettingPath, KeySettings]]]
"""By fleet: where each sound key entry stands, and what it says."""

OUTLINE: Final = Outline(ConfigFile)

_UNIONS: Final = ("sources", "channels")
"""Tables whose members have a `type`, which pydantic puts into the path of an error as a third part."""


def check(document: Document, problems: Problems) -> tuple[ConfigFile, KeyEntries]:
    """Judge the document by the schema. What is returned holds what is sound; `problems`, all that is not."""
    data = copy.deepcopy(document.data)
    judge = _Judge(document=document, base=document.main.absolute().parent, problems=problems)
    written = _take_keys(data)
    settings = judge.sound(ConfigFile, data, ()) or ConfigFile()
    entries: KeyEntries = {}
    for fleet, listed in written.items():
        for index, entry in enumerate(listed):
            path = ("fleets", fleet, "keys", index)
            if (key := judge.sound(KeySettings, entry, path)) is not None:
                entries.setdefault(fleet, []).append((path, key))
    return settings, entries


def sound_policy(written: dict[str, Any]) -> tuple[PolicySettings | None, list[tuple[str, str, str]]]:
    """Judge policy settings that stand in no TOML file; problems as (setting, what, hint)."""
    try:
        return PolicySettings.model_validate(written), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    return None, [(str(detail["loc"][0]), *_words(detail, ("defaults", *detail["loc"]))) for detail in details]


def _take_keys(data: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Take the key entries out of each fleet. What is not a list of tables is left for the schema to refuse."""
    taken = {}
    fleets = data.get("fleets")
    for name, fleet in fleets.items() if isinstance(fleets, dict) else ():
        keys = fleet.get("keys") if isinstance(fleet, dict) else None
        if isinstance(keys, list) and all(isinstance(each, dict) for each in keys):
            taken[name] = fleet.pop("keys")
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    document: Document
    base: Path
    problems: Problems

    def sound(self, model: type[_Model], data: dict[str, Any], at: SettingPath) -> _Model | None:
        """The sound part of `data`, which stands at `at`; None where nothing of it can stand. Takes from `data`."""
        first = True
        while True:
            try:
                return model.model_validate(data, context={"base": self.base})
            except ValidationError as error:
                details = error.errors(include_url=False)
            for detail in details:
                if first or detail["type"] != "missing":
                    self._tell(detail, at)
            # All are found before any is taken out: one may stand inside another.
            for found in [_innermost(data, _written_path(detail["loc"])) for detail in details]:
                if found is None:
                    return None
                table, name = found
                table.pop(name, None)
            first = False

    def _tell(self, detail: ErrorDetails, at: SettingPath) -> None:
        what, hint = _words(detail, (*at, *detail["loc"]))
        path = (*at, *_written_path(detail["loc"]))
        if detail["type"].startswith("union_tag"):
            path = (*path, "type")
        self.problems.add(self.document.place(path), dotted(path), what, hint)


def _written_path(loc: SettingPath) -> SettingPath:
    """The path as it is written in the file: without the types of sources and channels, and pydantic's `[key]`."""
    if loc and loc[-1] == "[key]":
        return loc[:-1]
    return (*loc[:2], *loc[3:]) if loc[:1] and loc[0] in _UNIONS and len(loc) > 3 else loc


def _innermost(data: dict[str, Any], path: SettingPath) -> tuple[dict[str, Any], str] | None:
    """The innermost named thing on the way to `path`, as its table and name; None where that is the data itself."""
    found: tuple[dict[str, Any], str] | None = None
    value: Any = data
    for part in path:
        if isinstance(value, dict) and part in value:
            found = (value, str(part))
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            break
    return found


def _words(detail: ErrorDetails, loc: SettingPath) -> tuple[str, str]:
    """What is wrong, and the way out."""
    context = detail.get("ctx", {})
    value = detail["input"]
    match detail["type"]:
        case "value_error" if isinstance(unfit := context.get("error"), Unfit):
            return unfit.what, unfit.hint or OUTLINE.advice(loc)
        case "missing":
            return "is missing", OUTLINE.advice(loc)
        case "extra_forbidden":
            return "unknown setting", did_you_mean(str(loc[-1]), OUTLINE.names(loc[:-1]))
        case "union_tag_not_found":
            return "is missing", did_you_mean("", OUTLINE.choices(loc))
        case "union_tag_invalid":
            tag = str(context.get("tag", ""))
            return f"{quoted(tag)} is not known here", did_you_mean(tag, OUTLINE.choices(loc))
        case "enum" | "literal_error" if isinstance(value, str):
            known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return f"{quoted(value)} is not known here", did_you_mean(value, known)
        case "bool_type":
            return "must be true or false", "without quotes"
        case "string_type":
            return "must be text", "write it in quotes"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be a table", f"[{dotted(_written_path(loc))}]"
        case _:
            what = detail["msg"].replace("Input should be", "must be").replace("String should have", "must have")
            return what.replace("valid tuple", "list"), OUTLINE.advice(loc)
