"""What a person may need to know about a key, as an ordered list of small checks. All that are true are stated.

Raising, repeating and resolving are not decided here: a condition is simply true or not, each time anew.

What a sentence says is kept true on record, and each other sentence is a row to write. So it states what is so, with
times of the calendar, and nothing that moves at every look: no time left, no time of the next look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from byokd.decide.case import Case, Loss
from byokd.decide.period import rotation_hindered, rotations_low
from byokd.decide.probing import failing_probe
from byokd.decide.related import relatives_unmanaged, replica_without_primary, rotation_unfinished
from byokd.decide.suspension import fate
from byokd.decide.verdict import Verdict
from byokd.decide.windows import opens_at
from byokd.errors import AccessDenied, MaterialDiffers, ProbeFailed
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import NEVER, SYMMETRIC, Absent, Blind, KeyState, ObservedKey
from byokd.facts.ledger import ImportState, Order, OrderKind, Tier, Unproved
from byokd.facts.moment import in_words
from byokd.facts.snapshot import Reason

Check = Callable[[Case, Verdict], Condition | None]

_NEAR: Final = (Tier.URGENT, Tier.EMERGENCY, Tier.LAPSED)
_BLIND_KINDS: Final = {
    "key_not_found": ConditionKind.KEY_NOT_FOUND,
    "access_denied": ConditionKind.ACCESS_DENIED,
    "duplicate_key": ConditionKind.DUPLICATE_KEY,
}
_UNFIT: Final = {
    Reason.WRONG_ORIGIN: ConditionKind.WRONG_ORIGIN,
    Reason.UNSUPPORTED_SPEC: ConditionKind.UNSUPPORTED_SPEC,
    Reason.WRAPPING_REFUSED: ConditionKind.WRAPPING_REFUSED,
}
_PATIENCE: Final = 3
"""Looks and imports that may fail before a person hears of it: single failures are everyday life."""


def lost(the: Case, verdict: Verdict) -> Condition | None:
    """The material is gone and the key unusable."""
    if the.loss not in (Loss.LAPSED, Loss.DELETED) or the.suspended_by:
        return None
    plan = "byokd only reports, as the policy says" if verdict.reason is Reason.REPORT_ONLY else verdict.message
    if the.loss is Loss.LAPSED:
        so = "the key is unusable" if the.seen_lost else "unless somebody has imported it since, the key is unusable"
        return _critical(ConditionKind.LAPSED, f"the material's ValidTo has passed and {so}: {plan}")
    return _critical(ConditionKind.MATERIAL_DELETED, f"the material was deleted and the key is unusable: {plan}")


def expiring(the: Case, verdict: Verdict) -> Condition | None:
    """A threshold before `ValidTo` was crossed and the material was not renewed.

    A threshold that lies before the renewal may begin says nothing, unless the key cannot be renewed: it is due, and in
    one of its change windows.
    """
    if the.window is None or the.loss is not Loss.NONE or the.suspended_by:
        return None
    left = the.window.valid_to - the.now
    crossed = [each for each in the.policy.alert_before if left <= each]
    if crossed and not (verdict.blocks or verdict.reason is Reason.COULD_NOT_LOOK):
        begins = opens_at(the.policy.windows, the.window.renew_at, by=the.window.urgent_at)
        crossed = [each for each in crossed if each < the.window.valid_to - begins]
    if not crossed:
        return None
    nearest = min(crossed)
    severe = the.emergency or nearest in sorted(the.policy.alert_before)[:2]
    return Condition(
        kind=ConditionKind.EXPIRING,
        severity=Severity.CRITICAL if severe else Severity.WARNING,
        detail=f"the material ends at {in_words(the.window.valid_to)} and is not renewed: {verdict.message}",
        stage=f"{int(nearest.total_seconds())}s",
    )


def overdue(the: Case, verdict: Verdict) -> Condition | None:
    """Half of the lead is used up and the material is still not renewed."""
    if the.loss is not Loss.NONE or the.tier not in _NEAR or the.suspended_by:
        return None
    return Condition(
        kind=ConditionKind.OVERDUE,
        severity=Severity.CRITICAL if the.emergency else Severity.WARNING,
        detail=f"the renewal is overdue ({the.tier.value}): {verdict.message}",
    )


def blind(the: Case, verdict: Verdict) -> Condition | None:
    """byokd could not look at the key, and since when."""
    view = the.snapshot.view
    if not isinstance(view, Blind) or view.failures < _PATIENCE:
        return None
    if the.unmade:
        return Condition(kind=ConditionKind.REPLICA_MISSING, severity=Severity.WARNING, detail=verdict.message)
    near = the.tier in _NEAR or view.code in ("access_denied", "duplicate_key")
    return Condition(
        kind=_BLIND_KINDS.get(view.code, ConditionKind.COULD_NOT_LOOK),
        severity=Severity.CRITICAL if near else Severity.WARNING,
        detail=f"could not look at the key since {in_words(view.since)}: {view.message}",
    )


def hands_off(the: Case, verdict: Verdict) -> Condition | None:
    """The key's state forbids byokd to act; its material ages all the same."""
    if the.seen is None or verdict.reason is not Reason.HANDS_OFF:
        return None
    kind = {
        KeyState.DISABLED: ConditionKind.DISABLED,
        KeyState.PENDING_IMPORT: ConditionKind.DISABLED,
        KeyState.PENDING_DELETION: ConditionKind.PENDING_DELETION,
        KeyState.PENDING_REPLICA_DELETION: ConditionKind.PENDING_DELETION,
    }.get(the.seen.state, ConditionKind.UNAVAILABLE)
    return Condition(kind=kind, severity=Severity.WARNING, detail=verdict.message)


