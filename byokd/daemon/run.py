"""The daemon's life, from the first setting to the last signal."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog

from byokd import __version__, logs
from byokd.clock import SortableIds, SystemClock
from byokd.config.diff import needs_restart
from byokd.config.load import Config, read
from byokd.config.schema import DaemonSettings
from byokd.daemon.build import build, fingerprint_key
from byokd.daemon.playground import furnish, identity_of, open_local_kms, resolved
from byokd.daemon.systemd import ServiceManager
from byokd.engine.engine import Engine, Setup
from byokd.engine.setback import Setback
from byokd.errors import ByokdError, ConfigError, StoreError
from byokd.facts.condition import Condition, ConditionKind, Severity
from byokd.facts.policy import Lane
from byokd.kms.adapter import open_kms
from byokd.kms.estate import open_estate
from byokd.kms.identity import shared_session
from byokd.ports import Clock, Kms, Store
from byokd.ports.estate import Estate
from byokd.store import open_reader, open_store
from byokd.store.views import cursor
from byokd.web.app import build_app
from byokd.web.socket import serving

log = structlog.get_logger("byokd.daemon")

Build = Callable[..., Awaitable[Setup]]
"""As `build`: what a config comes to, opened on a stack."""
Beside = Callable[[Store, Clock, asyncio.Event], Awaitable[None]]
"""Something that runs next to the engine until the event is set: the terminal view."""

DATABASE: Final = "byokd.db"
WATCH_S: Final = 5.0
PR_SET_DUMPABLE: Final = 4
THREADS: Final = 64
"""Python's own pool has 6 on a host of 2 cores, and names are looked up in it: six lanes whose DNS hangs would keep all
others from connecting. A thread is begun where none is idle, and costs some tens of KiB."""
COLLECT_AFTER: Final = (10_000, 10, 10)
"""By how many objects grown, and after how many younger collections each, Python looks for cyclic garbage. By its own
700 what a turn needs grew old before it was dropped: a thousand lanes, two million objects, were looked through 19
times while their first 4,000 imports went on, half a second each in which nothing else ran; now 3 times."""


async def run(config_path: Path, beside: Beside | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    Raises: ConfigError, StoreError, SourceError, OperatorError when it cannot start; nothing was changed then.
    """
    provide_threads()
    collect_seldom()
    async with AsyncExitStack() as stack:
        daemon = Daemon(config_path, await _loaded(config_path, _on_record), stack)
        forbid_core_dumps()
        # The terminal view has the screen to itself; what it shows is on record.
        logs.configure(
            format=daemon.settings.log_format, level=daemon.settings.log_level, stream=None if beside else sys.stderr
        )
        return await daemon.run(beside)


