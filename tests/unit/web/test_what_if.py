"""What a plan says of fleets that do not exist yet."""

from __future__ import annotations

from datetime import timedelta

import pytest

from byokd.decide.what_if import imagined_keys
from byokd.facts.policy import Lane, Policy, Quota
from byokd.web.plan import lane_plan
from tests.kit.builders import DAY, OPERATIONS, lane, policy
from tests.kit.clock import START


def at(per_second: float) -> Lane:
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    return lane(quotas=quotas | {"GetParametersForImport": Quota(per_second=per_second, burst=1)})


def test_keys_imported_one_by_one_end_one_by_one() -> None:
    """A fleet that byokd imported has the lane's pace in its deadlines; one imported by hand has them all at once."""
    paced = imagined_keys(10, policy(), START, per_second=0.25, at_once=False)
    assert [each.expiry for each in paced] == [
        START + 90 * DAY - timedelta(seconds=4 * left) for left in range(9, -1, -1)
    ]
    assert {each.expiry for each in imagined_keys(10, policy(), START, per_second=0.25, at_once=True)} == {
        START + 90 * DAY
    }


def test_a_fleet_that_its_lane_is_too_slow_for_is_told_what_would_do() -> None:
    """Most of it was imagined to have lapsed before, one key to end in seconds, and the plan said that no pace does."""
    fleet = imagined_keys(2000, policy(valid_for=DAY, renew_before=DAY / 3), START, per_second=0.005, at_once=False)
    document = lane_plan(fleet, at(0.005), START, limit=1)
    assert 0.03 < document["helps"]["pace_per_s"] < 0.06
    assert any("Enough would be: GetParametersForImport at " in said for said in document["says"])
    assert not any(each["lapsed"] for each in document["renewals"])


@pytest.mark.parametrize(
    ("rules", "at_once"),
    [
        (policy(valid_for=DAY, renew_before=DAY / 3, spread=timedelta(0)), False),
        (policy(renew_before=2 * DAY, spread=timedelta(0)), True),
    ],
    ids=["a short life", "all at once"],
)
def test_a_fleet_too_large_for_arithmetic_is_told_of_by_a_part_of_it(rules: Policy, at_once: bool) -> None:
    """A million keys of a day kept a person waiting for minutes; a part of them at as much slower a pace says the same.

    Counts and quotas are those of all, and the plan says that it took a part.
    """
    fleet = imagined_keys(3000, rules, START, per_second=0.01, at_once=at_once)
    tenth = imagined_keys(300, rules, START, per_second=0.001, at_once=at_once)
    whole = lane_plan(fleet, at(0.01), START, limit=1)
    part = lane_plan(tenth, at(0.01), START, limit=1, every=10)
    assert part["says"][0].startswith("Reckoned with 300 keys in place of 3000, ")
    assert not whole["says"][0].startswith("Reckoned")
    assert (part["enough"], part["sustained"]) == (whole["enough"], whole["sustained"])
    for figure in ("keys", "per_second", "demand_per_s", "recovery_s"):
        assert part[figure] == pytest.approx(whole[figure], rel=1e-3), figure
    for figure in ("keys", "missed"):
        assert part["tight"][figure] == pytest.approx(whole["tight"][figure], rel=0.05), figure
    assert part["helps"]["pace_per_s"] == pytest.approx(whole["helps"]["pace_per_s"], rel=0.1)
    assert part["helps"]["quotas_per_s"] == pytest.approx(whole["helps"]["quotas_per_s"], rel=0.1)
    for figure in ("due", "renewed", "capacity"):
        sums = [sum(line[figure] for line in document["load"]) for document in (part, whole)]
        assert sums[0] == pytest.approx(sums[1], rel=0.05), figure
