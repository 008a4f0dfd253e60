"""Whose credentials a lane uses: profile, role, and what happens when they turn out bad."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from byokd import errors
from byokd.facts.key import ABSENT
from byokd.kms.adapter import open_kms
from byokd.kms.identity import Identity, shared_session
from tests.kit.clock import ManualClock
from tests.kit.lanes import ACCOUNT, a_lane, session
from tests.kit.logged import logged
from tests.unit.kms.scripted import DESCRIBED, ROLE, Endpoint, answer, ending_in, endpoint, hang, refuse, signers

REFUSED = answer(
    raw=b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>", status=403
)


def assumed(access_key: str, ends_at: str = "2099-01-01T00:00:00Z"):
    """The answer of AssumeRole, good for years unless it is said otherwise."""
    return answer(
        raw=f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/byokd/lane</Arn>
        <AssumedRoleId>AROA:lane</AssumedRoleId></AssumedRoleUser>
        <Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
        <SessionToken>session</SessionToken><Expiration>{ends_at}</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>""".encode()
    )


def opened(kms: Endpoint, sts: Endpoint | None = None, clock: ManualClock | None = None, **lane: Any):
    """The adapter with keys of its own, and endpoints for both services."""
    identity = Identity(access_key_id="AKIAOWN", secret_access_key="any")
    its = a_lane(endpoint=kms.url, sts_endpoint=ABSENT if sts is None else sts.url, **lane)
    return open_kms(its, clock=clock or ManualClock(), session=session(), identity=identity)


async def test_own_keys() -> None:
    """Without a role, the lane signs with what it has."""
    async with endpoint(DESCRIBED) as kms_endpoint, opened(kms_endpoint) as kms:
        await kms.describe("arn")
    assert signers(kms_endpoint) == ["AKIAOWN"]


async def test_role() -> None:
    """With a role, the lane assumes it once, by session name and external id, and signs with what it was given."""
    async with endpoint(DESCRIBED) as kms_endpoint, endpoint(assumed("ASIAROLE")) as sts:
        lane = opened(kms_endpoint, sts, role_arn=ROLE, external_id="unguessable", session_name="byokd-eu")
        async with lane as kms:
            await kms.describe("arn")
            await kms.describe("arn")
    (asked,) = sts.asked
    form = parse_qs(asked.body["form"])
    assert (form["RoleArn"], form["RoleSessionName"], form["ExternalId"]) == ([ROLE], ["byokd-eu"], ["unguessable"])
    assert signers(sts) == ["AKIAOWN"]
    assert signers(kms_endpoint) == ["ASIAROLE", "ASIAROLE"]


async def test_role_without_external_id() -> None:
    """An external id that is not configured is not sent."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAROLE")) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE, external_id=ABSENT) as kms,
    ):
        await kms.describe("arn")
    assert "ExternalId" not in parse_qs(sts.asked[0].body["form"])


async def test_a_refused_role_is_named_by_its_setting() -> None:
    """The error names the place in the config; it told STS's reason and the role, and not whose or where it is set."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(REFUSED) as sts,
        opened(kms_endpoint, sts, name="prod", role_arn=ROLE) as kms,
    ):
        with pytest.raises(errors.CredentialsInvalid) as told:
            await kms.describe("arn")
        with pytest.raises(errors.CredentialsInvalid, match=r"; check lanes\.prod\.role_arn, "):
            await kms.request_quotas()
    said = "AssumeRole: AccessDenied: no; check lanes.prod.role_arn, its trust policy and external_id"
    assert str(told.value) == said
    assert "assume-role" in told.value.step


@pytest.mark.parametrize(
    ("lane", "named"),
    [({}, ""), ({"profile": "ops"}, "; check lanes.prod.profile"), ({"profile": "ops", "role_arn": ROLE}, "")],
    ids=["neither", "profile", "role"],
)
async def test_credentials_that_kms_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lane: dict[str, Any], named: str
) -> None:
    """The keys of a profile are named by its setting; a role that STS has let in is not doubted."""
    config = tmp_path / "config"
    config.write_text("[profile ops]\naws_access_key_id = AKIAOPS\naws_secret_access_key = any\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    async with (
        endpoint(refuse("UnrecognizedClientException")) as kms_endpoint,
        endpoint(assumed("ASIAROLE")) as sts,
        opened(kms_endpoint, sts, name="prod", **lane) as kms,
    ):
        with pytest.raises(errors.CredentialsInvalid) as told:
            await kms.describe("arn")
    _, check, place = str(told.value).partition("; check ")
    assert check + place == named


async def test_a_process_begins_whatever_its_aws_files_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `AWS_PROFILE` that does not exist ended the daemon at its start with a traceback, before a lane had opened."""
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    shared_session()
    async with endpoint(DESCRIBED) as kms_endpoint, opened(kms_endpoint, kms_endpoint) as kms:
        with pytest.raises(errors.CredentialsInvalid, match="no-such-profile"):
            await kms.describe("arn")


async def test_role_refused() -> None:
    """A role that may not be assumed is a matter of credentials; KMS is not asked, and an import not lost."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(answer(raw=b"<html>", status=403)) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        with pytest.raises(errors.CredentialsInvalid):
            await kms.describe("arn")
    assert kms_endpoint.asked == []


