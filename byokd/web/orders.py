"""Orders: what an operator asks for, checked, written as rows, and told to the engine by a nudge.

An order is refused here only for what is plain at once: an unknown key, a release of nothing, an import into a key that
is suspended. Whether the key's state lets the order be carried out is the engine's to find, and its answer closes the
order. A nudge that gets lost costs nothing: the store makes the key due.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from byokd.decide.transitions import of_order
from byokd.errors import OrderRefused
from byokd.facts.change import KeyFilter
from byokd.facts.key import Absent, KeyRef
from byokd.facts.ledger import HistoryEntry, HistoryEvent, ImportState, Order, OrderKind, OrderState
from byokd.facts.policy import Lane
from byokd.facts.snapshot import Snapshot
from byokd.ports import NewId, Store
from byokd.web.answers import Cursor, NotOneKey, lane_meant, one_key
from byokd.web.refusals import Refusal, not_one, unfit
from byokd.web.requests import Request

EVERY: Final = 1_000_000
"""Of what is not closed, everything: a lane may have a hundred thousand keys."""
CHUNK: Final = 1000
"""Keys whose record is read at once."""
_UNDONE_BY: Final = {OrderKind.HOLD: "release", OrderKind.SUSPEND: "resume"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a request came to."""

    orders: tuple[Order, ...]
    refused: tuple[tuple[KeyRef, Refusal], ...]
    """Keys of a fleet or lane that the order makes no sense for, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Takes orders for a store."""

    store: Store
    now: Callable[[], datetime]
    new_id: NewId
    wake: Callable[[], None]
    cursor: Cursor
    approval: Callable[[], Collection[OrderKind]]
    """The kinds of orders that a second person must approve."""
    lanes: Callable[[], Sequence[Lane]]
    """Those of the config in force."""

    async def give(self, request: Request, *, by: str) -> Given:
        """Put an order on record for each key that is meant, all or none, and nudge the engine.

        Where a second person must approve it, it is proposed, and not in force. A dry run writes nothing.

        Raises:
            OrderRefused: there is no such key, or none that the order makes sense for; nothing was written.
            StoreError: it could not be written.
        """
        now = self.now()
        orders, refused = [], []
        needs_approval = request.kind in self.approval()
        proposed = await self._proposed(request.kind) if needs_approval else {}
        async for snapshot in self._meant(request):
            if before := proposed.get(snapshot.ref):
                step = f"Another person approves it, or `byokd cancel {before.id}` takes it back."
                refused.append((snapshot.ref, Refusal(f"{before.by} has proposed it already", step)))
            elif why := unfit(request.kind, snapshot, now, lose=request.lose):
                refused.append((snapshot.ref, why))
            else:
                state = OrderState.PROPOSED if needs_approval else OrderState.OPEN
                orders.append(self._order(request, snapshot.ref, state, by=by, now=now))
        if not orders:
            raise _refusal(refused, f"{request.meant} has no keys", "`byokd keys` lists the keys and their fleets.")
        if not request.dry_run:
            await self.store.add_orders([(order, of_order(order)) for order in orders])
            self.wake()
        return Given(orders=tuple(orders), refused=tuple(refused))

    async def approve(self, request: Request, *, by: str) -> Given:
        """Put the proposed orders of a kind in force for the keys that are meant, as if they were given now.

        Raises:
            OrderRefused: there is none, none that somebody else proposed, or none that makes sense any more.
            StoreError: it could not be written.
        """
        now = self.now()
        orders, refused = [], []
        proposed = await self._proposed(request.kind)
        async for snapshot in self._meant(request):
            if (order := proposed.get(snapshot.ref)) is None:
                continue
            if order.by == by:
                step = f"`byokd cancel {order.id}` takes it back."
                refused.append((snapshot.ref, Refusal(f"{by} proposed it: another person must approve it", step)))
            elif why := unfit(request.kind, snapshot, now, lose=order.lose):
                refused.append((snapshot.ref, why))
            else:
                given = f"{order.by}, approved by {by}"
                orders.append(replace(order, state=OrderState.OPEN, by=given, created_at=now))
        if not orders:
            none = f"no {request.kind.value} is proposed for {request.meant}"
            raise _refusal(refused, none, "`byokd orders` lists what is proposed.")
        if not request.dry_run:
            await self.store.approve_orders([(order, of_order(order)) for order in orders])
            self.wake()
        return Given(orders=tuple(orders), refused=tuple(refused))

    async def cancel(self, order_id: str, *, by: str) -> Order:
        """Take back an order that byokd has not begun to carry out. Raises `OrderRefused` where it has."""
        order = await self.store.order(order_id)
        if isinstance(order, Absent):
            raise OrderRefused(f"there is no order {order_id!r}", "`byokd orders --all` lists them with their ids.")
        if (refusal := await self._begun(order)) is not None:
            raise refusal.about(f"{order.kind.value} of {order.ref}")
        now = self.now()
        cancelled = replace(order, state=OrderState.CANCELLED, closed_at=now, outcome=f"cancelled by {by}")
        entry = HistoryEntry(
            at=now,
            ref=order.ref,
            event=HistoryEvent.ORDER_CLOSED,
            detail=f"{order.kind.value}: cancelled",
            cause=f"by {by}",
        )
        await self.store.cancel_order(cancelled, entry)
        self.wake()
        return cancelled

    async def _begun(self, order: Order) -> Refusal | None:
        """Why an order cannot be taken back; None where it can."""
        if order.state not in (OrderState.OPEN, OrderState.PROPOSED):
            return Refusal(f"it is {order.state.value} already", f"`byokd history {order.ref}` tells how that came.")
        if order.state is OrderState.OPEN and (undo := _UNDONE_BY.get(order.kind)):
            return Refusal(f"a {order.kind.value} is not cancelled", f"`byokd {undo} {order.ref}` ends it.")
        if order.state is OrderState.OPEN and order.by_period:
            step = f"`byokd hold {order.ref}`, or change `rotate_every` in its policy."
            return Refusal("`rotate_every` would order it again", step)
        for snapshot in await self.store.snapshots([order.ref]):
            if any(row.order_id == order.id and row.state is ImportState.RUNNING for row in snapshot.open_imports):
                return Refusal("its import has begun", f"`byokd show {order.ref}` tells what becomes of it.")
            if order.kind is OrderKind.ROTATE and not isinstance(order.effective_at, Absent):
                return Refusal("KMS was asked to rotate", f"`byokd show {order.ref}` tells what becomes of it.")
        return None

    async def _proposed(self, kind: OrderKind) -> dict[KeyRef, Order]:
        orders = await self.store.orders(only_open=True, limit=EVERY)
        return {order.ref: order for order in orders if order.state is OrderState.PROPOSED and order.kind is kind}

    async def _meant(self, request: Request) -> AsyncIterator[Snapshot]:
        if request.key:
            ref = await one_key(self.store, request.key)
            if isinstance(ref, NotOneKey):
                raise not_one(ref)
            found = await self.store.snapshots([ref])
            if not found:
                raise not_one(NotOneKey(request.key, ()))
            yield found[0]
            return
        which = KeyFilter(fleet=request.fleet, lane=lane_meant(self.lanes(), request.lane))
        after = ""
        while lines := await self.store.list_keys(which, limit=CHUNK, after=after):
            for snapshot in await self.store.snapshots([line.ref for line in lines]):
                yield snapshot
            after = self.cursor(lines[-1])

    def _order(self, request: Request, ref: KeyRef, state: OrderState, *, by: str, now: datetime) -> Order:
        return Order(
            id=self.new_id(),
            ref=ref,
            kind=request.kind,
            state=state,
            by=by,
            why=request.why,
            created_at=now,
            until=request.until,
            valid_to=request.valid_to,
            lose=request.lose,
        )


def _refusal(refused: Sequence[tuple[KeyRef, Refusal]], else_why: str, else_step: str) -> OrderRefused:
    """What to tell where nothing was ordered: of the first key, why not, or that none was meant."""
    for ref, refusal in refused:
        return refusal.about(ref)
    return OrderRefused(else_why, else_step)
