"""The policy of byokd: what to do about a key, as an ordered list of small rules. The first that speaks decides.

Read it from the top: ignorance first, then what must not be touched, then what cannot be done, then what must be done,
and last the peace of a fresh key. Each rule answers with a verdict or passes (None).

A stamp that lies in the future was made before the clock was set back. How long ago that was nobody knows, so no rule
waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from byokd.decide.backoff import EIGHTH, retry_at
from byokd.decide.backoff import LONGEST as LONGEST_WAIT
from byokd.decide.case import Case, Loss
from byokd.decide.intents import imported_last, settles_at
from byokd.decide.period import may_rotate, rotates_at, rotation_due
from byokd.decide.probing import probes
from byokd.decide.rotation import cannot_rotate, next_material, rotates
from byokd.decide.suspension import Fate, cut_off_by_nothing, fate
from byokd.decide.verdict import SOON, Verdict, taken_back_at, wanted
from byokd.decide.windows import opens_at
from byokd.decide.wrapping import refusal, wrapping
from byokd.facts.key import ABSENT, Absent, Blind, KeyState, ObservedKey
from byokd.facts.kinds import KINDS
from byokd.facts.ledger import ImportState, Order, OrderKind, Proved, Tier, Unproved
from byokd.facts.moment import in_words
from byokd.facts.policy import OnLoss
from byokd.facts.snapshot import DeletionWanted, ProofWanted, Reason

FLOOR_AFTER_LOSS: Final = timedelta(seconds=60)
REFUSED_IN_EMERGENCY: Final = timedelta(hours=1)

Rule = Callable[[Case], Verdict | None]


def could_not_look(the: Case) -> Verdict | None:
    """byokd acts on what it sees; when it cannot see, it looks again and tells people.

    When it looks again is no part of the message: what people are told would be another sentence at every look.
    """
    view = the.snapshot.view
    if isinstance(view, ObservedKey):
        return None
    if not isinstance(view, Blind):
        return Verdict(reason=Reason.NEVER_LOOKED, message="not looked at yet", wake_at=the.now + SOON)
    again = retry_at(
        who=the.snapshot.ref, failures=view.failures, now=the.now, deadline=the.deadline, emergency=the.emergency
    )
    if the.unmade:
        message = "is a replica that is not made yet: `byokd replicate` makes it"
        return Verdict(reason=Reason.KEY_NOT_FOUND, message=message, wake_at=again)
    reason = Reason.KEY_NOT_FOUND if view.code == "key_not_found" else Reason.COULD_NOT_LOOK
    return Verdict(reason=reason, message=view.message, wake_at=again)


def wrong_origin(the: Case) -> Verdict | None:
    """Only keys with Origin EXTERNAL take material."""
    if the.seen and the.seen.origin != "EXTERNAL":
        return Verdict(
            reason=Reason.WRONG_ORIGIN, message=f"the key's Origin is {the.seen.origin}, not EXTERNAL", blocks=True
        )
    return None


def unsupported_spec(the: Case) -> Verdict | None:
    """byokd renews the kinds of keys in its table; it says so about others instead of guessing."""
    if the.seen and the.kind is None:
        where = " in China Regions" if the.seen.spec in KINDS else ""
        message = f"key spec {the.seen.spec} is not renewed by byokd{where}"
        return Verdict(reason=Reason.UNSUPPORTED_SPEC, message=message, blocks=True)
    return None


def wrapping_refused(the: Case) -> Verdict | None:
    """What AWS would not take is not asked for: a request for a token would be spent on nothing."""
    if the.seen is None or the.kind is None or wrapping(the.kind, the.policy):
        return None
    return Verdict(reason=Reason.WRAPPING_REFUSED, message=refusal(the.seen.spec, the.kind, the.policy), blocks=True)


def suspended(the: Case) -> Verdict | None:
    """A suspended key loses its material and stays without; the order passes over holds and the key's state.

    byokd deletes until the material was seen gone, once. What is imported after that was brought by people, on purpose:
    it stays, and is told.
    """
    order = the.snapshot.ledger.suspension
    if isinstance(order, Absent):
        return None
    by = f"suspended by {order.by}" + (f": {order.why}" if order.why else "")
    found = fate(the.snapshot, lose=order.lose)
    if isinstance(order.effective_at, Absent):
        return _suspending(the, order, found, by)
    if found.deleted:
        message = f"{by}; somebody has imported material since: resume the key, or suspend it again"
        return Verdict(reason=Reason.SUSPENDED, message=message, blocks=True)
    return Verdict(reason=Reason.SUSPENDED, message=f"{by}; {_deleted(found)} until resumed", blocks=True)


def _suspending(the: Case, order: Order, found: Fate, by: str) -> Verdict:
    """What is still to be done for a suspension that is not in force yet."""
    if found.deleted:
        hindered = f"; not done yet: {order.outcome}" if order.outcome else ""
        return Verdict(
            reason=Reason.SUSPENDING,
            message=f"{by}; deletes its material{hindered}",
            action=DeletionWanted(materials=found.deleted),
            wake_at=the.now + SOON,
            blocks=True,
        )
    if the.sent:
        message = f"{by}; waits for what becomes of an import that was sent before"
        return Verdict(reason=Reason.SUSPENDING, message=message, wake_at=the.now + SOON, blocks=True)
    if found.lets_it_be_used:
        return Verdict(reason=Reason.SUSPENDING, message=f"{by}; {cut_off_by_nothing(found)}", blocks=True)
    message = f"{by}; {_deleted(found)} until resumed"
    return Verdict(reason=Reason.SUSPENDED, message=message, wake_at=the.now + SOON, blocks=True)


def _deleted(found: Fate) -> str:
    if not found.left:
        return "its material is deleted"
    return f"its material is deleted, but for what byokd could not bring back ({', '.join(map(str, found.left))}),"


def not_ready(the: Case) -> Verdict | None:
    """A key that KMS is still making or changing takes no material; that passes by itself."""
    if the.seen and the.seen.state in (KeyState.CREATING, KeyState.UPDATING):
        message = f"the key is {the.seen.state.value}; byokd waits for KMS"
        return Verdict(reason=Reason.NOT_READY, message=message, wake_at=the.now + SOON)
    return None


def hands_off(the: Case) -> Verdict | None:
    """What people did on purpose stays: only Enabled and PendingImport keys are imported into.

    An import enables a key ("the state of the KMS key changes to Enabled", API model, ImportKeyMaterial), so one that
    was Disabled when its material ended is left alone as well, until an order to import says otherwise. To resume a
    suspended key is not enough: whoever disabled it meant something else.
    """
    if the.seen is None:
        return None
    if the.seen.state not in (KeyState.ENABLED, KeyState.PENDING_IMPORT):
        message = f"the key is {the.seen.state.value}; byokd does not touch it"
        return Verdict(reason=Reason.HANDS_OFF, message=message, wake_at=taken_back_at(the), blocks=True)
    # Of several materials, the one at hand may be imported for the order already.
    asked = any(order.kind is OrderKind.IMPORT for order in the.snapshot.ledger.open_orders)
    if the.seen.was_disabled and not asked:
        message = (
            "the key was Disabled when its material ended, and an import would enable it; order one to have it back"
        )
        return Verdict(reason=Reason.HANDS_OFF, message=message, blocks=True)
    return None


def held(the: Case) -> Verdict | None:
    """An operator's hold is obeyed in every tier."""
    hold = the.hold
    if isinstance(hold, Absent):
        return None
    until = "released" if isinstance(hold.until, Absent) else in_words(hold.until)
    return Verdict(
        reason=Reason.HELD, message=f"held by {hold.by} until {until}: {hold.why}", wake_at=hold.until, blocks=True
    )


