"""What a suspension deletes: enough to cut a key off, and nothing that could not be brought back, unless so ordered.

KMS refuses every use of a key as soon as one of its permanent materials is missing (developer guide, "Deleting imported
key material"). So a key is cut off by the deletion of those that byokd can import again; the others are left where they
are, since their deletion would cut off nothing more and lose what is encrypted under them for good.

    imported by byokd, and the source still has it    deleted, always
    anything else                                     left; deleted where the order says that it may be lost
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from byokd.decide.materials import names
from byokd.facts.key import SYMMETRIC, Absent, MaterialId, NeverLooked, last_seen
from byokd.facts.ledger import Unproved
from byokd.facts.snapshot import Snapshot

LOSE: Final = "`byokd suspend --lose-material` deletes it all the same, and it cannot be brought back then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A material that byokd could not bring back."""

    material: MaterialId | Absent
    why: str

    def __str__(self) -> str:
        """As a person is told it."""
        return f"{'it' if isinstance(self.material, Absent) else f'material {self.material[:12]}…'} ({self.why})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What a suspension does to a key as it was last seen."""

    deleted: tuple[MaterialId | Absent, ...] = ()
    """By id where KMS names it; ABSENT for the one material of another key."""
    left: tuple[Left, ...] = ()
    whole: bool = False
    """Whether the key has all the materials that it needs, so that it can be used."""

    @property
    def lets_it_be_used(self) -> bool:
        """Whether the key stays usable: it is whole, and nothing of it may be deleted."""
        return self.whole and not self.deleted


def fate(snapshot: Snapshot, *, lose: bool) -> Fate:
    """What becomes of the materials that the key needs and has, as it was last seen; `lose` spares none of them."""
    seen = last_seen(snapshot.view)
    if isinstance(seen, NeverLooked):
        return Fate()
    if seen.materials_known and seen.spec == SYMMETRIC:
        needed = [each for each in seen.materials if each.state.permanent]
        present: list[MaterialId | Absent] = [each.material_id for each in needed if each.imported]
        whole = bool(present) and len(present) == len(needed)
    else:
        present = [] if isinstance(seen.expiry, Absent) else [seen.current_material]
        whole = bool(present)
    why = {material: "" if lose else _no_way_back(snapshot, material) for material in present}
    left = tuple(Left(material=material, why=told) for material, told in why.items() if told)
    return Fate(deleted=tuple(each for each in present if not why[each]), left=left, whole=whole)


def cannot_suspend(snapshot: Snapshot, *, lose: bool) -> str:
    """Why a suspension would cut nothing off; empty where it would, or where nobody has looked at the key yet."""
    found = fate(snapshot, lose=lose)
    return cut_off_by_nothing(found) if found.lets_it_be_used else ""


def cut_off_by_nothing(found: Fate) -> str:
    """What to tell of a key that stays usable, and the ways out."""
    named = ", ".join(str(each) for each in found.left)
    return (
        f"nothing of it is deleted, since byokd could not bring it back: {named}. {LOSE}; "
        f"`aws kms disable-key` cuts the key off and loses nothing"
    )


def _no_way_back(snapshot: Snapshot, material: MaterialId | Absent) -> str:
    """Why byokd could not import a material again; empty where it could, as far as is known."""
    known = names(snapshot)
    if material not in known:
        return "the config has no source for it"
    track = snapshot.tracks[known.index(material)]
    if isinstance(track.fingerprint, Absent):
        return "byokd never imported it, and only `byokd import` tells whether its source has the same"
    if isinstance(track.proof, Unproved):
        return f"its source does not produce it now: {track.proof.message}"
    return ""
