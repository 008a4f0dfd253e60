"""The same worlds over byokd's real parts: SQLite on disk with its threads and group commits, AWS's client, RSA."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.databases import empty_database
from tests.sim.real import run_over_real_parts

__all__ = ["empty_database"]

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("seed", [3, pytest.param(7, marks=pytest.mark.soak), pytest.param(14, marks=pytest.mark.soak)])
def test_every_law_holds_over_real_parts(seed: int, tmp_path: Path, empty_database: Path) -> None:
    """What holds over twins in memory holds over SQLite, aiobotocore and real wrapping."""
    path = tmp_path / "byokd.db"
    shutil.copy(empty_database, path)
    verdict = run_over_real_parts(seed, path)

    assert verdict.ok, f"make sim SEED={seed}: {verdict.violations[0]}"
    assert verdict.imports > 0