def settling(the: Case) -> Verdict | None:
    """An import was sent and is not seen yet: KMS is eventually consistent, so wait a little and look again."""
    row = the.snapshot.ledger.open_import
    if isinstance(row, Absent) or row.state is not ImportState.RUNNING:
        return None
    limit = settles_at(row, the.policy)
    step = retry_at(who=the.snapshot.ref, failures=1, now=the.now, deadline=limit, emergency=the.emergency)
    if isinstance(row.started_at, datetime):
        # What did not show in seconds takes minutes: half as long again as it took so far.
        step = max(step, the.now + timedelta(seconds=int((the.now - row.started_at).total_seconds() / 2)))
    return Verdict(
        reason=Reason.SETTLING,
        message=f"an import was sent and is not visible in KMS yet; waits until {limit:%H:%M:%S}",
        wake_at=min(step, max(limit, the.now + timedelta(seconds=1))),
    )


def source_unproved(the: Case) -> Verdict | None:
    """Without the right material there is nothing to import: ask the source again, with patience."""
    proof = the.snapshot.proof
    if isinstance(proof, Proved):
        if not (text := the.misfit):
            return None
        return _unproved(the, Reason.MATERIAL_INVALID, text, proof.at, failures=8)
    if not isinstance(proof, Unproved):
        return _asks(the, Reason.SOURCE_UNPROVED, "asks the source for proof")
    reason = {
        "material_changed": Reason.MATERIAL_CHANGED,
        "material_invalid": Reason.MATERIAL_INVALID,
    }.get(proof.code, Reason.SOURCE_UNPROVED)
    return _unproved(the, reason, proof.message, proof.at, failures=proof.failures)


