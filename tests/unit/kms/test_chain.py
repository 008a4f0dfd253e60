"""The SDK's chain of credentials in a daemon: nobody is asked, and no command is left behind."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd import errors
from byokd.kms.adapter import open_kms
from byokd.kms.identity import Identity
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, a_lane, session
from tests.unit.kms.scripted import DESCRIBED, ROLE, ending_in, endpoint, signers


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


def commanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Profiles: `direct`, whose credentials the script gives, and `behind`, a role of it. Its `$0.sleep` is `sleep`."""
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o700)
    (tmp_path / "command.sleep").symlink_to("/bin/sleep")
    config = tmp_path / "config"
    config.write_text(
        f"[profile direct]\ncredential_process = {command}\n"
        f"[profile behind]\nrole_arn = {ROLE}\nsource_profile = direct\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))


def running(tmp_path: Path) -> set[str]:
    """The files there that processes run; one that has ended and that its new parent has yet to reap has none."""
    found = set()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found |= {Path(each).name for each in process.read_text().split("\0") if each.startswith(f"{tmp_path}/")}
    return found


async def until(done: Callable[[], bool]) -> None:
    """Return when it is so, which is soon."""
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0)


def held() -> tuple[set[str], set[Any]]:
    """What this process has open, and what it waits for."""
    return {
        f"{each} {each.readlink()}" for each in Path("/proc/self/fd").iterdir() if each.exists()
    }, asyncio.all_tasks()


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ("$0.sleep 1000", {"command", "command.sleep"}),
        ("exec $0.sleep 1000", {"command.sleep"}),
        ("$0.sleep 1000 &", {"command.sleep"}),
        ("setsid $0.sleep 20 &", {"command.sleep"}),
    ],
    ids=["it hangs", "it became another", "it has ended and its child hangs", "its child left its group"],
)
@pytest.mark.parametrize("profile", ["direct", "behind"])
async def test_a_credential_process_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, script: str, left: set[str]
) -> None:
    """It is ended with its process group when the call that waits for it is given up: no call leaves anything."""
    commanded(tmp_path, monkeypatch, script)
    lane = a_lane(endpoint="http://127.0.0.1:9", profile=profile, call_timeout=timedelta(minutes=1))
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
        before = held()
        for _ in range(2):
            call = asyncio.create_task(kms.describe("arn"))
            await until(lambda: running(tmp_path) == left)
            assert not call.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert held() == before
            if "setsid" not in script:
                await until(lambda: not running(tmp_path))


async def test_credentials_that_do_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not KMS that did not answer, and the error says so; the command is ended."""
    commanded(tmp_path, monkeypatch, "$0.sleep 1000")
    lane = a_lane(endpoint="http://127.0.0.1:9", profile="direct", call_timeout=timedelta(seconds=1))
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
        with pytest.raises(errors.CredentialsUnreachable, match="no credentials in time, and nothing was sent to KMS"):
            await kms.describe("arn")
        await until(lambda: not running(tmp_path))


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_a_credential_process_that_is_given_up_while_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Wherever the call is broken off, and if it is again while it ends, nothing of the command is left."""
    commanded(tmp_path, monkeypatch, "$0.sleep 1000 &\n$0.sleep 1000")
    lane = a_lane(endpoint="http://127.0.0.1:9", profile="direct", call_timeout=timedelta(minutes=1))
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
        for turns in range(25):
            call = asyncio.create_task(kms.describe("arn"))
            for _ in range(turns):
                await asyncio.sleep(0)
            for _ in range(times):
                call.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: not running(tmp_path))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo hush >&2; exit 3", r"command ended with exit code 3 \(5 bytes on standard error, not shown\)"),
        ("kill -9 $$", "command was killed by signal 9"),
        ("echo hush", r"command wrote 5 bytes that are no JSON \(not shown\)"),
        ("echo '\"hush\"'", "no JSON"),
        (r"printf '\377hush'", "no JSON"),
        ("head -c 60000 /dev/zero | tr '\\0' '['", "no JSON"),
        ("true", "command wrote 0 bytes"),
        ("head -c 70000 /dev/zero | tr '\\0' h", "command wrote more than 65536 bytes"),
        ('printf \'{"Version": 1, "AccessKeyId": "hush"}\'', "SecretAccessKey"),
    ],
)
async def test_a_credential_process_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    """The error tells how, and nothing of what the command wrote."""
    commanded(tmp_path, monkeypatch, script)
    async with endpoint(DESCRIBED) as kms_endpoint:
        lane = a_lane(endpoint=kms_endpoint.url, profile="direct")
        async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
            with pytest.raises(errors.CredentialsInvalid, match=told) as raised:
                await kms.describe("arn")
    assert "hush" not in "".join(traceback.format_exception(raised.value))
    assert kms_endpoint.asked == []


async def test_a_credential_process_that_hangs_when_it_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its credentials are renewed like those of a role: what it told before is used while it is good."""
    given = {"Version": 1, "AccessKeyId": "AKIACOMMAND", "SecretAccessKey": "any", "SessionToken": "any"}
    told = json.dumps(given | {"Expiration": ending_in(minutes=12)})
    commanded(tmp_path, monkeypatch, f"[ -e $0.run ] && exec $0.sleep 1000; touch $0.run\necho '{told}'")
    async with endpoint(DESCRIBED) as kms_endpoint:
        lane = a_lane(endpoint=kms_endpoint.url, profile="direct", call_timeout=timedelta(seconds=1))
        async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
            for _ in range(3):
                await kms.describe("arn")
            await until(lambda: not running(tmp_path))
    assert signers(kms_endpoint) == ["AKIACOMMAND"] * 3


async def test_a_credential_process_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is a matter of credentials, and no network failed; its arguments are not repeated."""
    config = tmp_path / "config"
    config.write_text(f"[profile direct]\ncredential_process = {tmp_path}/gone --pin 1234\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    lane = a_lane(endpoint="http://127.0.0.1:9", profile="direct")
    async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
        with pytest.raises(errors.CredentialsInvalid, match="gone cannot be started: No such file") as raised:
            await kms.describe("arn")
    assert "1234" not in "".join(traceback.format_exception(raised.value))


async def test_a_credential_process_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it tells signs the call; a child that holds none of its pipes is left to live."""
    given = '{"Version": 1, "AccessKeyId": "AKIACOMMAND", "SecretAccessKey": "any"}'
    commanded(tmp_path, monkeypatch, f"$0.sleep 1 >/dev/null 2>&1 &\necho '{given}'")
    async with endpoint(DESCRIBED) as kms_endpoint:
        lane = a_lane(endpoint=kms_endpoint.url, profile="direct")
        async with open_kms(lane, clock=ManualClock(), session=session(), identity=Identity()) as kms:
            await kms.describe("arn")
    assert signers(kms_endpoint) == ["AKIACOMMAND"]
