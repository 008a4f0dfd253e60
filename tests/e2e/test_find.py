"""`byokd find` as a process, against a local KMS over HTTP: what people see of a lane that nobody wrote down."""

from __future__ import annotations

import base64
import csv
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from byokd import localkms
from byokd.facts.key import WrappingAlgorithm
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from tests.e2e.conftest import Call, make_key
from tests.kit.process import ask, ask_json, byokd, write_fleet

pytestmark = pytest.mark.timeout(90)


async def an_estate(call: Call) -> dict[str, str]:
    """Keys by what is special about them."""
    made = {name: await make_key(call, f"alias/{name}") for name in ("payments", "orphan", "other")}
    made["bare"] = (await call("CreateKey", Origin="EXTERNAL"))["KeyMetadata"]["Arn"]
    made["aws"] = (await call("CreateKey"))["KeyMetadata"]["Arn"]
    await call("TagResource", KeyId=made["orphan"], Tags=[{"TagKey": "team", "TagValue": "books"}])
    return made


async def test_keys_that_nobody_wrote_down_are_found(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """The config names one key by its alias; the others are found beside it, and what is not there is missing."""
    made = await an_estate(call)
    fleet = write_fleet(tmp_path, endpoint=kms.url, aliases=("alias/payments", "alias/nowhere"))

    (lane,) = (await ask_json(fleet.config, "find"))["lanes"]
    assert {key["arn"]: key["fleet"] for key in lane["keys"]} == {
        made["payments"]: "payments",
        made["orphan"]: None,
        made["other"]: None,
        made["bare"]: None,
    }
    assert (lane["looked_at"], lane["missing"]) == (5, ["alias/nowhere"])

    (lane,) = (await ask_json(fleet.config, "find", "--unmanaged", "--tag", "team=books", "alias/o*"))["lanes"]
    assert [(key["aliases"], key["tags"]) for key in lane["keys"]] == [(["alias/orphan"], {"team": "books"})]


async def test_the_list_as_people_and_spreadsheets_get_it(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """Off a terminal whole ARNs in plain lines; CSV with one row for each key."""
    made = await an_estate(call)
    await bring_in(call, made["other"], datetime.now(UTC) + timedelta(days=20, hours=1))
    fleet = write_fleet(tmp_path, endpoint=kms.url)

    code, text = await ask(fleet.config, "find")
    first, second, *_ = text.splitlines()
    assert (code, first.split()[:3]) == (0, ["KEY", "ALIAS", "STATE"])
    assert second.split()[:3] == [made["other"], "alias/other", "Enabled"]
    assert "20 d" in second
    code, text = await ask(fleet.config, "find", "--csv", "--tags")
    rows = list(csv.DictReader(text.splitlines()))
    assert (code, len(rows), rows[0]["arn"]) == (0, 4, made["other"])
    assert {row["arn"]: row["tags"] for row in rows}[made["orphan"]] == "team=books"


async def test_a_lane_that_cannot_be_searched_is_told(tmp_path: Path) -> None:
    """Without credentials, or without such a lane, the exit code says so: no empty list pretends that all is well."""
    fleet = write_fleet(tmp_path, endpoint="http://127.0.0.1:1")
    code, text = await ask(fleet.config, "find", "--lane", "nobody")
    assert (code, "there is no lane 'nobody'" in text) == (1, True)
    async with byokd("--config", str(fleet.config), "find", environment={"AWS_ACCESS_KEY_ID": ""}) as running:
        assert await running.process.wait() == 1
    assert "byokd: lane test (http://127.0.0.1:1): " in running.lines[0]
    assert "No keys." not in running.lines


async def bring_in(call: Call, arn: str, valid_to: datetime) -> None:
    """Import material by hand, as somebody did long ago."""
    terms: dict[str, Any] = await call(
        "GetParametersForImport", KeyId=arn, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    with Secret(bytearray(os.urandom(32))) as secret:
        blob = wrap(
            secret,
            public_key=base64.b64decode(terms["PublicKey"]),
            algorithm=WrappingAlgorithm.OAEP_SHA_256,
        )
    await call(
        "ImportKeyMaterial",
        KeyId=arn,
        ImportToken=terms["ImportToken"],
        EncryptedKeyMaterial=base64.b64encode(blob).decode(),
        ValidTo=valid_to.timestamp(),
    )


async def test_the_daemon_tells_of_keys_that_nobody_manages(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """A lane with `discover_every` is searched at the start, and a deadline that is near is critical."""
    made = await an_estate(call)
    await bring_in(call, made["other"], datetime.now(UTC) + timedelta(days=2))
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    text = fleet.config.read_text()
    fleet.config.write_text(text.replace("[lanes.test]", '[lanes.test]\ndiscover_every = "1h"'))
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"surveyed"')
        await daemon.line("unmanaged_keys")
        (found,) = (await ask_json(fleet.config, "status"))["conditions"]
        assert await daemon.end() == 0
    assert (found["kind"], found["severity"], found["subject"]) == (
        "unmanaged_keys",
        "critical",
        "lane:111122223333/eu-central-1",
    )
    assert "3 keys with imported material are in no fleet" in found["detail"]


@pytest.mark.parametrize("name", ["conf.d/found.toml", "found.csv"])
async def test_adopted_keys_come_to_life(tmp_path: Path, kms: localkms.Server, call: Call, name: str) -> None:
    """From a key that nobody wrote down to one that the daemon imports: find, adopt, check, run."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    material = tmp_path / "material" / "orphan.key"
    material.touch(mode=0o600)
    material.write_bytes(os.urandom(32))
    arn = await make_key(call, "alias/orphan")
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    dry = ("adopt", "alias/orphan", "--fleet", "found", "--material", "{alias}.key")

    before = sorted(tmp_path.rglob("*"))
    document = await ask_json(fleet.config, *dry, *(["--csv"] if file.suffix == ".csv" else []))
    assert (document["keys"], document["written"], sorted(tmp_path.rglob("*"))) == (1, None, before)
    code, text = await ask(fleet.config, *dry, "--write", str(file))
    assert (code, file.read_text()) == (0, document["text"]), text
    if file.suffix == ".csv":
        fleet.config.write_text(fleet.config.read_text() + f'\n[fleets.found]\nkeys_csv = "{file}"\n')

    assert (await ask(fleet.config, "config", "check"))[0] == 0
    assert (await ask(fleet.config, *dry))[1].startswith("byokd: no key without a fleet was found")
    async with byokd("--config", str(fleet.config), "run") as daemon:
        assert arn in await daemon.line('"import_done"')
        assert await daemon.end() == 0
    assert (await call("DescribeKey", KeyId=arn))["KeyMetadata"]["KeyState"] == "Enabled"


async def test_a_lane_that_cannot_be_reached_hides_no_other(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """It is told with its endpoint, within seconds, and the rest is listed; the exit code says that it is not all."""
    arn = await make_key(call, "alias/orphan")
    nobody = """
[lanes.away]
account = "111122223333"
region = "us-east-1"
endpoint = "http://127.0.0.1:9"

[lanes.inside]
account = "111122223333"
region = "eu-west-1"
endpoint = "local"

[local_kms]
"""
    fleet = write_fleet(tmp_path, endpoint=kms.url, extra=nobody)
    begin = time.monotonic()
    code, text = await ask(fleet.config, "find")
    assert (code, arn in text) == (1, True)
    assert "byokd: lane away (http://127.0.0.1:9): List" in text
    assert "byokd: lane inside (local): lane inside is the KMS inside the daemon" in text
    assert time.monotonic() - begin < 20

    code, text = await ask(fleet.config, "find", "--json")
    document = json.loads(text[text.index("{") :])
    assert [each["name"] for each in document["failed"]] == ["away", "inside"]

    code, text = await ask(fleet.config, "adopt", "alias/orphan")
    assert (code, f'key = "{arn}"' in text) == (1, True), text
    file = tmp_path / "found.toml"
    code, text = await ask(fleet.config, "adopt", "alias/orphan", "--write", str(file))
    assert (code, file.exists()) == (1, False), text
    assert "byokd: nothing was written: not every lane could be searched." in text
    code, text = await ask(fleet.config, "adopt", "alias/orphan", "--lane", "test", "--write", str(file))
    assert (code, file.exists()) == (0, True), text
