"""The kill switch as people pull it: the daemon as a process, the command line, a local KMS over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from byokd import localkms
from tests.e2e.conftest import Call
from tests.kit.process import ask, ask_json, byokd, write_fleet

pytestmark = pytest.mark.timeout(120)


async def state(call: Call, key: str) -> str:
    """The key's state in KMS."""
    told: str = (await call("DescribeKey", KeyId=key))["KeyMetadata"]["KeyState"]
    return told


async def test_what_could_not_be_brought_back_is_not_deleted(
    tmp_path: Path, kms: localkms.Server, call: Call, key: str
) -> None:
    """Its only copy is gone: the suspension is refused and names the ways out. Whoever gives it up, says so."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    fleet.config.write_text(fleet.config.read_text().replace("[defaults]", '[defaults]\ndrill_every = "1s"'))
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"')
        assert (await ask_json(fleet.config, "suspend", "alias/payments", "--dry-run"))["ordered"] == 1
        (tmp_path / "material" / "payments.key").unlink()
        await daemon.line('"source_unreadable"')

        code, text = await ask(fleet.config, "suspend", "alias/payments", "--yes")
        assert (code, await state(call, key)) == (1, "Enabled")
        for told in ("its source does not produce it now", "--lose-material", "aws kms disable-key"):
            assert told in text

        code, text = await ask(fleet.config, "suspend", "alias/payments", "--yes", "--lose-material")
        assert code == 0, text
        await daemon.line('"material_deleted"')
        assert await state(call, key) == "PendingImport"
        (entry,) = [
            line
            for line in (await ask_json(fleet.config, "history", "alias/payments"))["history"]
            if line["event"] == "order_given"
        ]
        assert entry["detail"] == "suspend with all its material"
        assert await daemon.end() == 0
