"""The composition root: one local KMS from its options, and its end.

    open the journal ─▶ read the state ─▶ let happen what lapsed while down ─▶ listen ─▶ keep time, make wrapping keys
                                                                              ◀─ on leaving: stop tasks, finish
                                                                              requests, close

This file decides nothing about keys. It is reached through `byokd.localkms.serve`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiohttp import web

from byokd.localkms.expiry import keep_time
from byokd.localkms.hostility.hostile import Hostile
from byokd.localkms.hostility.losses import keep_losing
from byokd.localkms.keyring import Keyring
from byokd.localkms.options import Options, Server
from byokd.localkms.outlets.publisher import Publisher
from byokd.localkms.persistence import Journal, open_journal
from byokd.localkms.wire import Wire
from byokd.localkms.wrapping import KEYS_PER_SPEC, WrappingKeys, WrappingSpec, generate, restore

SHUTDOWN_S: Final = 2.0
"""How long requests in progress may take to finish when the server ends, seconds."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Server]:
    """A local KMS, from listening to closed. See `byokd.localkms.serve` for what it raises."""
    async with AsyncExitStack() as stack:
        journal = open_journal(options.state)
        stack.push_async_callback(journal.close)
        keyring = Keyring(journal)
        publisher = Publisher(options.outlets, keyring, options.clock)
        stack.callback(publisher.close)
        hostile = Hostile(options.hostility, keyring, options.clock, publisher)
        keyring.watchers += [hostile, publisher]
        wrapping = _wrapping_keys(options, journal)
        keyring.expire(options.clock.now())
        await journal.flush()
        wire = Wire(options, keyring, journal, wrapping, hostile)
        url = await _listen(options, wire, stack)
        tasks = [
            asyncio.create_task(keep_time(keyring, journal, options.clock), name="localkms keeps time"),
            asyncio.create_task(_make_wrapping_keys(wrapping, journal), name="localkms makes wrapping keys"),
            asyncio.create_task(publisher.deliver(), name="localkms delivers events"),
        ]
        if options.hostility.loss_every_s:
            losing = keep_losing(keyring, journal, options.clock, options.hostility)
            tasks.append(asyncio.create_task(losing, name="localkms loses material"))
        stack.push_async_callback(_stop, tasks)
        for task in tasks:
            task.add_done_callback(_report)
        yield Server(url=url)


async def _listen(options: Options, wire: Wire, stack: AsyncExitStack) -> str:
    loop = asyncio.get_running_loop()

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        size = options.limits.body_bytes
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=size)

    # Content-Encoding is not looked into: what KMS's clients send is never compressed, and a bomb would be.
    listener = web.Server(wire.handle, request_factory=request, access_log=None, auto_decompress=False)
    runner = web.ServerRunner(listener, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, options.host, options.port).start()
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _wrapping_keys(options: Options, journal: Journal) -> WrappingKeys:
    """The pool: what the state holds, and what came ready-made, which the state holds from now on."""
    pool = WrappingKeys() if options.pool is None else options.pool
    kept = [restore(*row) for row in journal.all_wrapping_keys()]
    known = {key.id for key in kept}
    for key in pool:
        if key.id not in known:
            journal.save_wrapping_key(key.id, key.spec, key.private_der())
    for key in kept:
        pool.add(key)
    return pool


async def _make_wrapping_keys(pool: WrappingKeys, journal: Journal) -> None:
    """Fill the pool in threads: first one key of every spec, so that nobody waits longer than for one."""

    async def make(spec: WrappingSpec) -> None:
        key = await asyncio.to_thread(generate, spec)
        pool.add(key)
        journal.save_wrapping_key(key.id, key.spec, key.private_der())

    for wanted in range(1, KEYS_PER_SPEC + 1):
        await asyncio.gather(*(make(spec) for spec in WrappingSpec if pool.lacks(spec, wanted)))
    try:
        await journal.flush()
    except sqlite3.Error:
        log.exception("new wrapping keys could not be written; requests that use them will try again")


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)  # what failed was told when it did


def _report(task: asyncio.Task[None]) -> None:
    """A task that ends otherwise than by being stopped is told at once: nobody waits for it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s no longer: it failed", task.get_name(), exc_info=error)
