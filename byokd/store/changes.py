"""The small writes of the port as units of rows: a change to a key, a wake, conditions, notices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from byokd.facts.change import Change
from byokd.facts.condition import Notice, NoticeKind, OpenCondition, Severity
from byokd.facts.key import Absent, KeyRef
from byokd.facts.ledger import ImportState, Order
from byokd.store import writes
from byokd.store.tables.conditions import condition_values, notice_values
from byokd.store.tables.history import entry_values
from byokd.store.tables.imports import import_values
from byokd.store.tables.keys import known_values, material_rows
from byokd.store.tables.orders import order_values
from byokd.store.times import seconds, seconds_or_null
from byokd.store.writer import Lease, Rows, Unit
from byokd.store.writes import Write


def change_unit(change: Change) -> Unit:
    """One change to one key, under its lane's lease."""
    snapshot = change.snapshot
    ref = snapshot.ref
    rows: dict[Write, Rows] = {
        writes.UPDATE_KEY: [
            known_values(snapshot)
            | {
                "of_ref": ref,
                "tier": change.tier.value,
                "reason": change.reason,
                "message": change.message,
                "due_at": seconds(change.due_at),
            }
        ],
    }
    if materials := list(material_rows(snapshot)):
        rows[writes.UPSERT_MATERIAL] = materials
        shown = "".join(f"[{each['material_id']}]" for each in materials)
        rows[writes.FORGET_MATERIALS] = [{"of_ref": ref, "shown": shown}]
    if change.imports:
        # Closed rows first: they make room for an open one of the same material.
        queue = sorted(change.imports, key=lambda row: row.state.open)
        rows[writes.UPSERT_IMPORT] = [import_values(row) for row in queue]
        rows[writes.COUNT_RENEWAL] = [
            {"of_ref": ref, "of_import": row.id} for row in queue if row.state is ImportState.DONE
        ]
    if change.given:
        rows[writes.INSERT_ORDER] = [order_values(order) for order in change.given]
    if change.orders:
        rows[writes.UPDATE_ORDER] = [_order_row(order) for order in change.orders]
    if stated := (*change.conditions, *change.reworded):
        rows[writes.UPSERT_CONDITION] = [condition_values(each) for each in stated]
    if change.history:
        rows[writes.INSERT_HISTORY] = [entry_values(entry) for entry in change.history]
    return Unit(
        subjects=frozenset({ref}),
        rows=rows,
        lease=Lease(lane=snapshot.desired.lane, epoch=change.epoch),
        opens=ref if stated or change.given or any(row.state.open for row in change.imports) else None,
    )


def wake_unit(refs: Sequence[KeyRef], at: datetime) -> Unit:
    """Keys to be due at `at` at the latest."""
    wake_at = seconds(at)
    return Unit(subjects=frozenset(refs), rows={writes.WAKE: [{"of_ref": ref, "wake_at": wake_at} for ref in refs]})


def conditions_unit(conditions: Sequence[OpenCondition]) -> Unit:
    """Conditions to insert or replace."""
    return Unit(
        subjects=frozenset(each.subject for each in conditions),
        rows={writes.UPSERT_CONDITION: [condition_values(each) for each in conditions]},
    )


def notices_unit(
    condition_id: str, notices: Sequence[Notice], *, decided_for: OpenCondition, again_at: datetime | Absent
) -> Unit:
    """New notices of a condition, before which is told what waits; and when to decide again.

    The latter only if the condition is still the same, in whatever words.
    """
    was = condition_values(decided_for)
    row: dict[str, Any] = {
        f"was_{name}": value for name, value in was.items() if name not in ("id", "detail", "notify_at")
    }
    row |= {"of_condition": condition_id, "again_at": seconds_or_null(again_at)}
    return Unit(
        subjects=frozenset({decided_for.subject}),
        rows={
            writes.MADE_BEFORE: [_thread(notice) | _made_before(notice) for notice in notices],
            writes.TOLD_BEFORE: [_made_before(notice) for notice in notices],
            writes.INSERT_NOTICE: [notice_values(notice) for notice in notices],
            writes.HASTEN: [_thread(notice) | _hastened_by(notice) for notice in notices],
            writes.DECIDE_AGAIN: [row],
        },
    )


def replacement_unit(notices: Sequence[Notice]) -> Unit:
    """Notices to replace; those that were sent close what they have overtaken."""
    rows = [notice_values(notice) for notice in notices]
    for row in rows:
        row["of_notice"] = row.pop("id")
    return Unit(
        subjects=frozenset(notice.subject for notice in notices),
        rows={
            writes.OVERTAKE: [
                _thread(notice) | {"by_notice": notice.id, "at": seconds(notice.sent_at)}
                for notice in notices
                if not isinstance(notice.sent_at, Absent) and notice.kind is not NoticeKind.RESOLVED
            ],
            writes.UPDATE_NOTICE: rows,
        },
    )


def tell_anew_unit(channel: str, at_least: Severity, by: datetime) -> Unit:
    """Open conditions that a channel was not told as they are, or that wait for a time later than `by`."""
    row = {"of_channel": channel, "at_least": int(at_least), "by": seconds(by)}
    return Unit(subjects=frozenset(), rows={writes.TELL_ANEW: [row]})


def _thread(notice: Notice) -> dict[str, Any]:
    return {"of_subject": notice.subject, "of_kind": notice.condition.kind.value, "of_channel": notice.channel}


def _made_before(notice: Notice) -> dict[str, Any]:
    made_at = seconds(notice.created_at)
    row = {"new_created_at": made_at, "just_before": made_at - 1}
    return row | {"of_condition": notice.condition_id, "of_channel": notice.channel}


def _hastened_by(notice: Notice) -> dict[str, Any]:
    return {"new_created_at": seconds(notice.created_at), "new_id": notice.id, "at": seconds(notice.not_before)}


def _order_row(order: Order) -> dict[str, Any]:
    return {
        "of_order": order.id,
        "state": order.state.value,
        "created_at": seconds(order.created_at),
        "effective_at": seconds_or_null(order.effective_at),
        "closed_at": seconds_or_null(order.closed_at),
        "outcome": order.outcome,
    }
