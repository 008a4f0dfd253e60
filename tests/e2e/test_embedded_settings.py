"""The settings of `[local_kms]` reach the KMS that the daemon carries."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from byokd.config.load import load
from byokd.daemon.playground import open_local_kms
from tests.e2e.conftest import calling
from tests.kit.process import write_fleet


@pytest.mark.timeout(60)
async def test_the_embedded_kms_keeps_its_own_pace_and_is_friendly(tmp_path: Path) -> None:
    """At a hundred thousand seconds a second, a key made now was made later; more calls than a quota allows pass."""
    settings = "\n[local_kms]\nfriendly = true\nrate = 100000\nseed = 7\n"
    config = load(write_fleet(tmp_path, endpoint="local", extra=settings).config)
    async with AsyncExitStack() as stack:
        url = await open_local_kms(config, stack)
        async with calling(url) as call:
            made = [(await call("CreateKey"))["KeyMetadata"]["CreationDate"] for _ in range(10)]
    assert made == sorted(made)
    assert made[-1] > time.time() + 60
