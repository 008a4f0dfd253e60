"""The adapter over HTTP, against an endpoint that says anything: what is sent, and how each answer is read."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from byokd import __version__, errors
from byokd.facts.key import (
    ABSENT,
    NEVER,
    Absent,
    Expiry,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.kms.adapter import PAGES_MAX, open_kms
from byokd.kms.identity import Identity
from byokd.ports import Kms, Skew
from tests.kit.clock import START, ManualClock
from tests.kit.lanes import ACCOUNT, REGION, a_lane, session
from tests.unit.kms.scripted import Behaviour, Endpoint, answer, break_off, endpoint, hang, hang_up, refuse

ARN = KeyArn(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab")
NAMED = MaterialId("0123456789abcdef" * 4)
KEYS = Identity(access_key_id="AKIATEST", secret_access_key="any")
METADATA: dict[str, Any] = {
    "Arn": ARN,
    "KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "KeyState": "Enabled",
    "Origin": "EXTERNAL",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "ExpirationModel": "KEY_MATERIAL_EXPIRES",
    "ValidTo": 1_800_000_000.987,
    "CurrentKeyMaterialId": NAMED,
}
VALID_TO = datetime.fromtimestamp(1_800_000_000, UTC)
LISTED: dict[str, Any] = {
    "KeyMaterialId": NAMED,
    "ImportState": "IMPORTED",
    "KeyMaterialState": "CURRENT",
    "ExpirationModel": "KEY_MATERIAL_EXPIRES",
    "ValidTo": 1_800_000_000.987,
}


@asynccontextmanager
async def kms_at(
    url: str, *, identity: Identity = KEYS, clock: ManualClock | None = None, **lane: Any
) -> AsyncIterator[Kms]:
    """The adapter, with an endpoint."""
    settings = a_lane(endpoint=url, **lane)
    async with open_kms(settings, clock=clock or ManualClock(), session=session(), identity=identity) as kms:
        yield kms


@asynccontextmanager
async def scripted(*script: Behaviour, **lane: Any) -> AsyncIterator[tuple[Kms, Endpoint]]:
    """The adapter, and what it talks to."""
    async with endpoint(*script) as served, kms_at(served.url, **lane) as kms:
        yield kms, served


async def import_into(
    kms: Kms, *, expiry: Expiry = VALID_TO, material: MaterialId | Absent = ABSENT, **how: bool
) -> MaterialId | Absent:
    """An import."""
    return await kms.import_material(
        ARN, token=b"token", ciphertext=b"ciphertext", expiry=expiry, material=material, **how
    )


# -- what is sent -----------------------------------------------------------------------------------------------------


async def test_describe_is_sent() -> None:
    """DescribeKey names the key as it was given, under byokd's own and constant user agent."""
    async with scripted(answer({"KeyMetadata": METADATA})) as (kms, served):
        await kms.describe("alias/orders")
    (asked,) = served.asked
    assert (asked.operation, asked.body) == ("DescribeKey", {"KeyId": "alias/orders"})
    assert asked.headers["User-Agent"].startswith(f"byokd/{__version__} botocore/")


