"""The report of drift, asked over the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from tests.kit.builders import lane
from tests.kit.clock import START
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LASTING


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        yield served


def _open(kind: ConditionKind, subject: str, severity: Severity = Severity.WARNING) -> OpenCondition:
    told = Condition(kind=kind, severity=severity, detail=f"{kind.value} is so")
    return OpenCondition(id=kind.value, subject=subject, condition=told, since=START)


async def test_differences_are_told_with_their_sides(api: Api):
    """Conditions that are differences, worst first, and a key that left the config while its material lives."""
    await api.store.save_conditions(
        [
            _open(ConditionKind.EXPIRY_DRIFT, LASTING, Severity.INFO),
            _open(ConditionKind.KEY_NOT_FOUND, FRESH, Severity.CRITICAL),
            _open(ConditionKind.HELD, FRESH),
            _open(ConditionKind.DEADLINES_HIDDEN, FRESH),
        ]
    )
    _, document = await api.get("/v1/drift")
    assert document["differences"] == 2
    assert [(each["between"], each["kind"], each["subject"]) for each in document["drift"]] == [
        ("config and AWS", "key_not_found", FRESH),
        ("config and AWS", "expiry_drift", LASTING),
    ]
    assert [(each["subject"], each["kind"]) for each in document["not_compared"]] == [(FRESH, "deadlines_hidden")]


async def test_a_key_that_left_the_config_is_told_until_its_material_ends(api: Api):
    """Since nothing looks at it any more, what is told is what was seen last."""
    await api.store.sync_fleet([], now=START)
    _, document = await api.get("/v1/drift")
    told = {each["subject"]: each for each in document["drift"]}
    assert told[FRESH]["kind"] == "left_config"
    assert told[FRESH]["since"] == "2026-03-01T12:00:00Z"
    assert "in the fleet payments" in told[FRESH]["detail"]
    assert "2026-04-30 12:00:00Z" in told[FRESH]["detail"]
    api.clock.advance(timedelta(days=90).total_seconds())
    _, later = await api.get("/v1/drift")
    assert [each["subject"] for each in later["drift"]] == [LASTING]


async def test_a_lane_that_is_not_searched_is_told(api: Api):
    """What nobody looked for is not known to be absent."""
    api.lanes = (lane(), lane(name="searched", discover_every=timedelta(days=1)))
    _, document = await api.get("/v1/drift")
    (told,) = document["not_compared"]
    assert told["why"].startswith("prod is not searched")


async def test_a_limit_is_kept_and_all_are_counted(api: Api):
    """Of each sort at most so many."""
    kinds = (ConditionKind.KEY_NOT_FOUND, ConditionKind.ALIAS_MOVED, ConditionKind.DUPLICATE_KEY)
    await api.store.save_conditions([_open(kind, FRESH) for kind in kinds])
    _, document = await api.get("/v1/drift", limit="2")
    assert (document["differences"], len(document["drift"])) == (3, 2)
