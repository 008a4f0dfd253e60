"""The real daemon as a process against a local KMS: life, death by kill -9, lost answers, orders, reloads."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from byokd import localkms
from tests.e2e.conftest import Call, calling, make_key
from tests.kit.process import ask, ask_json, byokd, write_fleet
from tests.kit.proxy import proxying

pytestmark = pytest.mark.timeout(90)


async def test_a_fleet_comes_to_life_and_is_renewed(tmp_path: Path, kms: localkms.Server, call: Call) -> None:
    """Three keys with lives of seconds are imported, and reimported three times each, without a lapse."""
    aliases = ("alias/one", "alias/two", "alias/three")
    for alias in aliases:
        await make_key(call, alias)
    fleet = write_fleet(tmp_path, endpoint=kms.url, aliases=aliases, valid_for="12s", renew_before="9s")

    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line('"import_done"', times=12, within_s=60)
        lines = (await ask_json(fleet.config, "keys"))["keys"]
        assert await daemon.end() == 0

    assert {line["name"] for line in lines} == set(aliases)
    assert not [line for line in daemon.lines if "material_lapsed" in line]
    for alias in aliases:
        assert (await call("DescribeKey", KeyId=alias))["KeyMetadata"]["KeyState"] == "Enabled"


async def test_a_separate_local_kms_outlives_a_restart(tmp_path: Path) -> None:
    """With `byokd localkms serve` in a process of its own, only the endpoint differs; its state survives a kill."""
    serve = ("localkms", "serve", "--friendly", "--state", str(tmp_path / "kms.db"), "--listen")
    async with byokd(*serve, "127.0.0.1:0") as server:
        url = (await server.line("listening on ")).rpartition(" ")[2]
        async with calling(url) as call:
            await make_key(call, "alias/payments")
        fleet = write_fleet(tmp_path, endpoint=url)
        async with byokd("--config", str(fleet.config), "run") as daemon:
            await daemon.line("import_done")
            await server.end(signal.SIGKILL)
            assert await daemon.end() == 0
    async with byokd(*serve, url.removeprefix("http://")) as server:
        await server.line("listening on ")
        async with calling(url) as call:
            assert (await call("DescribeKey", KeyId="alias/payments"))["KeyMetadata"]["KeyState"] == "Enabled"


STEPS = ("DescribeKey", "ListKeyRotations", "GetParametersForImport", "ImportKeyMaterial")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_kill_nine_at_every_step(
    tmp_path: Path, kms: localkms.Server, call: Call, key: str, step: str, when: str
) -> None:
    """Killed while a call was on its way or its answer was: the next start ends in one correct state."""
    async with proxying(kms.url) as proxy:
        fleet = write_fleet(tmp_path, endpoint=proxy.url)
        setattr(proxy, f"hold_{when}", step)
        async with byokd("--config", str(fleet.config), "run") as daemon:
            await proxy.held.wait()
            await daemon.end(signal.SIGKILL)
        proxy.release()

        async with byokd("--config", str(fleet.config), "run") as daemon:
            done = await daemon.line('"import_', within_s=60)
            while not ("import_done" in done or "import_adopted" in done):
                done = await daemon.line('"import_', times=len([x for x in daemon.lines if '"import_' in x]) + 1)
            queue = await ask_json(fleet.config, "queue", "--all")
            assert await daemon.end() == 0

    assert (await call("DescribeKey", KeyId=key))["KeyMetadata"]["KeyState"] == "Enabled"
    assert [row["state"] for row in queue["imports"]] == ["done"]
    assert proxy.count("ImportKeyMaterial") == 1


async def test_a_lost_answer_is_adopted(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """KMS applied the import and the connection broke before byokd heard: adopted, without a second import."""
    async with proxying(kms.url) as proxy:
        proxy.hold_after, proxy.drop = "ImportKeyMaterial", True
        fleet = write_fleet(tmp_path, endpoint=proxy.url)
        async with byokd("--config", str(fleet.config), "run") as daemon:
            await daemon.line("import_adopted")
            assert await daemon.end() == 0
        assert proxy.count("ImportKeyMaterial") == 1


async def test_a_lapse_while_the_daemon_was_down(tmp_path: Path, kms: localkms.Server, key: str, call: Call) -> None:
    """Stopped past a ValidTo and started again: lapsed is recorded and told, and the key healed."""
    fleet = write_fleet(tmp_path, endpoint=kms.url, valid_for="10s", renew_before="3s")
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("import_done")
        await daemon.end(signal.SIGKILL)
    while (await call("DescribeKey", KeyId=key))["KeyMetadata"]["KeyState"] == "Enabled":
        pass
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("material_lapsed")
        await daemon.line("import_done")
        await daemon.line('"lapsed"')
        history = (await ask_json(fleet.config, "history", "alias/payments"))["history"]
        assert await daemon.end() == 0
    assert (await call("DescribeKey", KeyId=key))["KeyMetadata"]["KeyState"] == "Enabled"
    assert "material_lapsed" in [entry["event"] for entry in history]


async def test_a_reload_takes_over_or_leaves_alone(tmp_path: Path, kms: localkms.Server, key: str, call: Call) -> None:
    """SIGHUP takes a good config over; a bad one leaves the running config in force and raises a condition."""
    await make_key(call, "alias/second")
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("import_done")
        good = fleet.config.read_text()
        fleet.config.write_text(good.replace('valid_for = "1h"', 'valid_for = "1000d"'))
        daemon.send(signal.SIGHUP)
        await daemon.line("config_rejected")

        write_fleet(tmp_path, endpoint=kms.url, aliases=("alias/payments", "alias/second"))
        daemon.send(signal.SIGHUP)
        await daemon.line("import_done", times=2)
        assert await daemon.end() == 0


async def test_a_lane_that_hangs_keeps_no_config_from_being_in_force(
    tmp_path: Path, kms: localkms.Server, key: str
) -> None:
    """While a call of the old config is swallowed, what asks the daemon goes by the new one, and so does a stop."""
    async with proxying(kms.url) as proxy:
        fleet = write_fleet(tmp_path, endpoint=proxy.url)
        patient = fleet.config.read_text().replace('call_timeout = "3s"', 'call_timeout = "60s"')
        fleet.config.write_text(patient.replace("[daemon]", '[daemon]\nstop_timeout = "1s"'))
        proxy.hold_before = "DescribeKey"
        async with byokd("--config", str(fleet.config), "run") as daemon:
            await proxy.held.wait()
            lane = patient[patient.index("[lanes.test]") : patient.index("[lanes.test.quotas]")]
            other = lane.replace("lanes.test", "lanes.other").replace("eu-central-1", "eu-west-1")
            changed = fleet.config.read_text().replace('"60s"', '"59s"')
            fleet.config.write_text(changed + other)
            daemon.send(signal.SIGHUP)
            await daemon.line('"reloaded"')
            assert (await ask(fleet.config, "plan", "--lane", "other"))[0] == 0
            daemon.send(signal.SIGHUP)
            await daemon.line('"reloaded"', times=2)
            assert await daemon.end() == 0
        assert [line for line in daemon.lines if "stopped_with_work_in_flight" in line]
        proxy.release()


async def test_a_config_is_known_again(tmp_path: Path, kms: localkms.Server, key: str, call: Call) -> None:
    """A restart or a reload with the same files reads no keys; what is changed meanwhile is taken over."""
    await make_key(call, "alias/second")
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    async with byokd("--config", str(fleet.config), "run") as daemon:
        assert '"added": 1' in await daemon.line('"fleet"')
        assert await daemon.end() == 0
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("fleet_known")
        daemon.send(signal.SIGHUP)
        await daemon.line("fleet_known", times=2)
        await daemon.line("reloaded")
        assert await daemon.end() == 0
    write_fleet(tmp_path, endpoint=kms.url, aliases=("alias/payments", "alias/second"))
    async with byokd("--config", str(fleet.config), "run") as daemon:
        assert '"added": 1' in await daemon.line('"fleet"')
        await daemon.line("import_done")
        assert await daemon.end() == 0


async def test_orders_travel_through_the_socket(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """An import by order happens at once; a hold shows; a release ends it."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("import_done")
        assert (await ask(fleet.config, "import", "alias/payments", "--why", "a test"))[0] == 0
        await daemon.line("import_done", times=2)
        assert (await ask(fleet.config, "hold", "alias/payments", "--why", "a test"))[0] == 0
        assert (await ask(fleet.config, "release", "alias/payments"))[0] == 0
        await daemon.line("order_closed", times=3)
        assert await daemon.end() == 0
    code, text = await ask(fleet.config, "keys")
    assert code == 0
    assert "does not answer" in text


