"""What every `ports.Store` promises about keys with several materials."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from byokd.facts.change import KeyFilter
from byokd.facts.key import ABSENT, NEVER_LOOKED, MaterialId
from byokd.facts.ledger import NOT_PROVED, Fingerprint, Import, ImportState, Ledger, Proved, Track
from byokd.facts.snapshot import Snapshot
from tests.kit.builders import DAY, LANE_ID
from tests.kit.clock import START
from tests.kit.store_fleet import KEY, REF, Fleet, done, row


def a_track(number: int, **changes: Any) -> Track:
    """What is known of the key's nth material."""
    mark = Fingerprint(f"{number:02}" * 32)
    known = Track(
        proof=Proved(at=START, fingerprint=mark, length=32),
        fingerprint=mark,
        material=MaterialId(f"{number:x}" * 64),
        last_expiry=START + number * DAY,
        last_success_at=START - number * DAY,
        lost_at=ABSENT,
    )
    return replace(known, **changes)


def a_row(number: int, material: int, **changes: Any) -> Import:
    """A row of the queue for the key's nth material; 0 for one without a name."""
    return replace(row(number), material=MaterialId(f"{material:x}" * 64) if material else ABSENT, **changes)


async def arranged(fleet: Fleet, *locators: str) -> None:
    """A config that names these materials of the key."""
    await fleet.store.sync_fleet([replace(KEY, locator=locators[0], further=locators[1:])], now=START)


async def known(fleet: Fleet, *tracks: Track, imports: tuple[Import, ...] = ()) -> None:
    """Save what is known of each material, with the last one at hand."""
    now = await fleet.read()
    all_of_them = replace(now, place=len(tracks), others=tracks)
    at_hand = all_of_them.turned_to(len(tracks) - 1)
    change = fleet.change(now.desired, imports=imports)
    await fleet.store.save(replace(change, snapshot=replace(at_hand, others=tracks[:-1])))


def facts(snapshot: Snapshot) -> list[MaterialId | object]:
    """The materials in order."""
    return [track.material for track in snapshot.tracks]


async def test_every_material_comes_back_as_it_was_saved(fleet: Fleet) -> None:
    """Whichever is at hand when a change is saved, the oldest is when it is read."""
    await arranged(fleet, "a.key", "b.key", "c.key")
    tracks = (a_track(1), a_track(2, lost_at=START), a_track(3, proof=NOT_PROVED, material=ABSENT, last_expiry=ABSENT))
    await known(fleet, *tracks)
    found = await fleet.read()
    assert found.place == 0
    assert found.tracks == tracks
    assert [found.turned_to(place).locator for place in found.places] == ["a.key", "b.key", "c.key"]
    (ahead,) = await fleet.store.prospects(LANE_ID, limit=9)
    ends = sorted(each.last_expiry for each in tracks if isinstance(each.last_expiry, datetime))
    assert [each.expiry for each in ahead.materials] == ends, "one of three was never imported, and is no renewal yet"


async def test_nothing_is_known_of_new_materials(fleet: Fleet) -> None:
    """A key is tracked with a blank track for each."""
    await arranged(fleet, "a.key", "b.key")
    found = await fleet.read()
    assert (found.view, found.ledger, found.others) == (NEVER_LOOKED, Ledger(), (Track(),))


MOVES = {
    "older ones are added": (("c", "d"), ("a", "b", "c", "d"), (0, 0, 1, 2)),
    "one more in stock": (("a", "b"), ("a", "b", "c"), (1, 2, 0)),
    "one material becomes two": (("b",), ("a", "b"), (0, 1)),
    "two become one": (("a", "b"), ("b",), (2,)),
    "a file is moved": (("a", "b", "c"), ("a", "elsewhere", "c"), (1, 2, 3)),
    "the order was wrong": (("a", "b", "c"), ("b", "a", "c"), (2, 1, 3)),
    "another file for the only one": (("a",), ("elsewhere",), (1,)),
}


@pytest.mark.parametrize("case", MOVES)
@pytest.mark.parametrize("late", [False, True], ids=["before the reload", "during the reload"])
async def test_what_is_known_of_a_material_goes_with_its_locator(case: str, late: bool, fleet: Fleet) -> None:
    """Also where a turn that began before a reload ends after it, and knows of the old arrangement only."""
    before, after, expected = MOVES[case]
    tracks = tuple(a_track(number) for number in range(1, len(before) + 1))
    await arranged(fleet, *before)
    if not late:
        await known(fleet, *tracks)
    begun = await fleet.read()
    await arranged(fleet, *after)
    if late:
        change = fleet.change(begun.desired)
        turned = replace(begun, place=len(tracks), others=tracks).turned_to(0)
        await fleet.store.save(replace(change, snapshot=replace(turned, others=tracks[1:])))
    found = await fleet.read()
    assert found.tracks == tuple(a_track(number) if number else Track() for number in expected)
    assert [found.turned_to(place).locator for place in found.places] == list(after)


async def test_rows_belong_to_their_materials(fleet: Fleet) -> None:
    """Each material has its own open row and its own refusal; a row without a name is the first nameless one's."""
    await arranged(fleet, "a.key", "b.key", "c.key", "d.key")
    nameless = a_track(3, material=ABSENT)
    refused = a_row(2, 2, state=ImportState.REFUSED, finished_at=START)
    rows = (a_row(1, 1), refused, a_row(3, 2), a_row(4, 0, state=ImportState.RUNNING, started_at=START))
    await known(fleet, a_track(1), a_track(2), nameless, nameless, imports=rows)
    found = await fleet.read()
    opened = [found.turned_to(place).ledger.open_import for place in found.places]
    assert [each if each is ABSENT else each.id for each in opened] == [rows[0].id, rows[2].id, rows[3].id, ABSENT]
    assert [found.turned_to(place).ledger.refused_import for place in found.places] == [ABSENT, refused, ABSENT, ABSENT]
    assert set(found.open_imports) == {rows[0], rows[2], rows[3]}


async def test_a_refusal_stands_until_the_same_material_is_imported(fleet: Fleet) -> None:
    """That another material of the key was imported says nothing about the one that was refused."""
    await arranged(fleet, "a.key", "b.key")
    refused = a_row(1, 1, state=ImportState.REFUSED, finished_at=START)
    await known(fleet, a_track(1), a_track(2), imports=(refused,))
    await known(fleet, a_track(1), a_track(2), imports=(replace(done(2), material=a_track(2).material),))
    assert (await fleet.read()).ledger.refused_import == refused
    await known(fleet, a_track(1), a_track(2), imports=(replace(done(3), material=a_track(1).material),))
    assert (await fleet.read()).ledger.refused_import is ABSENT


async def test_the_list_shows_the_earliest_end(fleet: Fleet) -> None:
    """Of a key with several materials that is the one that people wait for."""
    await arranged(fleet, "a.key", "b.key")
    await known(fleet, a_track(5), a_track(2))
    (line,) = await fleet.store.list_keys(KeyFilter(), limit=5)
    assert (line.ref, line.expiry) == (REF, START + 2 * DAY)
