"""What the rules ask of a snapshot, worked out once: the managed material, its window, and whether it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from byokd.decide.materials import (
    TOLERANCE,
    in_stock,
    is_stock,
    managed_expiry,
    managed_material,
    names,
    present,
    same_end,
    waiting,
)
from byokd.decide.window import Window, window
from byokd.decide.wrapping import kind_of_key
from byokd.facts.key import (
    ABSENT,
    Absent,
    Blind,
    Expiry,
    Family,
    KeyState,
    MaterialId,
    ObservedKey,
    ObservedMaterial,
    last_seen,
)
from byokd.facts.kinds import KeyKind, misfit
from byokd.facts.ledger import ImportState, Order, OrderKind, Proved, Tier
from byokd.facts.policy import Policy
from byokd.facts.snapshot import Snapshot

LONGEST: Final = timedelta(days=365) - timedelta(hours=1)
"""The longest life asked for: KMS counts its 365 days by its own clock, and refuses what is a second too far."""
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""How much earlier than its ValidTo material must be gone to have been deleted rather than lapsed."""


class Loss(StrEnum):
    """How the managed material came to be missing."""

    NONE = "none"
    VIRGIN = "virgin"
    """It was never there: the first import is still to come."""
    STOCK = "stock"
    """KMS does not have it and the key does not need it: it waits for a rotation."""
    LAPSED = "lapsed"
    """Its `ValidTo` has passed."""
    DELETED = "deleted"
    """It went before its `ValidTo`: somebody deleted it, or KMS lost it (developer guide, `import-keys-protect`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A snapshot at `now`, with what the rules need to know spelled out."""

    snapshot: Snapshot
    now: datetime
    policy: Policy
    """That of the config, as it stands now."""
    seen: ObservedKey | None
    """The newest reading, however old; the rules on blindness come before those that trust it."""
    kind: KeyKind | None
    """What byokd can bring into a key of the spec that was seen; None also where it was not seen."""
    material: MaterialId | Absent
    expiry: Expiry | Absent
    """Of the managed material: as seen, else as last seen before it went."""
    window: Window | None
    """None where there is no date: never imported, or imported never to expire."""
    tier: Tier
    loss: Loss

    @property
    def deadline(self) -> datetime:
        """When the key suffers if nothing is done: `ValidTo`, or now where the material is missing already.

        Nothing is encrypted yet under a virgin key, nor under material in stock: they stand behind the keys that are
        about to lapse.
        """
        if self.loss is Loss.NONE and self.window is not None:
            return self.window.valid_to
        if self.loss in (Loss.VIRGIN, Loss.STOCK):
            return self.now + self.policy.renew_before
        return self.now

    @property
    def emergency(self) -> bool:
        """Whether backoff, spread and change windows no longer count."""
        return self.tier in (Tier.EMERGENCY, Tier.LAPSED)

    @property
    def hold(self) -> Order | Absent:
        """The hold in force now; a hold is over at its `until`."""
        if not self.snapshot.ledger.open_orders:
            return ABSENT
        hold = self.snapshot.ledger.hold
        over = not isinstance(hold, Absent) and not isinstance(hold.until, Absent) and hold.until <= self.now
        return ABSENT if over else hold

    @property
    def import_order(self) -> Order | None:
        """The oldest open order to import now that this material has not been imported for; a resumption is one too."""
        for each in self.snapshot.ledger.open_orders:
            if self.asks_for_import(each):
                return each
        return None

    @property
    def enabled(self) -> bool:
        """Whether the key was seen Enabled."""
        return self.seen is not None and self.seen.state is KeyState.ENABLED

    @property
    def family(self) -> Family | None:
        """The multi-Region key that it was seen to belong to."""
        return None if self.seen is None or isinstance(self.seen.family, Absent) else self.seen.family

    @property
    def replica(self) -> bool:
        """Whether it was seen to be the replica of another key."""
        return self.seen is not None and self.seen.role == "replica"

    @property
    def rotation(self) -> Order | None:
        """The oldest open order to rotate."""
        for each in self.snapshot.ledger.open_orders:
            if each.kind is OrderKind.ROTATE:
                return each
        return None

    @property
    def pending(self) -> ObservedMaterial | None:
        """The material that waits for its rotation in KMS, of which there is one at most."""
        return waiting(self.seen)

    @property
    def awaited(self) -> ObservedMaterial | None:
        """The material that the primary of this replica was ordered to be rotated to, until the replica has it too."""
        family = self.family
        if family is None or not self.replica:
            return None
        primary = next((each for each in self.snapshot.relatives if each.arn == family.primary), None)
        seen = last_seen(primary.view) if primary is not None and primary.rotates else None
        pending = waiting(seen) if isinstance(seen, ObservedKey) else None
        mine = self.seen.materials if self.seen else ()
        has_it = pending and any(each.material_id == pending.material_id and each.imported for each in mine)
        return None if has_it else pending

    @property
    def unmade(self) -> bool:
        """Whether KMS does not find this key, and another one of its family was seen that does not list it yet."""
        view, arn = self.snapshot.view, self.snapshot.arn
        if not isinstance(view, Blind) or view.code != "key_not_found":
            return False
        seen = (last_seen(each.view) for each in self.snapshot.relatives)
        families = [each.family for each in seen if isinstance(each, ObservedKey)]
        return any(isinstance(each, Family) and arn not in each.members for each in families)

    @property
    def next_wanted(self) -> bool:
        """Whether the next material is to come out of stock: a rotation of this key is ordered, or of its primary."""
        return self.awaited is not None if self.replica else self.rotation is not None

    @property
    def is_next(self) -> bool:
        """Whether the material at hand is the one in stock that a rotation would bring in.

        None is where the key's materials cannot be listed: what seems to be in stock may be in the key.
        """
        if self.loss is not Loss.STOCK or self.pending or self.seen is None or not self.seen.materials_known:
            return False
        return in_stock(self.snapshot)[0] == self.snapshot.place

    @property
    def stays_in_stock(self) -> bool:
        """Whether the material at hand is in stock, and no rotation is to bring it in for now."""
        return self.loss is Loss.STOCK and not (self.next_wanted and self.is_next)

    @property
    def misfit(self) -> str:
        """Why what the source proved of the material at hand cannot be imported; empty where it can, or did not prove.

        It does not fit the key's spec; or, of material in stock, it is one of the key's others once more, which KMS
        would refuse as new material.
        """
        proof = self.snapshot.proof
        if self.seen is None or self.kind is None or not isinstance(proof, Proved):
            return ""
        if (text := misfit(self.seen.spec, self.kind, proof.kind, proof.length)) or self.loss is not Loss.STOCK:
            return text
        for place, track in enumerate(self.snapshot.tracks):
            if place != self.snapshot.place and proof.fingerprint == track.fingerprint:
                where = self.snapshot.desired.locators[place]
                given = f"the source gives for {self.snapshot.locator} the same material as for {where}"
                return f"{given}: it is no next one"
        return ""

    @property
    def rotates_next(self) -> bool:
        """Whether the material at hand is the one that a rotation makes current: in stock, or waiting in KMS."""
        pending = self.pending
        return self.is_next if pending is None else pending.material_id == self.material

    @property
    def suspended_by(self) -> Order | None:
        """The order for which the key is without material: a suspension, or a resumption on its way.

        What its `ValidTo` took is an outage all the same when it is to be resumed: a suspension that was never carried
        out did not take it.
        """
        if not self.snapshot.ledger.open_orders:
            return None
        suspension, order = self.snapshot.ledger.suspension, self.import_order
        if not isinstance(suspension, Absent):
            return suspension
        resumes = order is not None and order.kind is OrderKind.RESUME and self.loss is not Loss.LAPSED
        return order if resumes else None

    @property
    def seen_lost(self) -> bool:
        """Whether the material at hand was lost, and was seen to be.

        A `ValidTo` that passes while nobody can look is no more than a reason to fear it: somebody else may have
        imported the material since the last reading.
        """
        if self.loss not in (Loss.LAPSED, Loss.DELETED):
            return False
        shown_gone = self.seen is not None and not present(self.seen, self.material)
        return shown_gone or not isinstance(self.snapshot.view, Blind)

    def imported_for(self, order: Order) -> bool:
        """Whether the material was imported since an order to import, is there, and ends when that wants it to."""
        if self.seen is None or self.loss is not Loss.NONE or not self.imported_since(order.created_at):
            return False
        return order.valid_to is ABSENT or same_end(self.expiry, order.valid_to)

    def imported_since(self, at: datetime) -> bool:
        """Whether byokd imported the material at hand at `at` or later.

        An import from the future was made before the clock was set back, and nobody knows how long ago.
        """
        last = self.snapshot.ledger.last_success_at
        return isinstance(last, datetime) and at <= last <= self.now

    def ordered_since(self, at: datetime) -> bool:
        """Whether somebody has ordered at `at` or later what takes an import of the material at hand."""
        return any(
            each.created_at >= at
            and (self.asks_for_import(each) or (each.kind is OrderKind.ROTATE and self.rotates_next))
            for each in self.snapshot.ledger.open_orders
        )

    def asks_for_import(self, order: Order) -> bool:
        """Whether an order wants the material at hand to be imported now: not what is in stock."""
        over = isinstance(order.valid_to, datetime) and order.valid_to <= self.now
        done = bool(self.snapshot.others) and self.imported_for(order)
        asks = order.kind in (OrderKind.IMPORT, OrderKind.RESUME) and self.loss is not Loss.STOCK
        return asks and not over and not done

    @property
    def unmanaged(self) -> tuple[ObservedMaterial, ...]:
        """Materials that the key needs and that byokd has no source for."""
        materials = self.seen.materials if self.seen else ()
        known = names(self.snapshot) if self.snapshot.others else (self.material,)
        return tuple([each for each in materials if each.material_id not in known and each.state.permanent])

    @property
    def nearer_expiry(self) -> datetime | None:
        """The key's `ValidTo` where it lies before that of every material listed.

        It is the earliest of them (API model, KeyMetadata.ValidTo): one of the two answers is from before a change, and
        nobody knows which.
        """
        if self.seen is None or not isinstance(self.seen.expiry, datetime) or not self.seen.materials:
            return None
        nearer = self.seen.expiry + TOLERANCE
        for each in self.seen.materials:
            if isinstance(each.expiry, datetime) and each.expiry <= nearer:
                return None
        return self.seen.expiry

    @property
    def sent(self) -> bool:
        """Whether an import of any material of the key was sent and its outcome not seen."""
        return any(row.state is ImportState.RUNNING for row in self.snapshot.open_imports)


