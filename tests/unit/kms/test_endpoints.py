"""Where a lane's requests go: AWS's own endpoint of its Region, of the kind that it asks for."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointConnectionError

from byokd import errors
from byokd.config.lanes import LaneSettings
from byokd.facts.key import ABSENT
from byokd.kms.adapter import open_kms
from byokd.kms.client import lane_config
from byokd.kms.identity import Identity, beside, lane_session
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, a_lane, lane_in, session
from tests.unit.kms.scripted import ROLE

KEYS = Identity(access_key_id="AKIATEST", secret_access_key="any")


@pytest.mark.parametrize(
    ("kinds", "host"),
    [
        ({}, "kms.eu-central-1.amazonaws.com"),
        ({"fips": True}, "kms-fips.eu-central-1.amazonaws.com"),
        ({"dual_stack": True}, "kms.eu-central-1.api.aws"),
        ({"fips": True, "dual_stack": True}, "kms-fips.eu-central-1.api.aws"),
    ],
)
async def test_a_lane_chooses_among_the_endpoints_of_its_region(kinds: dict[str, bool], host: str) -> None:
    """AWS's own rules tell the host; byokd only asks for the kind."""
    chosen = a_lane(**kinds)
    config = lane_config(chosen)
    own = lane_session(chosen, clock=ManualClock(), shared=session(), config=config, identity=KEYS)
    async with own.create_client("kms", region_name=chosen.region, config=config) as client:
        assert client.meta.endpoint_url == f"https://{host}"


class Recorded(AIOHTTPSession):  # type: ignore[misc]  # untyped upstream
    """A network that remembers which hosts were asked for, and has none of them."""

    hosts: ClassVar[list[str]] = []

    async def send(self, request: Any) -> Any:
        self.hosts.append(request.url.split("/")[2])
        raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror(-2, "Name or service not known"))


@pytest.mark.parametrize(
    ("region", "kinds", "sts", "quotas"),
    [
        ("us-east-2", {"fips"}, "sts-fips.us-east-2.amazonaws.com", "servicequotas.us-east-2.amazonaws.com"),
        ("us-east-2", {"fips", "dual_stack"}, "sts-fips.us-east-2.api.aws", "servicequotas.us-east-2.amazonaws.com"),
        ("ca-central-1", {"fips"}, "sts.ca-central-1.amazonaws.com", "servicequotas.ca-central-1.amazonaws.com"),
        (
            "ca-central-1",
            {"fips", "dual_stack"},
            "sts-fips.ca-central-1.api.aws",
            "servicequotas.ca-central-1.amazonaws.com",
        ),
        (
            "us-gov-west-1",
            {"fips", "dual_stack"},
            "sts.us-gov-west-1.api.aws",
            "servicequotas.us-gov-west-1.amazonaws.com",
        ),
        ("eu-central-1", {"fips"}, "sts.eu-central-1.amazonaws.com", "servicequotas.eu-central-1.amazonaws.com"),
        ("eu-central-1", {"dual_stack"}, "sts.eu-central-1.api.aws", "servicequotas.eu-central-1.amazonaws.com"),
    ],
)
async def test_services_beside_kms(region: str, kinds: set[str], sts: str, quotas: str) -> None:
    """A role is assumed, and Service Quotas asked, at endpoints that AWS names, be they of another kind."""
    lane = a_lane(region=region, id=lane_in(region), **dict.fromkeys(kinds, True))
    behind = replace(lane, role_arn=ROLE)
    own = replace(KEYS, transport=Recorded)
    Recorded.hosts.clear()
    async with open_kms(behind, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.CredentialsUnreachable, match=f'^AssumeRole: .*"https://{sts}/"'):
            await kms.describe("arn")
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await kms.request_quotas()
    assert Recorded.hosts == [sts, quotas]


VPC = "https://vpce-0a1b-c2d3.{}.eu-central-1.vpce.amazonaws.com"


