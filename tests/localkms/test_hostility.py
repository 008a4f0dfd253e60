"""Hostility over HTTP: each setting shows what it says, and a seed makes a run repeat."""

from __future__ import annotations

import asyncio
import re
import statistics
from dataclasses import fields
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError
from botocore.exceptions import ClientError, HTTPClientError

from byokd.localkms import Hostility, Outlets
from byokd.localkms.hostility.fate import Fates, Mishap
from byokd.localkms.hostility.settings import EXCLUSIVE
from byokd.localkms.signatures import Caller

from .kit import ACCOUNT, DAY, MATERIAL, REGION, START, Kms, Serving
from .rules import PAGE

CODES = {"KMSInternalException", "DependencyTimeoutException", "ServiceUnavailable", "InternalFailure", "502"}


async def seen(kms: Kms, operation: str, **members: Any) -> str:
    """How a client sees a call end: its error code, its failure, `half` for an answer without members, or `whole`."""
    try:
        answer = await kms.call(operation, **members)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except HTTPClientError as error:
        return type(error).__name__
    return "whole" if len(answer) > 1 else "half"


# Each setting at 1: how boto3 sees it, and whether the change was applied. boto3 takes half an answer for an empty one.
MISHAPS: dict[str, tuple[str, set[str], bool]] = {
    "an error, nothing changed": ("error_before_rate", CODES, False),
    "an error, all changed": ("error_after_rate", CODES, True),
    "a dropped connection, nothing changed": ("drop_before_rate", {"ConnectionClosedError"}, False),
    "a dropped connection, all changed": ("drop_after_rate", {"ConnectionClosedError"}, True),
    "half an answer, all changed": ("cut_rate", {"half"}, True),
}


@pytest.mark.parametrize("case", MISHAPS)
async def test_a_mishap_is_seen_and_does_what_it_says(case: str, serving: Serving, tmp_path: Path) -> None:
    """The client sees each kind of it, and what a friendly server finds afterwards was applied or was not."""
    setting, ways, applied = MISHAPS[case]
    async with serving(tmp_path / "kms.db", **{setting: 1.0}) as kms:
        assert {await seen(kms, "create_key", Origin="EXTERNAL") for _ in range(16)} == ways
    async with serving(tmp_path / "kms.db") as kms:
        assert len((await kms.call("list_keys"))["Keys"]) == (16 if applied else 0)


async def test_a_refusal_is_lost_on_its_way_as_well(serving: Serving) -> None:
    """A dropped connection may have carried a refusal: the client can't tell."""
    async with serving(drop_after_rate=1.0) as kms:
        assert await seen(kms, "describe_key", KeyId="nonsense") == "ConnectionClosedError"
    async with serving(cut_rate=1.0) as kms:
        with pytest.raises(ClientPayloadError):
            await kms.raw("DescribeKey", b'{"KeyId": "nonsense"}')


async def test_the_same_seed_brings_the_same_weather(serving: Serving) -> None:
    """Two runs with a seed break the same calls in the same way; another seed breaks others, about as often."""

    async def run(seed: int) -> list[str]:
        rates = dict.fromkeys(("error_before_rate", "error_after_rate", "drop_before_rate", "drop_after_rate"), 0.1)
        async with serving(seed=seed, **rates) as kms:
            return [await seen(kms, "list_keys") for _ in range(60)]

    first = await run(7)
    assert first == await run(7)
    assert first != await run(8)
    assert 10 <= sum(each != "whole" for each in first) <= 38


async def test_latency_is_real_time_and_bounded(serving: Serving) -> None:
    """A request waits on its way, and never longer than the bound."""
    async with serving(latency_p50_s=0.05, latency_p99_s=0.5, latency_max_s=0.05) as kms:
        before = asyncio.get_running_loop().time()
        await kms.call("list_keys")
        assert asyncio.get_running_loop().time() - before > 0.01


async def test_draws_keep_to_their_settings() -> None:
    """Of many requests, the shares, the median and the 99th percentile are what the settings say."""
    settings = Hostility(lag_rate=0.3, early_token_rate=0.2, latency_p50_s=0.01, latency_p99_s=0.1, latency_max_s=0.2)
    fates = Fates(settings)
    drawn = [fates.of(Caller(ACCOUNT, REGION), "DescribeKey") for _ in range(5000)]
    latencies = sorted(each.latency_s for each in drawn)
    assert 0.009 < statistics.median(latencies) < 0.011
    assert 0.07 < latencies[4950] < 0.15
    assert latencies[-1] <= 0.2
    assert 0.27 < sum(each.behind for each in drawn) / 5000 < 0.33
    assert 0.17 < sum(each.token_s == 0.0 for each in drawn) / 5000 < 0.23
    for name in EXCLUSIVE:
        rate = getattr(settings, name)
        assert 0.5 * rate < sum(each.mishap is Mishap(name) for each in drawn) / 5000 < 1.6 * rate


