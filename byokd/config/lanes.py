"""Lanes: one AWS account in one Region each, with its credentials, its limits and its quotas.

Quotas are what byokd allows itself, not what AWS allows the account: they are shared with every other caller there.
The defaults are AWS's own where that is the bottleneck, and a conservative share of them elsewhere
(https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from byokd.config.names import ACCOUNT, REGION, partition
from byokd.config.problems import Unfit, quoted
from byokd.config.quantities import Portion, Span
from byokd.config.settings import Count, Flag, Line, Rate, Settings
from byokd.facts.key import ABSENT, LaneId
from byokd.facts.policy import FASTEST_QUOTA, SLOWEST_QUOTA, Lane, Quota

LOCAL: Final = "local"
"""The endpoint that means: the local KMS embedded in the daemon."""

_ROLE: Final = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
_SESSION: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_AWS_HOST: Final = re.compile(
    rf"(?:.+\.)?(?:kms|sts|servicequotas)(?:-fips)?\.({REGION.pattern})\.(?:vpce\.)?(?:amazonaws|api)\..+", re.ASCII
)
"""A Region's own endpoint or a VPC endpoint, as AWS names them."""
_NO_FIPS: Final = re.compile(r"ap-east-2|ap-southeast-6|us-isob-west-1|(cn|eusc)-.+", re.ASCII)
"""Where AWS names no FIPS endpoint of KMS, and the SDK makes one up (the SDK's own endpoint data)."""
_NO_DUAL_STACK: Final = re.compile(r"(us-iso|us-isob|us-isof|eu-isoe)-.+", re.ASCII)
"""Where AWS names no dual-stack endpoint of any service (the same data)."""
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def _account(value: str) -> str:
    if not ACCOUNT.fullmatch(value):
        raise Unfit(f"{quoted(value)} is not an AWS account", 'twelve digits, in quotes: "111122223333"')
    return value


def _region(value: str) -> str:
    if not REGION.fullmatch(value):
        raise Unfit(f"{quoted(value)} is not an AWS Region", 'its code, such as "eu-central-1"')
    return value


def _endpoint(value: str) -> str:
    return value if value == LOCAL else _url(value, "http:// for a KMS of your own, or local")


def _endpoint_beside(value: str) -> str:
    return _url(value, "or http:// for a service of your own")


def _url(value: str, other: str) -> str:
    # The URL is not repeated: people write credentials into URLs.
    try:
        url = urlsplit(value)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    else:
        sound = (
            sound
            and not (url.username or url.password or url.query or url.fragment)
            and value.isprintable()
            and " " not in value
        )
    if not sound:
        raise Unfit("is not an endpoint", f"https://HOST[:PORT], {other}")
    return value


def _role(value: str) -> str:
    if not _ROLE.fullmatch(value):
        raise Unfit(f"{quoted(value)} is not the ARN of a role", "arn:aws:iam::ACCOUNT:role/NAME")
    return value


def _session(value: str) -> str:
    if not _SESSION.fullmatch(value):
        raise Unfit(f"{quoted(value)} cannot name a session", "2 to 64 letters, digits or + = , . @ _ -")
    return value


def _external_id(value: str) -> str:
    if not _EXTERNAL_ID.fullmatch(value):
        raise Unfit("cannot be an external id", "2 to 1224 letters, digits or + = , . @ : / _ -")
    return value


class QuotaSettings(Settings):
    """The pace of one KMS operation in one lane."""

    per_second: Annotated[Rate, Field(ge=SLOWEST_QUOTA, le=FASTEST_QUOTA)]
    """Requests a second that byokd allows itself: from 0.001 to 10000."""

    burst: Annotated[Rate, Field(ge=1, le=FASTEST_QUOTA)] | None = None
    """Requests at once after a pause: from 1 to 10000. Default: one second's worth, at least 1."""

    ceiling: Annotated[Rate, Field(ge=SLOWEST_QUOTA, le=FASTEST_QUOTA)] | None = None
    """Requests a second up to which byokd may find out that more is allowed, little by little while requests have to
    wait, at the price of a ThrottlingException a day where it is not: from 0.001 to 10000. Default: `per_second`,
    nothing is tried."""

    def quota(self, share: float) -> Quota:
        """The fact that these settings come to, for a share of AWS's quota."""
        burst = max(1.0, self.per_second) if self.burst is None else self.burst
        ceiling = self.per_second if self.ceiling is None else self.ceiling
        return Quota(per_second=self.per_second * share, burst=max(1.0, burst * share), ceiling=ceiling * share)


