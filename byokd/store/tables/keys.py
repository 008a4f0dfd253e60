"""The fleet: keys with what is known of each, their policies, and the materials KMS showed.

A key's row has three parts: what the config says (written by taking over a config, and by nothing else), what byokd
knows (replaced whole by each change), and what is shown and sorted by. A key of the config is always due some time; one
that left it keeps its row and has no `due_at`, which is all there is to being managed or not.

`materials` repeats the deadlines that stand in `keys.seen`, a row each, so that SQL can count and sort them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Row, Table, Text, text

from byokd.facts.condition import OpenCondition
from byokd.facts.key import (
    ABSENT,
    Absent,
    KeyArn,
    KeyRef,
    LaneId,
    MaterialId,
    MaterialState,
    NeverLooked,
    last_seen,
)
from byokd.facts.ledger import Fingerprint, Import, Ledger, Order
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.store.codec import (
    read_policy,
    read_probe,
    read_proof,
    read_view,
    write_policy,
    write_probe,
    write_proof,
    write_view,
)
from byokd.store.tables.metadata import METADATA, Seconds, partial_index
from byokd.store.times import expiry_or_absent, expiry_seconds, instant_or_absent, seconds_or_null
from byokd.store.tracks import with_rows, with_tracks, write_tracks
from byokd.store.views import shown_expiry, shown_state

policies: Final = Table(
    "policies",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("body", Text, nullable=False),
)

keys: Final = Table(
    "keys",
    METADATA,
    Column("ref", Text, primary_key=True),
    # What the config says.
    Column("lane", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("fleet", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("locator", Text, nullable=False),
    Column("desired_arn", Text),
    Column("policy_id", Text, ForeignKey("policies.id"), nullable=False),
    # What byokd knows.
    Column("seen", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Column("pinned_arn", Text),
    Column("fingerprint", Text),
    Column("material", Text),
    Column("last_expiry", Seconds, nullable=False),
    Column("last_success_at", Seconds),
    Column("lost_at", Seconds),
    # What is shown, found and sorted by.
    Column("arn", Text, index=True),
    Column("key_id", Text, index=True),
    Column("state", Text, nullable=False),
    Column("expiry", Seconds, nullable=False),
    Column("tier", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("due_at", Seconds),
    Column("renewals", Integer, nullable=False),
    # Of the materials after the first: where the config finds them, and what byokd knows of each. NULL: there are none.
    Column("further", Text),
    Column("tracks", Text),
    # The locator of the material that this row itself speaks of, when that was written: the config may name others now.
    Column("of_locator", Text),
    # What came of using the key after an import. NULL: it was not tried.
    Column("probe", Text),
    Index("ix_keys_by_name", "name"),
    Index("ix_keys_of_lane", "lane", "ref"),
)

MANAGED: Final = text("keys.due_at IS NOT NULL")
"""The key is in the config."""

partial_index("ix_keys_due", keys.c.lane, keys.c.due_at, keys.c.ref, where=MANAGED)
partial_index("ix_keys_by_time_left", keys.c.expiry, keys.c.ref, where=MANAGED)
partial_index("ix_keys_counted", keys.c.tier, keys.c.state, where=MANAGED)

materials: Final = Table(
    "materials",
    METADATA,
    Column("ref", Text, ForeignKey("keys.ref"), primary_key=True),
    # Empty for the one material of a key whose materials KMS does not name.
    Column("material_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("expiry", Seconds, nullable=False, index=True),
)

Values = dict[str, Any]


def desired_values(desired: DesiredKey, *, pinned_arn: str | None) -> Values:
    """The columns of the config's part, and those that follow from them."""
    arn = pinned_arn if isinstance(desired.arn, Absent) else desired.arn
    return {
        "ref": desired.ref,
        "lane": desired.lane,
        "name": desired.name,
        "fleet": desired.fleet,
        "source": desired.source,
        "locator": desired.locator,
        "desired_arn": None if isinstance(desired.arn, Absent) else desired.arn,
        "policy_id": write_policy(desired.policy)[0],
        "further": json.dumps(desired.further) if desired.further else None,
        "arn": arn,
        "key_id": _key_id(arn),
    }


def known_values(snapshot: Snapshot) -> Values:
    """The columns of what byokd knows, and those that follow from them."""
    snapshot = snapshot.turned_to(0)
    ledger = snapshot.ledger
    arn = None if isinstance(snapshot.arn, Absent) else snapshot.arn
    return {
        "seen": write_view(snapshot.view),
        "proof": write_proof(snapshot.proof),
        "pinned_arn": None if isinstance(ledger.pinned_arn, Absent) else ledger.pinned_arn,
        "fingerprint": None if isinstance(ledger.fingerprint, Absent) else ledger.fingerprint,
        "material": None if isinstance(ledger.material, Absent) else ledger.material,
        "last_expiry": expiry_seconds(ledger.last_expiry),
        "last_success_at": seconds_or_null(ledger.last_success_at),
        "lost_at": seconds_or_null(ledger.lost_at),
        "tracks": write_tracks(snapshot),
        "of_locator": snapshot.desired.locator,
        "probe": write_probe(ledger.probe),
        "arn": arn,
        "key_id": _key_id(arn),
        "state": shown_state(snapshot.view),
        "expiry": expiry_seconds(shown_expiry(snapshot)),
    }


def read_snapshot(
    row: Row[Any],
    *,
    imports: Sequence[Import],
    open_orders: tuple[Order, ...],
    conditions: tuple[OpenCondition, ...],
) -> Snapshot:
    """A snapshot from its key's row, joined with the body of its policy, and the open and refused rows about it."""
    desired = DesiredKey(
        ref=KeyRef(row.ref),
        lane=LaneId(row.lane),
        name=row.name,
        arn=ABSENT if row.desired_arn is None else KeyArn(row.desired_arn),
        fleet=row.fleet,
        source=row.source,
        locator=row.locator,
        policy=read_policy(row.body),
        further=() if row.further is None else tuple(json.loads(row.further)),
    )
    snapshot = Snapshot(
        desired=desired,
        view=read_view(row.seen),
        proof=read_proof(row.proof),
        ledger=Ledger(
            pinned_arn=ABSENT if row.pinned_arn is None else KeyArn(row.pinned_arn),
            fingerprint=ABSENT if row.fingerprint is None else Fingerprint(row.fingerprint),
            material=ABSENT if row.material is None else MaterialId(row.material),
            last_expiry=expiry_or_absent(row.last_expiry),
            last_success_at=instant_or_absent(row.last_success_at),
            lost_at=instant_or_absent(row.lost_at),
            open_orders=open_orders,
            probe=read_probe(row.probe),
        ),
        conditions=conditions,
    )
    return with_rows(with_tracks(snapshot, row.tracks, of_locator=row.of_locator), imports)


def material_rows(snapshot: Snapshot) -> Iterator[Values]:
    """A row for each material that KMS showed at the last successful look."""
    seen = last_seen(snapshot.view)
    if isinstance(seen, NeverLooked):
        return
    for each in seen.materials:
        yield {
            "ref": snapshot.ref,
            "material_id": each.material_id,
            "state": each.state.value,
            "imported": each.imported,
            "expiry": expiry_seconds(each.expiry),
        }
    if not seen.materials and not isinstance(seen.expiry, Absent):
        yield {
            "ref": snapshot.ref,
            "material_id": "",
            "state": MaterialState.CURRENT.value,
            "imported": True,
            "expiry": expiry_seconds(seen.expiry),
        }


def _key_id(arn: str | None) -> str | None:
    return None if arn is None else arn.rpartition("/")[2]
