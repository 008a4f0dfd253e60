"""Whose credentials a lane uses: profile, role, and what happens when they turn out bad."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from byokd import errors
from byokd.facts.key import ABSENT
from byokd.kms.adapter import open_kms
from byokd.kms.identity import Identity
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, a_lane, session
from tests.unit.kms.scripted import Endpoint, answer, endpoint, refuse

ROLE = f"arn:aws:iam::{ACCOUNT}:role/byokd"
DESCRIBED = answer(
    {"KeyMetadata": {"Arn": "arn", "KeyState": "Enabled", "Origin": "EXTERNAL", "KeySpec": "SYMMETRIC_DEFAULT"}}
)


def assumed(access_key: str, ends_at: str = "2099-01-01T00:00:00Z"):
    """The answer of AssumeRole, good for years unless it is said otherwise."""
    return answer(
        raw=f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/byokd/lane</Arn>
        <AssumedRoleId>AROA:lane</AssumedRoleId></AssumedRoleUser>
        <Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
        <SessionToken>session</SessionToken><Expiration>{ends_at}</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>""".encode()
    )


def opened(kms: Endpoint, sts: Endpoint | None = None, **lane: Any):
    """The adapter with keys of its own, and endpoints for both services."""
    identity = Identity(access_key_id="AKIAOWN", secret_access_key="any", sts_endpoint="" if sts is None else sts.url)
    return open_kms(a_lane(endpoint=kms.url, **lane), clock=ManualClock(), session=session(), identity=identity)


def signers(served: Endpoint) -> list[str]:
    """The access keys that signed the requests, oldest first."""
    return [asked.headers["Authorization"].partition("Credential=")[2].partition("/")[0] for asked in served.asked]


async def test_own_keys() -> None:
    """Without a role, the lane signs with what it has."""
    async with endpoint(DESCRIBED) as kms_endpoint, opened(kms_endpoint) as kms:
        await kms.describe("arn")
    assert signers(kms_endpoint) == ["AKIAOWN"]


async def test_role() -> None:
    """With a role, the lane assumes it once, by session name and external id, and signs with what it was given."""
    async with endpoint(DESCRIBED) as kms_endpoint, endpoint(assumed("ASIAROLE")) as sts:
        lane = opened(kms_endpoint, sts, role_arn=ROLE, external_id="unguessable", session_name="byokd-eu")
        async with lane as kms:
            await kms.describe("arn")
            await kms.describe("arn")
    (asked,) = sts.asked
    form = parse_qs(asked.body["form"])
    assert (form["RoleArn"], form["RoleSessionName"], form["ExternalId"]) == ([ROLE], ["byokd-eu"], ["unguessable"])
    assert signers(sts) == ["AKIAOWN"]
    assert signers(kms_endpoint) == ["ASIAROLE", "ASIAROLE"]


async def test_role_without_external_id() -> None:
    """An external id that is not configured is not sent."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAROLE")) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE, external_id=ABSENT) as kms,
    ):
        await kms.describe("arn")
    assert "ExternalId" not in parse_qs(sts.asked[0].body["form"])


async def test_role_refused() -> None:
    """A role that may not be assumed is a matter of credentials; KMS is not asked, and an import not lost."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(answer(raw=b"<html>", status=403)) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        with pytest.raises(errors.CredentialsInvalid):
            await kms.describe("arn")
    assert kms_endpoint.asked == []


async def test_looked_for_again() -> None:
    """Credentials that KMS does not accept are not used again: the next call looks for new ones."""
    async with (
        endpoint(refuse("ExpiredTokenException"), DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAOLD"), assumed("ASIANEW")) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        with pytest.raises(errors.CredentialsInvalid):
            await kms.describe("arn")
        await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAOLD", "ASIANEW"]


async def test_renewed_before_they_end() -> None:
    """A role's credentials with less than a quarter of an hour left are replaced while KMS still takes them."""
    nearly_over = f"{datetime.now(UTC) + timedelta(minutes=12):%Y-%m-%dT%H:%M:%SZ}"
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAFIRST", nearly_over), assumed("ASIASECOND")) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        for _ in range(3):
            await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAFIRST", "ASIASECOND", "ASIASECOND"]


async def test_a_renewal_that_fails_early_costs_nothing() -> None:
    """The old credentials are good for some minutes more: they are used until they end."""
    nearly_over = f"{datetime.now(UTC) + timedelta(minutes=12):%Y-%m-%dT%H:%M:%SZ}"
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAFIRST", nearly_over), refuse("AccessDenied", status=403)) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        for _ in range(2):
            await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAFIRST", "ASIAFIRST"]


async def test_a_profile_that_asks_for_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked on the terminal, for which the whole daemon would stand still."""
    config = tmp_path / "config"
    config.write_text(
        f"[profile ops]\nrole_arn = {ROLE}\nsource_profile = me\nmfa_serial = arn:aws:iam::{ACCOUNT}:mfa/me\n"
        "[profile me]\naws_access_key_id = AKIAME\naws_secret_access_key = any\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    async with endpoint(DESCRIBED) as kms_endpoint:
        lane = a_lane(endpoint=kms_endpoint.url, profile="ops")
        async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
            with pytest.raises(errors.CredentialsInvalid, match="mfa_serial"):
                await kms.describe("arn")
    assert kms_endpoint.asked == []


@pytest.mark.parametrize("profile", ["direct", "behind"])
async def test_a_credential_process_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    """It is ended when the call that waits for it is given up: no call leaves a process behind."""
    begun = tmp_path / "begun"
    begun.touch()
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\necho $$ >> {begun}\nsleep 1000\n")
    command.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(
        f"[profile direct]\ncredential_process = {command}\n"
        f"[profile behind]\nrole_arn = {ROLE}\nsource_profile = direct\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    lane = a_lane(endpoint="http://127.0.0.1:9", profile=profile, call_timeout=timedelta(seconds=2))
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
        with pytest.raises(errors.KmsUnreachable, match="in time"):
            await kms.describe("arn")
    (pid,) = begun.read_text().split()
    async with asyncio.timeout(10):
        while Path(f"/proc/{pid}").exists() or any("waitpid" in each.name for each in threading.enumerate()):
            await asyncio.sleep(0)
    for _ in range(10):  # asyncio's thread has told the loop that it ended; the loop is still to hear of it
        await asyncio.sleep(0)


async def test_profile_that_does_not_exist() -> None:
    """A profile that is missing fails the calls, each with its name, and not the opening of the lane."""
    async with endpoint(DESCRIBED) as kms_endpoint, opened(kms_endpoint, profile="no-such-profile") as kms:
        for _ in range(2):
            with pytest.raises(errors.CredentialsInvalid, match="no-such-profile"):
                await kms.describe("arn")
    assert kms_endpoint.asked == []


def test_redacted() -> None:
    """The secret half of given keys is not shown."""
    assert "any" not in repr(Identity(access_key_id="AKIAOWN", secret_access_key="any"))
