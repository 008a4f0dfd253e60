"""A multi-Region key is rotated whatever the local KMS does to byokd, and once only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd.facts.key import KeyRef, region_of
from byokd.facts.ledger import OrderKind, OrderState
from byokd.localkms import FRIENDLY, Hostility
from byokd.localkms.wrapping import WrappingKeys
from tests.kit.builders import DAY
from tests.kit.site import Site, alive, site, was_applied

pytestmark = pytest.mark.timeout(240)

AWAY = ("eu-west-1", "us-east-1")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CHANGES = frozenset({"ImportKeyMaterial", "RotateKeyOnDemand"})
LIVES: dict[str, Any] = {"valid_for": 90 * DAY, "renew_before": 30 * DAY}

HOSTILITIES: dict[str, tuple[Hostility, str]] = {
    # the settings, and what the trail must show of them, so that no case passes in fair weather
    "the connection is dropped after each change": (
        replace(FRIENDLY, operations=CHANGES, drop_after_rate=1.0),
        "drop_after",
    ),
    "an error follows each change": (replace(FRIENDLY, operations=CHANGES, error_after_rate=1.0), "error_after"),
    "reads that are behind": (replace(FRIENDLY, lag_rate=0.7, lag_s=20.0), ""),
    "throttling, and tokens that end early": (
        replace(FRIENDLY, quota_factor=0.5, early_token_rate=0.5),
        "ExpiredImportTokenException",
    ),
    "all of it": (
        Hostility(
            quota_factor=0.5,
            lag_rate=0.5,
            lag_s=10.0,
            latency_p50_s=0.0,
            error_before_rate=0.05,
            error_after_rate=0.05,
            drop_before_rate=0.05,
            drop_after_rate=0.05,
            cut_rate=0.05,
        ),
        "",
    ),
}


@pytest.mark.parametrize("case", HOSTILITIES)
async def test_a_family_is_rotated_once(case: str, tmp_path: Path, pool: WrappingKeys) -> None:
    """In every Region the next material is current; no Region is given any of it twice, where answers are lost too."""
    hostility, evidence = HOSTILITIES[case]
    async with site(tmp_path, pool, hostility=hostility, replicas=AWAY, **LIVES) as it, alive(it):
        await it.world.pass_time(HOUR, step=2 * MINUTE)
        await it.world.order(OrderKind.ROTATE, ref=KeyRef(it.keys[0]), wait=False)
        await it.world.pass_time(2 * HOUR, step=2 * MINUTE)
        (order,) = await it.world.store.orders(only_open=False, limit=2)
        assert order.state is OrderState.DONE, order.outcome
        assert not evidence or evidence in (tmp_path / "trail.jsonl").read_text()
        rotations = [each for each in it.trail() if each["eventName"] == "RotateKeyOnDemand"]
        assert {each["awsRegion"] for each in rotations} == {region_of(it.keys[0])}
        assert sum(map(was_applied, rotations)) == 1
        assert [len(it.imports()[arn]) for arn in it.keys] == [1, 2, 2]
    assert await _materials(it) == [["NON_CURRENT", "CURRENT"]] * 3


async def _materials(it: Site) -> list[list[str]]:
    """Of each member, the states of what is imported."""
    async with it.serve(FRIENDLY) as server:
        found = [
            await it.ask(
                server,
                "list_key_rotations",
                region=region_of(arn),
                KeyId=arn,
                IncludeKeyMaterial="ALL_KEY_MATERIAL",
            )
            for arn in it.keys
        ]
    return [
        [each["KeyMaterialState"] for each in listed["Rotations"] if each["ImportState"] == "IMPORTED"]
        for listed in found
    ]
