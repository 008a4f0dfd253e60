"""The worlds of the KMS contract: a KMS under test, and the people who change its keys behind byokd's back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import aiobotocore.session

from byokd.facts.key import SYMMETRIC, KeyArn, WrappingAlgorithm
from byokd.kms.adapter import open_kms
from byokd.kms.estate import open_estate
from byokd.kms.identity import Identity, shared_session
from byokd.localkms import FRIENDLY, Options, serve
from byokd.localkms.wrapping import WrappingKeys
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from byokd.ports import ImportParameters, Kms
from byokd.ports.estate import Estate
from tests.kit.clock import START, ManualClock
from tests.kit.fake_estate import FakeEstate
from tests.kit.fake_kms import FakeKms
from tests.kit.fake_source import proof_of, sealed
from tests.kit.lanes import ACCOUNT, REGION, a_lane
from tests.kit.materials import usage
from tests.sim.book import Book
from tests.sim.clocks import HostClock, Times
from tests.sim.model import ModelKms
from tests.sim.plan import LanePlan

WAITING_PERIOD = timedelta(days=7)


class World(Protocol):
    """A KMS, and what people do to its keys behind byokd's back."""

    kms: Kms
    estate: Estate

    async def create(self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC) -> KeyArn: ...
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
        self.fake: Any = FakeKms(clock)
        self.kms: Kms = self.fake
        self.fake_estate = FakeEstate(self.fake)
        self.estate: Estate = self.fake_estate
        self.created = 0

    async def create(self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC) -> KeyArn:
        self.created += 1
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.created:08d}-0000-4000-8000-000000000000"
        return KeyArn(self.fake.create(arn, origin=origin, alias=alias, spec=spec))

    async def name_key(self, arn: KeyArn, alias: str) -> None:
        self.fake.aliases[alias] = arn

    async def tag(self, arn: KeyArn, **tags: str) -> None:
        self.fake_estate.tagged[arn] = tags

    async def disable(self, arn: KeyArn) -> None:
        self.fake.put(arn, enabled=False)

    async def schedule_deletion(self, arn: KeyArn) -> None:
        self.fake.put(arn, deletion_at=self.clock.now() + WAITING_PERIOD)

    async def delete_material(self, arn: KeyArn) -> None:
        self.fake.delete_material(arn)

    def seal(self, material: bytes, parameters: ImportParameters, algorithm: WrappingAlgorithm) -> bytes:
        return sealed(proof_of(material), public_key=parameters.public_key, algorithm=algorithm).ciphertext


class ModelWorld(FakeWorld):
    """The simulator's KMS in fair weather: nobody else uses its quotas, and nothing takes time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        times = Times(lambda: self.passed_s)
        lane = LanePlan(
            account=ACCOUNT,
            region=REGION,
            per_second=1.0,
            real_per_second=1.0,
            in_flight=1,
            reserve=0.0,
            latency_s=0.0,
        )
        self.book = Book(times.monotonic, lambda: 0.0)
        self.fake = ModelKms(lane, times, HostClock(times, notices=True), random.Random(1), self.book)
        self.fake.unlimited()
        self.kms = self.fake
        self.fake_estate = FakeEstate(self.fake)
        self.estate = self.fake_estate

    @property
    def passed_s(self) -> float:
        """Seconds since the clock's start."""
        return (self.clock.now() - START).total_seconds()

    async def create(self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC) -> KeyArn:
        arn = await super().create(origin=origin, alias=alias, spec=spec)
        self.book.follow(arn, arn, "")
        return arn


class LocalWorld:
    """`AwsKms` and a second client, which plays the people, against one local KMS."""

    def __init__(self, kms: Kms, estate: Estate, people: Any) -> None:
        self.kms = kms
        self.estate = estate
        self.people = people

    async def create(self, *, origin: str = "EXTERNAL", alias: str = "", spec: str = SYMMETRIC) -> KeyArn:
        answer = await self.people.create_key(Origin=origin, KeySpec=spec, KeyUsage=usage(spec))
        arn = KeyArn(answer["KeyMetadata"]["Arn"])
        if alias:
            await self.name_key(arn, alias)
        return arn

    async def name_key(self, arn: KeyArn, alias: str) -> None:
        await self.people.create_alias(AliasName=alias, TargetKeyId=arn)

    async def tag(self, arn: KeyArn, **tags: str) -> None:
        given = [{"TagKey": name, "TagValue": value} for name, value in tags.items()]
        await self.people.tag_resource(KeyId=arn, Tags=given)

    async def disable(self, arn: KeyArn) -> None:
        await self.people.disable_key(KeyId=arn)

    async def schedule_deletion(self, arn: KeyArn) -> None:
        await self.people.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)

    async def delete_material(self, arn: KeyArn) -> None:
        await self.people.delete_imported_key_material(KeyId=arn)

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
    options = Options(clock=ServerClock(clock), pool=pool, hostility=FRIENDLY)
    keys = Identity(access_key_id=ACCOUNT, secret_access_key="any")
    async with (
        serve(options) as server,
        open_kms(a_lane(endpoint=server.url), clock=clock, session=shared_session(), identity=keys) as kms,
        open_estate(a_lane(endpoint=server.url), clock=clock, session=shared_session(), identity=keys) as estate,
        aiobotocore.session.AioSession().create_client(
            "kms",
            endpoint_url=server.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="any",
        ) as people,
    ):
        yield LocalWorld(kms, estate, people)
