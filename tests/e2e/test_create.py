"""`byokd create` as a process, against a local KMS over HTTP: a manifest becomes keys, each of them once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from byokd import localkms
from tests.e2e.conftest import Call, make_key
from tests.kit.materials import material
from tests.kit.process import Fleet, ask, byokd, write_fleet
from tests.kit.proxy import proxying

pytestmark = pytest.mark.timeout(90)

SETTLES = ("--settle-for", "1s")
UNSEEN = "--unseen-material"


def a_manifest(directory: Path, *rows: str) -> Path:
    """A manifest of these rows: alias and team."""
    file = directory / "keys.csv"
    file.write_text("\n".join(["alias,tag:team", *rows]) + "\n")
    return file


def command(fleet: Fleet, *more: str) -> tuple[str, ...]:
    """The command that makes its keys."""
    manifest, written = fleet.directory / "keys.csv", fleet.directory / "conf.d" / "new.toml"
    written.parent.mkdir(exist_ok=True)
    return ("create", "--manifest", str(manifest), "--write", str(written), "--fleet", "new", *SETTLES, *more)


async def made(call: Call) -> dict[str, list[dict[str, Any]]]:
    """The keys of the KMS by the alias that they were made for."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key in (await call("ListKeys"))["Keys"]:
        listed = await call("ListResourceTags", KeyId=key["KeyId"])
        tags = {each["TagKey"]: each["TagValue"] for each in listed["Tags"]}
        if "byokd:created-as" in tags:
            found.setdefault(tags["byokd:created-as"], []).append(key)
    return found


