"""What one client may take: connections, idle time, time and size of a body. Always a refusal, and never a hang."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from byokd.localkms import FRIENDLY, Credential, Limits, Options, Signatures, serve
from byokd.localkms.clock import real_now
from byokd.localkms.wrapping import WrappingKeys

from .kit import Kms, ManualClock, unkeyed

Opened = Callable[..., Any]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def opened(clock: ManualClock, wrapping_keys: WrappingKeys) -> Opened:
    """Serves with other limits than the default; gives a client."""

    @asynccontextmanager
    async def serving(**limits: float) -> AsyncIterator[Kms]:
        settings = Limits(**limits)  # type: ignore[arg-type]  # named by each test, and checked by Limits itself
        async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, limits=settings)) as server:
            yield Kms(server.url, clock)

    return serving


async def connected(kms: Kms, stack: AsyncExitStack, first: bytes = b"") -> Connection:
    """A connection on which something was written, and nothing read."""
    host, _, port = kms.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    writer.write(first)
    await writer.drain()
    return reader, writer


def request(kms: Kms, *, length: int = 2, body: bytes = b"{}", **more: str) -> bytes:
    """A ListKeys on the wire, with more headers."""
    headers = unkeyed(kms.clock.now()) | {
        "Host": "kms",
        "X-Amz-Target": "TrentService.ListKeys",
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(length),
        **more,
    }
    return b"POST / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()).encode() + b"\r\n" + body


async def gone(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_a_newcomer_takes_the_place_of_the_longest_idle(opened: Opened) -> None:
    """With all places taken, the connection idle for longest is closed, and the newcomer is served."""
    async with opened(connections=3) as kms, AsyncExitStack() as stack:
        first, second, third = [await connected(kms, stack, request(kms)) for _ in range(3)]
        for reader, _ in (first, second, third):
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"}")
        first[1].write(request(kms))
        assert b" 200 " in await first[0].readline()
        fourth, _ = await connected(kms, stack, request(kms))
        assert b" 200 " in await fourth.readline()
        assert await gone(second[0]) == b""
        third[1].write(request(kms))
        assert b" 200 " in await third[0].readline()


async def test_thousands_of_idle_connections_keep_nobody_out(opened: Opened) -> None:
    """Whoever comes is served at once, however many have come before and say nothing."""
    async with opened(connections=100) as kms, AsyncExitStack() as stack:
        for _ in range(2000):
            _, writer = await connected(kms, stack)
            writer.close()
        held = [await connected(kms, stack) for _ in range(300)]
        assert (await kms.call("list_keys"))["Keys"] == []
        assert await gone(held[0][0]) == b""


@pytest.mark.timeout(60)  # a process of its own
async def test_a_server_with_few_descriptors_still_lets_everybody_in(tmp_path: Path) -> None:
    """More idle connections than the process may have files open cost the idle ones, and not the newcomer."""
    command = (
        f"ulimit -n 200; exec {sys.executable} -c 'from byokd.cli.main import main; main()' localkms serve --friendly"
    )
    process = await asyncio.create_subprocess_shell(command, stdout=PIPE, cwd=tmp_path)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip().rpartition(" ")[2]
        kms = Kms(url, ManualClock(real_now()))
        async with AsyncExitStack() as stack:
            held = [await connected(kms, stack) for _ in range(400)]
            assert (await kms.call("list_keys"))["Keys"] == []
            assert await gone(held[0][0]) == b""
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("head", [b"", b"POST / HTTP/1.1\r\nHost: k"], ids=["says nothing", "stops in the head"])
async def test_who_says_nothing_is_let_go(head: bytes, opened: Opened) -> None:
    """A connection that does not finish the head of a request in time is closed."""
    async with opened(idle_s=0.1) as kms, AsyncExitStack() as stack:
        reader, _ = await connected(kms, stack, head)
        assert await gone(reader) == b""


async def test_a_body_that_does_not_come_is_given_up(opened: Opened) -> None:
    """It is refused with 408 when its time is over, and the connection ends."""
    async with opened(body_s=0.1) as kms, AsyncExitStack() as stack:
        reader, _ = await connected(kms, stack, request(kms, length=100, body=b'{"KeyId'))
        answer = await gone(reader)
        assert b" 408 " in answer.splitlines()[0]
        assert b'"__type":"RequestTimeoutException"' in answer


async def test_a_body_that_is_too_long_is_refused_and_its_sender_gets_to_read_it(opened: Opened) -> None:
    """413, also while the sender is still sending."""
    async with opened(body_bytes=1000) as kms, AsyncExitStack() as stack:
        reader, _ = await connected(kms, stack, request(kms, length=200_000, body=b" " * 200_000))
        async with asyncio.timeout(10):
            assert b" 413 " in await reader.readline()
        assert (await kms.call("list_keys"))["Keys"] == []


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(opened: Opened) -> None:
    """With `Expect: 100-continue` a client may send nothing more on its own; it once ran into its own timeout."""
    async with opened() as kms, AsyncExitStack() as stack:
        reader, writer = await connected(kms, stack, request(kms, body=b"", Expect="100-continue"))
        for _ in range(2):
            async with asyncio.timeout(10):
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                writer.write(b"{}" + request(kms, body=b"", Expect="100-Continue"))
                assert b" 200 " in await reader.readline()
                await reader.readuntil(b"}")


async def test_requests_behind_each_other_are_answered_in_turn(opened: Opened) -> None:
    """Pipelining is HTTP's own right."""
    async with opened() as kms, AsyncExitStack() as stack:
        reader, _ = await connected(kms, stack, request(kms) * 5)
        async with asyncio.timeout(10):
            for _ in range(5):
                assert b" 200 " in await reader.readline()
                await reader.readuntil(b"}")


OUT_OF_BOUNDS: dict[str, tuple[Callable[[], object], str]] = {
    "no connections": (lambda: Limits(connections=0), "connections"),
    "no idle time": (lambda: Limits(idle_s=0), "idle_s"),
    "no number": (lambda: Limits(body_s=float("nan")), "body_s"),
    "no body": (lambda: Limits(body_bytes=0), "body_bytes"),
    "no skew": (lambda: Signatures(skew_s=0), "skew_s"),
    "an account of eleven digits": (lambda: Options(account="11122223333"), "account"),
    "an account of other digits": (lambda: Options(account="\u0661" * 12), "account"),
    "no secret": (lambda: Credential(secret="", account="111122223333"), "secret"),
}


@pytest.mark.parametrize("case", OUT_OF_BOUNDS)
def test_a_setting_out_of_its_bounds_is_refused(case: str) -> None:
    """At once, by name, and not when the first request comes."""
    make, name = OUT_OF_BOUNDS[case]
    with pytest.raises(ValueError, match=name):
        make()