async def test_parameters_are_asked_for() -> None:
    """GetParametersForImport names algorithm and key spec, and gives key and token as bytes."""
    told = {
        "KeyId": ARN,
        "PublicKey": base64.b64encode(b"key").decode(),
        "ImportToken": base64.b64encode(b"token").decode(),
        "ParametersValidTo": 1_800_000_000.5,
    }
    async with scripted(answer(told)) as (kms, served):
        got = await kms.get_parameters(ARN, algorithm=WrappingAlgorithm.RSA_AES_SHA_1, spec=WrappingKeySpec.RSA_4096)
    assert served.asked[0].body == {
        "KeyId": ARN,
        "WrappingAlgorithm": "RSA_AES_KEY_WRAP_SHA_1",
        "WrappingKeySpec": "RSA_4096",
    }
    assert (got.public_key, got.token, got.valid_to) == (b"key", b"token", VALID_TO)
    assert "token=" not in repr(got)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        pytest.param({}, {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": 1_800_000_000}, id="ends"),
        pytest.param({"expiry": NEVER}, {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}, id="never ends"),
        pytest.param(
            {"expiry": NEVER, "material": NAMED},
            {
                "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
                "ImportType": "EXISTING_KEY_MATERIAL",
                "KeyMaterialId": NAMED,
            },
            id="material named",
        ),
        pytest.param(
            {"expiry": NEVER, "existing": True},
            {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "ImportType": "EXISTING_KEY_MATERIAL"},
            id="into a replica",
        ),
        pytest.param(
            {"expiry": NEVER, "new": True},
            {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "ImportType": "NEW_KEY_MATERIAL"},
            id="new",
        ),
    ],
)
async def test_import_is_sent(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """ImportKeyMaterial always states the expiration model, and names the material only when it is known."""
    async with scripted(answer({"KeyId": ARN, "KeyMaterialId": NAMED})) as (kms, served):
        assert await import_into(kms, **given) == NAMED
    token, ciphertext = (base64.b64encode(each).decode() for each in (b"token", b"ciphertext"))
    assert served.asked[0].body == {"KeyId": ARN, "ImportToken": token, "EncryptedKeyMaterial": ciphertext} | sent


async def test_import_without_material_id() -> None:
    """HMAC and asymmetric keys have no KeyMaterialId."""
    async with scripted(answer({"KeyId": ARN})) as (kms, _):
        assert await import_into(kms) is ABSENT


# -- how answers are read ---------------------------------------------------------------------------------------------


async def test_describe_is_read() -> None:
    """Every member that byokd knows is taken over; `ValidTo` is cut to whole seconds, not rounded."""
    async with scripted(answer({"KeyMetadata": METADATA | {"DeletionDate": 1_800_000_000.2}})) as (kms, _):
        seen = await kms.describe(ARN)
    assert (seen.at, seen.arn, seen.state, seen.origin) == (START, ARN, KeyState.ENABLED, "EXTERNAL")
    assert (seen.spec, seen.expiry, seen.current_material) == ("SYMMETRIC_DEFAULT", VALID_TO, NAMED)
    assert (seen.deletion_at, seen.alias_target) == (VALID_TO, ABSENT)


async def test_unknown_key_state() -> None:
    """A state that AWS adds later reads as UNKNOWN."""
    async with scripted(answer({"KeyMetadata": METADATA | {"KeyState": "Hibernating"}})) as (kms, _):
        assert (await kms.describe(ARN)).state is KeyState.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="no metadata"),
        pytest.param({"KeyMetadata": {}}, id="empty metadata"),
        *(
            pytest.param({"KeyMetadata": {k: v for k, v in METADATA.items() if k != name}}, id=f"no {name}")
            for name in ("Arn", "KeyState", "Origin", "KeySpec", "ValidTo")
        ),
        pytest.param({"KeyMetadata": METADATA | {"Arn": ""}}, id="empty Arn"),
        pytest.param({"KeyMetadata": METADATA | {"Arn": 7}}, id="Arn is a number"),
        pytest.param({"KeyMetadata": METADATA | {"ValidTo": "soon"}}, id="ValidTo is no time"),
        pytest.param({"KeyMetadata": [1]}, id="metadata is a list"),
        pytest.param([], id="a list"),
    ],
)
async def test_unusable_description(body: Any) -> None:
    """An answer without what byokd acts on is no answer."""
    async with scripted(answer(body)) as (kms, _):
        with pytest.raises(errors.BadAnswer):
            await kms.describe(ARN)


@pytest.mark.parametrize("raw", [b"<html>hello</html>", b"", b"\xff\xfe", b"null", b'"KeyMetadata"', b"{"], ids=repr)
async def test_not_json(raw: bytes) -> None:
    """Whatever else answers is found out, for reading and for changing calls."""
    async with scripted(answer(raw=raw)) as (kms, _):
        with pytest.raises(errors.BadAnswer):
            await kms.describe(ARN)
        with pytest.raises(errors.BadAnswer):
            await kms.get_parameters(ARN, algorithm=WrappingAlgorithm.OAEP_SHA_1, spec=WrappingKeySpec.RSA_2048)
        with pytest.raises(errors.AnswerLost):
            await import_into(kms)


async def test_materials_over_pages() -> None:
    """All pages are read, each from where the one before ended."""
    pages = [{"Rotations": [LISTED], "Truncated": True, "NextMarker": "m1"}, {"Truncated": True, "NextMarker": "m2"}]
    last = {"Rotations": [LISTED | {"KeyMaterialState": "NON_CURRENT", "ImportState": "PENDING_IMPORT"}]}
    async with scripted(*(answer(page) for page in (*pages, last))) as (kms, served):
        one, two = await kms.list_materials(ARN)
    assert [asked.body.get("Marker") for asked in served.asked] == [None, "m1", "m2"]
    assert {asked.body["IncludeKeyMaterial"] for asked in served.asked} == {"ALL_KEY_MATERIAL"}
    assert (one.state, one.imported, one.expiry) == (MaterialState.CURRENT, True, VALID_TO)
    assert (two.state, two.imported, two.expiry) == (MaterialState.NON_CURRENT, False, ABSENT)


