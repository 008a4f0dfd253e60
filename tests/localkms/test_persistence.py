"""State on disk: restarts, kills, locks, and what must not be readable there."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from byokd.localkms import FRIENDLY, Options, serve
from byokd.localkms.errors import StateError
from byokd.localkms.persistence import SCHEMA_VERSION, open_journal
from byokd.localkms.wrapping import WrappingKeys

from .kit import DAY, MATERIAL, OTHER_MATERIAL, START, Kms, ManualClock


@asynccontextmanager
async def on_disk(state: Path, clock: ManualClock, pool: WrappingKeys | None) -> AsyncIterator[Kms]:
    """A client of a server on a state file."""
    async with serve(Options(state=state, clock=clock, pool=pool, hostility=FRIENDLY)) as server:
        yield Kms(server.url, clock)


@contextmanager
def database(state: Path) -> Iterator[sqlite3.Connection]:
    """The state file as any SQLite client sees it; changes are committed at the end."""
    with closing(sqlite3.connect(state)) as connection, connection:
        yield connection


async def furnished(kms: Kms) -> tuple[str, bytes]:
    """A key with two materials, a tag and an alias, and a ciphertext of its first material."""
    key = await kms.create_key(Description="kept", Tags=[{"TagKey": "a", "TagValue": "b"}])
    await kms.import_material(key, MATERIAL, valid_for=10 * DAY, KeyMaterialDescription="first")
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"secret"))["CiphertextBlob"]
    await kms.import_material(key, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await kms.call("rotate_key_on_demand", KeyId=key)
    await kms.call("create_alias", AliasName="alias/kept", TargetKeyId=key)
    return key, blob


async def told(kms: Kms, key: str) -> list[object]:
    """Everything that the server tells about a key."""
    answers = [
        await kms.call("describe_key", KeyId="alias/kept"),
        await kms.call("list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL"),
        await kms.call("list_resource_tags", KeyId=key),
        await kms.call("list_aliases", KeyId=key),
    ]
    return [{name: value for name, value in answer.items() if name != "ResponseMetadata"} for answer in answers]


async def test_a_restart_forgets_nothing(tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys) -> None:
    """After a restart every answer is the same, old ciphertexts decrypt, and a token fetched before is good."""
    state = tmp_path / "kms.db"
    async with on_disk(state, clock, wrapping_keys) as kms:
        key, blob = await furnished(kms)
        before = await told(kms, key)
        terms = await kms.import_terms(key)
    kept = WrappingKeys()  # the pool comes back from the state, not from the test
    async with on_disk(state, clock, kept) as kms:
        assert await told(kms, key) == before
        assert (await kms.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"secret"
        await kms.call("import_key_material", **terms, ValidTo=START + 20 * DAY)
    assert {key.id for key in kept} == {key.id for key in wrapping_keys}


async def test_a_copy_of_the_files_of_a_living_server_has_every_answered_request(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """What a kill would leave behind, with nothing closed and nothing checkpointed, holds all that was answered."""
    living, left = tmp_path / "living", tmp_path / "left"
    living.mkdir()
    async with on_disk(living / "kms.db", clock, wrapping_keys) as kms:
        key, _ = await furnished(kms)
        before = await told(kms, key)
        shutil.copytree(living, left)
    async with on_disk(left / "kms.db", clock, wrapping_keys) as kms:
        assert await told(kms, key) == before


SERVE = """
import asyncio, pathlib, sys
from byokd.localkms import FRIENDLY, Options, serve
async def main():
    async with serve(Options(state=pathlib.Path(sys.argv[1]), hostility=FRIENDLY)) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.timeout(30)  # a process of its own, which makes its own RSA keys
async def test_a_killed_server_has_lost_nothing_it_answered(tmp_path: Path, clock: ManualClock) -> None:
    """After kill -9 the lock is free, and the key made just before is there."""
    state = tmp_path / "kms.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(state), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    key = await Kms(url, clock).create_key()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    journal = open_journal(state)
    assert [kept.arn for kept in journal.all_keys()] == [key]
    await journal.close()