def case(snapshot: Snapshot, now: datetime) -> Case:
    """Work a snapshot out at `now`."""
    policy, view = snapshot.desired.policy, last_seen(snapshot.view)
    seen = view if isinstance(view, ObservedKey) else None
    material = managed_material(snapshot)
    stock = bool(snapshot.others) and seen is not None and is_stock(seen, snapshot.place, material)
    expiry = ABSENT if stock else managed_expiry(snapshot, seen, material)
    frame = window(snapshot.ref, policy, expiry) if isinstance(expiry, datetime) else None
    loss = Loss.STOCK if stock else _loss(snapshot, seen, material, expiry, now)
    tier = Tier.FRESH if frame is None else frame.tier(now)
    if loss in (Loss.LAPSED, Loss.DELETED):
        tier = Tier.LAPSED if isinstance(snapshot.ledger.suspension, Absent) else Tier.SUSPENDED
    return Case(
        snapshot=snapshot,
        now=now,
        policy=policy,
        seen=seen,
        kind=kind_of_key(seen) if seen else None,
        material=material,
        expiry=expiry,
        window=frame,
        tier=tier,
        loss=loss,
    )


def _loss(
    snapshot: Snapshot, seen: ObservedKey | None, material: MaterialId | Absent, expiry: Expiry | Absent, now: datetime
) -> Loss:
    lost_at = snapshot.ledger.lost_at
    gone = seen is not None and not present(seen, material)
    if gone and isinstance(expiry, datetime) and isinstance(lost_at, datetime) and lost_at < expiry - CLOCKS_DIFFER:
        # It stays deleted when the day of its ValidTo comes, and is not healed as a lapse then.
        return Loss.DELETED
    # ValidTo counts even where the last reading still shows the material: AWS does not say how promptly it is deleted.
    if isinstance(expiry, datetime) and expiry <= now:
        return Loss.LAPSED
    if seen is None or present(seen, material) or _missing_for_another(snapshot, seen):
        return Loss.NONE
    if expiry is not ABSENT:
        return Loss.DELETED
    # Gone before byokd ever saw it: KMS keeps the id of material that was there once, so an id means it ended. Not so
    # in a replica, which is born with the ids of its primary's materials and without the bytes.
    return Loss.VIRGIN if seen.current_material is ABSENT or seen.role == "replica" else Loss.LAPSED


def _missing_for_another(snapshot: Snapshot, seen: ObservedKey) -> bool:
    """Whether a key that does not list its materials was PendingImport for another of them, by what is on record.

    The material at hand may be gone too. That shows when the other is back.
    """
    if seen.materials_known or not isinstance(snapshot.ledger.lost_at, Absent):
        return False
    ends = (at for each in snapshot.others for at in (each.lost_at, each.last_expiry))
    return any(isinstance(at, datetime) and at <= seen.at for at in ends)
