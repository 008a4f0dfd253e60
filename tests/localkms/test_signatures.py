"""Signatures: what is refused without knowing any secret, what only a secret can tell, and what is let pass unverified.

The right signatures here are botocore's: the other side of the protocol, written by somebody else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from byokd.localkms import FRIENDLY, Credential, Options, Signatures, serve
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, REGION, START, Kms, ManualClock, unkeyed
from .rules import rule

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "session/token+=="
KNOWN = {
    KEY_ID: Credential(secret=SECRET, account="555566667777"),
    "ASIAIOSFODNN7EXAMPLE": Credential(secret=SECRET, account="555566667777", session_token=TOKEN),
}
TARGET = {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
SCOPE = f"{ACCOUNT}/20270115/{REGION}/kms/aws4_request"
GOOD = unkeyed(START)
MISMATCH = "The request signature we calculated does not match"


def authorization(
    credential: str = SCOPE, signed: str = "host;x-amz-date", signature: str = "0" * 64
) -> dict[str, str]:
    """An Authorization header with one part of it changed."""
    value = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    return GOOD | {"Authorization": value}


NEEDS_NO_SECRET: dict[str, tuple[dict[str, str], str, str]] = {
    "no signature at all": ({}, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "another scheme": (
        GOOD | {"Authorization": "Basic abc"},
        "IncompleteSignatureException",
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter.",
    ),
    "no signature in it, and no date": (
        {"Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host"},
        "IncompleteSignatureException",
        "Authorization header requires 'Signature' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    ),
    "no date": (
        {"Authorization": GOOD["Authorization"]},
        "IncompleteSignatureException",
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    ),
    "a date of another form": (
        GOOD | {"X-Amz-Date": "2027-01-15T08:00:00Z"},
        "IncompleteSignatureException",
        "Date must be in ISO-8601 'basic format'. Got '2027-01-15T08:00:00Z'. "
        "See http://en.wikipedia.org/wiki/ISO_8601",
    ),
    "a day that does not exist": (
        GOOD | {"X-Amz-Date": "20270230T080000Z"},
        "IncompleteSignatureException",
        "Date must be in ISO-8601 'basic format'. Got '20270230T080000Z'. See http://en.wikipedia.org/wiki/ISO_8601",
    ),
    "a scope of another day": (
        authorization(SCOPE.replace("20270115", "20270114")),
        "InvalidSignatureException",
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20270114' != '20270115', from '20270115T080000Z'.",
    ),
    "a scope cut short": (
        authorization("a/20270115/us-east-1/kms"),
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        "got: 'a/20270115/us-east-1/kms'",
    ),
    "another service": (
        authorization(SCOPE.replace("kms", "s3")),
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'kms'.",
    ),
    "another terminator": (
        authorization(SCOPE.replace("aws4", "aws5")),
        "InvalidSignatureException",
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
    ),
    "a Region that cannot be": (
        authorization(SCOPE.replace(REGION, "Mars!")),
        "InvalidSignatureException",
        "Credential should be scoped to a valid region, not 'Mars!'.",
    ),
    "too old": (
        unkeyed(START - 301),
        "InvalidSignatureException",
        "Signature expired: 20270115T075459Z is now earlier than 20270115T075500Z (20270115T080000Z - 5 min.)",
    ),
    "too new": (
        unkeyed(START + 301),
        "InvalidSignatureException",
        "Signature not yet current: 20270115T080501Z is still later than 20270115T080500Z (20270115T080000Z + 5 min.)",
    ),
    "a host that is not signed": (
        authorization(signed="x-amz-date"),
        "InvalidSignatureException",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    ),
    "a signed header that is not there": (
        authorization(signed="host;x-amz-date;x-amz-gone"),
        "InvalidSignatureException",
        MISMATCH,
    ),
    "no signature's length": (authorization(signature="0" * 63), "InvalidSignatureException", MISMATCH),
    "the hash of another body": (
        GOOD | {"X-Amz-Content-Sha256": "0" * 64},
        "InvalidSignatureException",
        MISMATCH,
    ),
}


async def post(url: str, headers: dict[str, str], body: bytes = b"{}") -> tuple[int, Any]:
    """Status and document of an answer."""
    async with ClientSession() as session, session.post(URL(url, encoded=True), data=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


@rule("Requests", "SigV4")
@pytest.mark.parametrize("case", NEEDS_NO_SECRET)
async def test_what_is_wrong_under_any_secret_is_refused(case: str, kms: Kms) -> None:
    """Form, scope, date, signed headers and body hash are verified also where any access key is good."""
    headers, code, message = NEEDS_NO_SECRET[case]
    status, answer = await post(kms.url, TARGET | headers)
    assert (status, answer["__type"]) == (400, code)
    assert answer["message"].startswith(message)


GOOD_ENOUGH: dict[str, dict[str, str]] = {
    "as it should be": GOOD,
    "nearly too old": unkeyed(START - 300),
    "nearly too new": unkeyed(START + 300),
    "its parts in another order": GOOD
    | {
        "Authorization": f"AWS4-HMAC-SHA256 Signature={'0' * 64},Credential={SCOPE},SignedHeaders=host;x-amz-date",
    },
    "a Date header in place of its own": {
        "Date": GOOD["X-Amz-Date"],
        "Authorization": authorization(signed="date;host")["Authorization"],
    },
    "a body that is not signed": GOOD | {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
    "a session token": GOOD | {"X-Amz-Security-Token": TOKEN},
}


@pytest.mark.parametrize("case", GOOD_ENOUGH)
async def test_any_access_key_is_good_where_none_is_configured(case: str, kms: Kms) -> None:
    """Without configured credentials the HMAC cannot be verified, and everything else is."""
    assert (await post(kms.url, TARGET | GOOD_ENOUGH[case]))[0] == 200


async def test_a_client_may_keep_real_time_when_the_kms_does_not(kms: Kms) -> None:
    """The KMS lives in 2027, boto3 signs with the machine's clock: dates are read against both."""
    kms.clock.advance(400 * 24 * 3600)
    assert (await kms.call("list_keys"))["Keys"] == []


