"""Laws of the keys of one multi-Region key, each of which decides for itself by what the others left on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.decide.case import Loss, case
from byokd.decide.decide import decide
from byokd.decide.materials import waiting
from byokd.decide.related import outdated
from byokd.decide.rotation import behind, next_material, rotates
from byokd.facts.key import ABSENT, NEVER_LOOKED, Family, KeyArn, KeyRef, LaneId, NeverLooked, ObservedKey
from byokd.facts.ledger import OrderKind
from byokd.facts.relative import Relative, identity
from byokd.facts.snapshot import ImportWanted, Reason, RotationWanted, Snapshot
from tests.kit.builders import order
from tests.kit.strategies import blind, moments, rotated, rotated_readings

quick = settings(deadline=None, max_examples=80)
ARNS = tuple(
    KeyArn(f"arn:aws:kms:{region}:111122223333:key/mrk-0a1b2c3d000040008000000000000001")
    for region in ("eu-central-1", "eu-west-1", "us-east-1")
)


@st.composite
def related(draw: st.DrawFn) -> Snapshot:
    """A member of a multi-Region key, with or without the others in the config, perhaps to be rotated."""
    own, *others = draw(st.permutations(ARNS))
    family = Family(primary=draw(st.sampled_from(ARNS)), replicas=())
    family = replace(family, replicas=tuple(sorted(set(ARNS) - {family.primary})))
    it = draw(rotated())
    readings = rotated_readings().map(lambda seen: replace(seen, family=family))
    relatives = tuple(
        Relative(
            ref=KeyRef(arn),
            lane=LaneId("111122223333/x"),
            name=arn,
            arn=arn,
            view=draw(st.one_of(readings, blind(readings), st.just(NEVER_LOOKED))),
            message="m",
            rotates=draw(st.booleans()),
        )
        for arn in others[: draw(st.integers(0, 2))]
    )
    ordered = (order(OrderKind.ROTATE),) if draw(st.booleans()) else ()
    return replace(
        it,
        desired=replace(it.desired, arn=own, ref=KeyRef(own), name=own),
        view=replace(draw(readings), arn=own),
        ledger=replace(it.ledger, open_orders=ordered),
        relatives=relatives,
    )


members = related()


@quick
@given(members, moments)
def test_only_a_primary_is_rotated(it: Snapshot, now: datetime) -> None:
    """KMS rotates the replicas with it; byokd asks for the primary alone, and not before every replica has it."""
    decision = decide(it, now)
    assert now < decision.wake_at
    if isinstance(decision.action, RotationWanted):
        the = case(it.turned_to(decision.place), now)
        assert not the.replica
        assert behind(the) == ()


@quick
@given(members, moments)
def test_nobody_waits_for_a_replica_that_has_it(it: Snapshot, now: datetime) -> None:
    """Whoever a primary waits for is a relative not seen with the new material since; a replica waits for nobody."""
    the = case(it, now)
    late, pending = behind(the), waiting(the.seen)

    assert not (the.replica and late)
    assert set(late) <= set(it.relatives)
    assert pending is not None or late == ()
    given_at = the.snapshot.ledger.last_success_at
    assert pending is None or not any(each.holds(pending.material_id, since=given_at) for each in late)
    for place in it.places:
        verdict = rotates(case(it.turned_to(place), now))
        if verdict is not None and verdict.reason is Reason.WAITS_FOR_REPLICAS:
            assert all(each.region in verdict.message for each in late if each.arn in _replicas(it))


def _replicas(it: Snapshot) -> tuple[KeyArn, ...]:
    family = it.view.family if isinstance(it.view, ObservedKey) else ABSENT
    return family.replicas if isinstance(family, Family) else ()


@quick
@given(members, moments)
def test_only_an_older_record_is_outdated(it: Snapshot, now: datetime) -> None:
    """So that two lanes never chase each other; what shows the same family and material is up to date."""
    the = case(it, now)
    late = outdated(the)
    assert set(late) <= set(it.relatives)
    assert not late or the.seen is not None
    for each in late:
        assert the.seen is not None
        assert not isinstance(each.view, NeverLooked)
        assert each.view.at < the.seen.at
        same = replace(the.seen, at=each.view.at, arn=each.arn)
        current = replace(it, relatives=tuple(replace(other, view=same) for other in it.relatives))
        assert outdated(case(current, now)) == ()


@quick
@given(members, moments)
def test_the_next_material_comes_for_a_rotation_and_for_nothing_else(it: Snapshot, now: datetime) -> None:
    """Stock is imported for an order to rotate, this key's or its primary's."""
    decision = decide(it, now)
    the = case(it.turned_to(decision.place), now)
    if isinstance(decision.action, ImportWanted) and the.loss is Loss.STOCK:
        assert the.next_wanted
        assert decision.action == next_material(the).action
        if the.replica:
            assert decision.action.order_id is ABSENT
            assert any(each.rotates for each in it.relatives)


@given(st.sampled_from(ARNS), st.sampled_from(ARNS))
def test_the_members_have_one_identity(one: KeyArn, other: KeyArn) -> None:
    """And a single-Region key has none."""
    assert identity(one) == identity(other) != ()
    assert identity(KeyArn(one.replace("mrk-", ""))) == ()
