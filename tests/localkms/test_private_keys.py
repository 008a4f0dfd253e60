"""Private keys on their way in: what is one of the spec, and that nothing but a refusal comes of anything else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.localkms.private_keys import canonical
from byokd.localkms.specs import SPECS, KeySpec

from .kit import Kms
from .rules import rule
from .specimens import FOREVER, PrivateKey, material, private_key

ASYMMETRIC = [spec for spec, row in SPECS.items() if not row.raw]
IMPORT = "Import and reimport"


def pkcs8(private: PrivateKey | ed448.Ed448PrivateKey) -> bytes:
    """A private key as PKCS #8."""
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("spec", ASYMMETRIC)
def test_a_key_of_the_spec_is_taken_as_it_is(spec: KeySpec) -> None:
    """What `cryptography` writes is already the form in which keys are kept; no other spec takes it."""
    der = material(spec)
    assert canonical(der, SPECS[spec]) == der
    assert [other for other in ASYMMETRIC if canonical(der, SPECS[other]) is not None] == [spec]


@settings(max_examples=300, deadline=None)
@given(spec=st.sampled_from(ASYMMETRIC), flips=st.lists(st.integers(0, 8 * 3000), min_size=1, max_size=3))
def test_a_damaged_key_is_refused_or_is_one(spec: KeySpec, flips: list[int]) -> None:
    """Whatever bits are flipped, the answer is None or another sound key of the spec, never an exception."""
    der = bytearray(material(spec))
    for flip in flips:
        der[flip // 8 % len(der)] ^= 1 << flip % 8
    kept = canonical(bytes(der), SPECS[spec])
    assert kept is None or canonical(kept, SPECS[spec]) == kept


async def test_one_flipped_bit_in_an_algorithm_was_an_internal_error(kms: Kms) -> None:
    """Ed25519's identifier with its last bit flipped is Ed448's, whose keys have other lengths.

    The library does not check that length and reports OpenSSL's refusal as an InternalError, which became a
    KMSInternalException: the client was told to try again with material that will never be good.
    """
    der = bytearray(material("ECC_NIST_EDWARDS25519"))
    der[11] ^= 1
    key = await kms.create_key(KeySpec="ECC_NIST_EDWARDS25519", KeyUsage="SIGN_VERIFY")
    terms = await kms.import_terms(key, bytes(der), "RSA_AES_KEY_WRAP_SHA_256")
    assert (await kms.refused("import_key_material", **terms, **FOREVER)).code == "IncorrectKeyMaterialException"


def ber(document: bytes, data: st.DataObject, *, splits: bool = True) -> bytes:
    """A DER document written in one of the many other ways of BER; pieces of what is split are not split again."""
    if not document:
        return b""
    tag, length, start = document[0], document[1], 2
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(document[2:start])
    content, rest = document[start : start + length], document[start + length :]
    if tag in {0x30, 0xA0, 0xA1}:
        content = ber(content, data)
    elif tag == 0x04 and splits and data.draw(st.booleans(), "in pieces"):
        cut = data.draw(st.integers(0, len(content)), "cut")
        tag, content = (
            0x24,
            b"".join(ber(der_of(0x04, piece), data, splits=False) for piece in (content[:cut], content[cut:])),
        )
    if tag & 0x20 and data.draw(st.booleans(), "indefinite"):
        return bytes([tag, 0x80]) + content + b"\0\0" + ber(rest, data)
    padding = data.draw(st.integers(0, 3), "more octets than needed")
    octets = len(content).to_bytes(3 + padding)
    return bytes([tag, 0x80 + len(octets)]) + octets + content + ber(rest, data)


def der_of(tag: int, content: bytes) -> bytes:
    """An element, in two length octets."""
    return bytes([tag, 0x82]) + len(content).to_bytes(2) + content


@rule(IMPORT, "guide importing-keys-conceptual")
@pytest.mark.parametrize("spec", ASYMMETRIC)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_pkcs8_in_ber_is_the_same_key(spec: KeySpec, data: st.DataObject) -> None:
    """BER is taken as well as DER, and one key is one material, however it was written."""
    assert canonical(ber(material(spec), data), SPECS[spec]) == material(spec)


def composite() -> bytes:
    """An RSA key whose numbers all fit together, but one of whose factors is not prime."""
    q = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_numbers().q
    while True:
        factors = [rsa.generate_private_key(public_exponent=65537, key_size=1024).private_numbers() for _ in "pq"]
        p = factors[0].p * factors[1].q
        n = p * q
        try:
            d, inverse = pow(65537, -1, (p - 1) * (q - 1)), pow(q, -1, p)
        except ValueError:
            continue
        if n.bit_length() == 2048:
            public = rsa.RSAPublicNumbers(65537, n)
            numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), inverse, public)
            return pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))


def with_the_public_key_of_another() -> bytes:
    """A P-256 key whose file tells another key's public point."""
    mine, theirs = [
        key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        for key in (private_key("ECC_NIST_P256"), ec.generate_private_key(ec.SECP256R1()))
    ]
    assert mine in material("ECC_NIST_P256")
    return material("ECC_NIST_P256").replace(mine, theirs)


def in_another_format(private_format: PrivateFormat) -> bytes:
    """A P-256 key in a container that KMS does not take."""
    return private_key("ECC_NIST_P256").private_bytes(Encoding.DER, private_format, NoEncryption())


UNSOUND = {
    "a composite factor": ("RSA_2048", composite),
    "the public key of another": ("ECC_NIST_P256", with_the_public_key_of_another),
    "SEC 1": ("ECC_NIST_P256", lambda: in_another_format(PrivateFormat.TraditionalOpenSSL)),
    "PKCS #1": (
        "RSA_2048",
        lambda: private_key("RSA_2048").private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    ),
    "PEM": (
        "ECC_NIST_P256",
        lambda: private_key("ECC_NIST_P256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ),
    "another curve of the same size": ("ECC_NIST_P256", lambda: material("ECC_SECG_P256K1")),
    "a curve that KMS lacks": ("ECC_NIST_P256", lambda: pkcs8(ec.generate_private_key(ec.BrainpoolP256R1()))),
    "a smaller modulus": ("RSA_3072", lambda: material("RSA_2048")),
    "Ed448": ("ECC_NIST_EDWARDS25519", lambda: pkcs8(ed448.Ed448PrivateKey.generate())),
    "trailing bytes": ("ECC_NIST_P384", lambda: material("ECC_NIST_P384") + b"\0"),
    "the public key alone": (
        "ECC_NIST_P384",
        lambda: private_key("ECC_NIST_P384").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ),
    "an endless length": ("ECC_NIST_P384", lambda: b"\x30\x80" + material("ECC_NIST_P384")[3:]),
    "nested without end": ("ECC_NIST_P384", lambda: b"\x30\x80" * 10_000),
    "nothing": ("ECC_NIST_P384", lambda: b""),
}


@rule(IMPORT, "guide importing-keys-conceptual")
@pytest.mark.parametrize("case", UNSOUND)
def test_only_a_sound_pkcs8_key_of_the_spec_is_material(case: str) -> None:
    """Unsound numbers, other containers, curves, sizes and algorithms are no material of an asymmetric key."""
    spec, made = UNSOUND[case]
    assert canonical(made(), SPECS[KeySpec(spec)]) is None
