"""Finding the lines of settings in TOML of every shape."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from byokd.config.locate import locate

CONFIG = Path(__file__).parents[3] / "config"

CASES = {
    "a setting before any table": ("\n\na = 1\n", {("a",): 3}),
    "a table": ("# first\n[t]\na = 1\n", {("t",): 2, ("t", "a"): 3}),
    "a table within tables": (
        "[a.b.c]\nx = 1",
        {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "b", "c", "x"): 2},
    ),
    "a dotted key": ("[t]\na.b = 1", {("t",): 1, ("t", "a"): 2, ("t", "a", "b"): 2}),
    "a quoted key with a dot": ("[\"a.b\"]\n'c d' = 1", {("a.b",): 1, ("a.b", "c d"): 2}),
    "an escaped key": ('"\\u0061" = 1', {("a",): 1}),
    "an array over lines": (
        "a = [\n 1,\n # two\n 2, 3,\n]\nb = 1",
        {("a",): 1, ("a", 0): 2, ("a", 1): 4, ("a", 2): 4, ("b",): 6},
    ),
    "an array in an array": ("a = [[1],\n[2]]", {("a",): 1, ("a", 0): 1, ("a", 0, 0): 1, ("a", 1): 2, ("a", 1, 0): 2}),
    "an inline table": ("a = { b = 1, c.d = 2 }", {("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", "d"): 1}),
    "inline tables in an array": (
        "a = [\n  { b = 1 },\n  { b = 2 },\n]",
        {("a",): 1, ("a", 0): 2, ("a", 0, "b"): 2, ("a", 1): 3, ("a", 1, "b"): 3},
    ),
    "arrays of tables": (
        "[[k]]\na = 1\n[[k]]\na = 2",
        {("k",): 1, ("k", 0): 1, ("k", 0, "a"): 2, ("k", 1): 3, ("k", 1, "a"): 4},
    ),
    "a table under an array of tables": (
        "[[k]]\n[[k]]\n[k.sub]\nx = 1\n[[k.list]]",
        {
            ("k",): 1,
            ("k", 0): 1,
            ("k", 1): 2,
            ("k", 1, "sub"): 3,
            ("k", 1, "sub", "x"): 4,
            ("k", 1, "list"): 5,
            ("k", 1, "list", 0): 5,
        },
    ),
    "a string over lines": ('a = """\n[x]\nb = "1"\\"""\n"""""\nc = 1', {("a",): 1, ("c",): 5}),
    "a literal string over lines": ("a = '''\n[x]\n''it''s'''''\nc = 1", {("a",): 1, ("c",): 4}),
    "strings with brackets and hashes": ("a = \"[#]\" # = [b]\nc = '#{'", {("a",): 1, ("c",): 2}),
    "empty strings and containers": (
        "a = \"\"\nb = ''\nc = []\nd = {}\ne = 1",
        {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4, ("e",): 5},
    ),
    "dates with a space": ("a = 1979-05-27 07:32:00\nb = 1", {("a",): 1, ("b",): 2}),
    "carriage returns": ("a = 1\r\n[t]\r\nb = 2\r\n", {("a",): 1, ("t",): 2, ("t", "b"): 3}),
    "nothing": ("", {}),
    "only a comment": ("# [a]", {}),
}


@pytest.mark.parametrize(("text", "lines"), CASES.values(), ids=CASES)
def test_each_setting_has_its_line(text, lines):
    """Every table, setting and element is found, and nothing that is not there."""
    assert locate(text) == lines
    assert _paths(tomllib.loads(text), ()) == set(lines)


@pytest.mark.parametrize("name", ["byokd.example.toml", "byokd.dev.toml"])
def test_the_shipped_configs_are_located_whole(name):
    """The walker and tomllib agree on which settings the shipped configs have."""
    text = (CONFIG / name).read_text(encoding="utf-8")
    assert _paths(tomllib.loads(text), ()) == set(locate(text))


def _paths(value, here):
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path for key, each in below for path in ({(*here, key)} | _paths(each, (*here, key)))}