def _asks(the: Case, reason: Reason, message: str) -> Verdict:
    """The source is asked. A turn that did something else first has not asked it, and the next one follows."""
    return Verdict(reason=reason, message=message, action=ProofWanted(), wake_at=the.now + timedelta(seconds=1))


def _unproved(the: Case, reason: Reason, message: str, at: datetime, *, failures: int) -> Verdict:
    ahead = the.deadline if the.deadline > the.now else ABSENT
    again = retry_at(who=the.snapshot.ref, failures=failures, now=at, deadline=ahead, emergency=the.emergency)
    if again <= the.now or at > the.now or the.ordered_since(at):
        return Verdict(reason=reason, message=message, action=ProofWanted(), wake_at=the.now + SOON, blocks=True)
    return Verdict(reason=reason, message=message, wake_at=again, blocks=True)


def in_stock(the: Case) -> Verdict | None:
    """Material that the key was not given yet waits for a rotation, and is drilled like any other."""
    if the.loss is not Loss.STOCK or (the.enabled and not the.stays_in_stock):
        return None
    waits = f"is rotated to at {in_words(rotates_at(the))}" if may_rotate(the) else "waits for a rotation"
    return drill(the) or Verdict(reason=Reason.IN_STOCK, message=f"is in stock, and {waits}")


def report_only(the: Case) -> Verdict | None:
    """A policy may ask to be told about lost material instead of having it healed; an order still heals."""
    if the.loss not in (Loss.LAPSED, Loss.DELETED):
        return None
    on_loss = the.policy.on_lapse if the.loss is Loss.LAPSED else the.policy.on_foreign_delete
    if on_loss is OnLoss.REPORT and the.import_order is None:
        return Verdict(
            reason=Reason.REPORT_ONLY, message=f"material {the.loss.value}; the policy says to report, not to heal"
        )
    return None


def refused(the: Case) -> Verdict | None:
    """What was refused is not tried again until an order says so, or a day has passed."""
    row = the.snapshot.ledger.refused_import
    if isinstance(row, Absent) or isinstance(row.finished_at, Absent) or row.finished_at > the.now:
        return None
    if the.ordered_since(row.finished_at):
        return None
    wait = REFUSED_IN_EMERGENCY if the.emergency else max(the.policy.drill_every, SOON)
    if the.deadline > the.now:
        wait = min(wait, max(SOON, (the.deadline - row.finished_at) / EIGHTH))
    again = row.finished_at + timedelta(seconds=int(wait.total_seconds()))
    if again <= the.now:
        return None
    return Verdict(
        reason=Reason.REFUSED, message=f"{row.detail}; tries again at {again:%Y-%m-%d %H:%M:%S}", wake_at=again
    )


def backing_off(the: Case) -> Verdict | None:
    """A failed import waits for its time, unless an emergency began meanwhile."""
    row = the.snapshot.ledger.open_import
    if isinstance(row, Absent) or row.state is not ImportState.FAILED or row.not_before <= the.now:
        return None
    if row.not_before > the.now + LONGEST_WAIT:
        return None
    if the.emergency and row.tier not in (Tier.EMERGENCY, Tier.LAPSED):
        return None
    return Verdict(
        reason=Reason.BACKING_OFF,
        message=f"{row.detail}; tries again at {row.not_before:%H:%M:%S}",
        wake_at=row.not_before,
    )


def ordered(the: Case) -> Verdict | None:
    """An operator asked for an import now: waits from before it count no more, what the order itself met does."""
    order = the.import_order
    if order is None or _tries_again(order, the):
        return None
    return wanted(the, Reason.ORDERED, f"ordered by {order.by}: {order.why}", order=order)


