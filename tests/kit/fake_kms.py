"""AWS KMS in memory, for one lane: keys, tokens, expiry, reimport, and a switch for everything that can go wrong.

It follows the rules of `docs/kms.md` that byokd relies on. Time comes from the clock that it is given; what a `ValidTo`
ends, ends when the clock reads it. Keys are changed by the world (`put`, `delete_material`, ...) or through the port
(`import_material`), and the difference is what byokd has to notice::

    kms.fail("ImportKeyMaterial", AnswerLost("..."), applied=True)   the next call is carried out, and then raises
    kms.gate("DescribeKey")                                          calls wait until the returned event is set
    kms.lag(arn, reads=2)                                            the next two readings are of before the last change
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from byokd.errors import (
    CiphertextRefused,
    KeyNotFound,
    KmsError,
    MaterialRefused,
    RequestRefused,
    TokenRefused,
    WrongKeyState,
    WrongOrigin,
)
from byokd.facts.key import (
    ABSENT,
    SYMMETRIC,
    Absent,
    Expiry,
    Family,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
    Never,
    ObservedKey,
    ObservedMaterial,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.kinds import KINDS, Wrapping, ways
from byokd.facts.uses import Use, use_of
from byokd.ports import Clock, ImportParameters, Skew
from tests.kit.fake_family import FakeFamily, forgotten
from tests.kit.fake_keys import Key
from tests.kit.fake_source import unsealed
from tests.kit.fake_uses import mark
from tests.kit.materials import usage

VALIDITY_MAX = timedelta(days=365)
TOKEN_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that was made, whatever came of it."""

    at: datetime
    operation: str
    key: str
    members: dict[str, Any] = field(default_factory=dict)


