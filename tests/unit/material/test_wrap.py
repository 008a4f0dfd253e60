"""Wrapping, checked by unwrapping with code that byokd does not use."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from byokd.errors import BadAnswer, MaterialInvalid
from byokd.facts.key import WrappingAlgorithm
from byokd.material.secret import Secret
from byokd.material.wrap import wrap

OPENSSL = shutil.which("openssl")
DIGESTS: Final = {"SHA_1": "sha1", "SHA_256": "sha256"}


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    """KMS's side of a wrapping key."""
    return rsa.generate_private_key(65537, 2048)


def der(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    """A public key as KMS writes it."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def openssl_oaep(ciphertext: bytes, key: rsa.RSAPrivateKey, digest: str, directory: Path) -> bytes:
    """Decrypt OAEP with the OpenSSL command."""
    file = directory / "key.der"
    file.write_bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    options = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{digest}"]
    argv = ["openssl", "pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", str(file)]
    argv += [word for option in options for word in ("-pkeyopt", option)]
    return subprocess.run(argv, input=ciphertext, capture_output=True, check=True).stdout


def unwrap_rfc5649(kek: bytes, wrapped: bytes) -> bytes:
    """RFC 5649 section 4.2, written from the RFC on bare AES blocks."""
    decryptor = Cipher(algorithms.AES(kek), modes.ECB()).decryptor()  # a single block at a time, as the RFC has it
    blocks = [wrapped[at : at + 8] for at in range(0, len(wrapped), 8)]
    if len(blocks) == 2:
        plain = decryptor.update(wrapped)
        check, padded = plain[:8], plain[8:]
    else:
        check, rest = blocks[0], blocks[1:]
        for round_ in reversed(range(6)):
            for at in reversed(range(len(rest))):
                step = (len(rest) * round_ + at + 1).to_bytes(8)
                mixed = bytes(a ^ b for a, b in zip(check, step, strict=True))
                plain = decryptor.update(mixed + rest[at])
                check, rest[at] = plain[:8], plain[8:]
        padded = b"".join(rest)
    length = int.from_bytes(check[4:])
    assert check[:4] == bytes.fromhex("a65959a6")
    assert 0 <= len(padded) - length < 8
    assert not any(padded[length:])
    return padded[:length]


@pytest.mark.parametrize(
    ("plain", "wrapped"),
    [
        pytest.param(
            "c37b7e6492584340bed12207808941155068f738",
            "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
            id="20 octets",
        ),
        pytest.param("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f", id="7 octets"),
    ],
)
def test_the_unwrapping_used_here(plain: str, wrapped: str) -> None:
    """The independent unwrapping reproduces the vectors of RFC 5649 section 6."""
    kek = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
    assert unwrap_rfc5649(kek, bytes.fromhex(wrapped)).hex() == plain


@pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command")
@pytest.mark.parametrize("algorithm", [WrappingAlgorithm.OAEP_SHA_1, WrappingAlgorithm.OAEP_SHA_256])
def test_oaep(private_key: rsa.RSAPrivateKey, algorithm: WrappingAlgorithm, tmp_path: Path) -> None:
    """OpenSSL reads what OAEP wrapped, with the named hash in both of OAEP's places."""
    material = bytes(range(32))
    ciphertext = wrap(Secret(bytearray(material)), public_key=der(private_key.public_key()), algorithm=algorithm)
    digest = DIGESTS[algorithm.value.removeprefix("RSAES_OAEP_")]
    assert len(ciphertext) == 256
    assert openssl_oaep(ciphertext, private_key, digest, tmp_path) == material


@pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command")
@pytest.mark.parametrize("length", [1, 7, 8, 9, 32, 2376], ids="{} bytes".format)
@pytest.mark.parametrize("algorithm", [WrappingAlgorithm.RSA_AES_SHA_1, WrappingAlgorithm.RSA_AES_SHA_256])
def test_rsa_aes(private_key: rsa.RSAPrivateKey, algorithm: WrappingAlgorithm, length: int, tmp_path: Path) -> None:
    """The first part opens to an AES-256 key, and that opens the rest, by RFC 5649."""
    material = (bytes(range(256)) * 10)[:length]
    ciphertext = wrap(Secret(bytearray(material)), public_key=der(private_key.public_key()), algorithm=algorithm)
    digest = DIGESTS[algorithm.value.removeprefix("RSA_AES_KEY_WRAP_")]
    aes_key = openssl_oaep(ciphertext[:256], private_key, digest, tmp_path)
    assert len(aes_key) == 32
    assert unwrap_rfc5649(aes_key, ciphertext[256:]) == material


def test_one_time_keys(private_key: rsa.RSAPrivateKey) -> None:
    """Wrapping the same material twice gives nothing in common."""
    public_key = der(private_key.public_key())
    one, two = (
        wrap(Secret(bytearray(32)), public_key=public_key, algorithm=WrappingAlgorithm.RSA_AES_SHA_256)
        for _ in range(2)
    )
    assert one[:256] != two[:256]
    assert one[256:] != two[256:]


@pytest.mark.parametrize(
    ("algorithm", "most"),
    [(WrappingAlgorithm.OAEP_SHA_1, 256 - 42), (WrappingAlgorithm.OAEP_SHA_256, 256 - 66)],
)
def test_too_long_for_oaep(private_key: rsa.RSAPrivateKey, algorithm: WrappingAlgorithm, most: int) -> None:
    """OAEP takes what fits under its key, to the byte, and the refusal names what would do."""
    public_key = der(private_key.public_key())
    wrap(Secret(bytearray(most)), public_key=public_key, algorithm=algorithm)
    with pytest.raises(MaterialInvalid, match="RSA_AES_KEY_WRAP"):
        wrap(Secret(bytearray(most + 1)), public_key=public_key, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", list(WrappingAlgorithm))
def test_nothing_to_wrap(private_key: rsa.RSAPrivateKey, algorithm: WrappingAlgorithm) -> None:
    """No algorithm wraps nothing."""
    with pytest.raises(MaterialInvalid):
        wrap(Secret(bytearray()), public_key=der(private_key.public_key()), algorithm=algorithm)


@pytest.mark.parametrize(
    "public_key",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="not DER"),
        pytest.param(der(rsa.generate_private_key(65537, 1024).public_key()), id="RSA of 1024 bits"),
        pytest.param(der(ec.generate_private_key(ec.SECP256R1()).public_key()), id="an elliptic curve"),
    ],
)
def test_unusable_public_key(public_key: bytes) -> None:
    """Only the kinds of public key that KMS gives are wrapped under."""
    with pytest.raises(BadAnswer):
        wrap(Secret(bytearray(32)), public_key=public_key, algorithm=WrappingAlgorithm.OAEP_SHA_256)
