"""What went wrong with a call, in byokd's words.

The one question that matters for ImportKeyMaterial is whether KMS may have applied it. So a call carries a `Progress`,
which notes when its request starts out on the network; everything before that moment changed nothing::

    credentials ─▶ sign ─▶         request sent ─▶ connect ─▶ answer ─▶ parse
    │ CredentialsInvalid, CredentialsUnreachable │ KmsUnreachable │ AnswerLost, unless KMS said a clear no

A clear no is an error code of KMS below HTTP 500. A 5xx is not: KMS may have failed after it acted.

Error texts carry KMS's own message, because it names the key, the principal and what is wrong. Long runs of text in it
are cut out: a ValidationException can quote the member that it refuses, and that may be a token.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

# These are aiohttp's errors, by the names under which aiobotocore's own mapping knows them.
from aiobotocore.httpsession import ClientConnectorError
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from byokd import errors

_CODES: Final[dict[str, type[errors.KmsError]]] = {
    code: error
    for error, codes in {
        errors.Throttled: ("ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"),
        errors.AccessDenied: ("AccessDeniedException", "AccessDenied"),
        errors.KeyNotFound: ("NotFoundException",),
        errors.WrongKeyState: ("KMSInvalidStateException", "DisabledException", "ConflictException"),
        errors.AlreadyExists: ("AlreadyExistsException",),
        errors.WrongOrigin: ("UnsupportedOperationException",),
        errors.TokenRefused: ("InvalidImportTokenException", "ExpiredImportTokenException"),
        errors.CiphertextRefused: ("InvalidCiphertextException",),
        errors.CheckRefused: ("KMSInvalidSignatureException", "KMSInvalidMacException"),
        errors.MaterialRefused: ("IncorrectKeyMaterialException",),
        errors.KmsInternal: (
            "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException", "InternalFailure",
            "InternalError", "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout",
        ),
        errors.CredentialsInvalid: (
            "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException",
            "InvalidSignatureException", "SignatureDoesNotMatch", "MissingAuthenticationToken",
            "MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException",
            "RequestExpired", "RequestTimeTooSkewed", "NotAuthorized", "OptInRequired",
        ),
    }.items()
    for code in codes
}  # fmt: skip
"""KMS's errors by code: API reference of each operation, and "Common errors". Any other code below HTTP 500 is
RequestRefused, any at or above it KmsInternal."""

_NOT_CONNECTED: Final = (boto.ConnectTimeoutError, boto.SSLError, boto.ProxyConnectionError)
"""The connection did not come about, hence nothing was sent over it."""

_LONG_RUN: Final = re.compile(r"[^\s'\"]{201,}|'[^']{201,}'")
"""Longer than the ARN of an assumed role with its session (170), shorter than any token or ciphertext (344 and up)."""
_MESSAGE_CHARS: Final = 400


@dataclass(slots=True)
class Progress:
    """How far one call has come. Made for each call, and marked by the client's `before-send` event."""

    sent: bool = False
    asked: str = ""
    """The newest operation of whatever service, such as AssumeRole on the way to credentials."""


@contextmanager
def mapped(operation: str, progress: Progress, *, changes: bool) -> Iterator[None]:
    """Raise what goes wrong in the block as a KmsError, cause kept; cancellation passes.

    `changes` says that the operation changes KMS: then what may have been applied is AnswerLost.
    """
    try:
        yield
    except errors.KmsError:
        raise
    except Exception as error:  # noqa: BLE001  # the SDK's parser raises whatever a strange answer makes of it
        found, quotes = _found(operation, error, progress)
        uncertain = isinstance(found, errors.KmsInternal | errors.BadAnswer) or (
            isinstance(found, errors.KmsUnreachable) and not _never_connected(error)
        )
        if changes and progress.sent and uncertain:
            found = errors.AnswerLost(f"{found}; it may have been applied")
        # A cause that quotes what was sent would put it into a traceback.
        raise found from (None if quotes else error)


def _found(operation: str, error: Exception, progress: Progress) -> tuple[errors.KmsError, bool]:
    """The error in byokd's words, and whether the foreign one quotes something that must not be shown."""
    match error:
        case boto.ClientError() if error.operation_name != operation:
            # AssumeRole and its like, on the way to credentials.
            code, message, quotes = _told(error)
            return errors.CredentialsInvalid(f"{error.operation_name}: {code}: {message}"), quotes
        case boto.ClientError():
            return _refused(operation, error)
        case TimeoutError() | boto.HTTPClientError() | boto.ConnectionError() | OSError():
            return _unreachable(operation, error, progress), False
        case boto.ParamValidationError():
            return errors.RequestRefused(f"{operation}: the request does not fit AWS's model of it"), True
        case boto.EndpointProviderError() | boto.BaseEndpointResolverError() | boto.InvalidRegionError():
            return errors.RequestRefused(f"{operation}: {_clean(str(error))[0]}"), False
        case boto.BotoCoreError() if not progress.sent:
            return errors.CredentialsInvalid(f"{operation}: {_clean(str(error))[0]}"), False
        case _:
            # The parser quotes the whole answer that it cannot read, and one of STS has credentials in it.
            quotes, kind = isinstance(error, ResponseParserError), type(error).__name__
            if not progress.sent:
                return errors.CredentialsInvalid(f"{operation}: no usable credentials or endpoint ({kind})"), quotes
            return errors.BadAnswer(f"{operation}: the answer is not one of KMS ({kind})"), quotes


def _unreachable(operation: str, error: Exception, progress: Progress) -> errors.KmsUnreachable:
    late = isinstance(error, TimeoutError | boto.ReadTimeoutError)
    if progress.sent:
        return errors.KmsUnreachable(f"{operation}: {'no answer in time' if late else _clean(str(error))[0]}")
    what = "no answer in time" if progress.asked else "no credentials in time"
    told = f"{what}, and nothing was sent to KMS" if late else _clean(str(error))[0]
    return errors.CredentialsUnreachable(f"{progress.asked or operation}: {told}")


def _refused(operation: str, error: boto.ClientError) -> tuple[errors.KmsError, bool]:
    code, message, quotes = _told(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code.isdigit() or not code:
        # The SDK puts the HTTP status where KMS puts its code, and the body, whatever it is, in place of a message.
        told = f"{operation}: HTTP {status} without an error code of KMS"
        return (errors.KmsInternal(told) if status >= 500 else errors.BadAnswer(told)), True
    kind = _CODES.get(code, errors.KmsInternal if status >= 500 else errors.RequestRefused)
    return kind(f"{operation}: {code}: {message}" if message else f"{operation}: {code}"), quotes


def _told(error: boto.ClientError) -> tuple[str, str, bool]:
    told = error.response.get("Error", {})
    message, quotes = _clean(str(told.get("Message") or ""))
    return _clean(str(told.get("Code") or ""))[0], message, quotes


def _clean(text: str) -> tuple[str, bool]:
    """One short line without long runs, and whether anything was cut."""
    line = _LONG_RUN.sub("(left out)", " ".join(text.split()))
    return line[:_MESSAGE_CHARS], line != " ".join(text.split()) or len(line) > _MESSAGE_CHARS


def _never_connected(error: Exception) -> bool:
    if isinstance(error, boto.EndpointConnectionError):
        # The SDK says "could not connect" of connections reset in the middle as well; aiohttp's own error tells.
        return isinstance(error.kwargs.get("error"), ClientConnectorError | socket.gaierror)
    return isinstance(error, _NOT_CONNECTED)
