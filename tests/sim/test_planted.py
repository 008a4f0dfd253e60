"""Whether the simulator finds bugs that are planted on purpose, and whether they can still be planted."""

from __future__ import annotations

import pytest

from tests.sim.bugs import Bug
from tests.sim.planted import COPIED, LIMIT_S, PLANTED, ROOT, search


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    """The text that a bug changes stands in the tree, once, and what becomes of it is Python."""
    texts: dict[str, str] = {}
    for edit in bug.edits:
        assert edit.path.startswith(COPIED), "only what is copied can be changed"
        text = texts.get(edit.path) or (ROOT / edit.path).read_text()
        assert text.count(edit.old) == 1, f"{edit.path} has changed: plant {bug.name!r} anew"
        texts[edit.path] = text.replace(edit.old, edit.new)
    for path, text in texts.items():
        compile(text, path, "exec")


@pytest.mark.soak
@pytest.mark.timeout(LIMIT_S + 300)
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_the_simulator_finds_a_bug(bug: Bug) -> None:
    """Each bug, planted alone, breaks a law in one of the first worlds."""
    found = search(bug)
    assert found is not None
    assert found.law, f"not found in {found.key_years:.0f} key-years"
