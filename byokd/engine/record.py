"""What a cycle leaves behind: one change, built from the snapshot before, the snapshot after and the decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from byokd.decide.case import Loss, case
from byokd.decide.decide import decided
from byokd.decide.intents import explain
from byokd.decide.orders import after_deciding, answered, before_deciding, without
from byokd.decide.transitions import compare, of_import, transitions
from byokd.facts.change import Change
from byokd.facts.condition import OpenCondition
from byokd.facts.key import ABSENT, Absent, ObservedKey, last_seen
from byokd.facts.ledger import HistoryEntry, HistoryEvent, Import, ImportState, Ledger, Order, OrderState, Proved, Tier
from byokd.facts.snapshot import Decision, ImportWanted, Snapshot
from byokd.ports import NewId


def prepare(snapshot: Snapshot, now: datetime) -> tuple[Snapshot, tuple[Order, ...]]:
    """The snapshot without the orders that are over by now, and those orders closed."""
    closed = before_deciding(snapshot.ledger.open_orders, now)
    return _without(snapshot, closed), closed


def settle(snapshot: Snapshot, now: datetime) -> Snapshot:
    """The snapshot with its open import explained by the newest reading."""
    row = explain(snapshot, now)
    return snapshot if isinstance(row, Absent) else with_import(snapshot, row, now)


def with_import(snapshot: Snapshot, row: Import, now: datetime) -> Snapshot:
    """The snapshot after the open import became `row`; a finished one leaves its mark on the ledger."""
    ledger = snapshot.ledger
    match row.state:
        case ImportState.DONE:
            view = last_seen(snapshot.view)
            current = view.current_material if isinstance(view, ObservedKey) else ABSENT
            ledger = replace(
                ledger,
                open_import=row,
                refused_import=ABSENT,
                last_success_at=now,
                material=current if isinstance(ledger.material, Absent) else ledger.material,
                # Of the material at the first import; from then on everything is held against it.
                fingerprint=snapshot.proof.fingerprint
                if isinstance(ledger.fingerprint, Absent) and isinstance(snapshot.proof, Proved)
                else ledger.fingerprint,
            )
        case ImportState.REFUSED:
            ledger = replace(ledger, open_import=row, refused_import=row)
        case _:
            ledger = replace(ledger, open_import=row)
    return replace(snapshot, ledger=ledger)


def with_order(snapshot: Snapshot, order: Order) -> Snapshot:
    """The snapshot with an open order that got further."""
    orders = tuple(order if each.id == order.id else each for each in snapshot.ledger.open_orders)
    return replace(snapshot, ledger=replace(snapshot.ledger, open_orders=orders))


def conclude(
    *, before: Snapshot, after: Snapshot, orders: tuple[Order, ...], now: datetime, epoch: int, new_id: NewId
) -> tuple[Change, Decision]:
    """Decide on `after` and build the change that takes the record from `before` there.

    `orders` are those that changed on the way.
    """
    row = after.ledger.open_import
    ended: Import | Absent = ABSENT
    if not isinstance(row, Absent) and not row.state.open:
        ended = row
        after = replace(after, ledger=replace(after.ledger, open_import=ABSENT))
        closed = answered(after.ledger.open_orders, row, now)
        after, orders = _without(after, closed), orders + closed
    the = case(after, now)
    decision = decided(the)
    queued = queue(after, decision, now, new_id)
    imports = tuple(each for each in (ended, queued) if not isinstance(each, Absent))
    orders += after_deciding(after.ledger.open_orders, reason=decision.reason, message=decision.message, now=now)
    conditions = compare(before.conditions, decision.conditions, now)
    raised = tuple(
        OpenCondition(id=new_id(), subject=after.ref, condition=each, since=now) for each in conditions.raised
    )
    ledger = replace(
        after.ledger,
        open_import=queued if not isinstance(queued, Absent) and queued.state.open else ABSENT,
        last_expiry=the.expiry if the.loss is Loss.NONE else after.ledger.last_expiry,
        lost_at=_lost_at(after.ledger, the.loss, now),
    )
    change = Change(
        epoch=epoch,
        snapshot=replace(after, ledger=ledger),
        tier=decision.tier,
        reason=decision.reason.value,
        message=decision.message,
        due_at=decision.wake_at,
        imports=tuple(each for each in imports if each != before.ledger.open_import),
        orders=orders,
        conditions=raised + conditions.changed + conditions.resolved,
        # The import that just ended is the cause of what the reading shows.
        history=transitions(
            before, the if isinstance(ended, Absent) else replace(the, snapshot=_with_row(after, ended))
        )
        + _import_history(before, imports, now)
        + tuple(_order_history(order, now) for order in orders if order.state is not OrderState.OPEN),
    )
    return change, decision


def on_record(change: Change) -> Snapshot:
    """What the store gives back for the key after this change was saved."""
    changed = {each.id: each for each in change.conditions}
    known = {each.id: each for each in change.snapshot.conditions} | changed
    still_open = tuple(each for each in known.values() if isinstance(each.resolved_at, Absent))
    changed_orders = {order.id: order for order in change.orders}
    orders = (changed_orders.get(order.id, order) for order in change.snapshot.ledger.open_orders)
    still_ordered = tuple(order for order in orders if order.state is OrderState.OPEN)
    ledger = replace(change.snapshot.ledger, open_orders=still_ordered)
    return replace(change.snapshot, conditions=still_open, ledger=ledger)


def queue(snapshot: Snapshot, decision: Decision, now: datetime, new_id: NewId) -> Import | Absent:
    """The open row of the queue after a decision: new, kept, brought forward, cancelled, or none."""
    row, wanted = snapshot.ledger.open_import, decision.action
    if not isinstance(wanted, ImportWanted):
        if isinstance(row, Absent) or row.state is ImportState.RUNNING:
            return row
        if not decision.cancel:
            # It cannot be carried out before the key is looked at again; ready until then, it would only burn the pace.
            return replace(row, not_before=max(row.not_before, decision.wake_at))
        return replace(row, state=ImportState.CANCELLED, finished_at=now, detail=decision.cancel)
    if isinstance(row, Absent):
        return Import(
            id=new_id(),
            ref=snapshot.ref,
            lane=snapshot.desired.lane,
            material=wanted.material,
            state=ImportState.QUEUED,
            reason=wanted.reason.value,
            tier=wanted.tier,
            expiry=wanted.expiry,
            deadline=wanted.deadline,
            not_before=now,
            attempts=0,
            created_at=now,
            order_id=wanted.order_id,
            priority=snapshot.desired.policy.priority,
        )
    row = replace(row, priority=snapshot.desired.policy.priority)
    if row.tier is wanted.tier and row.order_id == wanted.order_id:
        return replace(row, not_before=min(row.not_before, now)) if row.state is ImportState.QUEUED else row
    hurried = wanted.tier in (Tier.EMERGENCY, Tier.LAPSED) or wanted.order_id is not ABSENT
    return replace(
        row,
        tier=wanted.tier,
        reason=wanted.reason.value,
        deadline=min(row.deadline, wanted.deadline),
        order_id=wanted.order_id,
        not_before=min(row.not_before, now) if hurried else row.not_before,
    )


def _without(snapshot: Snapshot, closed: tuple[Order, ...]) -> Snapshot:
    orders = without(snapshot.ledger.open_orders, closed)
    return replace(snapshot, ledger=replace(snapshot.ledger, open_orders=orders))


def _lost_at(ledger: Ledger, loss: Loss, now: datetime) -> datetime | Absent:
    if loss in (Loss.NONE, Loss.VIRGIN):
        return ABSENT
    return now if isinstance(ledger.lost_at, Absent) else ledger.lost_at


def _with_row(snapshot: Snapshot, row: Import) -> Snapshot:
    return replace(snapshot, ledger=replace(snapshot.ledger, open_import=row))


def _import_history(before: Snapshot, imports: tuple[Import, ...], now: datetime) -> tuple[HistoryEntry, ...]:
    known = before.ledger.open_import
    entries = []
    for row in imports:
        same = not isinstance(known, Absent) and known.id == row.id
        entry = of_import(known if same else ABSENT, row, now)
        if entry is not None:
            entries.append(entry)
    return tuple(entries)


def _order_history(order: Order, now: datetime) -> HistoryEntry:
    detail = f"{order.kind.value}: {order.state.value}" + (f" ({order.outcome})" if order.outcome else "")
    return HistoryEntry(at=now, ref=order.ref, event=HistoryEvent.ORDER_CLOSED, detail=detail, cause=f"by {order.by}")
