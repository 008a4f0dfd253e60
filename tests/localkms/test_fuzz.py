"""Anything at all over the wire: each request is answered in AWS's words or its connection ends, and others go on.

Nothing may be answered by a 500, by a stack trace, or not at all; what is answered to HTTP is AWS JSON.
"""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import HealthCheck, given, settings

from byokd.localkms.model import service_model
from byokd.localkms.operations import OPERATIONS
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, REGION
from .service import Service

SCOPE: Final = f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20270115/{REGION}/kms/aws4_request"
SIGNED: Final = f"{SCOPE}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
DATE: Final = "20270115T080000Z"
PATIENCE_S: Final = 10.0
FUZZ = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)

# -- what is sent ----------------------------------------------------------------------------------------------------

# Whatever JSON can be; surrogates and control characters included, for JSON escapes them.
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("x" * 9000), st.just(10**400)
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
LINE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)


@pytest.fixture(scope="module", params=[False, True], ids=["unverified", "verified"])
def service(request: pytest.FixtureRequest, wrapping_keys: WrappingKeys) -> Iterator[Service]:
    """A server in memory that verifies signatures, or does not, so that more comes through to the rules."""
    running = Service(None, wrapping_keys, verify=request.param)
    yield running
    running.close()


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    """The ARN of a key with material."""
    headers = {"X-Amz-Target": "TrentService.CreateKey", "Authorization": SIGNED}
    _, answer = answered(service, request_of(headers, b"{}"))
    return str(json.loads(answer)["KeyMetadata"]["Arn"])


def right(shape: Shape, key: str) -> st.SearchStrategy[Any]:
    """A value nearly as the service model wants it; what it means may still be nonsense."""
    if isinstance(shape, StructureShape):
        required = set(shape.required_members)
        members = {name: right(member, key) for name, member in shape.members.items()}
        return st.fixed_dictionaries(
            {name: each for name, each in members.items() if name in required},
            optional={name: each for name, each in members.items() if name not in required},
        )
    if isinstance(shape, ListShape):
        return st.lists(right(shape.member, key), max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(st.text(max_size=5), right(shape.value, key), max_size=3)
    match shape.type_name:
        case "blob":
            return st.binary(min_size=1, max_size=40).map(lambda blob: b64encode(blob).decode())
        case "integer":
            return st.integers(1, 100) | st.integers(-2, 5000)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.floats(0, 4e9)
        case _ if shape.name in {"KeyIdType", "ArnType"}:
            return st.sampled_from([key, key, key, key.rpartition("/")[2], "alias/a", "a"])
        case _:
            words = list(getattr(shape, "enum", ())) or ["alias/a", "us-east-1", "a", "0" * 64]
            return st.sampled_from(words) | st.sampled_from(words) | st.text(max_size=10)


def request_of(headers: dict[str, str], body: bytes, method: str = "POST", path: str = "/") -> bytes:
    """A whole HTTP request; headers that are given replace the usual ones."""
    usual = {
        "Host": "kms",
        "X-Amz-Date": DATE,
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (usual | headers).items())]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """A body in chunks of these sizes, the last one taking what is left."""
    parts = []
    for size in [*sizes, len(body)]:
        part, body = body[:size], body[size:]
        if part:
            parts.append(b"%x\r\n%s\r\n" % (len(part), part))
    return b"".join(parts) + b"0\r\n\r\n"


# -- what comes back -------------------------------------------------------------------------------------------------


def said(service: Service, data: bytes, *, torn: bool = False) -> bytes:
    """All that the server says to these bytes before it closes, in time; `torn` says that nothing more will come."""
    host, port = service.address.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        found = b""
        try:
            connection.sendall(data)
            if torn:
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(1 << 16):
                found += more
        except (ConnectionResetError, BrokenPipeError):
            pass  # an answer may be overtaken by the end of a connection that still had something to read
        return found


