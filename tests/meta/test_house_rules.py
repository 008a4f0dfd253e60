"""The rules of the house, held over every file of the checkout. CONTRIBUTING.md says why they are what they are."""

from pathlib import Path
from statistics import median

import pytest

from tests.meta.rules import RULES, Rule
from tests.meta.source import Source, python

MAX_MEDIAN_FILE_LINES = 150


def by_name(rule):
    """Show a rule's name in the output of pytest."""
    return rule.name


def written(code: str) -> Source:
    """A file with this code, or at this path for the rules that only look at names."""
    path = code.removeprefix("path: ")
    return Source(Path("byokd/example.py"), code) if path == code else Source(Path(path), "")


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_house_rule(rule: Rule):
    """Every file keeps the rule; a failure names each place and what to write instead."""
    broken = [
        f"  {source.path}:{finding.line}: {finding.what}"
        for source in python("byokd", "tests", "bench")
        if rule.applies_to(source.path)
        for finding in rule.find(source)
    ]
    assert not broken, "\n".join([f"{rule.name}; instead: {rule.instead}", *sorted(set(broken))])


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_rule_is_not_blind(rule: Rule):
    """Each rule finds the example that breaks it, and leaves the example that keeps it alone."""
    assert list(rule.find(written(rule.breaks)))
    assert not list(rule.find(written(rule.keeps)))


def test_half_of_the_files_are_short():
    """The median of byokd's files stays under 150 lines: when it grows, a room has too few nouns."""
    lengths = [source.lines for source in python("byokd") if source.path.name != "__init__.py"]
    assert median(lengths) < MAX_MEDIAN_FILE_LINES
