"""The plan of a lane as the API answers it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd.decide.advice import with_quotas
from byokd.decide.what_if import imagined_keys
from byokd.facts.change import Change
from byokd.facts.key import ABSENT, NEVER_LOOKED, Blind, KeyArn, KeyRef, KeyState, LaneId
from byokd.facts.ledger import Ledger, OrderKind, Tier, Track, Unproved
from byokd.facts.policy import ChangeWindow, Lane, LearnedPace, Quota
from byokd.facts.snapshot import Snapshot
from byokd.web.plan import lane_plan, next_rotation
from tests.kit.builders import DAY, LANE_ID, OPERATIONS, desired, lane, ledger, observed, order, policy, snapshot
from tests.kit.clock import START
from tests.unit.web.api import Api, an_api
from tests.unit.web.fleet import FRESH, LAPSED, LEDGER

LOST = Unproved(since=START, at=START, code="source_unreadable", message="no such file", failures=1)
EMPTY = replace(lane(), id=LaneId("111122223333/us-east-1"), name="empty")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with an_api(tmp_path) as served:
        served.lanes = (lane(), EMPTY)
        yield served


def at(per_second: float) -> Lane:
    quotas = {operation: Quota(per_second=1000.0, burst=1000.0) for operation in OPERATIONS}
    return lane(
        quotas=quotas | {"GetParametersForImport": Quota(per_second=per_second, burst=1, ceiling=4 * per_second)}
    )


LEARNED = {
    "too much, of this quota": (1.0, 0.5, 0.5),
    "tried beyond this quota": (1.0, 4.0, 1.0),
    "too much, of another quota": (0.25, 0.5, 1.0),
    "too much, before quotas were on record": (0.0, 0.5, 0.5),
}


@pytest.mark.parametrize(("of_per_second", "share", "present_share"), LEARNED.values(), ids=LEARNED)
async def test_a_plan_goes_by_what_was_learned_of_the_lane_s_quota(
    api: Api, of_per_second: float, share: float, present_share: float
) -> None:
    """A pace that was too much is reckoned with; one that was tried beyond the quota makes no plan look better."""
    learned = LearnedPace(share=share, limit=4.0, limited_at=START, per_second=of_per_second)
    epoch = await api.store.acquire_lane(LANE_ID, node="test", now=START)
    paces = {"GetParametersForImport": learned}
    await api.store.keep_lane(LANE_ID, epoch=epoch, now=START, look_again=False, paces=paces)
    api.lanes = (at(1.0),)
    _, document = await api.get("/v1/plan")
    (first, *_) = document["lanes"]
    assert (first["per_second"], first["present_share"]) == (0.985, present_share)


async def test_every_lane_has_its_plan(api: Api) -> None:
    """The keys that have a renewal ahead, in order, and what takes no part beside them; an empty lane says so."""
    status, document = await api.get("/v1/plan")
    assert status == 200
    full, empty = document["lanes"]
    assert (full["lane"], full["name"], full["keys"], full["never_expire"], full["left_alone"]) == (
        LANE_ID,
        "prod",
        4,
        1,
        1,
    )
    assert [each["key"] for each in full["renewals"]] == [LEDGER, FRESH]
    assert LAPSED not in str(full)
    ledger, fresh = full["renewals"]
    assert (ledger["renewed_at"], ledger["slack_s"]) == ("2026-03-01T12:00:00Z", 30 * 3600)
    assert (fresh["due_at"], fresh["renewed_at"]) == ("2026-03-31T12:00:00Z", "2026-03-31T12:00:00Z")
    assert (fresh["slack_share"], fresh["expires_at"]) == (1.0, "2026-04-30T12:00:00Z")
    assert (full["enough"], full["sustained"], full["tight"]) == (True, True, None)
    assert sum(line["due"] for line in full["load"]) == 2
    assert (empty["keys"], empty["load"], empty["renewals"], empty["recovery_s"]) == (0, [], [], 0)
    assert empty["says"] == ["The lane has no keys: there is nothing to plan."]


@pytest.mark.parametrize("name", ["empty", "111122223333/us-east-1"])
async def test_a_lane_is_named_by_its_name_or_by_account_and_region(api: Api, name: str) -> None:
    """As the config calls it, or as every list shows it."""
    _, document = await api.get("/v1/plan", lane=name)
    assert [each["name"] for each in document["lanes"]] == ["empty"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"lane": "prd"}, "no lane is called 'prd': there are prod, empty"),
        ({"limit": "0"}, "limit is '0': it must be a whole number from 1 to 1000"),
        ({"what": "if"}, "unknown parameter 'what'"),
    ],
)
async def test_what_cannot_be_answered_is_refused(api: Api, query: dict[str, str], says: str) -> None:
    """A lane that does not exist is not an empty one."""
    status, document = await api.get("/v1/plan", **query)
    assert (status, document["error"]) == (400, says)


SAYS = {
    "enough": (100, 1.0, timedelta(0), ["The pace is enough: every key keeps at least 50% of its lead."]),
    "late": (
        40,
        1 / 43200,
        timedelta(0),
        [
            "10 keys would be renewed with less than 50% of the lead left, the tightest one key-0000040 (what-if) at ",
            "Enough would be: GetParametersForImport at ",
            "Or: renew_before longer by ",
            "Or: a spread of 20d, which takes the peaks apart.",
        ],
    ),
    "missed": (
        80,
        1 / 43200,
        timedelta(0),
        ["20 keys would not be renewed before the material ends, the first one key-00000", "Enough would be: "],
    ),
    "too much in the long run": (
        200,
        1 / 43200,
        timedelta(0),
        ["1", "In the long run the keys ask for 3.86e-05 imports a second and the lane gives 2.28e-05: a longer life"],
    ),
}


@pytest.mark.parametrize(("keys", "per_second", "spread", "says"), SAYS.values(), ids=SAYS)
def test_what_would_help_is_said_in_words(keys: int, per_second: float, spread: timedelta, says: list[str]) -> None:
    """The most important sentence first, and then the ways out of it."""
    fleet = imagined_keys(keys, policy(spread=spread), START, per_second=per_second, at_once=True)
    document = lane_plan(fleet, at(per_second), START, limit=5)
    for sentence, begins in zip(document["says"], says, strict=False):
        assert sentence.startswith(begins)
    assert len(document["says"]) >= len(says)
    assert document["enough"] == (says[0] == SAYS["enough"][3][0])
    assert len(document["renewals"]) == 5


def test_what_will_be_lost_is_listed_first() -> None:
    """The list began with thousands that would be a little late, and showed none of those that would be lost."""
    fleet = imagined_keys(80, policy(), START, per_second=1.0, at_once=True)
    told = lane_plan(fleet, at(1 / 43200), START, limit=5)["tight"]
    assert told["keys"] > told["missed"] > 5
    assert [each["slack_s"] < 0 for each in told["renewals"]] == [True] * 5


def test_keys_that_never_get_their_first_material_are_told_of() -> None:
    """What is near its end goes first, and there is always something: nine of ten would be alive, and who asks why?"""
    rules = policy(valid_for=10 * DAY, renew_before=5 * DAY, renewal_floor=DAY)
    one, *others = imagined_keys(10, rules, START, per_second=1.0, at_once=True)
    last = replace(rules, priority=-1)
    fleet = [replace(one, expiry=ABSENT, state="PendingImport", reason="first_import", policy=last), *others]
    document = lane_plan(fleet, at(1 / 86_400), START + 5 * DAY, limit=5)
    assert "1 key without material would get none, as far as this looks: others go first." in document["says"]
    assert document["enough"] is False


def test_a_fleet_that_no_pace_can_keep_alive_is_told() -> None:
    """Its windows open once a month, and all of the lead is to be left: a faster lane changes nothing."""
    monthly = ChangeWindow(cron="0 2 1 * *", lasts=timedelta(hours=1), time_zone="UTC")
    fleet = imagined_keys(3, policy(windows=(monthly,)), START, per_second=1.0, at_once=True)
    document = lane_plan(fleet, replace(at(1.0), min_slack=0.99), START, limit=1)
    assert document["helps"]["pace_per_s"] is None
    assert any(sentence.startswith("No pace is enough") for sentence in document["says"])


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        (
            9_000,
            "Enough would be: GetParametersForImport at 4,599 a second in place of 1 and ImportKeyMaterial at 4,599 a "
            "second in place of 1,000 and DescribeKey at 9,198",
        ),
        (15_000, "No pace is enough: even 5,000 imports a second would be late."),
    ],
)
def test_a_pace_that_the_config_does_not_take_is_no_advice(keys: int, advice: str) -> None:
    """Each key asks for one import in two seconds; a lane has 10,000 a second of an operation, and each looks twice."""
    lives = policy(
        valid_for=timedelta(seconds=10),
        renew_before=timedelta(seconds=8),
        spread=timedelta(),
        renewal_floor=timedelta(seconds=1),
    )
    (one,) = imagined_keys(1, lives, START, per_second=1.0, at_once=True)
    says = lane_plan([one] * keys, replace(at(1.0), min_slack=0.01), START, limit=1)["says"]
    assert says[-1].startswith(advice)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_who_follows_the_advice_has_a_pace_that_is_enough(share: float) -> None:
    """As it is said, with three digits, in the config's own terms: what quota_share takes off is taken off then."""
    fleet = imagined_keys(500, policy(valid_for=DAY, renew_before=DAY / 6), START, per_second=0.25, at_once=True)
    scarce = with_quotas(at(0.02), {"DescribeKey": 0.015})
    document = lane_plan(fleet, replace(scarce, quota_share=share), START, limit=1)
    (said,) = (each for each in document["says"] if each.startswith("Enough would be: "))
    told = {name: float(rate) * share for name, rate in re.findall(r"(\w+) at ([\d.]+) a second in place of", said)}
    assert set(told) == set(document["helps"]["quotas_per_s"]) == {"GetParametersForImport", "DescribeKey"}
    assert ("of which quota_share leaves 50% to byokd" in said) is (share < 1)
    assert lane_plan(fleet, with_quotas(scarce, told), START, limit=1)["enough"]


