"""Which of a key's materials KMS shows by which name, which of them are in it, and when each of them ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from byokd.facts.key import (
    ABSENT,
    NEVER,
    Absent,
    Expiry,
    KeyState,
    MaterialId,
    ObservedKey,
    ObservedMaterial,
    last_seen,
)
from byokd.facts.snapshot import Snapshot

TOLERANCE: Final = timedelta(seconds=5)
"""How far a `ValidTo` that is shown may be from the one that was asked for."""


def waiting(seen: ObservedKey | None) -> ObservedMaterial | None:
    """The material that a reading shows to wait for its rotation."""
    for each in seen.materials if seen else ():
        if not each.state.permanent:
            return each
    return None


def managed_material(snapshot: Snapshot) -> MaterialId | Absent:
    """What KMS calls the material at hand; see `names`."""
    view, known = last_seen(snapshot.view), snapshot.ledger.material
    if snapshot.others:
        listed = view.materials if isinstance(view, ObservedKey) else ()
        # Asked for often, and nearly always this is the answer.
        return known if any(each.material_id == known for each in listed) else names(snapshot)[snapshot.place]
    if not isinstance(known, Absent):
        return known
    return view.current_material if isinstance(view, ObservedKey) else ABSENT


def names(snapshot: Snapshot) -> tuple[MaterialId | Absent, ...]:
    """What KMS calls each material, in order.

    A config with one material means the one that byokd imported, else the key's current one. Of several, those that
    byokd imported have the names that KMS gave them, and the others those that are left, oldest first on both sides.
    Who gets none is in stock; material that waited for its rotation and ended is forgotten by KMS, and is so again.
    """
    if not snapshot.others:
        return (managed_material(snapshot),)
    view = last_seen(snapshot.view)
    known = [each.material for each in snapshot.others]
    known.insert(snapshot.place, snapshot.ledger.material)
    if not isinstance(view, ObservedKey) or not view.materials_known:
        return tuple(known)
    listed = [each.material_id for each in view.materials]
    left = iter([each for each in listed if each not in known])
    return tuple(name if name in listed else next(left, ABSENT) for name in known)


def in_stock(snapshot: Snapshot) -> tuple[int, ...]:
    """The places of those materials that the key has not been given yet, and does not need for now."""
    seen = last_seen(snapshot.view)
    if not snapshot.others or not isinstance(seen, ObservedKey):
        return ()
    return tuple(place for place, name in enumerate(names(snapshot)) if is_stock(seen, place, name))


def is_stock(seen: ObservedKey, place: int, material: MaterialId | Absent) -> bool:
    """Whether the material at a place, known by this name, is none that the key has been given yet."""
    return material is ABSENT and (place > 0 or seen.current_material is not ABSENT)


def present(seen: ObservedKey, material: MaterialId | Absent) -> bool:
    """Whether a reading shows the managed material in the key."""
    for each in seen.materials:
        if each.material_id == material:
            return each.imported
    return seen.state is not KeyState.PENDING_IMPORT


def applied(seen: ObservedKey, material: MaterialId | Absent, wanted: Expiry) -> bool:
    """Whether a reading shows the managed material with the expiry wanted, give or take a few seconds."""
    return present(seen, material) and same_end(seen.expiry_of(material), wanted)


def same_end(one: Expiry | Absent, other: Expiry | Absent) -> bool:
    """Whether two materials end together, give or take a few seconds."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs(one - other) <= TOLERANCE
    return one is other


def managed_expiry(snapshot: Snapshot, seen: ObservedKey | None, material: MaterialId | Absent) -> Expiry | Absent:
    """When the material at hand ends: as seen, else as last seen before it went."""
    last = snapshot.ledger.last_expiry
    if seen is not None and present(seen, material) and not hidden_behind(snapshot, seen, last):
        shown = seen.expiry_of(material)
        if not isinstance(shown, Absent):
            return shown
    return last


def hidden_behind(snapshot: Snapshot, seen: ObservedKey, expiry: Expiry | Absent) -> bool:
    """Whether another material ends before `expiry`, by what is on record, and hides that in a key without a list.

    Such a key shows its earliest `ValidTo`. It is not the other's for certain where KMS confirmed an import of that one
    since, and still shows its old end.
    """
    shown = seen.expiry
    if seen.materials_known or not isinstance(shown, datetime):
        return False
    if expiry is not NEVER and not (isinstance(expiry, datetime) and expiry > shown):
        return False
    for each in snapshot.others:
        confirmed = not isinstance(each.open_import, Absent) and each.open_import.answered
        if same_end(each.last_expiry, shown) and not confirmed:
            return True
    return False
