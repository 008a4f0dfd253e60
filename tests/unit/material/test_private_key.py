"""Telling kinds of material apart, and that no text quotes any of it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.errors import MaterialInvalid
from byokd.facts.kinds import KINDS, MaterialKind
from byokd.material.private_key import kind_of
from byokd.material.secret import Secret
from tests.kit.materials import PRIVATE, RAW, PrivateKey, material, private_key

Other = dsa.DSAPrivateKey | ed448.Ed448PrivateKey | x25519.X25519PrivateKey


def pkcs8(key: PrivateKey | Other) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def traditional(spec: str) -> bytes:
    key = private_key(spec)
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@pytest.mark.parametrize("spec", KINDS)
def test_material_of_every_spec_is_told(spec: str) -> None:
    """A private key by the name of its spec, and raw bytes by their being no private key."""
    told = kind_of(Secret(bytearray(material(spec))))
    assert told is KINDS[spec].material
    assert [each for each in KINDS if KINDS[each].takes(told, len(material(spec)))] in (
        [spec],
        ["SYMMETRIC_DEFAULT", "HMAC_256"],
    )


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "PKCS #1": (lambda: traditional("RSA_2048"), "in PKCS #1 form, not PKCS #8; convert it with `openssl pkcs8"),
    "SEC 1": (lambda: traditional("ECC_NIST_P256"), "in SEC 1 form, not PKCS #8; convert it with `openssl pkcs8"),
    "encrypted": (
        lambda: private_key("ECC_NIST_P256").private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase")
        ),
        "an encrypted private key; convert it",
    ),
    "a public key": (
        lambda: private_key("RSA_2048").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "a public key; KMS takes the private one",
    ),
    "PEM": (
        lambda: private_key("ECC_NIST_P256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        'PEM text; set encoding = "pem"',
    ),
    "a modulus of another size": (lambda: pkcs8(rsa.generate_private_key(65537, 1024)), "an RSA key of 1024 bits"),
    "another curve": (lambda: pkcs8(ec.generate_private_key(ec.SECP224R1())), "the curve secp224r1"),
    "another kind of key": (lambda: pkcs8(x25519.X25519PrivateKey.generate()), "neither RSA nor on a curve"),
    "a key cut short inside": (lambda: _emptied(material("ECC_NIST_P256")), "does not parse"),
}


def _emptied(der: bytes) -> bytes:
    """A PKCS #8 key whose OCTET STRING holds as many zeros."""
    at = der.index(b"\x04", 20)
    return der[: at + 2] + bytes(len(der) - at - 2)


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG)
def test_what_kms_does_not_take_is_told_with_the_way_out(wrong: Callable[[], bytes], told: str) -> None:
    """Everyday mistakes are named, and neither text nor traceback holds any of the content."""
    content = wrong()
    with pytest.raises(MaterialInvalid) as raised:
        kind_of(Secret(bytearray(content)))
    assert told in str(raised.value)
    text = "".join(traceback.format_exception(raised.value))
    assert content[-12:].hex() not in text
    assert repr(content[-12:])[2:-1] not in text
    assert raised.value.__cause__ is None


@settings(max_examples=300, deadline=None)
@given(spec=st.sampled_from(PRIVATE), flips=st.lists(st.integers(0, 8 * 3000), min_size=1, max_size=3))
def test_damage_is_refused_or_not_seen_but_never_a_defect(spec: str, flips: list[int]) -> None:
    """Whatever bits are flipped, the answer is a kind or MaterialInvalid."""
    der = bytearray(material(spec))
    for flip in flips:
        der[flip // 8 % len(der)] ^= 1 << flip % 8
    try:
        kind_of(Secret(der))
    except MaterialInvalid as error:
        assert "the source gave" in str(error)  # noqa: PT017 - not to be raised is right as well


def test_an_identifier_one_bit_off_was_an_internal_error() -> None:
    """Ed25519's identifier with its last bit flipped is Ed448's, whose keys are longer.

    The library passes OpenSSL's refusal on as InternalError, which is no ValueError.
    """
    der = bytearray(material("ECC_NIST_EDWARDS25519"))
    der[11] ^= 1
    with pytest.raises(MaterialInvalid, match="does not parse"):
        kind_of(Secret(der))


@pytest.mark.parametrize("spec", RAW)
def test_random_bytes_are_raw(spec: str) -> None:
    """Also where they begin like DER: a whole shape to the last byte does not come about by chance."""
    length = KINDS[spec].length
    for head in (b"", b"\x30", bytes([0x30, length - 2]), bytes([0x30, length - 2, 0x02, 0x01, 0x00])):
        content = head + os.urandom(length - len(head))
        if content[5:6] not in (b"\x02", b"\x30"):  # the next member of a private key, by chance
            assert kind_of(Secret(bytearray(content))) is MaterialKind.BYTES
