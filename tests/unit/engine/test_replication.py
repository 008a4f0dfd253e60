"""Replicas: what they are given of their primary, and what happens where that may not be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from byokd.engine.calls import Calls
from byokd.engine.pace import Pace
from byokd.engine.replication import Outcome, Place, Replica, Replication
from byokd.errors import AccessDenied
from byokd.facts.estate import CREATED_AS, Attributes
from byokd.facts.key import ABSENT, NEVER, Family, KeyArn, KeyRef, LaneId, MaterialId
from tests.kit.builders import LANE_ID, desired, lane
from tests.kit.clock import ManualClock
from tests.kit.fake_estate import FakeEstate
from tests.kit.fake_keys import Material
from tests.kit.fake_kms import FakeKms

T = TypeVar("T")

AWAY = LaneId("111122223333/us-east-1")
PRIMARY = KeyArn(f"arn:aws:kms:eu-central-1:111122223333:key/mrk-{'1' * 32}")


class Site:
    """An Enabled primary with attributes of its own, and a replica of it that is wanted."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.kms = FakeKms(clock)
        self.estate = FakeEstate(self.kms)
        self.kms.create(PRIMARY)
        material = Material(id=MaterialId("ab" * 32), fingerprint="x", expiry=NEVER)
        self.kms.put(PRIMARY, family=Family(primary=PRIMARY), materials=(material,))
        self.estate.tagged[PRIMARY] = {"team": "pay", "aws:cloudformation:stack": "x", CREATED_AS: "alias/a"}
        self.estate.described[PRIMARY] = "Card data"
        self.estate.policies[PRIMARY] = "{...}"
        self.clock = clock

    async def run(self, **options: Any) -> Replica:
        """What comes of the replica."""
        place = Place(self.estate, Calls(Pace(lane(), self.clock), self.clock))
        primary = desired(arn=PRIMARY)
        wanted = replace(primary, ref=KeyRef(PRIMARY.replace("eu-central-1", "us-east-1")), lane=AWAY)
        (found,) = await self._passing(
            Replication({LANE_ID: place, AWAY: place}, **options).make(primary, [wanted]),
        )
        return found

    async def _passing(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.sleep(0)
            self.clock.advance(0.1)
        return await task

    @property
    def given(self) -> list[Attributes]:
        """What KMS was asked to give to replicas."""
        return [call.members["attributes"] for call in self.kms.calls if call.operation == "ReplicateKey"]


async def test_a_replica_carries_what_its_primary_does() -> None:
    """KMS copies nothing by itself. Tags that are AWS's or byokd's own are not the replica's."""
    it = Site()
    assert (await it.run()).outcome is Outcome.MADE
    assert it.given == [Attributes(description="Card data", tags={"team": "pay"}, policy="{...}")]


async def test_another_policy_may_be_given() -> None:
    """Then the primary's is not read."""
    it = Site()
    await it.run(policy="{other}")
    assert it.given == [Attributes(description="Card data", tags={"team": "pay"}, policy="{other}")]
    assert it.kms.count("GetKeyPolicy") == 0


async def test_bare_replicas_have_kms_defaults() -> None:
    """For whoever may not read the primary's attributes, and means it."""
    it = Site()
    await it.run(bare=True)
    assert it.given == [Attributes(policy=ABSENT)]


async def test_what_may_not_be_read_makes_no_replica() -> None:
    """A key that anybody of the account may use, where the primary's policy lets in few, is no replica of it."""
    it = Site()
    it.kms.fail("GetKeyPolicy", AccessDenied("not for you"))
    found = await it.run()
    assert (found.outcome, it.given) == (Outcome.FAILED, [])
    for told in ("kms:GetKeyPolicy", "--bare", "--policy"):
        assert told in found.why


async def test_a_dry_run_finds_that_out_too() -> None:
    """And makes nothing."""
    it = Site()
    it.kms.fail("ListResourceTags", AccessDenied("not for you"))
    assert "kms:ListResourceTags" in (await it.run(dry_run=True)).why
    assert (await it.run(dry_run=True)).outcome is Outcome.TO_MAKE
    assert it.given == []
