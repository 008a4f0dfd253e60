"""The journal of new keys: what was noted is there after a kill, and nobody else writes to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from byokd.errors import StoreBusy, StoreCorrupt, StoreError
from byokd.facts.estate import Stage, Step
from byokd.facts.key import LaneId
from byokd.store.journal import open_journal
from tests.kit.builders import ARN, LANE_ID
from tests.kit.clock import START

INTENDED = Step(alias="alias/a", stage=Stage.INTENDED, at=START)
MADE = replace(INTENDED, stage=Stage.MADE, arn=ARN)
OTHER = replace(INTENDED, alias="alias/b")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.csv.journal"


def test_the_newest_step_of_each_alias_is_remembered(path: Path):
    """Over processes, private to its user."""
    with open_journal(path, LANE_ID) as journal:
        for step in (INTENDED, OTHER, MADE):
            journal.note(step)
        assert journal.steps() == {"alias/a": MADE, "alias/b": OTHER}
    with open_journal(path, LANE_ID) as journal:
        assert journal.steps() == {"alias/a": MADE, "alias/b": OTHER}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_kill_cut_short_is_cut_off(path: Path):
    """At any byte of it; the next line begins where it began."""
    with open_journal(path, LANE_ID) as journal:
        journal.note(INTENDED)
    whole = path.read_bytes()
    with open_journal(path, LANE_ID) as journal:
        journal.note(MADE)
    longer = path.read_bytes()
    for length in range(len(whole), len(longer)):
        path.write_bytes(longer[:length])
        with open_journal(path, LANE_ID) as journal:
            assert journal.steps() == {"alias/a": INTENDED}
            journal.note(OTHER)
        with open_journal(path, LANE_ID) as journal:
            assert journal.steps() == {"alias/a": INTENDED, "alias/b": OTHER}


def test_a_second_process_is_kept_away(path: Path):
    """Two of them would make every key twice."""
    with open_journal(path, LANE_ID), pytest.raises(StoreBusy), open_journal(path, LANE_ID):
        pass
    with open_journal(path, LANE_ID):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "alias,description\n",
        "[]\n",
        '{"byokd_journal": 2}\n',
        f'{{"byokd_journal": 1, "lane": "{LANE_ID}"}}\n{{"alias": "x"}}\n',
    ],
)
def test_what_is_no_journal_is_left_alone(path: Path, text: str):
    """The manifest itself, say, given in its place."""
    path.write_text(text)
    with pytest.raises(StoreCorrupt, match="journal"), open_journal(path, LANE_ID):
        pass
    assert path.read_text() == text


def test_a_journal_belongs_to_its_lane(path: Path):
    """The same manifest in another account or Region needs a journal of its own."""
    with open_journal(path, LANE_ID):
        pass
    with pytest.raises(StoreCorrupt, match="is of lane"), open_journal(path, LaneId("111122223333/us-east-1")):
        pass


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path):
    """In one sentence."""
    with pytest.raises(StoreError, match="cannot be opened"), open_journal(tmp_path / "nowhere" / "x", LANE_ID):
        pass
