"""Drift: which conditions are differences, and the one that no other check told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from byokd.decide.decide import decide
from byokd.decide.drift import (
    DIFFERENCES,
    NOT_COMPARED,
    Between,
    differences,
    from_manifest,
    not_compared,
    not_read,
)
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.estate import CREATED_AS, Attributes, FoundKey, NewKey
from byokd.facts.key import ABSENT, Family, MaterialId, MaterialState
from byokd.facts.ledger import Track
from byokd.facts.uses import KeyUsage
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
    tags = ABSENT if found is None else found.tags
    assert from_manifest(wanted, found, Attributes(tags=tags)) == told


POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:Sign", "kms:Verify"]}]}'
SAME = '{"Statement": {"Action": ["kms:Verify", "kms:Sign"], "Effect": "Allow"}, "Version": "2012-10-17"}'
OTHER_POLICY = POLICY.replace("Sign", "Decrypt")


@pytest.mark.parametrize(
    ("wanted", "carried", "told", "hidden"),
    [
        ({}, {"policy": POLICY}, (), ()),
        ({"policy": POLICY}, {"policy": SAME}, (), ()),
        ({"policy": POLICY}, {"policy": OTHER_POLICY}, ("its key policy says something else than the manifest's",), ()),
        (
            {"description": "Cards"},
            {"description": ""},
            ("its description is '', and was to be 'Cards'",),
            (),
        ),
        ({"usage": KeyUsage.SIGN_VERIFY}, {}, ("its use is ENCRYPT_DECRYPT, and was to be SIGN_VERIFY",), ()),
        ({}, {"tags": {CREATED_AS: "alias/b"}}, ("the alias points to a key that was made for alias/b",), ()),
        ({}, {"tags": {CREATED_AS: "alias/a"}}, (), ()),
        (
            {"policy": POLICY, "tags": {"team": "pay"}},
            {"denied": ("kms:ListResourceTags", "kms:GetKeyPolicy")},
            (),
            (
                "its tags may not be read: kms:ListResourceTags is missing",
                "its key policy may not be read: kms:GetKeyPolicy is missing",
            ),
        ),
        ({}, {"denied": ("kms:ListResourceTags",)}, (), ()),
    ],
)
def test_what_a_key_carries_is_held_against_its_manifest(
    wanted: dict[str, Any], carried: dict[str, Any], told: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    """As far as it may be read; what may not be is said, where the manifest says something of it."""
    key, has = NewKey(alias="alias/a", **wanted), Attributes(**carried)
    assert from_manifest(key, MADE, has) == told
    assert not_read(key, has) == hidden


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
