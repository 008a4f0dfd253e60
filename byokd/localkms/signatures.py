"""Who is calling: signatures are verified, and tell the account and Region that a request acts for.

SigV4 signs under a credential scope, `access key id/date/Region/service/aws4_request`, in the Authorization header or,
presigned, in the query. KMS has no other place where a request says its Region, so it is read from there. What is
verified depends on what is known::

    no credentials configured    form ▸ scope ▸ date ▸ hash of the body, where one is sent ▸ host is signed, and what is
                                 signed is there
    credentials configured       the same ▸ the access key is known ▸ HMAC, in constant time
    verification is off          scope

Without credentials any access key will do, so its secret is unknown and an HMAC proves nothing: whoever needs it proven
configures credentials. An access key id of 12 digits is then the account of that number, so that several accounts live
in one process; any other belongs to the default account. Configured credentials name their account.

Dates are read against real time, which is what clients sign with, however fast or far ahead the KMS's own clock is. A
date that fits the KMS's own clock is good as well: the AWS SDK for JavaScript takes the time over from the answers'
`Date`. Errors and their texts are those that AWS's JSON services give; the query services' InvalidClientTokenId is
UnrecognizedClientException here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from hmac import HMAC, compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple

from byokd.localkms import sigv4
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.sigv4 import ALGORITHM, TERMINATOR, UNSIGNED_PAYLOAD, Headers, Message

if TYPE_CHECKING:
    from byokd.localkms.options import Credential, Signatures

SERVICE: Final = "kms"
PARAMETERS: Final = ("Credential", "Signature", "SignedHeaders")
PRESIGNED: Final = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
EXPIRES_MAX_S: Final = 7 * 24 * 3600
SIGNING_KEYS_MAX: Final = 1024
"""Signing keys remembered; each is good for one access key, day and Region."""

WELL_FORMED: Final = re.compile(
    rf"{ALGORITHM} +Credential=([^,\s]{{1,256}}), ?SignedHeaders=([^,\s]{{1,2048}}), ?Signature=([^,\s]{{1,256}})"
)
"""What every SDK sends; anything else is taken apart slowly."""
PAIR: Final = re.compile(r"([A-Za-z]+)=([^,\s]+)")
REGION: Final = re.compile(r"[a-z0-9-]{1,64}")
ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
HEX_HASH: Final = re.compile(r"[0-9a-f]{64}")

MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
UNKNOWN_KEY: Final = "The security token included in the request is invalid."


class Caller(NamedTuple):
    """One account in one Region: what a key belongs to, and all that a request may see."""

    account: str
    region: str


class Identity(NamedTuple):
    """Who signed a request."""

    caller: Caller
    access_key_id: str


class Scope(NamedTuple):
    """A credential scope: what a signature is good for."""

    access_key_id: str
    date: str
    region: str

    @property
    def text(self) -> str:
        """The scope as it is signed, without the access key id."""
        return f"{self.date}/{self.region}/{SERVICE}/{TERMINATOR}"


class Claim(NamedTuple):
    """What a request says about its own signature."""

    scope: Scope
    date: str
    signed: str
    """Names of the signed headers, with semicolons between."""
    signature: str
    token: str | None
    valid_s: float | None
    """How long it is good after its date, seconds; None where it does not say."""


class Verifier:
    """Tells who signed a request, as strictly as the settings want it."""

    def __init__(self, settings: Signatures, *, default_account: str) -> None:
        self._settings = settings
        self._default_account = default_account
        self._signing_key = lru_cache(maxsize=SIGNING_KEYS_MAX)(self._derived_key)

    def identify(self, message: Message, *, real_now: float, own_now: float) -> Identity:
        """Who signed a request that arrived at `real_now`, or `own_now` on the KMS's own clock; epoch seconds.

        Raises: Refusal with MissingAuthenticationTokenException for no signature, IncompleteSignatureException for one
        of the wrong form, InvalidSignatureException for one that is too old, too new, of another service, over other
        headers or another body, or wrong; UnrecognizedClientException for an unknown access key or another session
        token.
        """
        authorization = message.headers.get("Authorization")
        if not self._settings.verify:
            return self._identity(_scope(_credential(authorization, message.query)), None)
        if authorization is not None:
            claim = _claim_of_header(authorization, message.headers)
        elif "X-Amz-" in message.query:
            claim = _claim_of_query(sigv4.query_parameters(message.query))
        else:
            raise Refusal(Fault.MISSING_AUTHENTICATION_TOKEN, "Missing Authentication Token")
        self._check_date(claim, real_now, own_now)
        payload_hash = _payload_hash(message)
        signed = _signed_headers(claim.signed)
        headers = message.headers
        if not HEX_HASH.fullmatch(claim.signature) or [name for name in signed if name not in headers]:
            raise Refusal(Fault.INVALID_SIGNATURE, MISMATCH)  # whatever the secret is
        known = None
        if self._settings.credentials:
            known = self._known(claim)
            self._check_signature(claim, message, signed, payload_hash)
        return self._identity(claim.scope, known)

    def _identity(self, scope: Scope, known: Credential | None) -> Identity:
        if known is not None:
            account = known.account
        else:
            account = scope.access_key_id if ACCOUNT.fullmatch(scope.access_key_id) else self._default_account
        return Identity(Caller(account, scope.region), scope.access_key_id)

    def _known(self, claim: Claim) -> Credential:
        known = self._settings.credentials.get(claim.scope.access_key_id)
        if known is None:
            raise Refusal(Fault.UNRECOGNIZED_CLIENT, UNKNOWN_KEY)
        if known.session_token is not None and not _same(known.session_token, claim.token or ""):
            raise Refusal(Fault.UNRECOGNIZED_CLIENT, UNKNOWN_KEY)
        return known

    def _check_date(self, claim: Claim, real_now: float, own_now: float) -> None:
        signed_at = sigv4.moment(claim.date)
        if signed_at is None:
            message = f"Date must be in ISO-8601 'basic format'. Got '{claim.date}'."
            raise Refusal(Fault.INCOMPLETE_SIGNATURE, f"{message} See http://en.wikipedia.org/wiki/ISO_8601")
        if claim.date[:8] != claim.scope.date:
            raise Refusal(
                Fault.INVALID_SIGNATURE,
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{claim.scope.date}' != '{claim.date[:8]}', from '{claim.date}'.",
            )
        skew = self._settings.skew_s
        valid = skew if claim.valid_s is None else claim.valid_s
        if -skew <= real_now - signed_at <= valid or -skew <= own_now - signed_at <= valid:
            return
        now = min(real_now, own_now, key=lambda moment: abs(moment - signed_at))
        shown, margin = sigv4.iso_date(now), f"{skew / 60:g} min."
        if now < signed_at:
            latest = f"{sigv4.iso_date(now + skew)} ({shown} + {margin})"
            raise Refusal(
                Fault.INVALID_SIGNATURE, f"Signature not yet current: {claim.date} is still later than {latest}"
            )
        earliest = f"{sigv4.iso_date(now - valid)} ({shown} - {valid / 60:g} min.)"
        raise Refusal(Fault.INVALID_SIGNATURE, f"Signature expired: {claim.date} is now earlier than {earliest}")

    def _check_signature(self, claim: Claim, message: Message, signed: tuple[str, ...], payload_hash: str) -> None:
        canonical = sigv4.canonical_request(message, signed, payload_hash)
        text = sigv4.string_to_sign(claim.date, claim.scope.text, canonical)
        if not _same(sigv4.signature(self._signing_key(claim.scope), text), claim.signature):
            # AWS shows both texts too: what was signed is the caller's own, and comparing is how the mistake is found.
            raise Refusal(
                Fault.INVALID_SIGNATURE,
                f"{MISMATCH}\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
                f"The String-to-Sign should have been\n'{text}'\n",
            )

    def _derived_key(self, scope: Scope) -> HMAC:
        secret = self._settings.credentials[scope.access_key_id].secret
        return sigv4.signing_key(secret, scope.date, scope.region, SERVICE)


def _claim_of_header(authorization: str, headers: Headers) -> Claim:
    date = headers.get("X-Amz-Date") or headers.get("Date")
    parsed = WELL_FORMED.fullmatch(authorization)
    if parsed is not None:
        credential, signed, signature = parsed.groups()
    else:
        found = dict(PAIR.findall(authorization)) if authorization.startswith(f"{ALGORITHM} ") else {}
        missing = [f"Authorization header requires '{name}' parameter." for name in PARAMETERS if name not in found]
        if missing:
            raise Refusal(Fault.INCOMPLETE_SIGNATURE, " ".join(missing + _date_missing(date)))
        credential, signature, signed = (found[name] for name in PARAMETERS)
    if date is None:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, _date_missing(date)[0])
    return Claim(_scope(credential), date, signed, signature, headers.get("X-Amz-Security-Token"), None)


def _date_missing(date: str | None) -> list[str]:
    if date is not None:
        return []
    return ["Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."]


def _claim_of_query(parameters: Mapping[str, str]) -> Claim:
    missing = [f"AWS query-string parameters must include '{name}'." for name in PRESIGNED if not parameters.get(name)]
    if missing:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, " ".join(missing))
    algorithm, credential, signature, signed, date = (parameters[name] for name in PRESIGNED)
    if algorithm != ALGORITHM:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, f"Unsupported AWS 'algorithm': '{algorithm}'.")
    expires = parameters.get("X-Amz-Expires")
    if expires is not None and not (re.fullmatch(r"[0-9]{1,6}", expires) and 1 <= int(expires) <= EXPIRES_MAX_S):
        message = f"X-Amz-Expires must be between 1 and {EXPIRES_MAX_S} seconds. Got '{expires}'."
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, message)
    valid_s = None if expires is None else float(expires)
    return Claim(_scope(credential), date, signed, signature, parameters.get("X-Amz-Security-Token"), valid_s)


def _credential(authorization: str | None, query: str) -> str:
    """The credential of a signature that is not to be verified."""
    if authorization is None:
        credential = sigv4.query_parameters(query).get("X-Amz-Credential")
        if credential is None:
            raise Refusal(Fault.MISSING_AUTHENTICATION_TOKEN, "Missing Authentication Token")
        return credential
    found = dict(PAIR.findall(authorization)) if authorization.startswith(ALGORITHM) else {}
    if "Credential" not in found:
        raise Refusal(Fault.INCOMPLETE_SIGNATURE, "Authorization header requires 'Credential' parameter.")
    return str(found["Credential"])


@lru_cache(maxsize=1024)
def _scope(credential: str) -> Scope:
    parts = credential.split("/")
    if len(parts) != 5 or not all(parts):
        raise Refusal(
            Fault.INCOMPLETE_SIGNATURE,
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got: '{credential}'",
        )
    access_key_id, date, region, service, terminator = parts
    problems = []
    if not REGION.fullmatch(region):
        problems.append(f"Credential should be scoped to a valid region, not '{region}'.")
    if service != SERVICE:
        problems.append(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if terminator != TERMINATOR:
        problems.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.")
    if problems:
        raise Refusal(Fault.INVALID_SIGNATURE, " ".join(problems))
    return Scope(access_key_id, date, region)


@lru_cache(maxsize=1024)
def _signed_headers(listed: str) -> tuple[str, ...]:
    names = tuple(listed.split(";"))
    if "host" not in names:
        message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        raise Refusal(Fault.INVALID_SIGNATURE, message)
    return names


def _payload_hash(message: Message) -> str:
    """The hash that is signed. Raises: Refusal when the request itself says another."""
    said = message.headers.get("X-Amz-Content-Sha256")
    if said == UNSIGNED_PAYLOAD:
        return said
    found = hashlib.sha256(message.body).hexdigest()
    if said is not None and said != found and HEX_HASH.fullmatch(said):
        raise Refusal(Fault.INVALID_SIGNATURE, MISMATCH)
    return found


def _same(one: str, other: str) -> bool:
    return compare_digest(sigv4.encoded(one), sigv4.encoded(other))