class FakeKms(FakeFamily):
    """Implements `ports.Kms`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._before: dict[KeyArn, Key] = {}
        self._lag: dict[KeyArn, int] = {}
        self._faults: dict[str, deque[tuple[KmsError, bool]]] = defaultdict(deque)
        self._gates: dict[str, asyncio.Event] = {}
        self._tokens = 0
        self.aliases: dict[str, KeyArn] = {}
        self.calls: list[Call] = []
        """Oldest first."""
        self.clock_skew: timedelta | Absent = ABSENT
        self.quotas: dict[str, float] = {}
        self.impostors: set[KeyArn] = set()

    # -- the world ----------------------------------------------------------------------------------------------------

    def create(
        self, arn: str, *, spec: str = SYMMETRIC, origin: str = "EXTERNAL", alias: str = "", multi_region: bool = False
    ) -> KeyArn:
        """A virgin key, as CreateKey leaves it."""
        family = Family(primary=KeyArn(arn)) if multi_region else ABSENT
        key = Key(arn=KeyArn(arn), spec=spec, origin=origin, family=family, created_at=self._clock.now())
        self._keys[key.arn] = key
        if alias:
            self.aliases[alias] = key.arn
        return key.arn

    def key(self, arn: str) -> Key:
        """The key as it is now, without lag and without a call."""
        return self._keys[KeyArn(arn)]

    def state(self, arn: str) -> KeyState:
        """The key's state now, without lag and without a call."""
        return self.key(arn).state(self._clock.now())

    def put(self, arn: str, **changes: Any) -> None:
        """Change a key from outside, e.g. `put(arn, enabled=False)`."""
        key = self.key(arn)
        self._before[key.arn] = key
        self._keys[key.arn] = replace(key, **changes)

    def delete_material(self, arn: str) -> None:
        """Somebody else calls DeleteImportedKeyMaterial for all of it."""
        self.put(arn, materials=tuple(replace(each, expiry=ABSENT) for each in self.key(arn).materials))

    def remove(self, arn: str) -> None:
        """The key's waiting period is over: it is gone for good."""
        gone = self._keys.pop(KeyArn(arn))
        self._buried(gone)

    def fail(self, operation: str, *errors: KmsError, applied: bool = False) -> None:
        """Make the next calls of an operation raise these, one each; if `applied`, after having been carried out."""
        self._faults[operation].extend((error, applied) for error in errors)

    def heal(self, operation: str) -> None:
        """Let the calls of an operation succeed again."""
        self._faults[operation].clear()

    def gate(self, operation: str) -> asyncio.Event:
        """Make calls of an operation wait, before they do anything, until the event that is returned is set."""
        return self._gates.setdefault(operation, asyncio.Event())

    def lag(self, arn: str, *, reads: int) -> None:
        """Let so many readings show the key as it was before its last change (eventual consistency)."""
        self._lag[KeyArn(arn)] = reads

    def count(self, operation: str) -> int:
        """How many calls of an operation were made."""
        return sum(1 for call in self.calls if call.operation == operation)

    # -- the port -----------------------------------------------------------------------------------------------------

    async def describe(self, key: str) -> ObservedKey:
        """See `ports.Kms`."""
        at = self._clock.now()
        await self._called("DescribeKey", key)
        found = self._read(self._resolved(key))
        now = self._clock.now()
        state = found.state(now)
        answer = ObservedKey(
            at=at,
            arn=found.arn,
            state=state,
            origin=found.origin,
            spec=found.spec,
            expiry=_earliest(found, now),
            current_material=_current(found) if found.spec == SYMMETRIC else ABSENT,
            materials_known=False,
            deletion_at=ABSENT if state is KeyState.PENDING_REPLICA_DELETION else found.deletion_at,
            alias_target=found.arn if key.startswith("alias/") else ABSENT,
            family=found.family,
            begun_at=found.created_at,
            usage=usage(found.spec),
        )
        self._raise_late("DescribeKey")
        return answer

    async def list_materials(self, arn: KeyArn) -> tuple[ObservedMaterial, ...]:
        """See `ports.Kms`."""
        await self._called("ListKeyRotations", arn)
        found = self._read(self._resolved(arn))
        if found.spec != SYMMETRIC:
            raise WrongOrigin("ListKeyRotations: UnsupportedOperationException")
        now = self._clock.now()
        lost = forgotten(found, self._primary_of(found), now)
        self._raise_late("ListKeyRotations")
        return tuple(
            ObservedMaterial(
                material_id=each.id,
                state=each.state,
                imported=not isinstance(each.expiry_at(now), Absent),
                expiry=each.expiry_at(now),
                rotated_at=each.rotated_at,
            )
            for each in found.materials
            if each.id not in lost
        )

    async def get_parameters(
        self, arn: KeyArn, *, algorithm: WrappingAlgorithm, spec: WrappingKeySpec
    ) -> ImportParameters:
        """See `ports.Kms`."""
        await self._called("GetParametersForImport", arn, algorithm=algorithm, spec=spec)
        key = self._importable("GetParametersForImport", arn)
        if Wrapping(algorithm=algorithm, key_spec=spec) not in ways(KINDS[key.spec]):
            raise RequestRefused(f"GetParametersForImport: {algorithm} under {spec} cannot wrap {key.spec}")
        self._tokens += 1
        valid_to = self._clock.now() + TOKEN_LIFE
        public_key = f"public key {self._tokens}".encode()
        token = {
            "arn": key.arn,
            "public_key": hashlib.sha256(public_key).hexdigest(),
            "algorithm": algorithm.value,
            "valid_to": valid_to.isoformat(),
        }
        self._raise_late("GetParametersForImport")
        return ImportParameters(public_key=public_key, token=orjson.dumps(token), valid_to=valid_to)

    async def import_material(
        self,
        arn: KeyArn,
        *,
        token: bytes,
        ciphertext: bytes,
        expiry: Expiry,
        material: MaterialId | Absent,
        new: bool = False,
        existing: bool = False,
    ) -> MaterialId | Absent:
        """See `ports.Kms`."""
        await self._called("ImportKeyMaterial", arn, token=token, expiry=expiry, material=material, new=new)
        key = self._importable("ImportKeyMaterial", arn)
        self._check_expiry(expiry)
        fingerprint = self._unwrapped(key, token, ciphertext)
        taken = self.take(key.arn, fingerprint, expiry, material=material, new=new)
        self._raise_late("ImportKeyMaterial")
        return taken if key.spec == SYMMETRIC else ABSENT

    async def delete_imported_material(self, arn: KeyArn, *, material: MaterialId | Absent) -> None:
        """See `ports.Kms`. Without an id KMS deletes the current material (API model, DeleteImportedKeyMaterial)."""
        await self._called("DeleteImportedKeyMaterial", arn, material=material)
        key = self._keys[self._resolved(arn)]
        named = _current(key) if isinstance(material, Absent) else material
        self.put(
            arn, materials=tuple(replace(each, expiry=ABSENT) if each.id == named else each for each in key.materials)
        )
        self._tidied(key.arn)
        self._raise_late("DeleteImportedKeyMaterial")

    async def rotate_on_demand(self, arn: KeyArn) -> None:
        """See `ports.Kms`. It is done at once, in every Region."""
        await self._called("RotateKeyOnDemand", arn)
        self.turn(self._resolved(arn))
        self._raise_late("RotateKeyOnDemand")

    async def make(self, arn: KeyArn, *, use: Use, message: bytes) -> bytes:
        """See `ports.Kms`."""
        return mark(await self._used(use.makes, arn, use), use, message)

    async def check(self, arn: KeyArn, *, use: Use, message: bytes, made: bytes) -> bool:
        """See `ports.Kms`. Keys among `impostors` do not know what they made."""
        known = mark(await self._used(use.checks, arn, use), use, message)
        return arn not in self.impostors and made == known

    async def _used(self, operation: str, arn: KeyArn, use: Use) -> str:
        await self._called(operation, arn)
        key = self._keys[self._resolved(arn)]
        if key.state(self._clock.now()) is not KeyState.ENABLED:
            raise WrongKeyState(f"{operation}: KMSInvalidStateException: {arn} is not Enabled")
        if use != use_of(key.spec, usage(key.spec)):
            raise RequestRefused(f"{operation}: InvalidKeyUsageException: {arn} is not for {use.usage}")
        self._raise_late(operation)
        return next(each.fingerprint for each in key.materials if each.state is MaterialState.CURRENT)

    async def request_quotas(self) -> Mapping[str, float]:
        """See `ports.Kms`; what the test has set in `quotas`."""
        await self._called("ListServiceQuotas", "")
        return self.quotas

    def skew(self) -> Skew | Absent:
        """See `ports.Kms`; what the test has set, as if every moment had its answer."""
        by = self.clock_skew
        return ABSENT if isinstance(by, Absent) else Skew(by=by, at=self._clock.monotonic())

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _called(self, operation: str, key: str, **members: Any) -> None:
        self.calls.append(Call(at=self._clock.now(), operation=operation, key=key, members=members))
        if gate := self._gates.get(operation):
            await gate.wait()
        self._raise_planned(operation, applied=False)

    def _raise_late(self, operation: str) -> None:
        self._raise_planned(operation, applied=True)

    def _raise_planned(self, operation: str, *, applied: bool) -> None:
        faults = self._faults[operation]
        if faults and faults[0][1] is applied:
            raise faults.popleft()[0]

    def _resolved(self, name: str) -> KeyArn:
        arn = self.aliases.get(name, KeyArn(name))
        if arn not in self._keys:
            raise KeyNotFound(f"NotFoundException: Key '{name}' does not exist")
        return arn

    def _read(self, arn: KeyArn) -> Key:
        if self._lag.get(arn, 0):
            self._lag[arn] -= 1
            return self._before.get(arn, self._keys[arn])
        return self._keys[arn]

    def _importable(self, operation: str, arn: KeyArn) -> Key:
        key = self._keys[self._resolved(arn)]
        if key.origin != "EXTERNAL":
            raise WrongOrigin(f"{operation}: {arn} origin is {key.origin} which is not valid for this operation.")
        if not isinstance(key.deletion_at, Absent):
            raise WrongKeyState(f"{operation}: {arn} is pending deletion.")
        return key

    def _check_expiry(self, expiry: Expiry) -> None:
        now = self._clock.now()
        if not isinstance(expiry, Never) and not now < expiry <= now + VALIDITY_MAX:
            raise RequestRefused("ImportKeyMaterial: ValidationException: ValidTo is in the past or too far away")

    def _unwrapped(self, key: Key, token: bytes, ciphertext: bytes) -> str:
        try:
            terms = orjson.loads(token)
            valid_to = datetime.fromisoformat(terms["valid_to"])
        except (ValueError, KeyError):
            raise TokenRefused("ImportKeyMaterial: InvalidImportTokenException") from None
        if terms["arn"] != key.arn or valid_to <= self._clock.now():
            raise TokenRefused("ImportKeyMaterial: the token is another key's, or too old")
        note = unsealed(ciphertext)
        if note is None or (note.public_key, note.algorithm) != (terms["public_key"], terms["algorithm"]):
            raise CiphertextRefused("ImportKeyMaterial: InvalidCiphertextException")
        if not KINDS[key.spec].takes(note.kind, note.length):
            raise MaterialRefused("ImportKeyMaterial: IncorrectKeyMaterialException: not what the key spec takes")
        return note.fingerprint


def _earliest(key: Key, now: datetime) -> Expiry | Absent:
    """DescribeKey's: the earliest over the permanent materials; never only if none ends (API model, KeyMetadata)."""
    expiries = [each.expiry_at(now) for each in key.materials if each.state.permanent]
    if not expiries or ABSENT in expiries:
        return ABSENT
    return min((each for each in expiries if isinstance(each, datetime)), default=Never.NEVER)


def _current(key: Key) -> MaterialId | Absent:
    return next((each.id for each in key.materials if each.state is MaterialState.CURRENT), ABSENT)
