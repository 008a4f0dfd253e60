"""Problems: what is wrong in a configuration, where, and the way out. They are collected, never raised one by one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong, as a person is told it."""

    file: str
    line: int
    """From 1; 0 where the problem is the file, not a line of it."""
    where: str
    """The setting's dotted path, e.g. `fleets.payments.valid_for`; empty where the problem is the file."""
    what: str
    hint: str
    """`did you mean ...`, or the way out."""

    def __str__(self) -> str:
        """`file:line: where: what (hint)`, without the parts that are not known."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {where}{self.what}{hint}"


class Unfit(ValueError):
    """A value that cannot be, with the way out. Becomes a `Problem` where its place is known."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written."""

    file: str
    line: int

    def __str__(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


class Problems:
    """All problems of one load, in the order found, each once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, place: Place, where: str, what: str, hint: str = "") -> None:
        """Note a problem; one already noted is not noted twice."""
        self._found[Problem(file=place.file, line=place.line, where=where, what=what, hint=hint)] = None

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def by_place(self) -> tuple[Problem, ...]:
        """All of them, by file and line."""
        return tuple(sorted(self._found, key=lambda problem: (problem.file, problem.line)))


def did_you_mean(word: str, known: Iterable[str], *, nothing: str = "there is none") -> str:
    """A hint: the known word nearest to `word`, else all that are known, else `nothing`."""
    words = sorted(known)
    by_lower = {each.lower(): each for each in words}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean {by_lower[near[0]]}?"
    return f"known here: {', '.join(words[:30])}" if words else nothing


def quoted(text: str) -> str:
    """What somebody wrote, fit to be shown: in quotes, control characters escaped, cut after 80 characters."""
    return json.dumps(text if len(text) <= 80 else f"{text[:80]}...", ensure_ascii=not text.isprintable())
