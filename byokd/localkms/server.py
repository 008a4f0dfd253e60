"""The composition root: one local KMS from its options, and its end.

    open the journal ─▶ set the clock, read the state ─▶ let happen what lapsed while down ─▶ a key pair of each spec
                          ─▶ listen ─▶ keep time, make more wrapping keys, deliver events
                          ◀─ on leaving: stop tasks, finish requests, note the time, close

This file decides nothing about keys. It is reached through `byokd.localkms.serve`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from byokd.localkms.admin import admin_app
from byokd.localkms.clock import Clock, MovableClock
from byokd.localkms.expiry import keep_time, note_time
from byokd.localkms.hostility.hostile import Hostile
from byokd.localkms.hostility.losses import keep_losing
from byokd.localkms.keyring import Keyring
from byokd.localkms.listener import Listener, listen, listen_to
from byokd.localkms.options import Options, Server
from byokd.localkms.outlets.publisher import Publisher
from byokd.localkms.persistence import Journal, open_journal
from byokd.localkms.wire import Wire
from byokd.localkms.world import World
from byokd.localkms.wrapping import WrappingKey, WrappingKeys, restore

log = logging.getLogger(__name__)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Server]:
    """A local KMS, from listening to closed. See `byokd.localkms.serve` for what it raises."""
    async with AsyncExitStack() as stack:
        journal = open_journal(options.state)
        stack.push_async_callback(journal.close)
        _set(options.clock, journal, stack)
        keyring = Keyring(journal)
        publisher = Publisher(options.outlets, keyring, options.clock)
        stack.callback(publisher.close)
        hostile = Hostile(options.hostility, keyring, options.clock, publisher)
        keyring.watchers += [hostile, publisher]
        wrapping = _wrapping_keys(options, journal, stack)
        keyring.expire(options.clock.now())
        await journal.flush()
        # Nobody connects before there is a pair of every spec, so no request ever waits for one to be made.
        await wrapping.fill(1)
        wire = Wire(options, keyring, journal, wrapping, hostile)
        url = await listen(Listener(wire.handle, options.limits), options.host, options.port, stack)
        world = World(clock=options.clock, keyring=keyring, journal=journal, wrapping=wrapping, interference=hostile)
        admin_url = None
        if options.admin is not None:
            admin_url = await listen_to(admin_app(world, publisher.tally), *options.admin, stack)
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
        yield Server(url=url, admin_url=admin_url)


def _set(clock: Clock, journal: Journal, stack: AsyncExitStack) -> None:
    """Let a clock that can be ahead of real time go on from where the state left it, and note where it ends."""
    if isinstance(clock, MovableClock):
        clock.lead_by(max(clock.lead_s, journal.lead_s))
        stack.callback(note_time, clock, journal)


def _wrapping_keys(options: Options, journal: Journal, stack: AsyncExitStack) -> WrappingKeys:
    """The pool: what the state holds, and what came ready-made or is still to come, which it holds from then on."""

    def save(key: WrappingKey) -> None:
        journal.save_wrapping_key(key.id, key.spec, key.private_der())

    pool = WrappingKeys() if options.pool is None else options.pool
    kept = [restore(*row) for row in journal.all_wrapping_keys()]
    known = {key.id for key in kept}
    for key in pool:
        if key.id not in known:
            save(key)
    for key in kept:
        pool.add(key)
    pool.watchers.append(save)
    stack.callback(pool.watchers.remove, save)
    return pool


async def _make_wrapping_keys(pool: WrappingKeys, journal: Journal) -> None:
    await pool.fill()
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