def test_a_lane_that_was_throttled_a_moment_ago_says_so() -> None:
    """And that this is over in minutes: it is no reason to ask AWS for more."""
    known = {"GetParametersForImport": LearnedPace(share=0.25, limit=1.0, limited_at=START, per_second=1.0)}
    fleet = imagined_keys(100, policy(), START, per_second=1.0, at_once=True)
    document = lane_plan(fleet, at(1.0), START, limit=1, learned=known)
    assert (document["per_second"], document["present_share"], document["enough"]) == (0.985, 0.25, True)
    assert document["says"][0].startswith(
        "KMS has refused requests for their rate: at present the lane goes at 25% of "
    )
    assert "back at that within 375s if" in document["says"][0]


async def test_a_plan_of_keys_that_cannot_be_seen_promises_nothing(api: Api) -> None:
    """Nobody had ever seen them, and the plan had them renewed now: "every key keeps at least 50 % of its lead"."""
    keys = [desired(arn=KeyArn(f"{FRESH[:-1]}{number}")) for number in (6, 7)]
    await api.store.sync_fleet(keys, now=START)
    epoch = await api.store.acquire_lane(LANE_ID, node="test", now=START)
    never = Blind(since=START, at=START, code="unreachable", message="no", failures=3, last=NEVER_LOOKED)
    once = replace(never, last=observed(arn=keys[1].arn))
    for each, view in zip(keys, (never, once), strict=True):
        key = snapshot(desired=each, view=view, ledger=Ledger())
        change = Change(epoch=epoch, snapshot=key, tier=Tier.FRESH, reason="could_not_look", message="", due_at=START)
        await api.store.save(change)
    _, document = await api.get("/v1/plan", lane="prod")
    (planned,) = document["lanes"]
    assert (planned["keys"], planned["blind"], planned["unknown"], planned["enough"]) == (2, 1, 1, None)
    assert [(each["key"], each["blind"]) for each in planned["renewals"]] == [(keys[1].ref, True)]
    first, second = planned["says"]
    assert first.startswith("1 key cannot be looked at at present, so that it is not renewed until byokd can")
    assert second.startswith("Of 1 key nothing is known, and nothing is promised for it: `byokd status`")


