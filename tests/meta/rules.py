"""The house rules that read one file at a time, as a table.

Each rule carries two lines of code: one that it must find and one that it must leave alone, so that a rule which has
gone blind fails as well.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from tests.meta.source import Finding, Source

Find = Callable[[Source], Iterator[Finding]]

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400


@dataclass(frozen=True)
class Rule:
    """What may not stand where, and what to write in its place."""

    name: str
    where: tuple[str, ...]
    find: Find
    instead: str
    breaks: str
    keeps: str
    except_in: str = ""

    def applies_to(self, path: PurePath) -> bool:
        """Whether the file lies in one of the rule's folders and is not its exception."""
        inside = any(path.is_relative_to(folder) for folder in self.where)
        return inside and not (self.except_in and (path.match(self.except_in) or path.is_relative_to(self.except_in)))


def names(*banned: str) -> Find:
    """Uses of these names, wherever they were imported from and under whatever alias; `x.*` bans all of x."""

    def find(source: Source) -> Iterator[Finding]:
        return (use for use in source.named() if _matches(use.what, banned))

    return find


def imports(*banned: str) -> Find:
    """Imports of these modules, or of names out of them."""
    patterns = (*banned, *(f"{module}.*" for module in banned))

    def find(source: Source) -> Iterator[Finding]:
        return (use for use in source.imported() if _matches(use.what, patterns))

    return find


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == each or (each.endswith(".*") and name.startswith(each[:-1])) for each in patterns)


def asynchrony(source: Source) -> Iterator[Finding]:
    """Every await, async def, async with and async for."""
    waiting = (ast.Await, ast.AsyncFunctionDef, ast.AsyncWith, ast.AsyncFor)
    return (Finding(node.lineno, type(node).__name__) for node in source.nodes if isinstance(node, waiting))


def real_sleep(source: Source) -> Iterator[Finding]:
    """`asyncio.sleep` with a number other than 0, which is only a turn of the loop."""
    for name, call in source.calls():
        match name, call.args:
            case "asyncio.sleep", [ast.Constant(value=seconds), *_] if seconds != 0:
                yield Finding(call.lineno, f"asyncio.sleep({seconds!r})")


def bare_type_ignore(source: Source) -> Iterator[Finding]:
    """Comments that switch the type checker off without a code and a reason."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        switches_off = token.type == tokenize.COMMENT and re.match(r"#\s*type:\s*ignore", token.string)
        if switches_off and not re.match(r"# type: ignore\[[\w, -]+\]  # \w+ \S+", token.string):
            yield Finding(token.start[0], token.string)


def undocumented_module(source: Source) -> Iterator[Finding]:
    """A module without a docstring; an empty `__init__.py` of a test folder is not in the rule's reach."""
    if not ast.get_docstring(source.tree):
        yield Finding(1, "module")


def undocumented_definition(source: Source) -> Iterator[Finding]:
    """Public classes and functions without a docstring, and methods of a Protocol without their contract."""
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield from _undocumented(node, node.name)
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Protocol" for base in node.bases):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_"):
                    yield from _undocumented(method, f"{node.name}.{method.name}")


