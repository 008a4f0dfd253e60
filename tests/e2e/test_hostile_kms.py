"""byokd lives through everything that the local KMS does to it, and does no more than it has to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from byokd.facts.policy import OnLoss, Quota
from byokd.localkms import FRIENDLY, Hostility
from byokd.localkms.wrapping import WrappingKeys
from tests.kit.builders import DAY, OPERATIONS
from tests.kit.site import Site, alive, site

pytestmark = pytest.mark.timeout(120)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
IMPORT = frozenset({"ImportKeyMaterial"})
LOOKS = frozenset({"DescribeKey", "ListKeyRotations"})
DAYS: dict[str, Any] = {"valid_for": 8 * DAY, "renew_before": 4 * DAY, "look_every": 12 * HOUR, "drill_every": 5 * DAY}
"""A policy of days, so that a test lives through several renewals in few steps."""


HOSTILITIES: dict[str, tuple[Hostility, str]] = {
    # the settings, and what the trail or the metrics must show of them, so that no case passes in fair weather
    "the defaults": (Hostility(), "lag"),
    "quotas alone": (replace(FRIENDLY, quota_factor=1.0), "ThrottlingException"),
    "errors, nothing changed": (replace(FRIENDLY, error_before_rate=0.3), "error_before"),
    "errors, all changed": (replace(FRIENDLY, error_after_rate=0.3), "error_after"),
    "dropped connections, nothing changed": (replace(FRIENDLY, drop_before_rate=0.3), "drop_before"),
    "dropped connections, all changed": (replace(FRIENDLY, drop_after_rate=0.3), "drop_after"),
    "half answers": (replace(FRIENDLY, cut_rate=0.3), "cut"),
    "reads that are behind": (replace(FRIENDLY, lag_rate=0.5, lag_s=8.0), "lag"),
    "tokens that end early": (replace(FRIENDLY, early_token_rate=0.5), "ExpiredImportTokenException"),
    "latency": (replace(FRIENDLY, latency_p50_s=0.01, latency_p99_s=0.1), "latency"),
    "a Date that is off": (replace(FRIENDLY, skew_s=20.0), "skew"),
}


@pytest.mark.parametrize("case", HOSTILITIES)
async def test_a_fleet_lives_through(case: str, tmp_path: Path, pool: WrappingKeys) -> None:
    """Through two renewals nothing lapses, nothing is imported that need not be, and all is well at the end."""
    hostility, evidence = HOSTILITIES[case]
    async with site(tmp_path, pool, keys=2, hostility=hostility, **DAYS) as it, alive(it):
        await it.world.pass_time(HOUR, step=5 * MINUTE)
        await it.world.pass_time(9 * DAY, step=4 * HOUR)
        seen = _seen(it)
        assert seen[evidence] or evidence in await it.befell()
        assert not seen["DeleteExpiredKeyMaterial"]
        for arn in it.keys:
            first, *renewals = it.imports()[arn]
            assert renewals
            for before, after in pairwise([first, *renewals]):
                assert after - before >= 4 * DAY, "renewed before it was due"
    for key in await it.found():
        assert key["KeyState"] == "Enabled"
        assert key["ValidTo"] - it.world.clock.now() > 2 * DAY


LOST: dict[str, Hostility] = {
    "the connection is dropped": replace(FRIENDLY, operations=IMPORT, drop_after_rate=1.0),
    "the answer ends in its middle": replace(FRIENDLY, operations=IMPORT, cut_rate=1.0),
    "a 5xx takes its place": replace(FRIENDLY, operations=IMPORT, error_after_rate=1.0),
}


@pytest.mark.parametrize("case", LOST)
async def test_a_lost_answer_brings_no_second_import(case: str, tmp_path: Path, pool: WrappingKeys) -> None:
    """Every answer to ImportKeyMaterial is lost, and each is found out by a look: one import, then one renewal."""
    async with site(tmp_path, pool, hostility=LOST[case], **DAYS) as it, alive(it):
        await it.world.pass_time(5 * DAY, step=4 * HOUR)
        outcomes = [row.outcome for row in await it.world.imports()]
        assert outcomes == ["adopted", "adopted"]
        (arn,) = it.keys
        assert len(it.imports()[arn]) == 2


async def test_an_import_that_kms_applies_after_byokd_gave_up(tmp_path: Path, pool: WrappingKeys) -> None:
    """A call that runs into byokd's timeout is applied a moment later; the next look finds it, and no other is sent."""
    slow = replace(FRIENDLY, operations=IMPORT, latency_p50_s=1.5, latency_p99_s=1.5, latency_max_s=1.5)
    changes = {"call_timeout": timedelta(seconds=1)}
    async with site(tmp_path, pool, hostility=slow, lane_changes=changes, **DAYS) as it, alive(it):
        (arn,) = it.keys
        assert [row.state.value for row in await it.world.imports()] == ["running"]
        while arn not in it.imports():
            await it.world.settle()  # until KMS has applied it, in real time
        await it.world.pass_time(HOUR, step=MINUTE)
        assert [row.outcome for row in await it.world.imports()] == ["adopted"]
        assert len(it.imports()[arn]) == 1


