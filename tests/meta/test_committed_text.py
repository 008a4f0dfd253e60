"""What may stand in no file of the repository, whatever its language: it must build on any machine."""

import re

import pytest

from tests.meta.source import ROOT, committed

# Spelt in two halves, so that this file keeps its own rule.
FORBIDDEN = {
    "a path of somebody's machine": (
        re.compile(r"(?<![\w.$}])/(?:root|wor" + r"k)/"),
        "a path inside the checkout, or `~`",
    ),
    "a directory outside the checkout": (re.compile(r"\.\./" + "shared"), "the page's copy under docs/"),
    "the host of a package registry": (
        re.compile(r"\b(?:pypi\." + r"org|pythonhosted\." + r"org|registry\.npmjs\." + r"org|proxy\.golang\." + "org)"),
        "nothing: pip is configured by the machine that it runs on",
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_committed_names_a_place(what):
    """No file names a place that another machine does not have."""
    pattern, instead = FORBIDDEN[what]
    found = [
        f"  {path}:{number}: {line.strip()[:120]}"
        for path in committed()
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join([f"{what}; instead: {instead}", *found])