def _undocumented(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[Finding]:
    if not ast.get_docstring(node):
        yield Finding(node.lineno, name)


def test_without_sentence(source: Source) -> Iterator[Finding]:
    """Test functions whose docstring does not begin with a whole sentence."""
    for node in source.functions():
        if node.name.startswith("test_"):
            first = (ast.get_docstring(node) or "").split("\n\n", maxsplit=1)[0].rstrip()
            if not first.endswith((".", "!", "?")):
                yield Finding(node.lineno, node.name)


def long_function(source: Source) -> Iterator[Finding]:
    """Functions that do not fit a screen, decorators not counted."""
    for node in source.functions():
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION_LINES:
            yield Finding(node.lineno, f"{node.name} has {length} lines")


def long_file(source: Source) -> Iterator[Finding]:
    """Files that nobody reads to the end."""
    if source.lines > MAX_FILE_LINES:
        yield Finding(source.lines, f"{source.lines} lines")


NAMELESS = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def nameless_module(source: Source) -> Iterator[Finding]:
    """Modules and folders whose name says nothing about what lives in them."""
    said_nothing = {word for part in source.path.with_suffix("").parts for word in part.split("_")} & NAMELESS
    if said_nothing:
        yield Finding(1, f"{'/'.join(source.path.parts)} is named {', '.join(sorted(said_nothing))}")


EVERYWHERE = ("byokd", "tests", "bench")

RULES = (
    Rule(
        name="the clock is read in one place",
        where=("byokd",),
        except_in="clock.py",
        find=names(
            "datetime.date.today",
            "datetime.datetime.now",
            "datetime.datetime.today",
            "datetime.datetime.utcnow",
            "time.monotonic",
            "time.monotonic_ns",
            "time.perf_counter",
            "time.time",
            "time.time_ns",
        ),
        instead="take `now` as an argument, or ask the Clock port for it once a cycle",
        breaks="from datetime import datetime as dt\nat = dt.now",
        keeps="from datetime import datetime\nat = datetime.fromisoformat('2026-01-01')",
    ),
    Rule(
        name="only the command line prints",
        where=("byokd",),
        except_in="byokd/cli",
        find=names("print"),
        instead="log an event, or return the text to byokd/cli",
        breaks="print('done')",
        keeps="log.info('done')",
    ),
    Rule(
        name="decide waits for nothing",
        where=("byokd/decide",),
        find=asynchrony,
        instead="let engine/ gather it beforehand and pass it in with the snapshot",
        breaks="async def decide(): ...",
        keeps="def decide(): ...",
    ),
    Rule(
        name="decide is pure",
        where=("byokd/decide",),
        find=imports("asyncio", "logging", "os", "random", "secrets", "socket", "structlog", "threading", "time"),
        instead="return a reason and let engine/ act on it; spread by a hash; `now` comes with the snapshot",
        breaks="from time import monotonic",
        keeps="from datetime import timedelta",
    ),
    Rule(
        name="tests do not wait for real time",
        where=("tests",),
        find=names("time.sleep"),
        instead="turn the manual clock of tests/kit, or wait for the event itself",
        breaks="import time\ntime.sleep(1)",
        keeps="clock.sleep(1)",
    ),
    Rule(
        name="tests do not wait for the loop's time",
        where=("tests",),
        find=real_sleep,
        instead="turn the manual clock of tests/kit, or wait for the event itself",
        breaks="from asyncio import sleep\nasync def f(): await sleep(0.1)",
        keeps="import asyncio\nasync def f(): await asyncio.sleep(0)",
    ),
    Rule(
        name="tests do not patch",
        where=("tests",),
        find=names("unittest.mock.*", "mock.*", "mocker.*", "monkeypatch.setattr", "monkeypatch.setitem"),
        instead="hand in a fake of the port from tests/kit; every fake passes the port's contract suite",
        breaks="from unittest import mock\nmock.patch('byokd.clock')",
        keeps="monkeypatch.setenv('HOME', '/nowhere')",
    ),
    Rule(
        name="every module says what it is for",
        where=("byokd",),
        find=undocumented_module,
        instead="begin the file with its theory: what it owns and what it must never do",
        breaks="x = 1",
        keeps='"""Owns x."""',
    ),
    Rule(
        name="every public definition says what it does",
        where=("byokd",),
        find=undocumented_definition,
        instead="write its effect, units, bounds and `Raises:`; a Protocol's method is a contract",
        breaks="from typing import Protocol\nclass Kms(Protocol):\n    '''KMS.'''\n    def read(self): ...",
        keeps="class Kms:\n    '''KMS.'''\n    def read(self): ...\ndef _private(): ...",
    ),
    Rule(
        name="every test is a sentence",
        where=("tests",),
        find=test_without_sentence,
        instead="say in one sentence, with its full stop, what is true when the test passes",
        breaks="def test_x():\n    '''renewal'''",
        keeps="def test_x():\n    '''A lapsed key is healed.'''",
    ),
    Rule(
        name="the type checker is switched off with a reason",
        where=EVERYWHERE,
        find=bare_type_ignore,
        instead="write `# type: ignore[code]  # why the checker is wrong here`",
        breaks="x = y  # type: ignore[attr-defined]",
        keeps="x = y  # type: ignore[attr-defined]  # the stub lags behind",
    ),
    Rule(
        name="a function fits a screen",
        where=EVERYWHERE,
        find=long_function,
        instead=f"give its parts names, {MAX_FUNCTION_LINES} lines at most",
        breaks="def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES,
        keeps="def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1),
    ),
    Rule(
        name="a file can be read to the end",
        where=EVERYWHERE,
        find=long_file,
        instead=f"find the second noun in it and give that a file, {MAX_FILE_LINES} lines at most",
        breaks="x = 1\n" * (MAX_FILE_LINES + 1),
        keeps="x = 1\n" * MAX_FILE_LINES,
    ),
    Rule(
        name="a module is named after what lives in it",
        where=EVERYWHERE,
        find=nameless_module,
        instead="take the noun from docs/glossary.md, or put the code beside its only user",
        breaks="path: byokd/kms/retry_helpers.py",
        keeps="path: byokd/kms/faults.py",
    ),
)