UNSEEN: dict[str, Any] = {"state": "Blind", "reason": "could_not_look"}


@pytest.mark.parametrize(
    ("blind", "unknown", "enough", "says"),
    [
        (0, 0, True, ["The pace is enough: every key keeps at least 50% of its lead."]),
        (2, 0, True, ["2 keys cannot be ", "The pace is enough: every key that byokd can look at keeps at least 50% "]),
        (
            0,
            2,
            True,
            ["Of 2 keys nothing ", "The pace is enough: every key that byokd can look at keeps at least 50% "],
        ),
        (9, 0, None, ["9 keys cannot be looked at at present, so that they are not renewed"]),
        (0, 9, None, ["Of 9 keys nothing is known", "No key of the lane has a renewal to plan for."]),
        (5, 4, None, ["5 keys cannot ", "Of 4 keys nothing is known, and nothing is promised for them"]),
    ],
)
def test_the_pace_is_said_to_be_enough_for_what_can_be_seen(
    blind: int, unknown: int, enough: bool | None, says: list[str]
) -> None:
    """Of a lane of which nothing can be seen, nobody can tell."""
    fleet = list(imagined_keys(9, policy(), START, per_second=1.0, at_once=True))
    for number in range(blind):
        fleet[number] = replace(fleet[number], **UNSEEN)
    for number in range(blind, blind + unknown):
        fleet[number] = replace(fleet[number], expiry=ABSENT, **UNSEEN)
    document = lane_plan(fleet, at(1.0), START, limit=9)
    assert document["enough"] is enough
    assert len(document["says"]) == len(says)
    assert all(sentence.startswith(begins) for sentence, begins in zip(document["says"], says, strict=True))


