"""The rules of rotation: next material out of stock, KMS asked to make it current, or a reason why not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from byokd.decide.case import Case, in_stock
from byokd.decide.verdict import SOON, Verdict
from byokd.facts.key import SYMMETRIC, MaterialState
from byokd.facts.snapshot import Reason, RotationWanted

ASK_AGAIN: Final = timedelta(minutes=5)
"""After which KMS is asked again to rotate, if it has not done so."""


def rotates(the: Case) -> Verdict | None:
    """An ordered rotation makes the material current that waits for it in KMS, whoever has brought it there.

    KMS takes its time, and does not say when it began: it is asked again after a while, which changes nothing where it
    is still at it.
    """
    order, pending = the.rotation, the.pending
    if order is None or pending is None or pending.material_id != the.material or the.seen is None:
        return None
    if pending.state is MaterialState.PENDING_MULTI_REGION:
        message = "waits until the key's replicas have the material too"
    elif not the.enabled:
        message = f"waits to be rotated to; the key is {the.seen.state.value}"
    elif isinstance(order.effective_at, datetime) and the.now < order.effective_at + ASK_AGAIN:
        message = f"KMS was asked at {order.effective_at:%H:%M:%S} to rotate to this material"
    else:
        return Verdict(
            reason=Reason.ROTATING,
            message=f"rotates to it: ordered by {order.by}",
            action=RotationWanted(order_id=order.id),
            wake_at=the.now + timedelta(seconds=1),
        )
    hindered = f"; {order.outcome}" if order.outcome else ""
    return Verdict(reason=Reason.ROTATING, message=message + hindered, wake_at=the.now + SOON)


def cannot_rotate(the: Case) -> Verdict | None:
    """A rotation was ordered, and there is nothing to rotate to. Said once, of the key's first material."""
    if the.rotation is None or the.seen is None or the.pending or the.snapshot.place:
        return None
    if the.seen.spec != SYMMETRIC:
        return Verdict(reason=Reason.CANNOT_ROTATE, message=f"keys of the spec {the.seen.spec} are not rotated")
    if not the.seen.materials_known:
        message = "kms:ListKeyRotations is not allowed: its materials cannot be told apart"
        return Verdict(reason=Reason.CANNOT_ROTATE, message=message)
    if any(in_stock(the.snapshot.turned_to(place)) for place in the.snapshot.places):
        return None
    return Verdict(reason=Reason.CANNOT_ROTATE, message="the config has no further material for it to rotate to")
