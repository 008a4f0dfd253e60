"""Facts as JSON documents: the shape that the API answers with and that `--json` prints.

The documents are a promise to scripts: members may be added, none renamed or taken away. Times are ISO 8601 in UTC
(`2026-03-01T12:00:00Z`), durations are whole seconds in members ending in `_s`, never is `"never"`, and what is known
not to be there is null. Fingerprints stay in the store: nobody needs them here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, assert_never

from byokd.decide.period import current_since, period_ends
from byokd.decide.rotation import ROTATIONS, rotations_left
from byokd.errors import ByokdError
from byokd.facts.change import FleetCounts, KeyLine
from byokd.facts.condition import OpenCondition, Severity
from byokd.facts.key import (
    NEVER,
    NEVER_LOOKED,
    SYMMETRIC,
    Absent,
    Blind,
    Expiry,
    KeyArn,
    KeyRef,
    Never,
    NeverLooked,
    ObservedKey,
    View,
    last_seen,
    region_of,
)
from byokd.facts.ledger import NOT_PROVED, HistoryEntry, Import, ImportState, Order, Proof, Proved, Tier, Unproved
from byokd.facts.policy import Policy
from byokd.facts.snapshot import Snapshot

Document = dict[str, Any]
"""What `json.dumps` takes: text keys over text, numbers, booleans, null, lists and documents."""


def stamp(moment: datetime) -> str:
    """An aware UTC time as ISO 8601 with a Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def moment(text: str) -> datetime:
    """The time that `stamp` wrote. Raises ValueError on anything else than an aware ISO 8601 time."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError("the time has no zone")
    return read


def _time(value: Expiry | Absent) -> str | None:
    match value:
        case Absent.ABSENT:
            return None
        case Never.NEVER:
            return "never"
        case datetime():
            return stamp(value)
        case _:
            assert_never(value)


def _text(value: str | Absent) -> str | None:
    return None if isinstance(value, Absent) else str(value)


def _seconds(value: timedelta | Literal[Never.NEVER]) -> int | str:
    return "never" if value is NEVER else int(value.total_seconds())


def _severity(value: Severity) -> str:
    return value.name.lower()


def error(problem: ByokdError) -> Document:
    """What went wrong, and what a person does next."""
    return {"code": problem.code, "error": str(problem), "step": problem.step}


def key_line(line: KeyLine) -> Document:
    """One key in a list."""
    return {
        "ref": line.ref,
        "name": line.name,
        "fleet": line.fleet,
        "lane": line.lane,
        "arn": _text(line.arn),
        "state": line.state,
        "expires_at": _time(line.expiry),
        "imported_at": _time(line.started_at),
        "tier": line.tier.value,
        "reason": line.reason,
        "message": line.message,
        "severity": None if isinstance(line.severity, Absent) else _severity(line.severity),
        "due_at": stamp(line.due_at),
        "import_state": None if isinstance(line.import_state, Absent) else line.import_state.value,
        "renewals": line.renewals,
        "multi_region": line.role or None,
    }


def key_sheet(snapshot: Snapshot, line: KeyLine | Absent) -> Document:
    """All about one key. `line` is what the last decision left on record; ABSENT before the first one.

    What it says of the key's first material, `further` says of each that follows.
    """
    return {
        "ref": snapshot.ref,
        "name": snapshot.desired.name,
        "fleet": snapshot.desired.fleet,
        "lane": snapshot.desired.lane,
        "arn": _text(snapshot.arn),
        "decision": None if isinstance(line, Absent) else _decision(line),
        "view": _view(snapshot.view),
        **_of_material(snapshot),
        "multi_region": _family(snapshot),
        "rotation": _rotation(snapshot),
        "further": [_of_material(snapshot.turned_to(place)) for place in snapshot.places[1:]],
        "probe": _probe(snapshot),
        "orders": [order(each) for each in snapshot.ledger.open_orders],
        "conditions": [condition(each) for each in snapshot.conditions],
        "policy": _policy(snapshot.desired.policy),
    }


def _rotation(snapshot: Snapshot) -> Document | None:
    """How far a key that can be rotated is; `rotates_at` is the end of its period, null where it has none."""
    seen, since, ends = last_seen(snapshot.view), current_since(snapshot), period_ends(snapshot)
    if isinstance(seen, NeverLooked) or isinstance(since, Absent) or seen.spec != SYMMETRIC:
        return None
    return {
        "current_since": stamp(since),
        "rotates_at": None if ends is None else stamp(ends),
        "used": ROTATIONS - rotations_left(seen),
        "left": max(0, rotations_left(seen)),
    }


def _family(snapshot: Snapshot) -> Document | None:
    """The multi-Region key that it belongs to, as KMS lists it; `key` names what the config has of it."""
    seen = last_seen(snapshot.view)
    if isinstance(seen, NeverLooked) or isinstance(seen.family, Absent):
        return None
    known: dict[KeyArn, Document] = {
        each.arn: {"key": each.name, "lane": each.lane, "state": _state(each.view), "message": each.message}
        for each in snapshot.relatives
    }
    nothing = {"key": None, "lane": None, "state": None, "message": None}
    return {
        "role": seen.role,
        "primary": seen.family.primary,
        "relatives": [
            {"arn": arn, "region": region_of(arn), **known.get(arn, nothing)}
            for arn in seen.family.members
            if arn != seen.arn
        ],
    }


def _probe(snapshot: Snapshot) -> Document | None:
    """What came of using the key after an import; null where nobody asked for that, or it was not tried yet."""
    probe = snapshot.ledger.probe
    if isinstance(probe, Absent):
        return None
    return {
        "works": probe.works,
        "at": stamp(probe.at),
        "of_import_at": stamp(probe.of),
        "failures": probe.failures,
        "code": probe.code,
        "error": probe.message,
    }


def _state(view: View) -> str:
    """As in the list of keys."""
    seen = last_seen(view)
    if isinstance(view, Blind):
        return "Blind"
    return "NeverLooked" if isinstance(seen, NeverLooked) else seen.state.value


def _of_material(snapshot: Snapshot) -> Document:
    """What is known of the material at hand."""
    ledger = snapshot.ledger
    return {
        "source": {"name": snapshot.desired.source, "locator": snapshot.locator, **_proof(snapshot.proof)},
        "material": _text(ledger.material),
        "last_expiry": _time(ledger.last_expiry),
        "last_success_at": _time(ledger.last_success_at),
        "lost_at": _time(ledger.lost_at),
        "open_import": None if isinstance(ledger.open_import, Absent) else import_row(ledger.open_import),
        "refused_import": None if isinstance(ledger.refused_import, Absent) else import_row(ledger.refused_import),
    }


def _decision(line: KeyLine) -> Document:
    kept = ("state", "expires_at", "imported_at", "tier", "reason", "message", "due_at", "renewals")
    whole = key_line(line)
    return {member: whole[member] for member in kept}


def _proof(proof: Proof) -> Document:
    match proof:
        case Proved():
            return {
                "proof": "proved",
                "proved_at": stamp(proof.at),
                "length": proof.length,
                "material": proof.kind.value,
            }
        case Unproved():
            return {
                "proof": "unproved",
                "since": stamp(proof.since),
                "tried_at": stamp(proof.at),
                "code": proof.code,
                "error": proof.message,
                "failures": proof.failures,
            }
        case _:
            return {"proof": NOT_PROVED.value}


def _view(view: View) -> Document:
    """What was last seen of the key; `blind` tells why byokd cannot look at present."""
    seen = last_seen(view)
    blind = None
    if isinstance(view, Blind):
        blind = {
            "since": stamp(view.since),
            "tried_at": stamp(view.at),
            "code": view.code,
            "error": view.message,
            "failures": view.failures,
        }
    return {"seen": None if seen is NEVER_LOOKED else _seen(seen), "blind": blind}


def _seen(seen: ObservedKey) -> Document:
    return {
        "at": stamp(seen.at),
        "arn": seen.arn,
        "state": seen.state.value,
        "origin": seen.origin,
        "spec": seen.spec,
        "expires_at": _time(seen.expiry),
        "deletion_at": _time(seen.deletion_at),
        "current_material": _text(seen.current_material),
        "materials_known": seen.materials_known,
        "materials": [
            {
                "id": each.material_id,
                "state": each.state.value,
                "imported": each.imported,
                "expires_at": _time(each.expiry),
            }
            for each in seen.materials
        ],
    }


def _policy(policy: Policy) -> Document:
    return {
        "valid_for_s": _seconds(policy.valid_for),
        "renew_before_s": _seconds(policy.renew_before),
        "emergency_share": policy.emergency_share,
        "spread_s": _seconds(policy.spread),
        "renewal_floor_s": _seconds(policy.renewal_floor),
        "on_lapse": policy.on_lapse.value,
        "on_foreign_delete": policy.on_foreign_delete.value,
        "wrapping_algorithm": policy.wrapping_algorithm.value,
        "wrapping_key_spec": policy.wrapping_key_spec.value,
        "alert_before_s": [_seconds(each) for each in policy.alert_before],
        "look_every_s": _seconds(policy.look_every),
        "drill_every_s": _seconds(policy.drill_every),
        "settle_for_s": _seconds(policy.settle_for),
        "windows": [
            {"cron": each.cron, "for_s": _seconds(each.lasts), "time_zone": each.time_zone} for each in policy.windows
        ],
        "priority": policy.priority,
        "probe": policy.probe,
        "rotate_every_s": _seconds(policy.rotate_every),
    }


def import_row(row: Import) -> Document:
    """One row of the queue."""
    return {
        "id": row.id,
        "key": row.ref,
        "lane": row.lane,
        "state": row.state.value,
        "reason": row.reason,
        "tier": row.tier.value,
        "material": _text(row.material),
        "expires_at": _time(row.expiry),
        "deadline": stamp(row.deadline),
        "not_before": stamp(row.not_before),
        "attempts": row.attempts,
        "created_at": stamp(row.created_at),
        "started_at": _time(row.started_at),
        "answered": row.answered,
        "finished_at": _time(row.finished_at),
        "outcome": row.outcome,
        "detail": row.detail,
        "order": _text(row.order_id),
        "priority": row.priority,
    }


def order(given: Order) -> Document:
    """What an operator asked for."""
    return {
        "id": given.id,
        "key": given.ref,
        "kind": given.kind.value,
        "state": given.state.value,
        "by": given.by,
        "why": given.why,
        "created_at": stamp(given.created_at),
        "until": _time(given.until),
        "valid_to": _time(given.valid_to),
        "effective_at": _time(given.effective_at),
        "closed_at": _time(given.closed_at),
        "outcome": given.outcome,
        "lose_material": given.lose,
    }


def order_for_many(
    given: Sequence[Order], refused: Sequence[tuple[KeyRef, tuple[str, str]]], *, dry_run: bool, most: int
) -> Document:
    """What an order for many keys came to; at most so many of each are spelt out, first what may lose material."""
    first = sorted(given, key=lambda each: not each.lose)
    return {
        "dry_run": dry_run,
        "ordered": len(given),
        "orders": [order(each) for each in first[:most]],
        "refused": len(refused),
        "refusals": [{"key": ref, "why": why, "step": step} for ref, (why, step) in refused[:most]],
    }


def condition(open_: OpenCondition) -> Document:
    """Something true that a person may need to know."""
    return {
        "id": open_.id,
        "subject": open_.subject,
        "kind": open_.condition.kind.value,
        "severity": _severity(open_.condition.severity),
        "stage": open_.condition.stage,
        "detail": open_.condition.detail,
        "since": stamp(open_.since),
        "resolved_at": _time(open_.resolved_at),
    }


def history_entry(entry: HistoryEntry) -> Document:
    """One line of a key's life."""
    return {
        "at": stamp(entry.at),
        "key": entry.ref,
        "event": entry.event.value,
        "detail": entry.detail,
        "cause": entry.cause,
    }


def counts(figures: FleetCounts) -> Document:
    """Figures over everything on record, in the order of their vocabularies; conditions the worst first."""
    return {
        "keys": figures.keys,
        "by_tier": _ordered(figures.by_tier, [tier.value for tier in Tier]),
        "by_state": _ordered(figures.by_state, sorted(figures.by_state)),
        "queue": _ordered(figures.queue, [state.value for state in ImportState]),
        "conditions": _ordered(figures.conditions, [_severity(each) for each in reversed(Severity)]),
        "notices_waiting": figures.notices_waiting,
    }


def _ordered(figures: Mapping[str, int], order: Iterable[str]) -> Document:
    """Those of the figures that are there."""
    return {name: figures[name] for name in order if name in figures}
