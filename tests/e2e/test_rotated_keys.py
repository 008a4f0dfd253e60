"""Keys with several materials, of which all must stay: real parts, moved time, and boto3 beside byokd."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from byokd.facts.ledger import BY_PERIOD, OrderKind, OrderState
from tests.kit.builders import DAY
from tests.kit.real_parts import HOME, ask, decrypted, listed, rotated_by_hand, site
from tests.kit.stop import Stop, until_reached
from tests.kit.world import running

pytestmark = pytest.mark.timeout(120)

STEP = 4 * DAY
"""Long for somebody who looks four times a day, and short beside the thirty days in which a renewal is due."""


async def test_every_material_of_a_rotated_key_is_kept_alive(tmp_path: Path) -> None:
    """A key that people rotated twice: for two hundred days no material ends, and a fourth stays in stock."""
    async with site(tmp_path, materials=4) as it:
        blobs = await rotated_by_hand(it, 2)
        async with running(it.world):
            await it.world.pass_time(200 * DAY, step=STEP)

            assert await decrypted(it, blobs) == [b"0", b"1", b"2"]
            done = [row.material for row in await it.world.imports() if row.state.value == "done"]
            assert len(set(done)) == 3
            assert all(done.count(material) >= 3 for material in done)
            assert "material_lapsed" not in await it.world.history()
            assert it.world.inbox.said == []


async def test_a_key_whose_materials_all_ended_comes_back_whole(tmp_path: Path) -> None:
    """Down past every ValidTo: the key is PendingImport until the last of its materials is in again."""
    async with site(tmp_path, materials=3) as it:
        blobs = await rotated_by_hand(it, 2)
        it.world.clock.advance(100 * 86400)
        state = (await ask(it, "describe_key", KeyId=it.keys[0].ref))["KeyMetadata"]["KeyState"]
        assert state == "PendingImport"

        async with running(it.world):
            await it.world.pass_time(timedelta(seconds=10), step=timedelta(seconds=1))
            assert await decrypted(it, blobs) == [b"0", b"1", b"2"]
            assert (await it.world.know(it.keys[0].ref)).conditions == ()


async def test_an_ordered_rotation_over_http(tmp_path: Path) -> None:
    """byokd brings in the next material and rotates; what was encrypted before and after decrypts for months."""
    async with site(tmp_path, materials=3) as it, running(it.world):
        ref = it.keys[0].ref
        blobs = [(await ask(it, "encrypt", KeyId=ref, Plaintext=b"0"))["CiphertextBlob"]]
        for generation in (b"1", b"2"):
            await it.world.order(OrderKind.ROTATE, ref=ref)
            await it.world.pass_time(timedelta(minutes=2), step=timedelta(seconds=30))
            blobs.append((await ask(it, "encrypt", KeyId=ref, Plaintext=generation))["CiphertextBlob"])
        assert await listed(it) == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]

        await it.world.pass_time(200 * DAY, step=STEP)
        assert await decrypted(it, blobs) == [b"0", b"1", b"2"]
        assert (await it.world.know(ref)).conditions == ()


async def test_a_suspended_key_gets_all_its_materials_back(tmp_path: Path) -> None:
    """Each is deleted by its id; the resumption is done when the last one is in again."""
    async with site(tmp_path, materials=3) as it:
        blobs = await rotated_by_hand(it, 2)
        ref = it.keys[0].ref
        async with running(it.world):
            # Only what byokd has imported once is known to be what its source has.
            await it.world.order(OrderKind.IMPORT, ref=ref)
            await it.world.pass_time(timedelta(minutes=5), step=timedelta(seconds=30))
            await it.world.order(OrderKind.SUSPEND, ref=ref)
            with pytest.raises(it.client.exceptions.KMSInvalidStateException):
                await decrypted(it, blobs)

            await it.world.order(OrderKind.RESUME, ref=ref)
            await it.world.pass_time(timedelta(minutes=5), step=timedelta(seconds=30))
            assert await decrypted(it, blobs) == [b"0", b"1", b"2"]
            (order, *_) = await it.world.store.orders(only_open=False, limit=9)
            assert order.state is OrderState.DONE
            assert (await it.world.know(ref)).conditions == ()


# -- by period --------------------------------------------------------------------------------------------------------

PERIOD, MINUTE = 60 * DAY, timedelta(minutes=1)
STEPS = [
    (operation, after)
    for operation in ("get_parameters", "import_material", "rotate_on_demand")
    for after in (False, True)
]


async def test_a_rotation_by_period_over_http(tmp_path: Path) -> None:
    """Twice, each at the end of its period; what was encrypted under each material decrypts for months."""
    async with site(tmp_path, materials=3, rotate_every=PERIOD) as it, running(it.world):
        ref, blobs = it.keys[0].ref, []
        for generation in (b"0", b"1", b"2"):
            blobs.append((await ask(it, "encrypt", KeyId=ref, Plaintext=generation))["CiphertextBlob"])
            await it.world.pass_time(PERIOD - DAY, step=STEP)
            assert len(await listed(it)) == len(blobs)
            await it.world.pass_time(DAY + 10 * MINUTE, step=6 * timedelta(hours=1))
            await it.world.pass_time(5 * MINUTE, step=MINUTE)
        assert await listed(it) == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]
        assert await decrypted(it, blobs) == [b"0", b"1", b"2"]
        given = await it.world.store.orders(only_open=False, limit=9)
        assert [(each.by, each.state) for each in given] == [(BY_PERIOD, OrderState.DONE)] * 2
        assert "raised rotation_hindered" in it.world.inbox.said  # the third period has nothing to rotate to


@pytest.mark.parametrize(("operation", "after"), STEPS)
async def test_killed_at_any_step_a_rotation_by_period_is_made_once(
    tmp_path: Path, operation: str, after: bool
) -> None:
    """Before KMS was asked or after: the next start finishes it, and the third material stays in stock."""
    stop = Stop()
    async with site(tmp_path, materials=3, wrapped=stop.between, rotate_every=PERIOD) as it:
        world = it.world
        await world.start()
        await world.pass_time(PERIOD - timedelta(minutes=10), step=STEP)
        stop.region, stop.operation, stop.after = HOME, operation, after
        await until_reached(stop, world, step_s=30)
        await world.kill(servers=False)

        async with running(world):
            await world.pass_time(10 * MINUTE, step=MINUTE / 2)
            await world.pass_time(2 * DAY, step=timedelta(hours=6))
            assert await listed(it) == ["NON_CURRENT", "CURRENT"]
            given = await world.store.orders(only_open=False, limit=9)
            assert [each.state for each in given] == [OrderState.DONE]
