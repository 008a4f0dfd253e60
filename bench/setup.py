"""What an engine under measurement is set up with: one lane, one source, and nobody to tell."""

from __future__ import annotations

from datetime import timedelta

from byokd.engine.engine import Setup
from byokd.facts.policy import Lane
from byokd.ports import Source


def setup_of(site: Lane, source: Source) -> Setup:
    """The setup for a lane whose material comes from the source `files`."""
    return Setup(
        lanes=(site,),
        sources={"files": source},
        channels={},
        audiences=(),
        safety_wake=timedelta(minutes=1),
        skew_threshold=timedelta(minutes=1),
        history_for=timedelta(days=1),
    )
