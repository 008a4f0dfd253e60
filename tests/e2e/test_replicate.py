"""`byokd replicate` as a process, against a local KMS over HTTP: what the config wants, once in each Region."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import boto3
import pytest

from byokd import localkms
from tests.kit.process import Fleet, ask, ask_json, byokd, write_fleet
from tests.kit.proxy import proxying

pytestmark = pytest.mark.timeout(90)

HOME, AWAY = "eu-central-1", ("us-east-1", "eu-west-1")


class People:
    """Whoever asks the KMS itself, in any Region."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, operation: str, region: str = HOME, **members: Any) -> dict[str, Any]:
        client = boto3.client(
            "kms",
            endpoint_url=self._url,
            region_name=region,
            aws_access_key_id="111122223333",
            aws_secret_access_key="none",
        )
        return dict(getattr(client, operation)(**members))

    async def __call__(self, operation: str, region: str = HOME, **members: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self.call, operation, region, **members)


@pytest.fixture
def people(kms: localkms.Server) -> People:
    return People(kms.url)


def lanes(url: str) -> str:
    """Two more lanes at an endpoint."""
    return "".join(
        f"""
[lanes.{region}]
account = "111122223333"
region = "{region}"
endpoint = "{url}"
[lanes.{region}.quotas]
GetParametersForImport = {{ per_second = 100.0, burst = 10.0 }}
"""
        for region in AWAY
    )


def wanting(directory: Path, url: str, *names: str, replicas: tuple[str, ...] = AWAY) -> Fleet:
    """A config whose keys are to have replicas."""
    wanted = json.dumps(list(replicas))
    entries = "".join(
        f'\n[[fleets.payments.keys]]\nkey = "{name}"\nmaterial = "payments.key"\nreplicas = {wanted}\n'
        for name in names
    )
    fleet = write_fleet(directory, endpoint=url, aliases=(), extra=entries + lanes(url))
    file = directory / "material" / "payments.key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(os.urandom(32))
    return fleet


async def a_primary(people: People, alias: str = "alias/payments", **members: Any) -> str:
    """A multi-Region key without material."""
    made = await people("create_key", Origin="EXTERNAL", **({"MultiRegion": True} | members))
    arn: str = made["KeyMetadata"]["Arn"]
    await people("create_alias", AliasName=alias, TargetKeyId=arn)
    return arn


async def family(people: People, arn: str) -> list[str]:
    """Regions of the replicas that KMS lists."""
    told = (await people("describe_key", KeyId=arn))["KeyMetadata"]
    return [each["Region"] for each in told["MultiRegionConfiguration"]["ReplicaKeys"]]


async def test_from_a_line_of_config_to_a_family_with_material(
    tmp_path: Path, kms: localkms.Server, people: People
) -> None:
    """The primary gets its material first; then its replicas are made, and the daemon imports into them by itself."""
    arn = await a_primary(people)
    fleet = wanting(tmp_path, kms.url, arn)
    code, text = await ask(fleet.config, "replicate")
    assert code == 1
    assert "is PendingImport: a primary can be replicated once it is Enabled" in text

    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"')
        code, text = await ask(fleet.config, "replicate", "--dry-run")
        assert (code, await family(people, arn)) == (0, []), text
        assert text.endswith("2 replicas are wanted: 2 to make")

        code, text = await ask(fleet.config, "replicate")
        assert (code, text.splitlines()[-1]) == (0, "2 replicas are wanted: 2 made")
        assert await family(people, arn) == sorted(AWAY)
        await daemon.line('"import_done"', times=3)
        assert await daemon.end() == 0
    for region in AWAY:
        seen = (await people("describe_key", region, KeyId=arn.replace(HOME, region)))["KeyMetadata"]
        assert seen["KeyState"] == "Enabled"

    answer = await ask_json(fleet.config, "replicate")
    assert [each["outcome"] for each in answer["replicas"]] == ["there", "there"]


