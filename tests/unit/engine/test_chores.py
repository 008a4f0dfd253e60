"""The calendar: what is on it, that a config that changed is looked ahead with soon, and a clock that is set."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from byokd.engine.chores import LOOK_SOON, Chores
from byokd.engine.foresight import Foresight
from byokd.engine.time import EngineClock
from byokd.facts.policy import Quota
from tests.kit.builders import DAY, LANE_ID, desired, lane, ledger, observed, policy
from tests.kit.clock import ManualClock
from tests.kit.memory_store import MemoryStore
from tests.kit.store_fleet import Fleet


async def test_after_a_change_of_config_it_looks_ahead_once_and_soon() -> None:
    """However many reloads there were: one look a minute later, which finds the lane too slow, and then no more."""
    store, clock, ids, told = MemoryStore(), ManualClock(), count(1), []
    foresight = Foresight(
        store=store,
        clock=clock,
        new_id=lambda: f"{next(ids)}",
        told=lambda: told.append("told"),
        as_used=lambda each: each,
    )
    slow = lane(quotas=lane().quotas | {"GetParametersForImport": Quota(per_second=1e-7, burst=1)})
    foresight.lanes = (slow,)
    key = desired(policy=policy(renew_before=40 * DAY))
    await store.sync_fleet([key], now=clock.now())
    epoch = await store.acquire_lane(LANE_ID, node="one", now=clock.now())
    await Fleet(store, epoch).save(key, view=observed(), ledger=ledger(), reason="fresh")
    calendar = AsyncIOScheduler(timezone="UTC")
    chores = Chores(store=store, clock=clock, foresight=foresight, history_for=timedelta(days=400), calendar=calendar)
    chores.start()
    try:
        regular = {job.id for job in calendar.get_jobs()}
        chores.look_ahead_soon()
        chores.look_ahead_soon()
        (soon,) = [job for job in calendar.get_jobs() if job.id not in regular]
        assert soon.trigger.interval == LOOK_SOON
        await soon.func()
        assert {job.id for job in calendar.get_jobs()} == regular
    finally:
        chores.stop()
    (found,) = await store.open_conditions(f"lane:{LANE_ID}")
    assert (found.condition.kind.value, found.condition.stage, told) == ("slack_low", "not sustained", ["told"])


async def test_a_clock_that_is_set_back_keeps_no_chore_waiting() -> None:
    """A machine that starts in 2030 puts its chores down there, and would look ahead no more until 2030 comes."""
    store, clock = MemoryStore(), ManualClock()

    def was_set() -> None:
        chores.clock_was_set()

    engine_clock = EngineClock(clock, was_set=was_set)
    foresight = Foresight(
        store=store, clock=engine_clock, new_id=lambda: "1", told=lambda: None, as_used=lambda each: each
    )
    calendar = AsyncIOScheduler(timezone="UTC")
    chores = Chores(
        store=store, clock=engine_clock, foresight=foresight, history_for=timedelta(days=400), calendar=calendar
    )
    chores.start()
    try:
        regular = {job.id: job.next_run_time for job in calendar.get_jobs()}
        for job in calendar.get_jobs():
            job.modify(next_run_time=job.next_run_time + timedelta(days=1200))
        clock.step(-1200 * 86_400)
        engine_clock.now()
        put_down = {job.id: job.next_run_time for job in calendar.get_jobs()}
        assert put_down.keys() > regular.keys()  # and looks ahead soon
        assert all(put_down[each] <= regular[each] + timedelta(days=1) for each in regular)
    finally:
        chores.stop()
