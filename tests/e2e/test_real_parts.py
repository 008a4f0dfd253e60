"""The engine on real parts and moved time: SQLite on disk, aiobotocore over HTTP, local KMS, files, real wrapping."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from byokd.facts.key import WrappingAlgorithm
from byokd.facts.ledger import OrderKind
from tests.kit.builders import DAY, LANE_ID
from tests.kit.real_parts import ask, site
from tests.kit.world import running

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("algorithm", [WrappingAlgorithm.OAEP_SHA_1, WrappingAlgorithm.OAEP_SHA_256])
async def test_material_outlives_its_validity_under_every_wrapping(
    tmp_path: Path, algorithm: WrappingAlgorithm
) -> None:
    """What boto3 encrypted under the first import still decrypts after three renewals, months later."""
    async with site(tmp_path, wrapping_algorithm=algorithm) as it, running(it.world):
        (ref,) = await it.world.store.due(LANE_ID, now=it.world.clock.now() + 400 * DAY, limit=10)
        blob = (await ask(it, "encrypt", KeyId=ref, Plaintext=b"the books"))["CiphertextBlob"]
        await it.world.pass_time(200 * DAY, step=4 * DAY)

        assert (await ask(it, "decrypt", CiphertextBlob=blob))["Plaintext"] == b"the books"
        done = [row for row in await it.world.imports() if row.state.value == "done"]
        assert len(done) >= 4


async def test_a_lapse_is_healed_and_old_ciphertext_decrypts_again(tmp_path: Path) -> None:
    """Down past a ValidTo: KMS deletes the material; the next start heals the key, and nothing is lost."""
    async with site(tmp_path) as it:
        async with running(it.world):
            ref = (await it.world.imports())[0].ref
            blob = (await ask(it, "encrypt", KeyId=ref, Plaintext=b"the books"))["CiphertextBlob"]
        it.world.clock.advance(100 * 86400)
        state = (await ask(it, "describe_key", KeyId=ref))["KeyMetadata"]["KeyState"]
        assert state == "PendingImport"

        async with running(it.world):
            assert (await ask(it, "decrypt", CiphertextBlob=blob))["Plaintext"] == b"the books"
            assert "material_lapsed" in await it.world.history()
            assert "raised lapsed" in it.world.inbox.said
            assert "resolved lapsed" in it.world.inbox.said


async def test_a_fleet_on_the_default_quota_takes_its_time(tmp_path: Path) -> None:
    """Twelve virgin keys come to life together, each once, and the next look finds nothing to do."""
    async with site(tmp_path, keys=12) as it, running(it.world):
        rows = await it.world.imports()
        assert [row.state.value for row in rows] == ["done"] * 12
        await it.world.pass_time(timedelta(hours=7), step=timedelta(hours=1))
        assert len(await it.world.imports()) == 12


async def test_a_suspended_key_decrypts_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    """The kill switch end to end: what the key encrypted is cut off for months, and comes back."""
    async with site(tmp_path) as it, running(it.world):
        ref = (await it.world.imports())[0].ref
        blob = (await ask(it, "encrypt", KeyId=ref, Plaintext=b"the books"))["CiphertextBlob"]
        await it.world.order(OrderKind.SUSPEND, ref=ref)
        with pytest.raises(it.client.exceptions.KMSInvalidStateException, match="pending import"):
            await ask(it, "decrypt", CiphertextBlob=blob)
        await it.world.pass_time(100 * DAY, step=4 * DAY)
        assert (await ask(it, "describe_key", KeyId=ref))["KeyMetadata"]["KeyState"] == "PendingImport"

        await it.world.order(OrderKind.RESUME, ref=ref)
        assert (await ask(it, "decrypt", CiphertextBlob=blob))["Plaintext"] == b"the books"
        assert (await it.world.know(ref)).conditions == ()


async def test_an_order_gives_material_an_earlier_end(tmp_path: Path) -> None:
    """ImportKeyMaterial with a shorter ValidTo needs no deletion before (API model)."""
    async with site(tmp_path) as it, running(it.world):
        ref = (await it.world.imports())[0].ref
        soon = it.world.clock.now() + 40 * DAY
        await it.world.order(OrderKind.IMPORT, ref=ref, valid_to=soon)
        assert (await ask(it, "describe_key", KeyId=ref))["KeyMetadata"]["ValidTo"] == soon
