"""HMAC, RSA and ECC keys on real parts: the engine, SQLite, HTTP, the local KMS, files, wrapping; used by boto3."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding

from byokd.facts.condition import ConditionKind
from byokd.facts.key import KeyRef, WrappingAlgorithm
from byokd.facts.kinds import AUTO, KINDS
from byokd.facts.ledger import OrderKind, Proved
from byokd.localkms.wrapping import WrappingKeys
from byokd.material.decode import Encoding
from byokd.material.fingerprint import FingerprintKey
from byokd.ports import Source
from byokd.sources.command import CommandSource
from byokd.sources.file import FileSource
from tests.kit.builders import DAY
from tests.kit.materials import material, private_key
from tests.kit.site import Site, alive, site

pytestmark = pytest.mark.timeout(120)

ALGORITHMS = {
    "HMAC_256": "HMAC_SHA_256",
    "RSA_2048": "RSASSA_PSS_SHA_256",
    "ECC_NIST_P256": "ECDSA_SHA_256",
    "ECC_NIST_EDWARDS25519": "ED25519_SHA_512",
}
MESSAGE = b"the books of 2026"


class Person:
    """Somebody who uses a key with boto3."""

    def __init__(self, it: Site, spec: str) -> None:
        self.it = it
        self.key = it.keys[0]
        self.mac = spec.startswith("HMAC_")
        self.algorithm = ALGORITHMS[spec]

    async def ask(self, operation: str, **members: Any) -> Any:
        return await self.it.ask(self.it.server, operation, KeyId=self.key, **members)

    async def sign(self) -> bytes:
        """A signature or MAC of the message."""
        if self.mac:
            answer = await self.ask("generate_mac", Message=MESSAGE, MacAlgorithm=self.algorithm)
            return bytes(answer["Mac"])
        answer = await self.ask("sign", Message=MESSAGE, MessageType="RAW", SigningAlgorithm=self.algorithm)
        return bytes(answer["Signature"])

    async def verifies(self, signature: bytes) -> bool:
        """Whether the key still knows what it signed. boto3 raises where it does not."""
        if self.mac:
            members = {"Message": MESSAGE, "Mac": signature, "MacAlgorithm": self.algorithm}
            return bool((await self.ask("verify_mac", **members))["MacValid"])
        members = {"Message": MESSAGE, "Signature": signature, "SigningAlgorithm": self.algorithm}
        return bool((await self.ask("verify", MessageType="RAW", **members))["SignatureValid"])

    async def state(self) -> str:
        return str((await self.ask("describe_key"))["KeyMetadata"]["KeyState"])


@pytest.mark.parametrize("spec", ALGORITHMS)
async def test_life_of_a_key(tmp_path: Path, pool: WrappingKeys, spec: str) -> None:
    """Imported, renewed for months, lapsed while byokd was down, healed; what it signed first still verifies."""
    async with site(tmp_path, pool, specs=[spec], wrapping_algorithm=AUTO) as it:
        person, ref = Person(it, spec), KeyRef(it.keys[0])
        async with alive(it) as world:
            signature = await person.sign()
            await world.pass_time(200 * DAY, step=4 * DAY)
            assert await person.verifies(signature)
            proof = (await world.know(ref)).proof
            assert isinstance(proof, Proved)
            assert (proof.kind, proof.length) == (KINDS[spec].material, len(material(spec)))
        assert len(it.imports()[it.keys[0]]) >= 4

        it.world.clock.advance(100 * 86400)
        assert await person.state() == "PendingImport"
        async with alive(it) as world:
            assert await person.verifies(signature)
            assert await person.verifies(await person.sign())
            assert "raised lapsed" in world.inbox.said
            assert (await world.know(ref)).conditions == ()


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256"])
async def test_a_private_key_is_suspended_and_resumed(tmp_path: Path, pool: WrappingKeys, spec: str) -> None:
    """The kill switch works for keys whose material has no id."""
    async with site(tmp_path, pool, specs=[spec], wrapping_algorithm=AUTO) as it, alive(it) as world:
        person, ref = Person(it, spec), KeyRef(it.keys[0])
        signature = await person.sign()
        await world.order(OrderKind.SUSPEND, ref=ref)
        assert await person.state() == "PendingImport"
        await world.order(OrderKind.RESUME, ref=ref)
        assert await person.verifies(signature)


def written(spec: str, encoding: KeyEncoding, form: PrivateFormat, passphrase: bytes = b"") -> bytes:
    """A private key as people keep it."""
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return private_key(spec).private_bytes(encoding, form, protection)


@pytest.mark.parametrize("kind", ["file", "command"])
@pytest.mark.parametrize(("encoding", "form"), [(Encoding.PEM, KeyEncoding.PEM), (Encoding.RAW, KeyEncoding.DER)])
async def test_pem_and_der_come_to_the_same_key(
    tmp_path: Path, pool: WrappingKeys, kind: str, encoding: Encoding, form: KeyEncoding
) -> None:
    """PKCS #8 from a file or a command, in text or not: KMS holds the key whose public half we know."""
    fingerprints = FingerprintKey(os.urandom(32))
    source: Source = (
        FileSource("files", directory=tmp_path, encoding=encoding, fingerprint_key=fingerprints)
        if kind == "file"
        else CommandSource(
            "files", argv=["cat", f"{tmp_path}/{{locator}}"], encoding=encoding, fingerprint_key=fingerprints
        )
    )
    async with site(tmp_path, pool, specs=["ECC_NIST_P256"], source=source, wrapping_algorithm=AUTO) as it:
        (tmp_path / "0.key").write_bytes(written("ECC_NIST_P256", form, PrivateFormat.PKCS8))
        async with alive(it):
            signature = await Person(it, "ECC_NIST_P256").sign()
        public = private_key("ECC_NIST_P256").public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, MESSAGE, ec.ECDSA(SHA256()))


