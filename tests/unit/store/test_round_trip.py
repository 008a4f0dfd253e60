"""What is read is what was written, whatever it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from byokd.facts.change import Change
from byokd.facts.key import ABSENT, NEVER, Absent
from byokd.facts.kinds import MaterialKind
from byokd.facts.ledger import Fingerprint, HistoryEntry, HistoryEvent, Proved, Tier
from byokd.facts.snapshot import Snapshot
from byokd.store import open_store
from byokd.store.codec import read_policy, read_proof, read_view, write_policy, write_proof, write_view
from byokd.store.times import expiry, expiry_or_absent, expiry_seconds
from tests.kit.clock import START
from tests.unit.store import generated


@given(generated.views)
def test_views_round_trip(view: Any) -> None:
    """Never looked, seen and blind, with every material."""
    assert read_view(write_view(view)) == view


@given(generated.proofs)
def test_proofs_round_trip(proof: Any) -> None:
    """Not proved, proved and unproved."""
    assert read_proof(write_proof(proof)) == proof


def test_a_proof_from_before_private_keys_is_one_of_bytes() -> None:
    """Proofs on record did not say what kind of material they were of: only bytes were taken then."""
    text = '{"kind":"proved","at":1772366400,"fingerprint":"cd","length":32}'
    assert read_proof(text) == Proved(at=START, fingerprint=Fingerprint("cd"), length=32, kind=MaterialKind.BYTES)


@given(generated.policies)
def test_policies_round_trip(policy: Any) -> None:
    """Durations to the microsecond, the share to the last bit; equal policies have one id."""
    identity, text = write_policy(policy)
    assert read_policy(text) == policy
    assert write_policy(read_policy(text))[0] == identity


@given(generated.expiries, generated.expiries)
def test_stored_expiries_sort_as_time_left_does(one: Any, other: Any) -> None:
    """Deadlines by time, then never, then absent: the order of the list of keys."""
    assert expiry(expiry_seconds(one)) == one
    if NEVER not in (one, other):
        assert (expiry_seconds(one) < expiry_seconds(other)) == (one < other)
    assert expiry_seconds(one) <= expiry_seconds(NEVER) < expiry_seconds(ABSENT)


def test_an_expiry_that_must_be_there_is_not_read_as_absent() -> None:
    """ABSENT is a value only where it may stand."""
    assert expiry_or_absent(expiry_seconds(ABSENT)) is ABSENT
    with pytest.raises(ValueError, match="no expiry"):
        expiry(expiry_seconds(ABSENT))


@pytest.mark.parametrize("read", [read_view, read_proof])
def test_a_document_of_an_unknown_kind_is_no_fact(read: Callable[[str], Any]) -> None:
    """What a later version wrote is not taken for something else."""
    with pytest.raises(ValueError, match="unknown kind"):
        read('{"kind": "of a later version"}')


@settings(max_examples=40, deadline=None)
@given(snapshot=generated.snapshots())
async def test_snapshots_round_trip_through_the_database(empty_database: Path, snapshot: Snapshot) -> None:
    """Whatever is saved of a key is read back to the last field, its rows beside it."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(Path(shutil.copy(empty_database, folder))) as store:
            await store.sync_fleet([snapshot.desired], now=START)
            for order in snapshot.ledger.open_orders:
                given_at = HistoryEntry(at=START, ref=snapshot.ref, event=HistoryEvent.ORDER_GIVEN, detail="")
                await store.add_orders([(order, given_at)])
            rows = (snapshot.ledger.open_import, snapshot.ledger.refused_import)
            change = Change(
                epoch=await store.acquire_lane(snapshot.desired.lane, node="one", now=START),
                snapshot=snapshot,
                tier=Tier.FRESH,
                reason="fresh",
                message="",
                due_at=START,
                imports=tuple(row for row in rows if not isinstance(row, Absent)),
                conditions=snapshot.conditions,
            )
            await store.save(change)
            assert await store.snapshots([snapshot.ref]) == (snapshot,)
