"""A lane of many keys breaks: the engine on SQLite, its alerts by HTTP to a receiver on loopback, who counts them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byokd.alerts.webhook import open_webhook
from byokd.errors import AccessDenied
from byokd.facts.condition import Condition, ConditionKind, OpenCondition, Severity
from byokd.facts.key import ABSENT, KeyArn, KeyRef
from byokd.store import open_store
from tests.kit.builders import desired, lane
from tests.kit.clock import START
from tests.kit.world import World, running

pytestmark = pytest.mark.timeout(180)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MANY = 100
LANE = "111122223333/eu-central-1"


class Pager:
    """Keeps what is posted, and answers with its status."""

    def __init__(self) -> None:
        self.status = 200
        self.posts: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        document = await request.json()
        if self.status == 200:
            self.posts.append(document)
        return web.Response(status=self.status)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.posts if each["kind"] == kind]


@asynccontextmanager
async def paged(tmp_path: Path) -> AsyncIterator[tuple[World, Pager]]:
    """A world whose alerts reach a pager, as a webhook of the config would."""
    pager = Pager()
    app = web.Application()
    app.router.add_post("/", pager.handle)
    async with (
        TestServer(app, shutdown_timeout=0) as server,
        open_store(tmp_path / "byokd.db") as store,
        open_webhook("inbox", url=str(server.make_url("/"))) as channel,
    ):
        world = World(store=store, lane=lane(max_in_flight=16))
        world.channel, world.gather_for = channel, HOUR
        yield world, pager


async def test_a_lane_without_permissions_is_told_in_a_few_posts_and_so_is_its_recovery(tmp_path: Path) -> None:
    """A hundred keys find out at their own next look, over six hours, with a restart in the middle and a pager that
    is away for a while: each is told, first and last, in a dozen posts.
    """
    async with paged(tmp_path) as (world, pager):
        refs = [f"arn:aws:kms:eu-central-1:111122223333:key/{number:04}" for number in range(MANY)]
        for number, ref in enumerate(refs):
            world.kms.create(ref)
            world.source.materials[f"{number}.key"] = number.to_bytes(32, "big")
        fleet = [
            desired(ref=KeyRef(ref), arn=KeyArn(ref), name=ref, locator=f"{number}.key")
            for number, ref in enumerate(refs)
        ]
        await world.store.sync_fleet(fleet, now=world.clock.now())
        async with running(world):
            await world.pass_time(2 * HOUR, step=5 * MINUTE)
            assert pager.posts == []
            world.kms.fail("DescribeKey", *[AccessDenied("the role is gone")] * 100_000)
            await world.pass_time(3 * HOUR, step=5 * MINUTE)
            pager.status = 503
            await world.pass_time(HOUR, step=5 * MINUTE)
        pager.status = 200
        async with running(world):
            await world.pass_time(9 * HOUR, step=5 * MINUTE)
            raised = [each for each in pager.told("raised") if each["condition"] == "access_denied"]
            assert len(raised) <= 15
            assert sum(each["keys"] for each in raised) == MANY
            assert all(each["subject"] == f"lane:{LANE}" for each in raised if each["keys"] > 1)
            assert all(each["deadline"] for each in raised)
            assert len({each["id"] for each in pager.posts}) == len(pager.posts)
            assert (await world.store.counts()).notices_waiting == 0
            assert {each.subject for each in await world.store.open_conditions()} == set(refs)

            world.kms.heal("DescribeKey")
            await world.pass_time(9 * HOUR, step=5 * MINUTE)
            resolved = [each for each in pager.told("resolved") if each["condition"] == "access_denied"]
            assert len(resolved) <= 15
            assert sum(each["keys"] for each in resolved) == MANY
            assert [each["open"] for each in resolved] == sorted((each["open"] for each in resolved), reverse=True)
            assert resolved[-1]["open"] == 0
            assert await world.store.open_conditions() == ()


async def test_ten_thousand_keys_are_a_post_of_kilobytes_and_stop_nobody(tmp_path: Path) -> None:
    """All of them at once are one post; other subjects are told in between, and the store has every notice as sent."""
    async with paged(tmp_path) as (world, pager), running(world):
        told = Condition(
            kind=ConditionKind.SOURCE_UNREADABLE, severity=Severity.WARNING, detail="The disk is gone. " * 50
        )
        conditions = [
            OpenCondition(id=f"c-{number:05}", subject=f"{LANE}/alias/{number}", condition=told, since=START)
            for number in range(10_000)
        ]
        await world.store.save_conditions(conditions)
        assert world.engine is not None
        world.engine.wake()
        await world.settle(within_s=120)
        assert [each["keys"] for each in pager.posts] == [10_000]
        assert len(json.dumps(pager.posts[0])) < 20_000
        due = await world.store.conditions_to_tell(now=START + HOUR, limit=10_000)
        assert due == ()
        assert (await world.store.counts()).notices_waiting == 0
        await world.store.save_conditions([replace(each, resolved_at=START) for each in conditions[:2]])
        again = await world.store.conditions_to_tell(now=START, limit=9)
        assert Counter(notice.sent_at is not ABSENT for _, notices in again for notice in notices) == {True: 2}
