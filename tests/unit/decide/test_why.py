"""Each rule tells what it waits for and what would change its mind; and doing that changes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

import pytest

from byokd.decide.case import case
from byokd.decide.minds import MINDS
from byokd.decide.rules import RULES
from byokd.decide.several import Precedence, precedence
from byokd.decide.why import GOES_FIRST, Explanation, explained, why
from byokd.facts.key import ABSENT, NEVER, MaterialState, ObservedMaterial
from byokd.facts.ledger import OrderKind, Tier, Track
from byokd.facts.snapshot import (
    Action,
    DeletionWanted,
    ImportWanted,
    OrderWanted,
    ProbeWanted,
    ProofWanted,
    Reason,
    RotationWanted,
    Snapshot,
)
from tests.kit.builders import DAY, FINGERPRINT, observed, order, snapshot
from tests.kit.clock import START
from tests.unit.decide.acting import ACTING
from tests.unit.decide.hindered import HINDERED
from tests.unit.decide.named import DUE, ENDS, OTHER, PROVED, SECOND, STOCKED, Named, ordered

NAMED = (*HINDERED, *ACTING)
FOR_EVER = {"wrong_origin", "unsupported_spec"}
"""What these rules say of a key never changes."""


def _explained(key: dict[str, Any], now: datetime) -> Explanation:
    return explained(case(snapshot(**key), now))


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.says)
def test_a_rule_says_what_it_waits_for(named: Named) -> None:
    """The rule that decides is named, with what it waits for, until when, and what would change its mind."""
    found = _explained(named.key, named.now)
    assert (found.rule, found.decision.reason) == (named.rule, named.reason)
    assert found.says.endswith(".")
    assert named.waits_for in found.mind.waits_for
    if named.until is not None:
        assert found.mind.until == named.until
    assert any(named.tells in way.what for way in found.mind.ways)


@pytest.mark.parametrize("named", [each for each in NAMED if each.rule not in FOR_EVER], ids=lambda named: named.says)
def test_what_would_change_a_mind_changes_it(named: Named) -> None:
    """Where somebody does what is told, or the time told comes, another rule decides, or the same says otherwise."""
    before = _explained(named.key, named.now)
    assert named.otherwise or named.later
    if named.otherwise:
        after = _explained(named.otherwise, named.now)
        assert (after.rule, after.verdict.reason) != (before.rule, before.verdict.reason)
    if named.later is not None:
        assert _explained(named.key, named.later - SECOND).rule in (named.rule, "drill")
        assert _explained(named.key, named.later).rule != named.rule
        assert named.later in [way.at for way in before.mind.ways]


def test_every_rule_is_explained() -> None:
    """A new rule tells what would change its mind, and has a case here that shows it; so has every reason."""
    assert set(MINDS) == set(RULES)
    assert {each.rule for each in NAMED} == {rule.__name__ for rule in RULES}
    assert {each.reason for each in NAMED} == set(Reason)


def test_every_rule_says_in_a_sentence_what_it_is() -> None:
    """It stands in `byokd why` as the policy in words."""
    assert all((rule.__doc__ or "").strip().partition("\n\n")[0].endswith(".") for rule in RULES)


def test_every_kind_of_action_has_its_precedence_and_its_sentence() -> None:
    """A new action is told why it goes before the others."""
    decision = _explained({}, START).decision
    examples: dict[type, Action] = {
        DeletionWanted: DeletionWanted(materials=(ABSENT,)),
        RotationWanted: RotationWanted(order_id="1"),
        ProofWanted: ProofWanted(),
        ProbeWanted: ProbeWanted(),
        OrderWanted: OrderWanted(why="w"),
    }
    action = _explained({}, DUE).verdict.action
    assert isinstance(action, ImportWanted)
    examples[ImportWanted] = action
    assert set(examples) == set(get_args(Action))
    stands = {precedence(replace(decision, action=each)) for each in examples.values()}
    assert len(stands) == len(examples)
    waits = replace(decision, action=ABSENT, reason=Reason.WAITS_FOR_REPLICAS)
    assert {precedence(waits), precedence(replace(decision, action=ABSENT))} == {Precedence.WAITING, Precedence.NOTHING}
    assert stands | {Precedence.WAITING, Precedence.NOTHING} == set(GOES_FIRST) == set(Precedence)


def test_what_stands_behind_the_rule_is_told() -> None:
    """A held key whose renewal is due would be renewed if the hold went."""
    found = _explained({**ordered(order(OrderKind.HOLD)), "proof": PROVED}, DUE)
    assert found.behind is not None
    assert found.behind.reason is Reason.RENEWAL_DUE
    assert _explained({}, START).behind is None


def _two(second: Track, **changes: Any) -> Snapshot:
    return snapshot(**({**STOCKED, "others": (second,)} | changes))


def test_of_several_materials_each_is_explained() -> None:
    """The one that needs byokd first speaks for the key, and why it does is told."""
    shown = observed().materials[0]
    older = ObservedMaterial(material_id=OTHER, state=MaterialState.NON_CURRENT, imported=True, expiry=ENDS - DAY)
    known = Track(proof=PROVED, fingerprint=FINGERPRINT, material=OTHER, last_expiry=ENDS - DAY)
    found = why(_two(known, view=observed(materials=(older, shown))), DUE)
    assert found.decision.place == 1
    assert "nearest deadline" in found.goes_first
    assert [each.rule for each in found.materials] == ["renewal_due", "renewal_due"]
    assert why(snapshot(), START).goes_first == ""


def test_what_is_urgent_goes_before_what_an_order_wants_and_never_ends() -> None:
    """The lane served the urgent row, its key chose the other one for it, and both went round and round."""
    current = replace(observed().materials[0], expiry=NEVER)
    older = ObservedMaterial(material_id=OTHER, state=MaterialState.NON_CURRENT, imported=True, expiry=ENDS)
    known = Track(proof=PROVED, fingerprint=FINGERPRINT, material=OTHER, last_expiry=ENDS)
    view = observed(materials=(older, current))
    found = why(_two(known, view=view, **ordered(order(OrderKind.IMPORT))), ENDS - DAY)
    assert [each.decision.tier for each in found.materials] == [Tier.FRESH, Tier.EMERGENCY]
    assert {each.decision.reason for each in found.materials} == {Reason.ORDERED}
    assert found.decision.place == 1
