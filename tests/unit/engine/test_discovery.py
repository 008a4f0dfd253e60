"""Searching a lane: what is found, in what order, at what pace, and what becomes of trouble on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest

from byokd.engine.calls import THROTTLED_MOST, WAITS_S, Calls
from byokd.engine.discovery import Discovery
from byokd.engine.pace import Pace
from byokd.errors import AccessDenied, KmsUnreachable, Throttled
from byokd.facts.estate import Found, Managed, Wanted
from byokd.facts.key import ABSENT, NEVER, KeyArn, MaterialId
from byokd.facts.policy import Quota
from tests.kit.builders import lane
from tests.kit.clock import ManualClock
from tests.kit.fake_estate import FakeEstate
from tests.kit.fake_keys import Material
from tests.kit.fake_kms import FakeKms

T = TypeVar("T")
DAY = timedelta(days=1)


def arn(number: int) -> KeyArn:
    """The ARN of one of many keys."""
    return KeyArn(f"arn:aws:kms:eu-central-1:111122223333:key/{number:08d}-0000-4000-8000-000000000000")


class Lane:
    """A lane to search, on a clock that runs whenever somebody waits."""

    def __init__(self, *, in_flight: int = 4, **quotas: Quota) -> None:
        self.clock = ManualClock()
        self.kms = FakeKms(self.clock)
        self.estate = FakeEstate(self.kms)
        self.in_flight = in_flight
        self.quotas = quotas
        self.seen: list[int] = []

    def key(self, number: int, *, ends: timedelta | None = None, alias: str = "", origin: str = "EXTERNAL") -> KeyArn:
        """A key with an alias, and with material that ends so soon."""
        made = self.kms.create(arn(number), alias=alias, origin=origin)
        if ends is not None:
            material = Material(id=MaterialId("ab" * 32), fingerprint="x", expiry=self.clock.now() + ends)
            self.kms.put(made, materials=(material,))
        return made

    async def find(
        self, wanted: Wanted | None = None, managed: Managed | None = None, *, tags: bool = False, hurried: bool = False
    ) -> Found:
        """What a search brings; time passes as it waits."""
        site = lane(quotas=lane().quotas | self.quotas)
        calls = Calls(Pace(site, self.clock), self.clock, hurried=hurried)
        discovery = Discovery(self.estate, calls, self.clock, in_flight=self.in_flight, seen=self.seen.append)
        return await self.passing(discovery.find(wanted or Wanted(), managed or Managed(), tags=tags))

    async def passing(self, work: Awaitable[T]) -> T:
        """Its result; the clock moves a tenth of a second whenever nothing else can happen."""
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(50):
                await asyncio.sleep(0)
            self.clock.advance(0.1)
        return await task


async def test_keys_come_by_their_deadline():
    """What is lost comes first, then the nearest deadline, then what never ends, then what never had material."""
    it = Lane()
    late, soon, virgin = it.key(1, ends=9 * DAY), it.key(2, ends=DAY), it.key(3)
    lost, eternal = it.key(4, ends=-DAY), it.key(5, ends=DAY)
    it.kms.put(eternal, materials=(replace(it.kms._keys[eternal].materials[0], expiry=NEVER),))
    found = await it.find()
    assert [key.seen.arn for key in found.keys] == [lost, soon, late, eternal, virgin]
    assert [key.lost for key in found.keys] == [True, False, False, False, False]


async def test_only_keys_that_take_imported_material_are_found():
    """Keys of KMS's own material are looked at, since only that tells their Origin, and left out."""
    it = Lane()
    ours = it.key(1)
    it.key(2, origin="AWS_KMS")
    found = await it.find()
    assert ([key.seen.arn for key in found.keys], found.looked_at) == ([ours], 2)


