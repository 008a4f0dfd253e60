"""The words of the code and the words of the docs are the same words."""

import re
from enum import StrEnum

import pytest

from byokd.errors import ByokdError
from byokd.facts.condition import ConditionKind
from byokd.facts.ledger import HistoryEvent, ImportState, Tier
from byokd.facts.snapshot import Reason
from tests.meta.source import ROOT

VOCABULARY = "docs/reference/vocabulary.md"
RUNBOOK = "docs/runbook.md"


def error_codes() -> set[str]:
    """The code of every error on byokd's page of errors."""
    found, rest = set(), [ByokdError]
    while rest:
        error = rest.pop()
        found.add(error.code)
        rest.extend(each for each in error.__subclasses__() if each.__module__ == ByokdError.__module__)
    return found


def members(vocabulary: type[StrEnum]) -> set[str]:
    """The words of a closed vocabulary."""
    return {each.value for each in vocabulary}


WORDS = {
    "Tier": members(Tier),
    "ImportState": members(ImportState),
    "Reason": members(Reason),
    "HistoryEvent": members(HistoryEvent),
    "ConditionKind": members(ConditionKind),
    "Error codes": error_codes(),
}


def sections(path: str) -> dict[str, str]:
    """The text under each heading of the second level."""
    parts = re.split(r"^## +(.+?) *$", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> dict[str, str]:
    """The first cell of each row of a section's table, where it is a word in code, and what the second one says."""
    return dict(re.findall(r"^\| `([^`]+)` \| *(.*?) *\|", section, flags=re.MULTILINE))


def test_vocabulary_has_a_section_for_each_list_of_words():
    """The page has a section for every closed vocabulary and none for one that is gone."""
    assert set(sections(VOCABULARY)) == set(WORDS)


@pytest.mark.parametrize("name", WORDS)
def test_every_word_has_its_sentence(name):
    """Every word has an entry that is a whole sentence."""
    told = entries(sections(VOCABULARY)[name])
    missing = sorted(WORDS[name] - set(told))
    assert not missing, f"{VOCABULARY}, {name}: write a sentence for {', '.join(missing)}"
    unfinished = sorted(word for word, sentence in told.items() if not sentence.endswith("."))
    assert not unfinished, f"{VOCABULARY}, {name}: not a sentence: {', '.join(unfinished)}"


@pytest.mark.parametrize("name", WORDS)
def test_no_sentence_is_about_a_word_that_is_gone(name):
    """No entry names a word that the code no longer knows."""
    gone = sorted(set(entries(sections(VOCABULARY)[name])) - WORDS[name])
    assert not gone, f"{VOCABULARY}, {name}: the code has no {', '.join(gone)}"


def test_every_condition_has_its_page_in_the_runbook():
    """Whoever is woken by a condition finds a section with exactly its name, and only such sections."""
    assert set(sections(RUNBOOK)) == members(ConditionKind)


@pytest.mark.parametrize("kind", sorted(members(ConditionKind)))
def test_a_runbook_section_says_what_to_do(kind):
    """Each section says what the condition means, what byokd does, and what the reader does."""
    section = sections(RUNBOOK)[kind]
    assert all(f"**{part}**" in section for part in ("Means.", "byokd.", "You."))
