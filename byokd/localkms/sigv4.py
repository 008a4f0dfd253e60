"""Signature Version 4, as arithmetic: what is signed, under which key, and what the result must be.

    canonical request   method, path, query, signed headers, hash of the body
          │ SHA-256
    string to sign      algorithm, date, scope, that hash
          │ HMAC-SHA-256 under the signing key: secret ▸ date ▸ Region ▸ service ▸ "aws4_request"
    signature           64 hex digits

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The path is encoded
twice, as for every service but S3. This file must not know HTTP libraries, clocks, or who may do what.
"""

from __future__ import annotations

import calendar
import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hmac import HMAC, digest
from posixpath import normpath
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
UNRESERVED: Final = "-_.~"
DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
BLANKS: Final = re.compile(r" {2,}")


class Headers(Protocol):
    """Header fields by name, whatever its case."""

    def get(self, key: str, /) -> str | None:
        """The first field of that name."""

    def __contains__(self, key: object, /) -> bool:
        """Whether there is a field of that name."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Every field of that name, in order."""


class Message(NamedTuple):
    """A request as signatures see it."""

    method: str
    path: str
    """As it was sent, still encoded."""
    query: str
    """As it was sent, still encoded, without the question mark."""
    headers: Headers
    body: bytes


@lru_cache(maxsize=1024)
def moment(date: str) -> float | None:
    """The epoch seconds of a date in ISO 8601's basic format, `20260101T120000Z`. None: it is not one."""
    if not DATE.fullmatch(date):
        return None
    try:
        return float(calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")))
    except ValueError:  # the digits are there, but no such day or hour
        return None


def iso_date(seconds: float) -> str:
    """Epoch seconds in ISO 8601's basic format."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def signing_key(secret: str, date: str, region: str, service: str) -> HMAC:
    """The key that signs one day's requests to one service of one Region; `date` has eight digits."""
    key = encoded(f"AWS4{secret}")
    for part in (date, region, service, TERMINATOR):
        key = digest(key, encoded(part), "sha256")
    return HMAC(key, digestmod="sha256")


def canonical_request(message: Message, signed: Iterable[str], payload_hash: str) -> str:
    """The text that is signed in the end; `signed` names its headers, in small letters and sorted."""
    headers = message.headers
    fields = []
    for name in signed:
        values = headers.getall(name, [])
        value = values[0] if len(values) == 1 else ",".join(value.strip() for value in values)
        fields.append(f"{name}:{BLANKS.sub(' ', value.strip()) if '  ' in value else value}\n")
    path = "/" if message.path == "/" else canonical_path(message.path)
    query = canonical_query(message.query) if message.query else ""
    return f"{message.method}\n{path}\n{query}\n{''.join(fields)}\n{';'.join(signed)}\n{payload_hash}"


def canonical_path(path: str) -> str:
    """The path, normalized and encoded once more than it was sent."""
    normal = normpath(path).replace("//", "/", 1)
    if path.endswith("/") and normal != "/":
        normal += "/"
    return quote_from_bytes(encoded(normal), safe="/" + UNRESERVED)


def canonical_query(query: str) -> str:
    """The parameters, encoded in one way and sorted, without the signature itself."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    quoted = sorted((_quoted(name), _quoted(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in quoted if name != "X-Amz-Signature")


def query_parameters(query: str) -> Mapping[str, str]:
    """The parameters by name, decoded; of a repeated one the first."""
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        found.setdefault(unquote(name), unquote(value))
    return found


def string_to_sign(date: str, scope: str, canonical: str) -> str:
    """What the signing key signs; `scope` is date, Region, service and terminator with slashes between."""
    return f"{ALGORITHM}\n{date}\n{scope}\n{hashlib.sha256(encoded(canonical)).hexdigest()}"


def signature(key: HMAC, text: str) -> str:
    """The signature of a string to sign, in hex. The key, made ready once, is left as it is."""
    mac = key.copy()
    mac.update(encoded(text))
    return mac.hexdigest()


def encoded(text: str) -> bytes:
    """The bytes that a header or a path arrived as; what was no UTF-8 is carried by surrogates."""
    return text.encode("utf-8", "surrogateescape")


def _quoted(part: str) -> str:
    return quote_from_bytes(unquote_to_bytes(encoded(part)), safe=UNRESERVED)
