"""New keys in bulk: each once, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import pytest

from byokd.engine.calls import Calls
from byokd.engine.creation import ROUNDS, Created, Creation
from byokd.engine.pace import Pace
from byokd.errors import AccessDenied, AnswerLost, KeyNotFound, KmsError, RequestRefused, Throttled
from byokd.facts.estate import CREATED_AS, NewKey, Step
from byokd.facts.policy import Quota
from byokd.ports.estate import Journal
from byokd.store.journal import open_journal
from tests.kit.builders import LANE_ID, lane
from tests.kit.clock import ManualClock
from tests.kit.fake_estate import FakeEstate
from tests.kit.fake_kms import FakeKms

T = TypeVar("T")

LOST = AnswerLost("CreateKey: no answer in time; it may have been applied")


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing after it happens."""


class Mortal:
    """A journal whose process dies before or after its n-th line."""

    def __init__(self, journal: Journal, *, dies_at: int) -> None:
        self._journal = journal
        self._left = dies_at

    def steps(self) -> Mapping[str, Step]:
        """See `ports.Journal`."""
        return self._journal.steps()

    def note(self, step: Step) -> None:
        """See `ports.Journal`."""
        self._left -= 1
        if self._left == 0:
            raise Killed
        self._journal.note(step)
        self._left -= 1
        if self._left == 0:
            raise Killed


