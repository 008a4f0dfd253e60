"""The probe after an import on real parts: the engine, SQLite, HTTP, the local KMS, files, wrapping."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from byokd.facts.key import KeyRef
from byokd.facts.kinds import AUTO
from byokd.facts.ledger import Probe
from byokd.localkms.wrapping import WrappingKeys
from tests.kit.site import site
from tests.kit.world import World, running

pytestmark = pytest.mark.timeout(120)

SPECS = ("SYMMETRIC_DEFAULT", "HMAC_384", "RSA_2048", "ECC_NIST_P521", "ECC_NIST_EDWARDS25519")


async def test_every_kind_of_key_is_tried_after_its_import(tmp_path: Path, pool: WrappingKeys) -> None:
    """Each by what it is for; once after its first import, once after its renewal, and not again by a restart."""
    async with site(tmp_path, pool, specs=SPECS, wrapping_algorithm=AUTO, probe=True) as it:
        async with running(it.world):
            await it.world.pass_time(timedelta(seconds=5), step=timedelta(seconds=1))
            first = {key: await tried(it.world, key) for key in it.keys}
            assert all(each.works for each in first.values())
        async with running(it.world):
            await it.world.pass_time(timedelta(hours=7), step=timedelta(hours=1))
            assert {key: await tried(it.world, key) for key in it.keys} == first
            await it.world.pass_time(timedelta(days=70), step=timedelta(days=4))
            again = {key: await tried(it.world, key) for key in it.keys}
        assert all(each.works and each.of > first[key].of for key, each in again.items())
        assert (await it.world.history()).count("key_probed") == 2 * len(SPECS)


async def tried(world: World, key: str) -> Probe:
    """What came of using the key last."""
    probe = (await world.know(KeyRef(key))).ledger.probe
    assert isinstance(probe, Probe)
    return probe
