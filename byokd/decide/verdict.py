"""What a rule says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from byokd.decide.backoff import EIGHTH
from byokd.decide.backoff import LONGEST as LONGEST_WAIT
from byokd.decide.case import LONGEST, Case, Loss
from byokd.facts.key import ABSENT, NEVER, Absent, Expiry
from byokd.facts.ledger import Order, OrderKind
from byokd.facts.snapshot import Action, ImportWanted, Reason

SOON: Final = timedelta(seconds=30)
TAKEN_BACK: Final = timedelta(hours=2)
"""The longest wait before the next look at a key that people have put aside.

KMS calls a key without material PendingImport, whether it was Disabled when it lost that or enabled again. byokd goes
by what it saw last, and does not heal a key that it saw Disabled: this is how long it can be wrong. Not shorter, since
100,000 of them, as many as AWS allows in a lane, are 14 looks a second then, of 25 that a lane makes by default.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says. `wake_at` is ABSENT where the window and the regular look are reason enough to wake."""

    reason: Reason
    message: str
    action: Action | Absent = ABSENT
    wake_at: datetime | Absent = ABSENT
    blocks: bool = False
    """Whether the key cannot be renewed while this holds: then an open import is cancelled and an order refused."""


def wanted(the: Case, reason: Reason, message: str, *, order: Order | None = None) -> Verdict:
    """The verdict that the material at hand is to be imported."""
    action = ImportWanted(
        material=the.material,
        expiry=wanted_expiry(the, order),
        deadline=the.deadline,
        tier=the.tier,
        reason=reason,
        order_id=ABSENT if order is None else order.id,
    )
    return Verdict(reason=reason, message=message, action=action)


def wanted_expiry(the: Case, order: Order | None = None) -> Expiry:
    """The `ValidTo` to ask for at an import now: never earlier than what is there, unless an order says so.

    `valid_for` is at most 365 days from now (API model, ImportKeyMaterial.ValidTo); config has checked it.
    """
    if order is not None and not isinstance(order.valid_to, Absent):
        return order.valid_to if order.valid_to is NEVER else min(order.valid_to, the.now + LONGEST)
    valid_for = the.policy.valid_for
    if valid_for is NEVER:
        return NEVER
    wanted = the.now + min(valid_for, LONGEST)
    if the.loss is not Loss.NONE or isinstance(the.expiry, Absent):
        return wanted
    return NEVER if the.expiry is NEVER else max(wanted, the.expiry)


def patience(order: Order, now: datetime) -> timedelta:
    """How long an order that waits is left alone: an eighth of the time it has waited, 30 s at least, an hour at most.

    It may wait for weeks: a rotation for KMS's leave, for the key to be Enabled, or for replicas, which each of its
    turns looks at too; a resumption for a deletion to be cancelled. A replica that has the material wakes its primary.
    """
    waited = timedelta(seconds=round((now - order.created_at).total_seconds() / EIGHTH))
    return min(max(SOON, waited), LONGEST_WAIT)


def taken_back_at(the: Case) -> datetime:
    """When to see whether people have taken back what they did, of which nobody tells byokd.

    No wait is longer than an eighth of the time left, as after a failure: who enables a key again in time finds it
    alive. Nor is one longer than a resumption waits patiently.
    """
    resumed = (each for each in the.snapshot.ledger.open_orders if each.kind is OrderKind.RESUME)
    wait = min((patience(each, the.now) for each in resumed), default=TAKEN_BACK)
    if the.window is not None and the.window.valid_to > the.now:
        wait = min(wait, (the.window.valid_to - the.now) / EIGHTH)
    return the.now + max(SOON, timedelta(seconds=int(wait.total_seconds())))
