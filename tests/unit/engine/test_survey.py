"""The survey: the daemon tells of keys that nobody manages, where a lane asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from byokd.errors import AccessDenied
from byokd.facts.condition import ConditionKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, KeyArn, KeyRef, MaterialId
from byokd.facts.policy import Lane
from byokd.ports.estate import Estate
from tests.kit.builders import ARN, DAY, desired, lane
from tests.kit.fake_estate import FakeEstate
from tests.kit.fake_keys import Material
from tests.kit.world import World

NOBODYS = KeyArn("arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-0000000000aa")


class Surveyed(World):
    """A world whose engine may search its lane, once a day unless a test says otherwise."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(lane=lane(**({"discover_every": DAY} | changes)), open_estate=self._opened_estate)
        self.estate = FakeEstate(self.kms)

    async def start(self, *, rest: bool = True, within_s: float = 20.0) -> None:
        """See `World`; waits for the first survey too."""
        await super().start(rest=False)
        await self.survey()
        await self.settle(within_s=within_s)

    async def survey(self) -> None:
        """What the calendar does every minute."""
        assert self.engine is not None
        assert self.engine.survey is not None
        await self.engine.survey.look()
        await self.engine.survey.finished()

    def searches(self) -> int:
        """How often the lane was searched."""
        return sum(call.operation == "ListAliases" for call in self.kms.calls)

    def forgotten(self, ends: timedelta | None = None, *, arn: KeyArn = NOBODYS, alias: str = "") -> KeyArn:
        """A key that no fleet names, with material that ends so soon."""
        self.kms.create(arn, alias=alias)
        if ends is not None:
            material = Material(id=MaterialId("cd" * 32), fingerprint="x", expiry=self.clock.now() + ends)
            self.kms.put(arn, materials=(material,))
        return arn

    async def open(self, kind: ConditionKind = ConditionKind.UNMANAGED_KEYS) -> list[OpenCondition]:
        """Open conditions of the lane of one kind."""
        found = await self.store.open_conditions(f"lane:{self.lane.id}")
        return [each for each in found if each.condition.kind is kind]

    @asynccontextmanager
    async def _opened_estate(self, _: Lane) -> AsyncIterator[Estate]:
        yield self.estate


@asynccontextmanager
async def surveyed(**changes: Any) -> AsyncIterator[Surveyed]:
    """A running world with one managed key, and whatever else a test puts there before it."""
    it = Surveyed(**changes)
    await it.add()
    yield it
    await it.stop()


@pytest.mark.parametrize(
    ("ends", "severity", "says"),
    [
        (3 * DAY, Severity.CRITICAL, "the nearest deadline is 2026-03-04 12:00:00Z (alias/books)"),
        (30 * DAY, Severity.WARNING, "the nearest deadline is 2026-03-31 12:00:00Z (alias/books)"),
        (-DAY, Severity.WARNING, "1 of them without their material already"),
        (None, Severity.INFO, "1 key with imported material is in no fleet"),
    ],
)
async def test_people_hear_of_a_key_that_nobody_manages(ends, severity, says):
    """The louder, the nearer its deadline is; a key that never had material is worth a line."""
    async with surveyed() as it:
        it.forgotten(ends, alias="alias/books")
        await it.start()
        (found,) = await it.open()
        assert found.condition.severity is severity
        assert says in found.condition.detail


async def test_nothing_is_said_of_managed_keys_and_of_dying_ones():
    """Those of the fleet, by ARN or by alias, those of KMS's own material, and those about to be deleted."""
    async with surveyed() as it:
        alias = replace(desired(), ref=KeyRef(f"{it.lane.id}/alias/b"), name="alias/b", arn=ABSENT)
        await it.store.sync_fleet([desired(), alias], now=it.clock.now())
        it.forgotten(DAY, alias="alias/b")
        it.kms.create(NOBODYS.replace("aa", "ab"), origin="AWS_KMS")
        dying = it.forgotten(DAY, arn=KeyArn(NOBODYS.replace("aa", "ac")))
        it.kms.put(dying, deletion_at=it.clock.now() + DAY)
        await it.start()
        assert await it.open() == []
        assert it.searches() == 1


