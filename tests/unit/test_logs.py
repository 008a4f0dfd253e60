"""Log lines, and what never gets into them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from botocore.parsers import ResponseParserError

from byokd import logs
from tests.kit.logged import logging_restored

MATERIAL = b"\x01\x02 material \xff"


class Secret:
    """Stands in for `byokd.material.secret.Secret`, which logs must recognise without importing it."""

    def __str__(self) -> str:
        return "plaintext"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with logging_restored():
        yield


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json():
    """A line has its event, level, logger, UTC time and fields."""
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger("byokd.test").info("order_given", key="alias/a")
    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["logger"], line["key"]) == (
        "order_given",
        "info",
        "byokd.test",
        "alias/a",
    )
    assert line["timestamp"].endswith("Z")


def test_level():
    """Lines below the level are not written, nor are others' below WARNING."""
    stream = io.StringIO()
    logs.configure(level="warning", stream=stream)
    structlog.get_logger("byokd.test").info("quiet")
    logging.getLogger("aiobotocore").info("chatter")
    logging.getLogger("aiobotocore").warning("trouble")
    assert [line["event"] for line in _lines(stream)] == ["trouble"]


@pytest.mark.parametrize(
    "value",
    [
        MATERIAL,
        bytearray(MATERIAL),
        memoryview(MATERIAL),
        Secret(),
        [MATERIAL],
        (Secret(),),
        {"deep": {"er": MATERIAL}},
        {MATERIAL: 1},
        [[[[[[[[MATERIAL]]]]]]]],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("format_", ["json", "console"])
def test_redaction(value: object, format_: str):
    """Bytes and secrets are replaced wherever they stand, in both forms."""
    stream = io.StringIO()
    logs.configure(format=format_, stream=stream)
    structlog.get_logger("byokd.test").warning("event", value=value)
    logging.getLogger("other").warning("value %s and %r", value, value)
    assert stream.getvalue().count(logs.REDACTED) >= 3
    assert "material" not in stream.getvalue()
    assert "plaintext" not in stream.getvalue()


def _fail(held: str) -> None:
    raise LookupError(len(held))


@pytest.mark.parametrize("format_", ["json", "console"])
def test_exceptions_without_local_variables(format_: str):
    """A traceback shows the code and not the values of its variables."""
    stream = io.StringIO()
    logs.configure(format=format_, stream=stream)
    try:
        _fail("value-of-" + "a-local")
    except LookupError:
        structlog.get_logger("byokd.test").exception("failed")
        logging.getLogger("other").exception("failed")
    assert stream.getvalue().count("LookupError: 16") == 2
    assert "value-of-a-local" not in stream.getvalue()


def test_hidden(capsys: pytest.CaptureFixture[str]):
    """Without a stream nothing is written anywhere."""
    logs.configure(stream=None)
    structlog.get_logger("byokd.test").error("event")
    logging.getLogger("other").error("event")
    assert capsys.readouterr() == ("", "")


def test_others_warnings_have_one_line():
    """A role that is refused at each call does not drown the log in the SDK's tracebacks; an error keeps its own."""
    stream = io.StringIO()
    logs.configure(stream=stream)
    refused = ValueError("AccessDenied: 100 % no")
    logging.getLogger("aiobotocore.credentials").warning("Refreshing %s failed.", "credentials", exc_info=refused)
    logging.getLogger("asyncio").error("Refreshing %s failed.", "credentials", exc_info=refused)
    warning, error = _lines(stream)
    assert warning["event"] == "Refreshing credentials failed. ValueError: AccessDenied: 100 % no"
    assert "exception" not in warning
    assert error["exception"].startswith("ValueError: ")


def test_what_others_could_not_read_is_not_repeated():
    """The SDK's parser puts the answer into its error, and one of STS has credentials in it."""
    stream = io.StringIO()
    logs.configure(stream=stream)
    unread = ResponseParserError("invalid XML received: <SessionToken>hush")
    logging.getLogger("aiobotocore.credentials").warning("Refreshing failed.", exc_info=unread)
    (line,) = _lines(stream)
    assert line["event"] == "Refreshing failed. ResponseParserError"
    assert "hush" not in stream.getvalue()


def test_others_warnings_are_not_repeated_for_minutes():
    """A role that was refused wrote a line for every look at every key of its lane, which said the same each time."""
    stream = io.StringIO()
    logs.configure(stream=stream)

    def at(second: float, text: str, *, name: str = "aiobotocore.credentials", level: int = logging.WARNING) -> None:
        known = {"name": name, "levelno": level, "levelname": logging.getLevelName(level), "msg": text}
        logging.getLogger(name).handle(logging.makeLogRecord(known | {"created": second}))

    for second in (0, 1, 299, 300, 301):
        at(second, "role a")
    at(2, "role b")
    at(3, "role a", name="other")
    for second in (4, 5):
        at(second, "role a", level=logging.ERROR)
        at(second, "role a", name="byokd.test")
    told = [(line["logger"], line["level"], line["event"]) for line in _lines(stream)]
    assert told == [
        *[("aiobotocore.credentials", "warning", "role a")] * 2,
        ("aiobotocore.credentials", "warning", "role b"),
        ("other", "warning", "role a"),
        *[("aiobotocore.credentials", "error", "role a"), ("byokd.test", "warning", "role a")] * 2,
    ]
    for number in range(1001):  # what is remembered is bounded
        at(600, f"role {number}")
    at(600, "role 1")
    assert [line["event"] for line in _lines(stream)][-1] == "role 1"