@pytest.fixture
async def strict(clock: ManualClock, wrapping_keys: WrappingKeys) -> AsyncIterator[str]:
    """The URL of a local KMS that knows whom it serves."""
    signatures = Signatures(credentials=KNOWN)
    async with serve(Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, signatures=signatures)) as server:
        yield server.url


def signed(
    url: str,
    *,
    key_id: str = KEY_ID,
    secret: str = SECRET,
    token: str | None = None,
    headers: dict[str, str] | None = None,
    presigned_s: int | None = None,
) -> AWSRequest:
    """A ListKeys that botocore signed, in its headers or, presigned and without a body, in its URL."""
    request = AWSRequest("POST", url, headers=TARGET | (headers or {}), data=b"{}" if presigned_s is None else b"")
    credentials = Credentials(key_id, secret, token)
    if presigned_s is None:
        SigV4Auth(credentials, "kms", REGION).add_auth(request)
    else:
        SigV4QueryAuth(credentials, "kms", REGION, expires=presigned_s).add_auth(request)
    return request


async def sent(request: AWSRequest, body: bytes | None = None, **changed: str) -> tuple[int, Any]:
    """Send a signed request, with another body or headers than were signed."""
    headers = dict(request.headers.items()) | {name.replace("_", "-"): value for name, value in changed.items()}
    return await post(request.url, headers, request.data if body is None else body)


Make = Callable[[str], AWSRequest]
RIGHT: dict[str, Make] = {
    "in its headers": signed,
    "presigned": lambda url: signed(url, presigned_s=60),
    "presigned for a week": lambda url: signed(url, presigned_s=604800),
    "with a session token that nobody asked for": lambda url: signed(url, token=TOKEN),
    "with the session token": lambda url: signed(url, key_id="ASIAIOSFODNN7EXAMPLE", token=TOKEN),
    "presigned with the session token": lambda url: signed(
        url, key_id="ASIAIOSFODNN7EXAMPLE", token=TOKEN, presigned_s=60
    ),
    "over an odd path and query": lambda url: signed(f"{url}/%7Ea%20b//c/?z=1&b=%2F&a=2&a=1&empty="),
    "presigned over an odd query": lambda url: signed(f"{url}/?z=1&b=x%2Fy", presigned_s=60),
    "over blanks in a header": lambda url: signed(url, headers={"X-Amz-Note": "a   b"}),
}


@pytest.mark.parametrize("case", RIGHT)
async def test_a_right_signature_opens_the_account_of_its_access_key(case: str, strict: str) -> None:
    """What botocore signs is what is expected here."""
    assert await sent(RIGHT[case](strict)) == (200, {"Keys": [], "Truncated": False})


async def test_configured_credentials_name_their_account(strict: str, clock: ManualClock) -> None:
    """The account comes from the configuration, not from the access key id."""
    request = AWSRequest("POST", strict, headers=TARGET | {"X-Amz-Target": "TrentService.CreateKey"}, data=b"{}")
    SigV4Auth(Credentials(KEY_ID, SECRET), "kms", REGION).add_auth(request)
    _, answer = await sent(request)
    assert answer["KeyMetadata"]["AWSAccountId"] == "555566667777"


