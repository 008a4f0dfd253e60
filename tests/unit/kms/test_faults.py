"""Every way in which a call can go wrong, as byokd names it; the table of `byokd.kms.faults`, row by row."""

from __future__ import annotations

import asyncio
import socket
import traceback
from typing import Any

import pytest
from aiobotocore.httpsession import ClientConnectorError
from botocore import exceptions as boto

from byokd import errors
from byokd.kms.faults import Progress, mapped

SENT, NOT_SENT = True, False


def raised(
    error: BaseException,
    *,
    operation: str = "DescribeKey",
    sent: bool = SENT,
    asked: str = "",
    changes: bool = False,
) -> errors.KmsError:
    """What becomes of a foreign error."""
    progress = Progress(sent=sent, asked=asked)
    with pytest.raises(errors.KmsError) as found, mapped(operation, progress, changes=changes):
        raise error
    return found.value


def refusal(code: str, message: str = "no", status: int = 400, operation: str = "DescribeKey") -> boto.ClientError:
    """An error answer as the SDK raises it."""
    told: dict[str, Any] = {"Error": {"Code": code, "Message": message}}
    return boto.ClientError(told | {"ResponseMetadata": {"HTTPStatusCode": status}}, operation)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ThrottlingException", errors.Throttled),
        ("Throttling", errors.Throttled),
        ("RequestLimitExceeded", errors.Throttled),
        ("TooManyRequestsException", errors.Throttled),
        ("AccessDeniedException", errors.AccessDenied),
        ("NotFoundException", errors.KeyNotFound),
        ("KMSInvalidStateException", errors.WrongKeyState),
        ("DisabledException", errors.WrongKeyState),
        ("UnsupportedOperationException", errors.WrongOrigin),
        ("InvalidImportTokenException", errors.TokenRefused),
        ("ExpiredImportTokenException", errors.TokenRefused),
        ("InvalidCiphertextException", errors.CiphertextRefused),
        ("IncorrectKeyMaterialException", errors.MaterialRefused),
        ("UnrecognizedClientException", errors.CredentialsInvalid),
        ("InvalidClientTokenId", errors.CredentialsInvalid),
        ("ExpiredToken", errors.CredentialsInvalid),
        ("ExpiredTokenException", errors.CredentialsInvalid),
        ("InvalidSignatureException", errors.CredentialsInvalid),
        ("SignatureDoesNotMatch", errors.CredentialsInvalid),
        ("MissingAuthenticationToken", errors.CredentialsInvalid),
        ("MissingAuthenticationTokenException", errors.CredentialsInvalid),
        ("IncompleteSignature", errors.CredentialsInvalid),
        ("RequestExpired", errors.CredentialsInvalid),
        ("ValidationException", errors.RequestRefused),
        ("InvalidArnException", errors.RequestRefused),
        ("LimitExceededException", errors.RequestRefused),
        ("SomethingNewException", errors.RequestRefused),
    ],
)
@pytest.mark.parametrize("changes", [False, True], ids=["reading", "changing"])
def test_clear_no(code: str, expected: type[errors.KmsError], changes: bool) -> None:
    """A code of KMS below HTTP 500 is believed, also about an import: nothing was applied."""
    found = raised(refusal(code, "Key is not there"), changes=changes)
    assert type(found) is expected
    assert str(found) == f"DescribeKey: {code}: Key is not there"
    assert isinstance(found.__cause__, boto.ClientError)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("KMSInternalException", 500),
        ("DependencyTimeoutException", 503),
        ("KeyUnavailableException", 500),
        ("ServiceUnavailable", 503),
        ("ServiceUnavailableException", 503),
        ("InternalFailure", 500),
        ("SomethingNewException", 500),
        ("502", 502),
    ],
)
def test_failure_of_kms(code: str, status: int) -> None:
    """A 5xx is KMS's own failure; about an import it leaves open whether that was applied."""
    assert type(raised(refusal(code, status=status))) is errors.KmsInternal
    assert type(raised(refusal(code, status=status), changes=True)) is errors.AnswerLost


@pytest.mark.parametrize("code", ["403", "404", ""])
def test_not_an_answer_of_kms(code: str) -> None:
    """A refusal without a code of KMS is a proxy's; its page is not quoted, and it proves nothing about an import."""
    found = raised(refusal(code, "<html>secret-page</html>", status=403))
    assert type(found) is errors.BadAnswer
    assert "secret-page" not in "".join(traceback.format_exception(found))
    assert type(raised(refusal(code, status=403), changes=True)) is errors.AnswerLost


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "ExpiredToken", "500"])
def test_refused_by_sts(code: str) -> None:
    """Whatever refuses the way to credentials is about credentials, and throttles no lane of KMS."""
    found = raised(refusal(code, operation="AssumeRole"), sent=NOT_SENT, changes=True)
    assert type(found) is errors.CredentialsInvalid
    assert "AssumeRole" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        boto.NoCredentialsError(),
        boto.ProfileNotFound(profile="byokd"),
        boto.PartialCredentialsError(provider="env", cred_var="secret"),
        boto.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"),
        boto.ConfigParseError(path="aws.config"),
        boto.TokenRetrievalError(provider="sso", error_msg="expired"),
        boto.InfiniteLoopConfigError(source_profile="a", visited_profiles="a, b"),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_credentials(error: Exception) -> None:
    """What fails before a request is sent, for want of credentials, says so, and changed nothing."""
    assert type(raised(error, sent=NOT_SENT, changes=True)) is errors.CredentialsInvalid


