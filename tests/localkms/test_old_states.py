"""What earlier versions wrote is read, and what this one adds to a key survives a restart."""

from __future__ import annotations

import json
import sqlite3
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from byokd.localkms import FRIENDLY, Options, Pace, serve
from byokd.localkms.keys import material_id
from byokd.localkms.persistence import SCHEMA_VERSION, open_journal
from byokd.localkms.wrapping import WrappingKeys

from .kit import ACCOUNT, DAY, FOREVER, MATERIAL, OTHER_MATERIAL, REGION, START, Kms, ManualClock
from .specimens import material

KEY_ID = "12345678-1234-1234-1234-123456789012"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
FIRST, SECOND = material_id(KEY_ID, MATERIAL), material_id(KEY_ID, OTHER_MATERIAL)
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
AWAY = "us-east-1"


def material_of_version_1(state: str, secret: str | None, **facts: Any) -> dict[str, Any]:
    """A material as version 1 wrote it, with every fact."""
    return {
        "id": FIRST,
        "state": state,
        "secret": secret,
        "expires_at": None,
        "description": None,
        "rotated_at": None,
    } | facts


def key_of_version_1(sealed: Mapping[str, str]) -> str:
    """A key that rotated once, as version 1 wrote it, with every fact that it knew."""
    facts = {
        "id": KEY_ID,
        "owner": [ACCOUNT, REGION],
        "origin": "EXTERNAL",
        "created_at": START - DAY,
        "spec": "SYMMETRIC_DEFAULT",
        "usage": "ENCRYPT_DECRYPT",
        "description": "old",
        "disabled": False,
        "deletion_at": None,
        "rotations": 1,
        "materials": [
            material_of_version_1("NON_CURRENT", sealed[FIRST], expires_at=START + DAY, description="first"),
            material_of_version_1("CURRENT", sealed[SECOND], id=SECOND, rotated_at=START - 9),
        ],
        "tags": [["a", "b"]],
    }
    return json.dumps(facts)