async def test_a_manifest_comes_to_life(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """From a CSV to keys that the daemon has imported, in one order; the second run finds everything done."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    names = [f"new-{number}" for number in range(12)]
    a_manifest(tmp_path, *(f"alias/{name},pay" for name in names))
    for name in names:
        put_material(tmp_path, name, os.urandom(32))

    assert (await ask(fleet.config, *command(fleet, "--dry-run")))[0] == 0
    assert await made(call) == {}
    assert not (tmp_path / "keys.csv.journal").exists()
    code, text = await ask(fleet.config, *command(fleet))
    assert (code, "12 of 12 keys are made" in text) == (0, True), text
    assert {alias: len(keys) for alias, keys in (await made(call)).items()} == {f"alias/{name}": 1 for name in names}

    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"', times=12)
        assert await daemon.end() == 0
    for name in names:
        seen = (await call("DescribeKey", KeyId=f"alias/{name}"))["KeyMetadata"]
        assert (seen["KeyState"], seen["Origin"]) == ("Enabled", "EXTERNAL")


async def test_wrong_rows_are_told_and_left_out_if_asked(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """All of them, those that only KMS knows included: nothing is made, or only the good ones are."""
    await make_key(call, "alias/taken")
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    a_manifest(tmp_path, "alias/good,pay", "bad,pay", "alias/taken,pay", "alias/fine,b%d")
    code, text = await ask(fleet.config, *command(fleet, UNSEEN))
    assert code == 1
    for told in ("keys.csv:3: alias:", "keys.csv:4: alias: alias/taken names key", "keys.csv:5: tag:team:"):
        assert told in text
    assert await made(call) == {}

    code, text = await ask(fleet.config, *command(fleet, UNSEEN, "--source", "nowhere"))
    assert (code, "keys.csv:3: alias:" in text) == (1, True), text
    assert "new.toml:4: fleets.new.source: there is no source" in text, "what the config says does not hide the rows"

    code, text = await ask(fleet.config, *command(fleet, UNSEEN, "--only-valid", "--source", "nowhere"))
    assert (code, "with these keys the config would not be valid" in text) == (3, True), text
    code, text = await ask(fleet.config, *command(fleet, UNSEEN, "--only-valid"))
    assert (code, list(await made(call))) == (0, ["alias/good"]), text
    assert text.count("left out") == 3


KINDS = """
[[keys]]
alias = "alias/tokens"
spec = "HMAC_256"

[[keys]]
alias = "alias/invoices"
spec = "RSA_2048"
usage = "SIGN_VERIFY"

[[keys]]
alias = "alias/sessions"
spec = "ECC_NIST_P384"
usage = "KEY_AGREEMENT"
tags = { team = "pay" }
"""


def put_material(directory: Path, name: str, content: bytes) -> None:
    """A file that nobody else can read."""
    file = directory / "material" / f"{name}.key"
    file.touch(mode=0o600)
    file.write_bytes(content)


async def test_keys_of_every_kind_come_to_life(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """From TOML: made for what the manifest says, and imported. Material that does not fit is told before."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    (tmp_path / "keys.toml").write_text(KINDS)
    made_of_it = ("create", "--manifest", str(tmp_path / "keys.toml"), *command(fleet)[3:])
    put_material(tmp_path, "tokens", bytes(31))
    put_material(tmp_path, "invoices", material("RSA_3072"))
    code, text = await ask(fleet.config, *made_of_it)
    assert (code, await made(call)) == (1, {}), text
    for told in (
        "keys.toml:2: material: the source gives 31 bytes; a key of spec HMAC_256 takes 32 bytes (source files: tok",
        "the source gives an RSA_3072 private key (PKCS #8); a key of spec RSA_2048 takes an RSA_2048 private key",
        "sessions.key: No such file or directory",
    ):
        assert told in text

    put_material(tmp_path, "tokens", material("HMAC_256"))
    put_material(tmp_path, "invoices", material("RSA_2048"))
    put_material(tmp_path, "sessions", material("ECC_NIST_P384"))
    code, text = await ask(fleet.config, *made_of_it)
    assert (code, "3 of 3 keys are made" in text) == (0, True), text
    config = fleet.config.read_text().replace("[defaults]", "[defaults]\nprobe = true")
    fleet.config.write_text(config)
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"key_probed"', times=3)
        assert await daemon.end() == 0
    for alias, usage in (("tokens", "GENERATE_VERIFY_MAC"), ("invoices", "SIGN_VERIFY"), ("sessions", "KEY_AGREEMENT")):
        seen = (await call("DescribeKey", KeyId=f"alias/{alias}"))["KeyMetadata"]
        assert (seen["KeyState"], seen["KeyUsage"]) == ("Enabled", usage)


async def test_options_that_make_no_config_are_refused_before_a_key_is_made(
    tmp_path: Path, kms: localkms.Server, call: Call
) -> None:
    """A source that is not there, say: keys that could not come into the config would be forgotten."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    a_manifest(tmp_path, "alias/good,pay")
    code, text = await ask(fleet.config, *command(fleet, "--source", "nope"))
    assert (code, 'there is no source "nope"' in text, await made(call)) == (3, True, {})


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["CreateKey", "CreateAlias"])
async def test_kill_nine_at_every_step(tmp_path: Path, kms: localkms.Server, call: Call, step: str, when: str) -> None:
    """Killed while a call was on its way or its answer was: the next run ends with one key for each row."""
    async with proxying(kms.url) as proxy:
        fleet = write_fleet(tmp_path, endpoint=proxy.url)
        a_manifest(tmp_path, *(f"alias/new-{number},pay" for number in range(3)))
        setattr(proxy, f"hold_{when}", step)
        async with byokd("--config", str(fleet.config), *command(fleet, UNSEEN)) as running:
            await proxy.held.wait()
            await running.end(signal.SIGKILL)
        proxy.release()

        code, text = await ask(fleet.config, *command(fleet, UNSEEN))
    assert (code, "3 of 3 keys are made" in text) == (0, True), text
    assert {alias: len(keys) for alias, keys in (await made(call)).items()} == {
        f"alias/new-{number}": 1 for number in range(3)
    }
    for alias, (key,) in (await made(call)).items():
        assert (await call("DescribeKey", KeyId=alias))["KeyMetadata"]["KeyId"] == key["KeyId"]
