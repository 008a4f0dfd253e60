"""Which open orders are carried out, over or impossible, given what was decided, and what the others wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from byokd.decide.case import CLOCKS_DIFFER, Case, Loss
from byokd.decide.materials import waiting
from byokd.decide.rotation import waits_for_replicas
from byokd.decide.several import about
from byokd.decide.suspension import fate
from byokd.facts.key import ABSENT, Absent, MaterialState, NeverLooked, ObservedKey, View, last_seen
from byokd.facts.ledger import Import, ImportState, Order, OrderKind, OrderState
from byokd.facts.snapshot import Decision, Reason

_IMPOSSIBLE = (
    Reason.HANDS_OFF,
    Reason.HELD,
    Reason.SUSPENDING,
    Reason.SUSPENDED,
    Reason.WRONG_ORIGIN,
    Reason.UNSUPPORTED_SPEC,
    Reason.WRAPPING_REFUSED,
)
_IMPORTS = (OrderKind.IMPORT, OrderKind.RESUME)
_ACTS = (*_IMPORTS, OrderKind.ROTATE)
_UNSEEN = (Reason.KEY_NOT_FOUND, Reason.COULD_NOT_LOOK)
_HINDERED = (
    Reason.SOURCE_UNPROVED,
    Reason.MATERIAL_INVALID,
    Reason.MATERIAL_CHANGED,
    Reason.REFUSED,
    Reason.BACKING_OFF,
    Reason.NOT_READY,
    Reason.REPORT_ONLY,
)
"""Why an import that an order needs is not begun, as long as it is not seen."""
SINCE: Final = {
    OrderKind.RELEASE: "the key was held since, or the clock was set back: order it once more",
    OrderKind.RESUME: "the key was suspended since, or the clock was set back: order it once more",
}
"""Why an order is refused that does not come for certain after the last of what it is to end."""
_ENDS: Final = {OrderKind.HOLD: OrderKind.RELEASE, OrderKind.SUSPEND: OrderKind.RESUME}
"""By what it is that each ends."""


def before_deciding(orders: tuple[Order, ...], view: View, now: datetime) -> tuple[Order, ...]:
    """Orders to close before the rules are asked.

    A release closes itself and the holds before it, a resumption the suspensions before it; a hold ends at `until`, and
    an import that was to end at a time that has passed is none any more. What comes before none of the orders to end it
    is in force, and refuses them all: whoever gave one believes the key to be free again. A turn that cannot see the
    key says so as well, and later turns know a suspension to be in force by that.

    What ends by the clock ends where the key is seen. A clock that is days ahead would end a hold for good; but AWS
    takes no request that is signed more than five minutes from its own time (IAM user guide, "Signature Version 4").
    """
    sure = isinstance(view, ObservedKey)
    over = {order.id for order in orders if any(_before(order, each, now) for each in orders)}
    ended = {order.id for order in orders if sure and not isinstance(order.until, Absent) and order.until <= now}
    refused = {_ENDS[each.kind] for each in orders if each.kind in _ENDS and each.id not in over | ended}
    closed = []
    for order in orders:
        match order.kind:
            case OrderKind.HOLD if order.id in over:
                closed.append(_closed(order, OrderState.DONE, now, "released"))
            case OrderKind.HOLD if order.id in ended:
                closed.append(_closed(order, OrderState.DONE, now, "ended"))
            case OrderKind.SUSPEND if order.id in over:
                closed.append(_closed(order, OrderState.DONE, now, "resumed"))
            case OrderKind.RELEASE | OrderKind.RESUME if order.kind in refused:
                closed.append(_closed(order, OrderState.REFUSED, now, SINCE[order.kind]))
            case OrderKind.RELEASE:
                closed.append(_closed(order, OrderState.DONE, now, ""))
            case OrderKind.IMPORT if sure and isinstance(order.valid_to, datetime) and order.valid_to <= now:
                closed.append(_closed(order, OrderState.REFUSED, now, "the end of life asked for has passed"))
    return tuple(closed)


def stamped(orders: tuple[Order, ...], now: datetime) -> tuple[Order, ...]:
    """The orders from the future, as given now: the clock was set back since, or put right by KMS.

    What was done for an order is told by its having been done since. For one from the future that would be nothing, and
    it would be carried out again and again until its time has come.
    """
    return tuple(replace(order, created_at=now) for order in orders if order.created_at > now)


def _before(order: Order, end: Order, now: datetime) -> bool:
    """Whether a hold or a suspension is over by another order: one that is to end it, and came after it.

    Where one of them is from the future, the clock was set back between, and stamps do not tell which came first. A
    turn that made one effective had closed what was ordered to end one: what is open came later. Of a hold from the
    future, turns are taken to have done so. In doubt the key stays suspended, or held.
    """
    if _ENDS.get(order.kind) is not end.kind:
        return False
    if (order.created_at > now) != (end.created_at > now):
        in_force = isinstance(order.effective_at, datetime)
        return in_force or (order.kind is OrderKind.HOLD and order.created_at > now)
    return _given(order) < _given(end)


def _given(order: Order) -> tuple[datetime, str]:
    """When an order was given: of those of one second, ids tell which came first."""
    return order.created_at, order.id


def rotated_at(view: View) -> datetime | Absent:
    """When the key was rotated to the material that is current now; ABSENT where it never was, or is not seen."""
    materials = view.materials if isinstance(view, ObservedKey) else ()
    return next((each.rotated_at for each in materials if each.state is MaterialState.CURRENT), ABSENT)


def rotated(orders: tuple[Order, ...], view: View, now: datetime, *, was: View) -> tuple[Order, ...]:
    """Orders to rotate that are carried out: the key's current material became so since, by whoever it was.

    A rotation just before counts as well: KMS's clock may differ, and no key is to be rotated twice for one order.
    Where what is current waited in the reading before (`was`), and KMS took the request or that reading is younger than
    the order, KMS's clock is not asked, nor ListKeyRotations, which may be refused just then: DescribeKey tells what is
    current.
    """
    at, before = rotated_at(view), last_seen(was)
    if not isinstance(view, ObservedKey):
        return ()
    done = (
        order
        for order in orders
        if order.kind is OrderKind.ROTATE
        and ((isinstance(at, datetime) and order.created_at <= at + CLOCKS_DIFFER) or _made_for(order, before, view))
    )
    return tuple(_closed(order, OrderState.DONE, now, f"rotated to {view.current_material}") for order in done)


def _made_for(order: Order, before: ObservedKey | NeverLooked, view: ObservedKey) -> bool:
    waited = waiting(before) if isinstance(before, ObservedKey) else None
    if not isinstance(before, ObservedKey) or waited is None or waited.material_id != view.current_material:
        return False
    if isinstance(order.effective_at, datetime) and not order.outcome:
        return True
    return not order.by_period and order.created_at <= before.at  # one by period is taken back if it has no reason left


def answered(orders: tuple[Order, ...], ended: Import, now: datetime) -> tuple[Order, ...]:
    """Import orders that an import which is done or refused answers: its own, and those that were open when it began.

    What was begun anew, after it had failed, is done for whoever ordered one meanwhile; not for an order that wanted
    another end of life. They are closed before anything is decided: an order whose import is done asks for no other.
    """
    match ended.state:
        case ImportState.DONE:
            state = OrderState.DONE
        case ImportState.REFUSED:
            state = OrderState.REFUSED
        case _:
            return ()
    return tuple(
        _closed(order, state, now, ended.detail)
        for order in orders
        if order.kind in _IMPORTS
        and (ended.order_id == order.id or (state is OrderState.DONE and _is_what_was_wanted(ended, order)))
    )


def _is_what_was_wanted(ended: Import, order: Order) -> bool:
    began = ended.created_at if isinstance(ended.started_at, Absent) else ended.started_at
    return began >= order.created_at and order.valid_to in (ABSENT, ended.expiry)


def imported(orders: tuple[Order, ...], needed: Sequence[Case], now: datetime) -> tuple[Order, ...]:
    """Import orders that are carried out for a key with several materials: each that it needs was imported since.

    By whichever imports that was, so that none which began before an order leaves it open.
    """
    done = (order for order in orders if needed and all(each.imported_for(order) for each in needed))
    return tuple(_closed(order, OrderState.DONE, now, "") for order in done if order.kind in _IMPORTS)


def after_deciding(orders: tuple[Order, ...], *, reason: Reason, message: str, now: datetime) -> tuple[Order, ...]:
    """Orders that a decision answers: an import that cannot be; a key that is held, or suspended and empty."""
    kind = {Reason.SUSPENDED: OrderKind.SUSPEND, Reason.HELD: OrderKind.HOLD}.get(reason)
    effective = (order for order in orders if order.kind is kind and order.effective_at is ABSENT)
    changed = [replace(order, effective_at=now, outcome="") for order in effective]
    refused = {Reason.CANNOT_ROTATE: (OrderKind.ROTATE,)}.get(reason, _ACTS if reason in _IMPOSSIBLE else ())
    changed += [
        _closed(order, OrderState.REFUSED, now, message)
        for order in orders
        if order.kind in refused and not _outlasts(order, reason)
    ]
    return tuple(changed)


def _outlasts(order: Order, reason: Reason) -> bool:
    """Whether an order waits for what refuses others: a resumption for the end of a hold, or of what people did in KMS.

    It has ended the suspension already. Refused with that, it would leave a key without material that nobody could
    resume any more, and for good where the policy heals no loss.
    """
    return order.kind is OrderKind.RESUME and reason in (Reason.HELD, Reason.HANDS_OFF)


def awaiting(orders: Sequence[Order], said: Sequence[tuple[Case, Decision]]) -> tuple[Order, ...]:
    """Open ones of these orders whose outcome changes: it says what they wait for, or what a suspension has left.

    `said` is what was decided about each of the key's materials. What KMS answered to a request for an order stays: of
    a rotation that it was asked for, nothing else is told.
    """
    changed = []
    for order in orders:
        if order.state is not OrderState.OPEN or (order.kind is OrderKind.ROTATE and _answered_by_kms(order)):
            continue
        told = next((text for the, each in said if (text := _waits_for(order, the, each, len(said)))), "")
        if told != order.outcome and (told or not _answered_by_kms(order)):
            changed.append(replace(order, outcome=told))
    return tuple(changed)


def _waits_for(order: Order, the: Case, said: Decision, materials: int) -> str:
    """What hinders an order, as far as one material tells; empty where it does not."""
    match order.kind:
        case OrderKind.IMPORT | OrderKind.RESUME | OrderKind.ROTATE | OrderKind.SUSPEND if said.reason in _UNSEEN:
            return said.message
        case OrderKind.IMPORT | OrderKind.RESUME if the.asks_for_import(order):
            hinders = said.reason in _HINDERED or _outlasts(order, said.reason)
        case OrderKind.ROTATE if waits := waits_for_replicas(the):
            return waits
        case OrderKind.ROTATE:
            concerned = the.rotates_next or the.loss in (Loss.LAPSED, Loss.DELETED)
            hinders = concerned and said.reason in _HINDERED
        case OrderKind.SUSPEND:
            left = fate(the.snapshot, lose=order.lose).left
            in_force = isinstance(order.effective_at, datetime)
            return f"left: {', '.join(map(str, left))}" if left and in_force else ""
        case _:
            hinders = False
    return about(said.place, materials, said.message) if hinders else ""


def _answered_by_kms(order: Order) -> bool:
    """Whether the outcome of an open order may be what KMS said to a request for it."""
    asked = isinstance(order.effective_at, datetime)
    return (order.kind is OrderKind.ROTATE and asked) or (order.kind is OrderKind.SUSPEND and not asked)


def without(orders: tuple[Order, ...], closed: tuple[Order, ...]) -> tuple[Order, ...]:
    """The orders that are left when some were closed."""
    gone = {order.id for order in closed}
    return tuple(order for order in orders if order.id not in gone)


def _closed(order: Order, state: OrderState, now: datetime, outcome: str) -> Order:
    return replace(order, state=state, closed_at=now, outcome=outcome)
