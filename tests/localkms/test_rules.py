"""The pages that tell of rules and recorded answers say what the tests hold."""

from __future__ import annotations

import re

import pytest

from .rules import PAGE, RECORDED, ROOT, Held, held, page

SERVICE = ROOT / "docs" / "kms.md"
HEADING = "## Answers recorded from the real service"
PLACEHOLDER = re.compile(r"<[^>]*>|'X'|'member'|\bN\b|\\\[\\.\\.\\.\\\]")


@pytest.fixture(scope="module")
def rules() -> list[Held]:
    """What the tests hold."""
    return held()


def test_the_page_lists_the_rules_as_the_tests_hold_them(rules: list[Held]) -> None:
    """The reference page names each operation, and each rule with its test, as they are now."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, rules) == text, f"{PAGE.name} is stale: run `make docs` and commit what it writes"


def recorded_answers() -> dict[str, tuple[str, ...]]:
    """By situation: the code and message of a refusal, or what else the service was recorded to do."""
    section = SERVICE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {situation: tuple(cells) for situation, *cells in rows if situation != "situation"}


def test_every_recorded_answer_is_held_by_a_test(rules: list[Held]) -> None:
    """Each answer that docs/kms.md records from the real service has its case, and no case claims another."""
    claimed = {each.recorded for each in rules if each.recorded is not None}
    assert claimed == set(recorded_answers())
    assert [each.test for each in rules if (each.source == RECORDED) != (each.recorded is not None)] == []


def test_a_case_expects_what_was_recorded(rules: list[Held]) -> None:
    """Code and message of a case are those of the recording, but for what the recording leaves open."""
    recorded = recorded_answers()
    compared = 0
    for each in rules:
        if each.recorded is None or each.code is None or each.message is None:
            continue
        code, message = recorded[each.recorded]
        assert each.code == code, each.test
        if message == "(none)":
            continue
        pattern = PLACEHOLDER.sub(".*", re.escape("" if message == "(empty)" else message.strip("`")))
        assert re.fullmatch(pattern, each.message), each.test
        compared += 1
    assert compared >= 20
