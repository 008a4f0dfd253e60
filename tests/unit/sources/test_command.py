"""Commands as a source: what they get, what they may give, and how they end."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from pathlib import Path

import pytest

from byokd.errors import MaterialInvalid, SourceUnreadable
from byokd.material.decode import Encoding
from byokd.sources.command import CommandSource
from tests.kit.fake_source import FINGERPRINT_KEY, proof_of


def command(
    *argv: str, timeout_s: float = 20.0, max_bytes: int = 4096, environment: tuple[str, ...] = ()
) -> CommandSource:
    """A source that runs a command."""
    return CommandSource(
        "vault",
        argv=argv,
        encoding=Encoding.RAW,
        fingerprint_key=FINGERPRINT_KEY,
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        environment=environment,
    )


def shell(script: str, **options) -> CommandSource:
    """A source that runs a script, for what needs one; byokd itself never starts a shell."""
    return command("sh", "-c", script, **options)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that was just killed is given the time to."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 5.0)[0])
    finally:
        os.close(process)


def open_files() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_locator_is_one_argument() -> None:
    """The locator takes the placeholder's place, as one argument, whatever is in it."""
    source = command("printf", "%s|", "key={locator}", "{locator}")
    assert await source.prove("a b; rm $HOME *") == proof_of(b"key=a b; rm $HOME *|a b; rm $HOME *|")


async def test_option_injection() -> None:
    """A locator that would be read as an option is refused, unless it only continues one."""
    with pytest.raises(SourceUnreadable, match="as an option"):
        await command("printf", "{locator}").prove("-v")
    assert await command("echo", "-n", "--key={locator}").prove("-v") == proof_of(b"--key=-v")


async def test_nul_in_locator() -> None:
    """A NUL cannot be an argument's part."""
    with pytest.raises(SourceUnreadable, match="NUL"):
        await command("printf", "{locator}").prove("a\0b")


@pytest.mark.parametrize("argv", [(), ("{locator}",), ("/opt/{locator}/get",)], ids=["none", "locator", "in its path"])
def test_program_is_fixed(argv) -> None:
    """The program is the config's choice and not the locator's."""
    with pytest.raises(ValueError, match="program"):
        command(*argv)


async def test_small_environment() -> None:
    """A command sees PATH, HOME, LANG and what is named for it, and no AWS credentials or sockets of byokd's."""
    names = b"\n".join(sorted(name.encode() for name in ("PATH", "HOME", "LANG") if name in os.environ))
    # Python itself adds LC_CTYPE in the C locale; -E -I keep it from reading anything else.
    script = "import os, sys; sys.stdout.write('\\n'.join(sorted(set(os.environ) - {'LC_CTYPE'})))"
    assert await command(sys.executable, "-I", "-c", script).prove("x") == proof_of(names)


async def test_named_environment() -> None:
    """A variable that is named is passed on; one that is not set is left out."""
    name = next(each for each in os.environ if each.isidentifier() and each not in {"PATH", "HOME", "LANG", "_"})
    source = shell(f'printf %s "${name}"', environment=(name, "BYOKD_TEST_NOT_SET"))
    if os.environ[name]:
        assert await source.prove("x") == proof_of(os.environb[name.encode()])


async def test_no_standard_input() -> None:
    """A command that asks gets the end of input at once, and not byokd's own."""
    assert await shell("cat; printf done").prove("x") == proof_of(b"done")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        pytest.param("exit 3", "exit code 3", id="an exit code"),
        pytest.param("kill -TERM $$", "SIGTERM", id="a signal"),
        pytest.param("printf hunter2; exit 4", "exit code 4", id="output and then failure"),
    ],
)
async def test_failed(script: str, told: str) -> None:
    """How the command ended is told; what it wrote before is not used."""
    with pytest.raises(SourceUnreadable, match=told) as failed:
        await shell(script).prove("x")
    assert "hunter2" not in str(failed.value)


async def test_standard_error_is_counted_and_not_told() -> None:
    """Standard error may quote material: only its length is known afterwards, even when it overflows the pipe."""
    with pytest.raises(SourceUnreadable, match=r"100000 bytes on standard error") as failed:
        await shell("head -c 100000 /dev/zero | tr '\\0' s >&2; exit 1").prove("x")
    assert "sss" not in str(failed.value)


async def test_standard_error_does_not_matter_on_success() -> None:
    """A command may chat on standard error and succeed."""
    assert await shell("echo reading >&2; printf key").prove("x") == proof_of(b"key")


async def test_not_there() -> None:
    """A program that does not exist is told by name."""
    with pytest.raises(SourceUnreadable, match=r"byokd-no-such-program cannot be started: No such file"):
        await command("byokd-no-such-program").prove("x")


async def test_too_much() -> None:
    """A command that writes without end is stopped at the limit."""
    with pytest.raises(MaterialInvalid, match="4096 bytes"):
        await command("cat", "/dev/zero").prove("x")


async def test_timeout_kills_the_group(tmp_path: Path) -> None:
    """A command that takes too long is killed together with the children that it started."""
    pids = tmp_path / "pids"
    with pytest.raises(SourceUnreadable, match=r"within 0.5 s"):
        await shell(f"sleep 1000 & echo $! $$ > {pids}; wait", timeout_s=0.5).prove("x")
    assert all(gone(int(pid)) for pid in pids.read_text().split())


async def test_child_that_keeps_the_pipe(tmp_path: Path) -> None:
    """Output is over when the last holder of the pipe is gone; a child left behind with it counts as not finishing."""
    pids = tmp_path / "pids"
    with pytest.raises(SourceUnreadable, match="did not finish"):
        await shell(f"sleep 1000 & echo $! > {pids}; printf key", timeout_s=0.5).prove("x")
    assert gone(int(pids.read_text()))


async def test_cancelled_kills_the_group(tmp_path: Path) -> None:
    """Stopping byokd stops the command."""
    ready, pids = tmp_path / "ready", tmp_path / "pids"
    os.mkfifo(ready)
    task = asyncio.create_task(shell(f"echo $$ > {pids}; echo > {ready}; sleep 1000").prove("x"))
    await asyncio.to_thread(ready.read_bytes)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(pids.read_text()))


async def test_nothing_left_open() -> None:
    """Runs of every kind leave no descriptor behind."""
    source = command("true")
    before = open_files()
    for _ in range(3):
        with pytest.raises(MaterialInvalid):
            await source.prove("x")
        with pytest.raises(SourceUnreadable):
            await command("byokd-no-such-program").prove("x")
    assert open_files() == before