class QuotasSettings(Settings):
    """The pace of each KMS operation that byokd calls, by AWS's name for it."""

    GetParametersForImport: QuotaSettings = QuotaSettings(per_second=0.25, burst=1, ceiling=0.25)
    """One for each import, and the bottleneck: AWS's documents name 0.25 and 1 a second. Default 0.25, burst 1."""

    ImportKeyMaterial: QuotaSettings = QuotaSettings(per_second=5, burst=5, ceiling=5)
    """One for each import; AWS's documents name 5 and 15 a second. Default 5, burst 5."""

    DescribeKey: QuotaSettings = QuotaSettings(per_second=100, burst=100, ceiling=100)
    """One for each look at a key; AWS's quota is 2000 a second. Default 100, burst 100."""

    ListKeyRotations: QuotaSettings = QuotaSettings(per_second=25, burst=25, ceiling=25)
    """One or more for each look at a symmetric key; AWS's quota is 100 a second. Default 25, burst 25."""

    DeleteImportedKeyMaterial: QuotaSettings = QuotaSettings(per_second=5, burst=5, ceiling=5)
    """One for each material of a key that an operator suspends; AWS's documents name 5 and 15 a second. Default 5,
    burst 5."""

    ListKeys: QuotaSettings = QuotaSettings(per_second=50, burst=50, ceiling=50)
    """One for each 1000 keys of the lane when keys are looked for (`byokd find`); AWS's quota is 500 a second. Default
    50, burst 50."""

    ListAliases: QuotaSettings = QuotaSettings(per_second=50, burst=50, ceiling=50)
    """One for each 100 aliases of the lane when keys are looked for; AWS's quota is 500 a second. Default 50, burst
    50."""

    ListResourceTags: QuotaSettings = QuotaSettings(per_second=100, burst=100, ceiling=100)
    """One for each key of the lane when keys are looked for by tag; AWS's quota is 2000 a second. Default 100, burst
    100."""

    GetKeyPolicy: QuotaSettings = QuotaSettings(per_second=100, burst=100, ceiling=100)
    """One for each key of a manifest that has a policy (`byokd drift --manifest`), and for each primary that is
    replicated; AWS's quota is 1000 a second. Default 100, burst 100."""

    CreateKey: QuotaSettings = QuotaSettings(per_second=5, burst=1, ceiling=5)
    """One for each key that is made (`byokd create`); AWS's quota is 5 a second. Default 5, burst 1."""

    CreateAlias: QuotaSettings = QuotaSettings(per_second=5, burst=1, ceiling=5)
    """One for each key that is made; AWS's quota is 5 a second. Default 5, burst 1."""

    ReplicateKey: QuotaSettings = QuotaSettings(per_second=5, burst=1, ceiling=5)
    """One for each replica that is made (`byokd replicate`); AWS's quota is 5 a second. Default 5, burst 1."""

    RotateKeyOnDemand: QuotaSettings = QuotaSettings(per_second=5, burst=5, ceiling=5)
    """One for each rotation that an operator orders; AWS's quota is 5 a second. Default 5, burst 5."""

    Encrypt: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each probe of a key for ENCRYPT_DECRYPT (`probe`); AWS's quota, thousands a second for symmetric keys and
    hundreds for RSA, is that of everybody who uses keys. Default 10, burst 10."""

    Decrypt: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each such probe. Default 10, burst 10."""

    Sign: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each probe of a key for SIGN_VERIFY. Default 10, burst 10."""

    Verify: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each such probe. Default 10, burst 10."""

    GenerateMac: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each probe of a key for GENERATE_VERIFY_MAC. Default 10, burst 10."""

    VerifyMac: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each such probe. Default 10, burst 10."""

    DeriveSharedSecret: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each probe of a key for KEY_AGREEMENT. Default 10, burst 10."""

    GetPublicKey: QuotaSettings = QuotaSettings(per_second=10, burst=10, ceiling=10)
    """One for each such probe. Default 10, burst 10."""

    def by_operation(self) -> dict[str, QuotaSettings]:
        """Those of each operation."""
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: each for name, each in settings.items() if isinstance(each, QuotaSettings)}

    def quotas(self, share: float) -> dict[str, Quota]:
        """The facts that these settings come to, by operation."""
        return {name: each.quota(share) for name, each in self.by_operation().items()}


class LaneSettings(Settings):
    """One AWS account in one Region."""

    account: Annotated[str, AfterValidator(_account)]
    """The account's twelve digits, in quotes. byokd refuses to work with credentials of any other account."""

    region: Annotated[str, AfterValidator(_region)]
    """The Region's code, e.g. eu-central-1."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """URL used in place of AWS's own for the Region, e.g. of a VPC endpoint; `local` is the KMS of `[local_kms]`.
    Default: AWS's own."""

    sts_endpoint: Annotated[str, AfterValidator(_endpoint_beside)] | None = None
    """The same for STS, where `role_arn` is assumed; only with that. Default: AWS's own of the Region."""

    quotas_endpoint: Annotated[str, AfterValidator(_endpoint_beside)] | None = None
    """The same for Service Quotas, where `read_quotas` asks. Default: AWS's own of the Region."""

    fips: Flag = False
    """Use AWS's FIPS 140 endpoint of the Region; not with `endpoint`, and not where AWS names none. STS and Service
    Quotas, where the lane needs them and gives no endpoint of theirs, are asked at theirs where AWS names one: of STS
    in the United States, with `dual_stack` in Canada too but not in GovCloud; of Service Quotas in GovCloud. Default
    false."""

    dual_stack: Flag = False
    """Use AWS's dual-stack endpoint of the Region, for IPv6; not with `endpoint`, and not where AWS names none. STS,
    where the lane needs it and gives no endpoint of it, is asked at its own; Service Quotas has none and is asked over
    IPv4. Default false."""

    profile: Line | None = None
    """Profile of the AWS configuration files to take credentials from. Default: AWS's usual chain."""

    role_arn: Annotated[str, AfterValidator(_role)] | None = None
    """Role to assume for this lane, with those credentials. Default: none."""

    external_id: Annotated[str, AfterValidator(_external_id)] | None = None
    """External id that the role's trust policy asks for; only with `role_arn`. Default: none."""

    session_name: Annotated[str, AfterValidator(_session)] = "byokd"
    """Name of the role's session, as CloudTrail shows it: 2 to 64 letters, digits or + = , . @ _ -. Default byokd."""

    connect_timeout: Annotated[timedelta, Span("1s", "1m")] = timedelta(seconds=5)
    """How long connecting may take: from 1s to 1m. Default 5s."""

    call_timeout: Annotated[timedelta, Span("1s", "5m")] = timedelta(seconds=20)
    """How long a request may take, from sending it to its whole answer: from 1s to 5m. Default 20s."""

    max_in_flight: Annotated[Count, Field(ge=1, le=1000)] = 16
    """Keys worked on at the same time: from 1 to 1000. Default 16."""

    quota_share: Annotated[Fraction, Portion("1%", "100%")] | None = None
    """Share of every quota that byokd uses, leaving the rest to others in the account: from 1% to below 100%. Default:
    all of it."""

    read_quotas: Flag = False
    """Ask Service Quotas at the start and once a day what the account is allowed for GetParametersForImport and
    ImportKeyMaterial, and go by that in place of their `per_second` and `ceiling`; the other operations keep theirs.
    Needs servicequotas:ListServiceQuotas. Default false."""

    reserve: Annotated[Fraction, Portion("0%", "100%")] = Fraction(20, 100)
    """Share of GetParametersForImport's burst, but for one request, that routine renewals leave untouched for keys near
    their deadline: from 0% to below 100%; of a burst of 1, the default, nothing. The pace itself always goes to the
    earliest deadline, and the next token with it. Default 20%."""

    min_slack: Annotated[Fraction, Portion("0%", "100%")] = Fraction(50, 100)
    """People are told weeks ahead when the forecast says that, at this lane's pace, a key will be renewed with less
    than this share of its `renew_before` left: from 0% to below 100%. Default 50%, where a renewal becomes urgent."""

    discover_every: Annotated[timedelta, Span("10m", "30d")] | None = None
    """Search the lane so often for keys with imported material that no fleet names, and tell people: from 10m to 30d.
    Needs kms:ListKeys, kms:ListAliases, and kms:DescribeKey for every key. Default: never."""

    quotas: QuotasSettings = QuotasSettings()
    """Pace by KMS operation; operations left out keep their default."""

    def contradictions(self) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """What does not fit together, as (setting, what, hint)."""
        for name in ("external_id", "sts_endpoint"):
            if getattr(self, name) is not None and self.role_arn is None:
                yield (name,), "is only used with a role", f"add role_arn, or remove {name}"
        unnamed = {"fips": _NO_FIPS, "dual_stack": _NO_DUAL_STACK}
        for kind, regions in unnamed.items():
            if getattr(self, kind) and self.endpoint is not None:
                yield (kind,), "chooses among AWS's own endpoints", f"remove {kind}, or remove endpoint"
            elif getattr(self, kind) and regions.fullmatch(self.region):
                what = f"AWS names no such endpoint of KMS in {self.region}"
                yield (kind,), what, f"remove {kind}, or write an endpoint in its place if AWS has one by now"
        for name in ("endpoint", "sts_endpoint", "quotas_endpoint"):
            host = _AWS_HOST.fullmatch(urlsplit(getattr(self, name) or "").hostname or "")
            if host is not None and host[1] != self.region:
                yield (name,), f"is in {host[1]}, and the lane in {self.region}", "a lane works in one Region"
        if self.role_arn is not None:
            _, its, _, _, account, _ = self.role_arn.split(":", 5)
            if account != self.account:
                yield ("role_arn",), f"is a role of another account than {self.account}", "a lane works in one account"
            elif its != (ours := partition(self.region)):
                yield ("role_arn",), f"is in partition {its}, and {self.region} in {ours}", f"arn:{ours}:iam::..."
        for operation, quota in self.quotas.by_operation().items():
            if quota.ceiling is not None and quota.ceiling < quota.per_second:
                what = f"{quota.ceiling:g} is below per_second, {quota.per_second:g}"
                yield ("quotas", operation, "ceiling"), what, "raise ceiling, remove it, or lower per_second"

    def lane(self, name: str) -> Lane:
        """The fact that these settings come to."""
        share = 1.0 if self.quota_share is None else float(self.quota_share)
        return Lane(
            id=LaneId(f"{self.account}/{self.region}"),
            name=name,
            account=self.account,
            region=self.region,
            endpoint=self.endpoint or ABSENT,
            sts_endpoint=self.sts_endpoint or ABSENT,
            quotas_endpoint=self.quotas_endpoint or ABSENT,
            fips=self.fips,
            dual_stack=self.dual_stack,
            quota_share=share,
            read_quotas=self.read_quotas,
            profile=self.profile or ABSENT,
            role_arn=self.role_arn or ABSENT,
            external_id=self.external_id or ABSENT,
            session_name=self.session_name,
            connect_timeout=self.connect_timeout,
            call_timeout=self.call_timeout,
            max_in_flight=self.max_in_flight,
            quotas=self.quotas.quotas(share),
            reserve=float(self.reserve),
            min_slack=float(self.min_slack),
            discover_every=self.discover_every or ABSENT,
        )
