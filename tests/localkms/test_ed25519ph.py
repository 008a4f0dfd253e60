"""Ed25519ph against RFC 8032, and its arithmetic against the library's plain Ed25519."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from byokd.localkms.ed25519ph import ORDER, P, sign, sign_hashed, verify, verify_hashed

SEED = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
SIGNATURE = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)


def test_the_rfc_s_test_vector_comes_out() -> None:
    """Section 7.3 of RFC 8032 signs "abc"; the same bytes come out here, and verify."""
    assert sign(SEED, b"abc") == SIGNATURE
    assert verify(PUBLIC, b"abc", SIGNATURE)


@settings(max_examples=30, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=100))
def test_without_prefix_and_prehash_it_is_plain_ed25519(seed: bytes, message: bytes) -> None:
    """The same arithmetic without dom2 makes, byte for byte, the signatures of `cryptography`."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    signature = private.sign(message)
    assert sign_hashed(seed, message, b"") == signature
    assert verify_hashed(private.public_key().public_bytes_raw(), message, signature, b"")


@settings(max_examples=40, deadline=None)
@given(bit=st.integers(min_value=0, max_value=64 * 8 - 1))
def test_any_flipped_bit_spoils_a_signature(bit: int) -> None:
    """No bit of a signature is free, with or without the prefix; the library agrees on each."""
    spoilt = bytearray(SIGNATURE)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not verify(PUBLIC, b"abc", bytes(spoilt))
    plain = bytearray(sign_hashed(SEED, b"abc", b""))
    plain[bit // 8] ^= 1 << bit % 8
    assert not verify_hashed(PUBLIC, b"abc", bytes(plain), b"")
    try:
        Ed25519PublicKey.from_public_bytes(PUBLIC).verify(bytes(plain), b"abc")
    except InvalidSignature:
        return
    raise AssertionError("the library takes it")


def test_prehashed_and_plain_signatures_do_not_pass_for_each_other() -> None:
    """The prefix in every hash keeps the two kinds apart, even over the same bytes."""
    assert not verify_hashed(PUBLIC, b"abc", SIGNATURE, b"")
    assert not verify(PUBLIC, b"abc", sign_hashed(SEED, b"abc", b""))


def test_what_is_no_signature_is_refused() -> None:
    """A response beyond the group's order, points that do not exist, and other lengths are refused, not raised on."""
    unreduced = (int.from_bytes(SIGNATURE[32:], "little") + ORDER).to_bytes(32, "little")
    no_point = (2).to_bytes(32, "little")
    beyond_the_field = (P + 1).to_bytes(32, "little")
    for bad in (
        SIGNATURE[:32] + unreduced,
        no_point + SIGNATURE[32:],
        beyond_the_field + SIGNATURE[32:],
        b"",
        b"x" * 65,
    ):
        assert not verify(PUBLIC, b"abc", bad)
    assert not verify(no_point, b"abc", SIGNATURE)
