"""A local KMS for a test suite of your own, as a pytest plugin: `pytest_plugins = ["byokd.localkms.testing"]`.

    def test_that_backups_survive_an_expiry(local_kms):
        key = local_kms.client.create_key(Origin="EXTERNAL")      # boto3, where it is installed
        ...
        local_kms.advance(days=90)                                # the material has expired when this returns

Every test that asks for `local_kms` gets a server of its own, empty and friendly, on a free port. The servers of a
session run on one event loop in one thread, so that tests may be synchronous, and share their wrapping keys, so that
one starts in milliseconds. Override the fixture `local_kms_options` for another server: a hostile one, say, or one with
a state file. `local_kms.environment` points AWS's SDKs and tools to it.

This module talks to a server as anybody could: over its two endpoints.
"""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final
from urllib.error import HTTPError

import pytest

from byokd.localkms import AT_ONCE, FRIENDLY, Options, Server, serve
from byokd.localkms.wrapping import WrappingKeys

ACCOUNT: Final = "111122223333"
REGION: Final = "us-east-1"
TIMEOUT_S: Final = 30.0

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback goes through no proxy


@dataclass(frozen=True)
class LocalKms:
    """A running local KMS, and the world that it lives in."""

    url: str
    """Endpoint for clients."""

    admin_url: str
    """The admin endpoint; see admin.py for what it can do beyond the methods here."""

    @cached_property
    def client(self) -> Any:
        """A boto3 client of account 111122223333 in us-east-1. Raises: ImportError where boto3 is not installed."""
        return self.connect()

    def connect(self, *, account: str = ACCOUNT, region: str = REGION, **settings: Any) -> Any:
        """A boto3 client of another account or Region; `settings` go to boto3 as they are.

        Raises: ImportError where boto3 is not installed.
        """
        import boto3

        known = {"aws_access_key_id": account, "aws_secret_access_key": "local", "endpoint_url": self.url}
        return boto3.session.Session().client("kms", region_name=region, **{**known, **settings})

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables under which AWS's SDKs and command line find it."""
        return {
            "AWS_ENDPOINT_URL_KMS": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def now(self) -> datetime:
        """What time it is there: aware UTC."""
        return datetime.fromtimestamp(self._ask("GET", "/time")["now"], UTC)

    def advance(
        self,
        step: timedelta = timedelta(),
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Let time pass there; what is due by then has happened when this returns. Returns the new time.

        Raises: ValueError for a step back.
        """
        step += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        moved = self._ask("POST", "/time", json.dumps({"advance_s": step.total_seconds()}).encode())
        return datetime.fromtimestamp(moved["now"], UTC)

    def reset(self) -> None:
        """Have no keys, no aliases, and real time again."""
        self._ask("POST", "/reset")

    def snapshot(self) -> bytes:
        """The whole state, for `restore` on the same server."""
        return self._send("POST", "/snapshot")

    def restore(self, snapshot: bytes) -> None:
        """Have that state again. Raises: ValueError when it is of another server, or none."""
        self._ask("POST", "/restore", snapshot)

    def lose_material(self, region: str = REGION) -> int:
        """Let a Region lose all imported material, as AWS warns that one may. Returns how many keys had any."""
        return int(self._ask("POST", "/loss", json.dumps({"region": region}).encode())["keys"])

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        return json.loads(self._send(method, path, body))

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.admin_url}{path}", data=body, method=method)  # noqa: S310 -- our own
        try:
            with _opener.open(request, timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as refused:
            with refused:
                raise ValueError(json.load(refused)["error"]) from None


class Host:
    """A thread with an event loop, on which servers run; and the wrapping keys that they share."""

    def __init__(self) -> None:
        self._pool = WrappingKeys()
        self._alive = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._live(),), name="local KMS", daemon=True)
        self._thread.start()
        self._alive.wait()

    @contextmanager
    def serving(self, options: Options) -> Iterator[LocalKms]:
        """Serve until the block is left. Raises: as `byokd.localkms.serve`."""
        if options.admin is None:
            options = replace(options, admin=("127.0.0.1", 0))
        if options.pool is None:
            options = replace(options, pool=self._pool)
        stop = asyncio.Event()
        started: asyncio.Future[Server] = self._loop.create_future()
        running = asyncio.run_coroutine_threadsafe(_serve(options, started, stop), self._loop)
        server = asyncio.run_coroutine_threadsafe(_result(started), self._loop).result(TIMEOUT_S)
        try:
            assert server.admin_url is not None, "asked for above"
            yield LocalKms(server.url, server.admin_url)
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            running.result(TIMEOUT_S)

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(TIMEOUT_S)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._alive.set()
        await self._end.wait()


async def _serve(options: Options, started: asyncio.Future[Server], stop: asyncio.Event) -> None:
    try:
        async with serve(options) as server:
            started.set_result(server)
            await stop.wait()
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


async def _result(future: asyncio.Future[Server]) -> Server:
    return await future


@pytest.fixture(scope="session")
def local_kms_host() -> Iterator[Host]:
    """The thread on which the servers of this session run."""
    host = Host()
    yield host
    host.close()


@pytest.fixture
def local_kms_options() -> Options:
    """How the server of a test is to run. Override it to change that."""
    return Options(hostility=FRIENDLY, pace=AT_ONCE)


@pytest.fixture
def local_kms(local_kms_host: Host, local_kms_options: Options) -> Iterator[LocalKms]:
    """A local KMS of the test's own."""
    with local_kms_host.serving(local_kms_options) as kms:
        yield kms
