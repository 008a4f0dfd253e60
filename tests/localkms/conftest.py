"""Fixtures of the local KMS's tests. RSA keys are made once for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from byokd.localkms import AT_ONCE, FRIENDLY, Options, Pace, serve
from byokd.localkms.wrapping import WrappingKeys

from . import kit
from .kit import Kms, ManualClock, Serving
from .regions import AWAY, HOME, THIRD, Site


@pytest.fixture(scope="session")
def wrapping_keys() -> WrappingKeys:
    """A full pool of wrapping keys."""
    return kit.wrapping_keys()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
async def kms(clock: ManualClock, wrapping_keys: WrappingKeys) -> AsyncIterator[Kms]:
    """A client of a fresh local KMS in memory."""
    async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, pace=AT_ONCE)) as server:
        yield Kms(server.url, clock)


@pytest.fixture
def serving(clock: ManualClock, wrapping_keys: WrappingKeys) -> Serving:
    """Serves with some hostility and gives a client; what is not named is friendly."""

    @asynccontextmanager
    async def opened(state: Path | None = None, **settings: Any) -> AsyncIterator[Kms]:
        hostility = replace(FRIENDLY, **settings)
        async with serve(Options(state=state, clock=clock, pool=wrapping_keys, hostility=hostility)) as server:
            yield Kms(server.url, clock)

    return opened


@pytest.fixture
async def site(clock: ManualClock, wrapping_keys: WrappingKeys) -> AsyncIterator[Site]:
    """A fresh server in three Regions, on which transitions last until the clock is moved."""
    pace = Pace(creating_s=30, updating_s=30, rotating_s=30)
    async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, pace=pace)) as server:
        yield Site(*(Kms(server.url, clock, region=region) for region in (HOME, AWAY, THIRD)))
