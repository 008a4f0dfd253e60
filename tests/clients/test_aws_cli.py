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

    again = await imported(site, key, *FOREVER, spec="RSA_2048")
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


PRIVATE_KEYS = {
    "RSA_2048": (("rsa", "rsa_keygen_bits:2048"), "RSASSA_PKCS1_V1_5_SHA_256"),
    "ECC_NIST_P256": (("ec", "ec_paramgen_curve:P-256"), "ECDSA_SHA_256"),
}


async def signed(site: Site, key: str, algorithm: str) -> None:
    """Have a message signed by KMS, and the signature verified by openssl under the key that was imported."""
    terms = ("--message", "fileb://message", "--signing-algorithm", algorithm)
    (site.directory / "signature.b64").write_text((await aws(site, "sign", "--key-id", key, *terms))["Signature"])
    await site.run("openssl", "enc", "-d", "-base64", "-A", "-in", "signature.b64", "-out", "signature")
    verify = ("dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message")
    assert await site.run("openssl", *verify) == "Verified OK\n"


@pytest.mark.parametrize("spec", PRIVATE_KEYS)
async def test_the_guides_procedure_for_a_private_key(site: Site, spec: str) -> None:
    """A private key of openssl's, wrapped as the guide says, signs in KMS, lapses, comes back, and is never rotated."""
    (kind, option), algorithm = PRIVATE_KEYS[spec]
    usage = ("--origin", "EXTERNAL", "--key-spec", spec, "--key-usage", "SIGN_VERIFY")
    key = (await aws(site, "create-key", *usage))["KeyMetadata"]["KeyId"]
    await site.run("openssl", "genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", "private.pem")
    await site.run("openssl", "pkey", "-in", "private.pem", "-pubout", "-out", "public.pem")
    to_der = ("-topk8", "-nocrypt", "-outform", "der", "-in", "private.pem", "-out", "PlaintextKeyMaterial.bin")
    await site.run("openssl", "pkcs8", *to_der)
    (site.directory / "message").write_text("the books")

    await imported(site, key, "--valid-to", site.soon().isoformat(), wrap="wrap-rsa-aes")
    await signed(site, key, algorithm)
    await site.lapse(key)
    await imported(site, key, *FOREVER, wrap="wrap-rsa-aes", spec="RSA_3072")
    await signed(site, key, algorithm)
    code, _, told = await site.attempt("aws", "kms", "rotate-key-on-demand", "--key-id", key)
    assert code != 0
    assert "UnsupportedOperationException" in told
