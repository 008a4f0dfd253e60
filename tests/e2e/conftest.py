"""A local KMS beside the test, in the test's own process, with keys for the daemon to keep alive."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from byokd import localkms
from byokd.localkms.wrapping import WrappingKeys
from tests.localkms.kit import unkeyed, wrapping_keys

Call = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
async def kms(pool: WrappingKeys) -> AsyncIterator[localkms.Server]:
    """A local KMS on loopback, in memory, on real time."""
    options = localkms.Options(account="111122223333", hostility=localkms.FRIENDLY, pool=pool)
    async with localkms.serve(options) as server:
        yield server


@pytest.fixture(scope="session")
def pool() -> WrappingKeys:
    """Wrapping keys, made once for all servers of these tests."""
    return wrapping_keys()


@pytest.fixture
async def call(kms: localkms.Server) -> AsyncIterator[Call]:
    """Calls one operation of the local KMS."""
    async with calling(kms.url) as post:
        yield post


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Call]:
    """Calls operations of a KMS at `url`, as bare HTTP; raises on refusals."""
    async with aiohttp.ClientSession() as session:

        async def post(operation: str, **members: Any) -> dict[str, Any]:
            headers = unkeyed(time.time()) | {
                "X-Amz-Target": f"TrentService.{operation}",
                "Content-Type": "application/x-amz-json-1.1",
            }
            async with session.post(url, json=members, headers=headers) as answer:
                document: dict[str, Any] = await answer.json(content_type=None)
                assert answer.status == 200, document
                return document

        yield post


@pytest.fixture
async def key(call: Call) -> str:
    """The ARN of a fresh key with Origin EXTERNAL, named alias/payments."""
    return await make_key(call, "alias/payments")


async def make_key(call: Call, alias: str) -> str:
    """Create a key with Origin EXTERNAL and an alias; returns its ARN."""
    metadata = (await call("CreateKey", Origin="EXTERNAL"))["KeyMetadata"]
    await call("CreateAlias", AliasName=alias, TargetKeyId=metadata["KeyId"])
    arn: str = metadata["Arn"]
    return arn
