"""The part of the store in dictionaries that is about operators' orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from byokd.errors import OrderRefused
from byokd.facts.key import ABSENT, Absent, KeyRef
from byokd.facts.ledger import HistoryEntry, Order, OrderState


class OrderedKey(Protocol):
    """What is needed of a key on record."""

    managed: bool
    orders: dict[str, Order]


class MemoryOrders:
    """Orders of keys; the methods that the port has are described there."""

    _keys: Mapping[KeyRef, Any]
    _history: list[HistoryEntry]

    async def add_orders(self, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
        for order, _ in given:
            key = self._keys.get(order.ref)
            if key is None or not key.managed:
                raise OrderRefused(f"{order.ref} is not a key of the config")
        for order, entry in given:
            self._keys[order.ref].orders[order.id] = order
            self._history.append(entry)
            self._wake(self._keys[order.ref], order.created_at)

    async def approve_orders(self, given: Sequence[tuple[Order, HistoryEntry]]) -> None:
        for order, _ in given:
            known = await self.order(order.id)
            if isinstance(known, Absent) or known.state is not OrderState.PROPOSED:
                raise OrderRefused(f"the order {order.id} is not proposed any more")
        for order, entry in given:
            known = self._keys[order.ref].orders[order.id]
            self._keys[order.ref].orders[order.id] = replace(
                known, state=OrderState.OPEN, by=order.by, created_at=order.created_at
            )
            self._history.append(entry)
            self._wake(self._keys[order.ref], order.created_at)

    async def cancel_order(self, order: Order, entry: HistoryEntry) -> None:
        known = await self.order(order.id)
        if isinstance(known, Absent) or isinstance(known.closed_at, datetime):
            raise OrderRefused(f"the order {order.id} is not open any more")
        assert isinstance(order.closed_at, datetime)
        self._keys[order.ref].orders[order.id] = replace(order, state=OrderState.CANCELLED)
        self._history.append(entry)
        self._wake(self._keys[order.ref], order.closed_at)

    async def order(self, order_id: str) -> Order | Absent:
        return next((key.orders[order_id] for key in self._keys.values() if order_id in key.orders), ABSENT)

    async def orders(self, *, ref: KeyRef | None = None, only_open: bool, limit: int) -> tuple[Order, ...]:
        keys: Sequence[OrderedKey] = tuple(self._keys.values()) if ref is None else (self._keys[ref],)
        found = [each for key in keys for each in key.orders.values() if each.closed_at is ABSENT or not only_open]
        return tuple(sorted(found, key=lambda each: each.id, reverse=True)[:limit])

    def _wake(self, key: Any, at: datetime) -> None:
        raise NotImplementedError