async def test_a_second_daemon_on_the_same_store_is_refused(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """One daemon owns a store; the second says so, names the way out, and leaves the first alone."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("import_done")
        code, text = await ask(fleet.config, "run")
        assert code == 5, text
        assert await daemon.end() == 0


async def test_the_service_manager_is_told(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """READY after the start, WATCHDOG while the engine moves, RELOADING and READY at a reload, STOPPING at the end."""
    fleet = write_fleet(tmp_path, endpoint=kms.url)
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.setblocking(True)
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "3000000"}
        async with byokd("--config", str(fleet.config), "run", environment=environment) as daemon:
            await daemon.line('"ready"')
            daemon.send(signal.SIGHUP)
            await daemon.line('"reloaded"')
            assert await daemon.end() == 0
        said: list[str] = []
        while not said or not said[-1].startswith("STOPPING"):
            said.append(manager.recv(4096).decode().splitlines()[0])
    assert said[0] == "READY=1"
    assert "WATCHDOG=1" in said
    assert said.index("RELOADING=1") < len(said) - 1 - said[::-1].index("READY=1")


async def test_no_material_anywhere(tmp_path: Path, kms: localkms.Server, key: str) -> None:
    """After imports, renewals and a bad file, no file, log line, process listing or answer holds the material."""
    fleet = write_fleet(tmp_path, endpoint=kms.url, valid_for="12s", renew_before="9s")
    async with byokd("--config", str(fleet.config), "run") as daemon:
        await daemon.line("import_done", times=2)
        pid = daemon.process.pid
        listing = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{os.getpid()}/environ").read_bytes()
        shown = "".join([(await ask(fleet.config, *words))[1] for words in (["show", "alias/payments"], ["queue"])])
        (tmp_path / "material" / "payments.key").chmod(0o644)
        await daemon.line("source_unsafe")
        assert await daemon.end() == 0
    everything = listing + shown.encode() + "\n".join(daemon.lines).encode()
    for file in (tmp_path / "state").rglob("*"):
        if file.is_file():
            everything += file.read_bytes()
    assert fleet.leaks(b"".join(fleet.materials.values())) == ["alias/payments"]
    assert fleet.leaks(everything) == []