async def write_version_1(state: Path) -> None:
    """Make a state as version 1 left it: its tables, its number, its documents."""
    journal = open_journal(state)  # for the key file and the proof, which have not changed
    sealed = {
        identity: b64encode(journal.seal.close(f"material {identity} of key {KEY_ID}", secret)).decode()
        for identity, secret in ((FIRST, MATERIAL), (SECOND, OTHER_MATERIAL))
    }
    await journal.close()
    with closing(sqlite3.connect(state)) as database, database:
        for table in ("facts", "grants"):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version = 1")
        database.execute("INSERT INTO keys VALUES (?, ?)", (ARN, key_of_version_1(sealed)))
        alias = {"name": "alias/old", "owner": [ACCOUNT, REGION], "target": KEY_ID}
        document = json.dumps(alias | {"created_at": START - DAY, "updated_at": START - DAY})
        database.execute("INSERT INTO aliases VALUES (?, ?)", (f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/old", document))


async def test_a_state_of_version_1_is_read_and_brought_up_to_date(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """Keys, materials and aliases of the first version are all there, and can do what is new."""
    state = tmp_path / "kms.db"
    await write_version_1(state)
    for _ in range(2):  # the second start reads what the first one wrote
        async with serve(Options(state=state, clock=clock, pool=wrapping_keys, hostility=FRIENDLY)) as server:
            kms = Kms(server.url, clock)
            told = await kms.describe("alias/old")
            assert (told["Arn"], told["Description"], told["KeyState"]) == (ARN, "old", "Enabled")
            assert (told["CurrentKeyMaterialId"], told["ValidTo"].timestamp()) == (SECOND, START + DAY)
            answer = await kms.call("list_key_rotations", KeyId=ARN, IncludeKeyMaterial="ALL_KEY_MATERIAL")
            first, second = answer["Rotations"]
            assert (first["KeyMaterialDescription"], second["RotationType"]) == ("first", "ON_DEMAND")
            assert (await kms.call("list_resource_tags", KeyId=ARN))["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
            await kms.import_material(ARN, MATERIAL, valid_for=DAY)
            await kms.call("create_grant", KeyId=ARN, Name="n", GranteePrincipal=ROOT, Operations=["Decrypt"])
            assert len((await kms.call("list_grants", KeyId=ARN))["Grants"]) == 1
    with closing(sqlite3.connect(state)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


async def facts_of(kms: Kms, key: str) -> list[object]:
    """All that a server tells of a key."""
    answers = [
        await kms.call(operation, KeyId=key)
        for operation in ("describe_key", "get_key_policy", "list_grants", "get_key_rotation_status")
    ]
    answers.append(await kms.call("list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL"))
    return [{name: value for name, value in answer.items() if name != "ResponseMetadata"} for answer in answers]


async def furnish(home: Kms, away: Kms) -> dict[str, Kms]:
    """Keys of every new kind, in the middle of everything that takes time, and the client of each."""
    family = await home.create_key(MultiRegion=True)
    await home.import_material(family, valid_for=DAY)
    await home.call("replicate_key", KeyId=family, ReplicaRegion=AWAY, Description="away")
    home.clock.advance(60)
    await away.import_material(family.replace(REGION, AWAY))
    await home.import_material(family, OTHER_MATERIAL, ImportType="NEW_KEY_MATERIAL")
    await home.call("update_primary_region", KeyId=family, PrimaryRegion=AWAY)
    doomed = await home.create_key(MultiRegion=True, Origin="AWS_KMS")
    await home.call("replicate_key", KeyId=doomed, ReplicaRegion=AWAY)
    await home.call("schedule_key_deletion", KeyId=doomed, PendingWindowInDays=9)
    rotating = await home.create_key(Origin="AWS_KMS")
    await home.call("enable_key_rotation", KeyId=rotating, RotationPeriodInDays=90)
    await home.call("rotate_key_on_demand", KeyId=rotating)
    await home.call("create_grant", KeyId=rotating, GranteePrincipal=ROOT, Operations=["Decrypt"], Name="n")
    policy = '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}}'
    await home.call("put_key_policy", KeyId=rotating, Policy=policy)
    keys = {family: home, family.replace(REGION, AWAY): away, doomed: home, doomed.replace(REGION, AWAY): away}
    return keys | {rotating: home}


async def test_families_grants_and_what_takes_time_survive_a_restart(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """Every answer is the same after a restart, and what was under way goes on and ends at its time."""
    pace = Pace(creating_s=30, updating_s=30, rotating_s=30)
    options = Options(state=tmp_path / "kms.db", clock=clock, pool=wrapping_keys, hostility=FRIENDLY, pace=pace)
    async with serve(options) as server:
        keys = await furnish(Kms(server.url, clock), Kms(server.url, clock, region=AWAY))
        before = [await facts_of(kms, key) for key, kms in keys.items()]
        states = [await kms.state(key) for key, kms in keys.items()]
    assert states == ["Updating", "Updating", "PendingReplicaDeletion", "Creating", "Enabled"]
    async with serve(options) as server:
        keys = {key: Kms(server.url, clock, region=kms.region) for key, kms in keys.items()}
        assert [await facts_of(kms, key) for key, kms in keys.items()] == before
        clock.advance(30)
        states = [await kms.state(key) for key, kms in keys.items()]
        assert states == ["Enabled", "Enabled", "PendingReplicaDeletion", "Enabled", "Enabled"]
        *_, rotating = keys
        assert len((await keys[rotating].call("list_key_rotations", KeyId=rotating))["Rotations"]) == 1


async def test_a_deleted_keys_grants_are_gone_from_the_state(
    tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys
) -> None:
    """Grants go with their key, on disk too; a retired one goes by itself."""
    state = tmp_path / "kms.db"
    async with serve(Options(state=state, clock=clock, pool=wrapping_keys, hostility=FRIENDLY)) as server:
        kms = Kms(server.url, clock)
        doomed, kept = [await kms.create_key(Origin="AWS_KMS") for _ in range(2)]
        grants = [
            (await kms.call("create_grant", KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"]))["GrantId"]
            for key in (doomed, kept, kept)
        ]
        await kms.call("revoke_grant", KeyId=kept, GrantId=grants[1])
        await kms.call("schedule_key_deletion", KeyId=doomed, PendingWindowInDays=7)
        clock.advance(7 * DAY)
        await kms.call("list_keys")
    with closing(sqlite3.connect(state)) as database:
        assert database.execute("SELECT id FROM grants").fetchall() == [(grants[2],)]


async def test_private_keys_survive_a_restart(tmp_path: Path, clock: ManualClock, wrapping_keys: WrappingKeys) -> None:
    """An imported P-256 key is the same after a restart, and no other takes its place."""
    options = Options(state=tmp_path / "kms.db", clock=clock, pool=wrapping_keys, hostility=FRIENDLY)
    async with serve(options) as server:
        kms = Kms(server.url, clock)
        key = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        await kms.call("import_key_material", **await kms.import_terms(key, material("ECC_NIST_P256")), **FOREVER)
        public = (await kms.call("get_public_key", KeyId=key))["PublicKey"]
    async with serve(options) as server:
        assert (await Kms(server.url, clock).call("get_public_key", KeyId=key))["PublicKey"] == public