class Site:
    """A lane, a journal on disk, and three keys to be made."""

    def __init__(self, path: Path) -> None:
        self.path = path / "keys.journal"
        self.clock = ManualClock()
        self.kms = FakeKms(self.clock)
        self.estate = FakeEstate(self.kms)
        self.keys = [NewKey(alias=f"alias/k{number}", tags={"n": f"{number}"}) for number in range(3)]
        self.quotas: dict[str, Quota] = {}
        self.in_flight = 2

    async def run(self, *, dies_at: int = 0) -> Created:
        """One run of the command, as a process of its own."""
        site = lane(quotas=lane().quotas | self.quotas)
        with open_journal(self.path, LANE_ID) as journal:
            mortal = Mortal(journal, dies_at=dies_at) if dies_at else journal
            calls = Calls(Pace(site, self.clock), self.clock)
            creation = Creation(self.estate, calls, mortal, self.clock, in_flight=self.in_flight)
            return await self.passing(self._both(creation))

    async def _both(self, creation: Creation) -> Created:
        clashes = await creation.taken(self.keys)
        created = await creation.make([key for key in self.keys if key.alias not in clashes])
        created.failed |= clashes
        return created

    async def passing(self, work: Awaitable[T]) -> T:
        """Its result; time goes on whenever nothing else can happen."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                for _ in range(50):
                    await asyncio.sleep(0)
                self.clock.advance(self.clock.first(1))
            return task.result()
        finally:
            rest = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            for each in rest:
                each.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    def check(self, *, extra: int = 0) -> None:
        """There is one key for each alias, and no other."""
        assert len(self.kms._keys) == len(self.keys) + extra
        for key in self.keys:
            assert self.estate.tagged[self.kms.aliases[key.alias]] == {**key.tags, CREATED_AS: key.alias}


@pytest.fixture
def it(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_keys_are_made_and_named(it: Site):
    """Each once; a second run finds all of it done, and asks KMS for nothing."""
    created = await it.run()
    it.check()
    assert created.arns == {key.alias: it.kms.aliases[key.alias] for key in it.keys}
    calls = len(it.kms.calls)
    assert (await it.run()).arns == created.arns
    assert len(it.kms.calls) == calls


async def test_creation_keeps_to_the_quota(it: Site):
    """A hundred keys at five a second take twenty seconds, and no more than a tenth longer."""
    it.keys = [NewKey(alias=f"alias/k{number}") for number in range(100)]
    it.quotas = {"CreateKey": Quota(per_second=5, burst=5), "CreateAlias": Quota(per_second=5, burst=5)}
    it.in_flight = 16
    begin = it.clock.monotonic()
    await it.run()
    it.check()
    assert 18 <= it.clock.monotonic() - begin <= 22


@pytest.mark.parametrize("dies_at", range(1, 20))
async def test_killed_at_every_step(it: Site, dies_at: int):
    """A journal has two moments for each line: before it and after it. Whatever was under way, each key comes once."""
    it.estate.shown_after = timedelta(seconds=90)
    try:
        await it.run(dies_at=dies_at)
    except (Killed, BaseExceptionGroup):
        await it.run()
    it.check()


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_answer_is_looked_for_and_not_guessed(it: Site, applied: bool):
    """A key that KMS made all the same is found by its tag, late as KMS shows it; one that it did not make is made."""
    it.estate.shown_after = timedelta(seconds=90)
    it.kms.fail("CreateKey", LOST, applied=applied)
    created = await it.run()
    it.check()
    assert (len(created.arns), created.surplus) == (3, [])


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("operation", ["CreateKey", "CreateAlias"])
async def test_killed_while_a_call_was_under_way(it: Site, operation: str, applied: bool):
    """The process died before the request arrived, or before the answer did; the next one finds out which."""
    it.estate.shown_after = timedelta(seconds=90)
    it.kms.fail(operation, cast(KmsError, Killed()), applied=applied)
    with pytest.raises((Killed, BaseExceptionGroup)):
        await it.run()
    created = await it.run()
    it.check()
    assert (len(created.arns), created.surplus) == (3, [])


async def test_an_alias_whose_answer_was_lost_is_there(it: Site):
    """Asked again, KMS says that it exists, and it names the right key."""
    it.kms.fail("CreateAlias", LOST, applied=True)
    await it.run()
    it.check()


async def test_a_new_key_that_kms_does_not_find_yet_is_named_later(it: Site):
    """Shortly after CreateKey, NotFoundException may be false."""
    it.kms.fail("CreateAlias", *[KeyNotFound("CreateAlias: NotFoundException")] * 3)
    await it.run()
    it.check()


async def test_throttling_makes_no_key_twice(it: Site):
    """A refusal for the rate is a clear no."""
    it.kms.fail("CreateKey", *[Throttled("CreateKey: ThrottlingException")] * 5)
    await it.run()
    it.check()


async def test_a_row_that_kms_refuses_stops_no_other(it: Site):
    """Its policy is malformed, say; corrected, the next run makes it."""
    it.in_flight = 1
    it.kms.fail("CreateKey", RequestRefused("CreateKey: MalformedPolicyDocumentException"))
    created = await it.run()
    assert (len(created.arns), list(created.failed)) == (2, ["alias/k0"])
    assert (await it.run()).failed == {}
    it.check()


async def test_what_befalls_every_key_ends_the_run(it: Site):
    """A role that may not create keys may create none; the next run, with the right one, does all."""
    it.kms.fail("CreateKey", AccessDenied("not for you"), AccessDenied("not for you"))
    with pytest.raises(AccessDenied):
        await it.run()
    await it.run()
    it.check()


async def test_an_alias_of_another_key_is_a_clash(it: Site):
    """It is told before anything is made, and the key behind it is left alone."""
    other = it.kms.create("arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-0000000000aa")
    it.kms.aliases["alias/k1"] = other
    created = await it.run()
    assert created.failed == {"alias/k1": "names key 0a1b2c3d-0000-4000-8000-0000000000aa already"}
    assert sorted(created.arns) == ["alias/k0", "alias/k2"]


async def test_without_its_journal_a_finished_manifest_is_known_again(it: Site):
    """The aliases name keys that carry their tag: nothing is made twice."""
    first = await it.run()
    it.path.unlink()
    assert (await it.run()).arns == first.arns
    it.check()


async def test_a_key_that_kms_showed_too_late_is_told(it: Site):
    """More than two minutes behind, KMS got the key made twice: one is used, the other is named to a person."""
    it.estate.shown_after = timedelta(seconds=150)
    it.in_flight = 1
    it.kms.fail("CreateKey", *[LOST] * 4, applied=True)
    created = await it.run()
    assert len(created.arns) == 3
    it.check(extra=len(created.surplus))
    assert created.surplus


async def test_a_kms_that_never_answers_ends_the_run(it: Site):
    """After so many rounds of asking and searching, the rest is left to the next run."""
    it.in_flight = 1
    it.keys = it.keys[:1]
    it.kms.fail("CreateKey", *[LOST] * ROUNDS)
    created = await it.run()
    assert (created.arns, list(created.failed)) == ({}, ["alias/k0"])
    await it.run()
    it.check()