async def test_a_pinned_key_stays_managed_when_its_alias_moves():
    """byokd keeps to the key that it pinned, and so it is not nobody's."""
    async with surveyed() as it:
        alias = replace(desired(), ref=KeyRef(f"{it.lane.id}/alias/b"), name="alias/b", arn=ABSENT)
        await it.store.sync_fleet([alias], now=it.clock.now())
        it.kms.aliases["alias/b"] = KeyArn(ARN)
        await it.start()
        other = it.forgotten(60 * DAY)
        it.kms.aliases["alias/b"] = other
        it.clock.advance(DAY.total_seconds())
        await it.settle()
        await it.survey()
        assert await it.open() == []


async def test_a_lane_is_searched_as_often_as_it_asks():
    """The calendar asks every minute; the search comes once a day."""
    async with surveyed() as it:
        await it.start()
        await it.survey()
        assert it.searches() == 1
        it.clock.advance(DAY.total_seconds())
        await it.settle()
        await it.survey()
        assert it.searches() == 2


async def test_without_the_setting_nothing_is_asked():
    """The daemon needs none of these permissions unless a lane asks for it."""
    async with surveyed(discover_every=ABSENT) as it:
        it.forgotten(DAY)
        await it.start()
        assert it.searches() == 0
        assert {call.operation for call in it.kms.calls} <= {
            "DescribeKey", "ListKeyRotations", "GetParametersForImport", "ImportKeyMaterial",
        }  # fmt: skip


async def test_a_key_that_was_adopted_is_nobodys_no_more():
    """A reload with the key in a fleet resolves the condition without another search."""
    async with surveyed() as it:
        it.forgotten(30 * DAY)
        await it.start()
        assert len(await it.open()) == 1
        adopted = desired(arn=NOBODYS, ref=KeyRef(NOBODYS), name=NOBODYS)
        await it.store.sync_fleet([desired(), adopted], now=it.clock.now())
        assert it.engine is not None
        await it.engine.apply(it.setup())
        await it.settle()
        assert (await it.open(), it.searches()) == ([], 1)
        assert "resolved unmanaged_keys" in it.inbox.said


async def test_a_setting_that_is_taken_back_says_nothing_more():
    """What was open is resolved: nobody looks any more, so nobody knows."""
    async with surveyed() as it:
        it.forgotten(30 * DAY)
        await it.start()
        it.lane = replace(it.lane, discover_every=ABSENT)
        assert it.engine is not None
        await it.engine.apply(it.setup())
        assert await it.open() == []


async def test_a_role_that_may_not_list_is_told():
    """Looking for forgotten keys fails aloud, and is tried again within the hour."""
    async with surveyed() as it:
        it.forgotten(30 * DAY)
        it.kms.fail("ListAliases", AccessDenied("ListAliases: AccessDeniedException: not for you"))
        await it.start()
        (found,) = await it.open(ConditionKind.DISCOVERY_FAILING)
        assert "not for you" in found.condition.detail
        it.clock.advance(3600)
        await it.settle()
        await it.survey()
        assert await it.open(ConditionKind.DISCOVERY_FAILING) == []
        assert len(await it.open()) == 1


async def test_keys_that_may_not_be_looked_at_are_told():
    """One of them might have material that ends tomorrow."""
    async with surveyed() as it:
        await it.start()
        it.forgotten(30 * DAY)
        it.clock.advance(DAY.total_seconds())
        await it.settle()
        it.kms.fail("DescribeKey", AccessDenied("not for you"))
        await it.survey()
        (found,) = await it.open(ConditionKind.DISCOVERY_FAILING)
        assert f"{ARN} may not be looked at: not for you" in found.condition.detail


async def test_stopping_breaks_a_survey_off():
    """A search of a hundred thousand keys does not hold the daemon's end up."""
    async with surveyed() as it:
        await it.start()
        it.clock.advance(DAY.total_seconds())
        await it.settle()
        it.kms.gate("ListKeys")
        assert it.engine is not None
        assert it.engine.survey is not None
        await it.engine.survey.look()
        await it.stop()
