"""The unit file as systemd itself reads it: no complaint, and a sandbox that does not wear away."""

import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "byokd.service"

# Tenths of systemd's own exposure level. 1.1 is what a service that talks to the Internet can reach.
WORST_EXPOSURE = 15


@pytest.fixture
def unit(tmp_path):
    """The unit, with a program that exists on every machine in the place of byokd: verify looks for it."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("ExecStart=/usr/bin/byokd", "ExecStart=/bin/true"))
    return copy


def systemd_analyze(*arguments):
    """Run systemd-analyze, and give what it said whatever its exit status."""
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=25)


def test_systemd_verify_has_no_complaint(unit):
    """An unknown setting only shows on stderr, with exit status 0, so both have to be clean."""
    verified = systemd_analyze("verify", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_sandbox_stays_closed(unit):
    """The exposure that systemd computes for the unit is 1.5 or better."""
    judged = systemd_analyze("security", "--offline=true", "--no-pager", f"--threshold={WORST_EXPOSURE}", str(unit))
    assert judged.returncode == 0, judged.stdout
    assert "Overall exposure level for byokd.service" in judged.stdout


def test_a_unit_with_a_misspelt_setting_would_be_noticed(unit):
    """The first test means something: a typo in a hardening setting makes it fail."""
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystm=strict"))
    assert "ProtectSystm" in systemd_analyze("verify", str(unit)).stderr
