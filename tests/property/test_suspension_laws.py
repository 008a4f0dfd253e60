"""Laws of suspensions: access is cut off wherever that costs nothing, and nothing is lost that nobody gave up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from byokd.decide.materials import names
from byokd.decide.suspension import cannot_suspend, cut_off_by_nothing, fate
from byokd.facts.key import Absent
from byokd.facts.ledger import Unproved
from byokd.facts.snapshot import Snapshot
from tests.kit.strategies import rotated, snapshots

_any = st.one_of(snapshots, rotated())


@given(_any)
def test_what_is_deleted_can_be_brought_back(snapshot: Snapshot) -> None:
    """byokd imported it, and its source has not failed since; whatever else there is, is left and told why."""
    found, known = fate(snapshot, lose=False), names(snapshot)
    for material in found.deleted:
        track = snapshot.tracks[known.index(material)]
        assert not isinstance(track.fingerprint, Absent)
        assert not isinstance(track.proof, Unproved)
    assert all(each.why for each in found.left)
    assert {each.material for each in found.left}.isdisjoint(found.deleted)


@given(_any)
def test_who_gives_material_up_keeps_nothing(snapshot: Snapshot) -> None:
    """The same materials are deleted and left as are deleted by an order that spares none."""
    found, lost = fate(snapshot, lose=False), fate(snapshot, lose=True)
    assert lost.left == ()
    assert set(lost.deleted) == {*found.deleted, *(each.material for each in found.left)}
    assert lost.whole == found.whole
    assert not lost.lets_it_be_used
    assert not cannot_suspend(snapshot, lose=True)


@given(_any)
def test_a_key_that_could_not_be_cut_off_is_told_with_the_ways_out(snapshot: Snapshot) -> None:
    """Only where it is usable and nothing of it may be deleted; each material is named."""
    found, why = fate(snapshot, lose=False), cannot_suspend(snapshot, lose=False)
    assert bool(why) == found.lets_it_be_used
    if why:
        assert why == cut_off_by_nothing(found)
        assert "--lose-material" in why
        assert "disable-key" in why
        assert all(str(each) in why for each in found.left)