async def test_what_lapsed_while_the_server_was_down_has_lapsed(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """A ValidTo and a DeletionDate that passed during the outage take effect at the start, on disk too."""
    state = tmp_path / "kms.db"
    async with on_disk(state, clock, wrapping_keys) as kms:
        key, doomed = await kms.create_key(), await kms.create_key()
        await kms.import_material(key, valid_for=DAY)
        await kms.call("schedule_key_deletion", KeyId=doomed, PendingWindowInDays=7)
    clock.advance(8 * DAY)
    async with on_disk(state, clock, wrapping_keys):
        pass
    journal = open_journal(state)
    (kept,) = journal.all_keys()
    assert (kept.arn, kept.state) == (key, "PendingImport")
    assert [material.secret for material in kept.materials] == [None]
    await journal.close()


async def test_a_second_server_on_one_state_is_refused(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """The lock refuses a second server clearly, and is free again when the first has ended."""
    state = tmp_path / "kms.db"
    async with on_disk(state, clock, wrapping_keys):
        with pytest.raises(StateError, match="in use by another local KMS"):
            open_journal(state)
    await open_journal(state).close()


async def test_material_and_keys_on_disk_are_sealed_and_private(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """No file holds material in the clear, and none can be read by others."""
    async with on_disk(tmp_path / "kms.db", clock, wrapping_keys) as kms:
        await furnished(kms)
        for path in [tmp_path / f"kms.db{suffix}" for suffix in ("", "-wal", "-shm", ".key")]:
            assert path.stat().st_mode & 0o077 == 0, path
            content = path.read_bytes()
            assert MATERIAL not in content
            assert MATERIAL.hex().encode() not in content
            assert all(key.private_der() not in content for key in wrapping_keys)


async def test_sealed_material_put_into_another_key_is_refused(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """What is sealed is bound to its key: a document with another key's material counts as damaged."""
    state = tmp_path / "kms.db"
    async with on_disk(state, clock, wrapping_keys) as kms:
        for material in (MATERIAL, OTHER_MATERIAL):
            await kms.import_material(await kms.create_key(), material)
    with database(state) as connection:
        (one, _), (two, document) = connection.execute("SELECT arn, document FROM keys").fetchall()
        moved = document.replace(two.rpartition("/")[2], one.rpartition("/")[2])
        connection.execute("UPDATE keys SET document = ? WHERE arn = ?", (moved, one))
    with pytest.raises(StateError, match="is damaged"):
        async with on_disk(state, clock, wrapping_keys):
            pass
    await open_journal(state).close()  # the refused start gave the lock back


def new_state(tmp_path: Path) -> Path:
    """A state file that was made and closed."""
    state = tmp_path / "kms.db"
    asyncio.run(open_journal(state).close())
    return state


def test_a_state_without_its_key_file_is_refused(tmp_path: Path) -> None:
    """Without the key file nothing can be read, so nothing is overwritten."""
    state = new_state(tmp_path)
    (tmp_path / "kms.db.key").unlink()
    with pytest.raises(StateError, match="is missing"):
        open_journal(state)


def test_another_states_key_file_is_refused(tmp_path: Path) -> None:
    """A key file that does not fit is found out at the start."""
    state = new_state(tmp_path)
    (tmp_path / "kms.db.key").write_bytes(bytes(32))
    with pytest.raises(StateError, match="another key"):
        open_journal(state)


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    """As ssh does with its keys."""
    state = new_state(tmp_path)
    (tmp_path / "kms.db.key").chmod(0o640)
    with pytest.raises(StateError, match="mode 0600"):
        open_journal(state)


def test_a_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program does not touch what it does not know."""
    state = new_state(tmp_path)
    with database(state) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StateError, match="newer version"):
        open_journal(state)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 100, b""], ids=["text", "sqlite"])
def test_anothers_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """A file that is no local KMS state is refused and left alone."""
    state = tmp_path / "kms.db"
    (tmp_path / "kms.db.key").touch(mode=0o600)
    state.write_bytes(content)
    if not content:
        with database(state) as connection:
            connection.execute("CREATE TABLE others (a)")
    with pytest.raises(StateError):
        open_journal(state)


async def test_a_disk_that_refuses_loses_nothing(tmp_path: Path) -> None:
    """A failed write stays noted, in order, and the next flush brings it."""
    state = tmp_path / "kms.db"
    journal = open_journal(state)
    journal.save_wrapping_key("a", "RSA_2048", b"first")
    with database(state) as blocker:
        blocker.execute("ALTER TABLE wrapping_keys RENAME TO hidden")
    with pytest.raises(sqlite3.Error):
        await journal.flush()
    assert not journal.settled
    with database(state) as blocker:
        blocker.execute("ALTER TABLE hidden RENAME TO wrapping_keys")
    journal.save_wrapping_key("a", "RSA_2048", b"second")
    await journal.flush()
    assert journal.settled
    assert list(journal.all_wrapping_keys()) == [("a", "RSA_2048", b"second")]
    await journal.close()


async def test_who_flushes_beside_others_has_his_own_change_on_disk(tmp_path: Path) -> None:
    """Flushes share their ways to the writer's thread, and none returns by another's.

    One that came when a write had just ended, and nobody had been told yet, waited for that write for ever and kept
    the event loop.
    """
    state = tmp_path / "kms.db"
    journal = open_journal(state)

    async def bring(name: str) -> bool:
        journal.save_wrapping_key(name, "RSA_2048", b"material")
        await journal.flush()
        with database(state) as reader:
            return len(reader.execute("SELECT id FROM wrapping_keys WHERE id = ?", (name,)).fetchall()) == 1

    async def bring_many(first: int) -> list[bool]:
        return [await bring(f"{first} {number}") for number in range(10)]

    found = await asyncio.gather(*(bring_many(number) for number in range(20)))
    assert all(map(all, found))
    assert journal.settled
    await journal.close()
