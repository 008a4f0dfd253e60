"""The playground on a hostile local KMS: its keys come to be all the same."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from byokd import localkms
from byokd.errors import RequestRefused
from byokd.kms.identity import Identity
from byokd.kms.provision import create_missing_keys
from byokd.localkms import FRIENDLY, Hostility
from byokd.localkms.wrapping import WrappingKeys
from tests.kit.builders import lane
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, session
from tests.kit.site import KmsClock

ALIASES = [f"alias/books-{number}" for number in range(12)]


class Sleeper(ManualClock):
    """Whoever sleeps by it makes the time of another clock pass at once."""

    def __init__(self, moved: ManualClock) -> None:
        super().__init__()
        self._other = moved

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        self._other.advance(seconds)


@asynccontextmanager
async def playground(hostility: Hostility, state: Path, pool: WrappingKeys):
    """Makes the keys of some aliases, on a KMS with that hostility and on time that passes in waits."""
    clock = ManualClock()
    options = localkms.Options(account=ACCOUNT, clock=KmsClock(clock), state=state, hostility=hostility, pool=pool)
    async with localkms.serve(options) as server:
        identity = Identity(access_key_id=ACCOUNT, secret_access_key="none")

        async def make(*aliases: str) -> int:
            return await create_missing_keys(
                lane(endpoint=server.url), aliases, clock=Sleeper(clock), session=session(), identity=identity
            )

        yield make


WEATHER: dict[str, Hostility] = {
    "the defaults": Hostility(),
    "quotas alone": replace(FRIENDLY, quota_factor=1.0),
    "an alias is there, and its key is not found yet": replace(
        FRIENDLY, operations=frozenset({"CreateAlias", "DescribeKey"}), drop_after_rate=0.2, lag_rate=1.0, lag_s=60.0
    ),
    "a storm": Hostility(
        error_before_rate=0.04, error_after_rate=0.04, drop_before_rate=0.04, drop_after_rate=0.04, lag_rate=0.5
    ),
}


@pytest.mark.parametrize("case", WEATHER)
async def test_the_playgrounds_keys_come_to_be(case: str, tmp_path: Path, pool: WrappingKeys) -> None:
    """A daemon with twelve aliases did not start: of CreateKey five pass in a second, and any call may break."""
    async with playground(WEATHER[case], tmp_path / "kms.db", pool) as make:
        assert await make(*ALIASES) == len(ALIASES)
    async with playground(FRIENDLY, tmp_path / "kms.db", pool) as make:
        assert await make(*ALIASES) == 0


async def test_what_can_never_be_made_is_refused_at_once(tmp_path: Path, pool: WrappingKeys) -> None:
    """An alias that KMS keeps for itself is no passing trouble."""
    async with playground(FRIENDLY, tmp_path / "kms.db", pool) as make:
        with pytest.raises(RequestRefused, match="InvalidAliasNameException"):
            await make("alias/aws/books")