def answered(service: Service, data: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to a whole request."""
    head, _, body = said(service, data).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def check(service: Service, data: bytes) -> None:
    """A whole request is answered in AWS's words, and somebody else is served after it."""
    status, body = answered(service, data)
    assert status in {200, 400, 413}, (status, body[:500])
    if status != 200:
        assert isinstance(json.loads(body)["__type"], str)
    still_there(service)


def still_there(service: Service) -> None:
    """A friendly client is served."""
    headers = {"X-Amz-Target": "TrentService.ListKeys", "Authorization": SIGNED}
    status, body = answered(service, request_of(headers, b"{}"))
    assert status == 200
    assert "Keys" in json.loads(body)


def test_a_refusal_that_quotes_what_is_no_text(service: Service) -> None:
    """An answer must be UTF-8, though the header that it quotes is not: the encoder refused it, and nobody answered."""
    headers = {"X-Amz-Target": "TrentService.ListKeys", "Authorization": SIGNED, "X-Amz-Date": "2027\xff"}
    check(service, request_of(headers, b"{}"))


@settings(FUZZ, max_examples=700)
@given(data=st.data())
def test_members_of_any_kind(service: Service, key: str, data: st.DataObject) -> None:
    """Requests of each operation, with members as the model wants them or not, end in an answer or in AWS's error."""
    operation = data.draw(st.sampled_from(sorted(OPERATIONS)))
    shape = service_model().operation_model(operation).input_shape
    members = data.draw(right(shape, key))
    for name in data.draw(st.sets(st.sampled_from(sorted(shape.members)), max_size=1)) if shape.members else ():
        members[name] = data.draw(JUNK)
    headers = {"X-Amz-Target": f"TrentService.{operation}", "Authorization": SIGNED}
    check(service, request_of(headers, json.dumps(members).encode()))


@settings(FUZZ, max_examples=300)
@given(
    operation=st.sampled_from(sorted(OPERATIONS)),
    body=st.one_of(st.binary(max_size=200), JUNK.map(lambda value: json.dumps(value).encode())),
    sizes=st.none() | st.lists(st.integers(1, 50), max_size=4),
)
def test_bodies_of_any_kind(service: Service, operation: str, body: bytes, sizes: list[int] | None) -> None:
    """Bodies that are no JSON, no object, or come in chunks, end in an answer or an error of AWS's."""
    headers = {"X-Amz-Target": f"TrentService.{operation}", "Authorization": SIGNED}
    whole = request_of(headers, body)
    if sizes is not None:
        whole = whole.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
        whole = whole[: len(whole) - len(body)] + chunked(body, sizes)
    check(service, whole)


@settings(FUZZ, max_examples=300)
@given(
    method=st.sampled_from(["POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"]),
    path=LINE.map(lambda text: "/" + text.replace(" ", "+")),
    headers=st.dictionaries(
        st.sampled_from(["X-Amz-Target", "Authorization", "Content-Type", "X-Amz-Date", "Content-Encoding", "Accept"]),
        st.one_of(LINE, st.sampled_from([SCOPE, SIGNED, SIGNED[:60], "TrentService.ListKeys", "gzip", "text/plain"])),
    ),
)
def test_heads_of_any_kind(service: Service, method: str, path: str, headers: dict[str, str]) -> None:
    """Any method, path, target, type or signature gets an answer, of AWS's kind unless it was no HTTP."""
    status, body = answered(service, request_of(headers, b"{}", method, path.encode("ascii", "replace").decode()))
    assert status in {200, 400}, (status, body[:500])
    assert b"Traceback" not in body
    still_there(service)


@settings(FUZZ, max_examples=300)
@given(cut=st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4))
def test_torn_and_damaged_requests(service: Service, key: str, cut: int, flips: list[tuple[int, int]]) -> None:
    """A request that ends anywhere, or has any bytes changed, ends its own connection at the worst, and no other."""
    headers = {"X-Amz-Target": "TrentService.DescribeKey", "Authorization": SIGNED}
    damaged = bytearray(request_of(headers, json.dumps({"KeyId": key}).encode()))
    for place, bits in flips:
        damaged[place % len(damaged)] ^= bits
    found = said(service, bytes(damaged if flips else damaged[:cut]), torn=True)
    assert not found or found.split()[1] in {b"200", b"400", b"413"}, found[:500]
    assert b"Traceback" not in found
    still_there(service)