@pytest.mark.parametrize("fips", [False, True])
async def test_services_beside_kms_in_a_vpc_without_internet(fips: bool) -> None:
    """What the config names is asked; a lane with a VPC endpoint of KMS asked for its role at a public name."""
    settings = LaneSettings(
        account=ACCOUNT,
        region="eu-central-1",
        role_arn=ROLE,
        fips=fips,
        dual_stack=fips,
        sts_endpoint=VPC.format("sts"),
        quotas_endpoint=VPC.format("servicequotas"),
    )
    assert not list(settings.contradictions())
    lane, own = settings.lane("test"), replace(KEYS, transport=Recorded)
    Recorded.hosts.clear()
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.CredentialsUnreachable):
            await kms.describe("arn")
    plain = replace(lane, role_arn=ABSENT)
    async with open_kms(plain, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await kms.request_quotas()
    assert Recorded.hosts == [VPC.format(each).removeprefix("https://") for each in ("sts", "servicequotas")]


DATA = session().models.load_data("endpoints")
REGIONS = {region: each for each in DATA["partitions"] for region in each["regions"]}
SERVICES = {"kms": "kms", "sts": "sts", "service-quotas": "servicequotas"}
"""Name in the SDK → name in AWS's endpoint data."""
DUAL_STACK = {"kms", "sts"}
"""AWS's data names dual-stack endpoints by partition alone, and its pages by service."""
ON_A_PAGE = {"sts-fips.ca-central-1.api.aws", "sts-fips.ca-west-1.api.aws"}
"""Hosts that the data lacks, and IAM's page on dual-stack endpoints names."""


def named(service: str, region: str) -> dict[frozenset[str], str]:
    """The hosts that AWS's data has for the service, by their kinds: `fips`, `dualstack`, both, or neither."""
    partition, name = REGIONS[region], SERVICES[service]
    of_service = partition["services"][name]
    own = of_service["endpoints"][region]
    found: dict[frozenset[str], str] = {frozenset(): f"{name}.{region}.{partition['dnsSuffix']}"}
    for each in (*of_service.get("defaults", {}).get("variants", ()), *own.get("variants", ())):
        suffix = each.get("dnsSuffix", partition["dnsSuffix"])
        found[frozenset(each["tags"])] = each["hostname"].format(service=name, region=region, dnsSuffix=suffix)
    if service in DUAL_STACK:
        for each in partition["defaults"]["variants"]:
            kinds = frozenset(each["tags"])
            if kinds == {"dualstack"} or (kinds == {"dualstack", "fips"} and frozenset({"fips"}) in found):
                found[kinds] = each["hostname"].format(service=name, region=region, dnsSuffix=each["dnsSuffix"])
    return found


def resolved(service: str, region: str, config: AioConfig) -> str:
    """The host that the SDK makes of the config."""
    models = session().models
    rules = EndpointProvider(models.load_service_model(service, "endpoint-rule-set-1"), models.load_data("partitions"))
    kinds = {"UseFIPS": config.use_fips_endpoint, "UseDualStack": config.use_dualstack_endpoint}
    url: str = rules.resolve_endpoint(Region=region, **kinds).url
    return url.removeprefix("https://")


@pytest.mark.parametrize("kinds", [(), ("fips",), ("dual_stack",), ("fips", "dual_stack")], ids="+".join)
@pytest.mark.parametrize("region", REGIONS)
def test_every_region(region: str, kinds: tuple[str, ...]) -> None:
    """In every Region of AWS, a lane asks hosts that AWS names, or the config refuses what it asks for."""
    wanted = frozenset(each.replace("_", "") for each in kinds)
    settings = LaneSettings(account=ACCOUNT, region=region, fips="fips" in kinds, dual_stack="dual_stack" in kinds)
    refused = {place for (place,), _, _ in settings.contradictions()}
    hosts = named("kms", region)
    assert refused == {each for each in kinds if frozenset({each.replace("_", "")}) not in hosts}
    if refused:
        return
    lane = settings.lane("test")
    config = lane_config(lane)
    assert resolved("kms", region, config) == hosts[wanted]
    for service in ("sts", "service-quotas"):
        host = resolved(service, region, beside(lane, service, config)["config"])
        assert host in {*named(service, region).values(), *ON_A_PAGE}


class NoSuchHost(AIOHTTPSession):  # type: ignore[misc]  # untyped upstream
    """A network whose DNS knows no name."""

    async def send(self, request: Any) -> Any:
        raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror(-2, "Name or service not known"))


@pytest.mark.parametrize("role", [ABSENT, ROLE], ids=["KMS", "STS"])
@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("eu-centrl-1", "the AWS SDK knows no Region eu-centrl-1, did you mean eu-central-1?"),
        ("qq-nowhere-7", "the AWS SDK knows no Region qq-nowhere-7"),
        ("eu-central-1", ""),
    ],
)
async def test_a_region_that_does_not_exist(region: str, said: str, role: Any) -> None:
    """Nobody answers there, and the error says what is odd about it; a Region that exists is not doubted."""
    lane = a_lane(region=region, id=lane_in(region), role_arn=role)
    own = replace(KEYS, transport=NoSuchHost)
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable) as told:
            await kms.describe("arn")
    assert str(told.value).partition("; ")[2] == said
    assert isinstance(told.value, errors.CredentialsUnreachable) is (role is not ABSENT)


class Counted:
    """The SDK's loader of models, which counts what it is asked for."""

    def __init__(self, models: Any) -> None:
        self.models = models
        self.asked = 0

    def load_service_model(self, *args: Any, **kwargs: Any) -> Any:
        """See the SDK."""
        self.asked += 1
        return self.models.load_service_model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.models, name)


@pytest.mark.parametrize(("endpoint", "doubts"), [(ABSENT, True), ("https://kms.example", False)])
async def test_an_endpoint_is_no_matter_of_regions(endpoint: Any, doubts: bool) -> None:
    """Where a lane has its own endpoint, a call that fails does not collect the Regions that there are."""
    models = Counted(session().models)
    own = replace(KEYS, transport=NoSuchHost)
    lane = a_lane(endpoint=endpoint)
    async with open_kms(lane, clock=ManualClock(), session=replace(session(), models=models), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await kms.describe("arn")
        opening = models.asked
        with pytest.raises(errors.KmsUnreachable):
            await kms.describe("arn")
    assert (models.asked > opening) is doubts
