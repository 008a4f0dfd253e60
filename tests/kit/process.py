"""The real daemon as a process, watched through its log: tests wait for lines, never for time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from byokd.cli.main import main; main()")
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/nonexistent",
    "AWS_ACCESS_KEY_ID": "111122223333",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(slots=True)
class Running:
    """A running byokd command. `lines` is everything it wrote so far, standard output and error together."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def pump(self) -> None:
        """Collect output until the process ends."""
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            async with self._arrived:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                self._arrived.notify_all()
        async with self._arrived:
            self._arrived.notify_all()

    async def line(self, text: str, *, times: int = 1, within_s: float = 90.0) -> str:
        """Wait until `text` was written in so many lines; returns the last of them."""
        try:
            async with asyncio.timeout(within_s), self._arrived:
                while len(found := [line for line in self.lines if text in line]) < times:
                    if self.process.returncode is not None or self.process.stdout.at_eof():  # type: ignore[union-attr]  # standard output is a pipe here
                        raise AssertionError(f"ended without {text!r}: {self.lines[-5:]}")
                    await self._arrived.wait()
                return found[times - 1]
        except TimeoutError:
            raise AssertionError(f"no {text!r} within {within_s} s: {self.lines[-8:]}") from None

    def send(self, number: int) -> None:
        """Send a signal, if there is still somebody to get it."""
        # Not through asyncio: its send_signal may reap the child behind the back of whoever waits for it.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def end(self, number: int = signal.SIGTERM, *, within_s: float = 60.0) -> int:
        """Send a signal and wait for the exit code."""
        self.send(number)
        async with asyncio.timeout(within_s):
            return await self.process.wait()


@asynccontextmanager
async def byokd(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Run a byokd command until the block is left; what is still running then is killed."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        env=ENVIRONMENT | dict(environment or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
    )
    running = Running(process)
    pump = asyncio.create_task(running.pump())
    try:
        yield running
    finally:
        running.send(signal.SIGKILL)
        await process.wait()
        await pump


async def ask(config: Path, *arguments: str) -> tuple[int, str]:
    """Run a byokd command to its end; returns exit code and output."""
    async with byokd("--config", str(config), *arguments) as running:
        async with asyncio.timeout(30):
            await running.process.wait()
        code = running.process.returncode
    return code or 0, "\n".join(running.lines)


async def ask_json(config: Path, *arguments: str) -> Any:
    """The JSON document that a command answers with."""
    code, text = await ask(config, *arguments, "--json")
    assert code == 0, text
    return json.loads(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A config on disk with material beside it."""

    directory: Path
    config: Path
    materials: dict[str, bytes] = field(repr=False)

    def leaks(self, text: bytes) -> list[str]:
        """Names of keys whose material is found in `text`: raw, hex or base64, whole or its first half."""
        found = []
        for name, material in self.materials.items():
            for part in (material, material[:16]):
                encoded = base64.b64encode(part).rstrip(b"=")[:-1]
                if any(form in text for form in (part, part.hex().encode(), part.hex().upper().encode(), encoded)):
                    found.append(name)
                    break
        return found


CONFIG = """
[daemon]
state_dir = "state"
socket = "byokd.sock"
log_format = "json"
safety_wake = "2s"

[defaults]
valid_for = "{valid_for}"
renew_before = "{renew_before}"
spread = "0%"
renewal_floor = "1s"
look_every = "5s"
settle_for = "5s"
alert_before = ["2s"]
lane = "test"
source = "files"

[lanes.test]
account = "111122223333"
region = "eu-central-1"
endpoint = "{endpoint}"
connect_timeout = "1s"
call_timeout = "3s"

[lanes.test.quotas]
GetParametersForImport = {{ per_second = 100.0, burst = 10.0 }}
ImportKeyMaterial = {{ per_second = 100.0, burst = 10.0 }}

[sources.files]
type = "file"
directory = "material"

[fleets.payments]
"""


def write_fleet(
    directory: Path,
    *,
    endpoint: str,
    aliases: tuple[str, ...] = ("alias/payments",),
    valid_for: str = "1h",
    renew_before: str = "20m",
    extra: str = "",
) -> Fleet:
    """Write a config with one lane at `endpoint` and one key for each alias, with fresh material."""
    material = directory / "material"
    material.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(endpoint=endpoint, valid_for=valid_for, renew_before=renew_before)
    materials = {}
    for alias in aliases:
        name = alias.removeprefix("alias/")
        file = material / f"{name}.key"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_bytes(os.urandom(32))
        materials[alias] = file.read_bytes()
        text += f'\n[[fleets.payments.keys]]\nkey = "{alias}"\n'
    config = directory / "byokd.toml"
    config.write_text(text + extra)
    return Fleet(directory=directory, config=config, materials=materials)
