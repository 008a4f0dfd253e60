"""What a cycle leaves behind: one change, built from the snapshot before, the snapshot after and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any

from byokd.decide.backoff import retry_at
from byokd.decide.case import Case, Loss, case
from byokd.decide.decide import decide, decided
from byokd.decide.intents import explain
from byokd.decide.materials import in_stock, managed_material
from byokd.decide.orders import (
    after_deciding,
    answered,
    awaiting,
    before_deciding,
    imported,
    rotated,
    stamped,
    without,
)
from byokd.decide.period import taken_back
from byokd.decide.several import merged
from byokd.decide.transitions import compare, of_import, of_key, of_material, of_order
from byokd.errors import ByokdError, MaterialDiffers, Remedy, Throttled
from byokd.facts.change import Change
from byokd.facts.condition import OpenCondition
from byokd.facts.key import ABSENT, Absent, MaterialId, View
from byokd.facts.ledger import (
    BY_PERIOD,
    HistoryEntry,
    HistoryEvent,
    Import,
    ImportState,
    Order,
    OrderKind,
    OrderState,
    Proved,
    Remembered,
    Tier,
)
from byokd.facts.snapshot import Decision, ImportWanted, OrderWanted, Snapshot
from byokd.ports import NewId


def prepare(snapshot: Snapshot, now: datetime, *, was: View) -> tuple[Snapshot, tuple[Order, ...]]:
    """The snapshot without the orders that are over by now, and the orders that changed: those closed, and stamped.

    `was` is the reading before.
    """
    if not snapshot.ledger.open_orders:
        return snapshot, ()  # nearly always
    closed = before_deciding(snapshot.ledger.open_orders, snapshot.view, now)
    anew = stamped(without(snapshot.ledger.open_orders, closed), now)
    for each in anew:
        snapshot = with_order(snapshot, each)
    closed += rotated(without(snapshot.ledger.open_orders, closed), snapshot.view, now, was=was)
    left = _without(snapshot, closed)
    back = taken_back(left, now)
    return _without(left, back), anew + closed + back


def settle(snapshot: Snapshot, now: datetime) -> Snapshot:
    """The snapshot with the open imports of all its materials explained by the newest reading."""
    if not snapshot.open_imports:
        return snapshot
    at_hand = snapshot.place
    sent = [place for place in snapshot.places if not isinstance(snapshot.remembered(place).open_import, Absent)]
    for place in sent:
        snapshot = snapshot.turned_to(place)
        row = explain(snapshot, now)
        if not isinstance(row, Absent) and row is not snapshot.ledger.open_import:
            snapshot = with_import(snapshot, row, now)
    return snapshot.turned_to(at_hand)


def as_named(seen: Snapshot, settled: Snapshot, row: Import, named: MaterialId | Absent, now: datetime) -> Snapshot:
    """The settled snapshot, unless KMS shows the import done by another KeyMaterialId than it answered with."""
    ended, shown = settled.ledger.open_import, managed_material(settled)
    done = not isinstance(ended, Absent) and ended.state is ImportState.DONE
    if not done or ABSENT in (named, shown) or named == shown:
        return settled
    error = MaterialDiffers(f"KMS took the material as {named}, and shows {shown}")
    return with_import(seen, failed(seen, row, error, now), now)


def has_ended(snapshot: Snapshot) -> bool:
    """Whether an import of any material has ended and is still to be put on record."""
    return any(not row.state.open for row in snapshot.open_imports)


def with_import(snapshot: Snapshot, row: Import, now: datetime) -> Snapshot:
    """The snapshot after the open import became `row`; a finished one leaves its mark on the ledger."""
    ledger = snapshot.ledger
    match row.state:
        case ImportState.DONE:
            ledger = replace(
                ledger,
                open_import=row,
                refused_import=ABSENT,
                last_success_at=now,
                last_expiry=row.expiry,
                material=managed_material(snapshot),
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


def failed(intended: Snapshot, row: Import, error: ByokdError, now: datetime) -> Import:
    """What an error makes of the intent."""
    match error.remedy:
        case Remedy.LOOK_AGAIN:
            return row
        case Remedy.REFUSE:
            return replace(
                row,
                state=ImportState.REFUSED,
                finished_at=now,
                outcome=error.code,
                detail=f"{error} → {error.step}",
            )
        case Remedy.LATER | Remedy.FRESH_TOKEN:
            the = case(intended, now)
            # A throttled request was the lane's mistake and not the key's: its count does not grow.
            attempts = row.attempts - 1 if isinstance(error, Throttled) else row.attempts
            again = retry_at(
                who=row.ref, failures=max(1, attempts), now=now, deadline=row.deadline, emergency=the.emergency
            )
            return replace(
                row,
                state=ImportState.FAILED,
                attempts=attempts,
                not_before=again,
                outcome=error.code,
                detail=str(error),
            )


def with_order(snapshot: Snapshot, order: Order) -> Snapshot:
    """The snapshot with an open order that got further, or was closed."""
    orders = tuple(order if each.id == order.id else each for each in snapshot.ledger.open_orders)
    orders = tuple(each for each in orders if each.state is OrderState.OPEN)
    return replace(snapshot, ledger=replace(snapshot.ledger, open_orders=orders))


def with_rotation(snapshot: Snapshot, wanted: OrderWanted, now: datetime, new_id: NewId) -> Snapshot:
    """The snapshot with an order of byokd's own to rotate; it is given when a change with it is saved."""
    order = Order(
        id=new_id(),
        ref=snapshot.ref,
        kind=OrderKind.ROTATE,
        state=OrderState.OPEN,
        by=BY_PERIOD,
        why=wanted.why,
        created_at=now,
    )
    ledger = snapshot.ledger
    return replace(snapshot, ledger=replace(ledger, open_orders=(*ledger.open_orders, order)))


