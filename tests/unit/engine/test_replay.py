"""What byokd knew and decided at a moment, replayed from the store: held against what it did decide then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from byokd.decide.replay import Replayed, replay
from byokd.decide.why import Why, why
from byokd.errors import KmsUnreachable, RequestRefused
from byokd.facts.key import NEVER, Blind, KeyRef
from byokd.facts.ledger import OrderKind
from byokd.facts.past import Past
from byokd.facts.policy import ChangeWindow, OnLoss
from tests.kit.builders import ARN, DAY, desired, policy
from tests.kit.world import World, running

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
REF = KeyRef(ARN)
PATIENCE = 3
"""Looks that fail before a condition is raised."""
NIGHTS = ChangeWindow(cron="0 2 * * *", lasts=2 * HOUR, time_zone="UTC")


@dataclass
class Diary:
    """A world that notes, as time passes, what was decided at each moment."""

    world: World
    pages: dict[datetime, Why] = field(default_factory=dict)

    async def note(self) -> None:
        now, known = self.world.clock.now(), await self.world.know()
        if not isinstance(known.view, Blind) or known.view.failures >= PATIENCE:  # before that it leaves no trace
            self.pages[now] = why(known, now)

    async def live(self, span: timedelta, *, step: timedelta) -> None:
        """Let time pass, and note what is decided at each step."""
        end = self.world.clock.now() + span
        while self.world.clock.now() < end:
            await self.world.pass_time(step, step=step)
            await self.note()

    async def order(self, kind: OrderKind, **changes: Any) -> None:
        self.world.clock.advance(1)  # what happens within one second is all there at its end
        await self.world.order(kind, **changes)
        await self.note()

    async def past(self, at: datetime) -> Past:
        found = await self.world.store.past(REF, at=at)
        assert found is not None
        return found


def _told(found: Why) -> list[tuple[str, str, str]]:
    """What must come out the same: the rule, its reason and the tier, of each material.

    That a drill was due is not on record: a source that proved itself leaves no trace.
    """
    return [
        ("left in peace", "", each.decision.tier)
        if each.rule in ("drill", "fresh", "in_stock")
        else (each.rule, each.decision.reason, each.decision.tier)
        for each in found.materials
    ]


Life = Callable[[Diary], Awaitable[None]]


async def _renewals(diary: Diary) -> None:
    await diary.live(200 * DAY, step=12 * HOUR)


async def _held(diary: Diary) -> None:
    await diary.live(20 * DAY, step=DAY)
    await diary.order(OrderKind.HOLD, until=diary.world.clock.now() + 60 * DAY)
    await diary.live(80 * DAY, step=DAY)
    await diary.order(OrderKind.HOLD)
    await diary.live(120 * DAY, step=DAY)
    await diary.order(OrderKind.RELEASE)
    await diary.live(5 * DAY, step=DAY)


async def _suspended(diary: Diary) -> None:
    await diary.live(10 * DAY, step=DAY)
    await diary.order(OrderKind.SUSPEND)
    await diary.live(100 * DAY, step=5 * DAY)
    await diary.order(OrderKind.RESUME)
    await diary.live(10 * DAY, step=DAY)


async def _disabled(diary: Diary) -> None:
    await diary.live(10 * DAY, step=DAY)
    diary.world.kms.put(ARN, enabled=False)
    await diary.live(100 * DAY, step=2 * DAY)
    await diary.order(OrderKind.IMPORT)
    await diary.live(10 * DAY, step=DAY)


async def _lapsed_without_a_source(diary: Diary) -> None:
    await diary.live(50 * DAY, step=DAY)
    material = diary.world.source.materials.pop("payments.key")
    await diary.live(60 * DAY, step=DAY)
    diary.world.source.materials["payments.key"] = material
    await diary.live(5 * DAY, step=DAY)


async def _deleted_by_somebody(diary: Diary) -> None:
    await diary.live(10 * DAY, step=DAY)
    diary.world.kms.delete_material(ARN)
    await diary.live(DAY, step=HOUR)
    await diary.order(OrderKind.IMPORT)
    await diary.live(5 * DAY, step=DAY)


async def _no_way_to_kms(diary: Diary) -> None:
    await diary.live(10 * DAY, step=DAY)
    diary.world.kms.fail("DescribeKey", *[KmsUnreachable("no route")] * 40)
    await diary.live(DAY, step=4 * HOUR)
    await diary.live(3 * DAY, step=DAY)


async def _imports_fail(diary: Diary) -> None:
    await diary.live(59 * DAY, step=DAY)
    diary.world.kms.fail("GetParametersForImport", *[KmsUnreachable("no route")] * 12)
    await diary.live(4 * DAY, step=20 * MINUTE)


async def _imports_are_refused(diary: Diary) -> None:
    await diary.live(59 * DAY, step=DAY)
    diary.world.kms.fail("GetParametersForImport", *[RequestRefused("no")] * 3)
    await diary.live(8 * DAY, step=4 * HOUR)


LIVES: dict[str, tuple[Life, dict[str, Any]]] = {
    "renewals": (_renewals, {}),
    "renewals in change windows": (_renewals, {"windows": (NIGHTS,)}),
    "an end that is never": (_suspended, {"valid_for": NEVER}),
    "held": (_held, {}),
    "suspended": (_suspended, {}),
    "disabled": (_disabled, {}),
    "lapsed without a source": (_lapsed_without_a_source, {}),
    "lapsed, and only reported": (_disabled, {"on_lapse": OnLoss.REPORT}),
    "deleted by somebody": (_deleted_by_somebody, {}),
    "deleted by somebody, and only reported": (_deleted_by_somebody, {"on_foreign_delete": OnLoss.REPORT}),
    "no way to KMS": (_no_way_to_kms, {}),
    "imports that fail": (_imports_fail, {}),
    "imports that are refused": (_imports_are_refused, {}),
}


@pytest.mark.parametrize("name", LIVES)
async def test_a_replay_decides_what_was_decided(name: str) -> None:
    """At every moment noted, the same rule speaks again for the same reason, in the same tier."""
    life, changes = LIVES[name]
    world = World()
    await world.add(desired(policy=policy(**changes)))
    assert await _differences(world, life) == []


async def _differences(world: World, life: Life) -> list[Any]:
    """Where the replay of a life is not what was noted of it."""
    async with running(world):
        diary = Diary(world)
        await diary.note()
        await life(diary)
    wrong = []
    for at, noted in diary.pages.items():
        found = replay(await diary.past(at), at)
        assert isinstance(found, Replayed)
        again = why(found.snapshot, at)
        if _told(again) != _told(noted):
            wrong.append((f"{at}", _told(noted), _told(again)))
    assert len(diary.pages) > 10
    return wrong


async def _rotated(diary: Diary) -> None:
    await diary.live(20 * DAY, step=DAY)
    for _ in range(2):
        await diary.order(OrderKind.ROTATE)
        await diary.live(3 * MINUTE, step=30 * timedelta(seconds=1))
        await diary.live(50 * DAY, step=DAY)
    await diary.order(OrderKind.SUSPEND)
    await diary.live(3 * DAY, step=DAY)
    await diary.order(OrderKind.RESUME)
    await diary.live(40 * DAY, step=DAY)


async def test_each_material_of_a_rotated_key_is_replayed() -> None:
    """Also those that were still in stock, or waited for their rotation, at that moment."""
    world = World()
    await world.add(desired(locator="0.key", further=("1.key", "2.key", "3.key")))
    for place in range(4):
        world.source.materials[f"{place}.key"] = bytes([place]) * 32
    assert await _differences(world, _rotated) == []
