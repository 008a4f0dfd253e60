"""What people are told of the other keys of a multi-Region key."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.decide.case import case
from byokd.decide.decide import decide, decided
from byokd.decide.orders import awaiting
from byokd.decide.related import outdated
from byokd.decide.rotation import behind, rotates
from byokd.decide.why import explained
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import (
    ABSENT,
    NEVER_LOOKED,
    Blind,
    Family,
    KeyArn,
    KeyRef,
    LaneId,
    MaterialId,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
    View,
)
from byokd.facts.ledger import Fingerprint, Ledger, OrderKind, Proved, Track
from byokd.facts.relative import Relative
from byokd.facts.snapshot import ImportWanted, Reason, RotationWanted, Snapshot
from tests.kit.builders import MATERIAL, desired, observed, order, snapshot
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


def unseen(arn: KeyArn, *relatives: Relative) -> Snapshot:
    """A key that KMS does not find."""
    return a_key(arn, *relatives, view=blind("key_not_found"), ledger=Ledger())


ALONE = observed(arn=HOME, family=Family(primary=HOME, replicas=(THIRD,)))


def test_a_replica_that_its_primary_does_not_list_is_to_be_made() -> None:
    """It was written into the config and never made: people hear what to do."""
    decision = decide(unseen(AWAY, relative(HOME, view=ALONE)), START)
    assert "`byokd replicate` makes it" in decision.message
    assert [each.kind for each in decision.conditions] == [ConditionKind.REPLICA_MISSING]
    (way,) = explained(case(unseen(AWAY, relative(HOME, view=ALONE)), START)).mind.ways
    assert way.what.startswith("`byokd replicate`")


@pytest.mark.parametrize("others", [(relative(HOME),), (relative(HOME, view=NEVER_LOOKED),), ()])
def test_a_replica_that_is_listed_or_unknown_is_not_found(others: tuple[Relative, ...]) -> None:
    """KMS may be behind, or the key was deleted: that is another matter."""
    decision = decide(unseen(AWAY, *others), START)
    assert [each.kind for each in decision.conditions] == [ConditionKind.KEY_NOT_FOUND]


def earlier(view: Any, by: timedelta = timedelta(hours=1)) -> Any:
    """The same seen some time ago."""
    return replace(view, at=START - by)


OUTDATED: dict[str, tuple[KeyArn, Any, Any, bool]] = {
    "a replica that was not found": (HOME, relative(AWAY, view=earlier(blind("key_not_found"))), FAMILY, True),
    "a replica that the primary does not list": (
        HOME,
        relative(AWAY, view=earlier(blind("key_not_found"))),
        None,
        False,
    ),
    "a replica that cannot be reached": (HOME, relative(AWAY, view=earlier(blind("kms_unreachable"))), FAMILY, False),
    "a primary that did not list it yet": (AWAY, relative(HOME, view=earlier(ALONE)), FAMILY, True),
    "a replica that does not show the rotation yet": (
        HOME,
        relative(AWAY, view=earlier(observed(arn=AWAY, family=FAMILY, current_material=MaterialId("0f" * 32)))),
        FAMILY,
        True,
    ),
    "a replica that tells no material": (
        HOME,
        relative(AWAY, view=earlier(observed(arn=AWAY, family=FAMILY, current_material=ABSENT))),
        FAMILY,
        False,
    ),
    "a primary that says the same": (
        AWAY,
        relative(HOME, view=earlier(observed(arn=HOME, family=FAMILY))),
        FAMILY,
        False,
    ),
}


@pytest.mark.parametrize("case_", OUTDATED)
def test_whose_record_is_outdated(case_: str) -> None:
    """A wake costs one look."""
    arn, other, family, outdated_ = OUTDATED[case_]
    view = observed(arn=arn, family=family) if family else ALONE
    assert outdated(case(a_key(arn, other, view=view), START)) == ((other,) if outdated_ else ())


# -- rotation ---------------------------------------------------------------------------------------------------------

NEXT = MaterialId("ee" * 32)
ROTATE = order(OrderKind.ROTATE)


def holding(arn: KeyArn, state: MaterialState | None) -> ObservedKey:
    """A reading of one key, with the next material in this state or without it."""
    seen = observed(arn=arn, family=FAMILY)
    if state is None:
        return seen
    return replace(
        seen,
        materials=(*seen.materials, ObservedMaterial(material_id=NEXT, state=state, imported=True, expiry=seen.expiry)),
    )


def with_stock(arn: KeyArn, state: MaterialState | None, *relatives: Relative, **ledger: Any) -> Snapshot:
    """One key whose config has a second material, proved."""
    base = a_key(arn, *relatives, view=holding(arn, state))
    stock = Track(proof=Proved(at=START, fingerprint=Fingerprint("aa" * 32), length=32))
    return replace(
        base,
        desired=replace(base.desired, further=("next.key",)),
        ledger=replace(base.ledger, material=MATERIAL, **ledger),
        others=(stock,),
    )


AWAITED, PENDING = MaterialState.PENDING_MULTI_REGION, MaterialState.PENDING_ROTATION


def primary(state: MaterialState | None = AWAITED, *, rotates: bool = True) -> Relative:
    """The primary as its replicas know it."""
    return relative(HOME, view=holding(HOME, state), rotates=rotates)


def test_a_replica_imports_what_waits_in_its_primary() -> None:
    """Once the rotation is ordered there, and the material shows; without an order of its own."""
    decision = decide(with_stock(AWAY, None, primary()), START)
    assert (decision.reason, decision.place) == (Reason.ROTATING, 1)
    assert isinstance(decision.action, ImportWanted)
    assert decision.action.order_id is ABSENT


@pytest.mark.parametrize(
    "given",
    [
        with_stock(AWAY, None, primary(rotates=False)),
        with_stock(AWAY, None, primary(None)),
        with_stock(AWAY, None),
        with_stock(AWAY, PENDING, primary()),
        with_stock(AWAY, None, relative(HOME, view=NEVER_LOOKED, rotates=True)),
    ],
    ids=["nobody ordered it", "nothing waits", "a primary in no fleet", "it has it", "a primary never looked at"],
)
def test_else_a_replica_imports_nothing(given: Snapshot) -> None:
    """New material comes by the primary alone."""
    assert not isinstance(decide(given, START).action, ImportWanted)


def test_a_primary_waits_and_says_for_whom() -> None:
    """Replicas that have the material are done; of the others each says what hinders it."""
    third = relative(THIRD, view=blind("kms_unreachable"))
    given = with_stock(HOME, AWAITED, relative(AWAY, view=holding(AWAY, PENDING)), third, open_orders=(ROTATE,))
    decision = decide(given, START)
    assert decision.reason is Reason.WAITS_FOR_REPLICAS
    assert decision.message.endswith("waits until its replicas have the material too: us-west-2 (not to be seen)")
    assert behind(case(given, START)) == (third,)
    the = case(given.turned_to(decision.place), START)
    (waiting,) = awaiting((ROTATE,), [(the, decided(the))])
    assert waiting.state is ROTATE.state
    assert decision.message.endswith(waiting.outcome)


def test_a_replica_that_had_it_before_the_primary_is_asked_again() -> None:
    """Somebody deleted what waited, and the primary was given it anew: the replica's record was from before that.

    The primary waited for eleven days, until the replica was looked at for its next renewal (seed 38).
    """
    before = relative(AWAY, view=holding(AWAY, PENDING))
    after = relative(THIRD, view=replace(holding(THIRD, PENDING), at=START + timedelta(seconds=2)))
    given = with_stock(HOME, AWAITED, before, after, open_orders=(ROTATE,)).turned_to(1)
    anew = replace(given, ledger=replace(given.ledger, last_success_at=START + timedelta(seconds=1)))
    assert behind(case(given, START)) == ()
    assert behind(case(anew, START + timedelta(seconds=2))) == (before,)
    assert behind(case(anew, START)) == (), "of a clock that was set back since, nobody waits for the old time to come"


@pytest.mark.parametrize(
    ("waited", "wait"),
    [
        (timedelta(0), timedelta(seconds=30)),
        (timedelta(minutes=4), timedelta(seconds=30)),
        (timedelta(minutes=16), timedelta(minutes=2)),
        (timedelta(hours=8), timedelta(hours=1)),
        (timedelta(days=90), timedelta(hours=1)),
        (timedelta(days=-1), timedelta(seconds=30)),
    ],
)
def test_the_longer_it_waits_the_less_it_asks(waited: timedelta, wait: timedelta) -> None:
    """A Region may be out for weeks, and a replica held for months."""
    given = with_stock(HOME, AWAITED, relative(AWAY), open_orders=(replace(ROTATE, created_at=START - waited),))
    (verdict,) = (found for place in given.places if (found := rotates(case(given.turned_to(place), START))))
    assert verdict.wake_at == START + wait


@pytest.mark.parametrize(("state", "heard"), [(PENDING, True), (None, False)])
def test_a_primary_that_waits_hears_of_a_replica(state: MaterialState | None, heard: bool) -> None:
    """Of one that has the material by now, so that it need not ask often."""
    home = relative(HOME, view=earlier(holding(HOME, AWAITED)), rotates=True)
    assert outdated(case(a_key(AWAY, home, view=holding(AWAY, state)), START)) == ((home,) if heard else ())


def test_a_primary_goes_by_what_kms_says_of_its_material() -> None:
    """Also where the record has not seen it in every replica."""
    decision = decide(with_stock(HOME, PENDING, open_orders=(ROTATE,)), START)
    assert isinstance(decision.action, RotationWanted)


def test_material_that_nobody_has_in_the_config_refuses_the_order() -> None:
    """Somebody else's material waits: there is no source that could keep it alive."""
    given = a_key(HOME, relative(AWAY), relative(THIRD), view=holding(HOME, AWAITED))
    decision = decide(replace(given, ledger=replace(given.ledger, open_orders=(ROTATE,))), START)
    assert decision.reason is Reason.CANNOT_ROTATE
    assert decision.message.endswith("the config has no source for it")