def conclude(
    *,
    before: Snapshot,
    after: Snapshot,
    orders: tuple[Order, ...],
    now: datetime,
    epoch: int,
    new_id: NewId,
    said: Decision | None = None,
) -> tuple[Change, Decision]:
    """Decide on `after` and build the change that takes the record from `before` there.

    `orders` are those that changed on the way; what is open in `after` and not in `before` is given. `said` is what was
    decided on `after` at `now` already, if it was.
    """
    known_orders = {order.id for order in before.ledger.open_orders}
    given = tuple(order for order in after.ledger.open_orders if order.id not in known_orders)
    ended = {
        place: row
        for place in after.places
        if not isinstance(row := after.remembered(place).open_import, Absent) and not row.state.open
    }
    closed = _answered(after, tuple(ended.values()), now)
    after, orders = _without(after, closed), orders + closed
    still_true = said if not ended and not closed else None
    parts = []
    for place in after.places:
        known = still_true and (still_true.parts[place] if after.others else still_true)
        part = _about_material(before, after.turned_to(place), ended.get(place), now, new_id, known)
        parts.append(part)
        after = part.after
    decision = merged([part.decision for part in parts])
    after, true_now = after.turned_to(decision.place), decision.conditions
    further = _further(after.ledger.open_orders, [(part.shown, part.decision) for part in parts], now)
    if further:
        # A condition may say what an order waits for.
        orders, true_now = orders + further, decide(reduce(with_order, further, after), now).conditions
    conditions = compare(before.conditions, true_now, now)
    raised = tuple(
        OpenCondition(id=new_id(), subject=after.ref, condition=each, since=now) for each in conditions.raised
    )
    first = parts[decision.place].shown
    change = Change(
        epoch=epoch,
        snapshot=after,
        tier=decision.tier,
        reason=decision.reason.value,
        message=decision.message,
        due_at=decision.wake_at,
        imports=tuple(row for part in parts for row in part.imports if row not in before.open_imports),
        orders=orders,
        given=given,
        conditions=raised + conditions.changed + conditions.resolved,
        reworded=conditions.reworded,
        history=tuple(of_key(before, first))
        + tuple(of_order(order) for order in given)
        + tuple(entry for part in parts for entry in part.history)
        + tuple(_order_history(order, now) for order in orders if order.state is not OrderState.OPEN),
    )
    return change, decision


