"""The policy as sentences: what byokd does about a key, and what it says about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from byokd.decide.decide import decide
from byokd.facts.condition import ConditionKind as Kind
from byokd.facts.condition import Severity
from byokd.facts.key import ABSENT, NEVER, NEVER_LOOKED, Absent, Blind, KeyState, MaterialState, ObservedMaterial
from byokd.facts.ledger import (
    NOT_PROVED,
    ImportState,
    OrderKind,
    Proved,
    Tier,
    Unproved,
)
from byokd.facts.policy import OnLoss
from byokd.facts.snapshot import Action, ImportWanted, ProofWanted, Reason
from tests.kit.builders import (
    ARN,
    DAY,
    FINGERPRINT,
    desired,
    ledger,
    observed,
    order,
    policy,
    queued,
    running,
    snapshot,
    virgin,
)
from tests.kit.clock import START

ENDS = START + 60 * DAY
DUE = ENDS - 30 * DAY
URGENT = ENDS - 15 * DAY
EMERGENCY = ENDS - 90 * DAY * 0.05
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """One sentence of the policy."""

    says: str
    now: datetime
    reason: Reason
    action: type[Action] | type[Absent] = Absent
    change: dict[str, Any] | None = None
    conditions: tuple[Kind, ...] = ()
    tier: Tier | None = None


def _blind(code: str, failures: int = 5) -> Blind:
    return Blind(since=START, at=START, code=code, message="no", failures=failures, last=observed())


def _unproved(code: str) -> Unproved:
    return Unproved(since=START, at=START, code=code, message="no material", failures=1)


def _wants(**changes: Any) -> dict[str, Any]:
    return {"desired": desired(policy=policy(**changes))}


LOST = observed(valid_to=ABSENT)
OLD = ObservedMaterial(material_id="ef" * 32, state=MaterialState.NON_CURRENT, imported=True, expiry=ENDS)  # type: ignore[arg-type]  # a MaterialId
SUCCESS_NOW = ledger(last_success_at=DUE - timedelta(minutes=10))

CASES = (
    Case("a key nobody looked at is looked at first", START, Reason.NEVER_LOOKED, change={"view": NEVER_LOOKED}),
    Case("a fresh key is left in peace", START, Reason.FRESH, tier=Tier.FRESH),
    Case("a second before its window a key is fresh", DUE - timedelta(seconds=1), Reason.FRESH, ProofWanted),
    Case("at its window a key is renewed", DUE, Reason.RENEWAL_DUE, ImportWanted, tier=Tier.DUE),
    Case(
        "halfway through the lead it is urgent, and people hear of it",
        URGENT,
        Reason.RENEWAL_DUE,
        ImportWanted,
        conditions=(Kind.OVERDUE,),
        tier=Tier.URGENT,
    ),
    Case(
        "a threshold crossed without a renewal is told",
        ENDS - 14 * DAY,
        Reason.RENEWAL_DUE,
        ImportWanted,
        conditions=(Kind.EXPIRING, Kind.OVERDUE),
    ),
    Case(
        "in the last twentieth of life it is an emergency",
        EMERGENCY,
        Reason.RENEWAL_DUE,
        ImportWanted,
        conditions=(Kind.EXPIRING, Kind.OVERDUE),
        tier=Tier.EMERGENCY,
    ),
    Case(
        "at ValidTo the key counts as lapsed even if KMS still shows it enabled",
        ENDS,
        Reason.LAPSED,
        ImportWanted,
        conditions=(Kind.LAPSED,),
        tier=Tier.LAPSED,
    ),
    Case(
        "a lapsed key is healed",
        ENDS + HOUR,
        Reason.LAPSED,
        ImportWanted,
        {"view": LOST},
        (Kind.LAPSED,),
        Tier.LAPSED,
    ),
    Case(
        "a lapsed key is only reported where the policy says so",
        ENDS + HOUR,
        Reason.REPORT_ONLY,
        change={"view": LOST, **_wants(on_lapse=OnLoss.REPORT)},
        conditions=(Kind.LAPSED,),
    ),
    Case(
        "an order heals what the policy only reports",
        ENDS + HOUR,
        Reason.ORDERED,
        ImportWanted,
        {
            "view": LOST,
            **_wants(on_lapse=OnLoss.REPORT),
            "ledger": ledger(open_orders=(order(OrderKind.IMPORT),)),
        },
        (Kind.LAPSED,),
    ),
    Case(
        "material deleted by someone else is told apart from a lapse, and healed",
        START,
        Reason.DELETED,
        ImportWanted,
        {"view": LOST},
        (Kind.MATERIAL_DELETED,),
    ),
    Case(
        "a virgin key gets its first import, and nobody is alarmed",
        START,
        Reason.FIRST_IMPORT,
        ImportWanted,
        {"view": virgin(), "ledger": ledger(last_expiry=ABSENT, last_success_at=ABSENT, material=ABSENT)},
    ),
    Case(
        "a key that lapsed before byokd knew it is healed as lapsed",
        START,
        Reason.LAPSED,
        ImportWanted,
        {"view": LOST, "ledger": ledger(last_expiry=ABSENT, last_success_at=ABSENT, material=ABSENT)},
        (Kind.LAPSED,),
    ),
    Case(
        "a disabled key is not touched, lapsing or not",
        EMERGENCY,
        Reason.HANDS_OFF,
        change={"view": observed(state=KeyState.DISABLED)},
        conditions=(Kind.EXPIRING, Kind.OVERDUE, Kind.DISABLED),
    ),
    Case(
        "a key pending deletion is not touched",
        DUE,
        Reason.HANDS_OFF,
        change={"view": observed(state=KeyState.PENDING_DELETION)},
        conditions=(Kind.EXPIRING, Kind.PENDING_DELETION),
    ),
    Case(
        "a state that AWS adds later is not touched",
        DUE,
        Reason.HANDS_OFF,
        change={"view": observed(state=KeyState.UNKNOWN)},
        conditions=(Kind.EXPIRING, Kind.UNAVAILABLE),
    ),
    Case(
        "a hold is obeyed in an emergency, and told louder",
        EMERGENCY,
        Reason.HELD,
        change={"ledger": ledger(open_orders=(order(OrderKind.HOLD),))},
        conditions=(Kind.EXPIRING, Kind.OVERDUE, Kind.HELD),
    ),
    Case(
        "a hold ends at its time",
        DUE,
        Reason.RENEWAL_DUE,
        ImportWanted,
        {"ledger": ledger(open_orders=(order(OrderKind.HOLD, until=DUE),))},
    ),
    Case(
        "an order imports a fresh key",
        START,
        Reason.ORDERED,
        ImportWanted,
        {"ledger": ledger(open_orders=(order(OrderKind.IMPORT),))},
    ),
    Case(
        "a key that KMS does not show is not acted upon",
        DUE,
        Reason.COULD_NOT_LOOK,
        change={"view": _blind("kms_unreachable")},
        conditions=(Kind.EXPIRING, Kind.COULD_NOT_LOOK),
    ),
    Case(
        "a single failed look alarms nobody",
        START,
        Reason.COULD_NOT_LOOK,
        change={"view": _blind("kms_unreachable", failures=1)},
    ),
    Case(
        "a key that does not exist is told",
        START,
        Reason.KEY_NOT_FOUND,
        change={"view": _blind("key_not_found")},
        conditions=(Kind.KEY_NOT_FOUND,),
    ),
    Case(
        "denied access is told",
        START,
        Reason.COULD_NOT_LOOK,
        change={"view": _blind("access_denied")},
        conditions=(Kind.ACCESS_DENIED,),
    ),
    Case(
        "a key that makes its own material is refused",
        START,
        Reason.WRONG_ORIGIN,
        change={"view": observed(origin="AWS_KMS")},
        conditions=(Kind.WRONG_ORIGIN,),
    ),
    Case(
        "a key of a spec that takes no imported material is refused",
        START,
        Reason.UNSUPPORTED_SPEC,
        change={"view": observed(spec="ML_DSA_65")},
        conditions=(Kind.UNSUPPORTED_SPEC,),
    ),
    Case(
        "a source that was never asked is asked",
        START,
        Reason.SOURCE_UNPROVED,
        ProofWanted,
        {"proof": NOT_PROVED},
    ),
    Case(
        "changed material is refused before any call to AWS",
        START,
        Reason.MATERIAL_CHANGED,
        change={"proof": _unproved("material_changed")},
        conditions=(Kind.MATERIAL_CHANGED,),
    ),
    Case(
        "an unreadable source is told and asked again",
        START + HOUR,
        Reason.SOURCE_UNPROVED,
        ProofWanted,
        {"proof": _unproved("source_unreadable")},
        (Kind.SOURCE_UNREADABLE,),
    ),
    Case(
        "a key that KMS is still making is waited for",
        DUE,
        Reason.NOT_READY,
        change={"view": observed(state=KeyState.CREATING), "ledger": ledger(open_orders=(order(OrderKind.IMPORT),))},
    ),
    Case(
        "a sent import is given time to show",
        START + timedelta(seconds=2),
        Reason.SETTLING,
        change={"ledger": ledger(open_import=running(answered=True))},
    ),
    Case(
        "a failed import waits for its time",
        DUE,
        Reason.BACKING_OFF,
        change={"ledger": ledger(open_import=queued(state=ImportState.FAILED, attempts=3, not_before=DUE + HOUR))},
        conditions=(Kind.IMPORT_FAILING,),
    ),
    Case(
        "an emergency does not wait for the end of a backoff from quieter days",
        EMERGENCY,
        Reason.RENEWAL_DUE,
        ImportWanted,
        {"ledger": ledger(open_import=queued(state=ImportState.FAILED, attempts=1, not_before=ENDS))},
        (Kind.EXPIRING, Kind.OVERDUE, Kind.IMPORT_FAILING),
    ),
    Case(
        "two successes keep their distance",
        DUE,
        Reason.FLOOR,
        change={"ledger": SUCCESS_NOW},
    ),
    Case(
        "what was refused is not tried again at once",
        DUE,
        Reason.REFUSED,
        change={
            "ledger": ledger(refused_import=queued(state=ImportState.REFUSED, finished_at=DUE - HOUR, detail="no"))
        },
        conditions=(Kind.IMPORT_REFUSED,),
    ),
    Case(
        "material that never expires is left in peace, and the policy's wish is noted",
        START,
        Reason.NEVER_EXPIRES,
        change={"view": observed(valid_to=NEVER), "ledger": ledger(last_expiry=NEVER)},
        conditions=(Kind.EXPIRY_DRIFT,),
    ),
    Case(
        "an older material without a source is told",
        START,
        Reason.FRESH,
        change={"view": observed(materials=(*observed().materials, OLD))},
        conditions=(Kind.MATERIAL_UNMANAGED,),
    ),
    Case(
        "hidden deadlines are told",
        START,
        Reason.FRESH,
        change={"view": observed(materials=(), materials_known=False)},
        conditions=(Kind.DEADLINES_HIDDEN,),
    ),
    Case(
        "an alias that moved is told, and the pinned key kept",
        START,
        Reason.FRESH,
        change={"view": observed(alias_target=ARN.replace("0001", "0002"))},
        conditions=(Kind.ALIAS_MOVED,),
    ),
    Case(
        "every day the source proves itself",
        START + DAY,
        Reason.FRESH,
        ProofWanted,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_policy(case: Case) -> None:
    """Each sentence of the policy holds."""
    decision = decide(snapshot(**(case.change or {})), case.now)

    assert decision.reason is case.reason
    assert isinstance(decision.action, case.action)
    assert tuple(each.kind for each in decision.conditions) == case.conditions
    assert decision.wake_at > case.now
    if case.tier is not None:
        assert decision.tier is case.tier


def test_renewal_never_shortens_a_life() -> None:
    """Where the material lives longer than the policy would give it, an import keeps the later ValidTo."""
    long = START + 300 * DAY
    ordered = snapshot(view=observed(valid_to=long), ledger=ledger(open_orders=(order(OrderKind.IMPORT),)))

    action = decide(ordered, START).action

    assert isinstance(action, ImportWanted)
    assert action.expiry == long


def test_severity_rises_as_the_end_comes_near() -> None:
    """The same condition is a warning two weeks before the end, and critical three days before."""
    far = decide(snapshot(), ENDS - 14 * DAY).conditions[0]
    near = decide(snapshot(), ENDS - 3 * DAY).conditions[0]

    assert (far.kind, far.severity, far.stage) == (Kind.EXPIRING, Severity.WARNING, f"{14 * 86400}s")
    assert (near.kind, near.severity, near.stage) == (Kind.EXPIRING, Severity.CRITICAL, f"{3 * 86400}s")


def test_an_import_that_is_no_longer_wanted_is_cancelled() -> None:
    """Someone else renewed the key while byokd's import was queued: the row is cancelled, with the reason."""
    decision = decide(snapshot(ledger=ledger(open_import=queued())), START)

    assert decision.action is ABSENT
    assert decision.cancel


def test_wrong_length_is_refused_with_both_numbers() -> None:
    """Material of the wrong length is caught before KMS sees it."""
    short = Proved(at=START, fingerprint=FINGERPRINT, length=16)
    decision = decide(snapshot(proof=short), START)

    assert decision.reason is Reason.MATERIAL_INVALID
    assert "16" in decision.message
    assert "32" in decision.message