async def test_another_caller_changes_no_ones_fate() -> None:
    """A caller's nth request of an operation has its fate whatever others, or other operations, do between."""
    one, other = Caller(ACCOUNT, REGION), Caller(ACCOUNT, "us-east-1")
    alone, crowded = Fates(Hostility()), Fates(Hostility())
    expected = [alone.of(one, "DescribeKey") for _ in range(50)]
    met = []
    for _ in range(50):
        crowded.of(other, "DescribeKey")
        crowded.of(one, "ListKeys")
        met.append(crowded.of(one, "DescribeKey"))
    assert met == expected


async def test_a_token_may_end_before_it_was_said_to(serving: Serving) -> None:
    """ParametersValidTo says a day; after the minute that it really lives, the token is ExpiredImportTokenException."""
    async with serving(early_token_rate=1.0, early_token_s=60.0) as kms:
        key = await kms.create_key()
        answer = await kms.call(
            "get_parameters_for_import",
            KeyId=key,
            WrappingAlgorithm="RSAES_OAEP_SHA_256",
            WrappingKeySpec="RSA_2048",
        )
        assert answer["ParametersValidTo"].timestamp() == START + DAY
        terms = await kms.import_terms(key, MATERIAL) | {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        kms.clock.advance(59)
        await kms.call("import_key_material", **terms)
        kms.clock.advance(1)
        assert (await kms.refused("import_key_material", **terms)).code == "ExpiredImportTokenException"


async def test_the_date_is_off_by_no_more_than_its_bound(serving: Serving) -> None:
    """Answers tell times around the server's own, not all the same, none further off than the setting."""
    async with serving(skew_s=30.0) as kms:
        offsets = set()
        for _ in range(20):
            _, _, headers = await kms.raw("ListKeys", b"{}")
            offsets.add(parsedate_to_datetime(headers["Date"]).timestamp() - START)
    assert len(offsets) > 5
    assert all(abs(each) <= 30 for each in offsets)


OUT_OF_BOUNDS: dict[str, dict[str, Any]] = {
    "a rate above 1": {"lag_rate": 1.1},
    "a negative rate": {"cut_rate": -0.1},
    "rates that exclude each other": {"drop_before_rate": 0.6, "drop_after_rate": 0.6},
    "a 99th percentile below the median": {"latency_p50_s": 0.1, "latency_p99_s": 0.05},
    "a median above the bound": {"latency_p50_s": 1.0, "latency_p99_s": 2.0},
    "an endless lag": {"lag_s": 601.0},
    "a quota of nothing": {"quotas": {"DescribeKey": 0.0}},
    "not a number": {"skew_s": float("nan")},
}


@pytest.mark.parametrize("case", OUT_OF_BOUNDS)
def test_a_setting_out_of_bounds_is_refused(case: str) -> None:
    """What cannot be meant is a ValueError that names the setting."""
    settings = OUT_OF_BOUNDS[case]
    with pytest.raises(ValueError, match="|".join([*settings, "The quota of DescribeKey"])):
        Hostility(**settings)


async def test_mishaps_may_be_kept_to_some_operations(serving: Serving) -> None:
    """What is not named among the operations goes well, every time."""
    async with serving(drop_before_rate=1.0, operations=frozenset({"CreateKey"})) as kms:
        assert await seen(kms, "create_key") == "ConnectionClosedError"
        assert await seen(kms, "list_keys") == "whole"


MISSPELT: dict[str, dict[str, Any]] = {
    "an operation": {"operations": frozenset({"DescribeKeys"})},
    "a quota": {"quotas": {"describe_key": 1.0}},
}


@pytest.mark.parametrize("case", MISSPELT)
async def test_a_misspelt_name_is_refused_at_the_start(case: str, serving: Serving) -> None:
    """It would otherwise turn hostility off, and nobody would notice."""
    with pytest.raises(ValueError, match="names what does not exist"):
        async with serving(**MISSPELT[case]):
            pass


@pytest.mark.parametrize("settings", [Hostility, Outlets])
def test_every_setting_has_its_row_in_the_reference(settings: type[Any]) -> None:
    """The reference page lists each setting, and the default of each that is a number."""
    rows = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\S[^|]*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    listed = {name: default for names, default in rows.items() for name in re.findall(r"\w+", names)}
    for setting in fields(settings):
        assert setting.name in listed
        if isinstance(setting.default, float):
            assert float(listed[setting.name]) == setting.default