def _further(orders: tuple[Order, ...], said: Sequence[tuple[Case, Decision]], now: datetime) -> tuple[Order, ...]:
    """The open orders that the decisions about the key's materials answer, or make to wait for something else."""
    if not orders:
        return ()  # nearly always
    answers = {
        order.id: order
        for _, each in said
        for order in after_deciding(orders, reason=each.reason, message=each.message, now=now)
    }
    return (*answers.values(), *awaiting([answers.get(each.id, each) for each in orders], said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a change says of one of the key's materials."""

    after: Snapshot
    """With this material at hand, and what was decided on record."""
    shown: Case
    """What the reading shows, with the import that just ended, which is the cause of it."""
    decision: Decision
    imports: tuple[Import, ...]
    history: tuple[HistoryEntry, ...]


def _about_material(
    before: Snapshot, after: Snapshot, ended: Import | None, now: datetime, new_id: NewId, said: Decision | None
) -> _Part:
    shows = after
    if ended is not None:
        after = replace(after, ledger=replace(after.ledger, open_import=ABSENT))
    the = case(after, now)
    decision = decided(the) if said is None else said
    queued = queue(after, decision, now, new_id)
    remembered: dict[str, Any] = {
        "material": _named(the, queued),
        "open_import": queued if not isinstance(queued, Absent) and queued.state.open else ABSENT,
        "last_expiry": the.expiry if the.loss in (Loss.NONE, Loss.STOCK) else after.ledger.last_expiry,
        "lost_at": _lost_at(the),
    }
    news = {name: value for name, value in remembered.items() if value != getattr(after.ledger, name)}
    shown = the if ended is None else replace(the, snapshot=shows)
    imports = tuple(each for each in (ended, queued) if each is not None and not isinstance(each, Absent))
    return _Part(
        after=replace(after, ledger=replace(after.ledger, **news)) if news else after,
        shown=shown,
        decision=decision,
        imports=imports,
        history=tuple(of_material(before, shown)) + _import_history(before.remembered(after.place), imports, now),
    )


def _named(the: Case, row: Import | Absent) -> MaterialId | Absent:
    """The name that goes on record for a material of several, by which its rows are told from those of the others.

    None while it has a row without one: it has no name yet, or KMS has forgotten what waited for its rotation.
    """
    known = the.snapshot.ledger.material
    if not the.snapshot.others:
        return known
    if not isinstance(row, Absent) and row.state.open and row.material is ABSENT:
        return ABSENT
    return known if the.material is ABSENT else the.material


def _answered(after: Snapshot, ended: tuple[Import, ...], now: datetime) -> tuple[Order, ...]:
    """The import orders that these rows answer: of a key with several materials, when it is so for all of them."""
    orders = after.ledger.open_orders
    if not orders:
        return ()  # nearly always
    closed = tuple(order for row in ended for order in answered(orders, row, now))
    if not after.others:
        return closed
    refused = {order.id: order for order in closed if order.state is OrderState.REFUSED}
    stock = in_stock(after)
    needed = [case(after.turned_to(place), now) for place in after.places if place not in stock]
    return (*refused.values(), *imported(without(orders, tuple(refused.values())), needed, now))


def on_record(change: Change) -> Snapshot:
    """What the store gives back for the key after this change was saved."""
    if not (change.conditions or change.reworded or change.orders):
        return change.snapshot  # nearly always
    changed = {each.id: each for each in (*change.conditions, *change.reworded)}
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
    if row.state is not ImportState.RUNNING:
        # Somebody may have moved it, within the tier too.
        row = replace(row, deadline=min(row.deadline, wanted.deadline))
    if row.tier is wanted.tier and row.order_id == wanted.order_id:
        return replace(row, not_before=min(row.not_before, now)) if row.state is ImportState.QUEUED else row
    hurried = wanted.tier in (Tier.EMERGENCY, Tier.LAPSED) or wanted.order_id is not ABSENT
    return replace(
        row,
        tier=wanted.tier,
        reason=wanted.reason.value,
        order_id=wanted.order_id,
        not_before=min(row.not_before, now) if hurried else row.not_before,
    )


def _without(snapshot: Snapshot, closed: tuple[Order, ...]) -> Snapshot:
    if not closed:
        return snapshot  # nearly always, and a copy is dear
    orders = without(snapshot.ledger.open_orders, closed)
    return replace(snapshot, ledger=replace(snapshot.ledger, open_orders=orders))


def _lost_at(the: Case) -> datetime | Absent:
    known = the.snapshot.ledger.lost_at
    if the.loss not in (Loss.LAPSED, Loss.DELETED):
        return ABSENT
    return the.now if isinstance(known, Absent) and the.seen_lost else known


def _import_history(was: Remembered, imports: tuple[Import, ...], now: datetime) -> tuple[HistoryEntry, ...]:
    known = was.open_import
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