URL = "https://kms.example/"
NEVER_CONNECTED = [
    pytest.param(boto.ConnectTimeoutError(endpoint_url=URL), id="connecting took too long"),
    pytest.param(boto.SSLError(endpoint_url=URL, error="certificate"), id="TLS"),
    pytest.param(boto.ProxyConnectionError(proxy_url=URL), id="proxy"),
    pytest.param(boto.EndpointConnectionError(endpoint_url=URL, error=socket.gaierror(-2, "unknown")), id="DNS"),
    pytest.param(
        boto.EndpointConnectionError(
            endpoint_url=URL, error=ClientConnectorError.__new__(ClientConnectorError, None, OSError(111, "refused"))
        ),
        id="connection refused",
    ),
]
BROKEN_OFF = [
    pytest.param(boto.ReadTimeoutError(endpoint_url=URL), id="no answer in time"),
    pytest.param(TimeoutError(), id="the call took too long"),
    pytest.param(boto.ConnectionClosedError(endpoint_url=URL), id="connection closed"),
    pytest.param(boto.EndpointConnectionError(endpoint_url=URL, error=ConnectionResetError()), id="connection reset"),
    pytest.param(boto.HTTPClientError(error=ValueError("odd")), id="any other failure of HTTP"),
    pytest.param(ConnectionResetError(), id="a bare error of the socket"),
]


@pytest.mark.parametrize("error", NEVER_CONNECTED)
def test_never_connected(error: Exception) -> None:
    """Without a connection nothing was sent: unreachable, for an import too."""
    assert type(raised(error)) is errors.KmsUnreachable
    assert type(raised(error, changes=True)) is errors.KmsUnreachable


@pytest.mark.parametrize("error", BROKEN_OFF)
def test_broken_off(error: Exception) -> None:
    """After the request went out, silence proves nothing: unreachable for a reading, lost for an import."""
    assert type(raised(error)) is errors.KmsUnreachable
    assert type(raised(error, changes=True)) is errors.AnswerLost


@pytest.mark.parametrize("error", [*NEVER_CONNECTED, *BROKEN_OFF])
def test_nobody_answers_on_the_way_to_credentials(error: Exception) -> None:
    """This concerns no import, and the message and the way out name what was asked: KMS was blamed for STS."""
    found = raised(error, sent=NOT_SENT, asked="AssumeRole", changes=True)
    assert type(found) is errors.CredentialsUnreachable
    assert str(found).startswith("AssumeRole: ")
    assert "STS" in found.step
    assert isinstance(found, errors.KmsUnreachable)


@pytest.mark.parametrize("error", [AttributeError("'list' has no 'get'"), TypeError(), ValueError()], ids=repr)
def test_unparsable(error: Exception) -> None:
    """What the SDK's parser chokes on is no answer of KMS."""
    assert type(raised(error)) is errors.BadAnswer
    assert type(raised(error, changes=True)) is errors.AnswerLost


@pytest.mark.parametrize(
    "error",
    [boto.ParamValidationError(report="x"), boto.UnknownEndpointError(service_name="kms", region_name="mars")],
    ids=lambda error: type(error).__name__,
)
def test_impossible_request(error: Exception) -> None:
    """A request that the SDK itself refuses would be refused again."""
    assert type(raised(error, sent=NOT_SENT, changes=True)) is errors.RequestRefused


TOKEN = "dG9rZW4" * 60


@pytest.mark.parametrize(
    "message",
    [
        f"1 validation error detected: Value '{TOKEN}' at 'importToken' failed to satisfy constraint",
        f"Value '{' '.join(TOKEN)}' at 'importToken'",
        f"cannot read {TOKEN}",
    ],
    ids=["quoted", "quoted in pieces", "bare"],
)
def test_token_is_not_told(message: str) -> None:
    """A message that quotes what was sent loses the quotation, and so does the traceback."""
    found = raised(refusal("ValidationException", message), changes=True)
    assert TOKEN[:20] not in "".join(traceback.format_exception(found))
    assert " ".join(TOKEN[:20]) not in "".join(traceback.format_exception(found))
    assert "(left out)" in str(found)


def test_long_names_are_told() -> None:
    """The longest principal that IAM knows stays readable: it is what a person needs."""
    principal = f"arn:aws:sts::111122223333:assumed-role/{'r' * 64}/{'s' * 64}"
    assert principal in str(raised(refusal("AccessDeniedException", f"User: {principal} is not authorized")))


def test_one_short_line() -> None:
    """A message of many lines becomes one, of bounded length."""
    told = str(raised(refusal("ValidationException", "many words\n" * 1000)))
    assert "\n" not in told
    assert len(told) < 500


def test_cancellation_passes() -> None:
    """Cancelling is no failure."""
    with pytest.raises(asyncio.CancelledError), mapped("ImportKeyMaterial", Progress(sent=SENT), changes=True):
        raise asyncio.CancelledError


def test_own_errors_pass() -> None:
    """What is one of byokd's errors already stays what it is."""
    error = errors.BadAnswer("no Arn")
    assert raised(error) is error
