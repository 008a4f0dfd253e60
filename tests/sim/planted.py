"""Bugs planted on purpose, each alone in a copy of the tree, to see whether the simulator finds them.

    python -m tests.sim.planted                      every bug, one row of the table in docs/simulator.md each
    python -m tests.sim.planted window wake          those whose names contain one of these words
    python -m tests.sim.planted --until 20           give up after seed 20

Nothing is patched: the package is copied, the text of the copy is changed, and a process of its own runs the worlds of
seeds 1, 2, 3, … until a law is broken. What is changed is in `bugs.py` and `unheard.py`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import byokd
from tests.sim.bugs import BUGS, Bug
from tests.sim.run import run
from tests.sim.unheard import UNHEARD

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("byokd", "tests/kit", "tests/sim")
PLANTED: Final = (*BUGS, *UNHEARD)
UNTIL: Final = 60
LIMIT_S: Final = 3600.0
"""A bug that keeps its worlds busy for longer counts as not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the simulator made of a bug."""

    law: str
    """The law that was broken first; empty if none was."""
    seed: int
    key_years: float
    """Simulated up to and with this seed."""
    text: str = ""


def plant(bug: Bug, tree: Path) -> None:
    """Change a copy of the tree. Raises `LookupError` where the text to be changed is not there exactly once."""
    for edit in bug.edits:
        path = tree / edit.path
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise LookupError(f"{bug.name}: {edit.path} has {text.count(edit.old)} times {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new))


def hunt(until: int) -> Found:
    """Run the worlds of seeds 1 to `until` in this very process, up to the first in which a law is broken."""
    key_years = 0.0
    for seed in range(1, until + 1):
        verdict = run(seed, to_its_end=False)
        key_years += verdict.key_years
        if not verdict.ok:
            first = verdict.violations[0]
            return Found(law=first.law, seed=seed, key_years=key_years, text=str(first))
    return Found(law="", seed=until, key_years=key_years)


def search(bug: Bug, *, until: int = UNTIL, limit_s: float = LIMIT_S) -> Found | None:
    """Plant a bug in a copy of the tree and hunt for it there; None where that took longer than `limit_s`."""
    with tempfile.TemporaryDirectory() as where:
        tree = Path(where)
        for part in COPIED:
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        (tree / "tests/__init__.py").touch()
        plant(bug, tree)
        command = [sys.executable, "-m", "tests.sim.planted", "--hunt", "--until", str(until)]
        try:
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=limit_s, check=True)
        except subprocess.TimeoutExpired:
            return None
    answer: dict[str, Any] = json.loads(done.stdout)
    if not Path(answer.pop("byokd")).is_relative_to(tree):
        raise RuntimeError("the worlds were run with another byokd than the one with the bug")
    return Found(**answer)


def row(bug: Bug, found: Found | None) -> str:
    """A line of the table."""
    if found is None:
        return f"| {bug.name} | took too long | | |"
    if not found.law:
        return f"| {bug.name} | not found | 1 to {found.seed} | {found.key_years:.0f} |"
    years = f"{found.key_years:.1f}" if found.key_years < 10 else f"{found.key_years:.0f}"
    return f"| {bug.name} | {found.law} | {found.seed} | {years} |"


def main() -> int:
    """Returns 1 if a bug was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.planted", description="Plant bugs and look for them.")
    parser.add_argument("words", nargs="*", help="only bugs whose names contain one of these")
    parser.add_argument("--until", type=int, default=UNTIL, help="the last seed")
    parser.add_argument("--hunt", action="store_true", help="plant nothing; run the worlds of this tree")
    asked = parser.parse_args()
    if asked.hunt:
        found = hunt(asked.until)
        answer = {name: getattr(found, name) for name in found.__slots__}
        sys.stdout.write(json.dumps(answer | {"byokd": byokd.__file__}))
        return 0
    missed = 0
    for bug in PLANTED:
        if asked.words and not any(word in bug.name for word in asked.words):
            continue
        result = search(bug, until=asked.until)
        missed += result is None or not result.law
        sys.stdout.write(row(bug, result) + "\n")
        if result is not None and result.text:
            sys.stderr.write(f"    {result.text}\n")
        sys.stdout.flush()
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
