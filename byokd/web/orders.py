"""Orders: what an operator asks for, checked, written as rows, and told to the engine by a nudge.

An order is refused here only for what is plain at once: an unknown key, a release of nothing, an import into a key that
is suspended. Whether the key's state lets the order be carried out is the engine's to find, and its answer closes the
order. A nudge that gets lost costs nothing: the store makes the key due.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeGuard

from byokd.decide.case import CLOCKS_DIFFER
from byokd.decide.orders import rotated_at
from byokd.decide.suspension import cannot_suspend
from byokd.decide.transitions import of_order
from byokd.errors import KeyNotFound, OrderRefused
from byokd.facts.change import KeyFilter
from byokd.facts.key import ABSENT, Absent, Blind, KeyRef, View
from byokd.facts.ledger import HistoryEntry, HistoryEvent, ImportState, Order, OrderKind, OrderState
from byokd.facts.snapshot import Snapshot
from byokd.ports import NewId, Store
from byokd.web import documents
from byokd.web.answers import Cursor, NotOneKey, one_key
from byokd.web.requests import Request

EVERY: Final = 1_000_000
"""Of what is not closed, everything: a lane may have a hundred thousand keys."""
NEW_FOR: Final = timedelta(hours=1)
"""How long a key that was made may not be found: far beyond what AWS says (guide, "eventual consistency": minutes)."""
CHUNK: Final = 1000
"""Keys whose record is read at once."""
_UNDONE_BY: Final = {OrderKind.HOLD: "release", OrderKind.SUSPEND: "resume"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a request came to."""

    orders: tuple[Order, ...]
    refused: tuple[tuple[KeyRef, str], ...]
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
                refused.append((snapshot.ref, f"{before.by} has proposed it already: approve or cancel that"))
            elif why := unfit(request.kind, snapshot, now, lose=request.lose):
                refused.append((snapshot.ref, why))
            else:
                state = OrderState.PROPOSED if needs_approval else OrderState.OPEN
                orders.append(self._order(request, snapshot.ref, state, by=by, now=now))
        if not orders:
            raise OrderRefused(f"{refused[0][0]}: {refused[0][1]}" if refused else f"{request.meant} has no keys")
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
                refused.append((snapshot.ref, f"{by} proposed it: another person must approve it"))
            elif why := unfit(request.kind, snapshot, now, lose=order.lose):
                refused.append((snapshot.ref, why))
            else:
                given = f"{order.by}, approved by {by}"
                orders.append(replace(order, state=OrderState.OPEN, by=given, created_at=now))
        if not orders:
            none = f"no {request.kind.value} is proposed for {request.meant}"
            raise OrderRefused(f"{refused[0][0]}: {refused[0][1]}" if refused else none)
        if not request.dry_run:
            await self.store.approve_orders([(order, of_order(order)) for order in orders])
            self.wake()
        return Given(orders=tuple(orders), refused=tuple(refused))

    async def cancel(self, order_id: str, *, by: str) -> Order:
        """Take back an order that byokd has not begun to carry out. Raises `OrderRefused` where it has."""
        order = await self.store.order(order_id)
        if isinstance(order, Absent):
            raise OrderRefused(f"there is no order {order_id!r}")
        if order.state is OrderState.OPEN and (undo := _UNDONE_BY.get(order.kind)):
            raise OrderRefused(f"a {order.kind.value} is not cancelled: {undo} the key")
        if order.state is OrderState.OPEN and order.by_period:
            raise OrderRefused("`rotate_every` would order it again: hold the key, or change its policy")
        for snapshot in await self.store.snapshots([order.ref]):
            if any(row.order_id == order.id and row.state is ImportState.RUNNING for row in snapshot.open_imports):
                raise OrderRefused(f"the import of order {order.id} has begun")
            if order.kind is OrderKind.ROTATE and not isinstance(order.effective_at, Absent):
                raise OrderRefused(f"KMS was asked to rotate for order {order.id}")
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

    async def _proposed(self, kind: OrderKind) -> dict[KeyRef, Order]:
        orders = await self.store.orders(only_open=True, limit=EVERY)
        return {order.ref: order for order in orders if order.state is OrderState.PROPOSED and order.kind is kind}

    async def _meant(self, request: Request) -> AsyncIterator[Snapshot]:
        if request.key:
            ref = await one_key(self.store, request.key)
            if isinstance(ref, NotOneKey):
                raise OrderRefused(str(ref))
            found = await self.store.snapshots([ref])
            if not found:
                raise OrderRefused(f"{ref} is not a key of the config.")
            yield found[0]
            return
        which = KeyFilter(fleet=request.fleet, lane=request.lane)
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


def unfit(kind: OrderKind, snapshot: Snapshot, now: datetime, *, lose: bool = False) -> str:
    """Why an order makes no sense for a key as it stands; empty where it does."""
    ledger = snapshot.ledger
    held, suspension = _held(ledger.open_orders, now), ledger.suspension
    match kind:
        case OrderKind.IMPORT | OrderKind.SUSPEND | OrderKind.ROTATE if _gone(snapshot.view, now):
            return "KMS has known no such key for an hour and more: take it out of the config, if it was deleted"
        case OrderKind.RELEASE if not held:
            return "no hold is in force: there is nothing to release"
        case OrderKind.RESUME if isinstance(suspension, Absent):
            return "it is not suspended: there is nothing to resume"
        case OrderKind.RESUME if held:
            return "it is held: release it first"
        case OrderKind.IMPORT if not isinstance(suspension, Absent):
            return f"it was suspended by {suspension.by}: resume it"
        case OrderKind.SUSPEND if _under_way(suspension) and not (lose and not suspension.lose):
            return "it is being suspended already"
        case OrderKind.SUSPEND:
            return cannot_suspend(snapshot, lose=lose)
        case OrderKind.ROTATE if not snapshot.others:
            return "the config has one material for it: list all of them in `materials`, and the next one after them"
        case OrderKind.ROTATE if not isinstance(suspension, Absent):
            return f"it was suspended by {suspension.by}: resume it"
        case OrderKind.ROTATE if any(each.kind is OrderKind.ROTATE for each in ledger.open_orders):
            return "it is being rotated already"
        case OrderKind.ROTATE if (at := rotated_at(snapshot.view)) is not ABSENT and now <= at + CLOCKS_DIFFER:
            return f"it was rotated at {documents.stamp(at)}, only just: KMS's clock may differ, so wait a minute"
        case _:
            return ""


def _under_way(suspension: Order | Absent) -> TypeGuard[Order]:
    return not isinstance(suspension, Absent) and isinstance(suspension.effective_at, Absent)


def _gone(view: View, now: datetime) -> bool:
    """Whether KMS does not know the key, and for so long that it cannot be a new one."""
    return isinstance(view, Blind) and view.code == KeyNotFound.code and view.since <= now - NEW_FOR


def _held(orders: Iterable[Order], now: datetime) -> bool:
    holds = (order for order in orders if order.kind is OrderKind.HOLD)
    return any(isinstance(hold.until, Absent) or hold.until > now for hold in holds)
