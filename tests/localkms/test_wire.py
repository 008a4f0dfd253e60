"""The wire: what the service model refuses, what is unreadable, who is asking, and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from byokd.localkms import FRIENDLY, Options, serve
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, REGION, Kms, ManualClock, unkeyed
from .rules import rule

FAILED = "failed to satisfy constraint: Member must"

REFUSED_BY_THE_MODEL: dict[str, tuple[str, dict[str, Any], str]] = {
    "a missing member": ("DescribeKey", {}, f"1 validation error detected: Value null at 'keyId' {FAILED} not be null"),
    "null is missing": (
        "DescribeKey",
        {"KeyId": None},
        f"1 validation error detected: Value null at 'keyId' {FAILED} not be null",
    ),
    "an enum": (
        "GetParametersForImport",
        {"KeyId": "k", "WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_1024"},
        f"1 validation error detected: Value 'RSA_1024' at 'wrappingKeySpec' {FAILED} satisfy enum value set: "
        "[RSA_2048, RSA_3072, RSA_4096, SM2]",
    ),
    "too short": (
        "DescribeKey",
        {"KeyId": ""},
        f"1 validation error detected: Value '' at 'keyId' {FAILED} have length greater than or equal to 1",
    ),
    "too long, in a list": (
        "TagResource",
        {"KeyId": "k", "Tags": [{"TagKey": "a", "TagValue": "v" * 257}]},
        f"1 validation error detected: Value '{'v' * 257}' at 'tags.1.member.tagValue' {FAILED} "
        "have length less than or equal to 256",
    ),
    "a blob, not echoed": (
        "Encrypt",
        {"KeyId": "k", "Plaintext": ""},
        f"1 validation error detected: Value at 'plaintext' {FAILED} have length greater than or equal to 1",
    ),
    "a range": (
        "ListKeys",
        {"Limit": 0},
        f"1 validation error detected: Value '0' at 'limit' {FAILED} have value greater than or equal to 1",
    ),
    "a narrower range than the model's": (
        "ScheduleKeyDeletion",
        {"KeyId": "k", "PendingWindowInDays": 31},
        f"1 validation error detected: Value '31' at 'pendingWindowInDays' {FAILED} "
        "have value less than or equal to 30",
    ),
    "a pattern": (
        "CreateAlias",
        {"AliasName": "alias/a b", "TargetKeyId": "k"},
        f"1 validation error detected: Value 'alias/a b' at 'aliasName' {FAILED} "
        "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
    ),
    "two problems at once": (
        "CreateAlias",
        {"AliasName": "a" * 257},
        f"2 validation errors detected: Value '{'a' * 257}' at 'aliasName' {FAILED} have length less than or equal to "
        f"256; Value null at 'targetKeyId' {FAILED} not be null",
    ),
}


@rule("Requests", "service model")
@pytest.mark.parametrize("case", REFUSED_BY_THE_MODEL)
async def test_the_service_model_refuses_in_awss_words(case: str, kms: Kms) -> None:
    """A broken constraint of the service model is a ValidationException worded as AWS words it."""
    operation, members, message = REFUSED_BY_THE_MODEL[case]
    status, answer, _ = await kms.raw(operation, json.dumps(members).encode())
    assert (status, answer) == (400, {"__type": "ValidationException", "message": message})


UNREADABLE: dict[str, tuple[str, bytes]] = {
    "no JSON": ("DescribeKey", b"{"),
    "no object": ("DescribeKey", b"[]"),
    "not UTF-8": ("DescribeKey", b'{"KeyId": "\xff"}'),
    "half a surrogate pair": ("DescribeKey", b'{"KeyId": "\\ud800"}'),
    "too deep": ("DescribeKey", b"[" * 100_000),
    "number for a string": ("DescribeKey", b'{"KeyId": 1}'),
    "object for a string": ("DescribeKey", b'{"KeyId": {}}'),
    "string for a number": ("ListKeys", b'{"Limit": "1"}'),
    "boolean for a number": ("ListKeys", b'{"Limit": true}'),
    "number beyond digits": ("ListKeys", b'{"Limit": ' + b"9" * 5000 + b"}"),
    "string for a boolean": ("CreateKey", b'{"MultiRegion": "yes"}'),
    "string for a list": ("CreateKey", b'{"Tags": "a"}'),
    "string for a map": ("Encrypt", b'{"KeyId": "k", "Plaintext": "eA==", "EncryptionContext": "a"}'),
    "bad base64": ("Encrypt", b'{"KeyId": "k", "Plaintext": "e"}'),
    "base64 that is not ASCII": ("Encrypt", b'{"KeyId": "k", "Plaintext": "\xc3\xa4"}'),
    "an infinite time": (
        "ImportKeyMaterial",
        b'{"KeyId": "k", "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==", "ValidTo": 1e400}',
    ),
    "not a number": (
        "ImportKeyMaterial",
        b'{"KeyId": "k", "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==", "ValidTo": NaN}',
    ),
}


@rule("Requests", "AWS JSON 1.1")
@pytest.mark.parametrize("case", UNREADABLE)
async def test_what_cannot_be_read_is_a_serialization_exception(case: str, kms: Kms) -> None:
    """Broken JSON and wrong JSON types never reach a rule."""
    operation, body = UNREADABLE[case]
    status, answer, _ = await kms.raw(operation, body)
    assert (status, answer["__type"]) == (400, "SerializationException")


@rule("Requests", "AWS JSON 1.1")
async def test_unknown_members_are_passed_over(kms: Kms) -> None:
    """AWS ignores members that it does not know, and so does this."""
    status, answer, _ = await kms.raw("ListKeys", b'{"Unheard": {"of": []}}')
    assert (status, answer) == (200, {"Keys": [], "Truncated": False})


UNKNOWN: dict[str, tuple[str, dict[str, str]]] = {
    "an operation that does not exist": ("POST", {"X-Amz-Target": "TrentService.Nonsense"}),
    "another service": ("POST", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}),
    "no target": ("POST", {"X-Amz-Target": ""}),
    "another content type": ("POST", {"Content-Type": "application/json"}),
    "another method": ("PUT", {}),
    "a look": ("GET", {}),
}


@rule("Requests", "API common errors")
@pytest.mark.parametrize("case", UNKNOWN)
async def test_an_unknown_operation_is_answered_as_such(case: str, kms: Kms) -> None:
    """What is not an operation of KMS, called by POST, gets UnknownOperationException."""
    method, headers = UNKNOWN[case]
    status, answer, _ = await kms.raw("ListKeys", b"{}", headers, method)
    assert (status, answer) == (400, {"__type": "UnknownOperationException"})


async def test_a_body_beyond_a_mebibyte_is_refused(kms: Kms) -> None:
    """The body is limited before it is read."""
    status, answer, _ = await kms.raw("ListKeys", b" " * (1024 * 1024 + 1))
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")


TORN: dict[str, tuple[bytes, bytes]] = {
    "cut off": (b"Content-Length: 100\r\n\r\n{", b""),
    "a broken chunk": (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", b" 400 "),
    "gzip": (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", b" 400 "),
    "not HTTP": (b"\0\r\n\r\n", b" 400 "),
}


@pytest.mark.parametrize("case", TORN)
async def test_a_torn_request_harms_nobody(case: str, kms: Kms, caplog: pytest.LogCaptureFixture) -> None:
    """A request that ends or breaks in the middle gets 400 at most; nothing is logged as our failure, others go on."""
    rest, status = TORN[case]
    host, port = kms.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    signature = "".join(f"{name}: {value}\r\n" for name, value in unkeyed(kms.clock.now()).items())
    writer.write(
        b"POST / HTTP/1.1\r\nHost: kms\r\nX-Amz-Target: TrentService.ListKeys\r\n"
        b"Content-Type: application/x-amz-json-1.1\r\n" + signature.encode() + rest
    )
    if not status:
        writer.write_eof()
    try:
        assert status in await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()
    assert (await kms.call("list_keys"))["Keys"] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@rule("Requests", "AWS JSON 1.1")
async def test_every_answer_tells_request_id_type_and_the_servers_own_date(kms: Kms) -> None:
    """Good and bad answers alike carry the headers that clients read."""
    for body in (b"{}", b"{"):
        _, _, headers = await kms.raw("ListKeys", body)
        assert len(headers["x-amzn-RequestId"]) == 36
        assert headers["Content-Type"] == "application/x-amz-json-1.1"
        assert headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"


@rule("Requests", "service model")
async def test_an_operation_without_an_answer_has_an_empty_body(kms: Kms) -> None:
    """EnableKey and its like answer nothing, not an empty object."""
    key = await kms.create_key(Origin="AWS_KMS")
    status, answer, headers = await kms.raw("EnableKey", json.dumps({"KeyId": key}).encode())
    assert (status, answer, headers["Content-Length"]) == (200, None, "0")


@rule("Names, aliases and tags", "API, throughout")
async def test_accounts_and_regions_are_worlds_apart(kms: Kms) -> None:
    """A key belongs to the account and Region of its creator; others neither list nor find it."""
    key = await kms.create_key()
    elsewhere = Kms(kms.url, kms.clock, region="us-east-1")
    stranger = Kms(kms.url, kms.clock, account="444455556666")
    assert key.startswith(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/")
    for other in (elsewhere, stranger):
        assert (await other.call("list_keys"))["Keys"] == []
        assert (await other.refused("describe_key", KeyId=key.rpartition("/")[2])).code == "NotFoundException"


async def test_other_access_keys_belong_to_the_default_account(clock: ManualClock, wrapping_keys: WrappingKeys) -> None:
    """An access key id that is not 12 digits means the account of the options."""
    options = Options(clock=clock, pool=wrapping_keys, account="999900001111", hostility=FRIENDLY)
    async with serve(options) as server:
        key = await Kms(server.url, clock, account="AKIAIOSFODNN7EXAMPLE", region="cn-north-1").create_key()
    assert key.startswith("arn:aws-cn:kms:cn-north-1:999900001111:key/")
