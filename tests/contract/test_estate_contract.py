"""What every `ports.Estate` promises: the fake in memory, and the real adapter over HTTP against the local KMS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from byokd.errors import AlreadyExists, KeyNotFound, WrongKeyState, WrongOrigin
from byokd.facts.estate import CREATED_AS, Attributes, NewKey
from byokd.facts.key import (
    ABSENT,
    NEVER,
    SYMMETRIC,
    Absent,
    Family,
    KeyArn,
    KeyState,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.uses import KeyUsage
from byokd.localkms.wrapping import WrappingKeys
from byokd.ports.estate import Page
from tests.contract.kms_worlds import FakeWorld, World, local_world
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, REGION

Row = TypeVar("Row")

NOWHERE = KeyArn(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d-0000-4000-8000-0000000000ff")


@pytest.fixture(params=["fake", "local"])
async def world(request: pytest.FixtureRequest, pool: WrappingKeys) -> AsyncIterator[World]:
    """Each implementation in turn."""
    if request.param == "fake":
        yield FakeWorld(ManualClock())
    else:
        async with local_world(ManualClock(), pool) as local:
            yield local


async def pages(page_after: Callable[[str | Absent], Awaitable[Page[Row]]]) -> list[tuple[Row, ...]]:
    """Every page of a listing."""
    found: list[tuple[Row, ...]] = []
    after: str | Absent = ABSENT
    while True:
        page = await page_after(after)
        found.append(page.rows)
        if isinstance(page.next, Absent):
            return found
        after = page.next


async def test_an_empty_lane_has_one_page_of_nothing(world: World):
    """Whoever lists what is not there is told so at once."""
    assert await pages(world.estate.list_keys) == [()]
    assert await pages(world.estate.list_aliases) == [()]


async def test_keys_of_every_origin_are_listed(world: World):
    """ListKeys does not tell the Origin, and leaves out nothing."""
    made = {await world.create(), await world.create(origin="AWS_KMS")}
    ((*listed,),) = await pages(world.estate.list_keys)
    assert set(listed) == made


async def test_a_listing_goes_on_where_its_page_ended(world: World):
    """A hundred aliases are a page; the next ones come with the next call, none twice."""
    arn = [await world.create() for _ in range(3)]
    names = [f"alias/n-{number:03d}" for number in range(120)]
    for number, name in enumerate(names):
        await world.name_key(arn[number % 3], name)
    first, second = await pages(world.estate.list_aliases)
    assert (len(first), len(second)) == (100, 20)
    listed = {each.alias: each.key_id for each in (*first, *second)}
    assert listed == {name: arn[number % 3].rpartition("/")[2] for number, name in enumerate(names)}


async def test_the_tags_of_a_key(world: World):
    """Names and values, all of them; none for a key without."""
    arn, bare = await world.create(), await world.create()
    await world.tag(arn, team="payments", empty="")
    assert dict(await world.estate.tags(arn)) == {"team": "payments", "empty": ""}
    assert dict(await world.estate.tags(bare)) == {}


async def test_a_key_is_described_as_the_lanes_kms_does(world: World):
    """What a search sees of a key is what a look would see."""
    arn = await world.create(alias="alias/payments")
    seen = await world.estate.describe(arn)
    assert (seen.arn, seen.origin, seen.state, seen.expiry) == (arn, "EXTERNAL", KeyState.PENDING_IMPORT, ABSENT)
    assert (await world.estate.describe("alias/payments")).arn == arn


async def test_a_key_that_is_gone_has_neither_tags_nor_a_description(world: World):
    """KMS says that it knows no such key."""
    with pytest.raises(KeyNotFound):
        await world.estate.tags(NOWHERE)
    with pytest.raises(KeyNotFound):
        await world.estate.describe(NOWHERE)


async def test_a_new_key_takes_imported_material_and_says_what_it_was_made_for(world: World):
    """Born PendingImport, with the tags of the manifest and one by which byokd knows it again."""
    arn = await world.estate.create_key(NewKey(alias="alias/new", tags={"team": "pay"}, description="A key."))
    seen = await world.estate.describe(arn)
    assert (seen.origin, seen.spec, seen.state) == ("EXTERNAL", SYMMETRIC, KeyState.PENDING_IMPORT)
    assert dict(await world.estate.tags(arn)) == {"team": "pay", CREATED_AS: "alias/new"}
    assert (await world.estate.create_key(NewKey(alias="alias/new"))) != arn


async def test_what_a_key_carries_is_told(world: World):
    """Its description and its policy as they were given, and KMS's own where none was."""
    policy = '{"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Principal": {"AWS": '
    policy += f'"arn:aws:iam::{ACCOUNT}:root"}}, "Action": "kms:*", "Resource": "*"}}]}}'
    arn = await world.estate.create_key(NewKey(alias="alias/new", description="A key.", policy=policy))
    assert (await world.estate.description(arn), json.loads(await world.estate.policy(arn))) == (
        "A key.",
        json.loads(policy),
    )
    plain = await world.estate.create_key(NewKey(alias="alias/plain"))
    assert await world.estate.description(plain) == ""
    assert "Enable IAM User Permissions" in await world.estate.policy(plain)
    for call in (world.estate.description, world.estate.policy):
        with pytest.raises(KeyNotFound):
            await call(NOWHERE)


async def test_an_hmac_key_is_made_as_one(world: World):
    """The use that KMS asks for follows from the spec."""
    arn = await world.estate.create_key(NewKey(alias="alias/mac", spec="HMAC_256", usage=KeyUsage.GENERATE_VERIFY_MAC))
    assert (await world.estate.describe(arn)).spec == "HMAC_256"


async def test_a_primary_is_replicated_once_in_a_region(world: World):
    """Where it has one already, whoever asks again is told so; the primary lists it."""
    arn = await world.estate.create_key(NewKey(alias="alias/new", multi_region=True))
    assert (await world.estate.describe(arn)).family == Family(primary=arn)
    with pytest.raises(WrongKeyState):
        await world.estate.replicate(arn, "us-east-1", attributes=Attributes())
    parameters = await world.kms.get_parameters(
        arn, algorithm=WrappingAlgorithm.OAEP_SHA_256, spec=WrappingKeySpec.RSA_2048
    )
    sealed = world.seal(bytes(32), parameters, WrappingAlgorithm.OAEP_SHA_256)
    await world.kms.import_material(arn, token=parameters.token, ciphertext=sealed, expiry=NEVER, material=ABSENT)

    replica = await world.estate.replicate(arn, "us-east-1", attributes=Attributes())
    assert replica == arn.replace(REGION, "us-east-1")
    assert (await world.estate.describe(arn)).family == Family(primary=arn, replicas=(replica,))
    with pytest.raises(AlreadyExists):
        await world.estate.replicate(arn, "us-east-1", attributes=Attributes())


async def test_a_key_of_a_single_region_is_not_replicated(world: World):
    """KMS refuses it for good."""
    arn = await world.estate.create_key(NewKey(alias="alias/new"))
    with pytest.raises(WrongOrigin):
        await world.estate.replicate(arn, "us-east-1", attributes=Attributes())


async def test_an_alias_names_one_key_and_is_made_once(world: World):
    """Who asks again is told that it is there, and not whose it is."""
    arn = await world.estate.create_key(NewKey(alias="alias/new"))
    await world.estate.create_alias("alias/new", arn)
    assert (await world.estate.describe("alias/new")).arn == arn
    with pytest.raises(AlreadyExists):
        await world.estate.create_alias("alias/new", arn)
    with pytest.raises(KeyNotFound):
        await world.estate.create_alias("alias/other", NOWHERE)
