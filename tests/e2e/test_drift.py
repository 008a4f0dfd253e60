"""`byokd drift` end to end: a daemon, a local KMS over HTTP, and people who change things behind its back."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd import localkms
from tests.e2e.conftest import Call, make_key
from tests.kit.process import ask, ask_json, byokd, write_fleet

pytestmark = pytest.mark.timeout(90)


async def test_what_people_change_is_told(tmp_path: Path, kms: localkms.Server, key: str, call: Call) -> None:
    """An alias that was moved, tags that were changed, and a key that left the config; a key in order is not named."""
    other = await make_key(call, "alias/second")
    await make_key(call, "alias/third")
    aliases = ("alias/payments", "alias/second", "alias/third")
    fleet = write_fleet(tmp_path, endpoint=kms.url, aliases=aliases)
    manifest = tmp_path / "keys.csv"
    (tmp_path / "policy.json").write_text('{"Version": "2012-10-17", "Statement": []}')
    manifest.write_text("alias,description,policy,tag:team\nalias/third,Third,policy.json,books\nalias/fourth,,,\n")
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"', times=3)
        quiet = await ask_json(fleet.config, "drift")
        await call("UpdateAlias", AliasName="alias/payments", TargetKeyId=other)
        write_fleet(tmp_path, endpoint=kms.url, aliases=aliases[:1] + aliases[2:])
        await ask(fleet.config, "import", "alias/payments")  # which makes byokd look
        await daemon.line('"import_done"', times=4)
        assert await daemon.end() == 0
    async with byokd("--config", str(fleet.config), "run") as daemon:  # which takes the config over
        await daemon.line('"ready"')
        told = await ask_json(fleet.config, "drift", "--manifest", str(manifest))
        code, _ = await ask(fleet.config, "drift", "--check")
        assert await daemon.end() == 0

    assert (quiet["differences"], quiet["drift"]) == (0, [])
    assert {(each["kind"], each["subject"].rpartition("/")[2]) for each in told["drift"]} == {
        ("alias_moved", "payments"),
        ("left_config", "second"),
        ("manifest", "third"),
        ("manifest", "fourth"),
    }
    assert code == 6
    third = [each["detail"] for each in told["drift"] if each["subject"] == "alias/third"]
    assert third == [
        "its description is '', and was to be 'Third'",
        "its key policy says something else than the manifest's",
        "it has no tag team, which was to be 'books'",
    ]
