"""Why a key is where it is: what is known of it and since when, the rule that decided, and what would change its mind.

What was known at an earlier moment is rebuilt from the history (`byokd.decide.replay`) and explained in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from byokd.config.problems import Unfit
from byokd.config.quantities import parse_duration
from byokd.decide.orders import before_deciding, without
from byokd.decide.recall import as_of, expiries, in_config, states
from byokd.decide.replay import NotKnown, replay
from byokd.decide.transitions import show_expiry
from byokd.decide.why import Explanation, Why, why
from byokd.errors import OperatorError
from byokd.facts.key import ABSENT, Absent, Blind, ObservedKey, last_seen
from byokd.facts.ledger import Import, ImportState, Proof, Proved, Unproved
from byokd.facts.past import Past
from byokd.facts.snapshot import Snapshot
from byokd.web.documents import Document, moment, stamp

UNTIMED: Final = ("could_not_look", "source_unproved")
"""Rules whose next attempt no line of the history tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One thing that byokd knows of a key."""

    what: str
    value: str
    since: datetime | Absent = ABSENT
    """ABSENT where that is no longer on record, and of what happened at one moment."""
    at: datetime | Absent = ABSENT
    """Of what happened at one moment."""
    cause: str = ""
    place: int | None = None
    """Of which of several materials."""


def moment_asked(text: str, now: datetime) -> datetime:
    """The moment that a person asks about: a time with a zone, or how long ago. Raises OperatorError."""
    try:
        if text[:4].isdigit() and "-" in text:
            at = moment(text).astimezone(UTC).replace(microsecond=0)
        else:
            at = now - parse_duration(text)
    except (Unfit, ValueError, OverflowError):
        raise OperatorError(f"at is {text!r}: write 2026-03-01T12:00:00Z, or how long ago, such as 2h") from None
    if at > now + timedelta(seconds=1):
        raise OperatorError(f"at lies in the future: {stamp(at)} is after {stamp(now)}; `byokd plan` looks ahead")
    return min(at, now)


def explained_now(past: Past, now: datetime) -> Document:
    """The key as it is on record, which is in the config."""
    orders = past.snapshot.ledger.open_orders
    in_force = without(orders, before_deciding(orders, past.snapshot.view, now))
    snapshot = replace(past.snapshot, ledger=replace(past.snapshot.ledger, open_orders=in_force))
    document = _document(past, snapshot, now, replayed=False, assumed=())
    line = past.line
    assert not isinstance(line, Absent)  # the key is in the config
    document["looks_again_at"] = stamp(line.due_at)
    if document["decision"]["reason"] == line.reason:  # its own words have the times that it decided on
        document["decision"]["message"] = line.message
        if len(document["materials"]) == 1:
            document["materials"][0]["message"] = line.message
    return document


def explained_then(past: Past, at: datetime) -> Document:
    """The key as it was at `at`; `unknown` says why that is not on record, if it is not."""
    found = replay(past, at)
    if isinstance(found, NotKnown):
        return _head(past, at, replayed=True) | {
            "unknown": found.why, "known": [], "decision": None, "materials": [], "assumed": [], "looks_again_at": None,
        }  # fmt: skip
    return _document(past, found.snapshot, at, replayed=True, assumed=found.assumed)


def _head(past: Past, at: datetime, *, replayed: bool) -> Document:
    desired = past.snapshot.desired
    return {
        "ref": desired.ref,
        "name": desired.name,
        "fleet": desired.fleet,
        "lane": desired.lane,
        "asked_at": stamp(at),
        "replayed": replayed,
    }


def _document(past: Past, snapshot: Snapshot, at: datetime, *, replayed: bool, assumed: tuple[str, ...]) -> Document:
    found = why(snapshot, at)
    return _head(past, at, replayed=replayed) | {
        "unknown": None,
        "known": [_known(each) for each in known(past, snapshot, at, replayed=replayed)],
        "decision": _decision(found),
        "materials": [_material(each, replayed=replayed) for each in found.materials],
        "assumed": list(assumed),
        "looks_again_at": None,
    }


def _decision(found: Why) -> Document:
    return {
        "reason": found.decision.reason.value,
        "message": found.decision.message,
        "tier": found.decision.tier.value,
        "material": found.decision.place + 1,
        "goes_first": found.goes_first,
    }


def _material(each: Explanation, *, replayed: bool) -> Document:
    timed = not replayed or each.rule not in UNTIMED
    return {
        "material": each.the.snapshot.place + 1,
        "locator": each.the.snapshot.locator,
        "reason": each.decision.reason.value,
        "message": each.verdict.message,
        "tier": each.decision.tier.value,
        "rule": each.rule,
        "rule_says": each.says,
        "waits_for": each.mind.waits_for,
        "until": stamp(each.mind.until) if timed and isinstance(each.mind.until, datetime) else None,
        "changed_by": [
            {"what": way.what, "at": stamp(way.at) if isinstance(way.at, datetime) else None} for way in each.mind.ways
        ],
        "behind": None if each.behind is None else {"reason": each.behind.reason.value, "message": each.behind.message},
    }


def _known(each: Known) -> Document:
    return {
        "what": each.what,
        "material": None if each.place is None else each.place + 1,
        "value": each.value,
        "since": stamp(each.since) if isinstance(each.since, datetime) else None,
        "at": stamp(each.at) if isinstance(each.at, datetime) else None,
        "cause": each.cause,
    }


# -- what is known, and since when ------------------------------------------------------------------------------------


def known(past: Past, snapshot: Snapshot, at: datetime, *, replayed: bool) -> Iterator[Known]:
    """What `snapshot` holds, with the moments from which the history of the key tells it."""
    came = as_of(in_config(past.history), at, True)
    yield Known(what="config", value=f"in the fleet {snapshot.desired.fleet}", since=came.since, cause=came.cause)
    yield from _of_key(past, snapshot, at, replayed=replayed)
    for place in snapshot.places:
        yield from _of_material(past, snapshot.turned_to(place), at, replayed=replayed)
    for order in snapshot.ledger.open_orders:
        told = f"{order.kind.value} by {order.by}" + (f": {order.why}" if order.why else "")
        yield Known(what="order", value=told, since=order.created_at, cause=order.id)
    for open_ in (*past.skews, *snapshot.conditions):
        told = f"{open_.condition.kind.value}: {open_.condition.detail}"
        yield Known(what="condition", value=told, since=open_.since)


def _of_key(past: Past, snapshot: Snapshot, at: datetime, *, replayed: bool) -> Iterator[Known]:
    view = snapshot.view
    seen = last_seen(view)
    if isinstance(seen, ObservedKey):
        was = as_of(states(past.history), at, seen.state)
        yield Known(what="state", value=f"the key is {seen.state.value}", since=was.since, cause=was.cause)
        if not replayed:
            yield Known(what="look", value="last seen", at=seen.at)
    else:
        yield Known(what="state", value="the key was not seen yet")
    if isinstance(view, Blind):
        yield Known(what="look", value=f"could not look: {view.message}", since=view.since)


def _of_material(past: Past, snapshot: Snapshot, at: datetime, *, replayed: bool) -> Iterator[Known]:
    ledger, place = snapshot.ledger, snapshot.place if snapshot.others else None
    if not isinstance(ledger.last_expiry, Absent):
        was = as_of(expiries(past.history, snapshot.place), at, ledger.last_expiry)
        last = "" if isinstance(ledger.lost_at, Absent) else "last "
        told = f"{last}ValidTo {show_expiry(ledger.last_expiry)}"
        yield Known(what="expiry", value=told, since=was.since, cause=was.cause, place=place)
    if isinstance(ledger.lost_at, datetime):
        yield Known(what="material", value="gone", since=ledger.lost_at, place=place)
    if isinstance(ledger.last_success_at, datetime):
        yield Known(what="material", value="last import by byokd", at=ledger.last_success_at, place=place)
    for row in (ledger.open_import, ledger.refused_import):
        if not isinstance(row, Absent):
            yield _import(row, place)
    name = f"source {snapshot.desired.source}: {snapshot.locator}"
    if replayed and isinstance(snapshot.proof, Proved):
        yield Known(what="source", value=f"{name}, no failure on record", place=place)
    else:
        yield _source(snapshot.proof, name, place)


def _import(row: Import, place: int | None) -> Known:
    began = row.created_at if isinstance(row.started_at, Absent) else row.started_at
    since = row.finished_at if row.state is ImportState.REFUSED else began
    told = f"import {row.state.value}" + (f", attempt {row.attempts}" if row.attempts else "")
    return Known(
        what="import",
        value=told + (f": {row.detail}" if row.detail else ""),
        since=since,
        cause=f"import {row.id}: {row.reason}",
        place=place,
    )


def _source(proof: Proof, name: str, place: int | None) -> Known:
    match proof:
        case Proved():
            return Known(what="source", value=f"{name}, proved", at=proof.at, place=place)
        case Unproved():
            return Known(what="source", value=f"{name}, {proof.code}: {proof.message}", since=proof.since, place=place)
        case _:
            return Known(what="source", value=f"{name}, not asked yet", place=place)