def held(the: Case, verdict: Verdict) -> Condition | None:
    """A hold keeps byokd away, and gets louder as the deadline comes nearer."""
    if verdict.reason is not Reason.HELD:
        return None
    near = the.tier in _NEAR
    return Condition(
        kind=ConditionKind.HELD,
        severity=Severity.CRITICAL if near else Severity.INFO,
        detail=verdict.message,
        stage=the.tier.value if near else "",
    )


def suspended(the: Case, verdict: Verdict) -> Condition | None:
    """The key is suspended, or not resumed yet; louder where it can be used all the same."""
    order = the.suspended_by
    if order is None:
        return None
    # A deletion that succeeds at once is no alarm; one that does not is, since somebody counts on it.
    tried = bool(order.outcome) or not isinstance(order.effective_at, Absent)
    found = fate(the.snapshot, lose=order.lose)
    usable = the.seen is None or (found.deleted and tried) or found.lets_it_be_used
    if order.kind is OrderKind.RESUME:
        return _resuming(order, verdict)
    if not usable:
        return Condition(kind=ConditionKind.SUSPENDED, severity=Severity.WARNING, detail=verdict.message)
    return Condition(
        kind=ConditionKind.SUSPENDED,
        severity=Severity.CRITICAL,
        detail=f"the key is suspended and may be usable all the same: {verdict.message}",
        stage="usable",
    )


def _resuming(order: Order, verdict: Verdict) -> Condition:
    """That it is to be resumed is told; what hinders that is said with it, and told as what it is by itself."""
    by = f"{order.by} has ordered it to be resumed" + (f" ({order.why})" if order.why else "")
    waits = f"it waits: {verdict.message}" if verdict.blocks else "`byokd orders` says what it waits for"
    return Condition(
        kind=ConditionKind.SUSPENDED,
        severity=Severity.WARNING,
        detail=f"{by}, and it has no material until then; {waits}",
        stage="resuming",
    )


def unfit(the: Case, verdict: Verdict) -> Condition | None:
    """The key is not one that byokd can keep alive."""
    kind = _UNFIT.get(verdict.reason)
    return None if kind is None else _critical(kind, verdict.message)


def source(the: Case, verdict: Verdict) -> Condition | None:
    """The source cannot produce the material that the next renewal needs."""
    proof = the.snapshot.proof
    if verdict.reason is Reason.MATERIAL_INVALID:
        return _critical(ConditionKind.MATERIAL_INVALID, verdict.message)
    if not isinstance(proof, Unproved):
        return None
    if proof.code == "source_unreadable":
        severity = Severity.CRITICAL if the.tier in _NEAR else Severity.WARNING
        text = f"the source could not produce the material since {in_words(proof.since)}: {proof.message}"
        return Condition(kind=ConditionKind.SOURCE_UNREADABLE, severity=severity, detail=text)
    return _critical(ConditionKind(proof.code), proof.message)


def failing(the: Case, verdict: Verdict) -> Condition | None:
    """Imports were tried and failed."""
    row = the.snapshot.ledger.open_import
    if isinstance(row, Absent) or row.state is ImportState.QUEUED:
        return None
    # While the next attempt is on its way, what failed before it is still true.
    failures = row.attempts - (row.state is ImportState.RUNNING)
    if failures < (1 if the.emergency else _PATIENCE):
        return None
    return Condition(
        kind=ConditionKind.IMPORT_FAILING,
        severity=Severity.CRITICAL if the.tier in _NEAR else Severity.WARNING,
        detail=f"the import failed {failures} times: {row.detail}",
    )


def refused(the: Case, verdict: Verdict) -> Condition | None:
    """An import was refused for good; a person has to change something, unless nobody needs the material for now."""
    row = the.snapshot.ledger.refused_import
    renewed = the.loss is Loss.NONE and the.tier is Tier.FRESH and the.import_order is None
    if (
        isinstance(row, Absent)
        or renewed
        or the.stays_in_stock  # it waited for its rotation, and KMS has forgotten it since
        or row.outcome == MaterialDiffers.code  # has a condition of its own
        or (row.outcome == "material_changed" and isinstance(the.snapshot.proof, Unproved))
    ):
        return None
    return _critical(ConditionKind.IMPORT_REFUSED, row.detail)


