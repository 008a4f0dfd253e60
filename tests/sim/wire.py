"""The world's KMS on the far side of AWS's own client: what byokd sends goes through aiobotocore and comes as JSON.

    AwsKms ─▶ aiobotocore: model, signature ─▶ InProcess ─▶ Far: JSON, RSA ─▶ ModelKms
                                    ◀── an answer, an error of AWS, a connection that breaks

The transport stands where aiobotocore has its HTTP session, so nothing leaves the process and virtual time moves on.
Material is wrapped as byokd wraps it, and unwrapped with the private key of the pair that was given out.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from typing import Any, Final

from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from multidict import CIMultiDict

from byokd import errors
from byokd.facts.key import (
    ABSENT,
    NEVER,
    SYMMETRIC,
    Absent,
    Expiry,
    KeyArn,
    MaterialId,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.policy import Lane
from byokd.facts.uses import KeyUsage, Use
from byokd.kms.adapter import open_kms
from byokd.kms.identity import Identity, shared_session
from byokd.material.secret import Secret
from byokd.material.wrap import wrap
from byokd.ports import Kms, Sealed
from tests.kit.fake_source import proof_of, sealed
from tests.sim.doors import SimSource
from tests.sim.model import ModelKms
from tests.sim.world import World

Members = dict[str, Any]

SESSION: Final = shared_session()
OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)

CODES: Final[Mapping[type[errors.KmsError], tuple[int, str]]] = {
    errors.Throttled: (400, "ThrottlingException"),
    errors.AccessDenied: (400, "AccessDeniedException"),
    errors.CredentialsInvalid: (400, "InvalidSignatureException"),
    errors.KeyNotFound: (400, "NotFoundException"),
    errors.WrongKeyState: (400, "KMSInvalidStateException"),
    errors.WrongOrigin: (400, "UnsupportedOperationException"),
    errors.TokenRefused: (400, "InvalidImportTokenException"),
    errors.CiphertextRefused: (400, "InvalidCiphertextException"),
    errors.MaterialRefused: (400, "IncorrectKeyMaterialException"),
    errors.RequestRefused: (400, "ValidationException"),
    errors.KmsInternal: (500, "KMSInternalException"),
}
"""How AWS says what the model refuses."""


@cache
def pair() -> rsa.RSAPrivateKey:
    """The wrapping key of every world: making one takes longer than a world."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class WiredWorld(World):
    """A world whose byokd has AWS's own client and real wrapping."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        source = WrappingSource()
        source.materials = self.source.materials
        self.source = source
        self._far = {lane.plan.id: Far(lane) for lane in self.lanes}

    @asynccontextmanager
    async def _open_kms(self, lane: Lane) -> AsyncIterator[Kms]:
        identity = Identity(
            access_key_id=lane.account, secret_access_key="none", transport=transport_to(self._far[lane.id].answer)
        )
        async with open_kms(lane, clock=self.host, session=SESSION, identity=identity) as kms:
            yield self.door.of(kms)

    async def kill(self) -> None:
        """See `World`. A database carries out what it has begun, and the book is still told of it."""
        self.door.close()
        while self.memory.busy():
            await asyncio.sleep(0)
        await super().kill()


class WrappingSource(SimSource):
    """Wraps what it has as a byte source of byokd does."""

    async def seal(self, locator: str, *, public_key: bytes, algorithm: WrappingAlgorithm) -> Sealed:
        """See `ports.Source`."""
        proof = await self._proof(locator)
        found = next(each for each in self._versions(locator) if proof_of(each).fingerprint == proof.fingerprint)
        with Secret(bytearray(found)) as secret:
            return Sealed(ciphertext=wrap(secret, public_key=public_key, algorithm=algorithm), proof=proof)

    def _versions(self, locator: str) -> tuple[bytes, ...]:
        """What it may give for the material, as its troubles have it."""
        material = self.materials[locator]
        return material, material[::-1], material[:-1]


def transport_to(answer: Callable[[str, Members], Awaitable[tuple[int, bytes, datetime]]]) -> type:
    """A class that aiobotocore takes for its HTTP session, whose requests are answered in process."""

    class InProcess:
        def __init__(self, **_: Any) -> None:
            """As aiobotocore makes it; there is nothing to set up."""

        async def __aenter__(self) -> InProcess:
            return self

        async def __aexit__(self, *_: object) -> None:
            return

        async def close(self) -> None:
            """Nothing is open."""

        async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
            """Carry one request."""
            operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
            try:
                status, body, date = await answer(operation, json.loads(request.body))
            except errors.KmsUnreachable as error:
                raise ConnectTimeoutError(endpoint_url=request.url, error=error) from None
            except errors.AnswerLost as error:
                raise ConnectionClosedError(endpoint_url=request.url, error=error) from None
            headers = CIMultiDict({"Date": format_datetime(date.astimezone(UTC), usegmt=True)})
            return AioAWSResponse(request.url, status, headers, _Body(body))

    return InProcess


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        return self._content


class Far:
    """One lane's KMS as AWS JSON 1.1 has it."""

    def __init__(self, kms: ModelKms) -> None:
        self._kms = kms
        self._given: dict[str, tuple[bytes, WrappingAlgorithm]] = {}
        """By token: the model's public key, which stands for the real one, and the algorithm."""
        self._operations: dict[str, Callable[[Members], Awaitable[Members]]] = {
            "DescribeKey": self._describe,
            "ListKeyRotations": self._rotations,
            "GetParametersForImport": self._parameters,
            "ImportKeyMaterial": self._import,
            "DeleteImportedKeyMaterial": self._delete,
            "RotateKeyOnDemand": self._rotate,
            "Encrypt": self._make("Plaintext", "CiphertextBlob"),
            "Decrypt": self._check("CiphertextBlob"),
            "GenerateMac": self._make("Message", "Mac"),
            "VerifyMac": self._check("Mac"),
        }
        self._made: dict[str, str] = {}
        """What keys made of which message."""

    async def answer(self, operation: str, members: Members) -> tuple[int, bytes, datetime]:
        """The status, the body, and when it was sent. Raises: KmsUnreachable, AnswerLost where a connection breaks."""
        try:
            status, told = 200, await self._operations[operation](members)
        except errors.BadAnswer:
            return 200, b"<html>", self._kms.now
        except tuple(CODES) as error:
            status, code = CODES[type(error)]
            told = {"__type": code, "message": str(error)}
        return status, json.dumps(told).encode(), self._kms.now

    async def _describe(self, asked: Members) -> Members:
        seen = await self._kms.describe(asked["KeyId"])
        told: Members = {
            "KeyId": seen.arn.rpartition("/")[2],
            "Arn": seen.arn,
            "KeyState": seen.state,
            "Origin": seen.origin,
        }
        told |= {"KeySpec": seen.spec, "KeyUsage": seen.usage, **_terms(seen.expiry)}
        if not isinstance(seen.current_material, Absent):
            told["CurrentKeyMaterialId"] = seen.current_material
        if isinstance(seen.begun_at, datetime):
            told["CreationDate"] = seen.begun_at.timestamp()
        if isinstance(seen.deletion_at, datetime):
            told["DeletionDate"] = seen.deletion_at.timestamp()
        if not isinstance(seen.family, Absent):
            told["MultiRegionConfiguration"] = {
                "PrimaryKey": {"Arn": seen.family.primary},
                "ReplicaKeys": [{"Arn": each} for each in seen.family.replicas],
            }
        return {"KeyMetadata": told}

    async def _rotations(self, asked: Members) -> Members:
        return {
            "Rotations": [
                {
                    "KeyMaterialId": each.material_id,
                    "KeyMaterialState": each.state,
                    "ImportState": "IMPORTED" if each.imported else "PENDING_IMPORT",
                    **_terms(each.expiry),
                    **({"RotationDate": each.rotated_at.timestamp()} if isinstance(each.rotated_at, datetime) else {}),
                }
                for each in await self._kms.list_materials(KeyArn(asked["KeyId"]))
            ],
            "Truncated": False,
        }

    async def _parameters(self, asked: Members) -> Members:
        algorithm = WrappingAlgorithm(asked["WrappingAlgorithm"])
        spec = WrappingKeySpec(asked["WrappingKeySpec"])
        given = await self._kms.get_parameters(KeyArn(asked["KeyId"]), algorithm=algorithm, spec=spec)
        token = b64encode(given.token).decode()
        self._given[token] = given.public_key, algorithm
        public_key = pair().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {
            "KeyId": asked["KeyId"],
            "PublicKey": b64encode(public_key).decode(),
            "ImportToken": token,
            "ParametersValidTo": given.valid_to.timestamp(),
        }

    async def _import(self, asked: Members) -> Members:
        public_key, algorithm = self._given[asked["ImportToken"]]
        material = pair().decrypt(b64decode(asked["EncryptedKeyMaterial"]), OAEP)
        note = sealed(proof_of(material), public_key=public_key, algorithm=algorithm)
        expires = asked["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
        imported = await self._kms.import_material(
            KeyArn(asked["KeyId"]),
            token=b64decode(asked["ImportToken"]),
            ciphertext=note.ciphertext,
            expiry=datetime.fromtimestamp(asked["ValidTo"], UTC) if expires else NEVER,
            material=MaterialId(asked["KeyMaterialId"]) if "KeyMaterialId" in asked else ABSENT,
            new=asked.get("ImportType") == "NEW_KEY_MATERIAL",
        )
        told = {} if isinstance(imported, Absent) else {"KeyMaterialId": imported}
        return {"KeyId": asked["KeyId"], **told}

    async def _delete(self, asked: Members) -> Members:
        material = MaterialId(asked["KeyMaterialId"]) if "KeyMaterialId" in asked else ABSENT
        await self._kms.delete_imported_material(KeyArn(asked["KeyId"]), material=material)
        return {"KeyId": asked["KeyId"]}

    async def _rotate(self, asked: Members) -> Members:
        await self._kms.rotate_on_demand(KeyArn(asked["KeyId"]))
        return {"KeyId": asked["KeyId"]}

    def _make(self, of: str, told: str) -> Callable[[Members], Awaitable[Members]]:
        async def make(asked: Members) -> Members:
            use = _use(asked)
            blob = await self._kms.make(KeyArn(asked["KeyId"]), use=use, message=b64decode(asked[of]))
            made = b64encode(blob).decode()
            self._made[made] = asked[of]
            return {"KeyId": asked["KeyId"], told: made}

        return make

    def _check(self, of: str) -> Callable[[Members], Awaitable[Members]]:
        async def check(asked: Members) -> Members:
            use, message = _use(asked), self._made[asked[of]]
            arn = KeyArn(asked["KeyId"])
            if not await self._kms.check(arn, use=use, message=b64decode(message), made=b64decode(asked[of])):
                raise errors.CiphertextRefused(f"{use.checks}: InvalidCiphertextException")
            return {"KeyId": asked["KeyId"], "Plaintext": message, "MacValid": True}

        return check


def _use(asked: Members) -> Use:
    """That which a request names: of the specs in worlds, each has one."""
    mac = asked.get("MacAlgorithm")
    if mac is None:
        return Use(spec=SYMMETRIC, usage=KeyUsage.ENCRYPT_DECRYPT, algorithm=asked["EncryptionAlgorithm"])
    return Use(spec="HMAC_256", usage=KeyUsage.GENERATE_VERIFY_MAC, algorithm=mac)


def _terms(expiry: Expiry | Absent) -> Members:
    if isinstance(expiry, datetime):
        return {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": expiry.timestamp()}
    return {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"} if expiry is NEVER else {}
