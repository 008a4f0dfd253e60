"""`byokd localkms serve`, as a process, and what it refuses before it serves anything."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from byokd.cli.failures import Exit
from tests.kit.process import byokd as process
from tests.unit.cli.terminal import byokd

CREDENTIALS = """
[AKIAIOSFODNN7EXAMPLE]
secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
account = "555566667777"
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve(number: signal.Signals):
    """One line says where it listens, and either signal ends it in order."""
    async with process("localkms", "serve", "--friendly", "--listen", "127.0.0.1:0") as running:
        await running.line("listening on http://127.0.0.1:")
        assert await running.end(number) == Exit.OK
    assert len(running.lines) == 1


async def test_every_setting_reaches_the_server(tmp_path: Path):
    """Credentials, account, time, admin endpoint, hostility, outlets and limits, all from the command line."""
    file = tmp_path / "credentials.toml"
    file.write_text(CREDENTIALS)
    settings = ("--friendly", "--credentials", str(file), "--rate", "86400", "--limit", "body_bytes=1000")
    told = ("--hostile", "quota_factor=1", "--hostile", "quotas.CreateKey=1", "--outlet", f"trail={tmp_path}/trail")
    async with process("localkms", "serve", "--admin", "127.0.0.1:0", *settings, *told) as running:
        line = await running.line("listening on http://127.0.0.1:")
        found = re.fullmatch(r"listening on (\S+), admin on (\S+)", line)
        assert found, line
        url, admin = found.groups()
        assert fetched(f"{admin}/time")["rate"] == 86_400
        kms = a_client(url, "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        assert kms.create_key()["KeyMetadata"]["AWSAccountId"] == "555566667777"
        assert refusal(a_client(url, "AKIAIOSFODNN7EXAMPLE", "wrong").list_keys) == "InvalidSignatureException"
        assert refusal(kms.encrypt, KeyId="k", Plaintext=b"x" * 4096) == "RequestEntityTooLargeException"
        assert await running.end() == Exit.OK
    assert '"CreateKey"' in (tmp_path / "trail").read_text()


async def test_without_verification_any_signature_is_good():
    """`--no-verify` reads the scope alone, and `--account` is whose keys they are."""
    arguments = ("localkms", "serve", "--friendly", "--no-verify", "--account", "999900001111", "--json")
    async with process(*arguments) as running:
        url = json.loads(await running.line('{"url": "http://127.0.0.1:'))["url"]
        scope = "Credential=AKIA/20000101/eu-central-1/kms/aws4_request"
        headers = {
            "X-Amz-Target": "TrentService.CreateKey",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 {scope}",
        }
        created = fetched(urllib.request.Request(url, b"{}", headers))
        assert created["KeyMetadata"]["AWSAccountId"] == "999900001111"


def fetched(request: str | urllib.request.Request):
    """The JSON document of an answer."""
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def a_client(url: str, key_id: str, secret: str):
    """boto3, without a second try."""
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
    return boto3.client("kms", endpoint_url=url, region_name="eu-central-1", config=config, **keys)


def refusal(call, **members: object) -> str:
    """The code of the refusal that a call gets."""
    with pytest.raises(ClientError) as refused:
        call(**members)
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize("listen", ["8080", "localhost:", ":80", "127.0.0.1:70000"])
async def test_bad_address(listen: str):
    """What is no address is a usage error."""
    printed = await byokd("localkms", "serve", "--listen", listen)
    assert printed.code == Exit.USAGE
    assert "not HOST:PORT" in printed.err


BAD: dict[str, tuple[tuple[str, str], str]] = {
    "an admin endpoint for everybody": (("--admin", "0.0.0.0:0"), "not a loopback address"),
    "a clock that stands still": (("--rate", "0"), "must be above 0"),
    "a signature from last week": (("--skew", "604800"), "skew_s must be 1 to 86400"),
    "an account of another length": (("--account", "1"), "must be 12 digits"),
    "no such hostility": (("--hostile", "rain=1"), "write NAME=VALUE, with one of seed, "),
    "a hostility without a value": (("--hostile", "lag_s"), "write NAME=VALUE"),
    "a hostility that is no number": (("--hostile", "lag_s=long"), "has no value of its kind"),
    "a hostility out of its bounds": (("--hostile", "lag_rate=2"), "must be 0 to 1"),
    "a mapping in one piece": (("--hostile", "quotas=1"), "has no value of its kind"),
    "a member of what has none": (("--hostile", "lag_s.x=1"), "has no value of its kind"),
    "an outlet that is no URL": (("--outlet", "webhook=ftp://x"), "must be an http or https URL"),
    "a limit of none": (("--limit", "connections=0"), "must be 1 to"),
    "credentials that are not there": (("--credentials", "/nonexistent/file"), "No such file"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_setting(case: str):
    """A setting that cannot be is a usage error that says what can."""
    arguments, message = BAD[case]
    printed = await byokd("localkms", "serve", *arguments)
    assert printed.code == Exit.USAGE
    assert message in " ".join(printed.err.split())


async def test_two_servers_on_one_state(tmp_path: Path):
    """The second is refused with a sentence and the store's exit code."""
    serve = ("localkms", "serve", "--friendly", "--state", str(tmp_path / "kms.db"))
    async with process(*serve) as running:
        await running.line("listening on")
        async with process(*serve) as second:
            await second.line("in use by another local KMS")
            assert await second.process.wait() == Exit.STORE


FILES: dict[str, tuple[str, str]] = {
    "no TOML": ("[AKIA\nsecret = 'hidden'", "not valid TOML"),
    "nothing": ("", "holds no access key"),
    "no table": ("AKIA = 'hidden'", "AKIA is no table"),
    "no secret": ("[AKIA]\naccount = '111122223333'", "AKIA lacks secret"),
    "another member": ("[AKIA]\nsecret = 'hidden'\naccount = '1'\nregion = 'x'", "AKIA has region; known are secret"),
    "a number": ("[AKIA]\nsecret = 'hidden'\naccount = 111122223333", "must be written in quotes"),
    "no account": ("[AKIA]\nsecret = 'hidden'\naccount = '1'", "AKIA: account must be 12 digits"),
}


@pytest.mark.parametrize("case", FILES)
async def test_bad_credentials(case: str, tmp_path: Path):
    """A file that is wrong is refused by name, with what is wrong and without any secret of it."""
    text, message = FILES[case]
    file = tmp_path / "credentials.toml"
    file.write_text(text)
    printed = await byokd("localkms", "serve", "--credentials", str(file))
    assert printed.code == Exit.USAGE
    assert message in " ".join(printed.err.split())
    assert "hidden" not in printed.err