async def test_a_key_is_managed_by_arn_or_by_any_of_its_aliases():
    """The config may name a key either way; what it names and the lane does not have is missing."""
    it = Lane()
    by_arn, by_alias, nobodys = it.key(1), it.key(2, alias="alias/b"), it.key(3, alias="alias/c")
    it.kms.aliases["alias/a"] = by_alias
    managed = Managed(by_arn={by_arn: "one", arn(9): "one"}, by_alias={"alias/b": "two", "alias/gone": "two"})
    found = await it.find(managed=managed)
    assert {key.seen.arn: key.fleet for key in found.keys} == {by_arn: "one", by_alias: "two", nobodys: ABSENT}
    assert [key.name for key in found.unmanaged] == ["alias/c"]
    assert found.missing == ("alias/gone", arn(9))


async def test_who_looks_for_some_keys_is_told_of_no_others():
    """By ARN or by a pattern of aliases: one call for each key that fits, and nothing is said to be missing."""
    it = Lane()
    for number in range(1, 5):
        it.key(number, alias=f"alias/pay-{number}" if number < 4 else "alias/other")
    wanted = Wanted(arns=frozenset({arn(4)}), aliases=("alias/pay-[12]",))
    found = await it.find(wanted, Managed(by_arn={arn(9): "one"}))
    assert sorted(key.name for key in found.keys) == ["alias/other", "alias/pay-1", "alias/pay-2"]
    assert (sum(call.operation == "DescribeKey" for call in it.kms.calls), found.missing) == (3, ())


async def test_tags_are_asked_before_the_key_is_described():
    """Of keys without the tag nothing else is asked; a tag may be wanted with a value or with any."""
    it = Lane()
    for number, tags in enumerate([{"team": "pay", "env": "prod"}, {"team": "pay"}, {"env": "prod"}], start=1):
        it.estate.tagged[it.key(number)] = tags
    found = await it.find(Wanted(tags={"team": "pay", "env": ABSENT}))
    assert [(key.seen.arn, key.tags) for key in found.keys] == [(arn(1), {"team": "pay", "env": "prod"})]
    assert sum(call.operation == "DescribeKey" for call in it.kms.calls) == 1


async def test_a_search_of_many_pages_finds_every_key_once():
    """Pages are read one after the other while keys of the last one are looked at."""
    it = Lane(in_flight=7)
    it.estate.keys_per_page = 10
    for number in range(95):
        it.key(number)
    found = await it.find()
    assert sorted(key.seen.arn for key in found.keys) == [arn(number) for number in range(95)]
    assert (found.looked_at, it.seen) == (95, list(range(1, 96)))


async def test_a_search_keeps_to_the_quota_and_uses_it():
    """A hundred keys at ten a second take as long as that; after the burst, no second sees more than ten calls."""
    it = Lane(DescribeKey=Quota(per_second=10, burst=10))
    for number in range(100):
        it.key(number)
    await it.find()
    times = [call.at for call in it.kms.calls if call.operation == "DescribeKey"]
    seconds = (times[-1] - times[0]).total_seconds()
    assert 9 <= seconds <= 1.1 * 10
    assert max(times.count(at) for at in times[20:]) <= 10


async def test_throttling_slows_a_search_down_and_loses_nothing():
    """Somebody else uses the quota: the refused call is made again, later, and at half the pace."""
    it = Lane(in_flight=1, DescribeKey=Quota(per_second=10, burst=1))
    for number in range(10):
        it.key(number)
    it.kms.fail("DescribeKey", Throttled("DescribeKey: ThrottlingException"))
    found = await it.find()
    times = [call.at for call in it.kms.calls if call.operation == "DescribeKey"]
    assert (len(found.keys), len(times)) == (10, 11)
    assert (times[-1] - times[0]).total_seconds() >= 1.5


