"""Encodings, read strictly."""

from __future__ import annotations

import traceback

import pytest

from byokd.errors import MaterialInvalid
from byokd.material.decode import Encoding, decode
from byokd.material.secret import Secret

KEY = bytes(range(240, 256)) + bytes(range(16))
KEY_HEX = KEY.hex().encode()
KEY_BASE64 = b"8PHy8/T19vf4+fr7/P3+/wABAgMEBQYHCAkKCwwNDg8="


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        pytest.param(Encoding.RAW, KEY, id="raw"),
        pytest.param(Encoding.HEX, KEY_HEX, id="hex"),
        pytest.param(Encoding.HEX, KEY_HEX.upper(), id="capital hex"),
        pytest.param(Encoding.HEX, b"\t" + KEY_HEX + b"\r\n", id="hex with white space around"),
        pytest.param(Encoding.BASE64, KEY_BASE64, id="base64"),
        pytest.param(Encoding.BASE64, b" " + KEY_BASE64 + b"\n\n", id="base64 with white space around"),
    ],
)
def test_read(encoding: Encoding, written: bytes) -> None:
    """Every encoding yields the same 32 bytes."""
    with decode(Secret(bytearray(written)), encoding) as material:
        assert material.view == KEY


def test_raw_is_untouched() -> None:
    """Raw material keeps its white space: a key may well end in 0x0a."""
    with decode(Secret(bytearray(b" key\n")), Encoding.RAW) as material:
        assert bytes(material.view) == b" key\n"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        pytest.param(Encoding.RAW, b"", id="nothing"),
        pytest.param(Encoding.HEX, b" \n", id="only white space"),
        pytest.param(Encoding.HEX, KEY_HEX[:-1], id="half a byte missing"),
        pytest.param(Encoding.HEX, b"0x" + KEY_HEX, id="a prefix"),
        pytest.param(Encoding.HEX, KEY_HEX[:32] + b"\n" + KEY_HEX[32:], id="a line break within hex"),
        pytest.param(Encoding.HEX, KEY_BASE64, id="base64 taken for hex"),
        pytest.param(Encoding.BASE64, KEY_BASE64[:-1], id="padding missing"),
        pytest.param(Encoding.BASE64, KEY_BASE64[:-1] + b"==", id="too much padding"),
        pytest.param(Encoding.BASE64, KEY_BASE64 + b"AAAA", id="more after the padding"),
        pytest.param(Encoding.BASE64, KEY_BASE64.replace(b"+", b"-"), id="the URL-safe alphabet"),
        pytest.param(Encoding.BASE64, KEY_BASE64[:20] + b"\n" + KEY_BASE64[20:], id="a line break within base64"),
        pytest.param(Encoding.BASE64, "schlüssel".encode(), id="not ASCII"),
    ],
)
def test_refused(encoding: Encoding, written: bytes) -> None:
    """What is not wholly in its encoding is refused, and no word of it gets into the error."""
    with pytest.raises(MaterialInvalid) as refused:
        decode(Secret(bytearray(written)), encoding)
    told = "".join(traceback.format_exception(refused.value))
    assert not written.strip() or written.decode(errors="replace").strip() not in told
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


PEM = b"-----BEGIN PRIVATE KEY-----\n8PHy8/T19vf4+fr7/P3+/wAB\nAgMEBQYHCAkKCwwNDg8=\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(PEM, id="as openssl writes it"),
        pytest.param(b"\n " + PEM.replace(b"\n", b"\r\n"), id="with the line ends of Windows, and space before"),
        pytest.param(PEM.replace(b"wAB\n", b"wAB"), id="on one line"),
    ],
)
def test_pem(written: bytes) -> None:
    """PEM comes to the DER inside."""
    with decode(Secret(bytearray(written)), Encoding.PEM) as material:
        assert material.view == KEY


@pytest.mark.parametrize(
    ("written", "told"),
    [
        pytest.param(PEM.replace(b"PRIVATE", b"EC PRIVATE"), "PEM of a SEC 1 private key, not a PKCS #8", id="SEC 1"),
        pytest.param(PEM.replace(b"PRIVATE", b"RSA PRIVATE"), "PEM of a PKCS #1 private key", id="PKCS #1"),
        pytest.param(PEM.replace(b"PRIVATE", b"ENCRYPTED PRIVATE"), "of an encrypted private key", id="encrypted"),
        pytest.param(PEM.replace(b"PRIVATE KEY", b"CERTIFICATE"), "PEM of something else", id="a certificate"),
        pytest.param(PEM + PEM, "not one PEM block", id="two keys"),
        pytest.param(b"Bag Attributes\n" + PEM, "not one PEM block", id="words around it"),
        pytest.param(PEM[:-20], "not one PEM block", id="cut short"),
        pytest.param(PEM.replace(b"8=\n", b"8\n"), "not base64", id="a digit lost"),
        pytest.param(KEY, "not one PEM block", id="raw bytes"),
        pytest.param(b"\n", "no material at all", id="nothing"),
    ],
)
def test_what_is_no_pem_of_a_private_key(written: bytes, told: str) -> None:
    """The form that stands there by mistake is named, and none of the content."""
    with pytest.raises(MaterialInvalid) as raised:
        decode(Secret(bytearray(written)), Encoding.PEM)
    assert told in str(raised.value)
    assert "8PHy8" not in "".join(traceback.format_exception(raised.value))
