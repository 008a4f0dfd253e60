"""What each rule waits for, until when, and what would change its mind.

Every rule of `byokd.decide.rules` has an entry in `MINDS`, and a test fails where one has none. An entry may rely on
its rule having spoken: what the rule has checked is not checked again. `byokd why` shows what is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from byokd.decide import period, probing, rotation, rules
from byokd.decide.case import Case, Loss
from byokd.decide.intents import settles_at
from byokd.decide.rules import Rule
from byokd.decide.suspension import fate
from byokd.decide.transitions import show_expiry
from byokd.decide.verdict import Verdict
from byokd.errors import MaterialInvalid, step_for
from byokd.facts.key import ABSENT, NEVER_LOOKED, Absent, Blind, KeyState
from byokd.facts.ledger import NOT_PROVED, ImportState, Tier, Unproved
from byokd.facts.policy import OnLoss
from byokd.facts.snapshot import ImportWanted, ProofWanted, Reason, RotationWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Something that would change a rule's mind."""

    what: str
    at: datetime | Absent = ABSENT
    """When it comes by itself; ABSENT for what somebody or something has to do, or may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mind:
    """What a rule that decided waits for, and what would make it decide otherwise."""

    waits_for: str
    """Empty where nothing that is on its way would change anything."""
    until: datetime | Absent = ABSENT
    """When the wait ends by itself; ABSENT where nobody can tell."""
    ways: tuple[Way, ...]
    """At least one."""


Explain = Callable[[Case, Verdict], Mind]

_EVERY: Final = "`rotate_every` in the key's policy"


def _command(the: Case, command: str) -> str:
    return f"`byokd {command} {the.snapshot.desired.name}`"


def _mind(waits_for: str, *ways: Way | str, until: datetime | Absent = ABSENT) -> Mind:
    whole = (each if isinstance(each, Way) else Way(what=each) for each in ways)
    return Mind(waits_for=waits_for, until=until, ways=tuple(whole))


def _could_not_look(the: Case, said: Verdict) -> Mind:
    view = the.snapshot.view
    if view is NEVER_LOOKED:
        return _mind("the first look at the key", "the first look")
    assert isinstance(view, Blind)  # the rule passes what was seen
    if the.unmade:
        return _mind("the replica to be made", "`byokd replicate`, once the primary is Enabled")
    step = step_for(view.code)
    return _mind("a look that succeeds", "a look that succeeds" + (f". {step}" if step else ""))


def _wrong_origin(the: Case, said: Verdict) -> Mind:
    return _mind("", "another key in the config: the Origin of a key never changes")


def _suspended(the: Case, said: Verdict) -> Mind:
    resume, order = _command(the, "resume"), the.snapshot.ledger.suspension
    assert not isinstance(order, Absent)  # or the rule would not have spoken
    found = fate(the.snapshot, lose=order.lose)
    if said.reason is Reason.SUSPENDED:
        again = (f"{_command(the, 'suspend')} deletes it again",) if found.deleted else ()
        return _mind("the key to be resumed", resume, *again)
    if found.lets_it_be_used:
        lose = f"{_command(the, 'suspend --lose-material')}: it cannot be brought back then"
        return _mind("somebody to say that its material may be lost, or to disable the key", lose, resume)
    if not found.deleted:
        return _mind("what becomes of an import that was sent before the suspension", "a look that tells", resume)
    return _mind("KMS to be seen without the key's material", "a look that shows it gone", resume)


def _unsupported_spec(the: Case, said: Verdict) -> Mind:
    return _mind("", "another key in the config: the spec of a key never changes", "a byokd that renews such keys")


def _wrapping_refused(the: Case, said: Verdict) -> Mind:
    return _mind(
        "", "`wrapping_algorithm` and `wrapping_key_spec` in the key's policy, left out or set to what AWS takes"
    )


def _not_ready(the: Case, said: Verdict) -> Mind:
    return _mind("KMS to be done with the key", "a look that shows the key Enabled or PendingImport")


def _hands_off(the: Case, said: Verdict) -> Mind:
    assert the.seen is not None  # the rule passes what was not seen
    match the.seen.state:
        case KeyState.PENDING_IMPORT:
            return _mind("", f"{_command(the, 'import')}: it enables the key", "somebody else importing the material")
        case KeyState.DISABLED:
            return _mind("", "somebody enabling the key (EnableKey)")
        case KeyState.PENDING_DELETION | KeyState.PENDING_REPLICA_DELETION:
            end = the.seen.deletion_at
            gone = (Way(what="AWS deletes the key, for good", at=end),) if isinstance(end, datetime) else ()
            return _mind("", "somebody cancelling the deletion (CancelKeyDeletion) and enabling the key", *gone)
        case state:
            return _mind("", f"the key leaving the state {state.value}")


def _held(the: Case, said: Verdict) -> Mind:
    hold = the.hold
    assert not isinstance(hold, Absent)  # the rule found one
    ends = () if isinstance(hold.until, Absent) else (Way(what="the hold ends", at=hold.until),)
    return _mind("the end of the hold", *ends, _command(the, "release"), until=hold.until)


def _settling(the: Case, said: Verdict) -> Mind:
    row = the.snapshot.ledger.open_import
    assert not isinstance(row, Absent)  # the rule found one
    limit = settles_at(row, the.policy)
    return _mind(
        f"KMS to show the import that was sent: ValidTo {show_expiry(row.expiry)}",
        "a look that shows it",
        Way(what="not seen until then, it counts as failed and is tried again", at=limit),
        until=limit,
    )


def _source_unproved(the: Case, said: Verdict) -> Mind:
    proof = the.snapshot.proof
    if proof is NOT_PROVED:
        return _mind("the source's answer", "the source gives the material")
    code = proof.code if isinstance(proof, Unproved) else MaterialInvalid.code
    asked = isinstance(said.action, ProofWanted)
    return _mind(
        "the source's answer" if asked else "the next time that the source is asked",
        f"a source that gives the material. {step_for(code)}",
        f"{_command(the, 'import')} asks it at once",
        until=ABSENT if asked else said.wake_at,
    )


def _in_stock(the: Case, said: Verdict) -> Mind:
    if isinstance(said.action, ProofWanted):
        return _drill(the, said)
    if period.may_rotate(the):
        at = period.rotates_at(the)
        turn = Way(what="the key is rotated to it by period", at=at)
        return _mind("the end of the current material's period", turn, _rotate(the), _EVERY, until=at)
    return _mind("a rotation of the key", _rotate(the))


def _rotation_due(the: Case, said: Verdict) -> Mind:
    return _mind(
        "the order to rotate, which byokd gives itself", "the next look, which gives it", _command(the, "hold"), _EVERY
    )


def _rotate(the: Case) -> str:
    """The order that rotates the key: that of the primary, if it is a replica."""
    primary = the.family.primary if the.family and the.replica else None
    return f"`byokd rotate {primary}`" if primary else _command(the, "rotate")


def _report_only(the: Case, said: Verdict) -> Mind:
    setting = "on_lapse" if the.loss is Loss.LAPSED else "on_foreign_delete"
    return _mind(
        "", _command(the, "import"), f'`{setting} = "{OnLoss.HEAL}"` in the key\'s policy', "somebody else importing it"
    )


def _refused(the: Case, said: Verdict) -> Mind:
    row = the.snapshot.ledger.refused_import
    assert not isinstance(row, Absent)  # the rule found one
    return _mind(
        "the next attempt, since what was refused seldom passes by itself",
        f"what was refused being put right. {step_for(row.outcome)}".rstrip(),
        f"{_command(the, 'import')} tries at once",
        Way(what="it is tried again", at=_moment(said)),
        until=said.wake_at,
    )


def _ordered(the: Case, said: Verdict) -> Mind:
    order = the.import_order
    assert order is not None  # the rule found one
    return _importing(the, said, f"`byokd cancel {order.id}`, while it has not begun")


def _backing_off(the: Case, said: Verdict) -> Mind:
    return _mind(
        "the time of the next attempt",
        Way(what="it is tried again", at=_moment(said)),
        *_boundary(the, Tier.EMERGENCY, "the emergency begins, which waits for no backoff"),
        f"{_command(the, 'import')} tries at once",
        until=said.wake_at,
    )


def _floor(the: Case, said: Verdict) -> Mind:
    return _mind(
        "the least time between two imports of one material",
        Way(what="it is over", at=_moment(said)),
        f"{_command(the, 'import')} does not wait for it",
        "`renewal_floor` in the key's policy",
        until=said.wake_at,
    )


def _lost(the: Case, said: Verdict) -> Mind:
    return _importing(the, said)


def _rotates(the: Case, said: Verdict) -> Mind:
    order, pending = the.rotation, the.pending
    assert order is not None  # the rule found both
    assert pending is not None
    cancel = _EVERY if order.by_period else f"`byokd cancel {order.id}`, while it has not begun"
    shown = "a look that shows the material CURRENT"
    if said.reason is Reason.WAITS_FOR_REPLICAS:
        return _mind("the key's replicas to have the material", "the material imported into every replica", cancel)
    if isinstance(said.action, RotationWanted):
        return _mind("KMS to rotate the key", shown, cancel)
    if not the.enabled:
        return _mind("the key to be Enabled", "a look that shows the key Enabled", cancel)
    assert isinstance(order.effective_at, datetime)  # what is left is that KMS was asked
    again = rotation.asked_again_at(order, order.effective_at)
    return _mind("KMS to rotate the key", shown, Way(what="KMS is asked again", at=again), until=again)


def _cannot_rotate(the: Case, said: Verdict) -> Mind:
    if said.reason is Reason.ROTATING:
        return _mind("kms:ListKeyRotations to be allowed", "a look that shows whether KMS has rotated the key")
    mended = (
        f"{_rotate(the)} in its place"
        if the.replica
        else "what is said there put right: a further material in `materials`, or kms:ListKeyRotations allowed"
    )
    return _mind("", mended, "the end of the order, which is refused")


def _waits_for_window(the: Case, said: Verdict) -> Mind:
    opens = _moment(said)
    return _mind(
        "a change window of the policy",
        Way(what="a change window opens, or it is urgent", at=opens),
        *_boundary(the, Tier.URGENT, "urgent: from then on no window is waited for"),
        f"{_command(the, 'import')} waits for none",
        "`windows` in the key's policy",
        until=opens,
    )


def _renewal_due(the: Case, said: Verdict) -> Mind:
    return _importing(the, said, "somebody else renewing the material")


def _probes(the: Case, said: Verdict) -> Mind:
    return _mind("KMS's answer", "the key does what it is for, or does not", "`probe` in the key's policy")


def _drill(the: Case, said: Verdict) -> Mind:
    return _mind("the source's answer", "the source proves that it has the material, or does not")


def _fresh(the: Case, said: Verdict) -> Mind:
    order = f"{_command(the, 'import')}, with `--valid-to` for another end"
    if the.window is None:
        return _mind("", order, "somebody importing it with an end, or deleting it")
    return _mind(
        "the time of its renewal",
        Way(what="it is due", at=the.window.renew_at),
        order,
        "the material being deleted, or given another ValidTo",
        "`renew_before` or `valid_for` in the key's policy",
        until=the.window.renew_at,
    )


def _importing(the: Case, said: Verdict, *ways: Way | str) -> Mind:
    """Of the rules that want an import: it waits for its lane alone."""
    assert isinstance(said.action, ImportWanted)  # what these rules say
    row, done = the.snapshot.ledger.open_import, f"a look that shows ValidTo {show_expiry(said.action.expiry)}"
    if isinstance(row, Absent):
        waits = "the lane: the import begins at the next look, or is queued then"
    else:
        tried = f", after {row.attempts} attempts" if row.state is ImportState.FAILED else ""
        waits = f"its turn in the lane's queue{tried}"
    return _mind(waits, done, *ways, f"{_command(the, 'hold')}, or `suspend`")


def _boundary(the: Case, tier: Tier, what: str) -> Iterator[Way]:
    """The beginning of a tier that is still ahead."""
    if the.window is None:
        return
    at = the.window.urgent_at if tier is Tier.URGENT else the.window.emergency_at
    if at > the.now:
        yield Way(what=what, at=at)


def _moment(said: Verdict) -> datetime:
    assert isinstance(said.wake_at, datetime)  # what these rules say
    return said.wake_at


MINDS: Final[Mapping[Rule, Explain]] = {
    rules.could_not_look: _could_not_look,
    rules.wrong_origin: _wrong_origin,
    rules.suspended: _suspended,
    rules.unsupported_spec: _unsupported_spec,
    rules.wrapping_refused: _wrapping_refused,
    rules.not_ready: _not_ready,
    rules.hands_off: _hands_off,
    rules.held: _held,
    rules.settling: _settling,
    rules.source_unproved: _source_unproved,
    period.rotation_due: _rotation_due,
    rules.in_stock: _in_stock,
    rules.report_only: _report_only,
    rules.refused: _refused,
    rules.ordered: _ordered,
    rules.backing_off: _backing_off,
    rules.floor: _floor,
    rules.lost: _lost,
    rotation.rotates: _rotates,
    rotation.cannot_rotate: _cannot_rotate,
    rules.waits_for_window: _waits_for_window,
    rules.renewal_due: _renewal_due,
    probing.probes: _probes,
    rules.drill: _drill,
    rules.fresh: _fresh,
}
