"""Rotation by period: a key whose material has been current for its policy's `rotate_every` is ordered to be rotated.

    current since              told ahead    period ends   a window opens
         ├──────────────────────────┼─────────────┼──────────────┼──▶ order: import the next, rotate, look
                                    what hinders it is told

byokd gives the order that an operator would give, and what follows is the order's: it is on disk before anything is
asked of KMS, it is carried out once, and a crash leaves it open. What an order is given for is looked at anew in each
turn, so that one given upon an old reading does nothing (docs/decisions, rotation by period).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Final

from byokd.decide.case import Case, case
from byokd.decide.rotation import few_left, obstacle, rotations_left
from byokd.decide.verdict import SOON, Verdict
from byokd.decide.windows import opens_at
from byokd.facts import prospect
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.key import NEVER, SYMMETRIC, Absent, KeyRef, ObservedKey, last_seen
from byokd.facts.ledger import Order, OrderState, Unproved
from byokd.facts.moment import in_words
from byokd.facts.policy import ChangeWindow, Policy
from byokd.facts.prospect import Prospect
from byokd.facts.snapshot import OrderWanted, Reason, Snapshot

TOLD_AHEAD: Final = timedelta(days=30)
"""How long before the end of a period people are told what hinders the rotation; a quarter of it, if that is less."""
PATIENCE: Final = timedelta(days=1)
"""How long an order by period may be open before people hear of it."""
FORESEEABLE: Final = timedelta(days=5 * 365)
"""A period that uses up the rotations of a key's life sooner is told."""
_NO_WINDOW: Final = timedelta(days=366)
"""Windows that are closed for longer are looked for again later: a rotation by period is never urgent."""


def rotation_due(the: Case) -> Verdict | None:
    """A material that has been current for its period gives way to the next one, as soon as that can be rotated to.

    Said of the material that is to become current: the next in stock, or the one that waits in KMS already, whoever
    has brought it there. The rules before this one have seen to it that its source can produce it.
    """
    if not may_rotate(the) or the.now < rotates_at(the):
        return None
    return Verdict(
        reason=Reason.ROTATION_DUE,
        message="is to be the current material: the one before has been it for its period",
        action=OrderWanted(why=f"current since {in_words(current_since(the.snapshot))}"),
        wake_at=the.now + SOON,
    )


def may_rotate(the: Case) -> bool:
    """Whether the material at hand is the one that the key is to be rotated to by period, and nothing is in the way."""
    if the.policy.rotate_every is NEVER:
        return False
    if not the.rotates_next or period_ends(the.snapshot) is None or not the.enabled or the.rotation is not None:
        return False
    # What byokd brought in only just and a reading does not show is not brought in again.
    shown = the.pending is not None or not the.imported_since(the.now - the.policy.renewal_floor)
    return shown and the.seen is not None and rotations_left(the.seen) > 0


def current_since(snapshot: Snapshot) -> datetime | Absent:
    """Since when the key's current material is it: see `byokd.facts.prospect`."""
    return prospect.current_since(snapshot.view)


def period_ends(snapshot: Snapshot) -> datetime | None:
    """When the policy asks for the key's next rotation; None where it does not: see `byokd.facts.prospect`."""
    ends = prospect.period_ends_at(snapshot.desired.policy, snapshot.view)
    return None if isinstance(ends, Absent) else ends


def rotates_at(the: Case) -> datetime:
    """When a key whose period ends is rotated, if nothing hinders it: at the end, or in the next window after it."""
    ends = period_ends(the.snapshot)
    assert ends is not None  # asked of keys with a period
    return _rotates_at(the.policy, ends, the.now)


def _rotates_at(policy: Policy, ends: datetime, now: datetime) -> datetime:
    begins = max(ends, now)
    return opens_at(policy.windows, begins, by=begins + _NO_WINDOW)


def rotated_first(prospects: Iterable[Prospect], now: datetime, *, limit: int) -> tuple[KeyRef, ...]:
    """The keys that are rotated first by their periods, if nothing hinders them, at most `limit`; in that order.

    By one set of windows nobody overtakes, so that few of a large fleet have to be held against theirs.
    """
    apart: dict[tuple[ChangeWindow, ...], list[Prospect]] = {}
    for each in prospects:
        if isinstance(each.period_ends, datetime):
            apart.setdefault(each.policy.windows, []).append(each)
    first = (each for group in apart.values() for each in nsmallest(limit, group, key=_end))
    found = sorted((_rotates_at(each.policy, _end(each)[0], now), each.ref) for each in first)
    return tuple(ref for _, ref in found[:limit])


def _end(key: Prospect) -> tuple[datetime, KeyRef]:
    assert isinstance(key.period_ends, datetime), "asked of keys whose period ends"
    return key.period_ends, key.ref


