"""`ports.Kms` on AWS KMS: what each call sends, and how its answer becomes facts.

Answers are read strictly where byokd acts on them (a missing member is BadAnswer) and mildly where AWS may add words: a
key state not known here is UNKNOWN, which is hands-off. Times come back with a fraction of a second; they are cut to
whole seconds here, at the edge, which only ever makes a deadline earlier.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, assert_never

from byokd.errors import AnswerLost, BadAnswer, CheckRefused, CiphertextRefused
from byokd.facts.key import (
    ABSENT,
    NEVER,
    SYMMETRIC,
    Absent,
    Expiry,
    Family,
    KeyArn,
    KeyState,
    MaterialId,
    MaterialState,
    Never,
    ObservedKey,
    ObservedMaterial,
    WrappingAlgorithm,
    WrappingKeySpec,
)
from byokd.facts.policy import Lane
from byokd.facts.uses import PROBE_CONTEXT, KeyUsage, Use
from byokd.kms.client import LaneClient
from byokd.kms.identity import Identity, Session
from byokd.material.agreement import agrees, peer_public_key
from byokd.ports import Clock, ImportParameters, Kms, Skew

T = TypeVar("T")

PAGES_MAX: Final = 100
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)
_PAGE: Final = 1000
"""The largest page that ListKeyRotations gives (API model, LimitType)."""


@asynccontextmanager
async def open_kms(
    lane: Lane, *, clock: Clock, session: Session, identity: Identity | None = None
) -> AsyncIterator[Kms]:
    """KMS as the lane sees it, until the block is left. Opening does no I/O and does not fail.

    `session` is the one of `identity.shared_session()`, the same for all lanes.
    """
    client = LaneClient(lane, clock=clock, shared=session, identity=identity or Identity())
    try:
        yield AwsKms(client, clock)
    finally:
        await client.close()


class AwsKms:
    """Implements `ports.Kms`; opened by `open_kms`."""

    def __init__(self, client: LaneClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def describe(self, key: str) -> ObservedKey:
        """See `ports.Kms`. Asked by alias, `alias_target` is the ARN that the alias points to now.

        `materials_known` is False: only `list_materials` knows them.
        """
        at = self._clock.now()
        answer = await self._client.call("DescribeKey", {"KeyId": key})
        read = _Answer("DescribeKey", answer.get("KeyMetadata"))
        arn = KeyArn(read.text("Arn"))
        state = read.text("KeyState")
        return ObservedKey(
            at=at,
            arn=arn,
            state=KeyState(state) if state in tuple(KeyState) else KeyState.UNKNOWN,
            origin=read.text("Origin"),
            spec=read.text("KeySpec"),
            expiry=read.expiry(),
            current_material=MaterialId(read.text("CurrentKeyMaterialId"))
            if read.has("CurrentKeyMaterialId")
            else ABSENT,
            materials_known=False,
            deletion_at=read.time("DeletionDate") if read.has("DeletionDate") else ABSENT,
            alias_target=arn if _is_alias(key) else ABSENT,
            usage=read.text("KeyUsage") if read.has("KeyUsage") else "",
            family=read.family(),
            begun_at=read.time("CreationDate") if read.has("CreationDate") else ABSENT,
        )

    async def list_materials(self, arn: KeyArn) -> tuple[ObservedMaterial, ...]:
        """See `ports.Kms`. At most 100 pages of 1000, far beyond the rotations that a key can have; else BadAnswer.

        The key's first material has no RotationDate, and neither has one that waits for its rotation (API model,
        RotationsListEntry).
        """
        found: list[ObservedMaterial] = []
        request: dict[str, Any] = {"KeyId": arn, "IncludeKeyMaterial": "ALL_KEY_MATERIAL", "Limit": _PAGE}
        for _ in range(PAGES_MAX):
            answer = await self._client.call("ListKeyRotations", request)
            page = _Answer("ListKeyRotations", answer)
            found += [each for entry in page.entries("Rotations") if (each := _material(entry)) is not None]
            if not answer.get("Truncated"):
                return tuple(sorted(found, key=_age))
            request["Marker"] = page.text("NextMarker")
        raise BadAnswer(f"ListKeyRotations: no end after {PAGES_MAX} pages")

    async def get_parameters(
        self, arn: KeyArn, *, algorithm: WrappingAlgorithm, spec: WrappingKeySpec
    ) -> ImportParameters:
        """See `ports.Kms`."""
        request = {"KeyId": arn, "WrappingAlgorithm": algorithm.value, "WrappingKeySpec": spec.value}
        answer = await self._client.call("GetParametersForImport", request)
        read = _Answer("GetParametersForImport", answer)
        return ImportParameters(
            public_key=read.blob("PublicKey"), token=read.blob("ImportToken"), valid_to=read.time("ParametersValidTo")
        )

    async def import_material(
        self,
        arn: KeyArn,
        *,
        token: bytes,
        ciphertext: bytes,
        expiry: Expiry,
        material: MaterialId | Absent,
        new: bool = False,
        existing: bool = False,
    ) -> MaterialId | Absent:
        """See `ports.Kms`.

        Without `material` and `new`, ImportType is left to KMS, which takes NEW_KEY_MATERIAL for a key that never had
        any and EXISTING_KEY_MATERIAL afterwards (API model, ImportKeyMaterial.ImportType).
        """
        request: dict[str, Any] = {"KeyId": arn, "ImportToken": token, "EncryptedKeyMaterial": ciphertext}
        if isinstance(expiry, Never):
            request |= {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        else:
            request |= {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": expiry}
        if new:
            request |= {"ImportType": "NEW_KEY_MATERIAL"}
        elif not isinstance(material, Absent):
            request |= {"ImportType": "EXISTING_KEY_MATERIAL", "KeyMaterialId": material}
        elif existing:
            request |= {"ImportType": "EXISTING_KEY_MATERIAL"}
        answer = await self._client.call("ImportKeyMaterial", request, changes=True)
        if answer.get("KeyId") != arn:
            # KMS answers the ARN, whatever was sent: this 200 is somebody else's, and says nothing about the key.
            raise AnswerLost("ImportKeyMaterial: the answer does not name the key; it may have been applied")
        named = answer.get("KeyMaterialId")
        return MaterialId(named) if named else ABSENT

    async def delete_imported_material(self, arn: KeyArn, *, material: MaterialId | Absent) -> None:
        """See `ports.Kms`."""
        request = {"KeyId": arn} | ({} if isinstance(material, Absent) else {"KeyMaterialId": material})
        await self._client.call("DeleteImportedKeyMaterial", request, changes=True)

    async def rotate_on_demand(self, arn: KeyArn) -> None:
        """See `ports.Kms`."""
        await self._client.call("RotateKeyOnDemand", {"KeyId": arn}, changes=True)

    async def make(self, arn: KeyArn, *, use: Use, message: bytes) -> bytes:
        """See `ports.Kms`."""
        match use.usage:
            case KeyUsage.ENCRYPT_DECRYPT:
                request, told = _cipher(arn, use) | {"Plaintext": message}, "CiphertextBlob"
            case KeyUsage.SIGN_VERIFY:
                request, told = _signature(arn, use, message), "Signature"
            case KeyUsage.GENERATE_VERIFY_MAC:
                request, told = _mac(arn, use, message), "Mac"
            case KeyUsage.KEY_AGREEMENT:
                request, told = _agreement(arn, use, message), "SharedSecret"
            case _:
                assert_never(use.usage)
        return _Answer(use.makes, await self._client.call(use.makes, request)).blob(told)

    async def check(self, arn: KeyArn, *, use: Use, message: bytes, made: bytes) -> bool:
        """See `ports.Kms`."""
        request: dict[str, Any]
        right: bytes | bool = True
        match use.usage:
            case KeyUsage.ENCRYPT_DECRYPT:
                request, told, right = _cipher(arn, use) | {"CiphertextBlob": made}, "Plaintext", message
            case KeyUsage.SIGN_VERIFY:
                request, told = _signature(arn, use, message) | {"Signature": made}, "SignatureValid"
            case KeyUsage.GENERATE_VERIFY_MAC:
                request, told = _mac(arn, use, message) | {"Mac": made}, "MacValid"
            case KeyUsage.KEY_AGREEMENT:
                request, told = {"KeyId": arn}, "PublicKey"
            case _:
                assert_never(use.usage)
        try:
            answer = await self._client.call(use.checks, request)
        except (CiphertextRefused, CheckRefused):
            return False
        if use.usage is KeyUsage.KEY_AGREEMENT:
            return agrees(made, message, use.spec, _Answer(use.checks, answer).blob(told))
        return bool(answer.get(told) == right)

    async def request_quotas(self) -> dict[str, float]:
        """See `ports.Kms`."""
        return await self._client.request_quotas()

    def skew(self) -> Skew | Absent:
        """See `ports.Kms`."""
        return self._client.skew


def _cipher(arn: KeyArn, use: Use) -> dict[str, Any]:
    """The members that Encrypt and Decrypt have in common. Only symmetric keys take a context."""
    context = {"EncryptionContext": dict(PROBE_CONTEXT)} if use.algorithm == SYMMETRIC else {}
    return {"KeyId": arn, "EncryptionAlgorithm": use.algorithm} | context


def _agreement(arn: KeyArn, use: Use, message: bytes) -> dict[str, Any]:
    """The members of DeriveSharedSecret, of which the message is the other side."""
    return {"KeyId": arn, "KeyAgreementAlgorithm": use.algorithm, "PublicKey": peer_public_key(message, use.spec)}


def _mac(arn: KeyArn, use: Use, message: bytes) -> dict[str, Any]:
    """The members that GenerateMac and VerifyMac have in common."""
    return {"KeyId": arn, "MacAlgorithm": use.algorithm, "Message": message}


def _signature(arn: KeyArn, use: Use, message: bytes) -> dict[str, Any]:
    """The members that Sign and Verify have in common."""
    return {"KeyId": arn, "SigningAlgorithm": use.algorithm, "Message": message, "MessageType": "RAW"}


class _Answer:
    """One JSON object of an answer, of which byokd needs certain members."""

    def __init__(self, operation: str, members: Any) -> None:
        self._operation = operation
        self._members: Mapping[str, Any] = members if isinstance(members, Mapping) else {}

    def has(self, name: str) -> bool:
        """Whether the member is there."""
        return name in self._members

    def text(self, name: str) -> str:
        """A string that is not empty."""
        return self._member(name, str)

    def blob(self, name: str) -> bytes:
        """Bytes, at least one."""
        return self._member(name, bytes)

    def time(self, name: str) -> datetime:
        """A moment, cut to whole seconds of UTC."""
        return self._member(name, datetime).astimezone(UTC).replace(microsecond=0)

    def entries(self, name: str) -> list[_Answer]:
        """A list of objects; KMS leaves an empty one out."""
        return [_Answer(self._operation, each) for each in self._members.get(name, ())]

    def expiry(self) -> Expiry | Absent:
        """Of `ExpirationModel` and `ValidTo`; both are absent where there is no material."""
        match self._members.get("ExpirationModel"):
            case "KEY_MATERIAL_DOES_NOT_EXPIRE":
                return NEVER
            case None if not self.has("ValidTo"):
                return ABSENT
            case _:
                return self.time("ValidTo")

    def family(self) -> Family | Absent:
        """Of `MultiRegionConfiguration`, which only multi-Region keys have."""
        if not self.has("MultiRegionConfiguration"):
            return ABSENT
        told = _Answer(self._operation, self._members["MultiRegionConfiguration"])
        primary = _Answer(self._operation, told._members.get("PrimaryKey"))
        replicas = (KeyArn(each.text("Arn")) for each in told.entries("ReplicaKeys"))
        return Family(primary=KeyArn(primary.text("Arn")), replicas=tuple(sorted(replicas)))

    def _member(self, name: str, kind: type[T]) -> T:
        value = self._members.get(name)
        if isinstance(value, kind) and value:
            return value
        raise BadAnswer(f"{self._operation}: the answer has no usable {name}")


def _material(entry: _Answer) -> ObservedMaterial | None:
    state = entry.text("KeyMaterialState")
    if state not in tuple(MaterialState):
        # A state that AWS adds later. The other materials must not go unseen for it, and DescribeKey's own ValidTo
        # still counts this one if the key needs it.
        return None
    imported = entry.text("ImportState") == "IMPORTED"
    expiry = entry.expiry() if imported else ABSENT
    if imported and isinstance(expiry, Absent):
        raise BadAnswer("ListKeyRotations: an imported material has no ExpirationModel")
    return ObservedMaterial(
        material_id=MaterialId(entry.text("KeyMaterialId")),
        state=MaterialState(state),
        imported=imported,
        expiry=expiry,
        rotated_at=entry.time("RotationDate") if entry.has("RotationDate") else ABSENT,
    )


def _age(material: ObservedMaterial) -> tuple[bool, datetime]:
    rotated_at = material.rotated_at
    return not material.state.permanent, _BEFORE_ALL if isinstance(rotated_at, Absent) else rotated_at


def _is_alias(key: str) -> bool:
    return key.startswith("alias/") or ":alias/" in key
