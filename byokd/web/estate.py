"""What a search of lanes found, as JSON documents; see `documents` for the promise that they are."""

from __future__ import annotations

from byokd.facts.estate import Found, FoundKey
from byokd.facts.key import Absent, Never
from byokd.facts.policy import Lane
from byokd.web.documents import Document, stamp


def found(lane: Lane, result: Found, *, only_unmanaged: bool = False) -> Document:
    """What was found in one lane."""
    keys = result.unmanaged if only_unmanaged else result.keys
    return {
        "lane": lane.id,
        "name": lane.name,
        "at": stamp(result.at),
        "looked_at": result.looked_at,
        "keys": [found_key(key) for key in keys],
        "unseen": [{"arn": each.arn, "why": each.why} for each in result.unseen],
        "missing": list(result.missing),
    }


def found_key(key: FoundKey) -> Document:
    """One key."""
    match key.seen.expiry:
        case Absent():
            ends_at = None
        case Never():
            ends_at = "never"
        case moment:
            ends_at = stamp(moment)
    return {
        "arn": key.seen.arn,
        "aliases": list(key.aliases),
        "state": key.seen.state.value,
        "spec": key.seen.spec,
        "expires_at": ends_at,
        "lost": key.lost,
        "fleet": None if isinstance(key.fleet, Absent) else key.fleet,
        "tags": None if isinstance(key.tags, Absent) else dict(key.tags),
    }
