"""Drift: which conditions are differences, and the one that no other check told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from byokd.decide.decide import decide
from byokd.decide.drift import DIFFERENCES, NOT_COMPARED, Between, differences, from_manifest, not_compared
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.estate import FoundKey, NewKey
from byokd.facts.key import ABSENT, Family, MaterialId, MaterialState
from byokd.facts.ledger import Track
from tests.kit.builders import ARN, MATERIAL, desired, ledger, observed, snapshot
from tests.kit.clock import START

NEITHER = {
    ConditionKind.EXPIRING,
    ConditionKind.OVERDUE,
    ConditionKind.LAPSED,
    ConditionKind.IMPORT_FAILING,
    ConditionKind.IMPORT_REFUSED,
    ConditionKind.SOURCE_UNSAFE,
    ConditionKind.MATERIAL_INVALID,
    ConditionKind.PROBE_FAILED,
    ConditionKind.ROTATIONS_LOW,
    ConditionKind.ROTATION_HINDERED,
    ConditionKind.HELD,
    ConditionKind.SUSPENDED,
    ConditionKind.SLACK_LOW,
    ConditionKind.CLOCK_SKEW,
    ConditionKind.CONFIG_REJECTED,
}
"""What byokd does about a key, or cannot do, and what people ordered: all sides say the same."""
OTHER = MaterialId("0e" * 32)


def test_every_condition_is_a_difference_or_not() -> None:
    """A new kind is put into one of three: a difference, a reason why none can be told (`decide/drift`), or neither."""
    sorts = [set(DIFFERENCES), set(NOT_COMPARED), NEITHER]
    assert set().union(*sorts) == set(ConditionKind)
    assert sum(len(each) for each in sorts) == len(ConditionKind)


def test_differences_keep_their_order() -> None:
    """And what could not be compared is told apart."""
    kinds = (ConditionKind.MATERIAL_CHANGED, ConditionKind.HELD, ConditionKind.ACCESS_DENIED, ConditionKind.ALIAS_MOVED)
    open_ = [
        OpenCondition(
            id=kind, subject="x", condition=Condition(kind=kind, severity=Severity.WARNING, detail=""), since=START
        )
        for kind in kinds
    ]
    assert [each.between for each in differences(open_)] == [Between.JOURNAL_AND_SOURCE, Between.CONFIG_AND_AWS]
    assert [each.condition.kind for each in not_compared(open_)] == [ConditionKind.ACCESS_DENIED]


SPEC = "HMAC_256"
MADE = FoundKey(seen=observed(), aliases=("alias/a",), tags={"team": "books", "cost": "7"}, fleet=ABSENT)
FAMILY = Family(primary=ARN)


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        (NewKey(alias="alias/a"), MADE, ()),
        (NewKey(alias="alias/a", tags={"team": "books"}), MADE, ()),
        (NewKey(alias="alias/a"), None, ("no key with imported material is seen under this alias",)),
        (
            NewKey(alias="alias/a", spec=SPEC, tags={"team": "pay", "owner": "x"}),
            MADE,
            (
                "its key spec is SYMMETRIC_DEFAULT, and was to be HMAC_256",
                "its tag team is 'books', and was to be 'pay'",
                "it has no tag owner, which was to be 'x'",
            ),
        ),
        (
            NewKey(alias="alias/a", multi_region=True),
            MADE,
            ("it is a single-Region key, and was to be a multi-Region one",),
        ),
        (
            NewKey(alias="alias/a"),
            replace(MADE, seen=observed(family=FAMILY)),
            ("it is a multi-Region key, and was to be a single-Region one",),
        ),
        (NewKey(alias="alias/a", multi_region=True), replace(MADE, seen=observed(family=FAMILY)), ()),
    ],
)
def test_a_key_is_held_against_its_manifest(wanted: NewKey, found: FoundKey | None, told: tuple[str, ...]) -> None:
    """Spec, tags of the manifest, and whether it is a multi-Region key; further tags are nobody's business."""
    assert from_manifest(wanted, found) == told


MINE = observed().materials[0]
THEIRS = replace(MINE, material_id=OTHER)


@pytest.mark.parametrize(
    ("told", "changes"),
    [
        (False, {}),
        (True, {"view": observed(materials=(THEIRS,), current_material=OTHER)}),
        (False, {"view": observed(materials=(replace(MINE, state=MaterialState.NON_CURRENT), THEIRS))}),
        (False, {"view": observed(materials=(THEIRS,))}),
        (False, {"view": observed(materials=(), current_material=OTHER, materials_known=False)}),
        (False, {"view": observed(materials=(THEIRS,), current_material=OTHER), "ledger": ledger(material=ABSENT)}),
        (
            False,
            {
                "desired": desired(further=("2.key",)),
                "others": (Track(material=OTHER),),
            },
        ),
    ],
    ids=[
        "as recorded",
        "another material",
        "rotated since",
        "a listing behind the key",
        "no listing",
        "nothing recorded",
        "a later material that KMS forgot",
    ],
)
def test_material_of_another_id_is_told(told: bool, changes: dict[str, Any]) -> None:
    """KMS computes the id from key and material, so another one means that the record is of another key."""
    found = {each.kind: each for each in decide(snapshot(**changes), START).conditions}
    assert (ConditionKind.MATERIAL_DIFFERS in found) is told
    if told:
        assert found[ConditionKind.MATERIAL_DIFFERS].severity is Severity.CRITICAL
        assert MATERIAL[:12] in found[ConditionKind.MATERIAL_DIFFERS].detail
