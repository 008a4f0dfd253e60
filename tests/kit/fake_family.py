"""What becomes of materials in the fake KMS, and of multi-Region keys: several lanes, each a Region of one account.

    primary   NEW ─▶ PENDING_MULTI_REGION_IMPORT_AND_ROTATION ─┬─▶ PENDING_ROTATION ─ RotateKeyOnDemand ─▶ CURRENT
    replicas            EXISTING ─▶ PENDING_ROTATION ──────────┘ (the last one)                    ─▶ CURRENT

Source: docs/kms.md, "Multi-Region keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from byokd.errors import MaterialRefused, WrongKeyState, WrongOrigin
from byokd.facts.key import ABSENT, Absent, Expiry, Family, KeyArn, KeyState, MaterialId, MaterialState, region_of
from byokd.ports import Clock
from tests.kit.fake_keys import Key, Material, material_id


class FakeFamily:
    """The part of the fake KMS that knows of other Regions, and of what a key takes."""

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

    def take(
        self, arn: str, fingerprint: str, expiry: Expiry, *, material: MaterialId | Absent = ABSENT, new: bool = False
    ) -> MaterialId:
        """An import, once the bytes are unwrapped. Raises: as ImportKeyMaterial is refused."""
        key = self._tidied(KeyArn(arn))
        taken = self._newcomer(key, fingerprint) if new else self._owned(key, fingerprint, material)
        renewed = replace(taken, expiry=expiry)
        known = any(each.id == taken.id for each in key.materials)
        kept = tuple(renewed if each.id == taken.id else each for each in key.materials)
        self.put(arn, materials=kept if known else (*kept, renewed), enabled=True)
        self._go_on(key)
        return renewed.id

    def turn(self, arn: str) -> None:
        """A rotation on demand, in every Region at once. Raises: as RotateKeyOnDemand is refused."""
        key, now = self._tidied(KeyArn(arn)), self._clock.now()
        if self._primary_of(key) is not None:
            raise WrongOrigin(f"RotateKeyOnDemand: UnsupportedOperationException: {arn} is not a primary key")
        pending = next((each for each in key.materials if each.state is MaterialState.PENDING_ROTATION), None)
        everywhere = pending is not None and all(holds(each, pending.id, now) for each in self._relatives(key))
        if key.state(now) is not KeyState.ENABLED or pending is None or not everywhere:
            raise WrongKeyState(f"RotateKeyOnDemand: KMSInvalidStateException: nothing of {arn} waits for a rotation")
        for each in (key, *self._relatives(key)):
            self._in(each.arn).put(each.arn, materials=turned(each, pending.id, now))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _owned(self, key: Key, fingerprint: str, material: MaterialId | Absent) -> Material:
        """The material of the key that these bytes are; a new one for a virgin key.

        A replica owns what its primary does, and takes what waits there; that may not be named, since it is none of the
        replica's own yet (API model, ImportKeyMaterial.KeyMaterialId).
        """
        known = next((each for each in key.materials if each.fingerprint == fingerprint), None)
        if not isinstance(material, Absent) and (known is None or known.id != material):
            raise MaterialRefused("ImportKeyMaterial: IncorrectKeyMaterialException")
        primary = self._primary_of(key)
        promised = primary.pending if primary is not None and known is None else None
        if promised is not None and promised.fingerprint == fingerprint:
            return replace(promised, state=MaterialState.PENDING_ROTATION)
        if known is None and (key.materials or primary is not None):
            raise MaterialRefused("ImportKeyMaterial: IncorrectKeyMaterialException")
        return known or _material(key, fingerprint, MaterialState.CURRENT)

    def _newcomer(self, key: Key, fingerprint: str) -> Material:
        """Further material of a primary or single-Region key; one may wait for its rotation at a time.

        Source: API model, ImportKeyMaterial.
        """
        if self._primary_of(key) is not None:
            raise WrongOrigin("ImportKeyMaterial: UnsupportedOperationException: new material goes to the primary")
        if any(each.fingerprint == fingerprint and each.state.permanent for each in key.materials):
            raise MaterialRefused("ImportKeyMaterial: IncorrectKeyMaterialException: the key has it already")
        waits = key.pending
        if waits is not None and waits.fingerprint != fingerprint:
            raise WrongKeyState("ImportKeyMaterial: KMSInvalidStateException: another key material is pending rotation")
        awaited = MaterialState.PENDING_MULTI_REGION if self._relatives(key) else MaterialState.PENDING_ROTATION
        return waits or _material(key, fingerprint, awaited)

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


def _material(key: Key, fingerprint: str, state: MaterialState) -> Material:
    return Material(id=material_id(key.arn, fingerprint), fingerprint=fingerprint, expiry=ABSENT, state=state)
