"""The materials of a key that has several: how they are written down, and which row and which locator is whose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from byokd.facts.key import ABSENT, Absent, Expiry, MaterialId
from byokd.facts.ledger import Fingerprint, Import, Track
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.store.codec import read_proof, write_proof
from byokd.store.times import expiry_or_absent, expiry_seconds, instant_or_absent, seconds_or_null


def write_tracks(snapshot: Snapshot) -> str | None:
    """All materials but the first, as JSON without their rows of the queue; None where there is only one."""
    if not snapshot.others:
        return None
    further = zip(snapshot.desired.further, snapshot.turned_to(0).others, strict=True)
    return json.dumps([_document(locator, track) for locator, track in further], separators=(",", ":"))


def further_expiries(first: int, text: str | None) -> tuple[Expiry, ...]:
    """When the materials of a key end, but for the earliest: `first` is the first one's, `text` what was written."""
    if text is None:
        return ()
    ends = sorted((first, *(document["last_expiry"] for document in json.loads(text))))
    later = (expiry_or_absent(each) for each in ends[1:])
    return tuple(each for each in later if not isinstance(each, Absent))


def with_tracks(snapshot: Snapshot, text: str | None, *, of_locator: str | None) -> Snapshot:
    """The snapshot with what `write_tracks` wrote, as the config arranges its materials now.

    `of_locator` is where the material that the snapshot has at hand was found when all that was written.
    """
    desired = snapshot.desired
    if text is None and not desired.further:
        return snapshot
    documents = [] if text is None else json.loads(text)
    was = replace(
        desired,
        locator=desired.locator if of_locator is None else of_locator,
        further=tuple(document["locator"] for document in documents),
    )
    written = replace(snapshot, desired=was, others=tuple(_track(document) for document in documents))
    return rearranged(written, desired)


def with_rows(snapshot: Snapshot, rows: Iterable[Import]) -> Snapshot:
    """The snapshot with the open and the refused rows of each material.

    A row without a material is that of the first material that KMS has not named yet: no other is imported before.
    """
    rows = tuple(rows)
    if not snapshot.others:
        return _with(snapshot, rows)
    nameless = next((i for i, track in enumerate(snapshot.tracks) if track.material is ABSENT), -1)
    for place in snapshot.places:
        snapshot = snapshot.turned_to(place)
        name = snapshot.ledger.material
        own = (row for row in rows if (row.material == name if row.material is not ABSENT else place == nameless))
        snapshot = _with(snapshot, tuple(own))
    return snapshot.turned_to(0)


def open_import_of(rows: Iterable[Import], material: str | Absent | None) -> Import | Absent:
    """The open row: that of the managed material where there are several, else the newest."""
    return max(
        (row for row in rows if row.state.open), key=lambda row: (row.material == material, row.id), default=ABSENT
    )


def rearranged(snapshot: Snapshot, desired: DesiredKey) -> Snapshot:
    """The snapshot under a new config. What is known of a material goes with its locator to another place.

    A material whose locator is new where the config names as many as before was only moved; else it is unknown. One
    material that gets another locator stays the one that byokd imported.
    """
    old, new = snapshot.desired.locators, desired.locators
    snapshot = snapshot.turned_to(0)
    if old == new or len(old) == len(new) == 1:
        return snapshot if snapshot.desired is desired else replace(snapshot, desired=desired)
    known = dict(zip(old, snapshot.tracks, strict=True))
    kept = snapshot.tracks if len(old) == len(new) else ()
    tracks = [
        known[locator] if locator in known else kept[place] if kept and old[place] not in new else Track()
        for place, locator in enumerate(new)
    ]
    # By way of a place that the old arrangement does not have, the first track becomes the ledger's.
    base = replace(snapshot, desired=desired, place=len(tracks), others=tuple(tracks))
    turned = base.turned_to(0)
    return replace(turned, others=tuple(tracks[1:]))


def _with(snapshot: Snapshot, rows: tuple[Import, ...]) -> Snapshot:
    ledger = snapshot.ledger
    refused = max((row for row in rows if not row.state.open), key=lambda row: row.id, default=ABSENT)
    opened = open_import_of(rows, ledger.material)
    return replace(snapshot, ledger=replace(ledger, open_import=opened, refused_import=refused))


def _document(locator: str, track: Track) -> dict[str, Any]:
    return {
        "locator": locator,
        "proof": json.loads(write_proof(track.proof)),
        "fingerprint": None if isinstance(track.fingerprint, Absent) else track.fingerprint,
        "material": None if isinstance(track.material, Absent) else track.material,
        "last_expiry": expiry_seconds(track.last_expiry),
        "last_success_at": seconds_or_null(track.last_success_at),
        "lost_at": seconds_or_null(track.lost_at),
    }


def _track(document: dict[str, Any]) -> Track:
    return Track(
        proof=read_proof(json.dumps(document["proof"])),
        fingerprint=ABSENT if document["fingerprint"] is None else Fingerprint(document["fingerprint"]),
        material=ABSENT if document["material"] is None else MaterialId(document["material"]),
        last_expiry=expiry_or_absent(document["last_expiry"]),
        last_success_at=instant_or_absent(document["last_success_at"]),
        lost_at=instant_or_absent(document["lost_at"]),
    )
