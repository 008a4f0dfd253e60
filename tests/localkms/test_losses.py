"""A Region loses all imported material: who is struck, who is not, and what brings the keys back."""

from __future__ import annotations

import asyncio

from .kit import DAY, MATERIAL, OTHER_MATERIAL, Kms, Serving
from .rules import rule


@rule("Expiry and deletion of material", "guide import-keys-protect")
async def test_a_region_loses_its_imported_material(serving: Serving) -> None:
    """At its time one Region's keys are PendingImport; the same material brings them back, and their ciphertexts."""
    async with serving(loss_every_s=10 * DAY, seed=1) as kms:
        elsewhere = Kms(kms.url, kms.clock, region="us-east-1")
        worlds = [kms, elsewhere]
        keys = [await each.create_key() for each in worlds]
        for each, key in zip(worlds, keys, strict=True):
            await each.import_material(key, MATERIAL)
        blobs = [
            (await each.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
            for each, key in zip(worlds, keys, strict=True)
        ]
        generated = [await each.create_key(Origin="AWS_KMS") for each in worlds]

        await kms.clock.someone_asleep()
        kms.clock.advance(10 * DAY)
        await kms.clock.someone_asleep()

        states = [await each.state(key) for each, key in zip(worlds, keys, strict=True)]
        assert sorted(states) == ["Enabled", "PendingImport"]
        struck = states.index("PendingImport")
        assert [await each.state(key) for each, key in zip(worlds, generated, strict=True)] == ["Enabled", "Enabled"]
        terms = await worlds[struck].import_terms(keys[struck], OTHER_MATERIAL)
        terms |= {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        assert (await worlds[struck].refused("import_key_material", **terms)).code == "IncorrectKeyMaterialException"
        await worlds[struck].import_material(keys[struck], MATERIAL)
        assert (await worlds[struck].call("decrypt", CiphertextBlob=blobs[struck]))["Plaintext"] == b"x"


async def test_losses_come_again(serving: Serving) -> None:
    """Every interval brings one, also after one that found no keys to strike."""
    async with serving(loss_every_s=DAY) as kms:
        await kms.clock.someone_asleep()
        kms.clock.advance(DAY)
        key = await kms.create_key()
        for _ in range(2):
            await kms.import_material(key, MATERIAL)
            assert await kms.state(key) == "Enabled"
            await asyncio.sleep(0)
            await kms.clock.someone_asleep()
            kms.clock.advance(DAY)
            await kms.clock.someone_asleep()
            assert await kms.state(key) == "PendingImport"
