"""Orders of several steps, and a process that dies at each: the next start takes up what the world and the store say.

Real parts, moved time. How a rotation of a whole family is killed stands in test_multi_region.py; how single imports
and the making of keys are, with real processes, in test_daemon_process.py, test_create.py and test_replicate.py.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd.facts.key import ABSENT
from byokd.facts.ledger import Order, OrderKind, OrderState
from tests.kit.real_parts import HOME, Site, decrypted, listed, rotated_by_hand, site
from tests.kit.stop import Stop, until_reached
from tests.kit.world import running

pytestmark = pytest.mark.timeout(120)

PARAMETERS, IMPORT, DELETION, ROTATION = (
    "get_parameters",
    "import_material",
    "delete_imported_material",
    "rotate_on_demand",
)
SOME_MINUTES, HALF_A_MINUTE = timedelta(minutes=10), timedelta(seconds=30)
MATERIALS = 3
"""Of a key that has two of them, and one in stock."""


async def proven(it: Site) -> None:
    """Have all that people imported imported once more: byokd deletes only what it knows its source to have."""
    await it.world.order(OrderKind.IMPORT, ref=it.keys[0].ref)
    await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)


async def killed(it: Site, stop: Stop, kind: OrderKind, **where: Any) -> None:
    """Order something, and let the process die in one of the calls that it takes."""
    world = it.world
    stop.region, stop.reached = HOME, type(stop.reached)()
    stop.operation, stop.nth, stop.after = where["operation"], where["nth"], where["after"]
    await world.order(kind, ref=it.keys[0].ref, wait=False)
    await until_reached(stop, world)
    await world.kill(servers=False)


async def newest(it: Site, kind: OrderKind) -> Order:
    """The newest order of a kind."""
    orders = await it.world.store.orders(only_open=False, limit=9)
    return next(order for order in orders if order.kind is kind)


def cases(*steps: tuple[str, int]) -> list[tuple[str, int, bool]]:
    """One for each step, before and after KMS has carried it out."""
    return [(operation, nth, after) for operation, nth in steps for after in (False, True)]


@pytest.mark.parametrize(("operation", "nth", "after"), cases((PARAMETERS, 1), (IMPORT, 1), (ROTATION, 1)))
async def test_a_rotation_goes_on_and_is_done_once(tmp_path: Path, operation: str, nth: int, after: bool) -> None:
    """One rotation was ordered, and however far it was, one is made: the third material, and no material twice."""
    stop = Stop()
    async with site(tmp_path, materials=MATERIALS, wrapped=stop.between) as it:
        blobs = await rotated_by_hand(it, MATERIALS - 2)
        await it.world.start()
        await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        await killed(it, stop, OrderKind.ROTATE, operation=operation, nth=nth, after=after)

        async with running(it.world):
            await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
            assert (await newest(it, OrderKind.ROTATE)).state is OrderState.DONE
            assert await listed(it) == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]
            assert await decrypted(it, blobs) == [b"0", b"1"]


@pytest.mark.parametrize(("operation", "nth", "after"), cases((DELETION, 1), (DELETION, 2)))
async def test_a_suspension_goes_on_until_nothing_is_left(
    tmp_path: Path, operation: str, nth: int, after: bool
) -> None:
    """A kill switch that died half way cuts off the rest at the next start, and nothing brings any of it back."""
    stop = Stop()
    async with site(tmp_path, materials=MATERIALS, wrapped=stop.between) as it:
        blobs = await rotated_by_hand(it, MATERIALS - 2)
        await it.world.start()
        await proven(it)
        await killed(it, stop, OrderKind.SUSPEND, operation=operation, nth=nth, after=after)

        async with running(it.world):
            await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
            assert (await newest(it, OrderKind.SUSPEND)).effective_at is not ABSENT
            assert set(await listed(it, told="ImportState")) == {"PENDING_IMPORT"}
            with pytest.raises(it.client.exceptions.KMSInvalidStateException):
                await decrypted(it, blobs)


@pytest.mark.parametrize(
    ("operation", "nth", "after"), cases((PARAMETERS, 1), (IMPORT, 1), (PARAMETERS, 2), (IMPORT, 2))
)
async def test_a_resumption_goes_on_until_all_is_back(tmp_path: Path, operation: str, nth: int, after: bool) -> None:
    """A key of two materials, of which the death leaves none, or one, in KMS: both are back."""
    stop = Stop()
    async with site(tmp_path, materials=MATERIALS, wrapped=stop.between) as it:
        blobs = await rotated_by_hand(it, MATERIALS - 2)
        await it.world.start()
        await proven(it)
        await it.world.order(OrderKind.SUSPEND, ref=it.keys[0].ref)
        await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
        await killed(it, stop, OrderKind.RESUME, operation=operation, nth=nth, after=after)

        async with running(it.world):
            await it.world.pass_time(SOME_MINUTES, step=HALF_A_MINUTE)
            assert (await newest(it, OrderKind.RESUME)).state is OrderState.DONE
            assert await decrypted(it, blobs) == [b"0", b"1"]
