"""What AWS tells the world: events to a webhook and a queue, the trail of calls, and metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from byokd.localkms import FRIENDLY, Options, Outlets, serve
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, Material, MaterialState, Origin
from byokd.localkms.outlets.metrics import Tally, page
from byokd.localkms.outlets.trail import Trail
from byokd.localkms.persistence import open_journal
from byokd.localkms.signatures import Caller
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, DAY, MATERIAL, OTHER_MATERIAL, REGION, START, Kms, ManualClock
from .rules import rule


@dataclass
class Receiver:
    """Somebody out there who is told things by POST, and fails as often as it is asked to."""

    url: str = ""
    failures: int = 0
    heard: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    refused: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Note what comes in."""
        body = await request.json()
        if self.failures:
            self.failures -= 1
            self.refused += 1
            return web.Response(status=503)
        self.heard.append((dict(request.headers), body))
        self.news.set()
        return web.Response()

    async def next(self, count: int) -> list[Any]:
        """The bodies heard, once there are so many."""
        while len(self.heard) < count:
            self.news.clear()
            await self.news.wait()
        return [body for _, body in self.heard]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    it = Receiver()
    runner = web.ServerRunner(web.Server(it.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield it
    await runner.cleanup()


@asynccontextmanager
async def telling(
    clock: ManualClock, pool: WrappingKeys, *, state: Path | None = None, hostile: Any = None, **outlets: Any
) -> AsyncIterator[Kms]:
    """A local KMS that tells the world."""
    hostility = replace(FRIENDLY, **(hostile or {}))
    options = Options(clock=clock, pool=pool, state=state, hostility=hostility, outlets=Outlets(**outlets))
    async with serve(options) as server:
        yield Kms(server.url, clock)


@rule("What AWS tells the world", "guide kms-events")
async def test_an_expiry_is_told_as_eventbridge_tells_it(
    clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver
) -> None:
    """The event has the developer guide's members and no others, and comes without anybody asking for the key."""
    async with telling(clock, wrapping_keys, webhook=receiver.url) as kms:
        key = await kms.create_key()
        await kms.import_material(key, MATERIAL, valid_for=DAY)
        await clock.someone_asleep()
        clock.advance(DAY)
        (event,) = await receiver.next(1)
    assert len(event.pop("id")) == 36
    assert event == {
        "version": "0",
        "detail-type": "KMS Imported Key Material Expiration",
        "source": "aws.kms",
        "account": ACCOUNT,
        "time": "2027-01-16T08:00:00Z",
        "region": REGION,
        "resources": [key],
        "detail": {"key-id": key.rpartition("/")[2]},
    }


async def test_what_lapsed_while_down_is_told_at_the_start(
    clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver, tmp_path: Path
) -> None:
    """A server that was down at ValidTo deletes the material when it is back, and tells of it then."""
    state = tmp_path / "kms.db"
    async with telling(clock, wrapping_keys, state=state) as kms:
        key = await kms.create_key()
        await kms.import_material(key, MATERIAL, valid_for=DAY)
    clock.advance(3 * DAY)
    async with telling(clock, wrapping_keys, state=state, webhook=receiver.url):
        (event,) = await receiver.next(1)
    assert event["resources"] == [key]


async def test_a_webhook_that_fails_is_tried_again(
    clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver
) -> None:
    """A 503 is not the end of an event, and the server answers others meanwhile."""
    receiver.failures = 1
    async with telling(clock, wrapping_keys, webhook=receiver.url) as kms:
        key = await kms.create_key()
        await kms.import_material(key, MATERIAL, valid_for=DAY)
        clock.advance(DAY)
        assert await kms.state(key) == "PendingImport"
        assert len(await receiver.next(1)) == 1
    assert receiver.refused == 1


async def test_nobody_listening_costs_no_request(
    clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver
) -> None:
    """A webhook that never answers well delays neither requests nor the end of the server."""
    receiver.failures = 10**6
    async with asyncio.timeout(5), telling(clock, wrapping_keys, webhook=receiver.url) as kms:
        for _ in range(3):
            key = await kms.create_key()
            await kms.import_material(key, MATERIAL, valid_for=DAY)
            clock.advance(DAY)
            assert await kms.state(key) == "PendingImport"


QUEUES: dict[str, tuple[str, set[str]]] = {
    "a standard queue": ("/111122223333/expiries", {"QueueUrl", "MessageBody"}),
    "a FIFO queue": (
        "/111122223333/expiries.fifo",
        {"QueueUrl", "MessageBody", "MessageGroupId", "MessageDeduplicationId"},
    ),
}


@pytest.mark.parametrize("case", QUEUES)
async def test_an_expiry_reaches_a_queue(
    case: str, clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver
) -> None:
    """SendMessage in SQS's JSON protocol, signed for the event's Region, its body the event."""
    path, members = QUEUES[case]
    async with telling(clock, wrapping_keys, sqs_queue=receiver.url + path) as kms:
        key = await kms.create_key()
        await kms.import_material(key, MATERIAL, valid_for=DAY)
        clock.advance(DAY)
        await kms.state(key)
        (message,) = await receiver.next(1)
    headers, _ = receiver.heard[0]
    assert headers["X-Amz-Target"] == "AmazonSQS.SendMessage"
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert f"/{REGION}/sqs/aws4_request" in headers["Authorization"]
    assert set(message) == members
    assert message["QueueUrl"] == receiver.url + path
    assert json.loads(message["MessageBody"])["resources"] == [key]


@rule("What AWS tells the world", "guide kms-events, ct-delete-key")
async def test_a_deleted_key_is_told(
    clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver, tmp_path: Path
) -> None:
    """The end of a key's waiting period is KMS CMK Deletion to EventBridge, and DeleteKey to CloudTrail."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, webhook=receiver.url, trail=trail) as kms:
        key = await kms.create_key()
        await kms.call("schedule_key_deletion", KeyId=key, PendingWindowInDays=7)
        await clock.someone_asleep()
        clock.advance(7 * DAY)
        (event,) = await receiver.next(1)
    assert (event["detail-type"], event["resources"]) == ("KMS CMK Deletion", [key])
    record = lines(trail)[-1]
    assert (record["eventName"], record["eventType"]) == ("DeleteKey", "AwsServiceEvent")
    assert record["resources"][0]["ARN"] == key


@rule("What AWS tells the world", "guide kms-events, ct-rotatekey")
async def test_a_rotation_is_told(
    clock: ManualClock, wrapping_keys: WrappingKeys, receiver: Receiver, tmp_path: Path
) -> None:
    """A rotation is KMS CMK Rotation to EventBridge and RotateKey to CloudTrail, with the materials around it."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, webhook=receiver.url, trail=trail) as kms:
        key = await kms.create_key()
        first = await kms.import_material(key, MATERIAL)
        second = await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
        await kms.call("rotate_key_on_demand", KeyId=key)
        clock.advance(DAY)  # a rotation goes on in the background
        await kms.state(key)
        (event,) = await receiver.next(1)
    assert event["detail-type"] == "KMS CMK Rotation"
    assert event["detail"] == {
        "key-id": key.rpartition("/")[2],
        "key-origin": "EXTERNAL",
        "rotation-type": "ON_DEMAND",
        "previous-key-material-id": first,
        "current-key-material-id": second,
    }
    (record,) = [each for each in lines(trail) if each["eventName"] == "RotateKey"]
    assert (record["eventType"], record["userIdentity"]["invokedBy"]) == ("AwsServiceEvent", "AWS Internal")
    assert record["serviceEventDetails"] == {
        "rotationType": "ON_DEMAND",
        "keyOrigin": "EXTERNAL",
        "previousKeyMaterialId": first,
        "currentKeyMaterialId": second,
        "keyId": key.rpartition("/")[2],
    }


async def test_the_trail_names_the_account_as_its_partition_does(
    clock: ManualClock, wrapping_keys: WrappingKeys, tmp_path: Path
) -> None:
    """Who called from a China Region is `arn:aws-cn:iam::…`; it was once told as if of another partition."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, trail=trail) as kms:
        await Kms(kms.url, clock, region="cn-north-1").create_key()
    (record,) = lines(trail)
    assert record["userIdentity"]["arn"] == f"arn:aws-cn:iam::{ACCOUNT}:root"


def lines(path: Path) -> list[dict[str, Any]]:
    """The trail's records."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@rule("What AWS tells the world", "guide logging-using-cloudtrail")
async def test_the_trail_has_every_call(clock: ManualClock, wrapping_keys: WrappingKeys, tmp_path: Path) -> None:
    """One record a call, in order, each with its request id, its key, and how it ended."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, trail=trail) as kms:
        key = await kms.create_key(Description="books")
        await kms.import_material(key, MATERIAL, valid_for=DAY)
        blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"x", EncryptionContext={"a": "b"}))["CiphertextBlob"]
        clock.advance(DAY)
        await kms.refused("decrypt", CiphertextBlob=blob, KeyId=key)
        answer = await kms.call("describe_key", KeyId=key)
    records = lines(trail)
    assert [each["eventName"] for each in records] == [
        "CreateKey",
        "GetParametersForImport",
        "ImportKeyMaterial",
        "Encrypt",
        "DeleteExpiredKeyMaterial",
        "Decrypt",
        "DescribeKey",
    ]
    create, _, importing, encrypt, expiry, decrypt, describe = records
    assert create["responseElements"]["keyMetadata"]["creationDate"] == "Jan 15, 2027, 8:00:00 AM"
    assert importing["requestParameters"] == {"keyId": key, "validTo": "Jan 16, 2027, 8:00:00 AM"}
    assert importing["responseElements"]["keyId"] == key
    assert encrypt["requestParameters"] == {"keyId": key, "encryptionContext": {"a": "b"}}
    assert (encrypt["readOnly"], encrypt["responseElements"]) == (True, None)
    assert (expiry["eventType"], expiry["serviceEventDetails"]["keyId"]) == ("AwsServiceEvent", key.rpartition("/")[2])
    assert len(expiry["serviceEventDetails"]["keyMaterialId"]) == 64
    assert (decrypt["errorCode"], decrypt["errorMessage"]) == ("KMSInvalidStateException", f"{key} is pending import.")
    assert describe["requestID"] == answer["ResponseMetadata"]["RequestId"]
    for each in records:
        assert each["resources"] == [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}]
        assert (each["awsRegion"], each["recipientAccountId"]) == (REGION, ACCOUNT)
    assert trail.stat().st_mode & 0o777 == 0o600


@rule("What AWS tells the world", "guide logging-using-cloudtrail")
async def test_the_trail_holds_no_secrets(clock: ManualClock, wrapping_keys: WrappingKeys, tmp_path: Path) -> None:
    """Neither plaintext nor wrapped material, tokens, ciphertexts or grant tokens stand in it in any encoding."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, trail=trail) as kms:
        key = await kms.create_key()
        await kms.import_material(key, MATERIAL)
        blob = await kms.call("encrypt", KeyId=key, Plaintext=OTHER_MATERIAL, GrantTokens=["opensesame"])
        await kms.call("decrypt", CiphertextBlob=blob["CiphertextBlob"])
        await kms.call("generate_data_key", KeyId=key, KeySpec="AES_256")
    told = {name.lower() for each in lines(trail) for name in each["requestParameters"] or {}}
    assert told <= {"keyid", "origin", "wrappingalgorithm", "wrappingkeyspec", "expirationmodel", "keyspec"}
    assert "opensesame" not in trail.read_text()


async def test_the_trail_names_what_hostility_broke(
    clock: ManualClock, wrapping_keys: WrappingKeys, tmp_path: Path
) -> None:
    """A call whose answer was dropped stands in the trail with its mishap; one dropped before never was a call."""
    trail = tmp_path / "trail.jsonl"
    for rate in ("drop_before_rate", "drop_after_rate"):
        async with telling(clock, wrapping_keys, trail=trail, hostile={rate: 1.0}) as kms:
            with pytest.raises(Exception, match="Connection was closed"):
                await kms.call("create_key")
    (record,) = lines(trail)
    assert (record["eventName"], record["additionalEventData"]) == ("CreateKey", {"mishap": "drop_after"})


TIME_LEFT = "aws_kms_seconds_until_key_material_expiration"


@rule("What AWS tells the world", "guide monitoring-cloudwatch")
@pytest.mark.parametrize("openmetrics", [True, False])
def test_the_time_left_is_a_metric(openmetrics: bool) -> None:
    """Each key with material that expires shows the seconds until its earliest does; others show none."""
    keyring = Keyring(open_journal(None))
    owner = Caller(ACCOUNT, REGION)
    for name, expiries in {"two": (START + 50.0, START + 20.5), "late": (START - 5.0,), "never": (None,)}.items():
        materials = tuple(
            Material(id="00", state=MaterialState.NON_CURRENT, secret=bytes(32), expires_at=expiry)
            for expiry in expiries
        )
        keyring.put(Key(id=name, owner=owner, origin=Origin.EXTERNAL, created_at=START, materials=materials))
    tally = Tally()
    tally.requests["DescribeKey", "ThrottlingException"] += 3
    text = page(keyring, tally, START, openmetrics=openmetrics)
    labels = f'account="{ACCOUNT}",region="{REGION}"'
    assert [line for line in text.splitlines() if line.startswith(TIME_LEFT)] == [
        f'{TIME_LEFT}{{{labels},key_id="two"}} 20.500',
        f'{TIME_LEFT}{{{labels},key_id="late"}} 0.000',
    ]
    assert 'localkms_requests_total{operation="DescribeKey",error="ThrottlingException"} 3' in text
    named = "localkms_requests" if openmetrics else "localkms_requests_total"
    assert f"# TYPE {named} counter" in text
    assert text.endswith("# EOF\n") == openmetrics


async def test_a_date_beyond_the_calendar_is_told(
    clock: ManualClock, wrapping_keys: WrappingKeys, tmp_path: Path
) -> None:
    """A ValidTo that no calendar has is refused and on the trail: it once ended the connection without an answer."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, trail=trail) as kms:
        body = b'{"KeyId": "k", "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==", "ValidTo": 1e300}'
        status, answer, _ = await kms.raw("ImportKeyMaterial", body)
    assert (status, answer["__type"]) == (400, "NotFoundException")
    (record,) = lines(trail)
    assert record["requestParameters"] == {"keyId": "k", "validTo": "1e+300"}


async def test_the_trail_blames_no_mishap_that_did_not_come_to_pass(
    clock: ManualClock, wrapping_keys: WrappingKeys, tmp_path: Path
) -> None:
    """A call that was refused has no answer for an error to replace: it once looked as if it had been applied."""
    trail = tmp_path / "trail.jsonl"
    async with telling(clock, wrapping_keys, trail=trail, hostile={"error_after_rate": 1.0}) as kms:
        assert (await kms.refused("describe_key", KeyId="nonsense")).code == "NotFoundException"
    (record,) = lines(trail)
    assert record["errorCode"] == "NotFoundException"
    assert "additionalEventData" not in record


def test_a_full_trail_begins_anew(tmp_path: Path) -> None:
    """Beyond its size the trail moves aside, once; no more than twice the size is ever kept."""
    path = tmp_path / "trail.jsonl"
    trail = Trail(path, 65_536)
    for number in range(3000):
        trail.write({"n": number, "filler": "x" * 80})
    trail.close()
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == ["trail.jsonl", "trail.jsonl.1"]
    assert all(each.stat().st_size <= 65_536 for each in kept)
    assert lines(path)[-1]["n"] == 2999


UNUSABLE: dict[str, dict[str, Any]] = {
    "a webhook without a scheme": {"webhook": "example.org/hook"},
    "a queue by its name": {"sqs_queue": "expiries"},
    "a trail of a few bytes": {"trail_max_bytes": 10},
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_outlet_that_can_not_be_used_is_refused(case: str) -> None:
    """What cannot be meant is a ValueError that names the setting."""
    with pytest.raises(ValueError, match=next(iter(UNUSABLE[case]))):
        Outlets(**UNUSABLE[case])
