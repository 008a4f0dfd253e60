"""AWS's request quotas: how many calls of an operation KMS admits in each second.

Each account has its own quotas in each Region, over all its principals. Each quota is counted alone, but the
cryptographic operations share one for each type of key. Whoever calls more often is told ThrottlingException.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html (values of 2026). How AWS counts
is not published; here it is a token bucket, which holds what one second brings, but at least one request. A request
that is throttled takes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.hostility.settings import Hostility
from byokd.localkms.signatures import Caller

MESSAGE: Final = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."

PER_SECOND: Final[Mapping[str, float]] = {
    "CancelKeyDeletion": 5,
    "CreateAlias": 5,
    "CreateGrant": 50,
    "CreateKey": 5,
    "DeleteAlias": 15,
    "DeleteImportedKeyMaterial": 15,
    "DescribeKey": 2000,
    "DisableKey": 5,
    "DisableKeyRotation": 5,
    "EnableKey": 5,
    "EnableKeyRotation": 15,
    "GetKeyLastUsage": 5,
    "GetKeyPolicy": 1000,
    "GetKeyRotationStatus": 1000,
    # The page says 1, copies of it that are still around say 0.25. Who lives with the smaller lives with both.
    "GetParametersForImport": 0.25,
    "GetPublicKey": 2000,
    "ImportKeyMaterial": 15,
    "ListAliases": 500,
    "ListGrants": 100,
    "ListKeyPolicies": 100,
    "ListKeyRotations": 100,
    "ListKeys": 500,
    "ListResourceTags": 2000,
    "ListRetirableGrants": 100,
    "PutKeyPolicy": 15,
    "ReplicateKey": 5,
    "RetireGrant": 50,
    "RevokeGrant": 50,
    "RotateKeyOnDemand": 5,
    "ScheduleKeyDeletion": 15,
    "TagResource": 10,
    "UntagResource": 5,
    "UpdateAlias": 5,
    "UpdateKeyDescription": 5,
    "UpdatePrimaryRegion": 5,
}

SYMMETRIC: Final = "Cryptographic operations (symmetric)"
RSA: Final = "Cryptographic operations (RSA)"
ECC: Final = "Cryptographic operations (ECC and SM2)"
CRYPTOGRAPHIC: Final = frozenset(
    {
        "Decrypt",
        "DeriveSharedSecret",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "GenerateRandom",
        "ReEncrypt",
        "Sign",
        "Verify",
        "VerifyMac",
    }
)
SHARED: Final[Mapping[str, float]] = {SYMMETRIC: 10_000, RSA: 1000, ECC: 1000}
SYMMETRIC_BY_REGION: Final[Mapping[str, float]] = {
    "us-east-2": 20_000,
    "ap-southeast-1": 20_000,
    "ap-southeast-2": 20_000,
    "ap-northeast-1": 20_000,
    "eu-central-1": 20_000,
    "eu-west-2": 20_000,
    "us-east-1": 100_000,
    "us-west-2": 100_000,
    "eu-west-1": 100_000,
}

PAIRS: Final = frozenset({"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"})
PAIRS_PER_SECOND: Final[Mapping[str, float]] = {"RSA_2048": 20, "RSA_3072": 4, "RSA_4096": 1}  # every curve: 100
PAIRS_PER_SECOND_CHINA: Final[Mapping[str, float]] = {"RSA_2048": 1, "RSA_3072": 0.5, "RSA_4096": 0.1}


@dataclass(slots=True)
class Bucket:
    """A token bucket. Full when new; a clock that was set back neither fills nor empties it."""

    per_second: float
    tokens: float
    at: float
    """When `tokens` was true, epoch seconds."""

    def has(self, cost: int, now: float) -> bool:
        """Whether `cost` requests may pass at `now`."""
        self.tokens = min(self.holds, self.tokens + max(0.0, now - self.at) * self.per_second)
        self.at = now
        return self.tokens >= cost - 1e-9  # so that four seconds at 0.25 are a token in spite of the fractions

    @property
    def holds(self) -> float:
        """What fits in."""
        return max(1.0, self.per_second)


Due = tuple[Caller, str, int]
"""Whose quota a request counts against, which one, and how often."""


def due(caller: Caller, operation: str, request: Mapping[str, Any], key_spec: str | None) -> list[Due]:
    """The quotas that a request counts against.

    `key_spec` is that of the key which a cryptographic operation names (ReEncrypt: of its destination); None where it
    names none that exists, which counts as symmetric. A replication costs two key creations in the other Region, one of
    them a dry run.
    """
    if operation in CRYPTOGRAPHIC:
        return [(caller, _shared(key_spec), 1)]
    if operation in PAIRS:
        return [(caller, f"GenerateDataKeyPair ({request.get('KeyPairSpec')})", 1)]
    if operation == "ReplicateKey":
        there = caller._replace(region=request.get("ReplicaRegion", caller.region))
        return [(caller, operation, 1), (there, "CreateKey", 2)]
    if operation == "UpdatePrimaryRegion":
        there = caller._replace(region=request.get("PrimaryRegion", caller.region))
        return [(caller, operation, 1)] + ([(there, operation, 1)] if there != caller else [])
    return [(caller, operation, 1)]


def per_second(quota: str, region: str) -> float | None:
    """AWS's default of a quota in a Region, requests per second. None: there is no such quota."""
    if quota == SYMMETRIC:
        return SYMMETRIC_BY_REGION.get(region, SHARED[SYMMETRIC])
    if quota.startswith("GenerateDataKeyPair ("):
        spec = quota[quota.index("(") + 1 : -1]
        return (PAIRS_PER_SECOND_CHINA if region.startswith("cn-") else PAIRS_PER_SECOND).get(spec, 100)
    return PER_SECOND.get(quota, SHARED.get(quota))


def _shared(key_spec: str | None) -> str:
    if key_spec is None or key_spec == "SYMMETRIC_DEFAULT" or key_spec.startswith("HMAC_"):
        return SYMMETRIC
    return RSA if key_spec.startswith("RSA_") else ECC


class Quotas:
    """The buckets of every account and Region. Unbounded only in the number of accounts that call."""

    def __init__(self, hostility: Hostility) -> None:
        self._factor = hostility.quota_factor
        self._replaced = hostility.quotas
        self._buckets: dict[tuple[Caller, str], Bucket] = {}

    def admit(self, quotas: list[Due], now: float) -> None:
        """Count a request against all its quotas, or against none. `now` in epoch seconds of the server's clock.

        Raises: Refusal with ThrottlingException when one of them is used up.
        """
        if not self._factor:
            return
        counted = [(bucket, cost) for owner, quota, cost in quotas if (bucket := self._bucket(owner, quota, now))]
        if not all(bucket.has(cost, now) for bucket, cost in counted):
            raise Refusal(Fault.THROTTLING, MESSAGE)
        for bucket, cost in counted:
            bucket.tokens -= cost

    def _bucket(self, owner: Caller, quota: str, now: float) -> Bucket | None:
        known = self._buckets.get((owner, quota))
        if known is not None:
            return known
        rate = self._replaced.get(quota, per_second(quota, owner.region))
        if rate is None:
            return None
        fresh = Bucket(per_second=rate * self._factor, tokens=0.0, at=now)
        fresh.tokens = fresh.holds
        self._buckets[owner, quota] = fresh
        return fresh
