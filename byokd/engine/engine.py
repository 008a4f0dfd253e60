"""The engine as a whole: a worker for each lane, the notifier, and the chores beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from byokd.decide.notices import Audience
from byokd.engine.chores import Chores
from byokd.engine.foresight import Foresight
from byokd.engine.lane import LaneSettings, LaneWorker
from byokd.engine.notify import LOOP, Notifier
from byokd.engine.pace import Pace
from byokd.engine.progress import Progress
from byokd.engine.standing import Standing
from byokd.engine.survey import Survey
from byokd.engine.time import EngineClock
from byokd.engine.turns import Doorway
from byokd.facts.condition import Condition, ConditionKind
from byokd.facts.key import LaneId
from byokd.facts.policy import Lane
from byokd.ports import Channel, Clock, NewId, OpenKms, Source, Store
from byokd.ports.estate import OpenEstate

log = structlog.get_logger("byokd.engine")

STALLED_AFTER_S: Final = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a config comes to, opened and ready. A reload brings a new one."""

    lanes: tuple[Lane, ...]
    sources: Mapping[str, Source]
    channels: Mapping[str, Channel]
    audiences: Sequence[Audience]
    safety_wake: timedelta
    skew_threshold: timedelta
    history_for: timedelta


@dataclass(slots=True)
class _Running:
    worker: LaneWorker
    task: asyncio.Task[None]