def probe_failed(the: Case, verdict: Verdict) -> Condition | None:
    """The key was imported into and does not do what it is for, or could not be tried. Said of its first material."""
    probe = failing_probe(the.snapshot)
    if probe is None or the.snapshot.place or the.suspended_by:
        return None
    wrong = probe.code == ProbeFailed.code
    if not wrong and probe.code != AccessDenied.code and probe.failures < _PATIENCE:
        return None
    return Condition(
        kind=ConditionKind.PROBE_FAILED,
        severity=Severity.CRITICAL if wrong else Severity.WARNING,
        detail=f"the key could not be used after its import of {in_words(probe.of)}: {probe.message}",
        stage="wrong" if wrong else "",
    )


def differs(the: Case, verdict: Verdict) -> Condition | None:
    """KMS lists other materials than the one on record, or answered an import by another name than it has there.

    What is listed counts for the first material alone: KMS never forgets a key's first, while one that waited for its
    rotation may end. A listing that names none is behind the key.
    """
    row = the.snapshot.ledger.refused_import
    if not isinstance(row, Absent) and row.outcome == MaterialDiffers.code:
        return _critical(ConditionKind.MATERIAL_DIFFERS, row.detail)
    known, seen = the.snapshot.ledger.material, the.snapshot.view
    if the.snapshot.place or isinstance(known, Absent) or not isinstance(seen, ObservedKey) or not seen.materials:
        return None
    listed = [each.material_id for each in seen.materials]
    if known in (*listed, seen.current_material):
        return None
    shown = ", ".join(f"{each[:12]}…" for each in listed[:3])
    return _critical(
        ConditionKind.MATERIAL_DIFFERS,
        f"byokd imported material {known[:12]}…, and KMS lists only {shown}: the record is of another key",
    )


def unmanaged(the: Case, verdict: Verdict) -> Condition | None:
    """The key needs other materials too, for which byokd has no source."""
    others = the.unmanaged
    if not others or the.suspended_by:
        return None
    gone = [each for each in others if not each.imported]
    names = ", ".join(f"{each.material_id[:12]}…" for each in (gone or others)[:3])
    return Condition(
        kind=ConditionKind.MATERIAL_UNMANAGED,
        severity=Severity.CRITICAL if gone else Severity.WARNING,
        detail=f"the key needs {len(others)} more materials that the config has no source for: {names}",
        stage="gone" if gone else "",
    )


def drift(the: Case, verdict: Verdict) -> Condition | None:
    """The material does not expire though the policy wants it to; only an order shortens a life."""
    if the.expiry is not NEVER or the.policy.valid_for is NEVER:
        return None
    return Condition(
        kind=ConditionKind.EXPIRY_DRIFT,
        severity=Severity.INFO,
        detail="the material was imported never to expire, though the policy gives it a life; byokd shortens nothing",
    )


def hidden(the: Case, verdict: Verdict) -> Condition | None:
    """Deadlines of older materials cannot be seen without kms:ListKeyRotations."""
    view = the.snapshot.view
    if not isinstance(view, ObservedKey) or view.materials_known or view.spec != SYMMETRIC:
        return None
    several = bool(the.snapshot.others)
    untold = ", and its materials cannot be told apart" if several else ""
    return Condition(
        kind=ConditionKind.DEADLINES_HIDDEN,
        severity=Severity.WARNING if several else Severity.INFO,
        detail=f"kms:ListKeyRotations is not allowed: only the key's earliest deadline can be seen{untold}",
    )


def alias_moved(the: Case, verdict: Verdict) -> Condition | None:
    """The alias in the config points to another key than the one byokd pinned."""
    if the.seen is None or isinstance(the.seen.alias_target, Absent) or the.seen.alias_target == the.snapshot.arn:
        return None
    return _critical(
        ConditionKind.ALIAS_MOVED,
        f"{the.snapshot.desired.name} now points to {the.seen.alias_target}; byokd keeps to {the.snapshot.arn}",
    )


CHECKS: Final[tuple[Check, ...]] = (
    lost,
    expiring,
    overdue,
    blind,
    hands_off,
    held,
    suspended,
    unfit,
    source,
    failing,
    refused,
    differs,
    probe_failed,
    unmanaged,
    relatives_unmanaged,
    replica_without_primary,
    rotation_unfinished,
    rotations_low,
    rotation_hindered,
    drift,
    hidden,
    alias_moved,
)


def _critical(kind: ConditionKind, detail: str) -> Condition:
    return Condition(kind=kind, severity=Severity.CRITICAL, detail=detail)
