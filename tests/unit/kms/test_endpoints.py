"""Where a lane's requests go: AWS's own endpoint of its Region, of the kind that it asks for."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import EndpointConnectionError

from byokd import errors
from byokd.facts.key import ABSENT
from byokd.kms.adapter import open_kms
from byokd.kms.client import lane_config
from byokd.kms.identity import Identity, lane_session
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, a_lane, lane_in, session

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
    own = lane_session(chosen, shared=session(), config=lane_config(chosen), identity=KEYS)
    async with own.create_client("kms", region_name=chosen.region, config=lane_config(chosen)) as client:
        assert client.meta.endpoint_url == f"https://{host}"


class Recorded(AIOHTTPSession):  # type: ignore[misc]  # untyped upstream
    """A network that remembers which hosts were asked for, and has none of them."""

    hosts: ClassVar[list[str]] = []

    async def send(self, request: Any) -> Any:
        self.hosts.append(request.url.split("/")[2])
        raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror(-2, "Name or service not known"))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-2", "sts-fips.us-east-2.api.aws"),
        ("ca-central-1", "sts-fips.ca-central-1.api.aws"),
        ("us-gov-west-1", "sts.us-gov-west-1.api.aws"),
        ("eu-central-1", "sts.eu-central-1.api.aws"),
    ],
)
async def test_fips_and_dual_stack(region: str, host: str) -> None:
    """A role is assumed at an endpoint that AWS names."""
    role = f"arn:aws:iam::{ACCOUNT}:role/byokd"
    lane = a_lane(region=region, id=lane_in(region), fips=True, dual_stack=True, role_arn=role)
    Recorded.hosts.clear()
    own = replace(KEYS, transport=Recorded)
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await kms.describe("arn")
    assert Recorded.hosts == [host]


@pytest.mark.parametrize(
    ("region", "hosts"),
    [
        ("eu-central-1", ["sts.eu-central-1.amazonaws.com", "servicequotas.eu-central-1.amazonaws.com"]),
        ("us-east-2", ["sts-fips.us-east-2.amazonaws.com", "servicequotas.us-east-2.amazonaws.com"]),
        ("us-gov-west-1", ["sts.us-gov-west-1.amazonaws.com", "servicequotas.us-gov-west-1.amazonaws.com"]),
    ],
)
async def test_fips_where_there_is_such_an_endpoint(region: str, hosts: list[str]) -> None:
    """A lane with FIPS and a role works outside the United States too, where STS has no FIPS endpoint."""
    role = f"arn:aws:iam::{ACCOUNT}:role/byokd"
    lane = a_lane(region=region, id=lane_in(region), fips=True, role_arn=role)
    Recorded.hosts.clear()
    own = replace(KEYS, transport=Recorded)
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await kms.describe("arn")
    plain = replace(lane, role_arn=ABSENT)
    async with open_kms(plain, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await kms.request_quotas()
    assert Recorded.hosts == hosts


class NoSuchHost(AIOHTTPSession):  # type: ignore[misc]  # untyped upstream
    """A network whose DNS knows no name."""

    async def send(self, request: Any) -> Any:
        raise EndpointConnectionError(endpoint_url=request.url, error=socket.gaierror(-2, "Name or service not known"))


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("eu-centrl-1", "the AWS SDK knows no Region eu-centrl-1, did you mean eu-central-1?"),
        ("qq-nowhere-7", "the AWS SDK knows no Region qq-nowhere-7"),
        ("eu-central-1", ""),
    ],
)
async def test_a_region_that_does_not_exist(region: str, said: str) -> None:
    """Nobody answers there, and the error says what is odd about it; a Region that exists is not doubted."""
    lane = a_lane(region=region, id=lane_in(region))
    own = replace(KEYS, transport=NoSuchHost)
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=own) as kms:
        with pytest.raises(errors.KmsUnreachable) as told:
            await kms.describe("arn")
    assert str(told.value).partition("; ")[2] == said


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
