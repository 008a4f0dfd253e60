"""The SDK's chain of credential providers, made fit for a process that nobody watches and that must not stand still.

The SDK asks for an MFA code on the terminal, in the middle of the event loop, and every lane would wait for somebody to
type it. It forgets a `credential_process` whose caller gave up, and each call of a lane would leave one behind that
hangs; where one fails, it puts into the error what that wrote. It has no public place for either; it is pinned to one
minor version, and tests show both.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from contextlib import closing, suppress
from typing import Any, Final

from botocore.exceptions import BotoCoreError

_OUTPUT_BYTES: Final = 65_536
"""The most that a command may write; credentials are 2 KiB."""
_REAP_S: Final = 5.0
"""How long to wait for a killed command to be gone. Only one stuck in the kernel takes longer."""


class MfaWanted(BotoCoreError):  # type: ignore[misc]  # untyped upstream
    """A profile's role asks for a code that a person would have to type."""

    fmt = "the profile has an mfa_serial, and nobody is there to type a code: take a role or profile without one"


class CommandFailed(BotoCoreError):  # type: ignore[misc]  # untyped upstream
    """A `credential_process` gave no credentials. Nothing of what it wrote is told: it may be a secret."""

    fmt = "credential_process {program} {how}"


def unattended(chain: Any) -> Any:
    """The same chain: it asks nobody, and ends the commands whose answer nobody waits for any more."""
    roles = chain.get_provider("assume-role")
    roles._prompter = _nobody_types  # noqa: SLF001
    _ending(chain.get_provider("custom-process"))
    builder = roles._profile_provider_builder  # noqa: SLF001
    create = builder._create_process_provider  # noqa: SLF001
    builder._create_process_provider = lambda profile_name: _ending(create(profile_name))  # noqa: SLF001
    return chain


def _nobody_types(_: str) -> str:
    raise MfaWanted


def _ending(provider: Any) -> Any:
    provider._popen = _popen  # noqa: SLF001
    return provider


async def _popen(program: str, *arguments: str, **_: Any) -> _Command:
    return _Command(program, *arguments)


class _Command:
    """As much of a process as the SDK uses; it begins where its output is waited for."""

    returncode: Final = 0
    """Any other is an error of its own."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._program = program
        self._arguments = arguments

    async def communicate(self) -> tuple[bytes, bytes]:
        """What it wrote on standard output, once it has ended and nobody holds its pipes any more.

        Where nobody waits for that any more, its whole process group is killed, also if only children of it are left.
        Raises: CommandFailed.
        """
        output = _Output()
        # To its end, which is soon: where it is broken off, asyncio kills the command alone, and not its group.
        beginning = asyncio.ensure_future(self._begin(output))
        try:
            process = await asyncio.shield(beginning)
            await output.over.wait()
        finally:
            # To its end as well: a lane that stops may break off a call that is being given up.
            await asyncio.shield(_end(beginning, output))
        if output.too_much:
            raise self._failed(f"wrote more than {_OUTPUT_BYTES} bytes")
        if code := process.get_returncode():
            how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
            raise self._failed(f"{how} ({output.aside} bytes on standard error, not shown)")
        if not _is_json(output.written):
            raise self._failed(f"wrote {len(output.written)} bytes that are no JSON (not shown)")
        return bytes(output.written), b""

    async def _begin(self, output: _Output) -> asyncio.SubprocessTransport:
        loop = asyncio.get_running_loop()
        try:
            process, _ = await loop.subprocess_exec(
                lambda: output, self._program, *self._arguments, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise self._failed(f"cannot be started: {os.strerror(error.errno or 0)}") from error
        return process

    def _failed(self, how: str) -> CommandFailed:
        return CommandFailed(program=self._program, how=how)


class _Output(asyncio.SubprocessProtocol):
    """What a command writes."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.aside = 0
        """Bytes on standard error, of which none is kept: commands print what they were given when they fail."""
        self.too_much = False
        self.over = asyncio.Event()
        """It has ended, the pipes are closed, and the loop has heard of both."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """See asyncio."""
        if fd == 2:
            self.aside += len(data)
        elif len(self.written) + len(data) > _OUTPUT_BYTES:
            self.too_much = True
        else:
            self.written += data

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio."""
        self.over.set()


def _is_json(written: bytearray) -> bool:
    try:
        return isinstance(json.loads(written), dict)
    except (ValueError, RecursionError):
        return False


async def _end(beginning: asyncio.Future[asyncio.SubprocessTransport], output: _Output) -> None:
    """Close what has begun; where it is not over yet, kill its process group first, and read no more."""
    await asyncio.wait([beginning])
    if beginning.cancelled() or beginning.exception() is not None:
        return
    with closing(beginning.result()) as process:
        if output.over.is_set():
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.get_pid(), signal.SIGKILL)
        for fd in (1, 2):  # which a child that left the group would keep open
            if (pipe := process.get_pipe_transport(fd)) is not None:
                pipe.close()
        # Closing the process at once would take the exit code from asyncio's thread that waits for it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_REAP_S):
                await output.over.wait()
