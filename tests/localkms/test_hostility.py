"""Hostility over HTTP: each setting shows what it says, and a seed makes a run repeat."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from botocore.exceptions import ClientError, HTTPClientError

from byokd.localkms import FRIENDLY, Options, serve
from byokd.localkms.wrapping import WrappingKeys

from .kit import Kms, ManualClock

Serving = Callable[..., AbstractAsyncContextManager[Kms]]
CODES = {"KMSInternalException", "DependencyTimeoutException", "ServiceUnavailable", "InternalFailure", "502"}


@pytest.fixture
def serving(clock: ManualClock, wrapping_keys: WrappingKeys) -> Serving:
    """Serves with some hostility and gives a client; what is not named is friendly."""

    @asynccontextmanager
    async def opened(state: Path | None = None, **settings: Any) -> AsyncIterator[Kms]:
        hostility = replace(FRIENDLY, **settings)
        async with serve(Options(state=state, clock=clock, pool=wrapping_keys, hostility=hostility)) as server:
            yield Kms(server.url, clock)

    return opened


async def seen(kms: Kms, operation: str, **members: Any) -> str:
    """How a client sees a call end: its error code, its failure, `half` for an answer without members, or `whole`."""
    try:
        answer = await kms.call(operation, **members)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except HTTPClientError as error:
        return type(error).__name__
    return "whole" if len(answer) > 1 else "half"


# Each setting at 1: how boto3 sees it, and whether the change was applied. boto3 takes half an answer for an empty one.
MISHAPS: dict[str, tuple[str, set[str], bool]] = {
    "an error, nothing changed": ("error_before_rate", CODES, False),
    "an error, all changed": ("error_after_rate", CODES, True),
    "a dropped connection, nothing changed": ("drop_before_rate", {"ConnectionClosedError"}, False),
    "a dropped connection, all changed": ("drop_after_rate", {"ConnectionClosedError"}, True),
    "half an answer, all changed": ("cut_rate", {"half"}, True),
}


@pytest.mark.parametrize("case", MISHAPS)
async def test_a_mishap_is_seen_and_does_what_it_says(case: str, serving: Serving, tmp_path: Path) -> None:
    """The client sees each kind of it, and what a friendly server finds afterwards was applied or was not."""
    setting, ways, applied = MISHAPS[case]
    async with serving(tmp_path / "kms.db", **{setting: 1.0}) as kms:
        assert {await seen(kms, "create_key", Origin="EXTERNAL") for _ in range(16)} == ways
    async with serving(tmp_path / "kms.db") as kms:
        assert len((await kms.call("list_keys"))["Keys"]) == (16 if applied else 0)


async def test_a_refusal_is_lost_on_its_way_as_well(serving: Serving) -> None:
    """A dropped connection may have carried a refusal: the client can't tell."""
    async with serving(drop_after_rate=1.0) as kms:
        assert await seen(kms, "describe_key", KeyId="nonsense") == "ConnectionClosedError"
    async with serving(cut_rate=1.0) as kms:
        with pytest.raises(ClientPayloadError):
            await kms.raw("DescribeKey", b'{"KeyId": "nonsense"}')


async def test_the_same_seed_brings_the_same_weather(serving: Serving) -> None:
    """Two runs with a seed break the same calls in the same way; another seed breaks others, about as often."""

    async def run(seed: int) -> list[str]:
        rates = dict.fromkeys(("error_before_rate", "error_after_rate", "drop_before_rate", "drop_after_rate"), 0.1)
        async with serving(seed=seed, **rates) as kms:
            return [await seen(kms, "list_keys") for _ in range(60)]

    first = await run(7)
    assert first == await run(7)
    assert first != await run(8)
    assert 10 <= sum(each != "whole" for each in first) <= 38
