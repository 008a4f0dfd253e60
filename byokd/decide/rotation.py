"""The rules of rotation: next material out of stock, KMS asked to make it current, or a reason why not.

Of a multi-Region key the order is the primary's. Its replicas take the material as soon as it waits in the primary,
each in its own turn; the primary goes on when KMS says that all of them have it (docs/decisions, related keys).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from byokd.decide.case import Case
from byokd.decide.materials import in_stock, names
from byokd.decide.verdict import Verdict, patience, wanted
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import ABSENT, SYMMETRIC, Blind, MaterialState, ObservedKey, region_of
from byokd.facts.ledger import Order, Tier
from byokd.facts.relative import Relative
from byokd.facts.snapshot import Reason, RotationWanted

ROTATIONS: Final = 25
"""On-demand rotations in a key's life (API model, RotateKeyOnDemand; older texts say 10). KMS's refusal counts more."""
FEW_ROTATIONS: Final = 5
"""From here on people are told how many are left."""
ASK_AGAIN: Final = timedelta(minutes=5)
"""After which KMS is asked again to rotate, if it has not done so."""
ASK_SELDOM: Final = timedelta(hours=1)
"""The same, where it refused a rotation by period."""


def next_material(the: Case) -> Verdict:
    """Material in stock is imported, for the rotation of this key or of its primary."""
    if the.replica:
        return wanted(the, Reason.ROTATING, "is the next material: its primary is to be rotated to it")
    by = "" if the.rotation is None else f": rotation ordered by {the.rotation.by}"
    return wanted(the, Reason.ROTATING, f"is the next material{by}", order=the.rotation)


def rotates(the: Case) -> Verdict | None:
    """An ordered rotation makes the material current that waits for it in KMS, whoever has brought it there.

    KMS takes its time, and does not say when it began: it is asked again after a while, which changes nothing where it
    is still at it.
    """
    order = the.rotation
    if order is None or the.seen is None or the.replica:
        return None
    pending = the.pending
    if pending is None or pending.material_id != the.material:
        return None
    until = the.now + patience(order, the.now)
    if message := waits_for_replicas(the):
        if the.tier is not Tier.FRESH:
            return None  # it may wait for longer than it lives, and is renewed like any other
        return Verdict(reason=Reason.WAITS_FOR_REPLICAS, message=message, wake_at=until)
    if not the.enabled:
        message = f"waits to be rotated to; the key is {the.seen.state.value}"
    elif isinstance(order.effective_at, datetime) and the.now < (again := asked_again_at(order, order.effective_at)):
        message, until = f"KMS was asked at {order.effective_at:%H:%M:%S} to rotate to this material", min(until, again)
    else:
        return Verdict(
            reason=Reason.ROTATING,
            message=f"rotates to it: ordered by {order.by}",
            action=RotationWanted(order_id=order.id),
            wake_at=the.now + timedelta(seconds=1),
        )
    if the.tier not in (Tier.FRESH, Tier.DUE):
        return None  # KMS may refuse for longer than it lives; what waits for a window leaves the asking to this rule
    return Verdict(reason=Reason.ROTATING, message=message + _hindered(order), wake_at=until)


def waits_for_replicas(the: Case) -> str:
    """For which replicas the material waits that the key is to be rotated to, and why; empty where it does not."""
    pending = the.pending
    if the.rotation is None or the.replica or pending is None or pending.material_id != the.material:
        return ""
    if pending.state is not MaterialState.PENDING_MULTI_REGION:
        return ""
    return f"waits until its replicas have the material too: {_hindrances(the)}"


def asked_again_at(order: Order, asked_at: datetime) -> datetime:
    """When KMS is asked once more to rotate for an order. Nobody waits for one by period: what KMS refused can wait."""
    return asked_at + (ASK_SELDOM if order.by_period and order.outcome else ASK_AGAIN)


def _hindered(order: Order) -> str:
    """What KMS said when it was asked; before that, the outcome tells of replicas that were waited for."""
    return f"; {order.outcome}" if order.outcome and isinstance(order.effective_at, datetime) else ""


def cannot_rotate(the: Case) -> Verdict | None:
    """A rotation was ordered, and there is nothing to rotate to. Said once, of the key's first material.

    It speaks before what is due, and the order is refused with it: the next turn, at once, is without the order. Where
    KMS was asked, and ListKeyRotations is refused since, the order stays open: a later look tells how it ended.
    """
    if the.rotation is None or the.seen is None or the.snapshot.place:
        return None
    message = obstacle(the)
    if message is None:
        return None
    if isinstance(the.rotation.effective_at, datetime) and not the.seen.materials_known:
        return _unseen(the, the.rotation, message)
    return Verdict(reason=Reason.CANNOT_ROTATE, message=message, wake_at=the.now + timedelta(seconds=1))


def _unseen(the: Case, order: Order, message: str) -> Verdict | None:
    """KMS was asked to rotate, and does not show whether it did; what is due does not wait for that."""
    if the.tier is not Tier.FRESH:
        return None
    message = f"KMS was asked at {order.effective_at:%H:%M:%S} to rotate; {message}"
    return Verdict(reason=Reason.ROTATING, message=message, wake_at=the.now + patience(order, the.now))


def obstacle(the: Case) -> str | None:
    """Why a key that was seen cannot be rotated, whoever asks for it; None where nothing is in the way."""
    assert the.seen is not None, "asked of a key that was seen"
    if the.seen.spec != SYMMETRIC:
        return f"keys of the spec {the.seen.spec} are not rotated"
    if the.family is not None and the.replica:
        return f"is a replica, and is rotated with its primary: order it for {the.family.primary}"
    if the.pending:
        if the.pending.material_id in names(the.snapshot):
            return None
        return f"material {the.pending.material_id[:12]}… waits for its rotation, and the config has no source for it"
    if not the.seen.materials_known:
        return "kms:ListKeyRotations is not allowed: its materials cannot be told apart"
    if in_stock(the.snapshot):
        return None
    return "the config has no further material for it to rotate to"


def behind(the: Case) -> tuple[Relative, ...]:
    """The replicas that a primary waits for, as far as the config has them: they do not show its new material.

    Nor does a reading from before the primary was given that material: it may have been there before, and deleted.
    """
    pending = the.pending
    if (
        pending is None
        or the.rotation is None
        or the.replica
        or pending.state is not MaterialState.PENDING_MULTI_REGION
    ):
        return ()
    given_at = the.snapshot.ledger.last_success_at if the.material == pending.material_id else ABSENT
    if isinstance(given_at, datetime) and given_at > the.now:
        given_at = ABSENT  # the clock was set back since
    return tuple(each for each in the.snapshot.relatives if not each.holds(pending.material_id, since=given_at))


def rotations_left(seen: ObservedKey) -> int:
    """How many of a key's rotations on demand are left, by what KMS lists: every material it was ever rotated to.

    Never more than `ROTATIONS`; it may be less than none, where KMS allows more than its documents say.
    """
    return ROTATIONS - sum(isinstance(each.rotated_at, datetime) for each in seen.materials)


def few_left(seen: ObservedKey) -> Condition | None:
    """Few of the rotations on demand are left that a key has in its life."""
    left = rotations_left(seen)
    if left > FEW_ROTATIONS:
        return None
    used = "all of" if left <= 0 else f"{ROTATIONS - left} of"
    return Condition(
        kind=ConditionKind.ROTATIONS_LOW,
        severity=Severity.WARNING,
        detail=f"the key was rotated {used} the {ROTATIONS} times that KMS allows in its life; it lives on as it is",
        stage=f"{max(0, left)} left",
    )


def _hindrances(the: Case) -> str:
    """For each replica without the new material, why it is so."""
    replicas = the.family.replicas if the.family else ()  # an old reading does not tell them
    known = {each.arn: each for each in the.snapshot.relatives}
    late = {each.arn for each in behind(the)}
    found = [
        _hindrance(known[arn]) if arn in known else f"{region_of(arn)} (in no fleet)"
        for arn in replicas
        if arn in late or arn not in known
    ]
    return "; ".join(found) or "KMS does not show yet that they have"


def _hindrance(relative: Relative) -> str:
    why = relative.view.message if isinstance(relative.view, Blind) else relative.message
    return f"{relative.region} ({why})"
