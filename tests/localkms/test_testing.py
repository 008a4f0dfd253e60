"""The pytest plugin, as other people's suites use it: the page's own example, and what else it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/reference/local-kms.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"<!-- example: .*? -->\n```python\n(.*?)```", PAGE, re.DOTALL)

SUITE = """
from datetime import timedelta

import pytest

from byokd import localkms
from byokd.localkms.errors import StateError

pytest_plugins = ["byokd.localkms.testing"]


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_server_of_its_own(local_kms, turn):
    assert local_kms.client.list_keys()["Keys"] == []
    local_kms.client.create_key()


def test_time_steps_forward_only(local_kms):
    before = local_kms.now
    assert local_kms.advance(timedelta(days=1), hours=1) - before >= timedelta(hours=25)
    with pytest.raises(ValueError, match="forward only"):
        local_kms.advance(seconds=-1)


def test_a_state_comes_back_and_goes(local_kms):
    kms = local_kms.client
    kms.create_key()
    taken = local_kms.snapshot()
    kms.create_key()
    local_kms.restore(taken)
    assert len(kms.list_keys()["Keys"]) == 1
    local_kms.reset()
    assert kms.list_keys()["Keys"] == []
    with pytest.raises(ValueError, match="no snapshot"):
        local_kms.restore(b"{}")
    assert local_kms.lose_material() == 0


def test_accounts_and_regions_are_apart(local_kms):
    local_kms.client.create_key()
    assert local_kms.connect(account="444455556666").list_keys()["Keys"] == []
    assert local_kms.connect(region="eu-central-1").list_keys()["Keys"] == []


def test_the_environment_points_sdks_to_it(local_kms, monkeypatch):
    import boto3

    for name, value in local_kms.environment.items():
        monkeypatch.setenv(name, value)
    boto3.session.Session().client("kms").create_key()
    assert len(local_kms.client.list_keys()["Keys"]) == 1


class TestStrict:
    @pytest.fixture
    def local_kms_options(self):
        known = {"AKIA": localkms.Credential(secret="s", account="999900001111")}
        return localkms.Options(hostility=localkms.FRIENDLY, signatures=localkms.Signatures(credentials=known))

    def test_another_server_takes_another_fixture(self, local_kms):
        kms = local_kms.connect(account="AKIA", aws_secret_access_key="s")
        assert kms.create_key()["KeyMetadata"]["AWSAccountId"] == "999900001111"
        with pytest.raises(kms.exceptions.ClientError, match="UnrecognizedClientException"):
            local_kms.client.list_keys()


class TestBroken:
    @pytest.fixture
    def local_kms_options(self, tmp_path):
        (tmp_path / "state").write_text("no database")
        return localkms.Options(state=tmp_path / "state")

    @pytest.mark.xfail(raises=StateError, strict=True)
    def test_a_server_that_cannot_start_says_why(self, local_kms):
        pass
"""


def run(directory: Path, text: str) -> str:
    """What pytest says of a suite of its own, every warning an error."""
    (directory / "test_suite.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    command += ["-W", "error", "--rootdir", str(directory), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=directory)
    return done.stdout + done.stderr


@pytest.mark.timeout(90)
def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    """Whoever copies it has a test that passes."""
    assert EXAMPLE is not None
    assert "1 passed" in run(tmp_path, EXAMPLE[1])


@pytest.mark.timeout(90)
def test_a_suite_of_somebody_else(tmp_path: Path) -> None:
    """Synchronous tests, each with a server of its own, whose time, state, accounts and options are theirs."""
    said = run(tmp_path, SUITE)
    assert re.search(r"\n7 passed, 1 xfailed", said), said