def moments(the: Case) -> tuple[datetime, ...]:
    """When what is said of a key's rotation by period may become otherwise."""
    if the.policy.rotate_every is NEVER or (ends := period_ends(the.snapshot)) is None:
        return ()
    opens = (rotates_at(the),) if may_rotate(the) else ()
    opened = the.rotation.created_at + PATIENCE if the.rotation is not None else ends
    return (ends, ends - _ahead(the), opened, *opens)


def taken_back(snapshot: Snapshot, now: datetime) -> tuple[Order, ...]:
    """Orders by period that nothing asks for any more, closed: the policy was changed, or the key has been rotated.

    One that was given upon a reading from before a rotation must not make a second.
    """
    given = [each for each in snapshot.ledger.open_orders if each.by_period]
    ends = period_ends(snapshot)
    if not given or (ends is not None and ends <= now) or (ends is None and _untold(snapshot)):
        return ()
    why = "`rotate_every` does not ask for it" if ends is None else f"its period ends at {in_words(ends)}"
    return tuple(replace(each, state=OrderState.CANCELLED, closed_at=now, outcome=why) for each in given)


def _untold(snapshot: Snapshot) -> bool:
    """Whether the policy has a period, and no reading tells how far it is: nobody has looked, or could list."""
    seen = last_seen(snapshot.view)
    listed = isinstance(seen, ObservedKey) and seen.materials_known
    return snapshot.desired.policy.rotate_every is not NEVER and not listed


def rotation_hindered(the: Case, said: Verdict) -> Condition | None:
    """The key cannot be rotated by period, now or soon, and why. It lives on under its current material.

    Said of its first material; not of replicas.
    """
    if the.policy.rotate_every is NEVER or the.seen is None or the.snapshot.place or the.replica or the.suspended_by:
        return None
    if (why := _hindered(the)) is None:
        return None
    ends, over = period_ends(the.snapshot), False
    if ends is None:
        what = "is to be rotated by period"
    else:
        over = ends <= the.now
        what = f"{'was' if over else 'is'} to be rotated at {in_words(ends)}"
    return Condition(
        kind=ConditionKind.ROTATION_HINDERED,
        severity=Severity.WARNING,
        detail=f"the key {what}: {why}",
        stage="over" if over else "",
    )


def _hindered(the: Case) -> str | None:
    """What hinders the rotation; None where nothing does, and while it is too far ahead to be told."""
    assert the.seen is not None, "asked of a key that was seen"
    if the.seen.spec != SYMMETRIC or not the.seen.materials_known:
        return obstacle(the)
    ends, order = period_ends(the.snapshot), the.rotation
    if ends is None or the.now < ends - _ahead(the):
        return None
    if order is None or rotations_left(the.seen) <= 0:
        return in_the_way(the)
    if the.now < order.created_at + PATIENCE:
        return None
    if order.outcome:
        return f"ordered, and not done: {order.outcome}"
    return in_the_way(the) or f"ordered at {in_words(order.created_at)}, and not done"


def in_the_way(the: Case) -> str | None:
    """Why a key that was seen could not be rotated by period today, however far ahead that is; None where it could.

    Its rotations are used up, no material is next, or the next one does not fit or is not had from its source. That the
    key is held, suspended or Disabled is not said here.
    """
    assert the.seen is not None, "asked of a key that was seen"
    if rotations_left(the.seen) <= 0:
        return "it was rotated as often as KMS allows in its life"
    if (why := obstacle(the)) is not None:
        return why
    turned = (the.snapshot.turned_to(place) for place in the.snapshot.places)
    for following in (case(each, the.now) for each in turned):
        if following.rotates_next and following.misfit:
            return f"the next material cannot be imported: {following.misfit}"
        if following.rotates_next and isinstance(lost := following.snapshot.proof, Unproved):
            return f"the source cannot produce the next material: {lost.message}"
    return None


def _ahead(the: Case) -> timedelta:
    every = the.policy.rotate_every
    return timedelta(0) if every is NEVER else min(TOLD_AHEAD, every / 4)


def rotations_low(the: Case, said: Verdict) -> Condition | None:
    """Few of the rotations on demand are left that a key has in its life, or its period uses them up in a few years.

    Said of its first material; not of replicas.
    """
    if the.seen is None or the.snapshot.place or the.replica:
        return None
    if (few := few_left(the.seen)) is not None:
        return few
    every, left = the.policy.rotate_every, rotations_left(the.seen)
    if every is NEVER or the.seen.spec != SYMMETRIC or left * every >= FORESEEABLE:
        return None
    return Condition(
        kind=ConditionKind.ROTATIONS_LOW,
        severity=Severity.WARNING,
        detail=f"`rotate_every` uses up the {left} rotations that are left of the key's life in "
        f"{(left * every).days} days; it lives on as it is then",
        stage="by period",
    )
