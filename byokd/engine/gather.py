"""Looking: at a key in KMS, and at what its source can produce. Whatever comes of it is a fact, failures included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal, TypeVar

from byokd.engine.pace import Pace
from byokd.errors import (
    AccessDenied,
    CredentialsInvalid,
    KmsError,
    MaterialChanged,
    RequestRefused,
    SourceError,
    SourceUnreadable,
    WrongKeyState,
    WrongOrigin,
)
from byokd.facts.key import (
    ABSENT,
    SYMMETRIC,
    Absent,
    Blind,
    KeyArn,
    KeyRef,
    KeyState,
    NeverLooked,
    ObservedKey,
    ObservedMaterial,
    View,
    last_seen,
)
from byokd.facts.ledger import Proof, Proved, Unproved
from byokd.facts.policy import DesiredKey
from byokd.facts.snapshot import Snapshot
from byokd.ports import Clock, Kms, MaterialProof, Source, Store

SOURCE_LIMIT_S: Final = 660.0
"""How long a source may take to answer: longer than any time limit that the config can give a source itself."""

Answer = TypeVar("Answer")


async def answered(source: str, answer: Awaitable[Answer]) -> Answer:
    """What a source answers. Raises `SourceUnreadable` where it hangs: a turn that waits for ever tells nobody."""
    try:
        async with asyncio.timeout(SOURCE_LIMIT_S):
            return await answer
    except TimeoutError as error:
        raise SourceUnreadable(f"the source {source!r} did not answer within {SOURCE_LIMIT_S:.0f} s") from error


class Gatherer:
    """Brings a snapshot up to date. Raises nothing but store trouble: what cannot be seen is itself a fact."""

    def __init__(self, *, kms: Kms, pace: Pace, store: Store, sources: Mapping[str, Source], clock: Clock) -> None:
        self._kms = kms
        self._pace = pace
        self._store = store
        self._sources = sources
        self._clock = clock
        self._pinning: dict[KeyRef, tuple[KeyArn, str]] = {}
        """ARNs and names of keys that are looked at for the first time and not on record yet."""

    async def look(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with a new view, and with the alias pinned if this was the first look."""
        seen: ObservedKey | None = None
        try:
            seen = await self._describe(snapshot)
            seen = await self._listed(seen)
        except KmsError as error:
            return replace(snapshot, view=self._blind(snapshot, error.code, str(error), seen))
        _, _, _, region, account, *_ = seen.arn.split(":")
        if f"{account}/{region}" != snapshot.desired.lane:
            # Nothing is ever imported with the wrong account's credentials, even where they would be let in.
            text = f"the lane is {snapshot.desired.lane}, but its credentials and endpoint lead to {account}/{region}"
            return replace(snapshot, view=self._blind(snapshot, CredentialsInvalid.code, text))
        ledger = snapshot.ledger
        if isinstance(ledger.pinned_arn, Absent):
            if rival := await self._rival(snapshot, seen.arn):
                text = f"{snapshot.desired.name} is the same key as {rival}, which the config names too"
                return replace(snapshot, view=self._blind(snapshot, "duplicate_key", text))
            ledger = replace(ledger, pinned_arn=seen.arn)
            # Only now is it known whose relative it is.
            snapshot = replace(snapshot, relatives=await self._store.relatives(seen.arn, snapshot.ref))
        return replace(snapshot, view=seen, ledger=ledger)

    def end(self, snapshot: Snapshot) -> None:
        """The turn is over: what was pinned in it is on record, or was not pinned."""
        self._pinning.pop(snapshot.ref, None)

    async def prove(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what its source proved just now."""
        try:
            desired = snapshot.desired
            produced = await answered(desired.source, self.source(desired).prove(snapshot.locator))
            proof: Proof = self.proved(snapshot, produced)
        except SourceError as error:
            proof = self.unproved(snapshot, error)
        return replace(snapshot, proof=proof)

    def proved(self, snapshot: Snapshot, produced: MaterialProof) -> Proved:
        """Accept what the source produced. Raises `MaterialChanged` if it is not what was imported before."""
        known = snapshot.ledger.fingerprint
        if not isinstance(known, Absent) and known != produced.fingerprint:
            raise MaterialChanged(
                f"source {snapshot.desired.source} now gives other material for {snapshot.desired.name} "
                "than byokd imported before"
            )
        return Proved(
            at=self._clock.now(), fingerprint=produced.fingerprint, length=produced.length, kind=produced.kind
        )

    def source(self, desired: DesiredKey) -> Source:
        """The key's source. Raises `SourceUnreadable` if a reload took it away."""
        try:
            return self._sources[desired.source]
        except KeyError:
            raise SourceUnreadable(f"the config has no source {desired.source!r} any more") from None

    async def _rival(self, snapshot: Snapshot, arn: KeyArn) -> str:
        """The name of another key of the config that is the same key in KMS; empty if there is none."""
        for pinned, name in self._pinning.values():
            if pinned == arn:
                return name
        self._pinning[snapshot.ref] = (arn, snapshot.desired.name)
        return next(iter(await self._store.others_known_as(arn, snapshot.ref)), "")

    async def _describe(self, snapshot: Snapshot) -> ObservedKey:
        pinned, alias = snapshot.arn, snapshot.desired.alias
        asked = alias if isinstance(pinned, Absent) or alias is not ABSENT else pinned
        seen, sent_at = await self._call_describe(asked)
        target: KeyArn | Absent = ABSENT
        if not isinstance(pinned, Absent) and seen.arn != pinned:
            # The alias was moved to another key: say so, and keep to the one that byokd's material belongs to.
            target = seen.arn
            seen, sent_at = await self._call_describe(pinned)
        elif alias is not ABSENT:
            target = seen.arn
        before = last_seen(snapshot.view)
        return replace(
            seen,
            at=sent_at,  # the adapter knows the host's time; what is compared with other stamps has the engine's
            alias_target=target,
            was_disabled=seen.state is KeyState.PENDING_IMPORT and _was_disabled(before),
            begun_at=_begun_at(before, seen, sent_at),
        )

    async def _listed(self, seen: ObservedKey) -> ObservedKey:
        """The reading with the key's materials, of which only a symmetric key has several."""
        if seen.spec != SYMMETRIC or seen.origin != "EXTERNAL":
            return seen
        try:
            async with self._pace.request("ListKeyRotations"):
                materials = await self._kms.list_materials(seen.arn)
        except (AccessDenied, RequestRefused, WrongKeyState, WrongOrigin):
            # DescribeKey told the deadline that counts; not to see the others is no reason to miss that one.
            return replace(seen, materials_known=False)
        return replace(seen, materials=materials, materials_known=True)

    async def _call_describe(self, key: str | Absent) -> tuple[ObservedKey, datetime]:
        """What KMS shows, and when it was asked."""
        async with self._pace.request("DescribeKey"):
            sent_at = self._clock.now()
            return await self._kms.describe(str(key)), sent_at

    def _blind(self, snapshot: Snapshot, code: str, message: str, told: ObservedKey | None = None) -> View:
        """A look that failed; `told` is what DescribeKey showed of the key before it did, which is not thrown away."""
        now, before = self._clock.now(), snapshot.view
        still, last = isinstance(before, Blind), last_seen(before)
        if told is not None and isinstance(last, ObservedKey) and last.arn == told.arn:
            last = replace(told, materials=_still_listed(last, told), materials_known=last.materials_known)
        return Blind(
            since=before.since if isinstance(before, Blind) else now,
            at=now,
            code=code,
            message=message,
            failures=before.failures + 1 if still and isinstance(before, Blind) else 1,
            last=last,
        )

    def unproved(self, snapshot: Snapshot, error: SourceError) -> Unproved:
        """What a source's failure comes to, counted on from the one before."""
        now, before = self._clock.now(), snapshot.proof
        same = isinstance(before, Unproved) and before.code == error.code
        return Unproved(
            since=before.since if isinstance(before, Unproved) and same else now,
            at=now,
            code=error.code,
            message=str(error),
            failures=before.failures + 1 if isinstance(before, Unproved) and same else 1,
        )


def _was_disabled(before: ObservedKey | Literal[NeverLooked.NEVER_LOOKED]) -> bool:
    return isinstance(before, ObservedKey) and (before.state is KeyState.DISABLED or before.was_disabled)


def _still_listed(last: ObservedKey, told: ObservedKey) -> tuple[ObservedMaterial, ...]:
    """The materials listed last, as far as `told`, a newer DescribeKey without its list, does not tell otherwise.

    It speaks of the whole key: that one of the materials it needs is missing, or which ends first. Of a key that needs
    a single one, that is this one; of several nobody knows which, nor after a rotation.
    """
    needed = [each for each in last.materials if each.state.permanent]
    if len(needed) != 1 or told.current_material != last.current_material:
        return last.materials
    (only,) = needed
    if told.state is KeyState.PENDING_IMPORT:
        now = replace(only, imported=False, expiry=ABSENT)
    elif told.expiry is not ABSENT and (told.state, told.expiry) != (last.state, last.expiry):
        now = replace(only, imported=True, expiry=told.expiry)
    else:
        return last.materials
    return tuple(now if each is only else each for each in last.materials)


def _begun_at(
    before: ObservedKey | Literal[NeverLooked.NEVER_LOOKED], seen: ObservedKey, at: datetime
) -> datetime | Absent:
    """Since when the key's first material is in it, seen `at`: see `ObservedKey.begun_at`. Once known it stays."""
    if not isinstance(before, ObservedKey):
        return seen.begun_at
    if before.current_material is ABSENT and seen.current_material is not ABSENT:
        return at
    return seen.begun_at if isinstance(before.begun_at, Absent) else before.begun_at
