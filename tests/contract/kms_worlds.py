"""The worlds of the KMS contract: a KMS under test, and the people who change its keys behind byokd's back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

from aiobotocore.session import AioSession

from byokd.facts.key import SYMMETRIC, KeyArn, WrappingAlgorithm, region_of
from byokd.kms.adapter import open_kms
from byokd.kms.estate import open_estate
from byokd.kms.identity import Identity
from byokd.localkms import AT_ONCE, FRIENDLY, Options, serve
from byokd.localkms.wrapping import WrappingKeys
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from byokd.ports import ImportParameters, Kms
from byokd.ports.estate import Estate
from tests.kit.clock import START, ManualClock
from tests.kit.fake_estate import FakeEstate
from tests.kit.fake_kms import FakeKms
from tests.kit.fake_source import proof_of, sealed
from tests.kit.lanes import ACCOUNT, REGION, a_lane, session
from tests.kit.materials import usage
from tests.sim.book import Book
from tests.sim.clocks import HostClock, Times
from tests.sim.lanes import LanePlan
from tests.sim.model import ModelKms

WAITING_PERIOD = timedelta(days=7)
AWAY, THIRD = "us-east-1", "eu-west-1"
REGIONS = (REGION, AWAY, THIRD)
"""The Regions of the account; `World.kms` is that of the first."""


class World(Protocol):
    """A KMS, and what people do to its keys behind byokd's back."""

    kms: Kms
    estate: Estate

    @property
    def regions(self) -> Mapping[str, Kms]: ...
    async def create(
        self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC, multi_region: bool = False
    ) -> KeyArn: ...
    async def replicate(self, arn: KeyArn, region: str) -> KeyArn: ...
    async def name_key(self, arn: KeyArn, alias: str) -> None: ...
    async def tag(self, arn: KeyArn, **tags: str) -> None: ...
    async def disable(self, arn: KeyArn) -> None: ...
    async def schedule_deletion(self, arn: KeyArn) -> None: ...
    async def delete_material(self, arn: KeyArn) -> None: ...
    def seal(self, material: bytes, parameters: ImportParameters, algorithm: WrappingAlgorithm) -> bytes: ...


class FakeWorld:
    """`FakeKms`."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.regions: dict[str, Any] = {region: self.lane(region) for region in REGIONS}
        for each in self.regions.values():
            each.regions = self.regions
        self.fake = self.regions[REGION]
        self.kms: Kms = self.fake
        self.fake_estate = FakeEstate(self.fake)
        self.estate: Estate = self.fake_estate
        self.created = 0

    def lane(self, region: str) -> Any:
        """The KMS of one Region."""
        return FakeKms(self.clock)

    async def create(
        self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC, multi_region: bool = False
    ) -> KeyArn:
        self.created += 1
        named = f"mrk-{self.created:032d}" if multi_region else f"{self.created:08d}-0000-4000-8000-000000000000"
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{named}"
        return KeyArn(self.fake.create(arn, origin=origin, alias=alias, spec=spec, multi_region=multi_region))

    async def replicate(self, arn: KeyArn, region: str) -> KeyArn:
        return KeyArn(self.fake.replicate(arn, region))

    async def name_key(self, arn: KeyArn, alias: str) -> None:
        self.fake.aliases[alias] = arn

    async def tag(self, arn: KeyArn, **tags: str) -> None:
        self.fake_estate.tagged[arn] = tags

    async def disable(self, arn: KeyArn) -> None:
        self.regions[region_of(arn)].put(arn, enabled=False)

    async def schedule_deletion(self, arn: KeyArn) -> None:
        self.regions[region_of(arn)].put(arn, deletion_at=self.clock.now() + WAITING_PERIOD)

    async def delete_material(self, arn: KeyArn) -> None:
        self.regions[region_of(arn)].delete_material(arn)

    def seal(self, material: bytes, parameters: ImportParameters, algorithm: WrappingAlgorithm) -> bytes:
        return sealed(proof_of(material), public_key=parameters.public_key, algorithm=algorithm).ciphertext


class ModelWorld(FakeWorld):
    """The simulator's KMS in fair weather: nobody else uses its quotas, and nothing takes time."""

    def __init__(self, clock: ManualClock) -> None:
        self.times = Times(self.passed_s)
        self.book = Book(self.times.monotonic, lambda: 0.0)
        super().__init__(clock)

    def passed_s(self) -> float:
        """Seconds since the clock's start."""
        return (self.clock.now() - START).total_seconds()

    def lane(self, region: str) -> ModelKms:
        plan = LanePlan(
            account=ACCOUNT,
            region=region,
            per_second=1.0,
            real_per_second=1.0,
            in_flight=1,
            reserve=0.0,
            latency_s=0.0,
        )
        model = ModelKms(plan, self.times, HostClock(self.times, notices=True), random.Random(1), self.book)
        model.unlimited()
        return model

    async def create(
        self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC, multi_region: bool = False
    ) -> KeyArn:
        arn = await super().create(origin=origin, alias=alias, spec=spec, multi_region=multi_region)
        self.book.follow(arn, arn, "")
        return arn

    async def replicate(self, arn: KeyArn, region: str) -> KeyArn:
        replica = await super().replicate(arn, region)
        self.book.follow(replica, replica, "")
        return replica


