"""A multi-Region key in three lanes: real parts, moved time, and boto3 beside byokd."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from byokd.facts.key import Family, KeyArn, ObservedKey, last_seen
from tests.kit.builders import DAY
from tests.kit.real_parts import HOME, Site, ask, site
from tests.kit.world import running

pytestmark = pytest.mark.timeout(120)

AWAY = ("eu-west-1", "us-east-1")
REGIONS = (HOME, *AWAY)


async def decrypted(it: Site, blob: bytes) -> list[bytes]:
    """What becomes of a ciphertext in each Region."""
    return [(await ask(it, "decrypt", region=region, CiphertextBlob=blob))["Plaintext"] for region in REGIONS]


async def test_a_family_is_kept_alive_in_every_region(tmp_path: Path) -> None:
    """The replicas get their first import and each its own deadline; what one Region encrypts, the others read."""
    async with site(tmp_path, replicas=AWAY) as it, running(it.world):
        blob = (await ask(it, "encrypt", KeyId=it.keys[0].ref, Plaintext=b"0"))["CiphertextBlob"]
        await it.world.pass_time(200 * DAY, step=DAY)
        assert await decrypted(it, blob) == [b"0"] * 3
        assert "material_lapsed" not in await it.world.history()
        assert it.world.inbox.said == []


async def test_what_is_seen_of_a_family(tmp_path: Path) -> None:
    """Who is the primary and who are the replicas, as KMS lists them; and each knows the others of the config."""
    async with site(tmp_path, replicas=AWAY) as it, running(it.world):
        await it.world.pass_time(timedelta(minutes=1), step=timedelta(seconds=30))
        primary, *replicas = it.keys
        for key in it.keys:
            known = await it.world.know(key.ref)
            seen = last_seen(known.view)
            assert isinstance(seen, ObservedKey)
            arns = tuple(sorted(KeyArn(each.ref) for each in replicas))
            assert seen.family == Family(primary=KeyArn(primary.ref), replicas=arns)
            assert {each.ref for each in known.relatives} == {each.ref for each in it.keys} - {key.ref}


async def test_replicas_that_nobody_manages_are_told(tmp_path: Path) -> None:
    """One left the config; then the primary did."""
    async with site(tmp_path, replicas=AWAY) as it, running(it.world):
        world = it.world
        primary, first, second = it.keys
        await world.store.sync_fleet([primary, first], now=world.clock.now())
        await world.pass_time(DAY, step=timedelta(hours=6))
        assert world.inbox.said == ["raised relatives_unmanaged"]

        await world.store.sync_fleet([first, second], now=world.clock.now())
        await world.pass_time(DAY, step=timedelta(hours=6))
        assert world.inbox.said[1:] == [
            "resolved relatives_unmanaged",
            "raised replica_without_primary",
            "raised replica_without_primary",
        ]
