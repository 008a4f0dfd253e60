"""Keys with several materials: each is decided on by itself, and the key does what is most pressing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.decide.case import Loss, case
from byokd.decide.decide import decide, decided
from byokd.decide.materials import managed_material
from byokd.decide.orders import awaiting, rotated
from byokd.decide.rotation import ASK_AGAIN
from byokd.facts.condition import ConditionKind, Severity
from byokd.facts.key import (
    ABSENT,
    NEVER_LOOKED,
    Absent,
    Blind,
    KeyState,
    MaterialId,
    MaterialState,
    ObservedKey,
    ObservedMaterial,
)
from byokd.facts.ledger import (
    NOT_PROVED,
    Fingerprint,
    ImportState,
    Order,
    OrderKind,
    OrderState,
    Proved,
    Tier,
    Track,
    Unproved,
)
from byokd.facts.snapshot import ImportWanted, ProofWanted, Reason, RotationWanted, Snapshot
from tests.kit.builders import DAY, desired, ledger, observed, order, queued, snapshot, virgin
from tests.kit.clock import START

FIRST, SECOND, THIRD = (MaterialId(digit * 64) for digit in "123")
MARK = Fingerprint("ef" * 32)


def shown(name: MaterialId, state: MaterialState, *, gone: bool = False) -> ObservedMaterial:
    """A material as KMS lists it, with sixty days of life."""
    ends = ABSENT if gone else START + 60 * DAY
    return ObservedMaterial(material_id=name, state=state, imported=not gone, expiry=ends)


OLD = shown(FIRST, MaterialState.NON_CURRENT)
NOW = shown(SECOND, MaterialState.CURRENT)


def kept(name: MaterialId | Any, **changes: Any) -> Track:
    """What byokd knows of a material that it imported."""
    mark = MARK if isinstance(name, Absent) else Fingerprint(name)
    known = Track(
        proof=Proved(at=START, fingerprint=mark, length=32),
        fingerprint=mark,
        material=name,
        last_expiry=START + 60 * DAY,
        last_success_at=START - 30 * DAY,
    )
    return replace(known, **changes)


STOCK = Track(proof=Proved(at=START, fingerprint=Fingerprint("aa" * 32), length=32))


def key(*materials: ObservedMaterial, tracks: tuple[Track, ...], orders: tuple[Any, ...] = (), **seen: Any) -> Snapshot:
    """A key that shows these materials, of which byokd knows this."""
    locators = tuple(f"{place}.key" for place in range(len(tracks)))
    view = observed(materials=materials, current_material=SECOND, **seen)
    base = snapshot(
        desired=desired(locator=locators[0], further=locators[1:]), view=view, ledger=ledger(open_orders=orders)
    )
    blank = replace(base, place=len(tracks), others=tracks).turned_to(0)
    return replace(blank, others=tracks[1:])


def test_the_nearest_deadline_goes_first() -> None:
    """Of two that are due, the one that ends sooner."""
    old, now = replace(OLD, expiry=START + 20 * DAY), replace(NOW, expiry=START + 10 * DAY)
    decision = decide(key(old, now, tracks=(kept(FIRST), kept(SECOND))), START)
    assert isinstance(decision.action, ImportWanted)
    assert (decision.place, decision.action.material) == (1, SECOND)
    assert decision.message.startswith("material 2 of 2: ends at ")


def test_what_is_gone_comes_before_what_will_be() -> None:
    """A lapsed material has made the key unusable already; of the other only the renewal is due."""
    it = key(
        shown(FIRST, MaterialState.NON_CURRENT, gone=True),
        replace(NOW, expiry=START + 10 * DAY),
        tracks=(kept(FIRST, last_expiry=START - DAY), kept(SECOND)),
        state=KeyState.PENDING_IMPORT,
    )
    decision = decide(it, START)
    assert isinstance(decision.action, ImportWanted)
    assert (decision.place, decision.reason, decision.tier) == (0, Reason.LAPSED, Tier.LAPSED)
    assert ConditionKind.LAPSED in {each.kind for each in decision.conditions}


@pytest.mark.parametrize(
    "more", [(), (order(OrderKind.RESUME, id="a", created_at=START - 2 * DAY),)], ids=["", "resumed"]
)
def test_a_disabled_key_that_was_ordered_back_gets_all_its_materials(more: tuple[Order, ...]) -> None:
    """Its first was there, so that nothing seemed to be ordered: the second was refused, and the key stayed dead."""
    now = replace(NOW, expiry=START + 90 * DAY)
    old = shown(FIRST, MaterialState.NON_CURRENT, gone=True)
    back = order(OrderKind.IMPORT, id="b", created_at=START - timedelta(seconds=9))
    it = key(
        old,
        now,
        tracks=(kept(FIRST, last_expiry=START - DAY), kept(SECOND, last_success_at=START)),
        orders=(*more, back),
        state=KeyState.PENDING_IMPORT,
        was_disabled=True,
    )
    decision = decide(it, START + timedelta(seconds=1))
    assert isinstance(decision.action, ImportWanted)
    assert (decision.place, decision.reason) == (0, Reason.ORDERED)
    assert {each.reason for each in decision.parts} == {Reason.ORDERED, Reason.FRESH}


def test_an_order_to_import_asks_nothing_of_the_stock() -> None:
    """While the import waited for a token, the order's outcome told of the next material's missing file."""
    lost = Unproved(since=START - DAY, at=START, code="source_unreadable", message="no file", failures=9)
    back = order(OrderKind.IMPORT, created_at=START)
    it = key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND), replace(STOCK, proof=lost)), orders=(back,))
    said = [(case(at, START), decided(case(at, START))) for at in (it.turned_to(place) for place in it.places)]
    assert awaiting((back,), said) == ()
    assert [the.asks_for_import(back) for the, _ in said] == [True, True, False]


def test_a_rotation_that_kms_was_asked_for_is_told_nothing_else() -> None:
    """Half an hour without a look was told of it, and stayed: it passed for what KMS had answered."""
    asked = order(OrderKind.ROTATE, effective_at=START, outcome="KMS said something")
    it = key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND), STOCK), orders=(asked,))
    unseen = replace(
        it, view=Blind(since=START, at=START, code="kms_unreachable", message="away", failures=1, last=NEVER_LOOKED)
    )
    said = [(case(at, START), decided(case(at, START))) for at in (unseen.turned_to(place) for place in unseen.places)]
    assert {decision.reason for _, decision in said} == {Reason.COULD_NOT_LOOK}
    assert awaiting((asked,), said) == ()
    (told,) = awaiting((replace(asked, effective_at=ABSENT, outcome=""),), said)
    assert told.outcome


def test_one_material_that_cannot_be_had_does_not_hinder_the_other() -> None:
    """The source lost the old one: that is told, and the new one is renewed."""
    failed = Unproved(since=START - DAY, at=START, code="source_unreadable", message="no file", failures=9)
    it = key(OLD, replace(NOW, expiry=START + 10 * DAY), tracks=(kept(FIRST, proof=failed), kept(SECOND)))
    decision = decide(it, START)
    assert (decision.place, decision.reason) == (1, Reason.RENEWAL_DUE)
    (told,) = (each for each in decision.conditions if each.kind is ConditionKind.SOURCE_UNREADABLE)
    assert told.detail.startswith("material 1 of 2: ")


def test_what_is_true_of_the_key_names_no_material() -> None:
    """ "material 1 of 2: `rotate_every` uses up the rotations of the key's life" was said, and of a hold likewise."""
    it = key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND)))
    few = replace(it.desired.policy, rotate_every=DAY)
    decision = decide(replace(it, desired=replace(it.desired, policy=few)), START)
    (told,) = (each for each in decision.conditions if each.kind is ConditionKind.ROTATIONS_LOW)
    assert told.detail.startswith("`rotate_every` uses up")
    held = replace(it, ledger=replace(it.ledger, open_orders=(order(OrderKind.HOLD),)))
    assert decide(held, START).message.startswith("held by ")


def test_a_condition_is_as_bad_as_it_is_for_the_worst() -> None:
    """Both overdue, one an emergency: told once, critical, and of which material."""
    it = key(
        replace(OLD, expiry=START + 14 * DAY), replace(NOW, expiry=START + DAY), tracks=(kept(FIRST), kept(SECOND))
    )
    (told,) = (each for each in decide(it, START).conditions if each.kind is ConditionKind.OVERDUE)
    assert told.severity is Severity.CRITICAL
    assert told.detail.startswith("material 2 of 2: ")


def test_stock_waits_and_is_drilled() -> None:
    """Material that KMS does not have yet asks for proofs and for nothing else."""
    drilled = decide(key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND), STOCK)), START)
    assert (drilled.action, drilled.conditions) == (ABSENT, ())
    asked = decide(key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND), replace(STOCK, proof=NOT_PROVED))), START)
    assert (asked.place, asked.action) == (2, ProofWanted(places=(2,)))
    both = (kept(FIRST, proof=NOT_PROVED), kept(SECOND), replace(STOCK, proof=NOT_PROVED))
    assert decide(key(OLD, NOW, tracks=both), START).action == ProofWanted(places=(0, 2))


@pytest.mark.parametrize(
    ("hours", "drilled"),
    [((0, 0), ()), ((24, 0), (0,)), ((24, 11), (0,)), ((24, 12), (0, 1)), ((12, 24), (0, 1)), ((23, 23), ())],
)
def test_what_is_drilled_soon_is_drilled_with_the_other(hours: tuple[int, int], drilled: tuple[int, ...]) -> None:
    """One look for both, where each had its own since their last imports; these were proved so many hours ago."""
    tracks = [
        kept(name, proof=Proved(at=START - timedelta(hours=ago), fingerprint=Fingerprint(name), length=32))
        for name, ago in zip((FIRST, SECOND), hours, strict=True)
    ]
    decision = decide(key(OLD, NOW, tracks=tuple(tracks)), START)
    assert decision.action == (ProofWanted(places=drilled) if drilled else ABSENT)


def test_a_virgin_key_gets_its_first_material_only() -> None:
    """The rest is for its rotations."""
    it = replace(key(tracks=(STOCK, STOCK)), view=virgin())
    decision = decide(it, START)
    assert (decision.place, decision.reason) == (0, Reason.FIRST_IMPORT)
    assert case(it.turned_to(1), START).loss.value == "stock"


def names(it: Snapshot) -> list[Any]:
    """What KMS calls each material of the config."""
    return [managed_material(it.turned_to(place)) for place in it.places]


def test_materials_that_byokd_did_not_import_are_named_by_their_age() -> None:
    """Both lists are oldest first; what KMS does not list has no name yet."""
    assert names(key(OLD, NOW, tracks=(Track(), Track(), Track()))) == [FIRST, SECOND, ABSENT]


def test_names_that_kms_gave_outweigh_the_order() -> None:
    """Only the bytes make a name: a config in a wrong order is not believed against it."""
    third = shown(THIRD, MaterialState.PENDING_ROTATION)
    assert names(key(OLD, NOW, third, tracks=(kept(SECOND), Track(), Track()))) == [SECOND, FIRST, THIRD]


def test_pending_material_that_ended_is_in_stock_again() -> None:
    """KMS forgets it, with its name."""
    it = key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND), kept(THIRD, last_expiry=START - DAY)))
    assert names(it) == [FIRST, SECOND, ABSENT]
    assert decide(it, START).conditions == ()


def test_materials_of_others_are_told() -> None:
    """Three in KMS, two in the config: one of them has no source."""
    it = key(OLD, NOW, shown(THIRD, MaterialState.NON_CURRENT), tracks=(kept(FIRST), kept(SECOND)))
    (told,) = decide(it, START).conditions
    assert told.kind is ConditionKind.MATERIAL_UNMANAGED
    assert THIRD[:12] in told.detail


def test_an_order_is_for_every_material() -> None:
    """What was imported since the order is not imported for it again."""
    ordered = order(OrderKind.IMPORT, created_at=START - DAY)
    it = key(OLD, NOW, tracks=(kept(FIRST, last_success_at=START), kept(SECOND)), orders=(ordered,))
    assert isinstance(it.view, ObservedKey)
    decision = decide(it, START)
    assert (decision.place, decision.reason) == (1, Reason.ORDERED)
    both = key(OLD, NOW, tracks=(kept(FIRST, last_success_at=START), kept(SECOND, last_success_at=START)))
    assert decide(both, START).action is ABSENT


PENDING = shown(THIRD, MaterialState.PENDING_ROTATION)
ROTATE = order(OrderKind.ROTATE)
THREE = (kept(FIRST), kept(SECOND), kept(THIRD))


def test_what_waits_for_its_rotation_is_rotated_to() -> None:
    """An order, and the next material in KMS: all that is left is to ask."""
    decision = decide(key(OLD, NOW, PENDING, tracks=THREE, orders=(ROTATE,)), START)
    assert (decision.place, decision.action) == (2, RotationWanted(order_id=ROTATE.id))


def test_kms_is_asked_again_only_after_a_while() -> None:
    """It takes its time, and does not say when it began."""
    asked = replace(ROTATE, effective_at=START)
    it = key(OLD, NOW, PENDING, tracks=THREE, orders=(asked,))
    assert decide(it, START + ASK_AGAIN - timedelta(seconds=1)).action is ABSENT
    assert decide(it, START + ASK_AGAIN).action == RotationWanted(order_id=ROTATE.id)


def test_a_primary_waits_for_its_replicas() -> None:
    """KMS rotates only when every replica has the material too; an old reading does not say which there are."""
    waits = replace(PENDING, state=MaterialState.PENDING_MULTI_REGION)
    it = key(OLD, NOW, waits, tracks=THREE, orders=(ROTATE,))
    assert decide(it, START).action is ABSENT
    assert decided(case(it.turned_to(2), START)).reason is Reason.WAITS_FOR_REPLICAS


def test_what_waits_for_its_replicas_is_renewed_like_any_other() -> None:
    """A replica was held for longer than the material lives; it ended in the primary, and was told as not renewed."""
    then = START + 59 * DAY
    proved = [
        replace(kept(each), proof=Proved(at=then, fingerprint=Fingerprint(each), length=32))
        for each in (FIRST, SECOND, THIRD)
    ]
    waits = replace(PENDING, state=MaterialState.PENDING_MULTI_REGION)
    it = key(OLD, NOW, waits, tracks=tuple(proved), orders=(ROTATE,), at=then)
    the = case(it.turned_to(2), then)
    decision = decided(the)
    assert isinstance(decision.action, ImportWanted)
    assert (decision.reason, decision.action.material) == (Reason.RENEWAL_DUE, THIRD)
    (order,) = awaiting((ROTATE,), [(the, decision)])
    assert order.outcome.startswith("waits until its replicas have the material too")


def test_an_import_from_before_the_clock_was_set_back_does_no_later_order() -> None:
    """An order to import was told done, since its key had been imported half a month from now."""
    ahead = START + 15 * DAY
    it = key(
        OLD,
        NOW,
        tracks=(kept(FIRST, last_success_at=ahead), kept(SECOND, last_success_at=ahead)),
        orders=(order(OrderKind.IMPORT, created_at=START),),
    )
    assert decide(it, START).reason is Reason.ORDERED


def test_a_next_material_that_fails_is_told_before_the_others_peace() -> None:
    """A key whose ordered rotation could not get its material said that it is fresh, for as long as that failed."""
    row = queued(
        material=ABSENT, state=ImportState.FAILED, attempts=3, not_before=START + timedelta(minutes=5), detail="5xx"
    )
    it = key(OLD, NOW, tracks=(kept(FIRST), kept(SECOND), replace(STOCK, open_import=row)), orders=(ROTATE,))
    decision = decide(it, START)
    assert (decision.place, decision.reason, decision.action) == (2, Reason.BACKING_OFF, ABSENT)
    assert decision.message.startswith("material 3 of 3: 5xx; tries again")


def test_a_lapsed_material_goes_before_a_rotation() -> None:
    """KMS would refuse to rotate a key that is PendingImport."""
    lapsed = (kept(FIRST, last_expiry=START - DAY), kept(SECOND), kept(THIRD))
    gone = shown(FIRST, MaterialState.NON_CURRENT, gone=True)
    it = key(gone, NOW, PENDING, tracks=lapsed, orders=(ROTATE,), state=KeyState.PENDING_IMPORT)
    decision = decide(it, START)
    assert isinstance(decision.action, ImportWanted)
    assert (decision.place, decision.reason) == (0, Reason.LAPSED)


def test_what_another_material_explains_is_no_loss() -> None:
    """Of a key without a list, what had just been imported was taken for deleted while another was missing."""
    gone, back = kept(FIRST, last_expiry=START - DAY), kept(SECOND, last_success_at=START - DAY)
    seen: dict[str, Any] = {"state": KeyState.PENDING_IMPORT, "valid_to": ABSENT, "materials_known": False}
    it = key(tracks=(gone, back), **seen)
    assert [case(it.turned_to(place), START).loss for place in it.places] == [Loss.LAPSED, Loss.NONE]
    unexplained = key(tracks=(kept(FIRST), back), **seen)
    assert [case(unexplained.turned_to(place), START).loss for place in it.places] == [Loss.DELETED, Loss.DELETED]


def test_materials_that_cannot_be_listed_are_not_rotated() -> None:
    """What seems to be in stock may be in the key: nothing new is imported, the order is refused, and people hear."""
    it = key(tracks=(kept(FIRST), STOCK), orders=(ROTATE,), materials_known=False)
    each = [decided(case(it.turned_to(place), START)) for place in it.places]
    assert [said.reason for said in each] == [Reason.CANNOT_ROTATE, Reason.IN_STOCK]
    (told,) = (said for said in decide(it, START).conditions if said.kind is ConditionKind.DEADLINES_HIDDEN)
    assert told.severity is Severity.WARNING


def test_a_rotation_that_is_refused_leaves_no_renewal_waiting() -> None:
    """The turn after it came with the next drill, and a change window of four hours passed meanwhile (seed 2084)."""
    decision = decide(key(NOW, tracks=(kept(SECOND),), orders=(ROTATE,)), START)
    assert (decision.reason, decision.wake_at) == (Reason.CANNOT_ROTATE, START + timedelta(seconds=1))


@pytest.mark.parametrize(("rotations", "stage"), [(19, None), (20, "5 left"), (24, "1 left"), (25, "0 left")])
def test_the_budget_of_a_life_is_told_before_it_is_used_up(rotations: int, stage: str | None) -> None:
    """KMS rotates a key on demand 25 times; from the twentieth on each step is told, and renewals go on."""
    listed = tuple(
        replace(OLD, material_id=MaterialId(f"{number:064}"), rotated_at=START - DAY if number else ABSENT)
        for number in range(rotations + 1)
    )
    it = key(*listed[:-1], replace(listed[-1], state=MaterialState.CURRENT), tracks=(kept(FIRST), kept(SECOND)))
    found = [each for each in decide(it, START).conditions if each.kind is ConditionKind.ROTATIONS_LOW]
    assert [each.stage for each in found] == ([] if stage is None else [stage])


def test_what_waited_and_is_current_was_rotated_to_whatever_the_clocks_say() -> None:
    """KMS's stamp lay before the order: the host's clock was ahead. What waited before the order alone is not done."""
    before = key(OLD, NOW, PENDING, tracks=THREE).view
    made = replace(PENDING, state=MaterialState.CURRENT, rotated_at=START - timedelta(minutes=4))
    after = observed(materials=(OLD, replace(NOW, state=MaterialState.NON_CURRENT), made), current_material=THIRD)
    asked = replace(ROTATE, created_at=START, effective_at=START)
    assert [each.state for each in rotated((asked,), after, START, was=before)] == [OrderState.DONE]
    hidden = replace(after, materials=(), materials_known=False)  # ListKeyRotations is refused just then
    assert [each.state for each in rotated((asked,), hidden, START, was=before)] == [OrderState.DONE]
    assert rotated((asked,), after, START, was=after) == ()
    late = replace(asked, created_at=START + timedelta(seconds=1))
    for other in (replace(late, effective_at=ABSENT), replace(late, outcome="LimitExceededException")):
        assert rotated((other,), after, START, was=before) == rotated((other,), hidden, START, was=before) == ()
        assert rotated((replace(other, created_at=START),), hidden, START, was=before)


@pytest.mark.parametrize("outcome", ["", "kms:RotateKeyOnDemand is not allowed"])
def test_what_kms_does_not_rotate_to_is_renewed_before_it_ends(outcome: str) -> None:
    """KMS refused to rotate for longer than the new material lives: it ended, and only the rotation was spoken of."""
    then = START + 59 * DAY
    proved = [
        replace(kept(each), proof=Proved(at=then, fingerprint=Fingerprint(each), length=32))
        for each in (FIRST, SECOND, THIRD)
    ]
    asked = replace(ROTATE, effective_at=then, outcome=outcome)
    it = key(OLD, NOW, PENDING, tracks=tuple(proved), orders=(asked,), at=then)
    decision = decided(case(it.turned_to(2), then))
    assert (decision.reason, isinstance(decision.action, ImportWanted)) == (Reason.RENEWAL_DUE, True)
