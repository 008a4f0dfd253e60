"""Clocks that are wrong, that are set, and that disagree: the engine goes by the time of KMS, and looks again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from byokd.engine.time import EngineClock
from byokd.errors import SourceUnreadable
from byokd.facts.key import KeyState, LaneId
from byokd.ports import Skew
from tests.kit.builders import ARN, DAY, desired, policy
from tests.kit.clock import LONG_AGO, START, ManualClock
from tests.kit.fake_kms import FakeKms
from tests.kit.world import World, running

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOTHING = timedelta(0)


class RightClock(ManualClock):
    """What KMS goes by: monotonic time, which no step of the host's clock touches."""

    def __init__(self, host: ManualClock) -> None:
        super().__init__()
        self._host = host
        self._began = host.monotonic()

    def now(self) -> datetime:
        """The right time."""
        return START + timedelta(seconds=int(self._host.monotonic() - self._began))


def _world() -> World:
    world = World()
    world.kms = FakeKms(RightClock(world.clock))
    return world


@dataclass(frozen=True)
class Case:
    """What lanes measured, and what is made of it."""

    says: str
    skews: tuple[timedelta, ...]
    correction: timedelta


@pytest.mark.parametrize(
    "case",
    [
        Case("a small difference is left alone", (timedelta(seconds=30),), NOTHING),
        Case("a larger one is put right", (timedelta(seconds=31),), timedelta(seconds=31)),
        Case("also where KMS is behind", (-HOUR,), -HOUR),
        Case("a day is believed", (DAY,), DAY),
        Case("more than a day is not", (DAY + timedelta(seconds=1),), NOTHING),
        Case("a lane of its own time does not lead the others astray", (timedelta(seconds=1), 3 * HOUR), NOTHING),
        Case("of two, the smaller one is believed", (HOUR, 2 * HOUR), HOUR),
    ],
    ids=lambda case: case.says,
)
def test_the_host_is_put_right_by_what_kms_says(case: Case) -> None:
    """A difference beyond the threshold corrects the time, and nothing wild is believed."""
    host = ManualClock()
    clock = EngineClock(host)
    for number, skew in enumerate(case.skews):
        clock.learn(LaneId(f"lane {number}"), Skew(by=skew, at=host.monotonic()), threshold=timedelta(seconds=30))
    assert clock.correction == case.correction
    assert clock.now() == START + case.correction


def test_a_lane_that_is_cut_off_does_not_hold_the_clock() -> None:
    """It had measured no difference, weeks ago: the host had drifted, and what the others saw was not believed."""
    host = ManualClock()
    clock = EngineClock(host)
    clock.learn(LaneId("cut off"), old := Skew(by=NOTHING, at=host.monotonic()), threshold=MINUTE)
    host.advance(20 * DAY.total_seconds())
    clock.learn(LaneId("other"), Skew(by=HOUR, at=host.monotonic()), threshold=MINUTE)
    assert clock.correction == HOUR
    clock.learn(LaneId("cut off"), old, threshold=MINUTE)
    assert clock.correction == HOUR


@pytest.mark.parametrize(("ago_s", "correction"), [(86_399, NOTHING), (86_400, HOUR)])
def test_a_measurement_counts_for_a_day_beside_newer_ones(ago_s: int, correction: timedelta) -> None:
    """And not for a second longer."""
    host = ManualClock()
    clock = EngineClock(host)
    clock.learn(LaneId("quiet"), Skew(by=NOTHING, at=host.monotonic()), threshold=MINUTE)
    host.advance(ago_s)
    clock.learn(LaneId("other"), Skew(by=HOUR, at=host.monotonic()), threshold=MINUTE)
    assert clock.correction == correction


def test_a_lane_that_is_gone_has_no_say() -> None:
    """What it measured last is forgotten with it."""
    host = ManualClock()
    clock = EngineClock(host)
    clock.learn(LaneId("gone"), Skew(by=NOTHING, at=host.monotonic()), threshold=MINUTE)
    clock.forget(LaneId("gone"))
    clock.learn(LaneId("other"), Skew(by=HOUR, at=host.monotonic()), threshold=MINUTE)
    assert clock.correction == HOUR


def test_a_second_more_or_less_is_not_a_new_measurement() -> None:
    """The Date header knows whole seconds, and due times must not tremble with it."""
    host = ManualClock()
    clock = EngineClock(host)
    for seconds in (3600, 3601, 3599, 3602, 3598):
        clock.learn(LaneId("a"), Skew(by=timedelta(seconds=seconds), at=host.monotonic()), threshold=MINUTE)
        assert clock.now() == START + HOUR
    clock.learn(LaneId("a"), Skew(by=HOUR + 3 * SECOND, at=host.monotonic()), threshold=MINUTE)
    assert clock.now() == START + HOUR + 3 * SECOND