async def test_a_role_that_is_not_answered() -> None:
    """The error names what did not answer."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(hang) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE, call_timeout=timedelta(milliseconds=300)) as kms,
    ):
        with pytest.raises(errors.CredentialsUnreachable, match="AssumeRole: no answer in time, and nothing was sent"):
            await kms.describe("arn")


async def test_an_answer_of_sts_that_is_cut_short() -> None:
    """The SDK quotes what it cannot read and logs that: the role's credentials stood in byokd's log."""
    cut = b"<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>hush</SecretAccessKey><SessionTok"
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(answer(raw=cut)) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        with logged() as lines, pytest.raises(errors.CredentialsInvalid) as raised:
            await kms.describe("arn")
    assert "ResponseParserError" in lines.getvalue()
    assert "hush" not in lines.getvalue() + "".join(traceback.format_exception(raised.value))


async def test_looked_for_again() -> None:
    """Credentials that KMS does not accept are not used again: the next call looks for new ones."""
    async with (
        endpoint(refuse("ExpiredTokenException"), DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAOLD"), assumed("ASIANEW")) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        with pytest.raises(errors.CredentialsInvalid):
            await kms.describe("arn")
        await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAOLD", "ASIANEW"]


async def test_renewed_before_they_end() -> None:
    """A role's credentials with less than a quarter of an hour left are replaced while KMS still takes them."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAFIRST", ending_in(minutes=12)), assumed("ASIASECOND")) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        for _ in range(3):
            await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAFIRST", "ASIASECOND", "ASIASECOND"]


@pytest.mark.parametrize("minutes", [12, 5])
async def test_a_renewal_that_is_refused_costs_nothing(minutes: int) -> None:
    """The old credentials are good for some minutes more: they are used until they end, and STS is asked now and then.

    With less than ten minutes left, the SDK failed each call with what STS said.
    """
    clock = ManualClock()
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAFIRST", ending_in(minutes=minutes)), REFUSED) as sts,
        opened(kms_endpoint, sts, clock, role_arn=ROLE) as kms,
    ):
        for _ in range(4):
            await kms.describe("arn")
        clock.advance(60)
        await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAFIRST"] * 5
    assert len(sts.asked) == 3


@pytest.mark.parametrize("minutes", [12, 5])
async def test_a_renewal_that_hangs_costs_one_call_a_part_of_its_time(minutes: int) -> None:
    """Credentials that are still good are used, and those that come a minute later after them.

    Each call waited for STS until its own time was over, and the lane was blind a quarter of an hour before it had to.
    """
    clock = ManualClock()
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAFIRST", ending_in(minutes=minutes)), hang, assumed("ASIASECOND")) as sts,
        opened(kms_endpoint, sts, clock, role_arn=ROLE, call_timeout=timedelta(seconds=1)) as kms,
    ):
        with logged() as lines:
            for _ in range(4):
                await kms.describe("arn")
        assert len(sts.asked) == 2
        clock.advance(60)
        await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAFIRST"] * 4 + ["ASIASECOND"]
    assert "credentials_not_renewed" in lines.getvalue()


async def test_nothing_is_signed_with_credentials_that_are_about_to_end() -> None:
    """In their last minute new ones are waited for, and a call without them fails by what STS said."""
    async with (
        endpoint(DESCRIBED) as kms_endpoint,
        endpoint(assumed("ASIAFIRST", ending_in(seconds=50)), REFUSED) as sts,
        opened(kms_endpoint, sts, role_arn=ROLE) as kms,
    ):
        await kms.describe("arn")
        with pytest.raises(errors.CredentialsInvalid, match="AssumeRole"):
            await kms.describe("arn")
    assert signers(kms_endpoint) == ["ASIAFIRST"]


@pytest.mark.parametrize("role", [ABSENT, ROLE], ids=["alone", "with a role"])
async def test_profile_that_does_not_exist(role: Any) -> None:
    """A profile that is missing fails the calls, each with its name and place, and not the opening of the lane."""
    lane = {"name": "prod", "profile": "no-such-profile", "role_arn": role}
    async with endpoint(DESCRIBED) as kms_endpoint, opened(kms_endpoint, **lane) as kms:
        for _ in range(2):
            with pytest.raises(errors.CredentialsInvalid, match=r"no-such-profile.*; check lanes\.prod\.profile$"):
                await kms.describe("arn")
    assert kms_endpoint.asked == []


def test_redacted() -> None:
    """The secret half of given keys is not shown."""
    assert "any" not in repr(Identity(access_key_id="AKIAOWN", secret_access_key="any"))
