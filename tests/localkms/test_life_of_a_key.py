"""A key's whole life, as boto3 sees it: import, use, expiry, reimport, deletion."""

from __future__ import annotations

import asyncio

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byokd.localkms.expiry import keep_time
from byokd.localkms.keyring import Keyring
from byokd.localkms.keys import Key, KeyState, Origin
from byokd.localkms.materials import Import, imported
from byokd.localkms.persistence import open_journal
from byokd.localkms.signatures import Caller

from .kit import ACCOUNT, DAY, MATERIAL, REGION, START, Kms, ManualClock
from .rules import rule


@rule("Expiry and deletion of material", "guide importing-keys")
async def test_a_key_is_imported_used_lapses_and_comes_back_with_the_same_material(kms: Kms) -> None:
    """An old ciphertext decrypts again once the material that lapsed at ValidTo has been reimported."""
    key = await kms.create_key()
    virgin = await kms.describe(key)
    assert (virgin["KeyState"], virgin["Enabled"], virgin["Origin"]) == ("PendingImport", False, "EXTERNAL")
    assert not virgin.keys() & {"ExpirationModel", "ValidTo", "CurrentKeyMaterialId"}

    material_id = await kms.import_material(key, valid_for=30 * DAY)
    alive = await kms.describe(key)
    assert (alive["KeyState"], alive["Enabled"], alive["ExpirationModel"]) == ("Enabled", True, "KEY_MATERIAL_EXPIRES")
    assert alive["ValidTo"].timestamp() == START + 30 * DAY
    assert alive["CurrentKeyMaterialId"] == material_id
    old = (await kms.call("encrypt", KeyId=key, Plaintext=b"secret", EncryptionContext={"a": "b"}))["CiphertextBlob"]

    kms.clock.advance(30 * DAY - 1)
    assert await kms.state(key) == "Enabled"
    kms.clock.advance(1)
    lapsed = await kms.describe(key)
    assert (lapsed["KeyState"], lapsed["Enabled"]) == ("PendingImport", False)
    assert not lapsed.keys() & {"ExpirationModel", "ValidTo"}
    assert lapsed["CurrentKeyMaterialId"] == material_id
    unusable = await kms.refused("decrypt", CiphertextBlob=old, EncryptionContext={"a": "b"})
    assert (unusable.code, unusable.message) == ("KMSInvalidStateException", f"{key} is pending import.")

    assert await kms.import_material(key) == material_id
    healed = await kms.describe(key)
    assert (healed["KeyState"], healed["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    answer = await kms.call("decrypt", CiphertextBlob=old, EncryptionContext={"a": "b"})
    assert (answer["Plaintext"], answer["KeyId"], answer["KeyMaterialId"]) == (b"secret", key, material_id)


async def test_a_ciphertext_is_made_with_the_very_bytes_that_were_imported(kms: Kms) -> None:
    """A ciphertext decrypts with plain AES-GCM under the imported bytes, by its documented layout."""
    key = await kms.create_key()
    material_id = await kms.import_material(key)
    blob = (await kms.call("encrypt", KeyId=key, Plaintext=b"secret"))["CiphertextBlob"]
    header_end = 2 + blob[1] + 32
    assert blob[2 : 2 + blob[1]].decode() == key.rpartition("/")[2]
    assert blob[2 + blob[1] : header_end].hex() == material_id
    nonce, sealed = blob[header_end : header_end + 12], blob[header_end + 12 :]
    assert AESGCM(MATERIAL).decrypt(nonce, sealed, blob[:header_end] + b"{}") == b"secret"


@rule("Import and reimport", "API ImportKeyMaterial")
async def test_a_reimport_moves_the_expiry_without_a_delete(kms: Kms) -> None:
    """Importing the same material again replaces ValidTo, later or earlier, and the key stays Enabled throughout."""
    key = await kms.create_key()
    await kms.import_material(key, valid_for=10 * DAY)
    await kms.import_material(key, valid_for=20 * DAY)
    kms.clock.advance(15 * DAY)
    assert await kms.state(key) == "Enabled"
    await kms.import_material(key, valid_for=DAY)
    kms.clock.advance(DAY)
    assert await kms.state(key) == "PendingImport"


@rule("Expiry and deletion of material", "API ImportKeyMaterial")
async def test_valid_to_keeps_its_fraction(kms: Kms) -> None:
    """The JavaScript SDK sends fractional seconds, which count."""
    key = await kms.create_key()
    await kms.import_material(key, valid_for=10.25)
    kms.clock.advance(10)
    assert await kms.state(key) == "Enabled"
    kms.clock.advance(0.25)
    assert await kms.state(key) == "PendingImport"


@rule("Expiry and deletion of material", "guide importing-keys-delete-key-material")
async def test_a_deleted_material_can_be_reimported_and_only_that_one(kms: Kms) -> None:
    """After a delete the key is PendingImport, keeps its material id, and takes the same bytes back."""
    key = await kms.create_key()
    material_id = await kms.import_material(key, valid_for=DAY)
    answer = await kms.call("delete_imported_key_material", KeyId=key)
    assert (answer["KeyId"], answer["KeyMaterialId"]) == (key, material_id)
    gone = await kms.describe(key)
    assert (gone["KeyState"], gone["CurrentKeyMaterialId"]) == ("PendingImport", material_id)
    assert not gone.keys() & {"ExpirationModel", "ValidTo"}
    await kms.call("delete_imported_key_material", KeyId=key)  # nothing there: no effect, still a success
    assert await kms.import_material(key) == material_id
    assert await kms.state(key) == "Enabled"


@rule("Keys and their states", "API ScheduleKeyDeletion")
async def test_a_key_is_gone_at_its_deletion_date_with_its_aliases(kms: Kms) -> None:
    """ScheduleKeyDeletion's date removes the key and every alias that points at it."""
    key = await kms.create_key()
    await kms.call("create_alias", AliasName="alias/doomed", TargetKeyId=key)
    answer = await kms.call("schedule_key_deletion", KeyId=key, PendingWindowInDays=7)
    assert (answer["KeyId"], answer["KeyState"], answer["PendingWindowInDays"]) == (key, "PendingDeletion", 7)
    assert answer["DeletionDate"].timestamp() == START + 7 * DAY
    kms.clock.advance(7 * DAY)
    assert (await kms.refused("describe_key", KeyId=key)).message == f"Key '{key}' does not exist"
    assert (await kms.call("list_aliases"))["Aliases"] == []
    assert (await kms.call("list_keys"))["Keys"] == []


@rule("Keys and their states", "API CancelKeyDeletion")
async def test_cancelling_a_deletion_leaves_the_key_disabled(kms: Kms) -> None:
    """A key saved from deletion is Disabled until someone enables it, and PendingImport if its material lapsed."""
    key = await kms.create_key()
    await kms.import_material(key, valid_for=9 * DAY)
    await kms.call("schedule_key_deletion", KeyId=key)
    assert (await kms.call("cancel_key_deletion", KeyId=key))["KeyId"] == key
    assert await kms.state(key) == "Disabled"
    await kms.call("enable_key", KeyId=key)
    assert await kms.state(key) == "Enabled"
    await kms.call("schedule_key_deletion", KeyId=key)
    kms.clock.advance(9 * DAY)
    assert await kms.state(key) == "PendingDeletion"
    await kms.call("cancel_key_deletion", KeyId=key)
    assert await kms.state(key) == "PendingImport"


@rule("Import and reimport", "API ImportKeyMaterial")
async def test_a_disabled_key_that_lapses_is_enabled_by_the_reimport(kms: Kms) -> None:
    """Expiry takes a Disabled key to PendingImport, and a successful import ends in Enabled, as the API text says."""
    key = await kms.create_key()
    await kms.import_material(key, valid_for=DAY)
    await kms.call("disable_key", KeyId=key)
    assert await kms.state(key) == "Disabled"
    kms.clock.advance(DAY)
    assert await kms.state(key) == "PendingImport"
    await kms.import_material(key)
    assert await kms.state(key) == "Enabled"


async def test_importing_into_a_disabled_key_enables_it(kms: Kms) -> None:
    """The documents leave this open; here an import into a Disabled key is admitted and enables it."""
    key = await kms.create_key()
    await kms.import_material(key)
    await kms.call("disable_key", KeyId=key)
    await kms.import_material(key)
    assert await kms.state(key) == "Enabled"


@rule("Expiry and deletion of material", "guide importing-keys")
async def test_material_expires_with_nobody_asking() -> None:
    """The time-keeping task alone takes the bytes away at ValidTo, also for a deadline set while it slept."""
    clock = ManualClock()
    journal = open_journal(None)
    keyring = Keyring(journal)
    task = asyncio.create_task(keep_time(keyring, journal, clock))
    await clock.someone_asleep()
    virgin = Key(id="k", owner=Caller(ACCOUNT, REGION), origin=Origin.EXTERNAL, created_at=START)
    key, _ = imported(virgin, Import(secret=MATERIAL, expires_at=START + 5, new=None))
    clock.advance(0)
    keyring.put(key)
    await clock.someone_asleep()
    clock.advance(5)
    await clock.someone_asleep()
    after = keyring.key(key.arn)
    assert after is not None
    assert after.state is KeyState.PENDING_IMPORT
    assert journal.settled
    task.cancel()
    await journal.close()


async def test_with_nothing_due_time_is_still_kept() -> None:
    """The time-keeping task never sleeps for more than a year of its clock."""
    clock = ManualClock()
    journal = open_journal(None)
    task = asyncio.create_task(keep_time(Keyring(journal), journal, clock))
    await clock.someone_asleep()
    for _ in range(3):
        clock.advance(366 * DAY)
        await clock.someone_asleep()
    task.cancel()
    await journal.close()


async def test_key_material_stays_out_of_errors_and_reprs(kms: Kms) -> None:
    """Neither a key's repr nor a refusal's text holds the material or anything like it."""
    key = await kms.create_key()
    terms = await kms.import_terms(key, b"x" * 31)
    refused = await kms.refused("import_key_material", **terms, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert "xxx" not in refused.message
    virgin = Key(id="k", owner=Caller(ACCOUNT, REGION), origin=Origin.EXTERNAL, created_at=START)
    given = Import(secret=MATERIAL, expires_at=None, new=None)
    told = repr(given) + repr(imported(virgin, given))
    assert repr(MATERIAL) not in told
    assert "secret" not in told