def test_what_a_lane_measured_is_known_until_it_differs_or_the_clock_is_set() -> None:
    """Each turn measures, and to learn looks at every lane: of a thousand lanes, each turn looked at a thousand."""
    host = ManualClock()
    clock = EngineClock(host)
    assert not clock.knows(LaneId("a"), Skew(by=HOUR, at=host.monotonic()))
    clock.learn(LaneId("a"), Skew(by=HOUR, at=host.monotonic()), threshold=MINUTE)
    assert clock.knows(LaneId("a"), Skew(by=HOUR + 2 * SECOND, at=host.monotonic()))
    assert not clock.knows(LaneId("a"), Skew(by=HOUR + 3 * SECOND, at=host.monotonic()))
    assert not clock.knows(LaneId("b"), Skew(by=HOUR, at=host.monotonic()))
    host.step(3600)
    assert not clock.knows(LaneId("a"), Skew(by=HOUR, at=host.monotonic()))


@pytest.mark.parametrize(("seconds", "seen"), [(-6, 1), (-5, 0), (5, 0), (6, 1)])
def test_up_to_five_seconds_are_no_step(seconds: int, seen: int) -> None:
    """Time services slew what is less; what was measured before stays true."""
    host = ManualClock()
    calls: list[None] = []
    clock = EngineClock(host, was_set=lambda: calls.append(None))
    measured = Skew(by=HOUR, at=host.monotonic())
    clock.learn(LaneId("a"), measured, threshold=MINUTE)
    host.step(seconds)
    assert clock.now() == START + seconds * SECOND + (NOTHING if seen else HOUR)
    assert (len(calls), clock.steps_back) == (seen, int(seen and seconds < 0))
    assert clock.learn(LaneId("a"), measured, threshold=MINUTE) is not bool(seen)


def test_a_step_makes_void_what_was_measured_before_it() -> None:
    """A host that was an hour behind and is put right by NTP is not put right twice."""
    host = ManualClock()
    clock = EngineClock(host)
    measured = Skew(by=HOUR, at=host.monotonic())
    clock.learn(LaneId("a"), measured, threshold=MINUTE)
    host.step(3600)
    assert clock.now() == START + HOUR
    assert clock.steps_back == 0
    # A lane has no other measurement until KMS answers again: due times were an hour late then, and more.
    assert not clock.learn(LaneId("a"), measured, threshold=MINUTE)
    assert clock.now() == START + HOUR
    host.step(-3600)
    assert clock.now() == START
    assert clock.steps_back == 1
    host.advance(7200)
    assert clock.steps_back == 1


def test_a_step_is_one_line_of_the_log() -> None:
    """With how far and to what time, for whoever asks later why moments came twice; what is slewed is none."""
    host = ManualClock()
    clock = EngineClock(host)
    with capture_logs() as lines:
        host.step(-3600)
        for _ in range(3):
            host.step(2)
            host.advance(60)
            clock.now()
    assert lines == [
        {
            "event": "clock_set",
            "log_level": "warning",
            "by_s": -3598,
            "to": (START - HOUR + timedelta(seconds=62)).isoformat(),
        }
    ]


async def test_a_host_an_hour_behind_renews_in_time_by_the_clock_of_kms() -> None:
    """Material lives for two hours and the host believes it to have another one when it is gone."""
    world = _world()
    world.clock.step(-3600)
    world.kms.clock_skew = HOUR
    await world.add(desired(policy=policy(valid_for=2 * HOUR, renew_before=30 * MINUTE, renewal_floor=MINUTE)))
    async with running(world):
        for _ in range(600):
            world.clock.advance(60)
            await world.settle()
            assert world.kms.state(ARN) is KeyState.ENABLED
        assert "raised clock_skew" in world.inbox.said


async def test_a_clock_that_was_far_ahead_leaves_nobody_asleep() -> None:
    """Due times written half a year ahead kept byokd from looking until that day, deadline or not."""
    world = _world()
    await world.add(desired(policy=policy(look_every=6 * HOUR)))
    async with running(world):
        world.clock.step(200 * 86400)
        await world.settle()
        world.clock.step(-200 * 86400)
        await world.settle()
        due_at = await world.store.next_due_at(world.lane.id, after=LONG_AGO)
        assert isinstance(due_at, datetime)
        assert due_at <= world.clock.now() + 6 * HOUR


async def test_a_clock_that_was_put_right_while_byokd_was_down_leaves_nobody_asleep() -> None:
    """The same, where the step is not seen: the lease lies in the future at the next start."""
    world = _world()
    await world.add(desired(policy=policy(look_every=6 * HOUR)))
    world.clock.step(200 * 86400)
    async with running(world):
        pass
    world.clock.step(-200 * 86400)
    async with running(world):
        due_at = await world.store.next_due_at(world.lane.id, after=LONG_AGO)
        assert isinstance(due_at, datetime)
        assert due_at <= world.clock.now() + 6 * HOUR


async def test_a_renewal_that_a_wrong_clock_put_off_is_made_up_for() -> None:
    """A source that failed under a clock far ahead was not asked again until that time had come."""
    world = _world()
    await world.add()
    async with running(world):
        world.source.failing["payments.key"] = SourceUnreadable("unplugged")
        world.clock.step(59 * 86400)
        await world.pass_time(2 * DAY, step=6 * HOUR)
        world.clock.step(-59 * 86400)
        del world.source.failing["payments.key"]
        await world.pass_time(86 * DAY, step=6 * HOUR)
        assert world.kms.state(ARN) is KeyState.ENABLED
        assert "material_lapsed" not in await world.history()
