"""What people are told of the other keys of a multi-Region key."""

from __future__ import annotations

from typing import Any

import pytest

from byokd.decide.decide import decide
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import ABSENT, NEVER_LOOKED, Blind, Family, KeyArn, KeyRef, LaneId, View
from byokd.facts.ledger import Ledger
from byokd.facts.relative import Relative
from byokd.facts.snapshot import ImportWanted, Reason, Snapshot
from tests.kit.builders import desired, observed, snapshot
from tests.kit.clock import START

HOME, AWAY, THIRD = (
    KeyArn(f"arn:aws:kms:{region}:111122223333:key/mrk-0a1b") for region in ("eu-central-1", "us-east-1", "us-west-2")
)
FAMILY = Family(primary=HOME, replicas=(AWAY, THIRD))


def relative(arn: KeyArn, **changes: Any) -> Relative:
    """Another key of the family, seen as it should be."""
    view: View = changes.pop("view", observed(arn=arn, family=FAMILY))
    return Relative(
        ref=KeyRef(arn), lane=LaneId("111122223333/other"), name=arn, arn=arn, view=view, message="fine", **changes
    )


def a_key(arn: KeyArn, *relatives: Relative, **changes: Any) -> Snapshot:
    """One key of the family, and what is on record of the others."""
    view = changes.pop("view", observed(arn=arn, family=FAMILY))
    return snapshot(desired=desired(arn=arn), view=view, relatives=relatives, **changes)


def blind(code: str) -> Blind:
    """Nobody can look at the key."""
    return Blind(since=START, at=START, code=code, message="not to be seen", failures=9, last=NEVER_LOOKED)


CASES: dict[str, tuple[Snapshot, list[tuple[ConditionKind, Severity]]]] = {
    "a family that is kept whole": (a_key(HOME, relative(AWAY), relative(THIRD)), []),
    "a replica of it": (a_key(AWAY, relative(HOME), relative(THIRD)), []),
    "a replica whose sibling is in no fleet: the primary tells": (a_key(AWAY, relative(HOME)), []),
    "a primary with a replica in no fleet": (
        a_key(HOME, relative(AWAY)),
        [(ConditionKind.RELATIVES_UNMANAGED, Severity.WARNING)],
    ),
    "a replica whose primary is in no fleet": (
        a_key(AWAY, relative(THIRD)),
        [(ConditionKind.REPLICA_WITHOUT_PRIMARY, Severity.WARNING)],
    ),
    "a replica whose primary is not found": (
        a_key(AWAY, relative(HOME, view=blind("key_not_found")), relative(THIRD)),
        [(ConditionKind.REPLICA_WITHOUT_PRIMARY, Severity.CRITICAL)],
    ),
    "a replica whose primary cannot be looked at": (
        a_key(AWAY, relative(HOME, view=blind("kms_unreachable")), relative(THIRD)),
        [],
    ),
    "a primary without replicas": (
        a_key(HOME, view=observed(arn=HOME, family=Family(primary=HOME))),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_told(case: str) -> None:
    """Each of the two is said once, of the key that it hurts."""
    given, told = CASES[case]
    assert [(each.kind, each.severity) for each in decide(given, START).conditions] == told


def test_the_replicas_that_are_missing_are_named() -> None:
    """By their Regions; another one is news."""
    (one,) = decide(a_key(HOME, relative(AWAY)), START).conditions
    assert one.detail.endswith(": us-west-2")
    (both,) = decide(a_key(HOME), START).conditions
    assert both.detail.endswith("2 replicas in no fleet, whose material ages unseen: us-east-1, us-west-2")
    assert one.stage != both.stage


def test_a_new_replica_waits_for_its_first_import_and_has_not_lapsed() -> None:
    """It is born with the ids of its primary's materials and without the bytes; nobody need be woken for it."""
    born = observed(arn=AWAY, family=FAMILY, valid_to=ABSENT)
    decision = decide(a_key(AWAY, relative(HOME), relative(THIRD), view=born, ledger=Ledger(pinned_arn=AWAY)), START)
    assert decision.reason is Reason.FIRST_IMPORT
    assert isinstance(decision.action, ImportWanted)
    assert decision.conditions == ()