class LocalWorld:
    """`AwsKms` and a second client, which plays the people, against one local KMS."""

    def __init__(self, regions: Mapping[str, Kms], estate: Estate, people: Mapping[str, Any]) -> None:
        self.kms = regions[REGION]
        self.regions = regions
        self.estate = estate
        self.people = people[REGION]
        self.people_in = people

    async def create(
        self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC, multi_region: bool = False
    ) -> KeyArn:
        answer = await self.people.create_key(
            Origin=origin, KeySpec=spec, KeyUsage=usage(spec), MultiRegion=multi_region
        )
        arn = KeyArn(answer["KeyMetadata"]["Arn"])
        if alias:
            await self.name_key(arn, alias)
        return arn

    async def replicate(self, arn: KeyArn, region: str) -> KeyArn:
        answer = await self.people.replicate_key(KeyId=arn, ReplicaRegion=region)
        return KeyArn(answer["ReplicaKeyMetadata"]["Arn"])

    async def name_key(self, arn: KeyArn, alias: str) -> None:
        await self.people.create_alias(AliasName=alias, TargetKeyId=arn)

    async def tag(self, arn: KeyArn, **tags: str) -> None:
        given = [{"TagKey": name, "TagValue": value} for name, value in tags.items()]
        await self.people.tag_resource(KeyId=arn, Tags=given)

    async def disable(self, arn: KeyArn) -> None:
        await self.people_in[region_of(arn)].disable_key(KeyId=arn)

    async def schedule_deletion(self, arn: KeyArn) -> None:
        await self.people_in[region_of(arn)].schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)

    async def delete_material(self, arn: KeyArn) -> None:
        await self.people_in[region_of(arn)].delete_imported_key_material(KeyId=arn)

    def seal(self, material: bytes, parameters: ImportParameters, algorithm: WrappingAlgorithm) -> bytes:
        with Secret(bytearray(material)) as secret:
            return wrap(secret, public_key=parameters.public_key, algorithm=algorithm)


class ServerClock:
    """The local KMS's clock, kept by a `ManualClock`."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    def now(self) -> float:
        return self.clock.now().timestamp()

    async def sleep_until(self, when: float) -> None:
        await self.clock.wait(asyncio.Event(), until=datetime.fromtimestamp(when, UTC), cap_s=1e9)


@asynccontextmanager
async def local_world(clock: ManualClock, pool: WrappingKeys) -> AsyncIterator[LocalWorld]:
    options = Options(clock=ServerClock(clock), pool=pool, hostility=FRIENDLY, pace=AT_ONCE)
    keys = Identity(access_key_id=ACCOUNT, secret_access_key="any")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(options))
        kms, people = {}, {}
        for region in REGIONS:
            lane = a_lane(endpoint=server.url, region=region)
            opened = open_kms(lane, clock=clock, session=session(), identity=keys)
            kms[region] = await stack.enter_async_context(opened)
            people[region] = await stack.enter_async_context(_client(server.url, region))
        home = a_lane(endpoint=server.url)
        estate = await stack.enter_async_context(open_estate(home, clock=clock, session=session(), identity=keys))
        yield LocalWorld(kms, estate, people)


@cache
def _of_people() -> AioSession:
    people = AioSession()
    people.register_component("data_loader", session().models)
    return people


def _client(url: str, region: str) -> Any:
    return _of_people().create_client(
        "kms",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="any",
    )