POLICY = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Only", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:role/admin"}, "Action": "kms:*",
     "Resource": "*"}
  ]
}"""


async def test_a_replica_is_as_guarded_as_its_primary(tmp_path: Path, kms: localkms.Server, people: People) -> None:
    """KMS gives it the default policy, no tags and no description; byokd gives it the primary's. --bare takes KMS's."""
    tags = [{"TagKey": "team", "TagValue": "pay"}, {"TagKey": "byokd:created-as", "TagValue": "alias/payments"}]
    arn = await a_primary(
        people, Policy=POLICY, Description="Card data", Tags=tags, BypassPolicyLockoutSafetyCheck=True
    )
    await imported(people, arn, wanting(tmp_path, kms.url, "alias/payments", replicas=AWAY[:1]))
    fleet = wanting(tmp_path, kms.url, "alias/payments", replicas=AWAY[:1])
    assert (await ask(fleet.config, "replicate"))[0] == 0
    wanting(tmp_path, kms.url, "alias/payments")
    assert (await ask(fleet.config, "replicate", "--bare"))[0] == 0
    carried = {}
    for region in AWAY:
        replica = arn.replace(HOME, region)
        policy = (await people("get_key_policy", region, KeyId=replica))["Policy"]
        listed = (await people("list_resource_tags", region, KeyId=replica))["Tags"]
        told = (await people("describe_key", region, KeyId=replica))["KeyMetadata"]["Description"]
        carried[region] = (json.loads(policy) == json.loads(POLICY), told, listed)
    assert carried == {AWAY[0]: (True, "Card data", tags[:1]), AWAY[1]: (False, "", [])}


async def test_a_manifest_names_replicas(tmp_path: Path, kms: localkms.Server, people: People) -> None:
    """`create` makes the primary and writes down what is wanted; with its material in, `replicate` makes the rest."""
    (tmp_path / "keys.csv").write_text("alias,replicas\nalias/payments,us-east-1|eu-west-1\nalias/plain,\n")
    fleet = wanting(tmp_path, kms.url)
    (tmp_path / "material" / "plain.key").touch(mode=0o600)
    (tmp_path / "material" / "plain.key").write_bytes(os.urandom(32))
    (tmp_path / "conf.d").mkdir()
    written = tmp_path / "conf.d" / "new.toml"
    command = ("create", "--manifest", str(tmp_path / "keys.csv"), "--write", str(written), "--lane", "test")
    code, text = await ask(fleet.config, *command)
    assert (code, text.splitlines()[-1]) == (0, "Then, with their material in: byokd replicate, for 2 replicas.")

    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"', times=2)
        code, text = await ask(fleet.config, "replicate")
        assert (code, text.splitlines()[-1]) == (0, "2 replicas are wanted: 2 made")
        await daemon.line('"import_done"', times=4)
        assert await daemon.end() == 0


async def imported(people: People, arn: str, fleet: Fleet) -> None:
    """The daemon has given the primary its material."""
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"')
        assert await daemon.end() == 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["ReplicateKey", "CreateAlias"])
async def test_kill_nine_at_every_step(
    tmp_path: Path, kms: localkms.Server, people: People, step: str, when: str
) -> None:
    """Killed while a call was on its way or its answer was: the next run ends with a named replica in each Region."""
    arn = await a_primary(people)
    await imported(people, arn, wanting(tmp_path, kms.url, "alias/payments", replicas=AWAY[:1]))
    async with proxying(kms.url) as proxy:
        fleet = wanting(tmp_path, proxy.url, "alias/payments")
        setattr(proxy, f"hold_{when}", step)
        async with byokd("--config", str(fleet.config), "replicate") as running:
            await proxy.held.wait()
            await running.end(signal.SIGKILL)
        proxy.release()
        code, text = await ask(fleet.config, "replicate")
    assert code == 0, text
    assert await family(people, arn) == sorted(AWAY)
    for region in AWAY:
        seen = (await people("describe_key", region, KeyId="alias/payments"))["KeyMetadata"]
        assert seen["Arn"] == arn.replace(HOME, region)


async def test_what_cannot_be_replicated_is_told_and_stops_no_other(
    tmp_path: Path, kms: localkms.Server, people: People
) -> None:
    """A key of a single Region, a key that is not there, and an alias that names another key already."""
    good = await a_primary(people)
    await a_primary(people, "alias/single", MultiRegion=False)
    other = (await people("create_key", AWAY[0], Origin="EXTERNAL"))["KeyMetadata"]["KeyId"]
    await people("create_alias", AWAY[0], AliasName="alias/payments", TargetKeyId=other)
    await imported(people, good, wanting(tmp_path, kms.url, "alias/payments", replicas=AWAY[1:]))
    fleet = wanting(tmp_path, kms.url, "alias/single", "alias/nowhere", "alias/payments")
    code, text = await ask(fleet.config, "replicate")
    assert code == 1
    assert "alias/single in 111122223333/us-east-1: " in text
    assert "is a key of a single Region" in text
    assert "alias/nowhere in 111122223333/us-east-1: DescribeKey: NotFoundException" in text
    assert "alias/payments in 111122223333/us-east-1: CreateAlias: AlreadyExistsException" in text
    assert f"made: alias/payments in 111122223333/eu-west-1: {good.replace(HOME, AWAY[1])}" in text
    assert text.count("not made: ") == 5

    code, text = await ask(fleet.config, "replicate", "alias/payment")
    assert (code, "the config wants no replicas of alias/payment" in text) != (0, False)