class Engine:
    """Runs one setup at a time. Open it with `async with`; leaving waits for what is in flight."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        new_id: NewId,
        open_kms: OpenKms,
        node: str,
        open_estate: OpenEstate | None = None,
    ) -> None:
        """Without `open_estate`, no lane is searched for keys that nobody manages."""
        self._store = store
        self.clock = EngineClock(clock, was_set=self._clock_was_set)
        """The time that the engine goes by; who writes to the same store goes by it too."""
        self._new_id = new_id
        self._open_kms = open_kms
        self._node = node
        self._lanes: dict[LaneId, _Running] = {}
        """Also those that are stopped and have something in flight."""
        self._wanted: dict[LaneId, Lane] = {}
        """Those of the setup in force."""
        self._settings: LaneSettings
        self._stopping = False
        self._doorway = Doorway()
        self._notifier: Notifier | None = None
        self._notifier_task: asyncio.Task[None] | None = None
        self._chores: Chores | None = None
        self._standing = Standing("daemon", store=store, clock=self.clock, new_id=new_id, told=self._told)
        self.foresight = Foresight(store=store, clock=self.clock, new_id=new_id, told=self._told, as_used=self.as_used)
        self.survey: Survey | None = None
        if open_estate is not None:
            self.survey = Survey(
                open_estate=open_estate,
                pace_of=self._pace_of,
                store=store,
                clock=self.clock,
                new_id=new_id,
                told=self._told,
            )
        self.progress = Progress(self.clock)
        self._sources: dict[str, Source] = {}

    @property
    def idle(self) -> bool:
        """Whether only time, or a wake, can bring something new to do."""
        return self.progress.idle

    def as_used(self, lane: Lane) -> Lane:
        """The lane with the quotas that it uses: those of the config, or what Service Quotas told.

        A worker that is still ending, under what the config was before, does not count.
        """
        running = self._lanes.get(lane.id)
        if running is None or running.worker.lane != self._wanted.get(lane.id):
            return lane
        return replace(lane, quotas=dict(running.worker.pace.quotas))

    def stalled(self) -> tuple[str, ...]:
        """Loops that make no progress; the watchdog is fed only while there are none."""
        return self.progress.stalled(STALLED_AFTER_S)

    def wake(self) -> None:
        """Something in the store changed from outside: an order, a reload."""
        for running in self._lanes.values():
            running.worker.wake()
        if self._notifier is not None:
            self._notifier.wake()

    async def state(self, what: Condition | ConditionKind) -> None:
        """Raise or resolve a condition of the daemon itself."""
        await self._standing.state(what)

    async def apply(self, setup: Setup) -> None:
        """Run this setup from now on: lanes that are new begin, lanes that are gone end, changed ones end and begin.

        Waits for none of them, or a call that hangs in one lane would keep the next setup waiting. Nothing is awaited
        before all of it is in force. Raises nothing.
        """
        self._settings = LaneSettings(
            node=self._node, safety_wake=setup.safety_wake, skew_threshold=setup.skew_threshold
        )
        self._wanted = {lane.id: lane for lane in setup.lanes}
        # One mapping for the engine's life: workers see a source that a reload brought without being restarted.
        self._sources.clear()
        self._sources.update(setup.sources)
        for lane_id, running in self._lanes.items():
            if self._wanted.get(lane_id) != running.worker.lane:
                running.worker.stop()
        if self._notifier is None or self._chores is None:
            self._start_loops(setup)
        else:
            self._notifier.channels, self._notifier.audiences = setup.channels, setup.audiences
            self._chores.history_for = setup.history_for
        self.foresight.lanes = setup.lanes
        if self._chores is not None:
            self._chores.look_ahead_soon()
        for lane in setup.lanes:
            if lane.id not in self._lanes:
                task = asyncio.create_task(self._keep(lane.id), name=f"lane {lane.name}")
                self._lanes[lane.id] = _Running(worker=self._worker(lane), task=task)
        self.wake()
        if self.survey is not None:
            self.survey.apply(setup.lanes)
            await self.survey.look()

    async def stop(self) -> None:
        """Begin nothing new and wait until what is in flight has ended; the rest is in the store."""
        self._stopping = True
        if self._chores is not None:
            self._chores.stop()
        for running in self._lanes.values():
            running.worker.stop()
        await asyncio.gather(*(running.task for running in self._lanes.values()), return_exceptions=True)
        if self._notifier is not None and self._notifier_task is not None:
            self._notifier.stop()
            await asyncio.gather(self._notifier_task, return_exceptions=True)

    async def failed(self) -> BaseException:
        """Wait for a loop to end that should not have, and return why; only a defect makes this return."""
        while True:
            tasks = [running.task for running in self._lanes.values()]
            if self._notifier_task is not None:
                tasks.append(self._notifier_task)
            if not tasks:
                await self.clock.sleep(1.0)
                continue
            done, _ = await asyncio.wait(tasks, timeout=5.0, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if not task.cancelled() and (error := task.exception()) is not None:
                    return error

    async def _keep(self, lane_id: LaneId) -> None:
        """Run a lane until it is gone: a worker that was stopped has a successor while the setup in force wants one."""
        running = self._lanes[lane_id]
        await running.worker.run()
        while not self._stopping and (lane := self._wanted.get(lane_id)) is not None:
            running.worker = self._worker(lane)
            await running.worker.run()
        del self._lanes[lane_id]
        self.clock.forget(lane_id)

    def _worker(self, lane: Lane) -> LaneWorker:
        return LaneWorker(
            lane=lane,
            open_kms=self._open_kms,
            store=self._store,
            sources=self._sources,
            clock=self.clock,
            new_id=self._new_id,
            progress=self.progress,
            settings=self._settings,
            doorway=self._doorway,
            told=self._told,
            woke=self._wake_lanes,
        )

    def _start_loops(self, setup: Setup) -> None:
        self._notifier = Notifier(
            store=self._store,
            channels=setup.channels,
            audiences=setup.audiences,
            clock=self.clock,
            new_id=self._new_id,
            progress=self.progress,
            safety_wake=setup.safety_wake,
        )
        self.progress.expect(LOOP)
        self._notifier_task = asyncio.create_task(self._notifier.run(), name="notify")
        self._chores = Chores(
            store=self._store,
            clock=self.clock,
            foresight=self.foresight,
            history_for=setup.history_for,
            survey=self.survey,
        )
        self._chores.start()

    def _pace_of(self, lane_id: LaneId) -> Pace | None:
        running = self._lanes.get(lane_id)
        return None if running is None else running.worker.pace

    def _wake_lanes(self, lanes: Iterable[LaneId]) -> None:
        for lane_id in lanes:
            if (running := self._lanes.get(lane_id)) is not None:
                running.worker.wake()

    def _clock_was_set(self) -> None:
        if self._chores is not None:
            self._chores.clock_was_set()

    def _told(self) -> None:
        if self._notifier is not None:
            self._notifier.wake()
