"""Where the turns of all lanes begin: one at each round of the event loop, whatever becomes of those before."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from byokd.engine.turns import Doorway


async def rounds_until(begun: list[int], count: int) -> list[int]:
    """How many turns had begun after each round of the event loop, until so many had."""
    seen = []
    while len(begun) < count:
        await asyncio.sleep(0)
        seen.append(len(begun))
    return seen


async def test_turns_begin_one_by_one_in_the_order_in_which_they_came() -> None:
    """A thousand lanes that have all keys due at once begin as fast as the machine goes on."""
    doorway, begun = Doorway(), list[int]()

    async def turn(number: int) -> None:
        await doorway.enter()
        begun.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(turn(number))
        seen = await rounds_until(begun, 20)
    assert begun == list(range(20))
    assert all(later - before <= 1 for before, later in pairwise(seen))


async def test_a_turn_that_hangs_keeps_nobody_out() -> None:
    """A lane whose KMS does not answer has as many turns under way as it may, and others begin theirs."""
    doorway, begun, never = Doorway(), list[int](), asyncio.Event()

    async def turn(number: int) -> None:
        await doorway.enter()
        begun.append(number)
        await never.wait()

    tasks = [asyncio.create_task(turn(number)) for number in range(20)]
    await rounds_until(begun, 20)
    assert not any(task.done() for task in tasks)
    never.set()
    await asyncio.gather(*tasks)


async def test_a_turn_that_is_cancelled_at_the_doorway_lets_others_in() -> None:
    """A lane that ends takes back the turns that have not begun."""
    doorway, begun = Doorway(), list[int]()

    async def turn(number: int) -> None:
        await doorway.enter()
        begun.append(number)

    tasks = [asyncio.create_task(turn(number)) for number in range(6)]
    await asyncio.sleep(0)
    for number in (0, 1, 4):
        tasks[number].cancel()
    await rounds_until(begun, 3)
    assert begun == [2, 3, 5]
    await asyncio.gather(*tasks, return_exceptions=True)
