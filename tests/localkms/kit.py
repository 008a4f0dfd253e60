"""What the tests of the local KMS share: a clock moved by hand, a client, and wrapping written a second time.

The wrapping here must stay independent of byokd.localkms.wrapping: it is what a client does.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import boto3
from aiohttp import ClientSession
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from byokd.localkms.wrapping import KEYS_PER_SPEC, WrappingKeys, WrappingSpec, generate

START = 1_800_000_000.0
DAY = 86_400.0
REGION = "eu-central-1"
ACCOUNT = "111122223333"
MATERIAL = bytes(range(32))
OTHER_MATERIAL = bytes(range(32, 64))
FOREVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}

_session = boto3.Session()

Serving = Callable[..., AbstractAsyncContextManager["Kms"]]
"""Serves with some hostility, and may keep its state in a file; what is not named is friendly."""


@cache
def wrapping_keys() -> WrappingKeys:
    """A full pool, made once in a process: no server of a test that is given it makes RSA keys, which takes seconds."""
    with ThreadPoolExecutor() as threads:
        return WrappingKeys(threads.map(generate, [spec for spec in WrappingSpec for _ in range(KEYS_PER_SPEC)]))


class ManualClock:
    """Time that passes only by `advance`. Sleepers wake when their moment has come."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._asleep = asyncio.Event()

    def now(self) -> float:
        """Epoch seconds."""
        return self._now

    async def sleep_until(self, when: float) -> None:
        """Wait until the clock has been moved to the moment."""
        if when <= self._now:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((when, future))
        self._asleep.set()
        await future

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever slept until then."""
        self._now += seconds
        self._asleep.clear()
        due = [future for when, future in self._sleepers if when <= self._now]
        self._sleepers = [(when, future) for when, future in self._sleepers if when > self._now]
        for future in due:
            if not future.done():
                future.set_result(None)

    async def someone_asleep(self) -> None:
        """Wait until somebody has gone to sleep since the last `advance`."""
        await self._asleep.wait()


@dataclass(frozen=True)
class Refused:
    """What a refused call told."""

    code: str
    message: str


class Kms:
    """boto3 against a local KMS, in threads; and raw requests where boto3 is too well-behaved."""

    def __init__(self, url: str, clock: ManualClock, *, account: str = ACCOUNT, region: str = REGION) -> None:
        self.url = url
        self.clock = clock
        self.region = region
        config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        self.client: Any = _session.client(
            "kms",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="any",
            config=config,
        )

    async def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """Call an operation by its boto3 name and return its answer."""
        answer: dict[str, Any] = await asyncio.to_thread(getattr(self.client, operation), **members)
        return answer

    async def refused(self, operation: str, **members: Any) -> Refused:
        """Call an operation that must be refused, and return how."""
        try:
            answer = await self.call(operation, **members)
        except ClientError as error:
            return Refused(error.response["Error"]["Code"], error.response["Error"]["Message"])
        raise AssertionError(f"{operation} was not refused: {answer}")

    async def raw(
        self, operation: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, Any, dict[str, str]]:
        """Send any body to an operation; return status, parsed answer and headers."""
        sent = {
            "X-Amz-Target": f"TrentService.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        }
        sent |= unkeyed(self.clock.now(), region=self.region) | (headers or {})
        async with (
            ClientSession() as session,
            session.request(
                method, self.url, data=BytesIO(body), headers={k: v for k, v in sent.items() if v}
            ) as answer,
        ):
            parsed = await answer.json(content_type=None)
            return answer.status, parsed, dict(answer.headers)

    async def create_key(self, **members: Any) -> str:
        """Create a key, EXTERNAL unless said otherwise, and return its ARN."""
        answer = await self.call("create_key", **({"Origin": "EXTERNAL"} | members))
        return str(answer["KeyMetadata"]["Arn"])

    async def describe(self, key: str) -> dict[str, Any]:
        """The key's metadata."""
        metadata: dict[str, Any] = (await self.call("describe_key", KeyId=key))["KeyMetadata"]
        return metadata

    async def state(self, key: str) -> str:
        """The key's state."""
        return str((await self.describe(key))["KeyState"])

    async def parameters(
        self, key: str, algorithm: str = "RSAES_OAEP_SHA_256", spec: str = "RSA_2048"
    ) -> tuple[bytes, bytes]:
        """A fresh token and public key."""
        answer = await self.call(
            "get_parameters_for_import", KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec
        )
        return answer["ImportToken"], answer["PublicKey"]

    async def import_terms(
        self, key: str, material: bytes = MATERIAL, algorithm: str = "RSAES_OAEP_SHA_256", spec: str = "RSA_2048"
    ) -> dict[str, Any]:
        """The members of an ImportKeyMaterial request, but for its expiry."""
        token, public_key = await self.parameters(key, algorithm, spec)
        return {"KeyId": key, "ImportToken": token, "EncryptedKeyMaterial": wrap(public_key, algorithm, material)}

    async def import_material(
        self, key: str, material: bytes = MATERIAL, *, valid_for: float | None = None, **members: Any
    ) -> str:
        """Import material for some seconds, or for ever; return its id."""
        if valid_for is None:
            members["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE"
        else:
            members["ValidTo"] = self.clock.now() + valid_for
        answer = await self.call("import_key_material", **await self.import_terms(key, material), **members)
        return str(answer["KeyMaterialId"])


def unkeyed(moment: float, *, account: str = ACCOUNT, region: str = REGION) -> dict[str, str]:
    """The headers of a signature that is right in all but its HMAC, which nobody can check who has no secret."""
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    credential = f"Credential={account}/{date[:8]}/{region}/kms/aws4_request"
    signed = f"{credential}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    return {"X-Amz-Date": date, "Authorization": f"AWS4-HMAC-SHA256 {signed}"}


def wrap(public_key: bytes, algorithm: str, material: bytes) -> bytes:
    """Wrap material as a client of KMS does, by any of the four algorithms."""
    key = load_der_public_key(public_key)
    assert isinstance(key, rsa.RSAPublicKey)
    digest = hashes.SHA1() if algorithm.endswith("_SHA_1") else hashes.SHA256()
    oaep = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
    if algorithm.startswith("RSAES_OAEP"):
        return key.encrypt(material, oaep)
    aes_key = os.urandom(32)
    return key.encrypt(aes_key, oaep) + aes_key_wrap_with_padding(aes_key, material)
