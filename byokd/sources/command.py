"""Material from a command's standard output.

    argv with {locator} ─▶ own process group, no shell, no stdin, small environment
                           stdout ─▶ the caller's buffer, by readv: no copy in between
                           stderr ─▶ counted, never kept: commands print what they were given when they fail

The pipes are byokd's own and are read straight into the buffer that will be wiped; asyncio's streams would leave
copies. On timeout, cancellation or too much output the whole process group is killed, so that a wrapper script takes
its children with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from typing import Final

from byokd.errors import SourceUnreadable
from byokd.facts.key import WrappingAlgorithm
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.material.secret import wipe
from byokd.ports import MaterialProof, Sealed
from byokd.sources.plaintext import MAX_BYTES, Plaintext, Reader

PLACEHOLDER: Final = "{locator}"
ENVIRONMENT: Final = ("PATH", "HOME", "LANG")
"""What a command always inherits; `environment` names more, e.g. VAULT_ADDR."""
TIMEOUT_S: Final = 30.0
_REAP_S: Final = 5.0
"""How long to wait for a killed process to be gone. Only one stuck in the kernel takes longer."""
_PIPE_READS: Final = 16
"""Reads that empty a full pipe of 64 KiB; more means that somebody still writes."""


class CommandSource:
    """A `Source` that runs a command; the locator takes the place of `{locator}` in its arguments."""

    def __init__(
        self,
        name: str,
        *,
        argv: Sequence[str],
        encoding: Encoding,
        fingerprint_key: FingerprintKey,
        timeout_s: float = TIMEOUT_S,
        max_bytes: int = MAX_BYTES,
        environment: Sequence[str] = (),
    ) -> None:
        """`timeout_s` bounds the whole run; `environment` names variables to pass on beside PATH, HOME and LANG.

        Raises: ValueError if `argv` is empty or its first element holds the placeholder.
        """
        if not argv or PLACEHOLDER in argv[0]:
            raise ValueError("a command needs a program, and the locator does not choose it")
        self.name = name
        self._argv = tuple(argv)
        self._timeout_s = timeout_s
        self._environment = (*ENVIRONMENT, *environment)
        self._plaintext = Plaintext(encoding=encoding, max_bytes=max_bytes, fingerprint_key=fingerprint_key)

    async def prove(self, locator: str) -> MaterialProof:
        """See `ports.Source`. Raises MaterialInvalid too if the command writes more than `max_bytes`."""
        return await self._plaintext.prove(self._reader(locator))

    async def seal(self, locator: str, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """See `ports.Source`."""
        return await self._plaintext.seal(self._reader(locator), public_key=public_key, algorithm=algorithm)

    def _reader(self, locator: str) -> Reader:
        argv = [self._argument(template, locator) for template in self._argv]

        async def read(into: memoryview) -> int:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._run(argv, into)
            except TimeoutError as error:
                raise self._failed(f"did not finish within {self._timeout_s:g} s and was killed") from error

        return read

    def _argument(self, template: str, locator: str) -> str:
        argument = template.replace(PLACEHOLDER, locator)
        if argument.startswith("-") and not template.startswith("-"):
            raise SourceUnreadable(f"source {self.name}: {locator!r} would be read as an option, not as a name")
        if "\0" in argument:
            raise SourceUnreadable(f"source {self.name}: the locator holds a NUL character")
        return argument

    async def _run(self, argv: Sequence[str], into: memoryview) -> int:
        with _pipe() as (stdout, stdout_end), _pipe() as (stderr, stderr_end):
            process = await self._start(argv, stdout_end, stderr_end)
            # The command alone holds the writing ends now, so that its end is the end of the pipe.
            stdout_end.close()
            stderr_end.close()
            finished = False
            try:
                with _discarding(stderr) as discarded:
                    length = await _fill(stdout, into)
                    if length == len(into):
                        return length  # too much, which `Plaintext` refuses; the command is not waited for
                    exit_code = await process.wait()
                    finished = True
            finally:
                if not finished:
                    await _kill(process)
        if exit_code:
            raise self._failed(f"{_ending(exit_code)} ({discarded.count} bytes on standard error, not shown)")
        return length

    async def _start(self, argv: Sequence[str], stdout: FileIO, stderr: FileIO) -> Process:
        environment = {name: value for name in self._environment if (value := os.environ.get(name)) is not None}
        try:
            return await asyncio.create_subprocess_exec(
                *argv, stdin=DEVNULL, stdout=stdout, stderr=stderr, env=environment, start_new_session=True
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "unknown reason"
            raise self._failed(f"cannot be started: {reason}") from error

    def _failed(self, how: str) -> SourceUnreadable:
        return SourceUnreadable(f"source {self.name}: the command {self._argv[0]} {how}")


def _ending(exit_code: int) -> str:
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


@contextmanager
def _pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """A pipe that no other child inherits: the reading end, not blocking, and the writing end."""
    reading, writing = os.pipe()
    with FileIO(reading, "rb") as source, FileIO(writing, "wb") as sink:
        os.set_blocking(reading, False)
        yield source, sink


async def _fill(pipe: FileIO, into: memoryview) -> int:
    """Read until the pipe ends or the buffer is full."""
    filled = 0
    while filled < len(into):
        await _readable(pipe)
        count = os.readv(pipe.fileno(), [into[filled:]])
        if not count:
            break
        filled += count
    return filled


async def _readable(pipe: FileIO) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(pipe, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(pipe)


class _Discarded:
    """Counts what a pipe brings, and keeps none of it."""

    def __init__(self, pipe: FileIO) -> None:
        self.count = 0
        self._pipe = pipe
        self._scratch = bytearray(4096)

    def take(self) -> bool:
        """Read once. False when the pipe has ended or has nothing at the moment."""
        try:
            count = os.readv(self._pipe.fileno(), [self._scratch])
        except BlockingIOError:
            return False
        self.count += count
        wipe(self._scratch)
        if not count:
            asyncio.get_running_loop().remove_reader(self._pipe)
        return bool(count)


@contextmanager
def _discarding(pipe: FileIO) -> Iterator[_Discarded]:
    """Empty a pipe for as long as the block runs, so that the writer never waits, and what is left in it at the end."""
    loop = asyncio.get_running_loop()
    discarded = _Discarded(pipe)
    loop.add_reader(pipe, discarded.take)
    try:
        yield discarded
    finally:
        loop.remove_reader(pipe)
        for _ in range(_PIPE_READS):
            if not discarded.take():
                break


async def _kill(process: Process) -> None:
    """Kill the process group. It is still ours: it has members, or its leader was not reaped yet, or it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Reaping matters less than ending: the child watcher reaps what takes longer than this.
    with suppress(TimeoutError):
        async with asyncio.timeout(_REAP_S):
            await process.wait()
