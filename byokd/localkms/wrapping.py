"""Wrapping keys: the RSA pairs under which material travels, and the way back out of the wrapping.

RSA keys are never made for a request (an RSA-4096 pair takes up to two seconds of a core): a few per spec are made
once, in threads, kept with the state, and handed out in turns. Because consecutive requests get different keys, a
public key used with the token of another request fails, as it does on AWS.

The layouts (https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html)::

    RSAES_OAEP_SHA_x          RSA-OAEP( material )
    RSA_AES_KEY_WRAP_SHA_x    RSA-OAEP( one-time AES-256 key ) ‖ AES-KWP( material ), RFC 5649

OAEP uses the same hash for the label and for MGF1. RSA_AES_KEY_WRAP is for RSA and ECC keys alone: the API reference
says so, and the service was seen to refuse it for a symmetric key. Ed25519 keys, of which no text speaks, come as ECC
keys do. Unwrapping is slow (RSA-4096: 2 ms) and belongs in a thread.
"""

from __future__ import annotations

import asyncio
import uuid
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from byokd.localkms.arithmetic import in_the_background
from byokd.localkms.errors import Fault, Refusal
from byokd.localkms.specs import SPECS, KeySpec, Kind

KEYS_PER_SPEC: Final = 2
AES_KEY_BYTES: Final = 32


class WrappingSpec(StrEnum):
    """The wrapping key specs on offer. SM2 exists in China Regions only."""

    RSA_2048 = "RSA_2048"
    RSA_3072 = "RSA_3072"
    RSA_4096 = "RSA_4096"

    @property
    def bits(self) -> int:
        """The size of the RSA modulus."""
        return int(self.removeprefix("RSA_"))


class WrappingAlgorithm(StrEnum):
    """The wrapping algorithms on offer. RSAES_PKCS1_V1_5 ended on 10 October 2023; SM2PKE exists in China only."""

    RSAES_OAEP_SHA_1 = "RSAES_OAEP_SHA_1"
    RSAES_OAEP_SHA_256 = "RSAES_OAEP_SHA_256"
    RSA_AES_KEY_WRAP_SHA_1 = "RSA_AES_KEY_WRAP_SHA_1"
    RSA_AES_KEY_WRAP_SHA_256 = "RSA_AES_KEY_WRAP_SHA_256"

    @property
    def hybrid(self) -> bool:
        """Whether the material travels under a one-time AES key, and only that under RSA."""
        return self.startswith("RSA_AES")


NO_SPEC: Final = frozenset[WrappingSpec]()
ANY_SPEC: Final = frozenset(WrappingSpec)
LONGER: Final = ANY_SPEC - {WrappingSpec.RSA_2048}


Ways = tuple[frozenset[WrappingSpec], frozenset[WrappingSpec]]

# fmt: off
WRAPPABLE: Final[Mapping[Kind | KeySpec, Ways]] = {
    #                      RSAES_OAEP_SHA_x  RSA_AES_KEY_WRAP_SHA_x
    Kind.SYMMETRIC:        (ANY_SPEC,        NO_SPEC),
    Kind.HMAC:             (ANY_SPEC,        NO_SPEC),
    Kind.ECC:              (ANY_SPEC,        ANY_SPEC),
    KeySpec.ECC_NIST_P521: (LONGER,          ANY_SPEC),  # its 241 bytes do not fit into the 214 that RSA_2048 takes
    Kind.RSA:              (NO_SPEC,         ANY_SPEC),
}
# fmt: on
"""Under which wrapping keys material may come, by each layout. A key spec's own row goes before that of its kind."""