WRONG: dict[str, tuple[Make, dict[str, str], bytes | None, str]] = {
    "another secret": (lambda url: signed(url, secret="no"), {}, None, "InvalidSignatureException"),
    "another body": (signed, {}, b'{"Limit": 1}', "InvalidSignatureException"),
    "another target": (signed, {"X_Amz_Target": "TrentService.CreateKey"}, None, "InvalidSignatureException"),
    "presigned, another body": (
        lambda url: signed(url, presigned_s=60),
        {},
        b'{"Limit": 1}',
        "InvalidSignatureException",
    ),
    "an unknown access key": (lambda url: signed(url, key_id="AKIANOBODY"), {}, None, "UnrecognizedClientException"),
    "an account's number": (lambda url: signed(url, key_id=ACCOUNT), {}, None, "UnrecognizedClientException"),
    "no session token": (
        lambda url: signed(url, key_id="ASIAIOSFODNN7EXAMPLE"),
        {},
        None,
        "UnrecognizedClientException",
    ),
    "another session token": (
        lambda url: signed(url, key_id="ASIAIOSFODNN7EXAMPLE", token="x"),
        {},
        None,
        "UnrecognizedClientException",
    ),
    "bytes that are no text": (signed, {"X_Amz_Date": "\udcff"}, None, "IncompleteSignatureException"),
    "a signature of no letters": (
        signed,
        {"Authorization": f"{GOOD['Authorization']}\udcff"},
        None,
        "InvalidSignatureException",
    ),
    "presigned for more than a week": (
        lambda url: signed(url, presigned_s=604801),
        {},
        None,
        "IncompleteSignatureException",
    ),
}


@rule("Requests", "SigV4")
@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_signature_is_refused(case: str, strict: str) -> None:
    """Where the secret is known, nothing that was changed after signing passes."""
    make, changed, body, code = WRONG[case]
    status, answer = await sent(make(strict), body, **changed)
    assert (status, answer["__type"]) == (400, code)


async def test_a_mismatch_shows_what_should_have_been_signed(strict: str) -> None:
    """As AWS's does, the refusal holds the canonical request and the string to sign, and never the secret."""
    _, answer = await sent(signed(strict, secret="no"))
    assert "The Canonical String for this request should have been\n'POST\n/\n\ncontent-type:" in answer["message"]
    assert f"/{REGION}/kms/aws4_request\n" in answer["message"]
    assert SECRET not in json.dumps(answer)


PRESIGNED_BADLY: dict[str, tuple[str, str]] = {
    "a part is missing": ("?X-Amz-Algorithm=AWS4-HMAC-SHA256", "must include 'X-Amz-Credential'"),
    "another algorithm": (
        f"?X-Amz-Algorithm=ECDSA&X-Amz-Credential={SCOPE}&X-Amz-Date={GOOD['X-Amz-Date']}&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=0",
        "Unsupported AWS 'algorithm': 'ECDSA'.",
    ),
}


@rule("Requests", "SigV4")
@pytest.mark.parametrize("case", PRESIGNED_BADLY)
async def test_a_presigned_request_of_the_wrong_form_is_refused(case: str, kms: Kms) -> None:
    """The query form has the same parts as the header, and each is asked for."""
    query, message = PRESIGNED_BADLY[case]
    status, answer = await post(f"{kms.url}/{query}", TARGET)
    assert (status, answer["__type"]) == (400, "IncompleteSignatureException")
    assert message in answer["message"]


@rule("Requests", "SigV4")
async def test_a_presigned_request_is_good_as_long_as_it_says(kms: Kms) -> None:
    """X-Amz-Expires replaces the five minutes, and not a second is added."""
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE}&X-Amz-Date={GOOD['X-Amz-Date']}"
        f"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
    )
    kms.clock.advance(3600)
    assert (await post(f"{kms.url}/?{query}", TARGET))[0] == 200
    kms.clock.advance(1)
    _, answer = await post(f"{kms.url}/?{query}", TARGET)
    assert answer["message"] == (
        "Signature expired: 20270115T080000Z is now earlier than 20270115T080001Z (20270115T090001Z - 60 min.)"
    )


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}"}, unkeyed(0)], ids=["a scope", "in 1970"]
)
async def test_verification_can_be_turned_off(
    headers: dict[str, str], clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """Then the scope alone is read, for there is no other place that tells account and Region."""
    options = Options(clock=clock, pool=wrapping_keys, hostility=FRIENDLY, signatures=Signatures(verify=False))
    async with serve(options) as server:
        assert (await post(server.url, TARGET | headers))[0] == 200
        assert (await post(server.url, TARGET))[1]["__type"] == "MissingAuthenticationTokenException"
