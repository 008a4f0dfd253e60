"""What changed between two readings of a key, as lines of its history; and conditions raised, changed and resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from byokd.decide.case import Case, Loss
from byokd.facts.condition import Condition, OpenCondition
from byokd.facts.key import ABSENT, NEVER, Absent, Expiry, KeyRef, NeverLooked, last_seen
from byokd.facts.ledger import HistoryEntry, HistoryEvent, Import, ImportState, Order, OrderState, Probe
from byokd.facts.moment import in_words
from byokd.facts.snapshot import Snapshot

TO: Final = " → "
"""Between what was and what is."""
UNSEEN: Final = "not seen before"
"""In place of a state, at the first look. `byokd.decide.recall` reads these lines again."""


def of_key(before: Snapshot, the: Case) -> Iterator[HistoryEntry]:
    """What `the` case shows of the key as a whole and `before` did not, each with its cause."""
    ref, now = before.ref, the.now
    alias = before.desired.alias is not ABSENT
    if (
        alias
        and isinstance(before.ledger.pinned_arn, Absent)
        and not isinstance(the.snapshot.ledger.pinned_arn, Absent)
    ):
        yield _entry(ref, now, HistoryEvent.PINNED, f"{before.desired.name} is {the.snapshot.ledger.pinned_arn}")
    yield from _of_probe(before.ledger.probe, the)
    seen, old = the.seen, last_seen(before.view)
    if seen is None or seen is old:
        return
    was = UNSEEN if isinstance(old, NeverLooked) else old.state.value
    if isinstance(old, NeverLooked) or old.state is not seen.state:
        yield _entry(ref, now, HistoryEvent.STATE_CHANGED, f"{was}{TO}{seen.state.value}", _cause(the))


def _of_probe(before: Probe | Absent, the: Case) -> Iterator[HistoryEntry]:
    """What came of using the key; a failure once, while it stays the same one."""
    probe = the.snapshot.ledger.probe
    if isinstance(probe, Absent) or probe == before:
        return
    if probe.works:
        yield _entry(the.snapshot.ref, the.now, HistoryEvent.KEY_PROBED, "the key does what it is for")
    elif isinstance(before, Absent) or (before.of, before.code) != (probe.of, probe.code):
        yield _entry(the.snapshot.ref, the.now, HistoryEvent.PROBE_FAILED, probe.message)


def of_material(before: Snapshot, the: Case) -> Iterator[HistoryEntry]:
    """The same of the material that `the` case has at hand."""
    ref, now, place = before.ref, the.now, the.snapshot.place
    was = before.remembered(place)
    which = f"material {place + 1}: " if before.others else ""
    if the.seen_lost and isinstance(was.lost_at, Absent):
        event = HistoryEvent.MATERIAL_LAPSED if the.loss is Loss.LAPSED else HistoryEvent.MATERIAL_DELETED
        yield _entry(ref, now, event, f"{which}ValidTo was {show_expiry(the.expiry)}", _ordered(the))
    if the.seen is None or the.seen is last_seen(before.view):
        return
    last = was.last_expiry
    if the.loss is Loss.NONE and the.expiry is not ABSENT and the.expiry != last:
        text = f"{which}{show_expiry(last)}{TO}{show_expiry(the.expiry)}"
        yield _entry(ref, now, HistoryEvent.EXPIRY_CHANGED, text, _cause(the))


def _cause(the: Case) -> str:
    row = the.snapshot.ledger.open_import
    if the.loss is not Loss.NONE:
        return {Loss.VIRGIN: "", Loss.STOCK: "", Loss.LAPSED: "its ValidTo passed"}.get(
            the.loss, _ordered(the) or "deleted by someone else"
        )
    if isinstance(row, Absent) or row.state not in (ImportState.RUNNING, ImportState.DONE):
        return "by someone else" if the.snapshot.ledger.last_expiry is not ABSENT else ""
    return f"import {row.id}"


def _ordered(the: Case) -> str:
    """The cause of a loss that somebody ordered; empty for any other."""
    order = the.snapshot.ledger.suspension
    return "" if isinstance(order, Absent) or the.loss is not Loss.DELETED else f"suspended by {order.by}"


def of_import(before: Import | Absent, after: Import, now: datetime) -> HistoryEntry | None:
    """The line that a step of an import leaves, if it took one."""
    if not isinstance(before, Absent) and before.state is after.state and before.attempts == after.attempts:
        return None
    event, text = _step(after)
    return _entry(after.ref, now, event, text, f"import {after.id}: {after.reason}")


def _step(row: Import) -> tuple[HistoryEvent, str]:
    to, attempt = f"to {show_expiry(row.expiry)}", f"attempt {row.attempts}"
    match row.state:
        case ImportState.QUEUED:
            return HistoryEvent.IMPORT_QUEUED, f"{to}, before {in_words(row.deadline)}"
        case ImportState.RUNNING:
            return HistoryEvent.IMPORT_STARTED, f"{to}, {attempt}"
        case ImportState.FAILED:
            return HistoryEvent.IMPORT_FAILED, f"{attempt}: {row.detail}"
        case ImportState.REFUSED:
            return HistoryEvent.IMPORT_REFUSED, row.detail
        case ImportState.CANCELLED:
            return HistoryEvent.IMPORT_CANCELLED, row.detail
        case ImportState.DONE:
            return HistoryEvent.IMPORT_ADOPTED if row.outcome == "adopted" else HistoryEvent.IMPORT_DONE, to


def of_order(order: Order) -> HistoryEntry:
    """The line of an order that is given, or proposed."""
    end = "" if isinstance(order.until, Absent) else f" until {order.until:%Y-%m-%dT%H:%M:%SZ}"
    to = "" if isinstance(order.valid_to, Absent) else f" to {show_expiry(order.valid_to)}"
    lose = " with all its material" if order.lose else ""
    why = f": {order.why}" if order.why else ""
    event = HistoryEvent.ORDER_PROPOSED if order.state is OrderState.PROPOSED else HistoryEvent.ORDER_GIVEN
    return _entry(order.ref, order.created_at, event, f"{order.kind.value}{lose}{end}{to}{why}", f"order of {order.by}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionChange:
    """What a new set of true conditions does to the open ones."""

    raised: tuple[Condition, ...]
    """Not open yet: the caller gives them an id."""
    changed: tuple[OpenCondition, ...]
    """Of another severity or stage."""
    reworded: tuple[OpenCondition, ...]
    """Only the sentence is another one: the record is to be true, and people need not be told the same again."""
    resolved: tuple[OpenCondition, ...]


def compare(open_now: Sequence[OpenCondition], true_now: Sequence[Condition], now: datetime) -> ConditionChange:
    """Hold the conditions that are true at `now` against those on record, by kind."""
    if not open_now and not true_now:
        return _NO_CHANGE
    known = {each.condition.kind: each for each in open_now}
    true = {each.kind: each for each in true_now}
    other = [(known[kind], each) for kind, each in true.items() if kind in known and known[kind].condition != each]
    return ConditionChange(
        raised=tuple(each for kind, each in true.items() if kind not in known),
        changed=tuple(replace(was, condition=each) for was, each in other if _weight(was.condition) != _weight(each)),
        reworded=tuple(replace(was, condition=each) for was, each in other if _weight(was.condition) == _weight(each)),
        resolved=tuple(replace(each, resolved_at=now) for kind, each in known.items() if kind not in true),
    )


_NO_CHANGE: Final = ConditionChange(raised=(), changed=(), reworded=(), resolved=())


def _weight(condition: Condition) -> tuple[int, str]:
    """What is news where it changes."""
    return int(condition.severity), condition.stage


def show_expiry(expiry: Expiry | Absent) -> str:
    """An expiry in words."""
    if expiry is NEVER:
        return "never"
    return "none" if isinstance(expiry, Absent) else in_words(expiry)


def _entry(ref: KeyRef, at: datetime, event: HistoryEvent, detail: str, cause: str = "") -> HistoryEntry:
    return HistoryEntry(at=at, ref=ref, event=event, detail=detail, cause=cause)
