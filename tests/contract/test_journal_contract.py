"""What every `ports.Journal` promises: the file beside a manifest, and the sketch of a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from byokd.facts.estate import Stage, Step
from byokd.ports.estate import Journal
from byokd.store.journal import Sketch, open_journal
from tests.kit.builders import ARN, LANE_ID
from tests.kit.clock import START

INTENDED = Step(alias="alias/a", stage=Stage.INTENDED, at=START)
MADE = replace(INTENDED, stage=Stage.MADE, arn=ARN)
OTHER = replace(INTENDED, alias="alias/b")


@pytest.fixture(params=["file", "sketch"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """Each implementation in turn, with nothing noted."""
    if request.param == "sketch":
        yield Sketch({})
        return
    with open_journal(tmp_path / "keys.csv.journal", LANE_ID) as opened:
        yield opened


def test_the_newest_step_of_each_alias_is_told(journal: Journal):
    """Nothing before the first; of each alias the last that was noted, also where it is a step back."""
    assert journal.steps() == {}
    for step in (INTENDED, OTHER, MADE):
        journal.note(step)
    assert journal.steps() == {"alias/a": MADE, "alias/b": OTHER}
    journal.note(INTENDED)
    assert journal.steps() == {"alias/a": INTENDED, "alias/b": OTHER}