async def test_a_region_that_loses_its_material_is_healed(tmp_path: Path, pool: WrappingKeys) -> None:
    """KMS loses all material of the Region at once: people are told, and the same material is back within a look."""
    losing = replace(FRIENDLY, loss_every_s=3.1 * 86_400)
    async with (
        site(tmp_path, pool, keys=3, hostility=losing, on_foreign_delete=OnLoss.HEAL, **DAYS) as it,
        alive(it),
    ):
        await it.world.pass_time(3.7 * DAY, step=2 * HOUR)
        assert [len(it.imports()[arn]) for arn in it.keys] == [2, 2, 2]
        assert any(said.startswith("raised") for said in it.world.inbox.said)
    assert {key["KeyState"] for key in await it.found()} == {"Enabled"}


async def test_a_new_key_that_kms_does_not_find_yet(tmp_path: Path, pool: WrappingKeys) -> None:
    """A key that was created a moment ago is NotFound at the first look; byokd looks again, and imports."""
    behind = replace(FRIENDLY, lag_rate=1.0, lag_s=20.0, operations=LOOKS)
    async with site(tmp_path, pool, hostility=behind, new=True, **DAYS) as it, alive(it):
        assert _seen(it)["NotFoundException"]
        await it.world.pass_time(HOUR, step=MINUTE)
        (arn,) = it.keys
        assert len(it.imports()[arn]) == 1
    assert [key["KeyState"] for key in await it.found()] == ["Enabled"]


PACES: dict[str, tuple[float, int]] = {
    # what the lane is configured to, and how many calls of twelve imports may be refused
    "the quota that KMS has": (0.25, 0),
    "four times the quota": (1.0, 24),
    "far above the quota": (1000.0, 72),
}


@pytest.mark.parametrize("case", PACES)
async def test_a_throttled_fleet_is_no_storm(case: str, tmp_path: Path, pool: WrappingKeys) -> None:
    """A lane learns the real quota: all keys come to life in little more than the time it takes, few calls refused."""
    per_second, refused = PACES[case]
    quotas = dict.fromkeys(OPERATIONS, Quota(per_second=1000.0, burst=1000.0))
    quotas["GetParametersForImport"] = Quota(per_second=per_second, burst=max(1.0, per_second))
    throttling = replace(FRIENDLY, quota_factor=1.0)
    async with (
        site(tmp_path, pool, keys=12, hostility=throttling, lane_changes={"quotas": quotas}, **DAYS) as it,
        alive(it),
    ):
        await it.world.pass_time(3 * MINUTE, step=timedelta(seconds=2))
        assert [len(it.imports()[arn]) for arn in it.keys] == [1] * 12
        assert _seen(it)["ThrottlingException"] <= refused


def _seen(it: Site) -> Counter[str]:
    """What the trail shows: error codes, mishaps and KMS's own events."""
    seen: Counter[str] = Counter()
    for record in it.trail():
        seen[record.get("errorCode", "")] += 1
        seen[record.get("additionalEventData", {}).get("mishap", "")] += 1
        seen[record["eventName"]] += 1
    return seen


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(12))
async def test_a_fleet_lives_through_foul_weather(seed: int, tmp_path: Path, pool: WrappingKeys) -> None:
    """Everything but quotas at once, several times as often as by default, for weeks of every seed: nobody lapses."""
    worst = Hostility(
        seed=seed,
        quota_factor=0.0,
        lag_s=8.0,
        lag_rate=0.5,
        latency_p50_s=0.0,
        error_before_rate=0.05,
        error_after_rate=0.05,
        drop_before_rate=0.05,
        drop_after_rate=0.05,
        cut_rate=0.05,
        early_token_rate=0.1,
    )
    async with site(tmp_path, pool, keys=3, hostility=worst, **DAYS) as it, alive(it):
        await it.world.pass_time(HOUR, step=MINUTE)
        await it.world.pass_time(20 * DAY, step=2 * HOUR)
        assert not _seen(it)["DeleteExpiredKeyMaterial"]
        for arn in it.keys:
            for before, after in pairwise(it.imports()[arn]):
                assert after - before >= 4 * DAY, "renewed before it was due"
    assert {key["KeyState"] for key in await it.found()} == {"Enabled"}
