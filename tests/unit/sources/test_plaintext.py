"""The one place of plaintext: nothing stays behind, whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from byokd.errors import MaterialInvalid, SourceUnreadable
from byokd.facts.key import WrappingAlgorithm
from byokd.material.decode import Encoding
from byokd.sources.plaintext import Plaintext
from tests.kit.fake_source import FINGERPRINT_KEY

MATERIAL = b"thirty-two bytes of key material"


class Reading:
    """A reader that keeps the buffer it was given, as readers must not, so that a test can look into it."""

    def __init__(self, content: bytes = MATERIAL, error: Exception | None = None, hang: bool = False) -> None:
        self.content = content
        self.error = error
        self.hang = hang
        self.buffer = memoryview(b"")
        self.started = asyncio.Event()

    async def __call__(self, into: memoryview) -> int:
        self.buffer = into
        into[: len(self.content)] = self.content
        self.started.set()
        if self.hang:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return len(self.content)


def plaintext(encoding: Encoding = Encoding.RAW, max_bytes: int = 64) -> Plaintext:
    """The room for 64 bytes."""
    return Plaintext(encoding=encoding, max_bytes=max_bytes, fingerprint_key=FINGERPRINT_KEY)


def wiped(reading: Reading) -> bool:
    """Whether the buffer was used and holds only zeros now."""
    return len(reading.buffer) > 0 and not any(reading.buffer)


async def test_wiped_when_done() -> None:
    """After a proof, the buffer is zeros."""
    reading = Reading()
    assert (await plaintext().prove(reading)).length == len(MATERIAL)
    assert wiped(reading)


@pytest.mark.parametrize(
    ("reading", "room", "error"),
    [
        pytest.param(Reading(error=SourceUnreadable("gone")), plaintext(), SourceUnreadable, id="the reader failed"),
        pytest.param(Reading(), plaintext(Encoding.HEX), MaterialInvalid, id="not in its encoding"),
        pytest.param(Reading(), plaintext(max_bytes=31), MaterialInvalid, id="too much"),
    ],
)
async def test_wiped_when_refused(reading: Reading, room: Plaintext, error: type[Exception]) -> None:
    """After a refusal, the buffer is zeros."""
    with pytest.raises(error):
        await room.prove(reading)
    assert wiped(reading)


async def test_wiped_when_cancelled() -> None:
    """After a cancellation in the middle of reading, the buffer is zeros."""
    reading = Reading(hang=True)
    task = asyncio.create_task(plaintext().seal(reading, public_key=b"", algorithm=WrappingAlgorithm.OAEP_SHA_256))
    await reading.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wiped(reading)