def check_wrapping(algorithm: WrappingAlgorithm, wrapping: WrappingSpec, spec: KeySpec) -> None:
    """Let a way of wrapping material of a key spec pass, as WRAPPABLE has it.

    Raises: Refusal with ValidationException, in the recorded words. Source: API reference of GetParametersForImport,
    WrappingAlgorithm and WrappingKeySpec.
    """
    row = WRAPPABLE.get(spec) or WRAPPABLE[SPECS[spec].kind]
    if wrapping not in row[algorithm.hybrid]:
        way = f"Wrapping algorithm {algorithm} and wrapping key spec {wrapping}"
        raise Refusal(Fault.VALIDATION, f"{way} cannot be used to import a {spec} key.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappingKey:
    """One RSA pair."""

    id: str
    spec: WrappingSpec
    private: rsa.RSAPrivateKey = field(repr=False)
    public_base64: str = field(repr=False)
    """The public key, DER SubjectPublicKeyInfo, as it is answered: written once, and not for every request."""

    def private_der(self) -> bytes:
        """The private key as PKCS #8, to be sealed at once."""
        return self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def generate(spec: WrappingSpec) -> WrappingKey:
    """A fresh pair. Takes 0.04 s (RSA_2048) to 2 s (RSA_4096) of a core, without the GIL: call it in a thread."""
    return _pair(uuid.uuid4().hex, spec, rsa.generate_private_key(public_exponent=65537, key_size=spec.bits))


def restore(identity: str, spec: str, private_der: bytes) -> WrappingKey:
    """A pair that `generate` made earlier. It is ours, so its primes are not proven again, which would take 250 ms."""
    private = load_der_private_key(private_der, password=None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private, rsa.RSAPrivateKey)
    return _pair(identity, WrappingSpec(spec), private)


def _pair(identity: str, spec: WrappingSpec, private: rsa.RSAPrivateKey) -> WrappingKey:
    public_der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return WrappingKey(id=identity, spec=spec, private=private, public_base64=b64encode(public_der).decode())


class WrappingKeys:
    """The pool of pairs. Grows only; may be shared by servers in one event loop, and by any number once it is full."""

    def __init__(self, keys: Iterable[WrappingKey] = ()) -> None:
        self._shelves: dict[WrappingSpec, deque[WrappingKey]] = {spec: deque() for spec in WrappingSpec}
        self._by_id: dict[str, WrappingKey] = {}
        self._arrival = asyncio.Event()
        self._making: set[asyncio.Task[None]] = set()
        self.watchers: list[Callable[[WrappingKey], None]] = []
        """Told of every pair that comes in from now on."""
        for key in keys:
            self.add(key)

    def __iter__(self) -> Iterator[WrappingKey]:
        """Every pair in the pool."""
        return iter(tuple(self._by_id.values()))

    def add(self, key: WrappingKey) -> None:
        """Put a pair into the pool; no effect if it is there."""
        if key.id in self._by_id:
            return
        self._by_id[key.id] = key
        self._shelves[key.spec].append(key)
        self._arrival.set()
        self._arrival = asyncio.Event()
        for watcher in self.watchers:
            watcher(key)

    def find(self, identity: str) -> WrappingKey | None:
        """The pair of that id."""
        return self._by_id.get(identity)

    async def fill(self, most: int = KEYS_PER_SPEC) -> None:
        """Make what is missing to `most` pairs of every spec, in threads; first one of every spec.

        What another server on the same pool is making already is left to it. Whoever is cancelled here has begun
        nothing in vain: what is being made still comes in.
        """
        for wanted in range(1, most + 1):
            for spec in WrappingSpec:
                if len(self._shelves[spec]) + sum(task.get_name() == spec for task in self._making) < wanted:
                    task = asyncio.create_task(self._make(spec), name=spec)
                    self._making.add(task)
                    task.add_done_callback(self._making.discard)
            if self._making:
                await asyncio.wait(self._making)

    async def _make(self, spec: WrappingSpec) -> None:
        self.add(await in_the_background(generate, spec))

    async def take(self, spec: WrappingSpec) -> WrappingKey:
        """The next pair of a spec, in turns; waits while none has been made."""
        shelf = self._shelves[spec]
        while not shelf:
            await self._arrival.wait()
        shelf.rotate(-1)
        return shelf[-1]


def unwrap(key: WrappingKey, algorithm: WrappingAlgorithm, wrapped: bytes) -> bytes:
    """The material inside a wrapping.

    Raises: Refusal with ValidationException, as was seen of the service, for a direct wrapping that is not as long as
    the wrapping key; InvalidCiphertextException, whatever else was wrong with it: other key, other algorithm, damage.
    """
    if not algorithm.hybrid and len(wrapped) != key.spec.bits // 8:
        raise Refusal(Fault.VALIDATION, "Invalid encrypted key size.")
    match algorithm:
        case WrappingAlgorithm.RSAES_OAEP_SHA_1:
            return _oaep(key, hashes.SHA1(), wrapped)
        case WrappingAlgorithm.RSAES_OAEP_SHA_256:
            return _oaep(key, hashes.SHA256(), wrapped)
        case WrappingAlgorithm.RSA_AES_KEY_WRAP_SHA_1:
            return _aes_within_oaep(key, hashes.SHA1(), wrapped)
        case WrappingAlgorithm.RSA_AES_KEY_WRAP_SHA_256:
            return _aes_within_oaep(key, hashes.SHA256(), wrapped)


def _aes_within_oaep(key: WrappingKey, digest: hashes.HashAlgorithm, wrapped: bytes) -> bytes:
    modulus_bytes = key.spec.bits // 8
    aes_key = _oaep(key, digest, wrapped[:modulus_bytes])
    if len(aes_key) != AES_KEY_BYTES:
        raise Refusal(Fault.INVALID_CIPHERTEXT)
    try:
        return aes_key_unwrap_with_padding(aes_key, wrapped[modulus_bytes:])
    except (InvalidUnwrap, ValueError):
        raise Refusal(Fault.INVALID_CIPHERTEXT) from None


def _oaep(key: WrappingKey, digest: hashes.HashAlgorithm, wrapped: bytes) -> bytes:
    scheme = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
    try:
        return key.private.decrypt(wrapped, scheme)
    except ValueError:
        raise Refusal(Fault.INVALID_CIPHERTEXT) from None