async def test_calls_that_were_under_way_together_slow_it_down_once():
    """A thousand keys took five times as long as they need: seven calls at once were refused, and each refusal halved
    the pace, down to a sixteenth. They told one thing: the pace at which all of them were sent is too much.
    """
    it = Lane(in_flight=8, DescribeKey=Quota(per_second=10, burst=8))
    for number in range(40):
        it.key(number)
    it.kms.fail("DescribeKey", *[Throttled("DescribeKey: ThrottlingException")] * 7)
    gate = it.kms.gate("DescribeKey")
    search = asyncio.ensure_future(it.find())
    for _ in range(100):
        await asyncio.sleep(0)
    gate.set()
    assert len((await search).keys) == 40
    times = [call.at for call in it.kms.calls if call.operation == "DescribeKey"]
    assert (times[-1] - times[0]).total_seconds() < 12


async def test_a_call_that_is_throttled_for_ever_ends_the_search():
    """There is a limit to patience, far beyond what passes."""
    it = Lane(in_flight=1)
    it.key(1)
    it.kms.fail("DescribeKey", *[Throttled("DescribeKey: ThrottlingException")] * (THROTTLED_MOST + 1))
    with pytest.raises(Throttled):
        await it.find()


async def test_trouble_that_passes_is_waited_out():
    """A network that is away for a minute costs a minute; one that stays away ends the search."""
    it = Lane()
    it.key(1)
    it.kms.fail("ListKeys", *[KmsUnreachable("no route")] * len(WAITS_S))
    assert len((await it.find()).keys) == 1
    it.kms.fail("ListKeys", *[KmsUnreachable("no route")] * (len(WAITS_S) + 1))
    with pytest.raises(KmsUnreachable):
        await it.find()


async def test_a_key_that_may_not_be_looked_at_is_told():
    """Its policy keeps byokd out; the rest of the lane is found all the same."""
    it = Lane(in_flight=1)
    it.key(1)
    it.key(2)
    it.kms.fail("DescribeKey", AccessDenied("not for you"))
    found = await it.find()
    assert [(each.arn, each.why) for each in found.unseen] == [(arn(1), "not for you")]
    assert [key.seen.arn for key in found.keys] == [arn(2)]


async def test_a_role_that_may_look_at_nothing_is_refused():
    """Without kms:DescribeKey there would be an answer, and it would be wrong: nobody's keys, all well."""
    it = Lane()
    it.key(1)
    it.key(2)
    it.kms.fail("DescribeKey", *[AccessDenied("not for you")] * 2)
    with pytest.raises(AccessDenied, match="not for you"):
        await it.find()


async def test_a_key_that_was_deleted_meanwhile_is_passed_over():
    """Listed, and gone when it was looked at."""
    it = Lane(in_flight=1)
    gone, stays = it.key(1), it.key(2)
    gate = it.kms.gate("DescribeKey")
    search = asyncio.ensure_future(it.find())
    for _ in range(100):
        await asyncio.sleep(0)
    del it.kms._keys[gone]
    gate.set()
    assert [key.seen.arn for key in (await search).keys] == [stays]


async def test_a_lane_that_cannot_be_reached_is_told_within_seconds():
    """While somebody waits; the daemon's own searches are as patient as ever."""
    it = Lane()
    it.key(1, ends=DAY)
    for hurried, longest_s in ((True, 5), (False, 90)):
        it.kms.fail("ListKeys", *[KmsUnreachable("no route")] * 20)
        it.kms.fail("ListAliases", *[KmsUnreachable("no route")] * 20)
        begin = it.clock.monotonic()
        with pytest.raises(KmsUnreachable):
            await it.find(hurried=hurried)
        assert it.clock.monotonic() - begin < longest_s
        it.kms._faults.clear()


async def test_a_lane_that_has_answered_is_waited_for():
    """Trouble in the middle of a long search is no reason to begin it again."""
    it = Lane()
    it.key(1, ends=DAY)
    it.kms.fail("DescribeKey", *[KmsUnreachable("no route")] * 4)
    assert len((await it.find(hurried=True)).keys) == 1
