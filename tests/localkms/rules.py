"""The documented rules of AWS KMS, each beside the test that holds it.

A test that holds a rule is marked with `rule`, and its docstring is the rule. In a table of cases each case may be
marked by itself (`pytest.param(case, ..., marks=rule(...))`): the docstring of the case is its rule then, and the code
and message that it expects complete the sentence. A module's `pytestmark` speaks for all of its tests.

`make docs` gathers the marks of tests/localkms/test_*.py and writes them into the reference page between two markers,
and the names of the operations on offer into their row; tests/localkms/test_rules.py fails when the page says
otherwise.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from byokd.localkms.operations import OPERATIONS

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "local-kms.md"
BEGIN: Final = "<!-- The rules, written by `make docs`. Do not edit: change the tests that hold them. -->"
END: Final = "<!-- End of the rules. -->"
OPERATIONS_ROW: Final = "| operations | "

RECORDED: Final = "recorded"
"""The source of an answer that the real service was recorded to give; docs/kms.md lists them all."""

GROUPS: Final = (
    "Keys and their states",
    "Parameters for an import",
    "Wrapping",
    "Import and reimport",
    "Expiry and deletion of material",
    "Several materials and rotation",
    "Multi-Region keys",
    "Encryption",
    "Signatures, MACs and shared secrets",
    "Names, aliases and tags",
    "Policies and grants",
    "Requests",
    "Quotas and consistency",
    "What AWS tells the world",
)


def rule(group: str, source: str, *, recorded: str | None = None) -> pytest.MarkDecorator:
    """Mark a test or a case as the one that holds a rule.

    `group` is one of GROUPS; `source` says where the rule stands: `API ImportKeyMaterial`, `guide key-state`, RECORDED.
    `recorded` names the situation of docs/kms.md whose recorded answer is tested.
    """
    assert group in GROUPS, f"{group!r} is not one of the groups of tests/localkms/rules.py"
    return pytest.mark.rule(group, source, recorded=recorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A rule and the test that holds it."""

    group: str
    rule: str
    source: str
    recorded: str | None
    code: str | None
    """The error code expected by a case of a refusal."""
    message: str | None
    file: str
    test: str


def held() -> list[Held]:
    """Every rule, by group and in the order of the tests."""
    found: list[Held] = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        everywhere = _rules(getattr(module, "pytestmark", ()))
        for name, test in vars(module).items():
            if name.startswith("test_") and inspect.isfunction(test):
                found.extend(_of(test, path.name, everywhere))
    return sorted(found, key=lambda each: GROUPS.index(each.group))


def page(text: str, rules: Iterable[Held]) -> str:
    """The page with its list of rules replaced by these, and its row of operations by those on offer."""
    row = f"{OPERATIONS_ROW}{', '.join(sorted(OPERATIONS))} |"
    text, rows = re.subn(f"^{re.escape(OPERATIONS_ROW)}.*$", row, text, flags=re.MULTILINE)
    assert rows == 1, f"{PAGE} lacks its row of operations"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert rest, f"{PAGE} lacks its markers"
    return "\n".join((before + BEGIN + "\n", *_written(list(rules)), "\n" + END + after))


def _of(test: Any, file: str, everywhere: list[pytest.Mark]) -> Iterator[Held]:
    marks = list(getattr(test, "pytestmark", ()))
    for mark in _rules(marks) or everywhere:
        yield _held(mark, test, test.__name__, file)
    for table in (mark for mark in marks if mark.name == "parametrize"):
        names = [name.strip() for name in table.args[0].split(",")] if isinstance(table.args[0], str) else table.args[0]
        for case in table.args[1]:
            for mark in _rules(getattr(case, "marks", ())):
                yield _held(mark, case.values[0], case.id, file, dict(zip(names, case.values, strict=True)))


def _rules(marks: Any) -> list[pytest.Mark]:
    listed = marks if isinstance(marks, list | tuple) else [marks]
    plain: list[pytest.Mark] = [each.mark if isinstance(each, pytest.MarkDecorator) else each for each in listed]
    return [mark for mark in plain if mark.name == "rule"]


def _held(mark: pytest.Mark, what: Any, test: str, file: str, values: dict[str, Any] | None = None) -> Held:
    sentence = " ".join((inspect.getdoc(what) or "").split("\n\n", maxsplit=1)[0].split())
    assert sentence.endswith("."), f"{file}, {test}: a rule is a whole sentence"
    group, source = mark.args
    values = values or {}
    return Held(
        group=group,
        rule=sentence,
        source=source,
        recorded=mark.kwargs["recorded"],
        code=values.get("code"),
        message=values.get("message"),
        file=file,
        test=test,
    )


def _written(rules: list[Held]) -> Iterator[str]:
    recorded = sum(each.source == RECORDED for each in rules)
    yield f"{len(rules)} rules, of which {recorded} are answers recorded from the real service."
    for group in GROUPS:
        rows = [each for each in rules if each.group == group]
        if rows:
            yield f"\n<details><summary>{group}: {len(rows)}</summary>\n"
            yield "| rule | from | held by |\n|---|---|---|"
            yield from map(_row, rows)
            yield "\n</details>"


def _row(each: Held) -> str:
    test = f"[{each.test.removeprefix('test_').replace('_', ' ')}](../../tests/localkms/{each.file})"
    return f"| {_cell(each.rule + _answer(each))} | {each.source} | {test} |"


def _answer(each: Held) -> str:
    match each.code, each.message:
        case None, _:
            return ""
        case code, None | "" | "...":
            return f" `{code}`"
        case code, message:
            return f" `{code}`: `{message}`"


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), held()), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} lists the rules as the tests hold them.\n")
