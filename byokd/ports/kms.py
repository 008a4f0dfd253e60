"""AWS KMS as one lane sees it; one of the ports, by whose rules it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from byokd.facts.key import (
    Absent,
    Expiry,
    KeyArn,
    MaterialId,
    ObservedKey,
    ObservedMaterial,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.policy import Lane
from byokd.facts.uses import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportParameters:
    """What GetParametersForImport gave: a pair that belongs to one key and ends after 24 h (`valid_to`)."""

    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    token: bytes = field(repr=False)
    valid_to: datetime


class Skew(NamedTuple):
    """How far KMS's clock is from the host's, as an answer showed it."""

    by: timedelta
    """KMS's `Date` minus our wall clock when it came. The header knows whole seconds: one of either sign is none."""
    at: float
    """When it came, in the seconds of `Clock.monotonic`."""


class Kms(Protocol):
    """AWS KMS as one lane sees it. Every method is one API call and makes one attempt: retrying is the lane's.

    Raises any `KmsError`. `AnswerLost` is raised only by those that change something: `import_material`,
    `delete_imported_material` and `rotate_on_demand`.
    """

    async def describe(self, key: str) -> ObservedKey:
        """DescribeKey by ARN or alias; `materials` is empty and `at` is the time the request was sent."""
        ...

    async def list_materials(self, arn: KeyArn) -> tuple[ObservedMaterial, ...]:
        """ListKeyRotations with all key material, every page, oldest first; symmetric keys only."""
        ...

    async def get_parameters(
        self, arn: KeyArn, *, algorithm: WrappingAlgorithm, spec: WrappingKeySpec
    ) -> ImportParameters:
        """GetParametersForImport. The parameters serve one import of this key."""
        ...

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
        """ImportKeyMaterial. `material`, where known, makes KMS check that it is that one (EXISTING_KEY_MATERIAL).

        `new` material becomes one more of the key, and waits for a rotation (NEW_KEY_MATERIAL). A symmetric replica
        takes only what its primary has, which is `existing` also where the replica never had it.

        Returns the KeyMaterialId that KMS computed, ABSENT where the key has none (HMAC, asymmetric).
        """
        ...

    async def delete_imported_material(self, arn: KeyArn, *, material: MaterialId | Absent) -> None:
        """DeleteImportedKeyMaterial. ABSENT names the one material of a key that has no ids for them.

        Deleting what is gone already changes nothing and is no error, so that it may be repeated after `AnswerLost`.
        """
        ...

    async def rotate_on_demand(self, arn: KeyArn) -> None:
        """RotateKeyOnDemand: begin to make the material current that waits for it, which may take KMS a while.

        Where it was begun, or nothing waits, KMS refuses (`WrongKeyState`): it may be repeated after `AnswerLost`.
        """
        ...

    async def make(self, arn: KeyArn, *, use: Use, message: bytes) -> bytes:
        """What the key makes of at most 190 bytes, by its use: a ciphertext (with `PROBE_CONTEXT`), a signature, a MAC.

        Of a key for agreements it is the secret that it shares with a peer whose key pair is made of the message.
        """
        ...

    async def check(self, arn: KeyArn, *, use: Use, message: bytes, made: bytes) -> bool:
        """Decrypt, Verify or VerifyMac: whether the key accepts `made` for this message. KMS saying no is False.

        Of a key for agreements, whether the peer derives the same with the key's public key.
        """
        ...

    async def request_quotas(self) -> Mapping[str, float]:
        """Requests a second that the account is allowed here, by KMS operation, as Service Quotas tells it.

        It may tell what cannot be; NaN stands for what is no number.
        """
        ...

    def skew(self) -> Skew | Absent:
        """What the newest answer showed; ABSENT before the first one."""
        ...


OpenKms = Callable[[Lane], AbstractAsyncContextManager[Kms]]
"""Opens the KMS of one lane. Opening makes no call: trouble with credentials or network shows at the first call."""
