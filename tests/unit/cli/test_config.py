"""`byokd config check` and `byokd config schema`."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd.cli.failures import Exit
from tests.kit.process import write_fleet
from tests.unit.cli.terminal import byokd


async def test_valid(tmp_path: Path):
    """A valid config is said to be so, in figures."""
    fleet = write_fleet(tmp_path, endpoint="http://127.0.0.1:1", aliases=("alias/a", "alias/b"))
    printed = await byokd("--config", str(fleet.config), "config", "check")
    assert printed.out == f"{fleet.config} is valid: 2 keys, 1 fleet, 1 lane\n"
    assert (await byokd("--config", str(fleet.config), "config", "check", "--json")).document["ok"] is True


@pytest.mark.parametrize("kinds", ["", "fips = true\n"], ids=["plain", "fips"])
async def test_a_region_that_the_sdk_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: str):
    """It is a warning with its place: AWS may have opened it since. The daemon alone doubted it, when nobody answered.

    What the AWS files of whoever checks hold is no matter of the config.
    """
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    config = tmp_path / "byokd.toml"
    config.write_text(
        '[lanes.prod]\naccount = "111122223333"\nregion = "eu-central-1"\n'
        f'[lanes.mars]\naccount = "111122223333"\nregion = "mars-west-9"\n{kinds}'
        '[lanes.own]\naccount = "111122223333"\nregion = "mars-east-9"\nendpoint = "https://kms.example"\n'
    )
    what = "the AWS SDK knows no Region mars-west-9, did you mean us-west-2?"
    printed = await byokd("--config", str(config), "config", "check")
    assert (printed.code, printed.err) == (Exit.OK, f"warning: {config}:6: lanes.mars.region: {what}\n")
    assert printed.out == f"{config} is valid: 0 keys, 0 fleets, 3 lanes\n"
    listed = await byokd("--config", str(config), "config", "check", "--json")
    assert [(each["line"], each["what"]) for each in listed.document["warnings"]] == [(6, what)]


async def test_problems(tmp_path: Path):
    """All problems are told with their place; the exit code is 3."""
    config = tmp_path / "byokd.toml"
    config.write_text('[daemon]\nsokcet = "x"\nlog_level = "loud"\n')
    told = await byokd("--config", str(config), "config", "check")
    assert told.code == Exit.CONFIG
    assert f"{config}:2" in told.err
    assert f"{config}:3" in told.err
    listed = await byokd("--config", str(config), "config", "check", "--json")
    assert (listed.code, [each["line"] for each in listed.document["problems"]]) == (Exit.CONFIG, [2, 3])


async def test_schema():
    """The JSON Schema is one document on stdout."""
    printed = await byokd("config", "schema")
    assert "daemon" in printed.document["properties"]


async def test_other_commands_refuse_a_broken_config(tmp_path: Path):
    """Without a socket to ask, a broken config ends a command with 3."""
    config = tmp_path / "byokd.toml"
    config.write_text("[daemon\n")
    assert (await byokd("--config", str(config), "keys")).code == Exit.CONFIG
