"""Imports of every kind of material: how it may be wrapped, what it must be, and that it is kept for life."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .kit import DAY, FOREVER, START, Kms
from .rules import rule
from .specimens import HMAC_BYTES, PrivateKey, material, private_key, wrapping_of

ALGORITHMS = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256")
WRAPPING_SPECS = ("RSA_2048", "RSA_3072", "RSA_4096")
USAGES = {
    "SYMMETRIC_DEFAULT": "ENCRYPT_DECRYPT",
    **dict.fromkeys(HMAC_BYTES, "GENERATE_VERIFY_MAC"),
    **dict.fromkeys(("RSA_2048", "RSA_3072", "RSA_4096"), "SIGN_VERIFY"),
    **dict.fromkeys(("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1"), "SIGN_VERIFY"),
    "ECC_NIST_EDWARDS25519": "SIGN_VERIFY",
}


def may_wrap(algorithm: str, wrapping: str, spec: str) -> bool:
    """The matrix of the API reference of GetParametersForImport, written a second time."""
    if algorithm.startswith("RSA_AES_KEY_WRAP"):
        return spec.startswith(("RSA_", "ECC_"))
    if spec.startswith("RSA_"):
        return False
    return not (spec == "ECC_NIST_P521" and wrapping == "RSA_2048")


@rule("Wrapping", "API GetParametersForImport")
@pytest.mark.parametrize("spec", USAGES)
async def test_material_comes_in_under_every_wrapping_that_aws_allows(spec: str, kms: Kms) -> None:
    """RSA keys come only under RSA_AES_KEY_WRAP, raw keys never under it, P-521 keys not directly under RSA_2048."""
    key = await kms.create_key(KeySpec=spec, KeyUsage=USAGES[spec])
    for algorithm in ALGORITHMS:
        for wrapping in WRAPPING_SPECS:
            wanted = {"WrappingAlgorithm": algorithm, "WrappingKeySpec": wrapping}
            if not may_wrap(algorithm, wrapping, spec):
                refused = await kms.refused("get_parameters_for_import", KeyId=key, **wanted)
                assert refused.code == "ValidationException", wanted
                assert refused.message.endswith(f"cannot be used to import a {spec} key.")
                continue
            terms = await kms.import_terms(key, material(spec), algorithm, wrapping)
            answer = await kms.call("import_key_material", **terms, **FOREVER)
            assert answer["KeyId"] == key
            assert ("KeyMaterialId" in answer) == (spec == "SYMMETRIC_DEFAULT")
    assert await kms.state(key) == "Enabled"


@rule("Wrapping", "guide importing-keys-encrypt-key-material")
async def test_china_regions_have_other_imports(kms: Kms) -> None:
    """In China Regions there is no RSA_AES_KEY_WRAP, and symmetric material is 16 bytes long."""
    china = Kms(kms.url, kms.clock, region="cn-northwest-1")
    asymmetric = await china.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    wanted = {"WrappingAlgorithm": "RSA_AES_KEY_WRAP_SHA_256", "WrappingKeySpec": "RSA_4096"}
    refused = await china.refused("get_parameters_for_import", KeyId=asymmetric, **wanted)
    assert refused.code == "UnsupportedOperationException"
    key = await china.create_key()
    terms = await china.import_terms(key, bytes(32))
    assert (await china.refused("import_key_material", **terms, **FOREVER)).code == "IncorrectKeyMaterialException"
    await china.import_material(key, bytes(range(16)))
    blob = (await china.call("encrypt", KeyId=key, Plaintext=b"x"))["CiphertextBlob"]
    assert (await china.call("decrypt", CiphertextBlob=blob))["Plaintext"] == b"x"


def pkcs8(private: PrivateKey) -> bytes:
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def traditional(spec: str) -> bytes:
    """A private key in the container of its kind from before PKCS #8."""
    private = private_key(spec)
    assert not isinstance(private, ed25519.Ed25519PrivateKey)
    return private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def unsound() -> bytes:
    """An RSA key whose private exponent is not that of its modulus: PKCS #8 with one bit turned."""
    private = private_key("RSA_2048")
    assert isinstance(private, rsa.RSAPrivateKey)
    der, d = bytearray(pkcs8(private)), private.private_numbers().d
    der[der.index(d.to_bytes(-(-d.bit_length() // 8))) + 200] ^= 1  # one in a hundred is shorter than its modulus
    return bytes(der)


def of_composites() -> bytes:
    """An RSA key of 2048 bits with four primes, dressed up as one of two."""
    four = [rsa.generate_private_key(65537, 1024).private_numbers() for _ in range(2)]
    p, q = (each.public_numbers.n for each in four)
    order = (four[0].p - 1) * (four[0].q - 1) * (four[1].p - 1) * (four[1].q - 1)
    d = pow(65537, -1, order)
    numbers = RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p), public_numbers=public(p * q)
    )
    return pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def public(n: int) -> rsa.RSAPublicNumbers:
    return rsa.RSAPublicNumbers(65537, n)


def by_parameters() -> bytes:
    """A P-256 key whose curve is spelled out instead of named, as `openssl ecparam -param_enc explicit` makes one."""
    return b64decode(
        "MIIBeQIBADCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////MFsE"
        "IP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG"
        "5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7L"
        "tkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBBG0wawIBAQQglPPsARMrYrJ6U9C5OiHCgwgi7h0H"
        "wb/JskALHS2QxC2hRANCAATWeSFc/EyKHvqwDjIgYp9vH76+ZFs8d8hHajOvEnOjpoO5pS7qQ8yToYOUyGhdXC3sxBJ9lwgvP6G/"
        "7cjGZEdz"
    )


BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "31 bytes of a symmetric key": ("SYMMETRIC_DEFAULT", lambda: bytes(31)),
    "33 bytes of a symmetric key": ("SYMMETRIC_DEFAULT", lambda: bytes(33)),
    "HMAC longer than its spec": ("HMAC_256", lambda: bytes(64)),
    "HMAC shorter than its spec": ("HMAC_512", lambda: bytes(32)),
    "an RSA key of another size": ("RSA_3072", lambda: material("RSA_2048")),
    "an RSA key as PKCS #1": ("RSA_2048", lambda: traditional("RSA_2048")),
    "an RSA key that is not sound": ("RSA_2048", unsound),
    "an RSA key of four primes": ("RSA_2048", of_composites),
    "an ECC key as SEC 1": ("ECC_NIST_P256", lambda: traditional("ECC_NIST_P256")),
    "an ECC key of another curve": ("ECC_NIST_P256", lambda: material("ECC_SECG_P256K1")),
    "an ECC key by its parameters": ("ECC_NIST_P256", by_parameters),
    "an Ed25519 key for P-256": ("ECC_NIST_P256", lambda: material("ECC_NIST_EDWARDS25519")),
    "a P-256 key for Ed25519": ("ECC_NIST_EDWARDS25519", lambda: material("ECC_NIST_P256")),
    "an ECC key for RSA": ("RSA_2048", lambda: material("ECC_NIST_P384")),
    "a key cut short": ("ECC_NIST_P384", lambda: material("ECC_NIST_P384")[:-1]),
    "a key with more behind it": ("ECC_NIST_P384", lambda: material("ECC_NIST_P384") + b"\0"),
    "PEM": ("ECC_NIST_P384", lambda: b"-----BEGIN PRIVATE KEY-----"),
    "raw bytes for a private key": ("ECC_NIST_P256", lambda: bytes(32)),
}


@rule("Import and reimport", "guide importing-keys-conceptual")
@pytest.mark.parametrize("case", BAD)
async def test_material_must_be_what_the_key_spec_says(case: str, kms: Kms) -> None:
    """Raw material has the spec's length; a private key is a sound one of its size or curve in PKCS #8 DER."""
    spec, made = BAD[case]
    key = await kms.create_key(KeySpec=spec, KeyUsage=USAGES[spec])
    terms = await kms.import_terms(key, made(), wrapping_of(spec))
    assert (await kms.refused("import_key_material", **terms, **FOREVER)).code == "IncorrectKeyMaterialException"
    assert await kms.state(key) == "PendingImport"


@rule("Import and reimport", "API ImportKeyMaterial")
@pytest.mark.parametrize("spec", ["HMAC_256", "RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519"])
async def test_only_symmetric_keys_ever_change_their_material(spec: str, kms: Kms) -> None:
    """An asymmetric or HMAC key takes the material of its first import again, and no other, whatever happens to it."""
    other = bytes(32)
    if spec not in HMAC_BYTES:
        fresh: dict[str, Callable[[], PrivateKey]] = {
            "RSA_2048": lambda: rsa.generate_private_key(65537, 2048),
            "ECC_NIST_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey.generate,
        }
        other = pkcs8(await asyncio.to_thread(fresh[spec]))
    key = await kms.create_key(KeySpec=spec, KeyUsage=USAGES[spec])
    wrapping = wrapping_of(spec)
    await kms.call("import_key_material", **await kms.import_terms(key, material(spec), wrapping), ValidTo=START + DAY)
    assert (await kms.describe(key))["ValidTo"].timestamp() == START + DAY
    kms.clock.advance(DAY)
    lapsed = await kms.describe(key)
    assert lapsed["KeyState"] == "PendingImport"
    assert not lapsed.keys() & {"CurrentKeyMaterialId", "ValidTo", "ExpirationModel"}
    terms = await kms.import_terms(key, other, wrapping)
    assert (await kms.refused("import_key_material", **terms, **FOREVER)).code == "IncorrectKeyMaterialException"
    await kms.call("import_key_material", **await kms.import_terms(key, material(spec), wrapping), **FOREVER)
    assert await kms.state(key) == "Enabled"
    deleted = await kms.call("delete_imported_key_material", KeyId=key)
    assert (deleted["KeyId"], "KeyMaterialId" in deleted) == (key, False)
    terms = await kms.import_terms(key, other, wrapping)
    assert (await kms.refused("import_key_material", **terms, **FOREVER)).code == "IncorrectKeyMaterialException"


@rule("Import and reimport", "API ImportKeyMaterial")
@pytest.mark.parametrize(
    "members",
    [
        {"ImportType": "NEW_KEY_MATERIAL"},
        {"ImportType": "EXISTING_KEY_MATERIAL"},
        {"KeyMaterialId": "0" * 64},
        {"KeyMaterialDescription": "first"},
    ],
    ids=lambda members: "-".join((*members, *members.values())),
)
async def test_terms_of_several_materials_are_for_symmetric_keys(members: dict[str, str], kms: Kms) -> None:
    """ImportType, KeyMaterialId and KeyMaterialDescription are unsupported on HMAC and asymmetric keys."""
    for spec in ("HMAC_256", "ECC_NIST_P256"):
        key = await kms.create_key(KeySpec=spec, KeyUsage=USAGES[spec])
        terms = await kms.import_terms(key, material(spec))
        refused = await kms.refused("import_key_material", **terms, **FOREVER, **members)
        assert refused.code == "UnsupportedOperationException"


@rule("Several materials and rotation", "API ListKeyRotations")
async def test_only_keys_that_rotate_list_all_their_material(kms: Kms) -> None:
    """IncludeKeyMaterial is unsupported on a key that cannot rotate; without it, such a key has no rotations."""
    key = await kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    refused = await kms.refused("list_key_rotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    assert refused.code == "UnsupportedOperationException"
    assert (await kms.call("list_key_rotations", KeyId=key))["Rotations"] == []


async def test_one_key_in_two_files_is_one_material(kms: Kms) -> None:
    """PKCS #8 leaves parts optional: the same P-256 key without its public half is the same material."""
    private = private_key("ECC_NIST_P256")
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    scalar = private.private_numbers().private_value.to_bytes(32)
    bare = bytes.fromhex("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420") + scalar
    key = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    for form in (bare, material("ECC_NIST_P256"), bare):
        await kms.call("import_key_material", **await kms.import_terms(key, form), **FOREVER)
    assert await kms.state(key) == "Enabled"