def _tries_again(order: Order, the: Case) -> bool:
    """Whether an import was begun for the order, failed, and waits for its next attempt."""
    row = the.snapshot.ledger.open_import
    if isinstance(row, Absent) or isinstance(row.started_at, Absent) or row.state is not ImportState.FAILED:
        return False
    return row.order_id == order.id and row.started_at >= order.created_at and row.not_before > the.now


def floor(the: Case) -> Verdict | None:
    """Two imports of one material keep a distance, so that nothing can make byokd run away."""
    last = imported_last(the)
    if isinstance(last, Absent) or last > the.now or (the.loss is Loss.NONE and the.tier is Tier.FRESH):
        return None
    least = the.policy.renewal_floor
    again = last + (min(least, FLOOR_AFTER_LOSS) if the.emergency else least)
    if again <= the.now:
        return None
    return Verdict(reason=Reason.FLOOR, message=f"imported only just; not again before {again:%H:%M:%S}", wake_at=again)


def lost(the: Case) -> Verdict | None:
    """Material that is missing is imported: the first time, after a lapse, or after somebody deleted it."""
    match the.loss:
        case Loss.NONE:
            return None
        case Loss.STOCK:
            return next_material(the)
        case Loss.VIRGIN:
            return wanted(the, Reason.FIRST_IMPORT, "has no material yet")
        case Loss.LAPSED:
            return wanted(the, Reason.LAPSED, f"its ValidTo has passed{_regardless(the)}")
        case Loss.DELETED:
            return wanted(the, Reason.DELETED, f"its material was deleted before its ValidTo{_regardless(the)}")


def _regardless(the: Case) -> str:
    closed = opens_at(the.policy.windows, the.now, by=the.now + timedelta(seconds=1)) > the.now
    return "; waits for no change window" if closed else ""


def waits_for_window(the: Case) -> Verdict | None:
    """A routine renewal begins in one of the policy's change windows; what is urgent does not wait for one."""
    if the.window is None or the.tier is not Tier.DUE:
        return None
    opens = opens_at(the.policy.windows, the.now, by=the.window.urgent_at)
    if opens <= the.now:
        return None
    late = opens >= the.window.urgent_at
    what = "no change window opens before it is urgent, at" if late else "waits for its change window at"
    message = f"is due; {what} {in_words(opens)}"
    return Verdict(reason=Reason.WAITS_FOR_WINDOW, message=message, wake_at=opens)


def renewal_due(the: Case) -> Verdict | None:
    """The window has opened: import the same material again, to move `ValidTo`."""
    if the.window is None or the.tier is Tier.FRESH:
        return None
    ignores = the.tier is not Tier.DUE and opens_at(the.policy.windows, the.now, by=the.window.valid_to) > the.now
    regardless = ", outside its change windows" if ignores else ""
    message = f"ends at {in_words(the.window.valid_to)} ({the.tier.value}{regardless})"
    return wanted(the, Reason.RENEWAL_DUE, message)


def drill(the: Case) -> Verdict | None:
    """The source proves every day that it still has the material, so that its loss is found weeks ahead."""
    proof = the.snapshot.proof
    if not isinstance(proof, Proved):
        return None
    if proof.at <= the.now < proof.at + the.policy.drill_every and not _drilled_beside(the, proof):
        return None
    return _asks(the, Reason.FRESH, "drill: asks the source for proof")


def _drilled_beside(the: Case, proof: Proved) -> bool:
    """Whether another of the key's materials is to be drilled, and this one soon: then one turn does for both.

    Not what was drilled in the first half of the time: it could be had at every turn while the other one hangs.
    """
    every = the.policy.drill_every
    others = (each.proof for each in the.snapshot.others)
    beside = any(isinstance(each, Proved) and each.at + every <= the.now for each in others)
    return beside and proof.at + every / 2 <= the.now


def fresh(the: Case) -> Verdict:
    """Nothing to do until the window opens."""
    if the.window is None:
        return Verdict(reason=Reason.NEVER_EXPIRES, message="its material does not expire")
    return Verdict(reason=Reason.FRESH, message=f"renews at {in_words(the.window.renew_at)}")


RULES: Final[tuple[Rule, ...]] = (
    could_not_look,
    wrong_origin,
    suspended,
    unsupported_spec,
    wrapping_refused,
    not_ready,
    hands_off,
    held,
    settling,
    source_unproved,
    rotation_due,
    in_stock,
    report_only,
    refused,
    ordered,
    backing_off,
    floor,
    lost,
    rotates,
    cannot_rotate,
    waits_for_window,
    renewal_due,
    probes,
    drill,
    fresh,
)
