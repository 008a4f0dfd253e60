"""The SDK's chain of credential providers, made fit for a process that nobody watches and that must not stand still.

The SDK asks for an MFA code on the terminal, in the middle of the event loop, and every lane would wait for somebody to
type it. It forgets a `credential_process` whose caller gave up, and each call of a lane would leave one behind that
hangs. It has no public place for either; it is pinned to one minor version, and tests show both.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError


class MfaWanted(BotoCoreError):  # type: ignore[misc]  # untyped upstream
    """A profile's role asks for a code that a person would have to type."""

    fmt = "the profile has an mfa_serial, and nobody is there to type a code: take a role or profile without one"


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
    provider._popen = _begin  # noqa: SLF001
    return provider


@dataclass(slots=True)
class _Command:
    """As much of a process as the SDK uses."""

    process: asyncio.subprocess.Process

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Its output; where nobody waits for that any more and it has not ended, its process group is killed."""
        try:
            return await self.process.communicate()
        finally:
            if self.process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)


async def _begin(*argv: str, **options: Any) -> _Command:
    return _Command(await asyncio.create_subprocess_exec(*argv, start_new_session=True, **options))