HOLD = order(OrderKind.HOLD)


def rotating(**changes: Any) -> Snapshot:
    """A key in the middle of its period, with one more material in stock."""
    rules = policy(rotate_every=90 * DAY)
    base = snapshot(
        desired=desired(policy=rules, further=("2.key",)), view=observed(begun_at=START - 30 * DAY), others=(Track(),)
    )
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("key", "ordered", "hindered"),
    [
        (rotating(), False, None),
        (rotating(ledger=ledger(open_orders=(order(OrderKind.ROTATE, outcome="no file"),))), True, "no file"),
        (rotating(view=observed(begun_at=START - 30 * DAY, state=KeyState.DISABLED)), False, "the key is Disabled"),
        (rotating(desired=desired(policy=policy(rotate_every=90 * DAY)), others=()), False, "no further material"),
        (rotating(others=(Track(proof=LOST),)), False, "cannot produce the next material: no such file"),
        (rotating(ledger=ledger(open_orders=(HOLD,))), False, "held by operator until released: maintenance"),
        (rotating(ledger=ledger(open_orders=(replace(HOLD, until=START + DAY),))), False, None),
        (rotating(ledger=ledger(open_orders=(order(OrderKind.SUSPEND),))), False, "suspended (ordered by operator)"),
        (rotating(ledger=ledger(open_orders=(order(OrderKind.RESUME),))), False, "not resumed yet"),
    ],
    ids=[
        "in peace",
        "ordered already",
        "disabled",
        "nothing in stock",
        "next one lost",
        "held",
        "held until before then",
        "suspended",
        "being resumed",
    ],
)
def test_a_plan_tells_when_a_key_is_rotated_by_period(key: Snapshot, ordered: bool, hindered: str | None) -> None:
    """And what would be in the way today; nothing of the sort stood in the plan, only in that of each key."""
    document = next_rotation(key, START)
    assert document is not None
    assert (document["rotates_at"], document["ordered"]) == ("2026-04-30T12:00:00Z", ordered)
    assert document["hindered"] is None if hindered is None else hindered in document["hindered"]


def test_a_plan_tells_the_nearest_rotations() -> None:
    """As many as are asked for; a key whose policy has no period has none."""
    assert next_rotation(snapshot(), START) is None
    keys = [rotating(view=observed(begun_at=START - days * DAY)) for days in (10, 80, 40)]
    found = [each for key in keys if (each := next_rotation(key, START)) is not None]
    document = lane_plan([], lane(), START, limit=2, rotations=found)
    assert [each["rotates_at"] for each in document["rotations"]] == ["2026-03-11T12:00:00Z", "2026-04-20T12:00:00Z"]


async def test_a_plan_lists_one_key_that_is_asked_for(api: Api) -> None:
    """Of thousands, the lists have the first alone: nobody could ask when a certain key will be renewed."""
    _, document = await api.get("/v1/plan", key=FRESH, limit="1")
    (planned,) = document["lanes"]
    assert [each["key"] for each in planned["renewals"]] == [FRESH]
    _, whole = await api.get("/v1/plan", lane="prod", limit="1")
    assert (planned["lane"], planned["keys"]) == (whole["lanes"][0]["lane"], whole["lanes"][0]["keys"])
    assert [each["key"] for each in whole["lanes"][0]["renewals"]] != [FRESH]
    assert (await api.get("/v1/plan", key="alias/nobody"))[0] == 404
    assert (await api.get("/v1/plan", key=FRESH, lane="prod"))[0] == 400


async def test_a_plan_asks_the_record_for_rotations(api: Api) -> None:
    """Only for keys whose policy has a period."""
    await api.store.sync_fleet([desired(policy=policy(rotate_every=90 * DAY))], now=START)
    (key,) = await api.store.snapshots([KeyRef(FRESH)])
    key = replace(key, view=observed(begun_at=START))
    epoch = await api.store.acquire_lane(LANE_ID, node="test", now=START)
    change = Change(epoch=epoch, snapshot=key, tier=Tier.FRESH, reason="fresh", message="Fine.", due_at=START + DAY)
    await api.store.save(change)
    _, document = await api.get("/v1/plan", lane="prod")
    assert [each["key"] for each in document["lanes"][0]["rotations"]] == [FRESH]