class Daemon:
    """What lives as long as the process."""

    def __init__(self, config_path: Path, config: Config, stack: AsyncExitStack, *, build: Build = build) -> None:
        self._path = config_path
        self._build = build
        self._config = config
        self._stack = stack
        self._clock = SystemClock()
        self._new_id = SortableIds()
        self._session = shared_session()
        self._manager = ServiceManager(os.environ)
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._adapters = AsyncExitStack()
        self._started_at = self._clock.now()
        self._url = ""
        self._ready = False

    @property
    def settings(self) -> DaemonSettings:
        """Those of the running config."""
        return self._config.daemon

    async def run(self, beside: Beside | None) -> int:
        """Start, work, and leave in order."""
        self._listen_to_signals()
        self._stack.enter_context(self._clock.watching())
        self.settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = self.settings.state_dir / DATABASE
        self._key = fingerprint_key(self._config, database)
        self._store = await self._stack.enter_async_context(open_store(database))
        self._url = await open_local_kms(self._config, self._stack)
        await furnish(self._config, self._url, clock=self._clock, session=self._session)
        self._engine = Engine(
            store=self._store,
            clock=self._clock,
            new_id=self._new_id,
            open_kms=self._open_kms,
            open_estate=self._open_estate,
            node=socket.gethostname(),
        )
        try:
            await self._begin()
            broken = await self._work(beside)
        finally:
            await self._leave()
        for task in broken:
            error = task.result() if not task.cancelled() and task.exception() is None else task.exception()
            log.error("daemon_defect", error=repr(error))
        log.info("stopped")
        return 70 if broken else 0

    async def _begin(self) -> None:
        await self._take_over(self._config)
        await self._engine.state(ConditionKind.CONFIG_REJECTED)
        app = build_app(
            self._store,
            self._engine.clock,
            self._new_id,
            wake=self._engine.wake,
            status=self._status,
            cursor=cursor,
            lanes=lambda: tuple(map(self._engine.as_used, self._config.lanes.values())),
            approval=lambda: self.settings.approval,
        )
        await self._stack.enter_async_context(serving(app, self.settings.socket))
        self._ready = True
        self._manager.ready(f"keeping {len(self._config.lanes)} lanes")
        log.info("ready", version=__version__, config=str(self._path), lanes=len(self._config.lanes))

    async def _work(self, beside: Beside | None) -> list[asyncio.Task[Any]]:
        """Work until told to stop, or until something ends that should not have; returns that."""
        tasks: dict[str, asyncio.Task[Any]] = {
            "stop": asyncio.create_task(self._stop.wait()),
            "reload": asyncio.create_task(self._reloads()),
            "watch": asyncio.create_task(self._watchdog()),
            "failed": asyncio.create_task(self._engine.failed()),
        }
        if beside is not None:
            tasks["beside"] = asyncio.create_task(self._accompany(beside))
        await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        broken = [task for name, task in tasks.items() if name != "stop" and task.done() and not self._stop.is_set()]
        self._stop.set()
        self._manager.stopping()
        log.info("stopping")
        for name, task in tasks.items():
            if name != "beside":
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return broken

    async def _leave(self) -> None:
        """End what was begun, also by a start that failed half way."""
        try:
            async with asyncio.timeout(self.settings.stop_timeout.total_seconds()):
                await self._engine.stop()
        except TimeoutError:
            # Whatever was in flight has its intent on disk; the next start looks and explains it.
            log.warning("stopped_with_work_in_flight")
        finally:
            await self._adapters.aclose()

    async def _accompany(self, beside: Beside) -> None:
        try:
            await beside(self._store, self._engine.clock, self._stop)
        finally:
            self._stop.set()

    async def _take_over(self, config: Config) -> None:
        """Make a config the running one: its adapters, the fleet on record, then the engine's lanes.

        All or nothing: where the adapters cannot be opened, or the fleet not be recorded, the running one stays.
        """
        lanes = resolved(config.lanes, self._url)
        async with AsyncExitStack() as adapters:
            setup = await self._build(config, lanes=lanes, stack=adapters, key=self._key)
            await self._record(config)
            old, self._adapters = self._adapters, adapters.pop_all()
        # Keys are on record; their text, many megabytes of a large fleet, is let go.
        self._config = config.laid_aside()
        # Only channels have anything to close. The engine goes by the new ones before it awaits anything, so the old
        # ones are closed also where a stop breaks this off.
        async with old:
            await self._engine.apply(setup)

    async def _record(self, config: Config) -> None:
        """Put the fleet on record, unless it is that already."""
        if await self._store.taken_from() == config.digest():
            log.info("fleet_known")
            return
        config = config.whole()
        change = await self._store.sync_fleet(config.keys(), now=self._engine.clock.now(), digest=config.digest())
        log.info(
            "fleet", added=change.added, changed=change.changed, removed=change.removed, unchanged=change.unchanged
        )

    # -- signals ------------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._manager.reloading(self._clock.monotonic())
            what = await self._reload_config()
            self._manager.ready(f"keeping {len(self._config.lanes)} lanes")
            await self._tell(what)

    async def _tell(self, what: Condition | ConditionKind) -> None:
        """State what came of a reload; where the store fails, again until it can or the next reload is wanted."""
        setback = Setback(self._clock)
        while not self._reload.is_set():
            try:
                await self._engine.state(what)
            except StoreError as error:
                log.error("reload_untold", error=error.code, why=str(error), step=error.step)
            else:
                return
            pause = setback.failed()
            await self._clock.wait(self._reload, until=self._clock.now() + pause, cap_s=pause.total_seconds())

    async def _reload_config(self) -> Condition | ConditionKind:
        """All or nothing: a config with problems leaves the running one in force. Returns what is to be told of it."""
        try:
            config = await _loaded(self._path, lambda _: self._store.taken_from())
            if fixed := needs_restart(self._config, config):
                log.warning("reload_needs_restart", settings=list(fixed))
            await furnish(config, self._url, clock=self._clock, session=self._session)
            await self._take_over(config)
        except ConfigError as error:
            log.error("config_rejected", problems=str(error))
            first = str(error).splitlines()[0]
            text = f"the new config has {len(error.problems)} problems and is not in force: {first}"
        except ByokdError as error:
            log.error("reload_failed", error=error.code, why=str(error), step=error.step)
            text = f"the new config could not be taken over and is not in force: {error}"
        else:
            log.info("reloaded")
            return ConditionKind.CONFIG_REJECTED
        return Condition(kind=ConditionKind.CONFIG_REJECTED, severity=Severity.WARNING, detail=text)

    # -- signs of life ------------------------------------------------------------------------------------------------

    async def _watchdog(self) -> None:
        """Feed the service manager's watchdog for as long as every loop of the engine gets somewhere."""
        every = min(self._manager.watchdog_s / 3, WATCH_S) if self._manager.watchdog_s else WATCH_S
        while True:
            stalled = self._engine.stalled()
            if stalled:
                log.error("stalled", loops=list(stalled))
            else:
                self._manager.alive()
            await self._clock.sleep(every)

    def _status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "ready": self._ready and not self._stop.is_set(),
            "config": str(self._path),
            "lanes": sorted(self._config.lanes),
            "stalled": list(self._engine.stalled()),
        }

    @asynccontextmanager
    async def _open_kms(self, lane: Lane) -> AsyncIterator[Kms]:
        identity = identity_of(lane, self._url)
        async with open_kms(lane, clock=self._clock, session=self._session, identity=identity) as kms:
            yield kms

    @asynccontextmanager
    async def _open_estate(self, lane: Lane) -> AsyncIterator[Estate]:
        identity = identity_of(lane, self._url)
        async with open_estate(lane, clock=self._clock, session=self._session, identity=identity) as estate:
            yield estate


async def _loaded(path: Path, taken_from: Callable[[Config], Awaitable[str]]) -> Config:
    """The config at `path`; its keys are judged unless `taken_from` says that they are those on record.

    That takes a minute for a million, hence a thread: where a config is running, renewals go on meanwhile.
    Raises: ConfigError.
    """
    config = await asyncio.to_thread(read, path)
    if await taken_from(config) == await asyncio.to_thread(config.digest):
        return config
    return await asyncio.to_thread(config.whole)


async def _on_record(config: Config) -> str:
    """The config that the keys on record were taken from, before anything is opened to be written."""
    database = config.daemon.state_dir / DATABASE
    try:
        async with open_reader(database) as store:
            return await store.taken_from()
    except StoreError:
        return ""  # none yet, or an older one; what else is wrong with it is told when it is opened


def provide_threads() -> None:
    """Give the running loop `THREADS` threads for what would block it."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="byokd")
    asyncio.get_running_loop().set_default_executor(pool)


def collect_seldom() -> None:
    """Let Python look for cyclic garbage as `COLLECT_AFTER` says, in the whole process."""
    gc.set_threshold(*COLLECT_AFTER)


def forbid_core_dumps() -> None:
    """Keep memory, and with it material, out of core files and away from other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