async def test_pages_without_end() -> None:
    """A listing that never ends is given up after a hundred pages."""
    async with scripted(answer({"Rotations": [], "Truncated": True, "NextMarker": "again"})) as (kms, served):
        with pytest.raises(errors.BadAnswer, match="no end"):
            await kms.list_materials(ARN)
    assert len(served.asked) == PAGES_MAX


async def test_unknown_material_state() -> None:
    """A material in a state that AWS adds later does not hide the others."""
    listing = {"Rotations": [LISTED | {"KeyMaterialState": "RESTING"}, LISTED]}
    async with scripted(answer(listing)) as (kms, _):
        assert [each.state for each in await kms.list_materials(ARN)] == [MaterialState.CURRENT]


@pytest.mark.parametrize("name", ["KeyMaterialId", "ImportState", "KeyMaterialState", "ExpirationModel", "ValidTo"])
async def test_unusable_listing(name: str) -> None:
    """A material without what byokd acts on makes the whole listing unusable."""
    without = {k: v for k, v in LISTED.items() if k != name and not (name == "ExpirationModel" and k == "ValidTo")}
    async with scripted(answer({"Rotations": [without]})) as (kms, _):
        with pytest.raises(errors.BadAnswer):
            await kms.list_materials(ARN)


async def test_import_of_another_key() -> None:
    """An answer about another key says nothing about this one."""
    async with scripted(answer({"KeyId": ARN + "x"})) as (kms, _):
        with pytest.raises(errors.AnswerLost):
            await import_into(kms)


# -- when it goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "reading", "changing"),
    [
        pytest.param(refuse("ThrottlingException"), errors.Throttled, errors.Throttled, id="throttled"),
        pytest.param(
            refuse("com.amazonaws.kms#NotFoundException"), errors.KeyNotFound, errors.KeyNotFound, id="prefix"
        ),
        pytest.param(refuse("KMSInternalException", status=500), errors.KmsInternal, errors.AnswerLost, id="HTTP 500"),
        pytest.param(answer(raw=b"", status=503), errors.KmsInternal, errors.AnswerLost, id="empty HTTP 503"),
        pytest.param(answer(raw=b"<html>", status=502), errors.KmsInternal, errors.AnswerLost, id="page of a gateway"),
        pytest.param(answer(raw=b"<html>", status=403), errors.BadAnswer, errors.AnswerLost, id="page of a proxy"),
        pytest.param(answer([], status=400), errors.BadAnswer, errors.AnswerLost, id="refusal is a list"),
        pytest.param(hang_up, errors.KmsUnreachable, errors.AnswerLost, id="connection dropped"),
        pytest.param(break_off, errors.KmsUnreachable, errors.AnswerLost, id="answer broken off"),
    ],
)
async def test_failures(script: Behaviour, reading: type[Exception], changing: type[Exception]) -> None:
    """Each failure has its name, and is met in a single attempt."""
    async with scripted(script) as (kms, served):
        with pytest.raises(reading):
            await kms.describe(ARN)
        with pytest.raises(changing):
            await import_into(kms)
    assert len(served.asked) == 2


async def test_no_answer_in_time() -> None:
    """A call takes no longer than the lane allows, and an import that was not answered may have been applied."""
    async with scripted(hang, call_timeout=timedelta(seconds=0.3)) as (kms, _):
        with pytest.raises(errors.KmsUnreachable, match="in time"):
            await kms.describe(ARN)
        with pytest.raises(errors.AnswerLost, match="may have been applied"):
            await import_into(kms)


