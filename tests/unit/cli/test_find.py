"""`byokd find`, `adopt` and `create` before they ask AWS anything: what makes no sense is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd.cli.failures import Exit
from byokd.config.load import load
from byokd.daemon.estate import reachable
from tests.kit.process import write_fleet
from tests.unit.cli.terminal import Printed
from tests.unit.cli.terminal import byokd as run

NOWHERE = "http://127.0.0.1:1"


def config(folder: Path, *, endpoint: str = NOWHERE, extra: str = "") -> Path:
    """A config of one lane."""
    return write_fleet(folder, endpoint=endpoint, extra=extra).config


async def byokd(folder: Path, *arguments: str, **changes: str) -> Printed:
    """A command on that config."""
    return await run("--config", str(config(folder, **changes)), *arguments)


async def test_a_lane_inside_the_daemon_is_out_of_reach(tmp_path: Path):
    """Its KMS serves on a port that only the daemon knows, unless the config names one."""
    printed = await byokd(tmp_path, "find", endpoint="local", extra="\n[local_kms]\n")
    assert printed.code == Exit.USAGE
    assert "give local_kms.listen one" in printed.err


def test_a_lane_inside_the_daemon_is_reached_by_its_port(tmp_path: Path):
    """With an access key id of twelve digits, as the daemon does."""
    read = load(config(tmp_path, endpoint="local", extra='\n[local_kms]\nlisten = "127.0.0.1:4599"\n'))
    lane, identity = reachable(read, read.lanes["test"])
    assert lane.endpoint == "http://127.0.0.1:4599"
    assert identity is not None
    assert identity.access_key_id == lane.account


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("find", "payments"), "did you mean alias/payments"),
        (("find", "--tag", "=x"), "is not a tag"),
        (("adopt", "--lane", "nobody"), "there is no lane 'nobody'"),
        (("create", "--manifest", "x.csv", "--write", "y.csv", "--lane", "nobody"), "name one lane"),
        (("create", "--manifest", "x.csv", "--write", "y.csv", "--settle-for", "2"), "durations need a unit"),
        (("create", "--manifest", "x.csv", "--write", "y.csv"), "x.csv cannot be read: No such file"),
    ],
)
async def test_what_makes_no_sense_is_told(tmp_path: Path, arguments: tuple[str, ...], told: str):
    """Before anybody is asked anything."""
    printed = await byokd(tmp_path, *arguments)
    assert printed.code != Exit.OK
    assert told in printed.err


@pytest.mark.parametrize("command", [("adopt",), ("create", "--manifest", "keys.csv")])
async def test_a_file_that_exists_is_told_first(tmp_path: Path, command: tuple[str, ...]):
    """Not after a search of a quarter of an hour."""
    there = tmp_path / "there.csv"
    there.touch()
    printed = await byokd(tmp_path, *command, "--write", str(there))
    assert printed.code == Exit.USAGE
    assert "exists already" in printed.err
