"""The settings that the pages show are settings that there are: what is copied from a page is taken by the config."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from byokd.config.load import json_schema, load
from byokd.config.manifest import read_manifest
from byokd.config.problems import Problems
from byokd.config.written import KEYS
from byokd.errors import ConfigError
from tests.meta.source import ROOT, committed

PAGES = [path for path in committed() if path.suffix == ".md" and path.name != "CHANGELOG.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"(?<![\w.-])([a-z_]+) = (?=[\"\[{\d]|true\b|false\b)")
ELSEWHERE = ("python", "sh", "json", "toml")
"""Blocks whose names are not the config's, or are judged as a whole."""

SETTINGS = {name for model in json_schema()["$defs"].values() for name in model.get("properties", ())}

ACCOUNT = 'account = "111122223333"\nregion = '
LANES = {"prod-eu": "eu-central-1", "prod-us": "us-east-1", "prod-ie": "eu-west-1"}
MISSING = {
    "lanes": '[defaults]\nlane = "prod-eu"\n'
    + "".join(f'[lanes.{name}]\n{ACCOUNT}"{region}"\n' for name, region in LANES.items()),
    "sources": '[sources.files]\ntype = "file"\ndirectory = "material"\n',
}
"""The tables that a page may leave out, since its reader has them."""


class Snippet(NamedTuple):
    """TOML on a page, for its reader to copy."""

    name: str
    text: str


def snippets() -> Iterator[Snippet]:
    """Each block of TOML on the pages."""
    for page in PAGES:
        whole = (ROOT / page).read_text(encoding="utf-8")
        for block in FENCE.finditer(whole):
            if block[1] == "toml":
                yield Snippet(f"{page}:{whole.count(chr(10), 0, block.start()) + 2}", block[2])


def told(snippet: Snippet, folder: Path) -> list[str]:
    """What byokd has against a snippet, with what it leaves out beside it."""
    written, main, problems = tomllib.loads(snippet.text), folder / "byokd.toml", Problems()
    main.write_text(snippet.text, encoding="utf-8")
    if KEYS in written:
        for policy in [folder / key["policy"] for key in written[KEYS] if "policy" in key]:
            policy.parent.mkdir(exist_ok=True)
            policy.write_text('{"Statement": []}', encoding="utf-8")
        read_manifest(main, problems)
        return [str(problem) for problem in problems]
    beside = [text for table, text in MISSING.items() if table not in written]
    parts = [name for name, lane in written.get("lanes", {}).items() if "account" not in lane]
    beside += [f'[lanes.{name}]\n{ACCOUNT}"eu-central-1"\n' for name in parts]
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "beside.toml").write_text("\n".join(beside), encoding="utf-8")
    try:
        load(main)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize("snippet", [pytest.param(each, id=each.name) for each in snippets()])
def test_what_a_page_shows_is_taken_by_the_config(snippet, tmp_path):
    """Each block of TOML is read as its reader's file would be, beside what it leaves out."""
    assert not told(snippet, tmp_path)


@pytest.mark.parametrize("page", [pytest.param(each, id=str(each)) for each in PAGES])
def test_no_page_names_a_setting_that_there_is_not(page):
    """Nor in its sentences and drawings: a window had `lasts` in one, which the config calls `for`."""
    text = FENCE.sub(lambda block: "" if block[1] in ELSEWHERE else block[0], (ROOT / page).read_text(encoding="utf-8"))
    unknown = {each[1] for each in SETTING.finditer(text)} - SETTINGS
    assert not unknown, f"{page}: the config has no {', '.join(sorted(unknown))}"


def test_the_rules_are_not_blind(tmp_path):
    """A setting, a table and a value that there are not are told, also where a snippet is half a config."""
    text = '[fleets.a]\nspred = "1d"\n[[fleets.a.keys]]\nkey = "alias/a"\nvalid_for = "2y"\n[lane.b]\n'
    found = told(Snippet("", text), tmp_path)
    assert [each.partition("toml:")[2].partition(":")[0] for each in found] == ["2", "5", "6"]
    assert {each[1] for each in SETTING.finditer('x lasts = "4h", a.b = 1, --c = 2, d = e')} == {"lasts"}
