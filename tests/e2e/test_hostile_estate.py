"""Finding and making keys on a hostile local KMS: each key is found, and each row is made once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from byokd import localkms
from byokd.engine.calls import Calls
from byokd.engine.creation import Created, Creation
from byokd.engine.discovery import Discovery
from byokd.engine.pace import Pace
from byokd.facts.estate import CREATED_AS, Found, Managed, NewKey, Wanted
from byokd.facts.key import ABSENT
from byokd.facts.policy import Quota
from byokd.kms.estate import open_estate
from byokd.kms.identity import Identity
from byokd.localkms import FRIENDLY, Hostility
from byokd.localkms.wrapping import WrappingKeys
from byokd.ports.estate import Estate
from byokd.store.journal import open_journal
from tests.kit.builders import LANE_ID, lane
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, session
from tests.kit.site import KmsClock

pytestmark = pytest.mark.timeout(90)

KEYS = [NewKey(alias=f"alias/books-{number}") for number in range(40)]


class Passing(ManualClock):
    """Time passes whenever somebody sleeps."""

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        self.advance(seconds)
        await asyncio.sleep(0)


class Site:
    """A local KMS on a state file, whatever its hostility, and a lane in it at AWS's quotas."""

    def __init__(self, folder: Path, pool: WrappingKeys) -> None:
        self.folder = folder
        self.pool = pool
        self.clock = Passing()
        per_second = {"CreateKey": 5, "CreateAlias": 5, "ListKeys": 500, "ListAliases": 500, "DescribeKey": 2000}
        self.quotas = {each: Quota(per_second=rate, burst=rate) for each, rate in per_second.items()}

    @asynccontextmanager
    async def open(self, hostility: Hostility) -> AsyncIterator[tuple[Estate, Calls]]:
        """The estate, and calls at the lane's pace."""
        options = localkms.Options(
            account=ACCOUNT,
            clock=KmsClock(self.clock),
            state=self.folder / "kms.db",
            hostility=hostility,
            pool=self.pool,
        )
        async with localkms.serve(options) as server:
            site = lane(endpoint=server.url, quotas=lane().quotas | self.quotas)
            identity = Identity(access_key_id=ACCOUNT, secret_access_key="none")
            async with open_estate(site, clock=self.clock, session=session(), identity=identity) as estate:
                yield estate, Calls(Pace(site, self.clock), self.clock)

    async def create(self, hostility: Hostility) -> Created:
        """One run of `byokd create`."""
        async with self.open(hostility) as (estate, calls):
            with open_journal(self.folder / "journal", LANE_ID) as journal:
                return await Creation(estate, calls, journal, self.clock, in_flight=8).make(KEYS)

    async def find(self, hostility: Hostility, **wanted: Any) -> Found:
        """One run of `byokd find`."""
        async with self.open(hostility) as (estate, calls):
            return await Discovery(estate, calls, self.clock, in_flight=8).find(Wanted(**wanted), Managed())


WEATHER: dict[str, Hostility] = {
    "the defaults": Hostility(),
    "quotas alone": replace(FRIENDLY, quota_factor=1.0),
    "a storm": Hostility(
        error_before_rate=0.04, error_after_rate=0.04, drop_before_rate=0.04, drop_after_rate=0.04, lag_rate=0.5
    ),
}


@pytest.mark.parametrize("case", WEATHER)
async def test_every_row_is_made_once_and_every_key_is_found(case: str, tmp_path: Path, pool: WrappingKeys) -> None:
    """Throttled, cut off and shown late: forty rows come to forty keys, and a search in the same weather finds them."""
    it = Site(tmp_path, pool)
    created = await it.create(WEATHER[case])
    while created.failed:
        created = await it.create(WEATHER[case])
    it.clock.advance(600)
    tagged = await it.find(FRIENDLY, tags={CREATED_AS: ABSENT})
    assert {key.aliases: key.tags for key in tagged.keys} == {(key.alias,): {CREATED_AS: key.alias} for key in KEYS}
    assert created.arns == {key.name: key.seen.arn for key in tagged.keys}
    assert len((await it.find(WEATHER[case])).keys) == len(KEYS)
