"""The AWS CLI and openssl, following the developer guide's procedure for importing key material to the letter.

The procedure stands in `guide/`, one script for each of its steps, with the commands of the guide.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .site import Site

pytestmark = pytest.mark.timeout(120)

GUIDE = Path(__file__).parent / "guide"
FOREVER = ("--expiration-model", "KEY_MATERIAL_DOES_NOT_EXPIRE")
WRAPPINGS = {"wrap-oaep": "RSAES_OAEP_SHA_256", "wrap-rsa-aes": "RSA_AES_KEY_WRAP_SHA_256"}


async def aws(site: Site, *words: str) -> Any:
    """What an `aws kms` command answers."""
    said = await site.run("aws", "kms", *words)
    return json.loads(said) if said else None


async def step(site: Site, name: str, *words: str, **variables: str) -> str:
    """Run one step of the procedure."""
    return await site.run("bash", "-euo", "pipefail", str(GUIDE / f"{name}.sh"), *words, **variables)


async def imported(site: Site, key: str, *terms: str, wrap: str = "wrap-oaep", spec: str = "RSA_4096") -> Any:
    """Steps 2 to 4 of the procedure for the material in PlaintextKeyMaterial.bin; the answer of the import."""
    await step(site, "parameters", KEY_ID=key, WRAPPING_ALGORITHM=WRAPPINGS[wrap], WRAPPING_KEY_SPEC=spec)
    await step(site, wrap)
    return json.loads(await step(site, "import", *terms, KEY_ID=key))


async def random_material(site: Site) -> None:
    """What the guide generates for a symmetric key."""
    await site.run("openssl", "rand", "-out", "PlaintextKeyMaterial.bin", "32")


async def encrypted(site: Site, key: str, text: str, file: str) -> None:
    """Encrypt a text into a file, as a user of the CLI does."""
    (site.directory / "plain.txt").write_text(text)
    answer = await aws(site, "encrypt", "--key-id", key, "--plaintext", "fileb://plain.txt")
    (site.directory / "blob.b64").write_text(answer["CiphertextBlob"])
    await site.run("openssl", "enc", "-d", "-base64", "-A", "-in", "blob.b64", "-out", file)


async def decrypted(site: Site, file: str) -> str:
    """The text in a file that `encrypted` wrote."""
    answer = await aws(site, "decrypt", "--ciphertext-blob", f"fileb://{file}")
    (site.directory / "plain.b64").write_text(answer["Plaintext"])
    return await site.run("openssl", "enc", "-d", "-base64", "-A", "-in", "plain.b64")


async def state(site: Site, key: str) -> str:
    """The key's state."""
    return str((await aws(site, "describe-key", "--key-id", key))["KeyMetadata"]["KeyState"])


async def test_the_guides_procedure_from_import_to_rotation(site: Site) -> None:
    """Import, use, expiry, reimport and rotation each go by the commands of the developer guide."""
    key = (await aws(site, "create-key", "--origin", "EXTERNAL"))["KeyMetadata"]["KeyId"]
    assert await state(site, key) == "PendingImport"
    await random_material(site)
    first = (await imported(site, key, *FOREVER))["KeyMaterialId"]
    await encrypted(site, key, "the books", "before.bin")
    assert await decrypted(site, "before.bin") == "the books"

    terms = ("--expiration-model", "KEY_MATERIAL_EXPIRES", "--valid-to", site.soon().isoformat())
    await imported(site, key, *terms)
    await site.lapse(key)
    assert await state(site, key) == "PendingImport"
    code, _, told = await site.attempt("aws", "kms", "decrypt", "--ciphertext-blob", "fileb://before.bin")
    assert code != 0
    assert "KMSInvalidStateException" in told
    assert "is pending import." in told

    again = await imported(site, key, *FOREVER, wrap="wrap-rsa-aes", spec="RSA_2048")
    assert again["KeyMaterialId"] == first
    assert await decrypted(site, "before.bin") == "the books"

    await random_material(site)
    second = (await imported(site, key, *FOREVER, "--import-type", "NEW_KEY_MATERIAL"))["KeyMaterialId"]
    await aws(site, "rotate-key-on-demand", "--key-id", key)
    await encrypted(site, key, "the new books", "after.bin")
    assert [await decrypted(site, file) for file in ("before.bin", "after.bin")] == ["the books", "the new books"]
    rotations = await aws(site, "list-key-rotations", "--key-id", key, "--include-key-material", "ALL_KEY_MATERIAL")
    assert {each["KeyMaterialId"]: each["KeyMaterialState"] for each in rotations["Rotations"]} == {
        first: "NON_CURRENT",
        second: "CURRENT",
    }
