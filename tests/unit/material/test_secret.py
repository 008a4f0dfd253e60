"""Secrets: silent, comparable, and wiped."""

from __future__ import annotations

import copy
import pickle

import pytest

from byokd.material.secret import Secret, forget

CONTENT = b"do not tell anybody about this!!"


def test_wiped_on_exit() -> None:
    """Leaving the block zeroes the buffer, the part beyond the secret's length included."""
    buffer = bytearray(CONTENT)
    with Secret(buffer, 8) as secret:
        assert secret.view == CONTENT[:8]
    assert buffer == bytes(len(CONTENT))


def test_wiped_on_error() -> None:
    """An error that passes through the block leaves nothing behind either."""
    buffer = bytearray(CONTENT)

    def use() -> None:
        with Secret(buffer):
            raise LookupError

    with pytest.raises(LookupError):
        use()
    assert buffer == bytes(len(CONTENT))


def test_closed_is_closed() -> None:
    """A wiped secret refuses to be read, because zeros would pass for material; closing it again is harmless."""
    secret = Secret(bytearray(CONTENT))
    secret.close()
    secret.close()
    with pytest.raises(ValueError, match="wiped"):
        _ = secret.view


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{!r:>80}".format, "%s".__mod__],
    ids=["repr", "str", "format", "format with a width", "percent"],
)
def test_redacted(show) -> None:
    """No way of turning a secret into text shows its content."""
    shown = show(Secret(bytearray(CONTENT)))
    assert "tell" not in shown
    assert "32 bytes" in shown


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, pickle.dumps, bytes, list], ids=lambda way: way.__name__
)
def test_not_duplicated(duplicate) -> None:
    """A secret cannot be copied, pickled or listed in passing: such a copy would not be wiped."""
    with pytest.raises(TypeError):
        duplicate(Secret(bytearray(CONTENT)))


def test_not_written_through() -> None:
    """The view cannot be written to."""
    with pytest.raises(TypeError):
        Secret(bytearray(CONTENT)).view[0] = 0


def test_compared() -> None:
    """Secrets are equal by content and length, and to nothing else."""
    assert Secret(bytearray(CONTENT)) == Secret(bytearray(CONTENT + b"?"), len(CONTENT))
    assert Secret(bytearray(CONTENT)) != Secret(bytearray(CONTENT[:-1]))
    assert Secret(bytearray(CONTENT)) != CONTENT
    with pytest.raises(TypeError):
        hash(Secret(bytearray(CONTENT)))


def test_longer_than_buffer() -> None:
    """A length beyond the buffer is a defect of the caller, and the buffer is wiped all the same."""
    buffer = bytearray(CONTENT)
    with pytest.raises(ValueError, match="longer"):
        Secret(buffer, len(CONTENT) + 1)
    assert buffer == bytes(len(CONTENT))


def test_immutable_copy_is_overwritten() -> None:
    """The copy made for a library is zeros after the block."""
    with Secret(bytearray(CONTENT)).immutable() as content:
        assert content == CONTENT
    assert content == bytes(len(CONTENT))


def test_shared_bytes_are_spared() -> None:
    """One-byte strings belong to the whole interpreter and are not overwritten."""
    forget(b"A")
    assert bytes([65]).decode() == "A"
