"""The settings of `[local_kms]` reach the KMS that the daemon carries."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from byokd.config.load import Config, load
from byokd.daemon.playground import open_local_kms
from tests.e2e.conftest import calling
from tests.kit.process import write_fleet


def configured(tmp_path: Path, settings: str) -> Config:
    """A config with these lines under `[local_kms]`."""
    return load(write_fleet(tmp_path, endpoint="local", extra=f"\n[local_kms]\n{settings}").config)


@pytest.mark.timeout(60)
async def test_the_embedded_kms_keeps_its_own_pace_and_is_friendly(tmp_path: Path) -> None:
    """At a hundred thousand seconds a second, a key made now was made later; more calls than a quota allows pass."""
    async with AsyncExitStack() as stack:
        config = configured(tmp_path, "friendly = true\nrate = 100000\nseed = 7\n")
        url = await open_local_kms(config, stack)
        async with calling(url) as call:
            made = [(await call("CreateKey"))["KeyMetadata"]["CreationDate"] for _ in range(10)]
    assert made == sorted(made)
    assert made[-1] > time.time() + 60


@pytest.mark.timeout(60)
async def test_its_time_can_be_stepped_by_the_admin_endpoint(tmp_path: Path) -> None:
    """Where the config opens it, the log tells its address, and a day passes in a request."""
    async with AsyncExitStack() as stack:
        with capture_logs() as logged:
            await open_local_kms(configured(tmp_path, 'friendly = true\nadmin = "127.0.0.1:0"\n'), stack)
        (told,) = (line for line in logged if line["event"] == "local_kms_serves")
        session = await stack.enter_async_context(ClientSession())
        async with session.post(f"{told['admin']}/time", json={"advance_s": 86_400}) as answer:
            assert answer.status == 200
            assert (await answer.json())["ahead_s"] >= 86_400
