"""Multi-Region keys of the fake KMS: several of its lanes, each a Region of one account.

    primary   NEW ─▶ PENDING_MULTI_REGION_IMPORT_AND_ROTATION ─┬─▶ PENDING_ROTATION ─ RotateKeyOnDemand ─▶ CURRENT
    replicas            EXISTING ─▶ PENDING_ROTATION ──────────┘ (the last one)                    ─▶ CURRENT

Source: docs/kms.md, "Multi-Region keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from byokd.facts.key import ABSENT, Absent, Family, KeyArn, MaterialId, MaterialState, region_of
from byokd.ports import Clock
from tests.kit.fake_keys import Key, Material


class FakeFamily:
    """The part of the fake KMS that knows of other Regions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[KeyArn, Key] = {}
        self.regions: Mapping[str, Any] = {}
        """The account's KMS in each Region, this one among them; empty where there is but one."""

    def create(self, arn: str, *, spec: str, origin: str, alias: str) -> KeyArn:
        """See `FakeKms`."""
        raise NotImplementedError

    def put(self, arn: str, **changes: Any) -> None:
        """See `FakeKms`."""
        raise NotImplementedError

    def replicate(self, arn: str, region: str, *, alias: str = "") -> KeyArn:
        """What ReplicateKey leaves when it is done: a key in another Region that owns all that the primary does.

        It has none of the bytes: they are to be imported.
        """
        primary = self._tidied(KeyArn(arn))
        assert not isinstance(primary.family, Absent), "a primary is replicated"
        named = KeyArn(arn.replace(f":{region_of(primary.arn)}:", f":{region}:"))
        family = replace(primary.family, replicas=tuple(sorted((*primary.family.replicas, named))))
        self.regions[region].create(named, spec=primary.spec, origin=primary.origin, alias=alias)
        owned = tuple(replace(each, expiry=ABSENT) for each in primary.materials if each.state.permanent)
        self.regions[region].put(named, materials=owned, family=family)
        self._reunite(family)
        if primary.pending is not None:  # the new replica lacks it
            self.put(arn, materials=_waiting(primary, MaterialState.PENDING_MULTI_REGION))
        return named

    # -- inside -------------------------------------------------------------------------------------------------------

    def _in(self, arn: KeyArn) -> Any:
        """The KMS of a key's Region."""
        return self.regions.get(region_of(arn), self)

    def _relatives(self, key: Key) -> tuple[Key, ...]:
        """The other keys of its family, as they are now; none of a single-Region key."""
        if isinstance(key.family, Absent):
            return ()
        found = (self._in(arn)._keys.get(arn) for arn in key.family.members if arn != key.arn)
        return tuple(each for each in found if each is not None)

    def _primary_of(self, key: Key) -> Key | None:
        """The primary of a replica; None of any other key."""
        if isinstance(key.family, Absent):
            return None
        return next((each for each in self._relatives(key) if each.arn == key.family.primary), None)

    def _tidied(self, arn: KeyArn) -> Key:
        """The key, once what it and its relatives have forgotten is taken out."""
        key, now = self._keys[arn], self._clock.now()
        family = [(each, forgotten(each, self._primary_of(each), now)) for each in (key, *self._relatives(key))]
        for each, lost in family:
            left = tuple(material for material in each.materials if material.id not in lost)
            if left != each.materials:
                self._in(each.arn).put(each.arn, materials=left)
        return self._keys[arn]

    def _go_on(self, key: Key) -> None:
        """Let what waits in the primary wait for its rotation alone, once every replica has it."""
        primary, now = self._primary_of(key), self._clock.now()
        pending = None if primary is None else primary.pending
        if primary is None or pending is None or pending.state is not MaterialState.PENDING_MULTI_REGION:
            return
        if all(holds(each, pending.id, now) for each in self._relatives(primary)):
            self._in(primary.arn).put(primary.arn, materials=_waiting(primary, MaterialState.PENDING_ROTATION))

    def _buried(self, gone: Key) -> None:
        """A replica is no more: nobody waits for it."""
        if isinstance(gone.family, Absent) or gone.arn == gone.family.primary:
            return
        left = tuple(each for each in gone.family.replicas if each != gone.arn)
        self._reunite(replace(gone.family, replicas=left))
        self._go_on(gone)

    def _reunite(self, family: Family) -> None:
        """Tell all members who belongs to the family."""
        for arn in family.members:
            self._in(arn).put(arn, family=family)


def forgotten(key: Key, primary: Key | None, now: datetime) -> set[MaterialId]:
    """What waited for a rotation and has ended or was deleted: KMS forgets it, and with a primary's the replicas'."""
    gone = {each.id for each in key.materials if not each.state.permanent and each.expiry_at(now) is ABSENT}
    return gone if primary is None else gone | forgotten(primary, None, now)


def holds(key: Key, material: MaterialId, now: datetime) -> bool:
    """Whether a key has the bytes of a material."""
    return any(each.id == material and each.expiry_at(now) is not ABSENT for each in key.materials)


def turned(key: Key, to: MaterialId, now: datetime) -> tuple[Material, ...]:
    """A key's materials after its rotation."""
    old = (replace(each, state=MaterialState.NON_CURRENT) for each in key.materials if each.id != to)
    new = (replace(each, state=MaterialState.CURRENT, rotated_at=now) for each in key.materials if each.id == to)
    return (*old, *new)


def _waiting(key: Key, state: MaterialState) -> tuple[Material, ...]:
    return tuple(each if each.state.permanent else replace(each, state=state) for each in key.materials)
