"""KMS as byokd meets it over a network: the rules of `FakeKms`, with latency, quotas, replicas that lag, and trouble.

`FakeKms` holds the rules and passes the contract suite. What is added here never bends one of them: it only delays,
refuses, loses or repeats what a real network and a shared account would.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from byokd.errors import (
    AccessDenied,
    AnswerLost,
    BadAnswer,
    CredentialsInvalid,
    KeyNotFound,
    KmsError,
    KmsInternal,
    KmsUnreachable,
    RequestRefused,
    Throttled,
    TokenRefused,
)
from byokd.facts.key import ABSENT, Absent, Expiry, KeyArn, MaterialId, ObservedKey, ObservedMaterial, WrappingAlgorithm
from byokd.facts.key import WrappingKeySpec as Spec
from byokd.facts.policy import Quota
from byokd.facts.uses import Use
from byokd.ports import ImportParameters, Skew
from tests.kit.fake_keys import Key
from tests.kit.fake_kms import FakeKms
from tests.kit.fake_source import unsealed
from tests.sim.book import Book
from tests.sim.clocks import SIGNATURES_S, HostClock, KmsClock, Times
from tests.sim.hands import OF_ANY_KEY
from tests.sim.lanes import LanePlan
from tests.sim.life import Imported
from tests.sim.traffic import IMPORT, PARAMETERS

CALL_TIMEOUT_S: Final = 5.0
DELETION: Final = "DeleteImportedKeyMaterial"
ROTATION: Final = "RotateKeyOnDemand"
PROBES: Final = ("Encrypt", "Decrypt", "Sign", "Verify", "GenerateMac", "VerifyMac")
OPERATIONS: Final = {
    "all": ("DescribeKey", "ListKeyRotations", PARAMETERS, IMPORT, DELETION, ROTATION, *PROBES),
    "import": (IMPORT,),
    "parameters": (PARAMETERS,),
    "describe": ("DescribeKey",),
    "rotations": ("ListKeyRotations",),
}
LATE_S: Final = {"lost_late": (2.0, 8.0, 30.0), "tardy": (8.0, 30.0, 110.0, 300.0)}
"""After how long a request is carried out whose answer was lost, or was given before."""
_ERRORS: Final[dict[str, type[KmsError]]] = {
    "refuse": KmsUnreachable,
    "5xx": KmsInternal,
    "denied": AccessDenied,
    "credentials": CredentialsInvalid,
    "garbage": BadAnswer,
    "not_found": KeyNotFound,
    "throttled": Throttled,
    "refused": RequestRefused,
}


@dataclass(eq=False, slots=True, kw_only=True)
class Trouble:
    """Something that befalls a share of the calls of some operations."""

    mode: str
    share: float = 1.0
    operations: tuple[str, ...] = OPERATIONS["all"]


@dataclass(slots=True)
class Bucket:
    """AWS's own count of one operation's requests in an account and Region."""

    per_second: float
    burst: float
    tokens: float = 1.0
    since_s: float = 0.0

    def take(self, now_s: float, *, share: float) -> bool:
        """Whether one more request is let in, others taking the rest of the quota."""
        rate = self.per_second * share
        self.tokens = min(self.burst, self.tokens + (now_s - self.since_s) * rate)
        self.since_s = now_s
        if self.tokens < 1 - 1e-6:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True, kw_only=True)
class Weather:
    """How things stand in one account and Region."""

    troubles: list[Trouble] = field(default_factory=list)
    lag_s: float = 0.0
    """How long a change stays invisible to readers, at most."""
    others: float = 0.0
    """The share of the quotas that other callers use."""
    quota: float = 1.0
    """The quota as a multiple of what it was."""


class ModelKms(FakeKms):
    """One lane's KMS; implements `ports.Kms`."""

    def __init__(self, plan: LanePlan, times: Times, host: HostClock, rng: random.Random, book: Book) -> None:
        super().__init__(KmsClock(times))
        self.plan = plan
        self.weather = Weather()
        self.allowed: dict[str, Quota] = {}
        """byokd's own, as configured now."""
        self.allow(plan.per_second)
        self._times = times
        self._host = host
        self._rng = rng
        self._book = book
        self._versions: dict[KeyArn, deque[tuple[float, Key]]] = {}
        self._real = {
            PARAMETERS: Bucket(plan.real_per_second, plan.burst),
            IMPORT: Bucket(self.allowed[IMPORT].per_second, self.allowed[IMPORT].burst),
        }
        self._late: set[asyncio.Task[None]] = set()
        self._told_s, self._told_at = float("nan"), 0.0
        """How far the host's clock was off when KMS answered last."""

    # -- the port -----------------------------------------------------------------------------------------------------

    async def describe(self, key: str) -> ObservedKey:
        """See `ports.Kms`."""
        asked = self._book.by_arn.get(self.aliases.get(key, KeyArn(key)))
        # An alias that was moved shows another key, about which byokd has asked nothing.
        if asked is not None and (key not in self.aliases or asked.ref == f"{self.plan.id}/{key}"):
            self._book.watch.looked(asked.ref)
            asked.read = None
        await self._sent("DescribeKey", key)
        seen = await super().describe(key)
        self._answered()
        if (life := self._book.by_arn.get(seen.arn)) is not None:
            life.read = seen.expiry
        return seen

    async def list_materials(self, arn: KeyArn) -> tuple[ObservedMaterial, ...]:
        """See `ports.Kms`."""
        await self._sent("ListKeyRotations", arn)
        found = await super().list_materials(arn)
        self._answered()
        return found

    async def get_parameters(self, arn: KeyArn, *, algorithm: WrappingAlgorithm, spec: Spec) -> ImportParameters:
        """See `ports.Kms`."""
        await self._sent(PARAMETERS, arn)
        given = await super().get_parameters(arn, algorithm=algorithm, spec=spec)
        self._book.issued(given.token, arn)
        self._answered()
        return given

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
        note = unsealed(ciphertext)
        self._book.importing(arn, token, note.fingerprint if note else "", expiry)
        how = await self._sent(IMPORT, arn)
        asked = {"token": token, "ciphertext": ciphertext, "expiry": expiry, "material": material, "new": new}
        if how in LATE_S:
            after_s = self._rng.choice(LATE_S[how])
            late = asyncio.get_running_loop().create_task(self._apply_late(arn, asked, after_s), name="late request")
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        if how in ("lost_before", "lost_late"):
            await asyncio.sleep(CALL_TIMEOUT_S)
            raise AnswerLost("ImportKeyMaterial: no answer in time")
        if how in ("hollow", "tardy"):
            self._book.tell(self._book.by_arn[arn].ref, f"KMS says that it imports, and is {how}")
            self._answered()
            return material
        done = await self._apply(arn, asked)
        if how == "lost_applied":
            await asyncio.sleep(CALL_TIMEOUT_S)
            raise AnswerLost("ImportKeyMaterial: no answer in time")
        if how == "slow":
            await asyncio.sleep(CALL_TIMEOUT_S * 0.8)
        self._answered()
        return done

    async def delete_imported_material(self, arn: KeyArn, *, material: MaterialId | Absent) -> None:
        """See `ports.Kms`."""
        self._book.deleting(arn)
        await self._sent(DELETION, arn)
        before = {} if arn not in self._keys else {each.fingerprint: each for each in self.key(arn).materials}
        await super().delete_imported_material(arn, material=material)
        for each in self.key(arn).materials:
            if each.expiry is Absent.ABSENT and before[each.fingerprint].expiry_at(self.now) is not Absent.ABSENT:
                self._book.deleted(arn, each.fingerprint)
        self._answered()

    async def rotate_on_demand(self, arn: KeyArn) -> None:
        """See `ports.Kms`."""
        pending = self._keys[arn].pending if arn in self._keys else None
        self._book.rotating(arn, None if pending is None else pending.state)
        await self._sent(ROTATION, arn)
        await super().rotate_on_demand(arn)
        self._book.watch.rotated(self._book.by_arn[arn].ref)
        self._answered()

    async def make(self, arn: KeyArn, *, use: Use, message: bytes) -> bytes:
        """See `ports.Kms`."""
        self._book.probing(arn)
        await self._sent(use.makes, arn)
        made = await super().make(arn, use=use, message=message)
        self._answered()
        return made

    async def check(self, arn: KeyArn, *, use: Use, message: bytes, made: bytes) -> bool:
        """See `ports.Kms`."""
        await self._sent(use.checks, arn)
        right = await super().check(arn, use=use, message=message, made=made)
        self._answered()
        return right

    async def _apply(self, arn: KeyArn, asked: dict[str, Any], *, late: bool = False) -> MaterialId | Absent:
        note = unsealed(asked["ciphertext"])
        before = self.expiry_of(arn, note.fingerprint if note else "")
        done = await super().import_material(arn, **asked)
        self._book.imported(
            arn,
            note.fingerprint if note else "",
            Imported(
                at_s=self._times.true_s,
                expiry=asked["expiry"],
                before=before,
                by_hand=False,
                late=late,
                visible_s=self._visible_s(arn),
                off_by_s=self._host.off_by_s,
            ),
        )
        return done

    async def _apply_late(self, arn: KeyArn, asked: dict[str, Any], after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            await self._apply(arn, asked, late=True)
        except KmsError:
            return  # its key was deleted meanwhile: a request that nobody waits for, refused

    # -- the world ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """KMS's own time."""
        return self._clock.now()

    def managed_expiry(self, arn: str) -> Expiry | Absent:
        """The expiry of the material that byokd keeps: the current one."""
        key = self.key(arn)
        now = self._clock.now()
        return next((each.expiry_at(now) for each in key.materials if each.state.value == "CURRENT"), Absent.ABSENT)

    def expiry_of(self, arn: str, fingerprint: str) -> Expiry | Absent:
        """The expiry of one material of a key."""
        materials = self._keys[KeyArn(arn)].materials if arn in self._keys else ()
        found = (each.expiry_at(self.now) for each in materials if each.fingerprint == fingerprint)
        return next(found, Absent.ABSENT)

    def put(self, arn: str, **changes: Any) -> None:
        """See `FakeKms`; readers may see the change a little later."""
        name = KeyArn(arn)
        versions = self._versions.setdefault(name, deque([(0.0, self.key(arn))], maxlen=8))
        super().put(arn, **changes)
        lag_s = self.weather.lag_s * self._rng.random()
        versions.append((self._times.true_s + lag_s, self.key(arn)))
        self._book.is_now(self.key(arn))

    def allow(self, per_second: float, *, burst: float | None = None) -> None:
        """Configure byokd's pace of GetParametersForImport; with less than the half of what is planned, no burst."""
        plan, generous = self.plan, Quota(per_second=50.0, burst=50.0)
        burst = burst or (plan.burst if per_second >= plan.per_second / 2 else 1.0)
        looks, imports = plan.looks_per_second, plan.imports_per_second
        self.allowed = {
            **dict.fromkeys(OPERATIONS["all"], generous),
            "DescribeKey": Quota(per_second=looks, burst=looks),
            IMPORT: Quota(per_second=imports, burst=plan.burst) if imports < generous.per_second else generous,
            PARAMETERS: Quota(per_second=per_second, burst=burst, ceiling=per_second * plan.headroom),
        }

    @property
    def allowed_per_second(self) -> float:
        """byokd's own pace of GetParametersForImport, as configured now."""
        return self.allowed[PARAMETERS].per_second

    def unlimited(self) -> None:
        """AWS counts no requests here."""
        self._real.clear()

    def count(self, operation: str) -> int:
        """Calls are counted by the book."""
        raise NotImplementedError

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _sent(self, operation: str, key: str) -> str:
        """Carry a request to KMS; returns what shall become of it there, empty for nothing special."""
        arn = self.aliases.get(key, KeyArn(key))
        state = self.state(arn).value if operation not in OF_ANY_KEY and arn in self._keys else ""
        self._book.requested(self.plan.id, operation, arn, state, self.allowed[operation])
        await asyncio.sleep(self.plan.latency_s * (0.5 + self._rng.random()))
        if abs(self._host.off_by_s) > SIGNATURES_S:
            self._answered()
            raise CredentialsInvalid(f"{operation}: SignatureDoesNotMatch: signature not yet current, or expired")
        how = ""
        for trouble in self.weather.troubles:
            if operation not in trouble.operations or self._rng.random() >= trouble.share:
                continue
            if trouble.mode == "hang":
                await asyncio.sleep(CALL_TIMEOUT_S)
                raise (AnswerLost if operation == IMPORT else KmsUnreachable)(f"{operation}: no answer in time")
            if trouble.mode == "token" and operation == IMPORT:
                raise TokenRefused(f"{operation}: InvalidImportTokenException")
            if trouble.mode in _ERRORS:
                if trouble.mode == "throttled":
                    self._book.traffic.throttled(self.plan.id, operation)
                raise _ERRORS[trouble.mode](f"{operation}: {trouble.mode}")
            how = trouble.mode
        bucket = self._real.get(operation)
        if bucket is not None and not bucket.take(
            self._times.true_s, share=self.weather.quota * (1 - self.weather.others)
        ):
            self._book.tell(self.plan.id, f"KMS throttles {operation}")
            self._book.traffic.throttled(self.plan.id, operation)
            raise Throttled(f"{operation}: ThrottlingException")
        return how

    def opened(self) -> None:
        """byokd begins with this lane, and has measured nothing yet."""
        self._told_s, self.clock_skew = float("nan"), ABSENT

    def skew(self) -> Skew | Absent:
        """See `ports.Kms`: what the newest answer showed, however the host's clock was set since."""
        return ABSENT if isinstance(self.clock_skew, Absent) else Skew(by=self.clock_skew, at=self._told_at)

    def _answered(self) -> None:
        off_s = self._host.off_by_s
        if off_s != self._told_s:
            self._told_s, self.clock_skew = off_s, timedelta(seconds=round(-off_s))
        self._told_at = self._times.monotonic()

    def _visible_s(self, arn: KeyArn) -> float:
        versions = self._versions.get(arn)
        return versions[-1][0] if versions else 0.0

    async def _called(self, operation: str, key: str, **members: Any) -> None:
        """Every call was counted when it was sent."""

    def _read(self, arn: KeyArn) -> Key:
        versions = self._versions.get(arn)
        if not versions:
            return self._keys[arn]
        now_s = self._times.true_s
        return next((key for visible_s, key in reversed(versions) if visible_s <= now_s), versions[0][1])
