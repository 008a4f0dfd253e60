"""What the engine says about its own future, and what it then really does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from byokd.decide.forecast import Forecast, forecast
from byokd.decide.what_if import imagined_keys
from byokd.engine.foresight import Foresight, takes_long
from byokd.facts.condition import ConditionKind, OpenCondition
from byokd.facts.key import KeyArn, KeyRef, KeyState, LaneId
from byokd.facts.ledger import OrderKind
from byokd.facts.policy import ChangeWindow, DesiredKey, Lane, LearnedPace, Policy, Quota
from byokd.facts.prospect import Prospect
from tests.kit.builders import ARN, DAY, OPERATIONS, desired, lane, policy
from tests.kit.clock import START, ManualClock
from tests.kit.memory_store import MemoryStore
from tests.kit.world import World, running

MINUTE = timedelta(minutes=1)
SLOW = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS} | {
    "GetParametersForImport": Quota(per_second=0.1, burst=1)
}
"""A token in ten seconds."""

SHORT = policy(
    valid_for=20 * MINUTE,
    renew_before=8 * MINUTE,
    renewal_floor=MINUTE,
    alert_before=(MINUTE,),
    look_every=5 * MINUTE,
)
WINDOW = ChangeWindow(cron="*/4 * * * *", lasts=MINUTE, time_zone="UTC")
"""Open for one minute in four, when the lane has six tokens."""


def _keys(world: World, policies: Sequence[Policy]) -> list[DesiredKey]:
    keys = []
    for number, rules in enumerate(policies):
        arn = KeyArn(f"{ARN[:-4]}{number:04d}")
        world.kms.create(arn)
        world.source.materials[f"{number}.key"] = number.to_bytes(32, "big")
        keys.append(desired(arn=arn, ref=KeyRef(arn), name=arn, locator=f"{number}.key", policy=rules))
    return keys


FLEETS = {
    "one fleet, all at once": ([SHORT] * 12, 0.0),
    "a reserve": ([SHORT] * 12, 0.2),
    "renewals that are spread": ([replace(SHORT, spread=2 * MINUTE)] * 12, 0.2),
    "two fleets, one more important": ([SHORT, replace(SHORT, priority=9)] * 6, 0.2),
    "different leads": ([replace(SHORT, renew_before=(6 + number % 3) * MINUTE) for number in range(12)], 0.0),
    "change windows": ([SHORT, replace(SHORT, windows=(WINDOW,))] * 5, 0.2),
    "more than the pace allows before it is urgent": ([replace(SHORT, renew_before=2 * MINUTE)] * 12, 0.2),
}


@pytest.mark.parametrize(("policies", "reserve"), FLEETS.values(), ids=FLEETS)
async def test_what_was_forecast_is_what_happens(policies: list[Policy], reserve: float) -> None:
    """No renewal comes more than a token or a place later than was forecast.

    Earlier it may come: who sets out for a token does not wait for those who fall due before the token is there.
    """
    token = timedelta(seconds=10 + 2)
    world = World(lane=lane(quotas=SLOW, reserve=reserve))
    await world.store.sync_fleet(_keys(world, policies), now=world.clock.now())
    async with running(world):
        # The first imports of all: ten seconds each, and the first renewals are still to come.
        while world.kms.count("ImportKeyMaterial") < len(policies):
            await world.pass_time(timedelta(seconds=2), step=timedelta(seconds=2))
        started = world.kms.count("ImportKeyMaterial")
        ahead = forecast(await world.store.prospects(world.lane.id, limit=100), world.lane, world.clock.now())
        await world.pass_time(ahead.until - ahead.now, step=timedelta(seconds=2))
    happened = [(call.key, call.at) for call in world.kms.calls if call.operation == "GetParametersForImport"][started:]
    first: dict[str, datetime] = {}
    for key, at in happened:
        first.setdefault(key, at)
    expected = {each.ref: each.renewed_at for each in ahead.renewals}
    places = {each.ref: place for place, each in enumerate(ahead.renewals)}
    assert all(-1 <= places[KeyRef(key)] - place <= 2 for place, key in enumerate(first))
    off = {key: at - moment for key, at in first.items() if isinstance(moment := expected[KeyRef(key)], datetime)}
    assert all(-2 * token <= each <= token for each in off.values())
    assert len(off) == len(policies)


async def test_a_recovery_takes_as_long_as_was_forecast() -> None:
    """A lane whose keys are all without material has them back when it was said, but for a token or two."""
    world = World(lane=lane(quotas=SLOW, reserve=0.0))
    keys = _keys(world, [replace(SHORT, valid_for=90 * DAY, renew_before=30 * DAY, look_every=DAY)] * 12)
    await world.store.sync_fleet(keys, now=world.clock.now())
    ahead = forecast(await world.store.prospects(world.lane.id, limit=100), world.lane, world.clock.now())
    began, step = world.clock.now(), timedelta(seconds=2)
    async with running(world):
        while any(world.kms.state(each.ref) is not KeyState.ENABLED for each in keys):
            await world.pass_time(step, step=step)
    assert ahead.recovery == timedelta(seconds=round(12 / (0.1 * 0.985)))
    assert abs(world.clock.now() - began - ahead.recovery) <= timedelta(seconds=2 * 10) + step


async def test_every_material_of_a_key_is_renewed_as_forecast() -> None:
    """Half of the keys were rotated: two materials, two deadlines, two tokens. Only the earlier one was forecast."""
    token = timedelta(seconds=10 + 2)
    world = World(lane=lane(quotas=SLOW, reserve=0.2))
    keys = [replace(each, further=(f"{each.locator}.2",)) for each in _keys(world, [SHORT] * 6)]
    for number, each in enumerate(keys):
        world.source.materials[each.further[0]] = bytes([number + 1]) * 32
    await world.store.sync_fleet(keys, now=world.clock.now())
    async with running(world):
        await world.pass_time(2 * MINUTE, step=timedelta(seconds=2))
        for each in keys[::2]:
            await world.order(OrderKind.ROTATE, ref=each.ref)
        await world.pass_time(2 * MINUTE, step=timedelta(seconds=2))
        assert world.kms.count("RotateKeyOnDemand") == 3
        started = world.kms.count("GetParametersForImport")
        ahead = forecast(await world.store.prospects(world.lane.id, limit=100), world.lane, world.clock.now())
        assert (ahead.keys, len(ahead.renewals)) == (6, 9)
        await world.pass_time(ahead.until - ahead.now, step=timedelta(seconds=2))
    happened = [call for call in world.kms.calls if call.operation == "GetParametersForImport"][started:]
    for each in keys:
        expected = sorted(
            a.renewed_at for a in ahead.renewals if a.ref == each.ref and isinstance(a.renewed_at, datetime)
        )
        came = [call.at for call in happened if call.key == each.arn][: len(expected)]
        assert all(abs(at - moment) <= token for at, moment in zip(came, expected, strict=True))


# -- the condition ----------------------------------------------------------------------------------------------------


async def _slack_low(world: World) -> list[OpenCondition]:
    return [
        each
        for each in await world.store.open_conditions(f"lane:{world.lane.id}")
        if each.condition.kind is ConditionKind.SLACK_LOW
    ]


def _at(world: World, per_second: float) -> Lane:
    quotas = world.lane.quotas | {"GetParametersForImport": Quota(per_second=per_second, burst=1)}
    return replace(world.lane, quotas=quotas)


async def _look(world: World) -> None:
    assert world.engine is not None
    await world.engine.foresight.look()
    await world.settle()


async def test_what_service_quotas_told_is_reckoned_with() -> None:
    """A lane whose account was given more was said to lose keys, by the pace in its config that it did not use."""
    world = World()
    world.lane = replace(_at(world, 1 / 21_600), read_quotas=True)
    world.kms.quotas = {"GetParametersForImport": 1.0}
    await world.store.sync_fleet(_keys(world, [policy(renew_before=7 * DAY)] * 40), now=world.clock.now())
    async with running(world):
        await world.pass_time(48 * DAY, step=DAY)
        await _look(world)
        assert await _slack_low(world) == []
        assert world.engine is not None
        used = world.engine.as_used(world.lane).quotas
        assert (used["GetParametersForImport"].per_second, used["DescribeKey"]) == (
            1.0,
            world.lane.quotas["DescribeKey"],
        )


class Slow(MemoryStore):
    """A store in which a page of keys takes a second of the clock, and which counts them."""

    clock: ManualClock
    pages = 0

    async def prospects(self, lane: LaneId, *, limit: int, after: str = "") -> tuple[Prospect, ...]:
        self.pages += 1
        self.clock.advance(1)
        return await super().prospects(lane, limit=limit, after=after)


async def test_a_forecast_that_takes_long_is_made_less_often() -> None:
    """A million keys cost 12 s of CPU every quarter of an hour, for what lies weeks ahead."""
    store = Slow()
    world = World(store=store)
    store.clock = world.clock
    foresight = Foresight(
        store=store, clock=world.clock, new_id=world.new_id, told=lambda: None, as_used=lambda each: each
    )
    foresight.lanes = (world.lane,)
    await foresight.look()
    world.clock.advance(400)
    await foresight.look()
    assert store.pages == 1, "the first took a second, and 500 have not passed"
    await foresight.look(anew=True)
    assert store.pages == 2, "the config changed"
    world.clock.advance(500)
    await foresight.look()
    assert store.pages == 3


@pytest.mark.parametrize(
    ("days", "other", "long"),
    [(400, 0, False), (0, 1, False), (1, 1, True), (501, 0, True)],
    ids=["hundreds alike", "one of a year", "a day beside a year", "more keys than that"],
)
def test_a_forecast_of_many_renewals_holds_nobody_up(days: int, other: int, long: bool) -> None:
    """Fifty keys of a day beside one of a year took a third of a second on the event loop: it went by keys alone."""
    rules = policy(valid_for=DAY, renew_before=DAY / 3, spread=timedelta(0))
    keys = imagined_keys(days, rules, START, per_second=1.0, at_once=True)
    year = policy(valid_for=365 * DAY, renew_before=30 * DAY, spread=timedelta(0))
    assert takes_long([*keys, *imagined_keys(other, year, START, per_second=1.0, at_once=True)], START) is long


async def test_too_little_slack_is_told_weeks_ahead_and_resolved_when_the_pace_is_enough() -> None:
    """Forty keys end on one day; a lane slowed down to four imports a day says so five weeks before they are due."""
    world = World()
    await world.store.sync_fleet(_keys(world, [policy(renew_before=7 * DAY)] * 40), now=world.clock.now())
    async with running(world):
        await _look(world)
        assert await _slack_low(world) == []
        await world.pass_time(48 * DAY, step=DAY)
        assert world.engine is not None
        world.lane = _at(world, 1 / 21_600)
        await world.engine.apply(world.setup())
        await _look(world)
        (found,) = await _slack_low(world)
        assert found.condition.stage == "missed"
        assert found.condition.detail.startswith("at the present pace 12 keys will not be renewed in time")
        assert "raised slack_low" in world.inbox.said

        world.lane = _at(world, 1.0)
        await world.engine.apply(world.setup())
        await _look(world)
        assert await _slack_low(world) == []
        assert "resolved slack_low" in world.inbox.said


class Recorded(MemoryStore):
    """A store with ten keys that end in 80 seconds, and with a pace that was a sixteenth of some quota a moment ago."""

    def __init__(self, of_per_second: float) -> None:
        super().__init__()
        self._of_per_second = of_per_second

    async def prospects(self, lane: LaneId, *, limit: int, after: str = "") -> tuple[Prospect, ...]:
        rules = policy(valid_for=timedelta(seconds=600), renew_before=timedelta(seconds=40), spread=timedelta(0))
        began = START - timedelta(seconds=520)
        return () if after else imagined_keys(10, rules, began, per_second=1.0, at_once=True)

    async def learned_paces(self, lane: LaneId) -> Mapping[str, LearnedPace]:
        pace = LearnedPace(share=1 / 16, limit=1.0, limited_at=START, per_second=self._of_per_second)
        return {"GetParametersForImport": pace}


@pytest.mark.parametrize(("of_per_second", "told"), [(1.0, 1), (0.25, 0)], ids=["of its own", "of another"])
async def test_what_was_learned_of_another_quota_is_not_reckoned_with(of_per_second: float, told: int) -> None:
    """A lane that has just been slowed down is late for them; what happened at another quota says nothing."""
    world = World(store=Recorded(of_per_second))
    foresight = Foresight(
        store=world.store, clock=world.clock, new_id=world.new_id, told=lambda: None, as_used=lambda each: each
    )
    foresight.lanes = (_at(world, 1.0),)
    await foresight.look()
    assert len(await _slack_low(world)) == told


async def test_a_lane_that_left_the_config_has_no_forecast_any_more() -> None:
    """Nobody can act on a lane that byokd no longer works in."""
    world = World(lane=lane(quotas=SLOW | {"GetParametersForImport": Quota(per_second=1e-7, burst=1)}))
    await world.store.sync_fleet(_keys(world, [policy()] * 2), now=world.clock.now())
    async with running(world):
        await _look(world)
        assert len(await _slack_low(world)) == 1
        assert world.engine is not None
        await world.engine.apply(world.setup(lanes=()))
        await _look(world)
        assert await _slack_low(world) == []


async def test_an_empty_lane_has_nothing_to_say() -> None:
    """No keys, no forecast, no condition, whatever the quota."""
    world = World(lane=lane(quotas=SLOW))
    async with running(world):
        await _look(world)
        assert await _slack_low(world) == []
        ahead: Forecast = forecast((), world.lane, world.clock.now())
        assert (ahead.renewals, ahead.until, ahead.recovery) == ((), ahead.now, timedelta(0))