WRONG: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "another curve": (
        "ECC_NIST_P256",
        lambda: material("ECC_NIST_P384"),
        "the source gives an ECC_NIST_P384 private key (PKCS #8); a key of spec ECC_NIST_P256 takes",
    ),
    "another modulus": ("RSA_2048", lambda: material("RSA_3072"), "the source gives an RSA_3072 private key"),
    "encrypted": (
        "ECC_NIST_P256",
        lambda: written("ECC_NIST_P256", KeyEncoding.DER, PrivateFormat.PKCS8, b"a passphrase"),
        "the source gave an encrypted private key; convert it with `openssl pkcs8",
    ),
    "SEC 1": (
        "ECC_NIST_P256",
        lambda: written("ECC_NIST_P256", KeyEncoding.DER, PrivateFormat.TraditionalOpenSSL),
        "the source gave a private key in SEC 1 form, not PKCS #8; convert it with `openssl pkcs8",
    ),
    "bytes for a private key": ("ECC_NIST_P256", lambda: os.urandom(32), "the source gives 32 bytes; a key of spec"),
    "too many bytes for a MAC key": ("HMAC_256", lambda: os.urandom(64), "the source gives 64 bytes; a key of spec"),
}


@pytest.mark.parametrize(("spec", "wrong", "told"), WRONG.values(), ids=WRONG)
async def test_wrong_material_is_told_before_any_token_is_spent(
    tmp_path: Path, pool: WrappingKeys, spec: str, wrong: Callable[[], bytes], told: str
) -> None:
    """A critical condition says what the source gives and what the key takes; right material ends it by itself."""
    async with site(tmp_path, pool, specs=[spec], wrapping_algorithm=AUTO) as it:
        right = (tmp_path / "0.key").read_bytes()
        (tmp_path / "0.key").write_bytes(wrong())
        async with alive(it) as world:
            (condition,) = [each.condition for each in (await world.know(KeyRef(it.keys[0]))).conditions]
            assert condition.kind is ConditionKind.MATERIAL_INVALID
            assert told in condition.detail
            assert "raised material_invalid" in world.inbox.said
            assert "GetParametersForImport" not in [record["eventName"] for record in it.trail()]

            (tmp_path / "0.key").write_bytes(right)
            await world.pass_time(2 * DAY, step=DAY / 4)
            assert await Person(it, spec).state() == "Enabled"
            assert "resolved material_invalid" in world.inbox.said


async def test_a_wrapping_that_aws_refuses_is_told_before_any_token_is_spent(
    tmp_path: Path, pool: WrappingKeys
) -> None:
    """RSA keys do not fit OAEP: the condition names the policy's wrapping, and one that would do."""
    oaep = WrappingAlgorithm.OAEP_SHA_256
    async with site(tmp_path, pool, specs=["RSA_2048"], wrapping_algorithm=oaep) as it, alive(it) as world:
        (condition,) = [each.condition for each in (await world.know(KeyRef(it.keys[0]))).conditions]
        assert condition.kind is ConditionKind.WRAPPING_REFUSED
        assert condition.detail == (
            "the policy wants RSAES_OAEP_SHA_256 under RSA_2048, which AWS does not take for a key of spec RSA_2048; "
            "leave it out, or set RSA_AES_KEY_WRAP_SHA_256 and RSA_4096"
        )
        assert [record["eventName"] for record in it.trail()] == ["DescribeKey"]
