"""Who is calling: the account and Region that a request's signature names.

SigV4 signs under a credential scope, `access key id/date/Region/service/aws4_request`
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). KMS has no other place
where a request says its Region, so it is read from there. An access key id of 12 digits is taken for the account of
that number, so that several accounts live in one process; any other belongs to the default account.

The signature itself is not verified: this module must not pretend to, and nothing here may be taken for authentication.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from byokd.localkms.errors import Fault, Refusal

ALGORITHM: Final = "AWS4-HMAC-SHA256"
CREDENTIAL: Final = re.compile(r"\bCredential=([^,\s]{1,256})")
SCOPE: Final = re.compile(r"([^/\s]+)/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request")
ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)


class Caller(NamedTuple):
    """One account in one Region: what a key belongs to, and all that a request may see."""

    account: str
    region: str


def caller_of(headers: Mapping[str, str], *, default_account: str) -> Caller:
    """The account and Region that a request is signed for.

    Raises: Refusal with MissingAuthenticationTokenException without an Authorization header,
    IncompleteSignatureException when it holds no credential scope, InvalidSignatureException when the scope is of
    another service.
    """
    authorization = headers.get("Authorization")
    if authorization is None:
        raise Refusal(Fault.MISSING_AUTHENTICATION_TOKEN, "Missing Authentication Token")
    credential = CREDENTIAL.search(authorization) if authorization.startswith(ALGORITHM) else None
    if credential is None:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, "Authorization header requires 'Credential' parameter.")
    return _caller(credential[1], default_account)


@lru_cache(maxsize=1024)
def _caller(credential: str, default_account: str) -> Caller:
    scope = SCOPE.fullmatch(credential)
    if scope is None:
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            "Credential must have exactly 5 slash-delimited elements, "
            "e.g. keyid/date/region/service/term, got: '" + credential + "'",
        )
    access_key_id, _date, region, service = scope.groups()
    if service != "kms":
        raise Refusal(Fault.INVALID_SIGNATURE, "Credential should be scoped to correct service: 'kms'.")
    return Caller(access_key_id if ACCOUNT.fullmatch(access_key_id) else default_account, region)