async def test_nobody_listens() -> None:
    """Without a connection nothing can have been applied."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with kms_at(f"http://127.0.0.1:{unused.getsockname()[1]}") as kms:
            with pytest.raises(errors.KmsUnreachable):
                await import_into(kms)


async def test_no_tls() -> None:
    """An endpoint without TLS where TLS is expected is not connected to."""
    async with endpoint(answer()) as served, kms_at(served.url.replace("http:", "https:")) as kms:
        with pytest.raises(errors.KmsUnreachable):
            await import_into(kms)


async def test_cancelled() -> None:
    """Cancelling a call cancels it, and the lane goes on."""
    async with scripted(hang, answer({"KeyMetadata": METADATA})) as (kms, served):
        call = asyncio.create_task(kms.describe(ARN))
        await served.reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await kms.describe(ARN)).arn == ARN


# -- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "by"),
    [
        pytest.param("Sun, 01 Mar 2026 12:00:00 GMT", timedelta(0), id="none"),
        pytest.param("Sun, 01 Mar 2026 13:00:00 GMT", timedelta(hours=1), id="we are an hour slow"),
        pytest.param("Sun, 01 Mar 2026 11:59:57 -0000", timedelta(seconds=-3), id="we are fast"),
        pytest.param("Sat, 28 Feb 2026 23:59:60 GMT", ABSENT, id="a leap second, which Python has not"),
        pytest.param("yesterday", ABSENT, id="not a date"),
    ],
)
async def test_skew(date: str, by: timedelta | Absent) -> None:
    """The difference of the clocks is read off every answer, refusals included, and so is when that was."""
    for behaviour, ends in (
        (answer({"KeyMetadata": METADATA}, date=date), nullcontext()),
        (refuse("InvalidSignatureException", date=date), pytest.raises(errors.CredentialsInvalid)),
    ):
        clock = ManualClock(START - timedelta(seconds=7))
        async with scripted(behaviour, clock=clock) as (kms, _):
            assert kms.skew() is ABSENT
            clock.advance(7)
            with ends:
                await kms.describe(ARN)
            seen = ABSENT if isinstance(by, Absent) else Skew(by=by, at=clock.monotonic())
            clock.advance(7)
            assert kms.skew() == seen


async def test_what_the_account_is_allowed_is_asked_of_service_quotas() -> None:
    """Page by page; what is not a rate of one operation is left out."""
    pages = (
        {
            "Quotas": [
                {"QuotaName": "GetParametersForImport request rate", "Value": 2.0},
                {"QuotaName": "Cryptographic operations (RSA) request rate", "Value": 1000.0},
            ],
            "NextToken": "more",
        },
        {"Quotas": [{"QuotaName": "ImportKeyMaterial request rate", "Value": 20.0}, {"QuotaName": "Grants per key"}]},
    )
    async with endpoint(*map(answer, pages)) as service, _asking(service) as kms:
        assert await kms.request_quotas() == {"GetParametersForImport": 2.0, "ImportKeyMaterial": 20.0}
        assert [each.operation for each in service.asked] == ["ServiceQuotasV20190624.ListServiceQuotas"] * 2
        assert service.asked[1].body["NextToken"] == "more"


async def test_quotas_that_are_nonsense_are_told_as_they_are() -> None:
    """What a pace cannot be is for the lane to refuse, with a line in the log; what is no number is NaN."""
    told = [0, -1, 1e300, "many", None, [5]]
    page = {"Quotas": [{"QuotaName": f"Call{each} request rate", "Value": value} for each, value in enumerate(told)]}
    async with endpoint(answer(page)) as service, _asking(service) as kms:
        assert list(map(str, (await kms.request_quotas()).values())) == ["0.0", "-1.0", "1e+300", "nan", "nan", "nan"]


@pytest.mark.parametrize("listing", [{"Quotas": ["many"]}, {"Quotas": 5}, {"Quotas": [[]]}], ids=str)
async def test_a_listing_that_cannot_be_read_is_not_blamed_on_credentials(listing: Any) -> None:
    """Whoever read "no usable credentials" looked at the role, while a proxy had answered."""
    page = answer(listing)
    async with endpoint(page) as service, _asking(service) as kms:
        with pytest.raises(errors.BadAnswer, match="ListServiceQuotas"):
            await kms.request_quotas()


async def test_quotas_that_may_not_be_read_are_an_error_like_any_other() -> None:
    """The lane then keeps to its configured pace."""
    async with (
        endpoint(refuse("AccessDeniedException")) as service,
        _asking(service) as kms,
    ):
        with pytest.raises(errors.AccessDenied):
            await kms.request_quotas()


def _asking(service: Endpoint) -> AbstractAsyncContextManager[Kms]:
    return kms_at("http://127.0.0.1:9", quotas_endpoint=service.url)
